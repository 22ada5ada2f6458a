"""What MLflow has of a sweep against what the study and the trials' folders say, record by record.

    differences(open_sweep(Where(home), "first"))          # [] when nothing is missing, doubled or different

Compared: one run a trial; its status, parameters and tags; every metric at every step, each once; genotype, configuration
and alphas; every picture, whole, once under its key and step; the trials' results in the sweep's own run.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcdarts_tune.home import Where
from pcdarts_tune.spaces import naming
from pcdarts_tune.sweeps.runs import cost_metrics, drawn_at, score_metrics
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.sweeps.trials.log import read_result
from pcdarts_tune.tasks import Outcome, TrialRecord
from pcdarts_tune.tracking.store import OBJECTIVE

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


def differences(sweep: SweepHandle, *, pictures: bool = True) -> list[str]:
    """What is missing, doubled or different, a line each; trials that have not ended are left out.

    Args:
        pictures: read every picture, too.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    client = sweep.store().client
    experiment = client.get_experiment_by_name(sweep.experiment)
    if experiment is None:
        return [f"there is no experiment {sweep.experiment}"]
    found: list[str] = []
    ours = f"tags.`pcdarts.sweep_id` = '{sweep.about['id']}'"
    runs = _all_runs(client, experiment.experiment_id, f"{ours} and tags.`pcdarts.kind` = 'trial'")
    parents = _all_runs(client, experiment.experiment_id, f"{ours} and tags.`pcdarts.kind` = 'sweep'")
    if len(parents) != 1:
        return [f"{len(parents)} runs of the sweep itself, not one"]
    by_trial: dict[int, list[Any]] = {}
    for run in runs:
        by_trial.setdefault(int(run.data.tags["pcdarts.trial"]), []).append(run)
    records = [record for record in sweep.study.records() if record.state in STATUS]
    for record in sorted(records, key=lambda entry: entry.trial):
        mine = by_trial.pop(record.trial, [])
        if len(mine) != 1:
            found.append(f"trial {record.trial}: {len(mine)} runs, not one")
            continue
        found += [
            f"trial {record.trial}: {line}"
            for line in _of_trial(client, sweep, mine[0], record, parents[0].info.run_id, pictures)
        ]
    begun = {record.trial for record in sweep.study.records()}
    found += [f"a run of a trial {number} that there is not" for number in by_trial if number not in begun]
    wanted = {record.trial: [record.objective] for record in records if record.objective is not None}
    there: dict[int, list[float]] = {}
    for entry in client.get_metric_history(parents[0].info.run_id, "trials/objective"):
        there.setdefault(entry.step, []).append(entry.value)
    if wanted != there:
        found.append(f"the sweep's run has the results {there}, not {wanted}")
    return found


def metrics_of(history: list[dict[str, Any]], outcome: Outcome) -> dict[str, dict[int, float]]:
    """Metric -> step -> value, as a trial's run is to have them."""
    wanted: dict[str, dict[int, float]] = {}

    def put(values: dict[str, float | None], step: int) -> None:
        for key, value in values.items():
            if value is not None and math.isfinite(value):
                wanted.setdefault(key, {})[step] = float(value)

    for record in history:
        if record["kind"] == "derived":
            cost = {"cost/params": record["params"], "cost/macs": record["macs"]}
            put({**cost, "cost/latency_ms": record.get("latency")}, 0)
        elif record["kind"] == "epoch":
            step = record["epoch"]
            put({**record["metrics"], f"{record['stage']}/epoch": step}, step)
    ended = {OBJECTIVE: outcome.objective, "trials/ended": 0}
    put({**cost_metrics(outcome), **score_metrics(outcome), **ended}, 0)
    if outcome.evaluation_from is not None:
        put({key: value for key, value in outcome.metrics.items() if key.startswith("evaluation/")}, 0)
    return wanted


def pictures_of(history: list[dict[str, Any]]) -> set[tuple[str, int]]:
    """(key, step) of every picture that a trial's run is to have."""
    searched = [record for record in history if record.get("stage") == "search"]
    wanted: set[tuple[str, int]] = set()
    for record in searched:
        if "genotype" in record and drawn_at(record["epoch"], record["epochs"]):
            wanted.add(("cells", record["epoch"]))
            if "alphas" in record:
                wanted.add(("alphas", record["epoch"]))
    if any(record["kind"] == "derived" for record in history):
        with_alphas = [record["epoch"] for record in searched if "alphas" in record]
        last = max((record["epoch"] for record in searched), default=0)
        wanted.add(("cells", last))
        if with_alphas:
            wanted |= {("alphas", last), ("alphas_over_epochs", max(with_alphas))}
    return wanted


