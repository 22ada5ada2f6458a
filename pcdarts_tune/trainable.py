"""What Ray runs: one trial. Search, derive, evaluate, report; any trial can stop anywhere and be started again.

The trial reports records, dicts of plain values that become JSON:

    {"kind": "epoch", "stage": "search" | "evaluation", "epoch": 0, "epochs": 50,
     "metrics": {"search/loss_train": ...}, "genotype": {...}, "alphas": {...}}   the last two in the search
    {"kind": "derived", "genotype": {...}, "genotype_hash": "...", "params": ..., "macs": ...}
    {"kind": "history", "records": [...]}       first of all, where it goes on from a checkpoint
    {"kind": "outcome", ...}                    an `Outcome`, last of all

`run_trial` is the real trial; the machinery takes any `TrialFunction` (a lookup in a table, in tests of a
thousand trials). Nothing here knows Optuna or MLflow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from pcdarts_tune.sweeping.outcome import Outcome, TrialTask
from pcdarts_tune.sweeping.trialstate import TrialState

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.config import Space
    from pcdarts_tune.core.genotype import Genotype

Report = Callable[[dict[str, Any]], None]


class TrialFunction(Protocol):
    """A trial: what it is told, the data set the driver loaded (or None), where to report; how it ended."""

    def __call__(self, task: TrialTask, data: Any, report: Report) -> Outcome: ...


def ray_trial(config: dict[str, Any], function: TrialFunction | None = None, data: Any = None) -> None:
    """The function that Ray Tune calls in a worker: `config["task"]` is a `TrialTask` as JSON."""
    from ray import tune

    from pcdarts_tune.sweeping.failing import guarded
    from pcdarts_tune.sweeping.shipping import unpack

    def report(record: dict[str, Any]) -> None:
        # one string: Ray flattens, copies and keeps nested results
        tune.report({"record": json.dumps(record)})

    task = TrialTask.from_json(config["task"])
    outcome = guarded(function or run_trial, task, unpack(data), report)
    report({"kind": "outcome", **outcome.to_dict()})


def run_trial(task: TrialTask, data: Any, report: Report) -> Outcome:
    """Search, derive, evaluate: one real trial, going on from its checkpoint where there is one.

    Args:
        data: a `datasets.DataSet`.

    Raises:
        ValueError, ArithmeticError, MemoryError, torch.OutOfMemoryError: what ends this trial alone, see failing.py.
    """
    from pcdarts_tune.config import Space
    from pcdarts_tune.spaces import apply
    from pcdarts_tune.sweeping.evaluations import EvaluationCache

    device = take_share(task)
    space = apply(Space.model_validate_json(task.space), task.hyperparameters)
    log = TrialLog(TrialState.open(task.folder), report)
    if log.state.outcome is not None:
        return log.state.outcome
    genotype, found = derive(log, space, data, device=device, seed=task.seed)
    cache = EvaluationCache.of(task, space, genotype, data.digest)
    known = cache.read()
    if known is None:
        known = {
            "trial": task.number,
            **evaluate(log, space, genotype, data, device=device, seed=task.evaluation_seed),
        }
        cache.write(known)
    outcome = Outcome(
        "complete",
        objective=known["objective"],
        genotype=found["genotype"],
        genotype_hash=found["genotype_hash"],
        params=found["params"],
        macs=found["macs"],
        evaluation_from=None if known["trial"] == task.number else known["trial"],
        seconds=log.seconds(),
        metrics={**log.last("search"), **known["metrics"]},
    )
    log.state.finish(outcome)
    return outcome


def take_share(task: TrialTask) -> torch.device:
    """Keep to what the trial may use of its machine: threads, and memory of a GPU that it shares; its device."""
    import torch

    from pcdarts_tune.build import default_device, set_threads

    set_threads(task.threads)
    device = default_device() if task.gpus else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what the trial before it left in this process
        # a trial that wants more than its share runs out of memory alone, and takes no neighbour with it
        torch.cuda.set_per_process_memory_fraction(min(1.0, task.gpus))
    return device


class TrialLog:
    """A trial's records: kept in its checkpoint first, then reported, so that none is lost between the two."""

    def __init__(self, state: TrialState, report: Report) -> None:
        self.state, self._report = state, report
        self._begun = time.monotonic() - state.seconds
        if state.history:
            report({"kind": "history", "records": list(state.history)})

    def add(self, record: dict[str, Any], part: Callable[[], dict[str, Any]] | None = None) -> None:
        """Keep and report a record; `part` gives the state of what is going on."""
        self.state.history.append(record)
        self.state.save(part=part, seconds=self.seconds())
        self._report(record)

    def seconds(self) -> float:
        """Time spent on this trial, earlier starts included."""
        return time.monotonic() - self._begun

    def last(self, stage: str) -> dict[str, float]:
        """The metrics of the last epoch of a stage."""
        of_stage = [record["metrics"] for record in self.state.history if record.get("stage") == stage]
        return dict(of_stage[-1]) if of_stage else {}


def derive(
    log: TrialLog, space: Space, data: Any, *, device: torch.device, seed: int
) -> tuple[Genotype, dict[str, Any]]:
    """Search (what is left of it) and derive: the genotype, and the record that says so."""
    from pcdarts_tune.build import build_search
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.sweeping.measures import retraining_cost, search_record

    found = next((record for record in log.state.history if record["kind"] == "derived"), None)
    if found is None:
        search = build_search(space, data, device=device, seed=seed)
        if log.state.part is not None:
            search.load_state_dict(log.state.part)
        for epoch in search:
            log.add(search_record(epoch, device), search.state_dict)
        genotype = search.supernet.genotype()
        params, macs = retraining_cost(space, genotype, data)
        found = {
            "kind": "derived",
            "genotype": genotype.to_dict(),
            "genotype_hash": genotype.canonical_hash(),
            "params": params,
            "macs": macs,
        }
        log.state.part = None
        log.add(found)
    return Genotype.from_dict(found["genotype"]), found


def evaluate(
    log: TrialLog, space: Space, genotype: Genotype, data: Any, *, device: torch.device, seed: int
) -> dict[str, Any]:
    """Train the derived network from scratch: its accuracy on the held-out images after the last epoch."""
    from pcdarts_tune.build import build_evaluation
    from pcdarts_tune.sweeping.measures import evaluation_record

    training = build_evaluation(space, genotype, data, device=device, seed=seed)
    if log.state.part is not None:
        training.load_state_dict(log.state.part)
    for epoch in training:
        log.add(evaluation_record(epoch, device), training.state_dict)
    last = [record for record in log.state.history if record.get("stage") == "evaluation"][-1]
    return {"objective": last["accuracy"], "metrics": last["metrics"]}
