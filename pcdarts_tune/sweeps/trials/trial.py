"""What Ray runs: one trial. Search, derive, evaluate, report; any trial can stop anywhere and be started again.

The trial reports records, dicts of plain values that become JSON:

    {"kind": "epoch", "stage": "search" | "evaluation", "epoch": 0, "epochs": 50,
     "metrics": {"search/loss_train": ...}, "execution": {"precision": ..., "compile": ..., "graphs": ..., "device": ...},
     "genotype": {...}, "alphas": {...}}   the last two in the search
    {"kind": "derived", "genotype": {...}, "genotype_hash": "...", "params": ..., "macs": ...}
     with "pruned": why, where the trial ends there; "constraints" and "latency" where the space asks for them
    {"kind": "history", "records": [...]}       first of all, where it goes on from a checkpoint
    {"kind": "outcome", ...}                    an `Outcome`, last of all

An epoch of an evaluation that ends at a rung has `"rung": {"epochs": 4, "values": {"accuracy": ...}}`; what `report` then
returns is why the trial ends there, or None.

`run_trial` is the real trial; the machinery takes any `TrialFunction` (a lookup in a table, in tests of a
thousand trials). Nothing here knows Optuna or MLflow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pcdarts_tune.sweeps.trials.state import TrialState
from pcdarts_tune.tasks import DEFAULTS, Execution, Outcome, Report, TrialFunction, TrialTask

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.spaces.space import Space


def ray_trial(config: dict[str, Any], function: TrialFunction | None = None, data: Any = None) -> None:
    """The function that Ray Tune calls in a worker: `config["task"]` is a `TrialTask` as JSON."""
    from ray import tune

    from pcdarts_tune.cluster.shipping import unpack
    from pcdarts_tune.sweeps.study.objectives import rungs_in
    from pcdarts_tune.sweeps.trials.failing import guarded
    from pcdarts_tune.sweeps.trials.reports import Reporter, await_answer
    from pcdarts_tune.tasks import add_resources

    # one string: Ray flattens, copies and keeps nested results
    reporter = Reporter(lambda records: tune.report({"records": records}))

    def report(record: dict[str, Any]) -> str | None:
        reporter.put(record)
        if not (reached := rungs_in(record)):
            return None
        reporter.flush()
        return await_answer(task.folder, reached[-1]["epochs"])

    task = TrialTask.from_json(config["task"])
    try:
        outcome = add_resources(guarded(function or run_trial, task, unpack(data), report), task)
        reporter.put({"kind": "outcome", **outcome.to_dict()})
    except BaseException:
        with suppress(BaseException):  # what went wrong first counts
            reporter.flush()
        raise
    reporter.flush()


def run_trial(task: TrialTask, data: Any, report: Report) -> Outcome:
    """Search, derive, evaluate: one real trial, going on from its checkpoint where there is one.

    Args:
        data: a `datasets.DataSet`.

    Raises:
        ValueError, ArithmeticError, MemoryError, torch.OutOfMemoryError: what ends this trial alone, see failing.py.
    """
    from pcdarts_tune.spaces.settings import apply
    from pcdarts_tune.spaces.space import Space

    device = take_share(task)
    space = apply(Space.model_validate_json(task.space), task.proposal.hyperparameters)
    with TrialLog(TrialState.open(task.folder), report) as log:
        return log.state.outcome or _run(log, task, space, data, device)


def _run(log: TrialLog, task: TrialTask, space: Space, data: Any, device: torch.device) -> Outcome:
    from pcdarts_tune.sweeps.trials.evaluations import EvaluationCache

    execution = task.execution
    genotype, found = derive(log, space, data, device=device, seed=task.proposal.seed, execution=execution)
    known: dict[str, Any] = {"trial": task.proposal.number, "stopped": found.get("pruned"), "metrics": {}}
    if known["stopped"] is None:
        cache = EvaluationCache.of(task, space, genotype, data.digest)
        if (cached := cache.read()) is not None:
            known = cached
        else:
            seed = task.evaluation_seed
            known |= evaluate(
                log, space, genotype, found, data, device=device, seed=seed, execution=execution
            )
            cache.write(known)
    reason = known.get("stopped")
    if reason is not None and known["trial"] != task.proposal.number:
        reason += f"; trial {known['trial']} found the same genotype and ended there"
    outcome = Outcome(
        "complete" if reason is None else "pruned",
        objective=known["objective"] if reason is None else None,
        reason=reason,
        genotype=found["genotype"],
        genotype_hash=found["genotype_hash"],
        params=found["params"],
        macs=found["macs"],
        latency=found.get("latency"),
        constraints=found.get("constraints", {}),
        evaluation_from=None if known["trial"] == task.proposal.number else known["trial"],
        seconds=log.seconds(),
        metrics={**log.last("search"), **known["metrics"]},
    )
    log.state.finish(outcome)
    return outcome


def take_share(task: TrialTask) -> torch.device:
    """Keep to what the trial may use of its machine: threads, and memory of a GPU that it shares; its device."""
    import torch

    from pcdarts_tune.machine import default_device, set_threads

    set_threads(task.threads)
    device = default_device() if task.gpus else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what the trial before it left in this process
        # a trial that wants more than its share runs out of memory alone, and takes no neighbour with it
        torch.cuda.set_per_process_memory_fraction(min(1.0, task.gpus))
    return device


class TrialLog:
    """A trial's records: kept in its checkpoint first, then reported, so that none is lost between the two. Both go on
    beside the training; only at a rung it waits for the answer.

    with TrialLog(TrialState.open(task.folder), report) as log:
        log.add({"kind": "epoch", ...}, search.state_dict)
    """

    def __init__(self, state: TrialState, report: Report) -> None:
        self.state, self._report, self._reported = state, report, len(state.history)
        self._begun = time.monotonic() - state.seconds
        self.stop: str | None = None
        """Why the trial ends at the rung it has reached."""
        if state.history:
            self.stop = report({"kind": "history", "records": list(state.history)})

    def add(self, record: dict[str, Any], part: Callable[[], dict[str, Any]] | None = None) -> None:
        """Keep and report a record; `part` gives the state of what is going on.

        Raises:
            OSError: when an earlier record could not be kept.
        """
        self.state.history.append(record)
        self.state.save(part=part, seconds=self.seconds(), written=self._pass_on, wait="rung" in record)

    def _pass_on(self, count: int) -> None:
        """Report the records that the checkpoint now holds."""
        for record in self.state.history[self._reported : count]:
            self.stop = self._report(record)
            self._reported += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until everything is kept and passed on."""
        if error is None:
            self.state.flush()
        else:
            with suppress(BaseException):  # what went wrong first counts
                self.state.flush()

    def seconds(self) -> float:
        """Time spent on this trial, earlier starts included."""
        return time.monotonic() - self._begun

    def last(self, stage: str) -> dict[str, float]:
        """The metrics of the last epoch of a stage."""
        of_stage = [record["metrics"] for record in self.state.history if record.get("stage") == stage]
        return dict(of_stage[-1]) if of_stage else {}


