"""`retrain` and `finetune` without --space: the recipe and the images of what they begin with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.made_sweeps import FOUND, SMALL, make_sweep
from test_finetune import shapes

from pcdarts_tune.api.inheriting import finetuning_base, retraining_space
from pcdarts_tune.cli import run
from pcdarts_tune.home import Where
from pcdarts_tune.lineage.inherited import inherit
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.find import Finder
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.training.finetuning import SHARE

CPU = ("--device", "cpu")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inherited") / "home"
    make_sweep(folder, "first", FOUND, (*SMALL, "data.test_fraction=0.7", "retrain.learning_rate=0.04"))
    return folder


@pytest.fixture(scope="module")
def model(home: Path) -> Path:
    """Trial 1 of the sweep, trained without a word on how, and registered as `again`."""
    folder = home.parent / "model"
    words = ["retrain", "first:1", "-o", str(folder), "--register", "again", "--home", str(home), *CPU, "-q"]
    assert run(words) == 0
    return folder


def test_a_trial_is_retrained_as_its_sweep_says(
    home: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = json.loads((model / "model.json").read_text(encoding="utf-8"))["origin"]
    assert (origin["space"], origin["data"]["name"], origin["result"]["epochs"]) == (
        "quickstart",
        "digits",
        2,
    )
    assert origin["settings"]["retrain"]["learning_rate"] == 0.04
    words = ["retrain", "first:1", "-o", str(tmp_path / "m"), "--home", str(home), *CPU, "--no-track"]
    assert run([*words, "--set", "retrain.epochs=1"]) == 0
    told = capsys.readouterr().err
    assert "the recipe that first:1 was made with: space 'quickstart', 1 epochs, its images" in told
    assert "cifar10" not in told


def test_a_model_is_finetuned_as_it_was_trained(
    home: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = shapes(tmp_path / "shapes")
    tuned, twice = tmp_path / "tuned", tmp_path / "twice"
    words = [
        "finetune",
        "again",
        "--data",
        str(images),
        "-o",
        str(tuned),
        "--home",
        str(home),
        *CPU,
        "--no-track",
    ]
    assert run([*words, "--set", "retrain.batch_size=8"]) == 0
    told = capsys.readouterr().err
    assert "the recipe that again was made with: space 'quickstart', 2 epochs; --space" in told
    assert "1 epochs from learning rate 0.004" in told, "a tenth"
    # a fine-tuning's recipe is not divided again
    words = ["finetune", str(tuned), "-o", str(twice), "--home", str(home), *CPU, "--no-track"]
    assert run([*words, "--data", str(images), "--freeze"]) == 0
    assert "1 epochs from learning rate 0.004" in capsys.readouterr().err


def test_what_each_word_comes_from(home: Path, model: Path) -> None:
    finder = Finder(Where(home))
    run_id = json.loads((model / "model.json").read_text(encoding="utf-8"))["origin"]["result"]["run_id"]
    for word in ("first", "first:1", "sweep:first", "again", "again/1", run_id, run_id[:8], str(model)):
        found = inherit(finder.find(word, "genotype"))
        assert found is not None and found.space.retrain.learning_rate == 0.04, word
        assert found.data_root is None and not found.finetuned
    assert inherit(finder.find("PC_DARTS_cifar", "genotype")) is None


def test_old_models_say_their_run_or_their_space(model: Path, tmp_path: Path) -> None:
    """Those of before hold no settings."""
    elsewhere = Finder(Where(tmp_path / "other-home"))
    old = tmp_path / "old"
    old.mkdir()
    description = json.loads((model / "model.json").read_text(encoding="utf-8"))
    del description["origin"]["settings"]
    (old / "model.json").write_text(json.dumps(description), encoding="utf-8")
    (old / "genotype.json").write_bytes((model / "genotype.json").read_bytes())
    found = inherit(elsewhere.find(str(old), "genotype"))
    assert found is not None and found.space == load_space("quickstart")
    description["origin"]["space"] = "somebody-s-own"
    (old / "model.json").write_text(json.dumps(description), encoding="utf-8")
    assert inherit(elsewhere.find(str(old), "genotype")) is None


def test_the_images_of_a_sweep_are_taken_too(tmp_path: Path) -> None:
    home, images = tmp_path / "home", tmp_path / "images"
    images.mkdir()
    space = Space.model_validate({"name": "mine", "data": {"group": "(a)_", "sample_range": [0, 9]}})
    data = {"name": "images", "digest": "0", "source": "{}", "profile": "{}"}
    create_sweep(home, "own", space, SweepSettings(data_root=str(images)), trials=1, data=data)
    found = Finder(Where(home)).find("sweep:own")
    assert retraining_space(None, found, None, ["retrain.epochs=3"])[1] == images
    taken, root = retraining_space(None, found, tmp_path, ())
    assert (taken.name, taken.data.group, root) == ("mine", "(a)_", tmp_path)
    named, root = retraining_space("quickstart", found, None, ())
    assert (named.name, root) == ("quickstart", None)
    base, root, share = finetuning_base(None, found, tmp_path)
    assert (base.data.group, base.data.sample_range, root, share) == (None, None, tmp_path, SHARE)
    assert finetuning_base(None, found, None)[:2] == (space, images)
