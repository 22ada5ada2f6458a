"""A retrained network as a folder and as an MLflow model: everything that predicting needs, and no pickle.

    model.safetensors   weights and running statistics
    genotype.json       the cells, in the published form
    model.json          sizes of the network, class names, preprocessing, where it came from

    >>> model = load_model(Path("my-model"))
    >>> model.predict([Path("cat.png")])
    [Prediction(image=..., class_name='cat', probability=0.98)]

From MLflow's registry, in three lines (uint8 images (N, H, W, C) of any height and width in, probabilities out):

    >>> import mlflow
    >>> model = mlflow.pyfunc.load_model("models:/NAME@champion")
    >>> probabilities_NK = model.predict(images_NHWC)
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcdarts_tune.core.genotype import Genotype
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_json
from pcdarts_tune.models.description import check_description, check_weights

FORMAT = 1
"""Of model.json; counts up when a reader must know."""

WEIGHTS, GENOTYPE, DESCRIPTION = "model.safetensors", "genotype.json", "model.json"


@dataclass(frozen=True)
class Prediction:
    """What a model says about one image."""

    image: str
    class_name: str
    probability: float

    def to_dict(self) -> dict[str, Any]:
        return {"image": self.image, "class": self.class_name, "probability": self.probability}


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to predict, and what belongs to it."""

    network: EvaluationNetwork
    genotype: Genotype
    classes: tuple[str, ...]
    preprocessing: dict[str, Any]
    description: dict[str, Any]

    def probabilities(self, images_NCHW: Tensor, batch_size: int = 256) -> Tensor:
        """(N, K) probabilities of preprocessed images (N, C, H, W)."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            parts = [
                self.network(part.to(device))[0].softmax(dim=1).cpu()
                for part in torch.split(images_NCHW, batch_size)
            ]
        return torch.cat(parts) if parts else torch.empty(0, len(self.classes))

    def predict(self, paths: Sequence[Path]) -> list[Prediction]:
        """The likeliest class of each image file.

        Raises:
            UserError: naming the first file that is not a readable image.
        """
        from pcdarts_tune.datasets import read_image

        if not paths:
            return []
        images_NCHW = torch.stack([read_image(path, self.preprocessing) for path in paths])
        best = self.probabilities(images_NCHW).max(dim=1)
        return [
            Prediction(str(path), self.classes[index], probability)
            for path, index, probability in zip(
                paths, best.indices.tolist(), best.values.tolist(), strict=True
            )
        ]

    def predict_array(self, images_NHWC: NDArray[Any]) -> NDArray[np.float32]:
        """(N, K) float32 probabilities of uint8 images (N, H, W, C) as they come from a file.

        Raises:
            ValueError: saying which shape and type is expected.
        """
        images_NCHW = prepare_array(images_NHWC, self.preprocessing)
        result: NDArray[np.float32] = self.probabilities(images_NCHW).numpy().astype(np.float32)
        return result


def prepare_array(images_NHWC: NDArray[Any], preprocessing: Mapping[str, Any]) -> Tensor:
    """uint8 images (N, H, W, C), all of one size, as the network takes them: resized, normalised, (N, C, H, W).

    Raises:
        ValueError: saying which shape and type is expected.
    """
    from PIL import Image

    from pcdarts_tune.core.images.augment import channel_constants, normalize_images, resize
    from pcdarts_tune.core.images.decode import to_tensor

    channels, size = int(preprocessing["channels"]), preprocessing["image_size"]
    image_size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    images = np.asarray(images_NHWC)
    if images.ndim != 4 or images.shape[-1] != channels or images.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8 (N, H, W, {channels}), values 0..255; got {images.dtype} {tuple(images.shape)}"
        )
    mode = preprocessing["resize"]
    if (images.shape[1:3] == image_size and mode == "fit") or not len(images):
        x_NCHW = torch.tensor(images).permute(0, 3, 1, 2)
    else:
        # as files are resized, so that an image and its array are classified alike
        squeezed = images[..., 0] if channels == 1 else images
        x_NCHW = torch.stack(
            [to_tensor(resize(Image.fromarray(image), image_size, mode)) for image in squeezed]
        )
    mean, std = (channel_constants(tuple(preprocessing[key]), "cpu") for key in ("mean", "std"))
    return normalize_images(x_NCHW, mean, std)


def save_model(
    folder: Path,
    network: EvaluationNetwork,
    genotype: Genotype,
    network_args: Mapping[str, Any],
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    *,
    origin: Mapping[str, Any] | None = None,
) -> Path:
    """Write the model folder whole, or leave what was there.

    Args:
        network_args: what `EvaluationNetwork` was built with, without the genotype.
        preprocessing: as `datasets.read_image` takes it.
        origin: where the model came from (sweep, trial, data, accuracy); JSON-able.
    """
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
        save_file(tensors, part / WEIGHTS, metadata={"genotype": json.dumps(genotype.to_dict())})
        description = {
            "format": FORMAT,
            "network": dict(network_args),
            "classes": list(classes),
            "preprocessing": dict(preprocessing),
            "origin": dict(origin or {}),
        }
        for name, content in ((GENOTYPE, genotype.to_dict()), (DESCRIPTION, description)):
            (part / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        part.chmod(0o755)  # mkdtemp's is for its owner alone
        _replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def load_model(folder: Path, device: torch.device | str = "cpu") -> LoadedModel:
    """Read a model folder, or the one file that `export` made of it; nothing in it is executed or unpickled.

    Raises:
        UserError: saying which file is missing or does not fit the others.
    """
    if folder.is_file():
        return read_file(folder, device)
    missing = [name for name in (WEIGHTS, GENOTYPE, DESCRIPTION) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder} is no model: {', '.join(missing)} missing",
            hint="give the folder that `pcdarts-tune retrain -o FOLDER` wrote, or the name of a registered model",
        )
    with _name_in_errors(folder):
        description, genotype = read_json(folder / DESCRIPTION), read_json(folder / GENOTYPE)
        return _build(load_file(folder / WEIGHTS), genotype, description, device)


def read_file(path: Path, device: torch.device | str = "cpu") -> LoadedModel:
    """The model of an exported safetensors file.

    Raises:
        UserError: when it is none.
    """
    with _name_in_errors(path):
        with safetensors.safe_open(path, "pt") as file:
            kept = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        return _build(weights, json.loads(kept[GENOTYPE]), json.loads(kept[DESCRIPTION]), device)


def _build(
    weights: dict[str, Tensor], genotype: Any, description: Any, device: torch.device | str
) -> LoadedModel:
    written = description.get("format") if isinstance(description, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise UserError("it was written by a newer pcdarts-tune", hint="upgrade pcdarts-tune")
    check_description(description)
    cells = Genotype.from_dict(genotype)
    with torch.device("meta"):  # a description that does not fit the weights must not fill the memory
        check_weights(weights, EvaluationNetwork(cells, **description["network"]))
    network = EvaluationNetwork(cells, **description["network"])
    network.load_state_dict(weights)
    classes, preprocessing = tuple(description["classes"]), dict(description["preprocessing"])
    return LoadedModel(network.to(device).eval(), cells, classes, preprocessing, description)


@contextmanager
def _name_in_errors(path: Path) -> Iterator[None]:
    """Make errors of reading a model UserErrors that name the file or folder."""
    try:
        yield
    except UserError as error:
        said = str(error)
        raise UserError(said if str(path) in said else f"{path}: {said}", hint=error.hint) from error
    except (LookupError, TypeError, ValueError, RuntimeError, OSError, MemoryError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} cannot be read as a model: {type(error).__name__}: {reason}",
            hint="copy it anew from where it was made, or make it again: pcdarts-tune retrain",
        ) from error


def _replace(part: Path, folder: Path) -> None:
    old = part.with_name(f"{part.name}.old")
    if folder.exists():
        os.rename(folder, old)
    os.rename(part, folder)
    shutil.rmtree(old, ignore_errors=True)
