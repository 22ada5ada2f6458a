"""`derive.max_skip_connections` and `search.log_hessian` in a search, a sweep's trial, and reproductions; on the digits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.trial_tasks import task

from pcdarts_tune.cli import run
from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.datasets import load_dataset
from pcdarts_tune.home import Where
from pcdarts_tune.lineage.record import RunRecord
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.load import load_space, read_space
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.find import Finder
from pcdarts_tune.sweeps.trials.measures import collapse_reason
from pcdarts_tune.sweeps.trials.trial import run_or_fail, run_trial

SETTINGS = (
    "data.test_fraction=0.8",
    "supernet.channels=4",
    "supernet.layers=3",
    "supernet.primitives=[skip_connect, max_pool_3x3, sep_conv_3x3]",
    "search.epochs=2",
    "search.arch_warmup_epochs=1",
    "search.batch_size=64",
    "evaluation.epochs=1",
    "evaluation.channels=4",
    "evaluation.layers=3",
)
LIMITED = (*SETTINGS, "derive.max_skip_connections=0", "search.log_hessian=1")


def test_a_trial_derives_within_the_limit_and_logs_the_eigenvalue(tmp_path: Path) -> None:
    space = read_space("quickstart", LIMITED)
    images = load_dataset(space.data)
    records: list[dict[str, Any]] = []
    outcome = run_or_fail(run_trial, task(space, tmp_path), images, records.append)  # type: ignore[arg-type]
    assert outcome.state == "complete", outcome.reason
    assert outcome.genotype is not None and read_genotype(outcome.genotype).skip_connections == 0
    epochs = [record for record in records if record.get("stage") == "search"]
    assert all(read_genotype(record["genotype"]).skip_connections == 0 for record in epochs)
    assert [record["metrics"]["arch/skip_connections"] for record in epochs] == [0, 0]
    assert all(record["metrics"]["arch/hessian_eigenvalue"] != 0 for record in epochs)


def test_a_search_is_recorded_with_it_and_reproduced_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    settings = [word for setting in LIMITED for word in ("--set", setting)]
    words = [
        "search",
        "--space",
        "quickstart",
        *settings,
        "--track",
        "--device",
        "cpu",
        "--home",
        str(home),
        "--json",
    ]
    assert run(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert read_genotype(found["genotype"]).skip_connections == 0
    record = Finder(Where(home)).find(found["run_id"])
    assert record.run is not None
    space = RunRecord(record.runs, record.run).space
    assert space is not None and space.derive.max_skip_connections == 0
    assert run(["reproduce", found["run_id"], "--home", str(home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"]


def test_records_of_before_read_as_before() -> None:
    plain = load_space("cifar10")
    assert "derive" not in identity(plain) and "log_hessian" not in identity(plain)["search"]
    old = plain.model_dump(mode="json")
    del old["derive"], old["search"]["log_hessian"]
    assert Space.model_validate(json.loads(json.dumps(old))) == plain
    assert "derive" in identity(read_space("cifar10", ["derive.max_skip_connections=2"]))


def test_a_collapse_is_that_of_the_cell_without_the_limit() -> None:
    space = read_space("cifar10", ["derive.max_skip_connections=2"])
    assert space.stopping.collapse.skip_connections == 6

    def history(**more: int) -> list[dict[str, Any]]:
        return [{"stage": "search", "metrics": {"arch/skip_connections": 2, **more}}] * space.search.epochs

    assert collapse_reason(space, history()) is None
    reason = collapse_reason(space, history(**{"arch/skip_connections_unlimited": 7}))
    assert reason is not None and "7 of the normal cell's 8 edges" in reason
