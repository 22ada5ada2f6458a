"""Model folders and MLflow models: what is saved comes back, whole, without pickle, from the registry too."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image
from support.encode import png16

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.datasets import read_image
from pcdarts_tune.errors import UserError
from pcdarts_tune.models.model import load_model, prepare_array, save_model
from pcdarts_tune.tracking.registry import ModelName, create_version, fetch_model, log_model, version_of_alias

GENOTYPE = PUBLISHED["PC_DARTS_cifar"]
SIZES: dict[str, Any] = {
    "channels": 4, "layers": 3, "num_classes": 3, "stem": "cifar", "auxiliary": False, "in_channels": 3
}  # fmt: skip
CLASSES = ("ant", "bee", "cat")
PREPROCESSING: dict[str, Any] = {
    "image_size": 16, "channels": 3, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "resize": "fit"
}  # fmt: skip


ODD = "a%20b?c=1&d#e'f {g}"
"""A folder whose name holds what addresses give a meaning."""


@pytest.fixture(scope="module")
def network() -> EvaluationNetwork:
    torch.manual_seed(0)
    network = EvaluationNetwork(GENOTYPE, **SIZES)
    network(torch.randn(8, 3, 16, 16))  # running statistics that are not the initial ones
    return network.eval()


@pytest.fixture
def folder(tmp_path: Path, network: EvaluationNetwork) -> Path:
    return save_model(
        tmp_path / ODD / "model", network, GENOTYPE, SIZES, CLASSES, PREPROCESSING, origin={"sweep": "first"}
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One for all: a new database takes seconds. Each test registers under a name of its own."""
    from pcdarts_tune.tracking.store import MlflowStore

    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder}/mlflow.db"
    MlflowStore(uri, folder / "artifacts").experiment("models")
    return uri


def images(count: int, height: int = 16, width: int = 16) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_saved_network_comes_back(folder: Path, network: EvaluationNetwork) -> None:
    model = load_model(folder)
    assert model.genotype == GENOTYPE
    assert model.classes == CLASSES
    assert model.description["origin"] == {"sweep": "first"}
    assert not model.network.training
    x = torch.randn(5, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(model.network(x)[0], network(x)[0])


def test_folder_holds_three_files_anyone_can_read(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "genotype.json", "model.json"}
    assert json.loads((folder / "genotype.json").read_text()) == GENOTYPE.to_dict()


def test_a_model_with_an_operation_that_this_process_lacks_is_sound(folder: Path) -> None:
    cells = GENOTYPE.to_dict()
    cells["normal"][0] = ["mine", 0]
    (folder / "genotype.json").write_text(json.dumps(cells))
    with pytest.raises(UserError, match="unknown operation 'mine'") as raised:
        load_model(folder)
    assert "the model is sound" in str(raised.value.hint)


def test_saving_again_replaces_the_model_and_leaves_nothing_beside_it(folder: Path) -> None:
    torch.manual_seed(1)
    other = EvaluationNetwork(GENOTYPE, **SIZES)
    save_model(folder, other, GENOTYPE, SIZES, CLASSES, PREPROCESSING)
    assert load_model(folder).description["origin"] == {}
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_save_that_fails_leaves_the_old_model(folder: Path, network: EvaluationNetwork) -> None:
    before = (folder / "model.json").read_text()
    with pytest.raises(TypeError):
        save_model(folder, network, GENOTYPE, SIZES, CLASSES, {"image_size": object()})
    assert (folder / "model.json").read_text() == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.json", None, "model.json missing"),
        ("model.safetensors", None, "model.safetensors missing"),
        ("model.json", "{", "cannot be read as JSON"),
        ("model.json", '{"format": 99}', "newer pcdarts-tune"),
        ("genotype.json", "{}", "a genotype has the fields"),
        ("model.safetensors", "not tensors", "cannot be read as a model"),
        ("genotype.json", json.dumps(PUBLISHED["DARTS_V2"].to_dict()), "cannot be read as a model"),
    ],
)
def test_broken_folder_is_refused_with_the_reason(
    folder: Path, file: str, content: str | None, said: str
) -> None:
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(UserError, match=said):
        load_model(folder)


