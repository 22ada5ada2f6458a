"""`--precision`, `--compile` and `--graphs` from the command line to the step and into the record."""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import mlflow
import pytest
import torch

from pcdarts_tune.cli import group as cli
from pcdarts_tune.cli.option_groups import execution_options
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.core.steps.execution import PRECISIONS
from pcdarts_tune.datasets import DataSet, load_dataset
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.spaces.load import read_space
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.trials.log import EvaluationCache
from pcdarts_tune.sweeps.trials.trial import run_trial
from pcdarts_tune.tasks import DEFAULTS, NAMES_OF_PRECISIONS, Execution, Proposal, TrialTask
from pcdarts_tune.training.build import build_search
from pcdarts_tune.training.searching import Searching
from pcdarts_tune.training.work import Retraining

CPU = torch.device("cpu")
CELLS = PUBLISHED["PC_DARTS_cifar"]
SMALL = (
    "supernet.channels=4",
    "search.epochs=1",
    "search.arch_warmup_epochs=0",
    "evaluation.epochs=1",
    "evaluation.channels=4",
)
BENCH = [
    "bench",
    "--device",
    "cpu",
    "--batch",
    "4",
    "--k",
    "2",
    "--channels",
    "4",
    "--layers",
    "3",
    "--repeats",
    "1",
]


@pytest.fixture(scope="module")
def space() -> Space:
    return read_space("quickstart", SMALL)


@pytest.fixture(scope="module")
def images(space: Space) -> DataSet:
    return load_dataset(space.data)


def task(space: Space, place: Path, **changes: Any) -> TrialTask:
    folders = {"folder": str(place / "trial"), "evaluations": str(place / "evaluations")}
    return TrialTask(Proposal(0, 1, {}), 2, space.model_dump_json(), **{**folders, **changes})


def test_the_command_line_names_the_cores_precisions() -> None:
    assert NAMES_OF_PRECISIONS == PRECISIONS


def given(*arguments: str) -> dict[str, Any]:
    @click.command()
    @execution_options(kind=dict)
    def command(execution: dict[str, Any]) -> dict[str, Any]:
        return execution

    found: dict[str, Any] = command.main(list(arguments), standalone_mode=False)
    return found


def test_what_is_given_goes_over_the_defaults() -> None:
    sweep = SweepSettings(precision="bf16", graphs=False)
    assert sweep.execution == Execution("bf16", False, False)
    assert replace(sweep.execution, **given()) == sweep.execution
    over = given("--precision", "float32", "--compile")
    assert replace(sweep.execution, **over) == Execution("float32", True, False)
    assert Execution(**json.loads(json.dumps(sweep.execution.arguments()))) == sweep.execution


def test_sweeps_and_trials_of_before_are_as_they_were(space: Space, tmp_path: Path) -> None:
    kept = asdict(SweepSettings())
    for key in ("precision", "compile", "graphs"):
        del kept[key]
    assert SweepSettings(**kept).execution == DEFAULTS
    assert task(space, tmp_path).execution == DEFAULTS


def test_only_precision_makes_another_recipe(space: Space, images: DataSet, tmp_path: Path) -> None:
    """Results that were kept before there was a choice still fit; those of another precision never do."""

    def recipes(execution: Execution) -> list[str]:
        cache = EvaluationCache.of(task(space, tmp_path, execution=execution), space, CELLS, images.digest)
        return [
            Searching(space, images, 0, execution).recipe,
            Retraining(space, CELLS, images, 0, execution).recipe,
            cache.name,
        ]

    plain = recipes(DEFAULTS)
    assert recipes(Execution(compile=True, graphs=False)) == plain
    for precision in ("bf16", "tf32"):
        assert all(a != b for a, b in zip(recipes(Execution(precision)), plain, strict=True))


def test_a_trial_is_executed_as_its_sweep_says_and_reports_it(
    space: Space, images: DataSet, tmp_path: Path
) -> None:
    records: list[dict[str, Any]] = []
    told = task(space, tmp_path, execution=Execution(precision="bf16"))
    outcome = run_trial(told, images, records.append)  # type: ignore[arg-type]  # without rungs nothing is awaited
    said = [record["execution"] for record in records if record["kind"] == "epoch"]
    assert [execution["precision"] for execution in said] == ["bf16", "bf16"]
    assert said[0]["graphs"] == "off: the device is cpu"
    (plain,) = build_search(space, images, device=CPU, seed=told.proposal.seed)
    assert outcome.metrics["search/loss_train"] != plain.train_loss
    assert outcome.metrics["search/loss_train"] == pytest.approx(plain.train_loss, abs=0.1)


def test_a_search_leaves_no_memory_behind(space: Space, images: DataSet) -> None:
    """The evaluation comes next, on the same share of a GPU: nothing may wait for the garbage collector."""
    job = build_search(space, images, device=CPU, seed=0)
    next(iter(job))
    supernet = weakref.ref(job.supernet)
    gc.disable()
    try:
        del job
        assert supernet() is None
    finally:
        gc.enable()


def test_a_search_in_bf16_is_tracked_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = [word for setting in SMALL[:3] for word in ("--set", setting)]
    command = ["search", "--space", "quickstart", "--device", "cpu", "--home", str(tmp_path), *settings]
    assert cli.run([*command, "--precision", "bf16", "--track", "--json"]) == 0
    run_id = json.loads(capsys.readouterr().out)["run_id"]
    tags = mlflow.MlflowClient(default_tracking_uri(tmp_path)).get_run(run_id).data.tags
    assert tags["pcdarts.precision"] == "bf16"
    assert tags["pcdarts.graphs"] == "off: the device is cpu"
    assert tags["pcdarts.compile"] == "off"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--precision", "tf32"], "precision tf32 is CUDA's; on cpu take float32 or bf16"),
        (["--graphs"], "steps cannot be captured as CUDA graphs: the device is cpu"),
        (["--precision", "float23"], "float32"),
    ],
)
def test_what_the_device_has_not_is_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", "--space", "quickstart", "--device", "cpu", "--home", str(tmp_path)]
    assert cli.run([*command, *options]) == 2
    assert said in capsys.readouterr().err


def test_bench_names_the_precision_of_both_sides(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*BENCH, "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert both["precision"] == "float32 on both sides"
    assert (both["fast"]["precision"], both["textbook"]["precision"]) == ("float32", "float32")
    assert both["fast"]["graphs"] == "off: the device is cpu"
    assert both["ratio"] == pytest.approx(
        both["textbook"]["seconds_per_step"]["median"] / both["fast"]["seconds_per_step"]["median"]
    )
    assert {"median", "min", "max", "n"} == set(both["fast"]["seconds_per_step"])
    assert both["fast"]["images_per_second"] == pytest.approx(4 / both["fast"]["seconds_per_step"]["median"])
    assert both["peak_memory_bytes"] == both["fast"]["peak_memory_bytes"] > 0
    mixed = ["--stage", "evaluate", "--precision", "bf16", "--textbook-precision", "float32"]
    assert cli.run([*BENCH, *mixed]) == 0
    assert "textbook: float32; fast: bf16, CUDA graphs off: the device is cpu" in capsys.readouterr().out
    assert cli.run([*BENCH, "--graphs"]) == 2
