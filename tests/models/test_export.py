"""Exported files answer as the model does, on real images, and onnxruntime needs no torch for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pcdarts_tune.cli.group import run
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.models.export import FORMATS, export_model
from pcdarts_tune.models.model import LoadedModel, load_model, save_model

CLASSES = tuple(str(digit) for digit in range(10))
SIZES: dict[str, Any] = {
    "channels": 4, "layers": 3, "num_classes": 10, "stem": "cifar", "auxiliary": True, "in_channels": 1
}  # fmt: skip
PREPROCESSING: dict[str, Any] = {
    "image_size": 8, "channels": 1, "mean": [0.305], "std": [0.376], "resize": "fit"
}  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> np.ndarray[Any, Any]:
    """1,000 real images, uint8 (N, 8, 8, 1)."""
    from sklearn.datasets import load_digits

    return np.round(load_digits().images[:1000, :, :, None] / 16 * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: np.ndarray[Any, Any]) -> Path:
    torch.manual_seed(0)
    genotype = PUBLISHED["PC_DARTS_cifar"]
    network = EvaluationNetwork(genotype, **SIZES)
    for _ in range(3):  # running statistics that are not the initial ones
        network(torch.from_numpy(digits[:256]).permute(0, 3, 1, 2) / 255)
    place = tmp_path_factory.mktemp("models") / "model"
    return save_model(place, network.eval(), genotype, SIZES, CLASSES, PREPROCESSING, origin={"seed": 3})


@pytest.fixture(scope="module")
def model(folder: Path) -> LoadedModel:
    return load_model(folder)


def agrees(probabilities: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    np.testing.assert_allclose(probabilities, expected, atol=1e-4)
    assert (probabilities.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("form", FORMATS)
def test_samples_of_more_than_8_bits_are_scaled_in_the_graph(tmp_path: Path, form: str) -> None:
    torch.manual_seed(0)
    genotype = PUBLISHED["PC_DARTS_cifar"]
    network = EvaluationNetwork(genotype, **SIZES)
    network(torch.randn(64, 1, 8, 8))
    how = PREPROCESSING | {"background": [255, 255, 255], "sample_range": [-100.0, 4000.0]}
    deep = load_model(save_model(tmp_path / "model", network.eval(), genotype, SIZES, CLASSES, how))
    export_model(deep, tmp_path / f"deep.{form}", form)
    samples = np.random.default_rng(0).uniform(-300, 5000, (5, 8, 8, 1)).astype(np.float32)
    expected = deep.predict_array(samples)
    if form == "safetensors":
        found = load_model(tmp_path / f"deep.{form}").predict_array(samples)
    elif form == "pt2":
        found = (
            torch.export.load(tmp_path / f"deep.{form}")
            .module()(torch.from_numpy(samples))[1]
            .detach()
            .numpy()
        )
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(tmp_path / f"deep.{form}", providers=["CPUExecutionProvider"])
        found = session.run(["probabilities"], {"images": samples})[0]
    agrees(found, expected)


def test_safetensors_hold_the_whole_model(tmp_path: Path, model: LoadedModel, digits: Any) -> None:
    export_model(model, tmp_path / "one.safetensors", "safetensors")
    back = load_model(tmp_path / "one.safetensors")
    assert (back.genotype, back.classes, back.preprocessing) == (
        model.genotype,
        model.classes,
        model.preprocessing,
    )
    assert back.description["origin"] == {"seed": 3}
    agrees(back.predict_array(digits), model.predict_array(digits))


def test_pt2_is_a_program_with_any_number_of_images(tmp_path: Path, model: LoadedModel, digits: Any) -> None:
    assert export_model(model, tmp_path / "one.pt2", "pt2") <= 1e-4
    extra = {"model.json": "", "genotype.json": ""}
    program = torch.export.load(tmp_path / "one.pt2", extra_files=extra).module()
    assert json.loads(extra["model.json"])["classes"] == list(CLASSES)
    for count in (1, 1000):
        images = digits[:count]
        agrees(program(torch.from_numpy(images))[1].detach().numpy(), model.predict_array(images))


ALONE = """
import sys
sys.modules["torch"] = None    # an import of torch raises
import json, numpy as np, onnxruntime
session = onnxruntime.InferenceSession("one.onnx", providers=["CPUExecutionProvider"])
images = np.load("images.npy")
logits, probabilities = session.run(None, {"images": images})
one = session.run(None, {"images": images[:1]})[1]
assert abs(one - probabilities[:1]).max() < 1e-5
np.save("probabilities.npy", probabilities)
print(json.dumps(json.loads(session.get_modelmeta().custom_metadata_map["model.json"])["classes"]))
"""


def test_onnx_runs_with_onnxruntime_alone(tmp_path: Path, model: LoadedModel, digits: Any) -> None:
    assert export_model(model, tmp_path / "one.onnx", "onnx") <= 1e-4
    np.save(tmp_path / "images.npy", digits)
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == list(CLASSES)
    agrees(np.load(tmp_path / "probabilities.npy"), model.predict_array(digits))


def test_what_differs_is_not_kept(
    tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pcdarts_tune.models.export.TOLERANCE", -1.0)
    with pytest.raises(WorkFailed, match="answers otherwise"):
        export_model(model, tmp_path / "one.pt2", "pt2")
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_is_not(tmp_path: Path, model: LoadedModel) -> None:
    with pytest.raises(UserError, match="no format 'tflite'"):
        export_model(model, tmp_path / "one.tflite", "tflite")


def test_a_safetensors_file_of_something_else(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="cannot be read as a model"):
        load_model(tmp_path / "other.safetensors")


def test_the_command(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["export", str(folder), "-o", "one.safetensors", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (
        said["format"] == "safetensors"
        and said["largest_difference"] == 0
        and said["classes"] == list(CLASSES)
    )
    assert run(["export", "one.safetensors", "-o", "two.tensors"]) == 2
    error = capsys.readouterr().err
    assert "names no format" in error and all(f".{form}" in error for form in FORMATS)