def _of_trial(
    client: Any, sweep: SweepHandle, run: Any, record: TrialRecord, parent: str, pictures: bool
) -> Iterator[str]:
    outcome = record.outcome
    result = read_result(sweep.folder.trial_address(record.trial))
    history = [] if result is None else result["history"]
    tags = {
        "pcdarts.outcome": record.state,
        "pcdarts.genotype": record.genotype_hash if any(r["kind"] == "derived" for r in history) else None,
        "pcdarts.reason": record.reason,
        "mlflow.parentRunId": parent,
    }
    if run.info.run_id != record.run_id:
        yield f"the study knows run {record.run_id}, MLflow has {run.info.run_id}"
    if run.info.status != STATUS[record.state]:
        yield f"status {run.info.status} of a {record.state} trial"
    if run.data.params != (wanted := naming.run_parameters(sweep.space.tune, record.hyperparameters)):
        yield f"parameters {run.data.params}, not {wanted}"
    for key, tag in tags.items():
        if run.data.tags.get(key) != tag:
            yield f"tag {key} is {run.data.tags.get(key)!r}, not {tag!r}"
    if len(run.inputs.dataset_inputs) != 1:
        yield f"{len(run.inputs.dataset_inputs)} data sets, not one"
    yield from _of_metrics(client, run, metrics_of(history, outcome))
    yield from _of_files(client, run, record, history)
    if pictures:
        yield from _of_pictures(client, run.info.run_id, pictures_of(history))


def _of_metrics(client: Any, run: Any, wanted: dict[str, dict[int, float]]) -> Iterator[str]:
    for key in sorted({*wanted, *run.data.metrics}):
        entries = client.get_metric_history(run.info.run_id, key) if key in run.data.metrics else []
        doubled = [step for step, times in Counter(entry.step for entry in entries).items() if times > 1]
        there = {entry.step: entry.value for entry in entries}
        if doubled:
            yield f"{key} doubled at steps {doubled}"
        if there != wanted.get(key, {}):
            yield f"{key} is {there}, not {wanted.get(key, {})}"


def _of_files(client: Any, run: Any, record: TrialRecord, history: list[dict[str, Any]]) -> Iterator[str]:
    alphas = {str(entry["epoch"]): entry["alphas"] for entry in history if "alphas" in entry}
    derived = next((entry["genotype"] for entry in history if entry["kind"] == "derived"), None)
    wanted: dict[str, Any] = {}
    if derived is not None:
        wanted["genotype.json"] = derived
        if alphas:
            wanted["alphas.json"] = alphas
    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    if "config.json" not in names:
        yield "no config.json"
    elif _json(client, run, "config.json")["hyperparameters"] != record.hyperparameters:
        yield "config.json has other hyperparameters"
    for name, content in wanted.items():
        if name not in names:
            yield f"no {name}"
        elif _json(client, run, name) != content:
            yield f"{name} is another"


@dataclass(frozen=True)
class ImageFile:
    """One of the two files of a picture in a run."""

    key: str
    step: int
    name: str


def image_files(client: Any, run_id: str) -> list[ImageFile]:
    """The files of a run's pictures: a PNG and a smaller WebP for each."""
    pattern = re.compile(
        r"(.+?)[+%]step[+%](-?\d+)[+%]timestamp[+%]\d+[+%][0-9a-f-]+(\.png|[+%]compressed\.webp)"
    )
    names = [Path(entry.path).name for entry in client.list_artifacts(run_id, "images")]
    found = [(match, name) for name in names if (match := pattern.fullmatch(name)) is not None]
    return [ImageFile(match[1], int(match[2]), name) for match, name in found]


def _of_pictures(client: Any, run_id: str, wanted: set[tuple[str, int]]) -> Iterator[str]:
    from PIL import Image

    files = image_files(client, run_id)
    kinds = Counter((file.key, file.step, Path(file.name).suffix) for file in files)
    there = {(file.key, file.step) for file in files}
    if there != wanted:
        yield f"pictures {sorted(there)}, not {sorted(wanted)}"
    for key, step in sorted(there):
        for suffix in (".png", ".webp"):
            if kinds[key, step, suffix] != 1:
                yield f"{kinds[key, step, suffix]} {suffix} of picture {key} at step {step}, not one"
    for file in files:
        try:
            with Image.open(client.download_artifacts(run_id, f"images/{file.name}")) as image:
                image.load()
        except OSError as error:
            yield f"picture {file.name} is not whole: {error}"


def _json(client: Any, run: Any, name: str) -> Any:
    return json.loads(Path(client.download_artifacts(run.info.run_id, name)).read_text(encoding="utf-8"))


def _all_runs(client: Any, experiment: str, wanted: str) -> list[Any]:
    runs: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment], wanted, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _main() -> None:
    import argparse
    import sys

    from pcdarts_tune.sweeps.sweep import open_sweep

    parser = argparse.ArgumentParser(description="Compare MLflow with a sweep's study.")
    parser.add_argument("sweep")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--tracking-uri")
    given = parser.parse_args()
    found = differences(open_sweep(Where(given.home.absolute(), given.tracking_uri), given.sweep))
    print("\n".join(found) or "nothing is missing, doubled or different")
    sys.exit(bool(found))


if __name__ == "__main__":
    _main()
