"""A retrained network as a folder: everything that predicting needs, checked before anything is built from it, and no pickle.

model.safetensors   weights and running statistics
genotype.json       the cells, in the published form
model.json          sizes of the network, class names, preprocessing, where it came from
plugins.json        records of the plug-ins that its operations come from, where there are any

>>> load_model(Path("my-model")).predict([Path("cat.png")])
[Prediction(image=..., class_name='cat', probability=0.98)]
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
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pcdarts_tune import plugins
from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.errors import LOOK_AT_THE_DISK, UserError
from pcdarts_tune.files import read_json
from pcdarts_tune.models.description import FORMAT, Description

WEIGHTS, GENOTYPE, DESCRIPTION = "model.safetensors", "genotype.json", "model.json"
PLUGINS = plugins.ARTIFACT


@dataclass(frozen=True)
class Prediction:
    """What a model says about one image; `top` has the likeliest classes and their probabilities where they were asked for."""

    image: str
    class_name: str
    probability: float
    top: tuple[tuple[str, float], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "image": self.image,
            "class": self.class_name,
            "probability": self.probability,
        }
        if self.top:
            said["top"] = [{"class": name, "probability": probability} for name, probability in self.top]
        return said


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to predict, and what belongs to it."""

    network: EvaluationNetwork
    genotype: AnyGenotype
    classes: tuple[str, ...]
    preprocessing: dict[str, Any]
    description: dict[str, Any]
    plugins: tuple[dict[str, Any], ...] = ()

    def probabilities(self, images_NCHW: Tensor, batch_size: int = 256) -> Tensor:
        """(N, K) probabilities of preprocessed images (N, C, H, W)."""
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            parts = [
                self.network(part.to(device))[0].softmax(dim=1).cpu()
                for part in torch.split(images_NCHW, batch_size)
            ]
        return torch.cat(parts) if parts else torch.empty(0, len(self.classes))

    def predict(self, paths: Sequence[Path], *, top: int = 0) -> list[Prediction]:
        """The likeliest class of each image file, and the `top` likeliest. Raises UserError, naming the first file that is not a
        readable image."""
        from pcdarts_tune.datasets import read_image

        if not paths:
            return []
        return self.classify(
            [read_image(path, self.preprocessing) for path in paths], list(map(str, paths)), top=top
        )

    def classify(
        self, images_CHW: Sequence[Tensor], names: Sequence[str], *, top: int = 0
    ) -> list[Prediction]:
        """The same of images that `datasets.read_image` read, one at least, called by `names`."""
        probabilities_NK = self.probabilities(torch.stack(list(images_CHW)))
        values, places = probabilities_NK.topk(min(max(1, top), len(self.classes)), dim=1)
        found = []
        for name, likely, at in zip(names, values.tolist(), places.tolist(), strict=True):
            listed = tuple((self.classes[place], share) for place, share in zip(at, likely, strict=True))
            found.append(Prediction(name, *listed[0], listed if top else ()))
        return found

    def predict_array(self, images_NHWC: NDArray[Any]) -> NDArray[np.float32]:
        """(N, K) float32 probabilities of images (N, H, W, C), see `prepare_array`. Raises ValueError: saying which shape and
        type is expected."""
        prepared = prepare_array(images_NHWC, self.preprocessing)
        return np.asarray(self.probabilities(prepared), np.float32)


def prepare_array(images_NHWC: NDArray[Any], preprocessing: Mapping[str, Any]) -> Tensor:
    """Images (N, H, W, C), all of one size, as the network takes them: converted as files are, resized, normalised, (N, C, H,
    W).

    They are uint8 levels, or with one channel more uint8 levels and opacity, laid on the model's background. A model that was
    trained on images of more than 8 bits also takes their samples, of any other type.

    Raises:
        ValueError: saying which shape and type is expected.
    """
    from PIL import Image

    from pcdarts_tune.core.images.augment import channel_constants, normalize_images, resize
    from pcdarts_tune.core.images.conversion import Conversion, image_size_of
    from pcdarts_tune.core.images.decode import to_tensor

    conversion, image_size = Conversion.from_dict(preprocessing), image_size_of(preprocessing)
    channels = conversion.channels
    images = np.asarray(images_NHWC)
    transparent = images.ndim == 4 and images.shape[-1] == channels + 1 and images.dtype == np.uint8
    deep = conversion.sample_range is not None and images.dtype.kind in "iuf" and images.dtype != np.uint8
    if images.ndim != 4 or not (images.shape[-1] == channels or transparent):
        raise ValueError(_expected(channels, conversion.sample_range, images))
    if images.dtype != np.uint8 and not deep:
        raise ValueError(_expected(channels, conversion.sample_range, images))
    if deep:
        images = conversion.scale(torch.from_numpy(images.astype(np.float64))).numpy()
    mode = preprocessing["resize"]
    if (images.shape[1:3] == image_size and mode == "fit" and not transparent) or not len(images):
        x_NCHW = torch.tensor(images[..., :channels]).permute(0, 3, 1, 2)
    else:
        # as files are resized, so that an image and its array are classified alike
        squeezed = images[..., 0] if images.shape[-1] == 1 else images
        pictures = [Image.fromarray(image, "LA" if image.shape[2:] == (2,) else None) for image in squeezed]
        x_NCHW = torch.stack(
            [to_tensor(resize(conversion.flatten(picture), image_size, mode)) for picture in pictures]
        )
    mean, std = (channel_constants(tuple(preprocessing[key]), "cpu") for key in ("mean", "std"))
    return normalize_images(x_NCHW, mean, std)


