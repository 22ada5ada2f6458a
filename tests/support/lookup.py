"""Sweeps whose trials look their result up instead of training: all of Ray Tune, Optuna and MLflow, no search.

    from support.lookup import lookup_sweep                 # this folder on sys.path; in the tests it is (pyproject.toml)
    sweep = lookup_sweep(Path("home"), 200)         # runs 200 trials, or goes on with the sweep until it has 200
    sweep.records()

    python tests/support/lookup.py --home /tmp/home --trials 200 --table darts_surrogate_1218.csv.gz

The table is NASLib's 1,218 DARTS genotypes with the accuracy that NAS-Bench-301's surrogate gives them, or, where
that file is not at hand, as many genotypes drawn with a seed and scored by a formula. Hyperparameters choose the
row: the nearer they are to a fixed point, the better it is, so a sampler has something to learn. A trial leaves what
a real one leaves: epochs with alphas, a derived genotype, evaluation epochs, a checkpoint after each, a result.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, Genotype
from pcdarts_tune.home import SweepFolder, Where
from pcdarts_tune.spaces.recipes import SHORT_SCHEDULE, EvaluationConfig, SearchConfig
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import RunSettings, run_sweep
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.sweeps.trials.log import TrialLog
from pcdarts_tune.tasks import Outcome, TrialTask

TUNE: dict[str, Any] = {
    "supernet.k": {"type": "categorical", "choices": [1, 2, 4, 8]},
    "search.learning_rate": {"type": "float", "low": 0.01, "high": 0.5, "log": True},
    "search.weight_decay": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "search.arch_learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "search.batch_size": {"type": "int", "low": 64, "high": 512, "step": 64},
}
BEST = {
    "supernet.k": 4,
    "search.learning_rate": 0.08,
    "search.weight_decay": 2e-3,
    "search.arch_learning_rate": 3e-3,
}
DATA = {"name": "table", "digest": "00", "source": "{}", "profile": "{}"}


@dataclass(frozen=True)
class Table:
    """Rows (genotype as JSON mapping, accuracy in [0, 1], multiply-adds), worst first; what a trial is given as its data.

    Attributes:
        epochs: of the search and of the evaluation that a trial reports.
        seconds: that an epoch takes.
        alphas: report them, so that MLflow gets their pictures.
    """

    rows: tuple[tuple[dict[str, Any], float, int], ...]
    epochs: tuple[int, int] = (2, 1)
    seconds: float = 0.0
    alphas: bool = True


def surrogate_rows(path: Path) -> tuple[tuple[dict[str, Any], float, int], ...]:
    """The rows of darts_surrogate_1218.csv.gz."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [
            (
                _genotype(_edges(row["normal"]), _edges(row["reduce"])),
                float(row["val_accuracy"]) / 100,
                int(float(row["flops"]) * 1e6),
            )
            for row in csv.DictReader(file)
        ]
    return tuple(sorted(rows, key=lambda row: row[1]))


def drawn_rows(number: int = 1218, seed: int = 0) -> tuple[tuple[dict[str, Any], float, int], ...]:
    """Genotypes drawn at random; separable convolutions are better, and dearer."""
    draw = random.Random(seed)
    rows = []
    for _ in range(number):
        cells = [_drawn_cell(draw) for _ in range(2)]
        convolutions = sum(name.startswith("sep") for cell in cells for name, _ in cell)
        accuracy = 0.9 + 0.05 * convolutions / 16 + 0.01 * draw.random()
        rows.append((_genotype(*cells), accuracy, 100_000_000 + 20_000_000 * convolutions))
    return tuple(sorted(rows, key=lambda row: row[1]))


def lookup_trial(task: TrialTask, data: Table, report: Any) -> Outcome:
    """A trial: what `trainable.run_trial` does and leaves, with a table for the search and the training."""
    with TrialLog(task.folder, report) as log:
        return log.outcome or _looked_up(log, task, data)


def _looked_up(log: TrialLog, task: TrialTask, data: Table) -> Outcome:
    genotype_dict, accuracy, macs = data.rows[_row(task, len(data.rows))]
    genotype = Genotype.from_dict(genotype_dict)
    params = 300_000 + macs // 200
    found = {
        "genotype": genotype_dict,
        "genotype_hash": genotype.canonical_hash(),
        "params": params,
        "macs": macs,
    }
    known = {(record["kind"], record.get("stage"), record.get("epoch")) for record in log.history}
    skips = sum(name == "skip_connect" for name, _ in genotype.normal)
    draw = random.Random(task.proposal.seed)
    for epoch in range(data.epochs[0]):
        metrics = {
            "search/loss_train": 2 / (epoch + 1),
            "search/acc_held_out": accuracy * (1 - 0.5 ** (epoch + 1)),
            "arch/skip_connections": float(skips),
        }
        record = {
            "kind": "epoch",
            "stage": "search",
            "epoch": epoch,
            "epochs": data.epochs[0],
            "metrics": metrics,
            "genotype": genotype_dict,
        }
        if data.alphas:
            record["alphas"] = _alphas(draw)
        if ("epoch", "search", epoch) not in known:
            time.sleep(data.seconds)
            log.add(record)
    if ("derived", None, None) not in known:
        log.add({"kind": "derived", **found})
    for epoch in range(data.epochs[1]):
        reached = accuracy * (1 - 0.5 ** (2 * (data.epochs[1] - epoch)) * (epoch + 1 < data.epochs[1]))
        record = {
            "kind": "epoch",
            "stage": "evaluation",
            "epoch": epoch,
            "epochs": data.epochs[1],
            "accuracy": reached,
            "metrics": {"evaluation/acc_held_out": reached, "evaluation/loss_train": 1 / (epoch + 1)},
        }
        if ("epoch", "evaluation", epoch) not in known:
            time.sleep(data.seconds)
            log.add(record)
    metrics = {**log.last("search"), **log.last("evaluation")}
    outcome = Outcome("complete", objective=accuracy, seconds=log.seconds(), metrics=metrics, **found)
    log.finish(outcome)
    return outcome