def derive(
    log: TrialLog,
    space: Space,
    data: Any,
    *,
    device: torch.device,
    seed: int,
    execution: Execution = DEFAULTS,
) -> tuple[Genotype, dict[str, Any]]:
    """Search (what is left of it) and derive: the genotype, and the record that says so."""
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.sweeps.trials.measures import retraining_cost, retraining_latency, search_record
    from pcdarts_tune.sweeps.trials.pruning import collapse_reason, judged
    from pcdarts_tune.training.build import build_search

    found = next((record for record in log.state.history if record["kind"] == "derived"), None)
    if found is None:
        search = build_search(space, data, device=device, seed=seed, execution=execution)
        if log.state.part is not None:
            search.load_state_dict(log.state.part)
        epochs = iter(search)
        collapsed = collapse_reason(space, log.state.history)
        while collapsed is None and (epoch := next(epochs, None)) is not None:
            log.add(search_record(epoch, device) | {"execution": search.execution()}, search.state_dict)
            collapsed = collapse_reason(space, log.state.history)
        genotype = search.supernet.genotype()
        params, macs = retraining_cost(space, genotype, data)
        found = {
            "kind": "derived",
            "genotype": genotype.to_dict(),
            "genotype_hash": genotype.canonical_hash(),
            "params": params,
            "macs": macs,
        }
        found |= judged(space, found, collapsed)
        if "latency" in space.objectives and "pruned" not in found:
            found["latency"] = retraining_latency(space, genotype, data, device)
        log.state.part = None
        log.add(found)
    return Genotype.from_dict(found["genotype"]), found


def evaluate(
    log: TrialLog,
    space: Space,
    genotype: Genotype,
    found: dict[str, Any],
    data: Any,
    *,
    device: torch.device,
    seed: int,
    execution: Execution = DEFAULTS,
) -> dict[str, Any]:
    """Train the derived network from scratch: its accuracy on the held-out images after the last epoch, or `stopped`: why it
    ended at a rung."""
    from pcdarts_tune.sweeps.trials.measures import evaluation_record
    from pcdarts_tune.sweeps.trials.pruning import reached_rung
    from pcdarts_tune.training.build import build_evaluation

    if log.stop is not None:
        return {"stopped": log.stop, "metrics": log.last("evaluation")}

    training = build_evaluation(space, genotype, data, device=device, seed=seed, execution=execution)
    if log.state.part is not None:
        training.load_state_dict(log.state.part)
    for epoch in training:
        record = evaluation_record(epoch, device) | {"execution": training.execution()}
        log.add({**record, **reached_rung(space, found, record)}, training.state_dict)
        if log.stop is not None:
            return {"stopped": log.stop, "metrics": log.last("evaluation")}
    last = [record for record in log.state.history if record.get("stage") == "evaluation"][-1]
    return {"objective": last["accuracy"], "metrics": last["metrics"]}