def test_file_and_array_of_one_image_get_equal_probabilities(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    for height, width in ((16, 16), (40, 25)):
        array = images(1, height, width)
        path = tmp_path / "image.png"
        Image.fromarray(array[0]).save(path)
        (prediction,) = model.predict([path])
        probabilities = model.predict_array(array)
        assert probabilities.shape == (1, 3)
        assert probabilities.dtype == np.float32
        assert probabilities.sum() == pytest.approx(1.0)
        assert prediction.class_name == CLASSES[int(probabilities.argmax())]
        assert prediction.probability == pytest.approx(float(probabilities.max()), abs=1e-7)


def test_probabilities_do_not_depend_on_the_batch(folder: Path) -> None:
    model = load_model(folder)
    x = prepare_array(images(7), PREPROCESSING)
    torch.testing.assert_close(model.probabilities(x, batch_size=3), model.probabilities(x))


@pytest.mark.parametrize(
    "wrong",
    [images(1).astype(np.float32), images(1)[0], images(1)[..., :1], np.zeros((1, 3, 16, 16), np.uint8)],
)
def test_array_of_another_kind_is_refused(wrong: np.ndarray[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"uint8 \(N, H, W, 3\)"):
        prepare_array(wrong, PREPROCESSING)


def registered(folder: Path, store: str, name: str) -> tuple[str, mlflow.MlflowClient]:
    client = mlflow.MlflowClient(store, store)
    (experiment,) = [e for e in client.search_experiments() if e.name == "models"]
    run_id = client.create_run(experiment.experiment_id).info.run_id
    uri, model_id = log_model(folder, run_id=run_id, tracking_uri=store)
    version = create_version(client, name, uri, model_id, run_id, {"pcdarts.validation_accuracy": "0.5"})
    client.set_registered_model_alias(name, "champion", version.version)
    return run_id, client


def test_a_logged_model_takes_no_lock_file_of_the_current_folder(
    folder: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.lock").write_text('version = 1\nrequires-python = ">=3.11"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "1"\n')
    monkeypatch.chdir(tmp_path)
    registered(folder, store, "locked")
    logged = fetch_model("locked", tracking_uri=store).parents[1]
    assert (logged / "MLmodel").is_file()
    assert not {"uv.lock", "pyproject.toml"} & {path.name for path in logged.iterdir()}


# an environment without pcdarts-tune, but for the copy that comes with a model
HIDING = """
import importlib.machinery, sys
class OnlyInTheModel:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "pcdarts_tune":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [p for p in sys.path if p.endswith("code")])
        if spec is None:
            raise ModuleNotFoundError(name)
        return spec
"""
THREE_LINES = """
import numpy as np
images = np.load(sys.argv[1])

import mlflow
model = mlflow.pyfunc.load_model("models:/insects@champion")
probabilities = model.predict(images)

np.save(sys.argv[3], probabilities)
import pcdarts_tune
print(pcdarts_tune.__file__)
"""


def test_registered_model_answers_by_alias_in_three_lines(folder: Path, store: str) -> None:
    """In a process of its own, where MLflow may unpickle nothing; also where the code is only in the model."""
    registered(folder, store, "insects")
    array = images(4, 20, 20)
    np.save(folder.parent / "images.npy", array)
    code = f"{HIDING}\nif sys.argv[2] == 'hidden': sys.meta_path.insert(0, OnlyInTheModel)\n{THREE_LINES}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    expected = load_model(folder).predict_array(array)
    for mode in ("installed", "hidden"):
        result = folder.parent / f"{mode}.npy"
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder.parent / "images.npy"), mode, str(result)],
            capture_output=True, text=True, env=environment, cwd=folder.parent, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        np.testing.assert_allclose(np.load(result), expected, atol=1e-6)
        assert ("artifacts" in done.stdout) == (mode == "hidden")


def test_signature_requirements_and_no_pickle(folder: Path, store: str) -> None:
    run_id, client = registered(folder, store, "signed")
    path = fetch_model("signed", tracking_uri=store).parents[1]
    assert not [file for file in path.rglob("*") if file.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    model = mlflow.models.Model.load(str(path))
    (inputs,) = model.signature.inputs.inputs
    assert inputs.type == np.dtype("uint8")
    assert inputs.shape == (-1, -1, -1, 3)
    (outputs,) = model.signature.outputs.inputs
    assert outputs.type == np.dtype("float32")
    assert outputs.shape == (-1, 3)
    assert model.metadata is not None
    assert model.metadata["classes"] == list(CLASSES)
    assert model.run_id == run_id
    requirements = (path / "requirements.txt").read_text()
    assert f"torch=={torch.__version__.partition('+')[0]}" in requirements
    assert client.get_run(run_id).info.status == "FINISHED"


GLYPHS = PREPROCESSING | {"background": [255, 255, 255], "sample_range": None, "transparent": True}
DEEP = PREPROCESSING | {"background": [255, 255, 255], "sample_range": [0.0, 4095.0], "transparent": False}


def test_transparent_arrays_are_laid_on_the_background_as_files_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 16, 4), dtype=np.uint8)
    prepared = prepare_array(pixels, GLYPHS)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "x.png")
        assert torch.equal(prepared[number], read_image(tmp_path / "x.png", GLYPHS))
    glyph = np.zeros((1, 16, 16, 4), np.uint8)
    assert torch.equal(
        prepare_array(glyph, GLYPHS), prepare_array(np.full((1, 16, 16, 3), 255, np.uint8), GLYPHS)
    )


