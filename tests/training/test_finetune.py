"""`finetune`: a model of the digits goes on with three new classes, through the command, MLflow and the core."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import HEADS, EvaluationNetwork
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.models.model import load_model
from pcdarts_tune.training.finetuning import Initial

SMALL = ("channels=4", "layers=3", "epochs=2")
BASE = [part for setting in SMALL for part in ("--set", f"retrain.{setting}")]


def run(home: Path, *arguments: str) -> int:
    device = () if arguments[0] == "show" else ("--device", "cpu")
    return cli.run([*arguments, "--home", str(home), *device])


def shapes(folder: Path, *, mode: str = "L") -> Path:
    """Bars that lie, stand or fill, 12x12, noisy: 3 classes of 20 images."""
    generator = np.random.default_rng(0)
    for name, part in (("lying", np.s_[4:8, :]), ("standing", np.s_[:, 4:8]), ("whole", np.s_[:, :])):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 60, (12, 12), dtype=np.uint8)
            pixels[part] += np.uint8(150)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finetune") / "home"


@pytest.fixture(scope="module")
def base(home: Path) -> Path:
    """A retraining of the digits, registered as `digits`."""
    folder = home.parent / "base"
    words = ["retrain", "PC_DARTS_cifar", "--space", "quickstart", *BASE, "-o", str(folder)]
    assert run(home, *words, "--register", "digits", "-q") == 0
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shapes(tmp_path_factory.mktemp("shapes") / "shapes")


def tune(home: Path, model: str | Path, images: Path, folder: Path, *more: str) -> int:
    settings = ("--space", "quickstart", "--set", "retrain.epochs=3", "--set", "retrain.learning_rate=0.05")
    batch = ("--set", "retrain.batch_size=8")
    return run(
        home, "finetune", str(model), "--data", str(images), *settings, *batch, "-o", str(folder), *more
    )


def test_a_registered_model_learns_other_classes(
    home: Path, base: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--register", "shapes", "--json")
    assert tune(home, "digits@champion", images, tmp_path / "new", *words) == 0
    captured = capsys.readouterr()
    done = json.loads(captured.out)
    assert (done["model"], done["version"], done["champion"]) == ("shapes", 1, True)
    assert tune(home, "digits@champion", images, tmp_path / "new", *words) == 0
    assert json.loads(capsys.readouterr().out) == done, "done and registered once"
    # the same recipe that came out with other weights is another version
    uri = default_tracking_uri(home)
    mlflow.MlflowClient(uri, uri).set_model_version_tag("shapes", "1", "pcdarts.weights", "others")
    assert tune(home, "digits@champion", images, tmp_path / "new", *words) == 0
    assert json.loads(capsys.readouterr().out) == {**done, "version": 2}
    assert "10 classes before, 3 now, 8x8 images; 3 epochs from learning rate 0.05" in captured.err
    assert done["test_accuracy"] >= 0.7, "a third is chance"
    assert done["finetuned_from"]["model"] == "digits/1"
    model, before = load_model(tmp_path / "new"), load_model(base)
    assert model.classes == ("lying", "standing", "whole")
    assert model.genotype == before.genotype
    assert model.preprocessing["image_size"] == 8, "brought to the size that the model takes"
    assert model.preprocessing["mean"] != before.preprocessing["mean"], "normalised as the new images are"
    assert run(home, "predict", "shapes", str(images / "lying" / "0.png"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["class"] in model.classes

    base_run = before.description["origin"]["result"]["run_id"]
    tags = mlflow.MlflowClient(uri, uri).get_run(done["run_id"]).data.tags
    assert tags["pcdarts.kind"] == "finetuning"
    assert (tags["pcdarts.base_model"], tags["pcdarts.base_run"]) == ("digits/1", base_run)
    assert tags["mlflow.note.content"].startswith("Fine-tuning, 3 epochs")
    assert run(home, "show", done["run_id"], "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    links = [(link["kind"], link["run_id"] or link["name"]) for link in shown["came_from"]]
    assert links == [("retraining", base_run), ("genotype", "PC_DARTS_cifar")]
    assert shown["about"]["fine-tuned from"] == "digits/1"
    cost = model.description["origin"]["cost"]
    assert 0 < cost["latency_ms"]["lower"] <= cost["latency_ms"]["median"] <= cost["latency_ms"]["upper"]
    assert shown["results"]["cost/latency_ms"] == cost["latency_ms"]["median"]
    assert shown["results"]["cost/params"] == cost["params"] > 1000
    assert re.match(r"[\d.]+ ms, quartiles .*, n \d+, batch 1, cpu, \d thread", shown["about"]["latency"])
    assert run(home, "show", "digits", "--json") == 0
    became = json.loads(capsys.readouterr().out)["became"]
    assert [(link["kind"], link["run_id"]) for link in became] == [("finetuning", done["run_id"])]
    assert run(home, "show", "shapes", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert ("finetuning", done["run_id"]) in [(link["kind"], link["run_id"]) for link in shown["came_from"]]

    assert run(home, "reproduce", done["run_id"], "--data", str(images), "--json") == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["equal"] and verdict["weights_equal"], verdict["verdict"]


def test_a_worse_model_is_registered_and_is_not_champion(
    home: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["retrain", "PC_DARTS_cifar", "--space", "quickstart", *BASE, "--register", "digits", "--json"]
    worse = ["--set", "retrain.learning_rate=1e-6"]
    assert run(home, *words, *worse, "-o", str(tmp_path / "worse")) == 0
    captured = capsys.readouterr()
    assert (json.loads(captured.out)["version"], json.loads(captured.out)["champion"]) == (2, False)
    assert "digits keeps its champion" in captured.err and "rollback digits --to 2" in captured.err


def test_the_base_travels_without_its_folder(base: Path, home: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    initial, _ = Initial.read(tmp_path / "base", str(tmp_path / "base"), freeze=True)
    travelling = pickle.loads(pickle.dumps(initial.to_travel()))
    shutil.rmtree(tmp_path / "base")
    network = small(in_channels=1)
    travelling.load_into(network)
    wanted = load_model(base).network.state_dict()
    assert all(
        torch.equal(value, wanted[name])
        for name, value in network.state_dict().items()
        if not name.startswith(HEADS)
    )
    assert travelling.identity() == initial.identity() and travelling == initial


def test_interrupted_it_goes_on_bit_for_bit(
    home: Path, base: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from pcdarts_tune import say as progress

    update = progress.Progress.update

    def interrupt(self: progress.Progress, done: int, note: str = "") -> None:
        update(self, done, note)
        if note and done == 2:
            raise KeyboardInterrupt

    more = ("--no-track", "--set", "retrain.auxiliary=true")
    assert tune(home, base, images, tmp_path / "whole", *more) == 0
    with monkeypatch.context() as patched:
        patched.setattr(progress.Progress, "update", interrupt)
        assert tune(home, base, images, tmp_path / "parts", *more) == 130
    assert (tmp_path / "parts.checkpoint").is_file() and not (tmp_path / "parts").exists()
    # with another base it does not go on
    assert tune(home, tmp_path / "whole", images, tmp_path / "parts", *more) == 2
    assert "left by another recipe" in capsys.readouterr().err
    assert tune(home, base, images, tmp_path / "parts", *more) == 0
    one, two = (load_model(tmp_path / name).network.state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_frozen_only_the_classifier_changes(home: Path, base: Path, images: Path, tmp_path: Path) -> None:
    assert tune(home, base, images, tmp_path / "frozen", "--freeze", "--no-track", "-q") == 0
    old, new = (load_model(folder).network.state_dict() for folder in (base, tmp_path / "frozen"))
    assert all(torch.equal(old[name], value) for name, value in new.items() if not name.startswith(HEADS))
    assert new["classifier.weight"].shape[0] == 3


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "retrain.layers=5"], "retrain.layers=5: the model's is 3"),
        (["--data", "COLOUR"], "images of 3 channels; the model takes 1"),
        (["--set", "retrain.epochs=0"], "retrain.epochs"),
        (["--workers", "3"], "--set retrain.batch_size=9"),
        (["--register", "a/b"], "a model's name has none of"),
        (["--register", "other", "--no-track"], "leave --no-track out"),
    ],
)
def test_what_does_not_fit_is_refused(
    home: Path, base: Path, images: Path, tmp_path: Path, more: list[str], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if "COLOUR" in more:
        more = ["--data", str(shapes(tmp_path / "colour", mode="RGB"))]
    assert tune(home, base, images, tmp_path / "new", *more) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def small(**changes: Any) -> EvaluationNetwork:
    sizes = {"channels": 4, "layers": 3, "num_classes": 3, "auxiliary": False} | changes
    return EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], **sizes)


def test_features_are_taken_over_and_classifiers_are_not() -> None:
    source, target = small(num_classes=7, auxiliary=True), small(auxiliary=True)
    heads = {name: value.clone() for name, value in target.state_dict().items() if name.startswith(HEADS)}
    target.load_features(source.state_dict())
    for name, value in target.state_dict().items():
        assert torch.equal(value, heads[name] if name in heads else source.state_dict()[name]), name
    small(auxiliary=True).load_features(small().state_dict())
    for other in (small(channels=8), small(layers=4)):
        with pytest.raises(ValueError, match="of another network: .* does not fit"):
            target.load_features(other.state_dict())
