"""`note` and `tag`: what a person writes on a run stays where the program describes it anew, and `show` has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.made_sweeps import FOUND, make_sweep

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.home import Where
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.sweeps.tracker import tracker_of
from pcdarts_tune.tracking.notes import CONTENT, above, below


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("marked")
    sweep = make_sweep(home, "first", FOUND[:2])
    client = sweep.store().client
    client.create_registered_model("flowers")
    client.create_model_version("flowers", (home / "model").as_uri(), sweep.record(0).run_id)
    return home


def tags_of(home: Path, trial: int) -> dict[str, str]:
    sweep = open_sweep(Where(home), "first")
    run_id = sweep.record(trial).run_id
    return dict(sweep.store().client.get_run(str(run_id)).data.tags)


def shown(home: Path, run: str, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert command_line(["show", run, "--json", "--home", str(home)]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_note_stands_above_the_description(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    described = tags_of(home, 0)[CONTENT]
    assert described.startswith("Trial 0 of sweep")
    for text in ("*look* at it", "another note"):
        assert command_line(["note", "first:0", text, "--home", str(home)]) == 0
        assert tags_of(home, 0)[CONTENT] == f"{text}\n\n---\n\n{described}"
        assert shown(home, "first:0", capsys)["note"] == text
    command_line(["show", "first:0", "--home", str(home)])
    assert "note:\n  another note" in capsys.readouterr().out
    assert command_line(["note", "first:0", "", "--home", str(home)]) == 0
    assert tags_of(home, 0)[CONTENT] == described
    assert shown(home, "first:0", capsys)["note"] == ""


def test_a_note_stays_when_the_sweep_goes_on(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["note", "sweep:first", "mine", "--home", str(home)]) == 0
    sweep = open_sweep(Where(home), "first")
    tracker = tracker_of(sweep)
    tracker.open()
    assert tracker.close("FINISHED", "what came of it") == 0
    run = sweep.store().client.get_run(sweep.study.notes()["run"])
    assert run.data.tags[CONTENT] == "mine\n\n---\n\nwhat came of it"
    assert shown(home, "sweep:first", capsys)["note"] == "mine"


def test_tags_are_set_shown_and_taken_away(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home_flag = ["--home", str(home)]
    assert command_line(["tag", "first:1", "paper=figure 2", "checked=a=b", *home_flag]) == 0
    assert capsys.readouterr().out == "checked=a=b\npaper=figure 2\n"
    assert shown(home, "first:1", capsys)["tags"] == {"checked": "a=b", "paper": "figure 2"}
    assert command_line(["tag", "first:1", "--remove", "checked", "--json", *home_flag]) == 0
    assert (
        json.loads(capsys.readouterr().out) == {"paper": "figure 2"} == shown(home, "first:1", capsys)["tags"]
    )
    assert command_line(["tag", "first:1", *home_flag]) == 0
    assert capsys.readouterr().out == "paper=figure 2\n"


def test_a_version_has_a_note_and_tags_of_its_own(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home_flag = ["--home", str(home)]
    assert command_line(["note", "flowers/1", "for the poster", *home_flag]) == 0
    assert command_line(["tag", "flowers/1", "poster=yes", *home_flag]) == 0
    found = shown(home, "flowers/1", capsys)
    assert (found["note"], found["tags"]) == ("for the poster", {"poster": "yes"})
    assert command_line(["tag", "flowers/1", "--remove", "poster", *home_flag]) == 0
    assert shown(home, "flowers/1", capsys)["tags"] == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tag", "first:0", "mlflow.user=x"], "the program's own"),
        (["tag", "first:0", "pcdarts.kind=x"], "the program's own"),
        (["tag", "first:0", "paper"], "no KEY=VALUE"),
        (["tag", "first:1", "--remove", "papr"], "did you mean 'paper'"),
        (["note", "first:0", "x" * 4001], "4,001 characters"),
        (["note", "PC_DARTS_cifar", "x"], "has no run in MLflow"),
        (["note", "frist", "x"], "did you mean 'first'"),
    ],
)
def test_what_is_refused(
    home: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command_line(["tag", "first:1", "paper=figure 2", "--home", str(home)])
    assert command_line([*arguments, "--home", str(home)]) == 2
    assert said in capsys.readouterr().err


def test_two_parts_of_a_description() -> None:
    assert above("", "said") == "said" and above("mine", "") == "mine"
    for note in ("", "mine", "with --- a line\n\n---\n\nin it"):
        assert below(note, above(note, "said")) == "said"
    assert below("mine", "changed by hand") == "changed by hand"
