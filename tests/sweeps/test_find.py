"""What a word names is the same in every command, and what names two things is refused with a word for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.cli import group as cli
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import write_json
from pcdarts_tune.home import Where
from pcdarts_tune.models.export import export_model
from pcdarts_tune.models.model import load_model, save_model
from pcdarts_tune.sweeps.find import Finder
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tracking import lookup
from pcdarts_tune.tracking.registry import create_version, log_model
from pcdarts_tune.tracking.tags import Tag

BEST, OTHER = PUBLISHED["PC_DARTS_cifar"], PUBLISHED["DARTS_V2"]
SIZES = {"channels": 4, "layers": 3, "num_classes": 2, "stem": "cifar", "auxiliary": False, "in_channels": 3}
PIXELS = {"image_size": 8, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3, "resize": "fit"}
CELLS = (
    "PC_DARTS_cifar",
    "cells.json",
    "./cells.json",
    "my-model",
    "my-model.safetensors",
    "first:1",
    "first",
    "first@champion",
    "first/1",
    "models:/first/1",
    "second",
    "sweep:second",
    "second/1",
    "{trial}",
    "{trial:.6}",
    "{training:.8}",
)
"""Words for one and the same genotype; `{trial}` and `{training}` stand for run ids."""
MODELS = (
    "my-model",
    "./my-model",
    "my-model.safetensors",
    "first",
    "first@champion",
    "first/1",
    "{training:.6}",
)


@dataclass(frozen=True)
class Place:
    """A working directory: two sweeps, a registered model of the first, a model's folder and files."""

    path: Path
    trial: str
    training: str

    def word(self, text: str) -> str:
        return text.format(trial=self.trial, training=self.training)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    path = tmp_path_factory.mktemp("words")
    first = make_sweep(path / "home", "first", FOUND)
    make_sweep(path / "home", "second", FOUND)
    network = EvaluationNetwork(BEST, **SIZES)
    network(torch.randn(4, 3, 8, 8))
    folder = save_model(path / "my-model", network, BEST, SIZES, ("cat", "dog"), PIXELS)
    export_model(load_model(folder), path / "my-model.safetensors", "safetensors")
    write_json(path / "cells.json", BEST.to_dict())
    Image.new("RGB", (8, 8)).save(path / "image.png")
    store = first.store()
    run_id, _ = store.open_run("quickstart", {"made": "here"}, name="training", tags={Tag.KIND: "retraining"})
    store.log_file(run_id, BEST.to_dict(), "genotype.json")
    uri, model_id = log_model(folder, run_id=run_id, tracking_uri=store.uri)
    version = create_version(store.client, "first", uri, model_id, run_id, {})
    store.client.set_registered_model_alias("first", "champion", version.version)
    return Place(path, str(first.record(1).run_id), run_id)