def _expected(channels: int, sample_range: tuple[float, float] | None, images: NDArray[Any]) -> str:
    more = (
        ""
        if sample_range is None
        else f", or samples of another type, {sample_range[0]:g}..{sample_range[1]:g}"
    )
    return f"images must be uint8 (N, H, W, {channels}), values 0..255{more}; got {images.dtype} {tuple(images.shape)}"


def save_model(
    folder: Path,
    network: EvaluationNetwork,
    genotype: AnyGenotype,
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
        contents: dict[str, Any] = {GENOTYPE: genotype.to_dict(), DESCRIPTION: description}
        for name, content in (contents | plugins.artifact_of(genotype.to_dict())).items():
            (part / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        part.chmod(0o755)  # mkdtemp's is for its owner alone
        old = part.with_name(f"{part.name}.old")
        if folder.exists():
            os.rename(folder, old)
        os.rename(part, folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def load_model(folder: Path, device: torch.device | str = "cpu", *, run_plugins: bool = False) -> LoadedModel:
    """Read a model folder, or the one file that `export` made of it; nothing in it is unpickled, and nothing executed but
    plug-ins that this process knows.

    Args:
        run_plugins: run the plug-in files that come with the model, whoever wrote them.

    Raises:
        UserError: saying which file is missing or does not fit the others, or which plug-in is lacking.
    """
    if folder.is_file():
        return read_file(folder, device, run_plugins=run_plugins)
    missing = [name for name in (WEIGHTS, GENOTYPE, DESCRIPTION) if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"{folder} is no model: {', '.join(missing)} missing",
            hint="give the folder that `pcdarts-tune retrain -o FOLDER` wrote, or the name of a registered model",
        )
    with _name_in_errors(folder):
        description, genotype = read_json(folder / DESCRIPTION), read_json(folder / GENOTYPE)
        named = read_json(folder / PLUGINS) if (folder / PLUGINS).is_file() else []
        plugins.declare(named, trusted=run_plugins, origin=str(folder / PLUGINS))
        return _build(load_file(folder / WEIGHTS), genotype, description, device, named)


def read_file(path: Path, device: torch.device | str = "cpu", *, run_plugins: bool = False) -> LoadedModel:
    """The model of an exported safetensors file, see `load_model`. Raises UserError when it is none."""
    with _name_in_errors(path):
        with safetensors.safe_open(path, "pt") as file:
            kept = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        named = json.loads(kept.get(PLUGINS, "[]"))
        plugins.declare(named, trusted=run_plugins, origin=str(path))
        return _build(weights, json.loads(kept[GENOTYPE]), json.loads(kept[DESCRIPTION]), device, named)


def _build(
    weights: dict[str, Tensor],
    genotype: Any,
    description: Any,
    device: torch.device | str,
    named: Sequence[dict[str, Any]],
) -> LoadedModel:
    written = description.get("format") if isinstance(description, dict) else None
    if isinstance(written, int) and written > FORMAT:
        raise UserError("it was written by a newer pcdarts-tune", hint="upgrade pcdarts-tune")
    try:
        Description.model_validate(description)
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(["model.json", *map(str, wrong["loc"])])
        raise ValueError(f"{place[:200]}: {wrong['msg']}") from None
    cells = read_genotype(genotype)
    with torch.device("meta"):  # a description that does not fit the weights must not fill the memory
        check_weights(weights, EvaluationNetwork(cells, **description["network"]))
    network = EvaluationNetwork(cells, **description["network"])
    network.load_state_dict(weights)
    classes, preprocessing = tuple(description["classes"]), dict(description["preprocessing"])
    network = network.to(device).eval()
    return LoadedModel(network, cells, classes, preprocessing, description, tuple(named))


def check_weights(tensors: Mapping[str, Tensor], network: nn.Module) -> None:
    """Refuse weights that are not the network's.

    Args:
        network: built on the meta device, where it takes no memory.

    Raises:
        ValueError: naming the first tensor that lacks, is one too many, or has another shape.
    """
    wanted = network.state_dict()
    lacking, extra = [name for name in wanted if name not in tensors], [n for n in tensors if n not in wanted]
    if lacking or extra:
        what = f"{lacking[0]} lacks" if lacking else f"{extra[0][:80]} is none of this network's"
        raise ValueError(f"the weights are of another network: {what}")
    for name, tensor in wanted.items():
        if tensors[name].shape != tensor.shape or tensors[name].dtype != tensor.dtype:
            found = f"{tensors[name].dtype} {tuple(tensors[name].shape)}"
            raise ValueError(f"{name} must be {tensor.dtype} {tuple(tensor.shape)}; it is {found}")


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
            f"{path} cannot be read as a model: {type(error).__name__}: {reason}", hint=_advice(error, reason)
        ) from error


def _advice(error: BaseException, reason: str) -> str:
    if isinstance(error, OSError | MemoryError):
        return LOOK_AT_THE_DISK
    if plugins.LACKS in reason:
        return (
            "--plugin FILE.py where it comes from a file (read it first: it runs as your own code), or install the "
            "package; the model is sound"
        )
    if "unknown operation" in reason:
        return "install the package that registers the operation, or call register_operation before; the model is sound"
    return "copy it anew from where it was made, or make it again: pcdarts-tune retrain"
