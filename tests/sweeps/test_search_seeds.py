"""`search --seeds`: several searches of one setting, what their cells score, and that they go on where they stopped."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from support.trial_tasks import QUICK_TRIAL, task

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.core.genotype import random_genotype
from pcdarts_tune.datasets import load_dataset
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.trials.log import TrialLog
from pcdarts_tune.sweeps.trials.trial import run_trial

WORDS = ["search", "--space", "quickstart", "--seed", "11", "--device", "cpu", "--json"]
WORDS += [word for setting in QUICK_TRIAL for word in ("--set", setting)]


def searched(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> dict[str, Any]:
    """What the command prints."""
    capsys.readouterr()
    assert command_line([*WORDS, "--home", str(home), *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_seeds_score_as_single_trials_and_go_on_after_an_interruption(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    space = read_space("quickstart", QUICK_TRIAL)
    images = load_dataset(space.data)
    outcomes = []
    for seed in (11, 12):
        told = task(
            space,
            tmp_path / str(seed),
            seed=seed,
            hyperparameters={},
            evaluation_seed=derived_seed(11, "evaluation"),
        )
        outcomes.append(run_trial(told, images, lambda record: None))
    scores = [outcome.objective or 0.0 for outcome in outcomes]

    output = tmp_path / "best.json"
    added, real = 0, TrialLog.add

    def add(self: TrialLog, *arguments: Any) -> None:
        nonlocal added
        added += 1
        if added == 7:  # in the second seed's search
            raise KeyboardInterrupt
        real(self, *arguments)

    monkeypatch.setattr(TrialLog, "add", add)
    assert command_line([*WORDS, "--home", str(tmp_path), "--seeds", "2", "-o", str(output)]) == 130
    monkeypatch.undo()
    assert not output.exists()

    found = searched(capsys, tmp_path, "--seeds", "2", "-o", str(output))
    assert found["seeds"] == [11, 12]
    assert [run["objective"] for run in found["runs"]] == scores
    assert [run["genotype"] for run in found["runs"]] == [outcome.genotype for outcome in outcomes]
    assert found["score"]["mean"] == pytest.approx(statistics.fmean(scores))
    assert found["score"]["std"] == pytest.approx(statistics.stdev(scores))
    assert found["score"]["n"] == 2
    best = outcomes[scores.index(max(scores))]
    assert found["genotype"] == best.genotype == json.loads(output.read_text())

    # a third one is added, and nothing is done twice
    more = searched(capsys, tmp_path, "--seeds", "3", "-o", str(output), "-q")
    assert [run["objective"] for run in more["runs"][:2]] == scores
    assert [run["seconds"] for run in more["runs"][:2]] == [run["seconds"] for run in found["runs"]]
    # another recipe is another place
    other = searched(
        capsys, tmp_path, "--seeds", "1", "-o", str(output), "--set", "search.method=random", "-q"
    )
    assert other["genotype"] == random_genotype(11).to_dict()
    assert (other["score"]["n"], other["score"]["std"]) == (1, None)


def test_a_table_for_people_and_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in WORDS if word != "--json"] + ["--home", str(tmp_path)]
    random = ["--set", "search.method=random", "--seeds", "2"]
    assert command_line([*words, *random]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].split() == ["seed", "accuracy", "params", "MACs", "genotype", "outcome"]
    assert [line.lstrip("* ").split()[0] for line in lines[1:3]] == ["11", "12"]
    assert lines[-1].startswith("accuracy of the derived cells on held-out images: 0.")
    assert "n=2" in lines[-1]
    assert "seed 12: 2/2, evaluation" in captured.err
    assert command_line([*words, *random, "--track"]) == 2
    assert "sweep --trials 1 --repeats N" in capsys.readouterr().err
    assert command_line([*words, *random, "--set", "data.split=published", "--set", "tune={}"]) == 2
    assert "its cells cannot be scored" in capsys.readouterr().err
    for setting, said in (
        ("evaluation.augment.cutout=64", "evaluation.augment.cutout 64 is as large as the images"),
        ("objective=benchmark", "looks accuracies up"),
    ):
        assert command_line([*words, *random, "--set", setting]) == 2
        assert said in capsys.readouterr().err
    assert command_line([*words, *random, "--set", "objective=train_loss"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "-training loss" in lines[0]
    assert lines[-1].startswith("-training loss of the derived cells on training images: -")
    too_large = ["--set", "constraints.max_params=10"]
    assert command_line([*words, *random, *too_large]) == 1
    assert "no seed came to a score" in capsys.readouterr().err
