"""Random search with several searches a trial, as Ray runs it: interrupted and gone on with, compared, run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcdarts_tune.cli.group import run as command_line
from pcdarts_tune.cluster.session import ray_running
from pcdarts_tune.core.genotype import random_genotype
from pcdarts_tune.home import Where
from pcdarts_tune.sweeps.sweep import open_sweep
from pcdarts_tune.sweeps.trials.repeats import repeat_seed

TINY = ("data.test_fraction=0.7", "evaluation.channels=4", "evaluation.epochs=3")
SWEEP = ["sweep", "--space", "quickstart", "--method", "random", "--repeats", "2", "--trials", "2", "-q"]
SWEEP += ["--cpus-per-trial", "1", *(word for setting in TINY for word in ("--set", setting))]


@pytest.fixture(scope="module", autouse=True)
def one_ray() -> Iterator[None]:
    with ray_running(address=None):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep, and the same one that was stopped on its way and resumed."""
    home = tmp_path_factory.mktemp("rivals")
    assert command_line([*SWEEP, "--name", "whole", "--home", str(home)]) == 0
    stopped = [*SWEEP, "--name", "stopped", "--time-budget", "4s", "--home", str(home)]
    assert command_line(stopped) == 0
    assert command_line(["resume", "stopped", "-q", "--home", str(home)]) == 0
    return home


def test_an_interrupted_sweep_ends_as_an_undisturbed_one(home: Path) -> None:
    whole, stopped = (open_sweep(Where(home), name).records() for name in ("whole", "stopped"))
    assert [record.state for record in whole] == ["complete"] * 2
    for record, other in zip(whole, stopped, strict=True):
        assert (record.trial, record.objective, record.repeats) == (
            other.trial,
            other.objective,
            other.repeats,
        )
        seeds = [repeat_seed(record.seed, number) for number in (1, 2)]
        drawn = [random_genotype(seed).canonical_hash() for seed in seeds]
        assert [each["genotype_hash"] for each in record.repeats] == drawn
        assert record.genotype_hash in drawn
        assert record.objective == pytest.approx(sum(each["objective"] for each in record.repeats) / 2)


def test_both_stand_in_one_leaderboard(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert command_line(["leaderboard", "whole", "stopped", "--json", "--home", str(home)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    first, second = (each["after_trials"] for each in found["sweeps"])
    assert first == second
    assert [row["sweep"] for row in found["trials"]] == ["whole", "stopped"] * 2
    assert found["unit"] == "CPU"


def test_a_random_trial_is_reproduced_bit_for_bit(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert command_line(["reproduce", "whole:1", "--json", "-q", "--home", str(home)]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["equal"], again["verdict"]
    assert again["epochs"] == 6, "both searches' evaluations"
