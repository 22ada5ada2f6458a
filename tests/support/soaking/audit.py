"""What a sweep left, counted: trials lost or doubled, metrics lost or doubled, runs without a trial, files that stay.

    audit(home, "s", trials=4)          # {"trials_lost": 0, "trials_doubled": 0, ...}: every number should be 0
    differences(home, undisturbed, "s") # what differs from the same sweep run in another home, undisturbed

Read from the stores themselves: SQL on the study and on MLflow's database, files on the disk.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from pcdarts_tune.home import Where
from pcdarts_tune.spaces import naming
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tasks import TrialRecord

MEASURED = re.compile(
    r"system/.*|.*/(seconds|(cpu|gpu)_hours|latency_ms|images_per_second|peak_memory_bytes)"
)
"""Metrics that differ from run to run: time and memory."""

Step = tuple[str, int]


def audit(home: Path, name: str, trials: int, failed: int = 0) -> dict[str, int]:
    """Counts of everything that must not be; `failed` trials are to have failed, the others to be complete."""
    sweep = open_sweep(Where(home), name)
    records = sweep.records()
    states = Counter(record.state for record in records)
    numbers = Counter(_trial_numbers(sweep))
    with closing(_mlflow(home)) as mlflow:
        return {
            "trials_lost": len(set(range(trials)) - numbers.keys()),
            "trials_doubled": sum(numbers.values()) - len(numbers) + len(numbers.keys() - set(range(trials))),
            "trials_not_complete": trials - failed - states["complete"],
            "trials_not_failed": failed - states["failed"],
            **_runs(mlflow, sweep, records),
            **_metrics(mlflow, sweep, records),
            "parameters_lost": _parameters_lost(mlflow, sweep, records),
            "data_sets_lost": len(_run_ids(mlflow, sweep)) - _runs_with_data(mlflow, sweep),
            **_artifacts(mlflow, records),
            "files_left_over": _left_over(sweep, records),
        }


def differences(home: Path, undisturbed: Path, name: str) -> list[str]:
    """What differs between two homes' sweeps of that name: settings, genotypes, objectives, every metric's every value.

    An evaluation that another trial had done already is not done again, and which trial comes first is chance: its
    epochs are compared where both have them.
    """
    sweep, reference = open_sweep(Where(home), name), open_sweep(Where(undisturbed), name)
    ours = {record.trial: record for record in sweep.records()}
    theirs = {record.trial: record for record in reference.records()}
    found = [f"trial {number} is in one alone" for number in ours.keys() ^ theirs.keys()]
    fields = ("state", "seed", "hyperparameters", "genotype", "genotype_hash", "objective", "params", "macs")
    for number in sorted(ours.keys() & theirs.keys()):
        one, other = ours[number], theirs[number]
        found += [
            f"trial {number}: {field} is {getattr(one, field)}, undisturbed {getattr(other, field)}"
            for field in fields
            if getattr(one, field) != getattr(other, field)
        ]
        with closing(_mlflow(home)) as mine, closing(_mlflow(undisturbed)) as their:
            found += _other_values(_values(mine, one.run_id), _values(their, other.run_id), number)
    return found


def _other_values(mine: dict[Step, set[float]], their: dict[Step, set[float]], number: int) -> list[str]:
    evaluated = all(any(key.startswith("evaluation/") for key, _ in side) for side in (mine, their))
    return [
        f"trial {number}: {key} at step {step} is {mine.get((key, step))}, undisturbed {their.get((key, step))}"
        for key, step in sorted(mine.keys() | their.keys())
        if not MEASURED.fullmatch(key)
        and (evaluated or not key.startswith("evaluation/"))
        and mine.get((key, step)) != their.get((key, step))
    ]


def _trial_numbers(sweep: SweepHandle) -> list[int]:
    with closing(sqlite3.connect(sweep.folder.path / "study.db")) as study:
        return [number for (number,) in study.execute("SELECT number FROM trials")]


def _mlflow(home: Path) -> sqlite3.Connection:
    return sqlite3.connect(home / "mlflow.db")


def _run_ids(mlflow: sqlite3.Connection, sweep: SweepHandle) -> list[str]:
    query = "SELECT run_uuid FROM tags WHERE key = 'pcdarts.sweep_id' AND value = ?"
    return [run for (run,) in mlflow.execute(query, (sweep.about["id"],))]


def _tag(mlflow: sqlite3.Connection, run: str, key: str) -> str | None:
    row = mlflow.execute("SELECT value FROM tags WHERE run_uuid = ? AND key = ?", (run, key)).fetchone()
    return None if row is None else row[0]


def _runs(mlflow: sqlite3.Connection, sweep: SweepHandle, records: list[TrialRecord]) -> dict[str, int]:
    """Runs without a trial, a second run of one trial, runs that are not ended, links that lead nowhere."""
    ours = _run_ids(mlflow, sweep)
    everything = {run for (run,) in mlflow.execute("SELECT run_uuid FROM runs")}
    kinds = {run: _tag(mlflow, run, "pcdarts.kind") for run in ours}
    parents = [run for run in ours if kinds[run] == "sweep"]
    trials = Counter(_tag(mlflow, run, "pcdarts.trial") for run in ours if kinds[run] == "trial")
    expected = {str(record.trial): "FAILED" if record.state == "failed" else "FINISHED" for record in records}
    status = dict(mlflow.execute("SELECT run_uuid, status FROM runs"))
    noted = {str(record.trial): record.run_id for record in records}
    return {
        "runs_lost": len(expected.keys() - trials.keys()) + (not parents),
        "runs_doubled": sum(trials.values()) - len(trials) + max(0, len(parents) - 1),
        "runs_orphaned": len(everything - set(ours))
        + len(trials.keys() - expected.keys())
        + sum(
            _tag(mlflow, run, "mlflow.parentRunId") not in parents for run in ours if kinds[run] == "trial"
        ),
        "runs_not_ended": sum(
            status[run] != expected.get(_tag(mlflow, run, "pcdarts.trial") or "", "FINISHED") for run in ours
        ),
        "run_ids_not_noted": sum(
            noted.get(_tag(mlflow, run, "pcdarts.trial") or "") != run
            for run in ours
            if kinds[run] == "trial"
        ),
    }


def _metrics(mlflow: sqlite3.Connection, sweep: SweepHandle, records: list[TrialRecord]) -> dict[str, int]:
    doubled = mlflow.execute(
        "SELECT COUNT(*) FROM (SELECT 1 FROM metrics GROUP BY run_uuid, key, step HAVING COUNT(*) > 1)"
    ).fetchone()[0]
    lost = wrong = 0
    for record in records:
        values = _values(mlflow, record.run_id)
        if record.objective is not None:
            lost += ("objective", 0) not in values
            wrong += values.get(("objective", 0), {record.objective}) != {record.objective}
        history = json.loads((sweep.folder.trial(record.trial) / "result.json").read_text())["history"]
        for entry in history:
            for key, value in entry.get("metrics", {}).items():
                if math.isfinite(value):
                    at = values.get((key, entry["epoch"]))
                    lost += at is None
                    wrong += at is not None and at != {float(value)}
    return {"metrics_doubled": doubled, "metrics_lost": lost, "metrics_wrong": wrong}


def _values(mlflow: sqlite3.Connection, run: str | None) -> dict[Step, set[float]]:
    """(metric, step) -> its values; more than one where it is doubled."""
    values: dict[Step, set[float]] = {}
    for key, step, value in mlflow.execute("SELECT key, step, value FROM metrics WHERE run_uuid = ?", (run,)):
        values.setdefault((key, step), set()).add(value)
    return values


def _parameters_lost(mlflow: sqlite3.Connection, sweep: SweepHandle, records: list[TrialRecord]) -> int:
    lost = 0
    for record in records:
        rows = mlflow.execute("SELECT key, value FROM params WHERE run_uuid = ?", (record.run_id,))
        lost += len(
            naming.run_parameters(sweep.space.tune, record.hyperparameters).items() - set(rows.fetchall())
        )
    return lost


def _runs_with_data(mlflow: sqlite3.Connection, sweep: SweepHandle) -> int:
    ours = set(_run_ids(mlflow, sweep))
    rows = mlflow.execute("SELECT destination_id FROM inputs WHERE destination_type = 'RUN'")
    return len(ours & {run for (run,) in rows})


def _artifacts(mlflow: sqlite3.Connection, records: list[TrialRecord]) -> dict[str, int]:
    """Files a complete trial's run must have, and pictures of one key and step that are there twice."""
    lost = doubled = 0
    for record in records:
        row = mlflow.execute("SELECT artifact_uri FROM runs WHERE run_uuid = ?", (record.run_id,)).fetchone()
        if row is None:
            continue
        folder = Path(row[0].removeprefix("file://"))
        wanted = ["config.json"] + (["genotype.json", "alphas.json"] if record.state == "complete" else [])
        lost += sum(not (folder / name).is_file() for name in wanted)
        # images/KEY%step%N%timestamp%…: MLflow keeps each beside a smaller copy
        pictures = [path.name for path in folder.glob("images/*") if "compressed" not in path.name]
        at = Counter(tuple(name.split("%timestamp")[0].split("+timestamp")[0:1]) for name in pictures)
        doubled += sum(at.values()) - len(at)
        if record.state == "complete":
            lost += sum(not any(name.startswith(key) for name in pictures) for key in ("cells", "alphas"))
    return {"files_lost": lost, "pictures_doubled": doubled}


def _left_over(sweep: SweepHandle, records: list[TrialRecord]) -> int:
    """Checkpoints, temporary and stray files in the folders of trials that ended."""
    kept = {"genotype.json", "result.json"}
    left = 0
    for record in records:
        left += sum(path.name not in kept for path in sweep.folder.trial(record.trial).iterdir())
    left += sum(
        path.suffix != ".json" or path.name.startswith(".") for path in _files(sweep.folder.evaluations)
    )
    left += sum(path.name.startswith(".") for path in _files(sweep.folder.path))
    return left


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def summed(counts: list[dict[str, Any]]) -> dict[str, int]:
    """Counts of several sweeps, added up."""
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