def lookup_space(epochs: tuple[int, int] = (2, 1), name: str = "lookup") -> Space:
    """A space with the paper's settings, five hyperparameters drawn, and as many epochs as a lookup reports."""
    return Space(
        name=name,
        description="results looked up in a table",
        search=SearchConfig(epochs=epochs[0], arch_warmup_epochs=0),
        evaluation=EvaluationConfig(**{**SHORT_SCHEDULE, "epochs": epochs[1]}),
        tune=TUNE,
    )


def lookup_sweep(
    home: Path,
    trials: int,
    *,
    name: str = "lookup",
    table: Path | None = None,
    epochs: tuple[int, int] = (2, 1),
    seconds: float = 0.0,
    alphas: bool = True,
    run: RunSettings | None = None,
    **settings: Any,
) -> SweepHandle:
    """A sweep of `trials` lookups, run to its end; one that exists goes on until it has as many.

    Args:
        table: darts_surrogate_1218.csv.gz; None for `drawn_rows`.
        epochs, seconds, alphas: see `Table`.
        run: how it is run; None for quietly, on this machine.
        settings: of `SweepSettings`, where the sweep is made here: seed, sampler, tracking_uri, ...

    Returns:
        The sweep, as `open_sweep` gives it.
    """
    sweep = lookup_made(home, trials, name=name, epochs=epochs, **settings)
    rows = drawn_rows() if table is None else surrogate_rows(table)
    function, data = lookup_trial, Table(rows, epochs, seconds, alphas)
    travels_by_value()
    run_sweep(sweep, run or RunSettings(quiet=True), data=data, function=function)
    return open_sweep(Where(home, settings.get("tracking_uri"), settings.get("study_uri")), name)


def lookup_made(
    home: Path, trials: int, *, name: str = "lookup", epochs: tuple[int, int] = (2, 1), **settings: Any
) -> SweepHandle:
    """The sweep, made where there is none of that name, its target raised where there is; not run."""
    if not SweepFolder.of(home, name).record_file.exists():
        wanted = SweepSettings(**settings)
        return create_sweep(home, name, lookup_space(epochs), wanted, trials=trials, data=DATA)
    sweep = open_sweep(Where(home, settings.get("tracking_uri"), settings.get("study_uri")), name)
    if trials > sweep.target:
        sweep.study.note("target", trials)
    return sweep


def travels_by_value() -> None:
    """Workers cannot import this file: what is in it travels by value."""
    import ray

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


def _row(task: TrialTask, rows: int) -> int:
    """The better the settings, the higher the row; the seed moves it a little, as seeds do."""
    drawn = task.proposal.hyperparameters
    off = 0.0 if drawn["supernet.k"] == BEST["supernet.k"] else 0.15
    for key, best in BEST.items():
        if key != "supernet.k":
            off += 0.12 * abs(math.log10(drawn[key] / best)) ** 1.5
    quality = max(0.0, 1 - off) + random.Random(task.proposal.seed).gauss(0, 0.03)
    return min(rows - 1, max(0, int(quality * rows)))


def _edges(text: str) -> list[list[Any]]:
    return [[name, int(node)] for name, _, node in (edge.partition(":") for edge in text.split())]


def _genotype(normal: list[list[Any]], reduce: list[list[Any]]) -> dict[str, Any]:
    concat = [2, 3, 4, 5]
    return {"normal": normal, "normal_concat": concat, "reduce": reduce, "reduce_concat": concat}


def _drawn_cell(draw: random.Random) -> list[list[Any]]:
    names = [name for name in DARTS_PRIMITIVES if name != "none"]
    return [
        [draw.choice(names), source]
        for node in range(4)
        for source in sorted(draw.sample(range(node + 2), 2))
    ]


def _alphas(draw: random.Random) -> dict[str, Any]:
    def rows(edges: int, width: int) -> list[list[float]]:
        drawn = [[draw.random() for _ in range(width)] for _ in range(edges)]
        return [[round(value / sum(row), 4) for value in row] for row in drawn]

    betas = [value for node in range(4) for value in rows(1, node + 2)[0]]
    return {
        "alpha_normal": rows(14, 8),
        "alpha_reduce": rows(14, 8),
        "beta_normal": betas,
        "beta_reduce": list(betas),
    }


def _main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description="A sweep of lookups.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--name", default="lookup")
    parser.add_argument("--table", type=Path)
    parser.add_argument("--sampler", default="tpe")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0, help="of an epoch")
    parser.add_argument("--no-alphas", action="store_true", help="and so no pictures of them")
    parser.add_argument("--tracking-uri")
    given = parser.parse_args()
    sweep = lookup_sweep(
        given.home.absolute(),
        given.trials,
        name=given.name,
        table=given.table,
        seconds=given.seconds,
        alphas=not given.no_alphas,
        run=RunSettings(),
        sampler=given.sampler,
        seed=given.seed,
        tracking_uri=given.tracking_uri,
    )
    best = sweep.best()
    print(f"{given.name}: {len(sweep.records())} trials, best trial {best.trial}: {best.objective}")


if __name__ == "__main__":
    _main()