def test_samples_of_16_bits_are_scaled_as_files_are(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(0, 4096, (3, 16, 16, 3))
    for kind in (np.uint16, np.int32, np.float32, np.float64):
        prepared = prepare_array(samples.astype(kind), DEEP)
        for number, image in enumerate(samples):
            (tmp_path / "x.png").write_bytes(png16(image))
            assert torch.equal(prepared[number], read_image(tmp_path / "x.png", DEEP))
    with pytest.raises(ValueError, match="or samples of another type, 0..4095"):
        prepare_array(samples[..., :2], DEEP)
    with pytest.raises(ValueError, match="images must be uint8"):
        prepare_array(samples, PREPROCESSING)
    with pytest.raises(UserError, match="more than 8 bits"):
        read_image(tmp_path / "x.png", GLYPHS)


@pytest.mark.parametrize("preprocessing", [GLYPHS, DEEP])
def test_a_served_model_converts_as_files_are_converted(
    tmp_path: Path, network: EvaluationNetwork, store: str, preprocessing: dict[str, Any]
) -> None:
    folder = save_model(tmp_path / "model", network, GENOTYPE, SIZES, CLASSES, preprocessing)
    name = "glyphs" if preprocessing is GLYPHS else "deep"
    registered(folder, store, name)
    random = np.random.default_rng(0)
    if preprocessing is GLYPHS:
        array = random.integers(0, 256, (2, 16, 16, 4), dtype=np.uint8)
        files = [png(image) for image in array]
    else:
        array = random.integers(0, 4096, (2, 16, 16, 3)).astype(np.float32)
        files = [png16(image) for image in array]
    logged = fetch_model(name, tracking_uri=store).parents[1]
    served = mlflow.pyfunc.load_model(str(logged)).predict(array)
    paths = [tmp_path / f"{number}.png" for number in range(2)]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    answers = load_model(folder).predict(paths)
    assert [CLASSES[at] for at in served.argmax(axis=1)] == [answer.class_name for answer in answers]
    assert np.allclose(served.max(axis=1), [answer.probability for answer in answers], atol=1e-6)


def png(image: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def test_fetched_model_is_the_saved_one(folder: Path, store: str) -> None:
    registered(folder, store, "fetched")
    for name in ("fetched", "fetched@champion", "fetched/1", "models:/fetched@champion"):
        fetched = load_model(fetch_model(name, tracking_uri=store))
        assert fetched.description == load_model(folder).description


def test_registering_again_counts_versions(folder: Path, store: str) -> None:
    registered(folder, store, "twice")
    _, client = registered(folder, store, "twice")
    champion = version_of_alias(client, "twice")
    assert champion is not None
    assert int(champion.version) == 2
    assert version_of_alias(client, "twice", "challenger") is None
    assert version_of_alias(client, "nobody") is None


@pytest.fixture(scope="module")
def beetles(network: EvaluationNetwork, store: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("beetles") / "model"
    registered(save_model(place, network, GENOTYPE, SIZES, CLASSES, PREPROCESSING), store, "beetles")


@pytest.mark.usefixtures("beetles")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("beetle", "did you mean 'beetles'"),
        ("beetles@champoin", "did you mean 'champion'"),
        ("beetles/7", "no version 7; versions: 1"),
        ("a/b/c", "names no model"),
    ],
)
def test_unknown_models_name_the_nearest(store: str, name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        fetch_model(name, tracking_uri=store)


def test_model_names() -> None:
    assert ModelName.parse("first") == ModelName("first", "champion", None)
    assert ModelName.parse("first@old").alias == "old"
    assert ModelName.parse("first/12").version == 12
