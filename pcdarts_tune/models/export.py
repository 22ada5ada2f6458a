"""A trained model as one file that others' programs read: safetensors, torch.export (pt2) or ONNX.

    export_model(load_model(Path("my-model")), Path("my-model.onnx"), "onnx")

    safetensors   weights; genotype and model.json (classes, preprocessing, origin) in its metadata, as JSON
    pt2           a program for torch.export.load; the same JSON in its extra files
    onnx          a graph for onnxruntime; the same JSON in its metadata

pt2 and ONNX take `images`, uint8 (N, H, W, C) of the model's image size with any N, as they come from a file, and give
`logits` and `probabilities`, float32 (N, K): normalising is part of the graph, so preprocessing travels with the model. A
model that was trained on images of more than 8 bits takes their samples as float32, and scaling is part of the graph too.
Each file is read back and compared with the model before it gets its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from pcdarts_tune.core.images.conversion import image_size_of
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.files import replace_when_written
from pcdarts_tune.models.model import PLUGINS, LoadedModel, read_file

FORMATS = ("safetensors", "pt2", "onnx")
TOLERANCE = 1e-4
"""By which the logits of an exported file may differ from the model's."""

Answer = Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]


class WithPreprocessing(nn.Module):
    """The network behind its own preprocessing: uint8 (N, H, W, C), or float32 samples of more than 8 bits, to logits and
    probabilities (N, K)."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: LoadedModel) -> None:
        super().__init__()
        self.network = model.network
        self.sample_range = model.preprocessing.get("sample_range")
        for name in ("mean", "std"):
            values = torch.tensor(model.preprocessing[name], dtype=torch.float32)
            self.register_buffer(name, values.view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.permute(0, 3, 1, 2).to(torch.float32)
        if self.sample_range is not None:  # as `core.images.conversion` has it
            low, high = self.sample_range
            x = ((x - low) * (255 / (high - low))).round().clamp(0, 255)
        x = (x / 255 - self.mean) / self.std
        logits, _ = self.network(x)
        return logits, logits.softmax(dim=1)


def export_model(model: LoadedModel, path: Path, form: str) -> float:
    """Write the model as one file.

    Returns:
        The largest difference of a logit between the file's and the model's, over random images.

    Raises:
        UserError: an unknown format, or a package that it needs is missing.
        WorkFailed: what was written does not answer as the model does; nothing is left then.
    """
    writers = {"safetensors": _safetensors, "pt2": _pt2, "onnx": _onnx}
    if form not in writers:
        raise UserError(f"no format {form!r}", hint=f"one of {', '.join(FORMATS)}")
    network = WithPreprocessing(model).cpu().eval()
    with replace_when_written(path, f".{form}") as part:  # the writers insist on the suffix
        answer = writers[form](model, network, part)
        return _compare(network, answer, _try_images(model), path)


def image_shape(model: LoadedModel) -> tuple[int, int, int]:
    """(H, W, C) of the images that the exported graph takes."""
    return *image_size_of(model.preprocessing), int(model.preprocessing["channels"])


def metadata(model: LoadedModel) -> dict[str, str]:
    """What travels in the file beside the weights."""
    kept: dict[str, Any] = {"genotype.json": model.genotype.to_dict(), "model.json": model.description}
    if model.plugins:
        kept[PLUGINS] = model.plugins
    return {name: json.dumps(value) for name, value in kept.items()}


def _safetensors(model: LoadedModel, network: WithPreprocessing, path: Path) -> Answer:
    tensors = {name: value.detach().contiguous() for name, value in network.network.state_dict().items()}
    save_file(tensors, path, metadata=metadata(model))
    return _torch_answer(WithPreprocessing(read_file(path)).eval())


def _pt2(model: LoadedModel, network: WithPreprocessing, path: Path) -> Answer:
    program = torch.export.export(network, (_example(model),), dynamic_shapes=_dynamic())
    torch.export.save(program, path, extra_files=metadata(model))
    return _torch_answer(torch.export.load(path).module())


def _onnx(model: LoadedModel, network: WithPreprocessing, path: Path) -> Answer:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"exporting to ONNX needs the package {error.name}",
            hint="uv sync --extra onnx in the checkout; elsewhere pip install 'pcdarts-tune[onnx]'",
        ) from error
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["logits", "probabilities"]}
    program = torch.onnx.export(
        network, (_example(model),), dynamo=True, dynamic_shapes=_dynamic(), verbose=False, **names
    )
    assert program is not None
    graph = program.model_proto
    onnx.helper.set_model_props(graph, metadata(model))
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    return lambda images: session.run(None, {"images": images})


def _dynamic() -> dict[str, Any]:
    return {"images": {0: torch.export.Dim("batch", min=1)}}


def _example(model: LoadedModel) -> Tensor:
    deep = model.preprocessing.get("sample_range") is not None
    # a batch of one would become a constant
    return torch.zeros(2, *image_shape(model), dtype=torch.float32 if deep else torch.uint8)


def _try_images(model: LoadedModel) -> NDArray[Any]:
    """Random images of the kind that the exported graph takes."""
    shape, random = (5, *image_shape(model)), np.random.default_rng(0)
    if (interval := model.preprocessing.get("sample_range")) is not None:
        low, high = interval
        samples: NDArray[Any] = random.uniform(float(low), float(high), shape).astype(np.float32)
        return samples
    return random.integers(0, 256, shape, dtype=np.uint8)


def _torch_answer(network: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Answer:
    def answer(images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        with torch.no_grad():
            logits, probabilities = network(torch.from_numpy(images))
        return logits.numpy(), probabilities.numpy()

    return answer


def _compare(network: WithPreprocessing, answer: Answer, images: NDArray[Any], path: Path) -> float:
    """The largest difference of a logit over some images."""
    expected = _torch_answer(network)(images)[0]
    logits, probabilities = answer(images)
    difference = float(np.abs(logits - expected).max())
    same = bool((logits.argmax(axis=1) == expected.argmax(axis=1)).all())
    whole = bool(np.abs(probabilities.sum(axis=1) - 1).max() < TOLERANCE)
    # random images can tie; what differs by less than the tolerance is a tie
    if not difference <= TOLERANCE or not whole or (not same and difference > TOLERANCE / 10):
        raise WorkFailed(
            f"{path.name}: what was exported answers otherwise than the model (logits differ by {difference:.2g})",
            hint="please report this with the model's genotype and the versions that `pcdarts-tune doctor` prints",
        )
    return difference
