"""Damaged and foreign checkpoints, model folders, sweeps and stores: gone on with, begun anew or refused; code in them never
runs, and nothing they say fills the memory.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.fuzzing import (
    FOREIGN,
    TITLE,
    damaged,
    fuzz,
    run_command,
    unfinished,
    well_told,
    within,
    wrong_json,
)
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.steps.checkpoints import Snapshot, load_snapshot
from pcdarts_tune.errors import UserError
from pcdarts_tune.models.model import load_model, save_model
from pcdarts_tune.sweeps.trials.log import TrialLog
from pcdarts_tune.training.epochs import Resumable
from pcdarts_tune.training.journal import CheckpointStorage

GENOTYPE = PUBLISHED["PC_DARTS_cifar"]
SIZES: dict[str, Any] = {
    "channels": 4, "layers": 3, "num_classes": 3, "stem": "cifar", "auxiliary": False, "in_channels": 3
}  # fmt: skip
PREPROCESSING: dict[str, Any] = {
    "image_size": 16, "channels": 3, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "resize": "fit"
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 10**6, 10**12, 2**70, 1e300, float("nan"), "", "x" * 300, TITLE, [], {}, [1, [2]], "imagenet", "../x",
    [10**9, 10**9], ["a", "b", "c"], [0.1] * 3, {"channels": 10**6}, "secret:http://x", "sqlite:////nowhere/x.db",
)  # fmt: skip
MUCH = 700_000  # KiB that no refusal takes


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def grows(before: int) -> None:
    assert peak() - before < MUCH, "a file that lies about its size must not be believed"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("states")
    Image.new("RGB", (16, 16)).save(place / "image.png")
    network = EvaluationNetwork(GENOTYPE, **SIZES)
    save_model(place / "right", network, GENOTYPE, SIZES, ["ant", "bee", TITLE], PREPROCESSING)
    return place


@st.composite
def safetensors_headers(draw: Callable[..., Any], content: bytes) -> bytes:
    """Weights whose header says something else than what follows."""
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(draw(wrong_json(header, (*ODD, [0, 2**60], "F64", "I8", [2**30, 2**30])))).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


@fuzz(90)
@given(data=st.data())
def test_a_damaged_model_is_refused(place: Path, data: st.DataObject) -> None:
    folder = place / "model"
    shutil.copytree(place / "right", folder)
    before = peak()
    try:
        name = data.draw(st.sampled_from(["model.json", "model.json", "genotype.json", "model.safetensors"]))
        file = folder / name
        content = file.read_bytes()
        kind = data.draw(st.integers(0, 2))
        if kind == 0:
            file.write_bytes(data.draw(damaged(content)))
        elif kind == 1 and name.endswith(".safetensors"):
            file.write_bytes(data.draw(safetensors_headers(content)))
        else:
            right = json.loads((folder / "model.json").read_text() if name != "genotype.json" else content)
            target = file if name != "model.safetensors" else folder / "model.json"
            target.write_text(json.dumps(data.draw(wrong_json(right, ODD))))
        said = run_command(["predict", str(folder), str(place / "image.png"), "--home", str(place / "home")])
        well_told(said, legal=(0, 2))
        assert "image.png" in said.out if said.code == 0 else str(folder) in said.err
        grows(before)
        assert not (Path.cwd() / "run").exists(), "code in a file was run"
    finally:
        shutil.rmtree(folder)


def test_names_in_a_model_cannot_steer_the_terminal(place: Path) -> None:
    network = EvaluationNetwork(GENOTYPE, **SIZES)
    save_model(place / "titled", network, GENOTYPE, SIZES, [f"{TITLE}{n}" for n in "abc"], PREPROCESSING)
    image = place / f"x{TITLE[1:5]}\x1b[31m.png"
    shutil.copy(place / "image.png", image)
    said = run_command(
        ["predict", str(place / "titled"), str(image), str(place / "no\x1b]0;pwned\x07")], terminal=True
    )
    assert said.code == 2
    assert "\x1b]0;" not in said.out + said.err
    assert "\x1b[31m" not in said.out


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "huge", "link to itself", "html"])
def test_what_is_no_image_is_refused_at_once(place: Path, tmp_path: Path, kind: str) -> None:
    image, before = tmp_path / "image.png", peak()
    match kind:
        case "fifo":
            os.mkfifo(image)
        case "device":
            image.symlink_to("/dev/zero")
        case "folder":
            image.mkdir()
        case "huge":
            with image.open("wb") as file:
                file.truncate(2**42)
        case "link to itself":
            image.symlink_to(image)
        case "html":
            image.write_text("<html>")
    said = run_command(["predict", str(place / "right"), str(image), str(place / "image.png")], seconds=20)
    well_told(said, legal=(2,))
    assert str(place / "image.png") in said.out, "the others are classified all the same"
    grows(before)


def snapshot(state: Any) -> bytes:
    held = Snapshot()
    held.take(state)
    return b"".join(bytes(part) for part in held.chunks())


class Job:
    """Work whose state is a tensor and a number, as a search's and a training's are many of them."""

    def __init__(self) -> None:
        self.layer, self.epoch = torch.nn.Linear(3, 2), 0
        for weight in self.layer.parameters():
            torch.nn.init.constant_(weight, 0.5)  # hypothesis wants the same bytes each time

    def __iter__(self) -> Any:
        return iter(())

    def execution(self) -> dict[str, str]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"layer": self.layer.state_dict(), "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.layer.load_state_dict(state["layer"])
        self.epoch = state["epoch"] + 0


STATES: tuple[Any, ...] = (
    {}, [], None, 3, "x", {"recipe": "r"}, {"recipe": "r", "history": 3, "job": {}}, {"recipe": "r", "history": [], "job": None},
    {"recipe": "r", "history": ["{"], "job": {}}, {"recipe": "r", "history": [], "job": {"layer": {}, "epoch": 0}},
    {"recipe": "r", "history": [], "job": {"layer": {"weight": torch.zeros(9, 9)}, "epoch": 0}},
    {"recipe": "r", "history": [], "job": {"layer": Job().layer.state_dict(), "epoch": "late"}},
    {"recipe": "other", "history": [], "job": {}},
)  # fmt: skip


@fuzz(90)
@given(data=st.data())
def test_a_damaged_checkpoint_is_refused_and_a_trial_begins_anew(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place, before = tmp_path_factory.mktemp("checkpoint"), peak()
    right = {"recipe": "r", "history": [json.dumps({"loss": 1.0})], "job": Job().state_dict()}
    kind = data.draw(st.integers(0, 3))
    if kind == 0:
        content = snapshot(data.draw(st.sampled_from(STATES)))
    elif kind == 1:
        content = data.draw(safetensors_headers(snapshot(right)))
    else:
        content = data.draw(damaged(snapshot(right)))
    file = place / "out.json.checkpoint"
    file.write_bytes(content)
    with within(20):
        try:
            work = Resumable(Job(), CheckpointStorage.in_file(file), "r", "job")
            assert len(work.history) == 1, "what is taken is whole"
        except UserError as error:
            assert str(file) in str(error)
            assert error.hint
        try:
            load_snapshot(content)
        except ValueError:
            pass
        trial = place / "trial"
        trial.mkdir()
        (trial / "checkpoint").write_bytes(content)
        if data.draw(st.booleans()):
            (trial / "result.json").write_bytes(
                data.draw(damaged(b'{"outcome": {"state": "failed"}, "history": []}'))
            )
        assert isinstance(TrialLog(trial).history, list)
    grows(before)
    assert not (Path.cwd() / "run").exists(), "code in a file was run"
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a sweep and its MLflow store."""
    home = tmp_path_factory.mktemp("swept") / "home"
    make_sweep(home, "made", FOUND)
    return home


