"""`derive.method: perturbation` in a sweep's trial and in `search`; on the digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.trial_tasks import Killed, killed_after, task, timeless

from pcdarts_tune.cli import run
from pcdarts_tune.datasets import load_dataset
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.sweeps.trials.measures import collapse_reason
from pcdarts_tune.sweeps.trials.trial import run_or_fail, run_trial

SETTINGS = (
    "data.test_fraction=0.8",
    "supernet.channels=4",
    "supernet.layers=3",
    "supernet.nodes=2",
    "supernet.primitives=[skip_connect, max_pool_3x3, sep_conv_3x3]",
    "search.epochs=1",
    "search.arch_warmup_epochs=0",
    "search.batch_size=64",
    "evaluation.epochs=1",
    "evaluation.channels=4",
    "evaluation.layers=3",
    "derive.method=perturbation",
    "derive.tune_epochs=1",
)


def test_a_trial_goes_on_between_decisions_and_says_how_its_cell_was_derived(tmp_path: Path) -> None:
    space = read_space("quickstart", SETTINGS)
    images = load_dataset(space.data)
    whole: list[dict[str, Any]] = []
    outcome = run_or_fail(run_trial, task(space, tmp_path / "whole"), images, whole.append)  # type: ignore[arg-type]
    assert outcome.state == "complete", outcome.reason
    epochs = [record for record in whole if record.get("stage") == "search"]
    assert len(epochs) == space.search_epochs == 1 + (5 + 1 - 1)
    assert [len(record["decisions"]) for record in epochs] == [2] * 6
    (derived,) = (record for record in whole if record["kind"] == "derived")
    assert derived["derived_by"] == "perturbation" and derived["genotype"] == epochs[-1]["genotype"]
    job = task(space, tmp_path / "killed")
    with pytest.raises(Killed):
        run_or_fail(run_trial, job, images, killed_after(3))
    resumed: list[dict[str, Any]] = []
    again = run_or_fail(run_trial, job, images, resumed.append)  # type: ignore[arg-type]
    assert (again.objective, again.genotype) == (outcome.objective, outcome.genotype)
    assert resumed[0]["kind"] == "history"
    records = [*resumed[0]["records"], *resumed[1:]]
    assert [r for r in timeless(records) if r.get("stage") == "search"] == [
        r for r in timeless(whole) if r.get("stage") == "search"
    ]


def test_a_search_says_how_its_cell_was_derived(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    home = ["--home", str(tmp_path), "--device", "cpu", "--json"]
    assert run(["search", "--space", "quickstart", *words, *home]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["epochs"] == 6 and found["derived_by"] == "perturbation"


def test_what_does_not_go_with_it_is_refused_and_spaces_without_it_are_as_before() -> None:
    for setting, said in (
        ("derive.max_skip_connections=2", "limits cells that alphas derive"),
        ("search.method=random", "trains none"),
    ):
        with pytest.raises(UserError, match=said):
            read_space("cifar10", ["derive.method=perturbation", setting])
    assert "derive" not in identity(read_space("cifar10"))
    assert identity(read_space("cifar10", ["derive.max_skip_connections=2"]))["derive"] == {
        "max_skip_connections": 2
    }
    assert read_space("cifar10", ["derive.method=perturbation"]).search_epochs == 50 + 16 * 5
    assert read_space("nasbench201", ["derive.method=perturbation"]).search_epochs == 50 + 5 * 5


def test_only_epochs_of_the_search_itself_can_collapse() -> None:
    space = read_space("cifar10", ["derive.method=perturbation"])
    fine = {"stage": "search", "metrics": {"arch/skip_connections": 1}}
    later = {"stage": "search", "metrics": {"arch/skip_connections": 8}}
    assert collapse_reason(space, [fine] * 50 + [later] * 80) is None
    assert collapse_reason(space, [fine] * 40 + [later] * 10) is not None