@pytest.fixture
def place(made: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.chdir(made.path)
    monkeypatch.setenv("PCDARTS_TUNE_HOME", "home")
    return made


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert cli.run(list(words)) == 2, words
    return capsys.readouterr().err


@pytest.mark.parametrize("text", CELLS)
def test_a_word_names_the_same_cells_in_every_command(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    word, picture = place.word(text), tmp_path / "cells.svg"
    assert cli.run(["draw", word, "-o", str(picture)]) == 0
    assert picture.is_file()
    capsys.readouterr()
    assert cli.run(["show", word, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["genotype"] == BEST.to_dict()
    assert cli.run(["diff", word, "DARTS_V2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["genotype"]
    nowhere = ["--space", "quickstart", "--data", "nowhere", "-o", "out", "--no-track"]
    assert "nowhere" in refused(capsys, "retrain", word, *nowhere)
    assert "nowhere" in refused(capsys, "retrain", "DARTS_V2", "--baseline", word, *nowhere)


@pytest.mark.parametrize("text", MODELS)
def test_a_word_names_the_same_model_in_every_command(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    word = place.word(text)
    assert cli.run(["predict", word, "image.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["class"] in ("cat", "dog")
    assert cli.run(["export", word, "-o", str(tmp_path / "model.safetensors")]) == 0
    finetune = ["finetune", word, "--space", "quickstart", "--data", "nowhere", "-o", "out", "--no-track"]
    assert "nowhere" in refused(capsys, *finetune)


@pytest.mark.parametrize("text", ["first/1", "{training}", "{training:.6}", "first@champion", "first"])
def test_reproduce_takes_the_words_of_its_run(
    place: Place, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert f"run {place.training} keeps no space" in refused(capsys, "reproduce", place.word(text))


@pytest.mark.parametrize(
    ("command", "word", "said"),
    [
        ("predict", "first:1", "pcdarts-tune promote first --trial 1 makes one of it"),
        ("predict", "second", "pcdarts-tune promote second makes one of it"),
        ("predict", "PC_DARTS_cifar", "it is a published genotype"),
        ("predict", "{trial}", "pcdarts-tune promote first --trial 1"),
        ("predict", "no/such/folder", "no such model folder: no/such/folder"),
        ("predict", "frist", "did you mean 'first'?"),
        ("predict", "first/9", "no version 9"),
        ("draw", "first:2", "trial 2 of sweep 'first' is failed: out of memory"),
        ("draw", "no/such.json", "no such file or folder: no/such.json"),
        ("draw", "PC_DARTS_cifr", "did you mean 'PC_DARTS_cifar'?"),
        ("draw", "secnd", "did you mean 'second'?"),
        ("draw", "0123456789", "names no genotype"),
        ("draw", ".", "holds no genotype.json"),
        ("reproduce", "cells.json", "no run in MLflow"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(
    place: Place, capsys: pytest.CaptureFixture[str], command: str, word: str, said: str
) -> None:
    more = {"predict": ["image.png"], "draw": ["-o", "cells.svg"]}.get(command, [])
    message = refused(capsys, command, place.word(word), *more)
    assert said in message
    assert "Hint: " in message


def test_a_folder_called_like_something_recorded(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    data = place.path / "first"
    data.mkdir()
    try:  # a folder of images is no model: the name is meant
        assert cli.run(["predict", "first", "image.png"]) == 0
        write_json(data / "genotype.json", OTHER.to_dict())
        for command in (
            ["predict", "first", "image.png"],
            ["draw", "first", "-o", "c.svg"],
            ["show", "first"],
        ):
            message = refused(capsys, *command)
            assert "is a folder here and the name of something recorded" in message
            assert "Hint: ./first or sweep:first or first@champion" in message
        assert Finder(Where(place.path / "home")).find("./first").genotype().genotype == OTHER
    finally:
        (data / "genotype.json").unlink(missing_ok=True)
        data.rmdir()


def test_a_model_and_a_sweep_with_other_cells(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = SweepHandle.records
    monkeypatch.setattr(SweepHandle, "records", lambda self: records(self)[1:])
    message = refused(capsys, "draw", "first", "-o", "cells.svg")
    assert "those of first/1 and those of the best trial, first:0" in message
    assert "Hint: first@champion or first:0" in message


def test_digits_of_several_runs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    finder = Finder(Where(place.path / "home"))
    client = finder.find("first").runs.client
    runs = [client.create_run("0").info.run_id for _ in range(17)]  # two of them begin alike
    digit = next(run[0] for run in runs if sum(other[0] == run[0] for other in runs) > 1)
    monkeypatch.setattr(lookup, "SHORTEST", 1)
    with pytest.raises(UserError, match=f"several runs begin with '{digit}': ") as error:
        finder.find(digit)
    assert error.value.hint == "give more digits"


def test_promote_takes_the_first_digits_of_a_run(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = ["--data", "nowhere", "--run"]
    assert "nowhere" in refused(capsys, "promote", "first", *nowhere, place.trial[:6])
    assert "is not the run of a trial" in refused(capsys, "promote", "first", *nowhere, place.trial[:5])


def test_rollback_takes_a_version(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no version 9" in refused(capsys, "rollback", "first/9")
    assert "no alias 'old'" in refused(capsys, "rollback", "first@old")
    assert "give one of them" in refused(capsys, "rollback", "first/1", "--to", "1")