COMMANDS = (
    ["status", "made"], ["leaderboard", "made"], ["leaderboard", "made", "--json"], ["show", "made"], ["show", "made/0"],
    ["resume", "made", "--data", "/nowhere"], ["extend", "made", "--trials", "+1", "--data", "/nowhere"],
    ["promote", "made", "--data", "/nowhere"], ["diff", "made/0", "made/1"], ["report", "made", "-o", "report.html"], ["status"],
)  # fmt: skip


@fuzz(60)
@given(data=st.data())
def test_a_damaged_sweep_is_told_and_left_alone(
    swept: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.mktemp("home")
    try:
        shutil.copytree(swept, place / "home")
        folder = place / "home" / "sweeps" / "made"
        file = data.draw(
            st.sampled_from(
                [
                    folder / "sweep.json",
                    folder / "sweep.json",
                    folder / "study.db",
                    place / "home" / "mlflow.db",
                ]
            )
        )
        if file.suffix == ".json":
            right = json.loads(file.read_text())
            wrong = data.draw(wrong_json(right, ODD))
            file.write_bytes(
                data.draw(
                    st.sampled_from(
                        [json.dumps(wrong).encode()] * 4 + [data.draw(damaged(file.read_bytes()))]
                    )
                )
            )
        elif data.draw(st.booleans()):
            file.write_bytes(data.draw(damaged(file.read_bytes())))
        else:
            with sqlite3.connect(file) as database:
                tables = [
                    name
                    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                ]
                table = data.draw(st.sampled_from(sorted(tables)))
                database.execute("PRAGMA foreign_keys = OFF")
                database.execute(data.draw(st.sampled_from([f"DELETE FROM {table}", f"DROP TABLE {table}"])))
        before = file.read_bytes()
        words = data.draw(st.sampled_from(COMMANDS))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(place)
            said = run_command([*words, "--home", str(place / "home")])
        well_told(said)
        if file.suffix == ".json":
            assert file.read_bytes() == before
        assert unfinished(place / "home" / "sweeps") == []
        assert said.code == 0 or not (place / "report.html").exists()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_a_model_is_what_was_saved(place: Path) -> None:
    """Else the tests above would pass because nothing is ever read."""
    assert load_model(place / "right").classes == ("ant", "bee", TITLE)
    assert len(FOREIGN) > 5
