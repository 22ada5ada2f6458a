"""One trial: search, derive, evaluate, report; any trial can stop anywhere and be started again.

The trial reports records, dicts of plain values that become JSON:

    {"kind": "epoch", "stage": "search" | "evaluation", "epoch": 0, "epochs": 50,
     "metrics": {"search/loss_train": ...}, "execution": {"precision": ..., "compile": ..., "graphs": ..., "device": ...},
     "genotype": {...}, "alphas": {...}}   the last two in the search
     of an evaluation with several seeds also "seed": the number of the training; epochs are counted through
    {"kind": "derived", "genotype": {...}, "genotype_hash": "...", "params": ..., "macs": ...}
     with "pruned": why, where the trial ends there; "constraints" and "latency" where the space asks for them
    {"kind": "repeat", "repeat": 1, "seed": ..., "objective": ..., "stopped": None, ...}
     where a trial searches with several seeds (repeats.py): one search and its evaluation have ended
    {"kind": "history", "records": [...]}       first of all, where it goes on from a checkpoint
    {"kind": "outcome", ...}                    an `Outcome`, last of all

An epoch of an evaluation that ends at a rung has `"rung": {"epochs": 4, "values": {"accuracy": ...}}`; what `report` then
returns is why the trial ends there, or None.

`run_trial` is the real trial; what runs it takes any `TrialFunction`. Nothing here knows Optuna or MLflow.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pcdarts_tune.core.genotype import AnyGenotype, read_genotype
from pcdarts_tune.errors import UserError, is_out_of_memory
from pcdarts_tune.places import place_at
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import BENCHMARK
from pcdarts_tune.sweeps.benchmark import look_up
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.trials.log import EvaluationCache, TrialLog, write_failure
from pcdarts_tune.sweeps.trials.measures import (
    check_derived,
    collapse_reason,
    measured_record,
    reached_rung,
    retraining_cost,
    retraining_latency,
)
from pcdarts_tune.sweeps.trials.repeats import KEPT, SCORED, join_repeats, repeat_seed
from pcdarts_tune.tasks import Outcome, Report, TrialFunction, TrialTask
from pcdarts_tune.training.scoring import score_trainings, summarize

if TYPE_CHECKING:
    import torch


def run_or_fail(function: TrialFunction, task: TrialTask, data: Any, report: Report) -> Outcome:
    """Run a trial; an `Outcome("failed", reason=…)` where it ran out of memory, its numbers are no longer finite, or its
    settings cannot be.

    Anything else (a lost process, a full disk, a defect) is raised: Ray starts the trial again from its checkpoint, as often
    as the sweep allows, and the driver then writes down that it failed.
    """
    begun = time.monotonic()
    try:
        return function(task, data, report)
    except (UserError, ValueError, ArithmeticError) as error:
        reason = _one_line(error)
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        reason = f"out of memory with {_sizes(task)}: {_one_line(error, 160)}; a smaller batch or a larger K needs less"
        error.__traceback__ = None  # its frames hold the tensors
        free_memory()
    outcome = Outcome("failed", reason=reason, seconds=time.monotonic() - begun)
    write_failure(task.folder, outcome)
    return outcome


def free_memory() -> None:
    """Give back what networks that are gone held."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _sizes(task: TrialTask) -> str:
    """The settings that decide how much memory a trial takes."""
    space = json.loads(task.space)
    values = {"K": ("supernet", "k"), "batch": ("search", "batch_size"), "channels": ("supernet", "channels")}
    parts = []
    for name, (section, key) in values.items():
        value = task.proposal.hyperparameters.get(f"{section}.{key}", space.get(section, {}).get(key))
        if value is not None:
            parts.append(f"{name} {value}")
    return ", ".join(parts) or "these settings"


def _one_line(error: BaseException, length: int = 400) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= length else text[: length - 1] + "…"


def run_trial(task: TrialTask, data: Any, report: Report) -> Outcome:
    """Search, derive, evaluate: one real trial, going on from its checkpoint where there is one.

    Args:
        data: a `datasets.DataSet`.

    Raises:
        ValueError, ArithmeticError, MemoryError, torch.OutOfMemoryError: what ends this trial alone.
    """
    from pcdarts_tune.spaces.settings import apply

    device = take_share(task)
    space = apply(json.loads(task.space), task.proposal.hyperparameters)
    with TrialLog(task.folder, report) as log:
        return log.outcome or _Trial(task, space, data, device, log).run()


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


@dataclass(frozen=True)
class _Trial:
    """A trial that has not ended; `space` has its hyperparameters."""

    task: TrialTask
    space: Space
    data: Any
    device: torch.device
    log: TrialLog

    def run(self) -> Outcome:
        """Do what is left of it, and write the result."""
        log, repeats = self.log, self.space.repeats
        ended = [record for record in log.history if record["kind"] == "repeat"]
        while not ended or (len(ended) < repeats and ended[-1]["stopped"] is None):
            number = len(ended) + 1
            seed = repeat_seed(self.task.proposal.seed, number)
            ended.append(_Repeat(self.task, self.space, self.data, self.device, log, number, seed).run())
            log.part = None
            if repeats > 1:
                log.add(ended[-1])
                free_memory()
        outcome = join_repeats(ended, of=repeats, seconds=log.seconds())
        log.finish(outcome)
        return outcome


@dataclass(frozen=True)
class _Repeat:
    """One search of a trial, numbered from 1, with its evaluation."""

    task: TrialTask
    space: Space
    data: Any
    device: torch.device
    log: TrialLog
    number: int
    seed: int

    def run(self) -> dict[str, Any]:
        """Do what is left of it: the record of how it ended."""
        number, found = self.task.proposal.number, self.derive()
        known: dict[str, Any] = {"trial": number, "stopped": found.get("pruned"), "metrics": {}}
        if known["stopped"] is None:
            known = self.evaluate_once(read_genotype(found["genotype"]), found)
        reason = known.get("stopped")
        if reason is not None and known["trial"] != number:
            reason += f"; trial {known['trial']} found the same genotype and ended there"
        return {
            "kind": "repeat",
            "repeat": self.number,
            "seed": self.seed,
            "objective": known["objective"] if reason is None else None,
            "stopped": reason,
            "evaluation_from": None if known["trial"] == number else known["trial"],
            "metrics": {**self.log.last("search"), **known["metrics"]},
            **{key: known[key] for key in SCORED if key in known},
            **{key: found[key] for key in KEPT if key in found},
        }

    def add(self, record: dict[str, Any], part: Callable[[], dict[str, Any]] | None = None) -> None:
        """Keep and report a record of this search."""
        self.log.add({**record, "repeat": self.number} if self.number > 1 else record, part)

    def derive(self) -> dict[str, Any]:
        """Search (what is left of it) and derive: the record of the genotype."""
        from pcdarts_tune.training.methods import build_method

        log, space, device = self.log, self.space, self.device
        found = next((record for record in log.current if record["kind"] == "derived"), None)
        if found is not None:
            return found
        execution = self.task.execution
        search = build_method(space, self.data, device=device, seed=self.seed, execution=execution)
        if log.part is not None:
            search.load_state_dict(log.part)
        epochs = iter(search)
        collapsed = collapse_reason(space, log.current)
        while collapsed is None and (epoch := next(epochs, None)) is not None:
            self.add(measured_record(epoch, "search", search.execution(), device), search.state_dict)
            collapsed = collapse_reason(space, log.current)
        genotype = search.genotype()
        params, macs = retraining_cost(space, genotype, self.data)
        found = {
            "kind": "derived",
            "method": space.search.method,
            "genotype": genotype.to_dict(),
            "genotype_hash": genotype.canonical_hash(),
            "params": params,
            "macs": macs,
        }
        if space.derive.method != "magnitude":
            found["derived_by"] = space.derive.method
        found |= check_derived(space, found, collapsed)
        if "latency" in space.objectives and "pruned" not in found:
            found["latency"] = retraining_latency(space, genotype, self.data, device)
        log.part = None
        self.add(found)
        return found

    def evaluate_once(self, genotype: AnyGenotype, found: dict[str, Any]) -> dict[str, Any]:
        """What `EvaluationCache` holds of the genotype, which is evaluated where it holds nothing; with a benchmark as the
        objective what that says, without an evaluation."""
        if self.space.objective == BENCHMARK:
            _, known_accuracy = look_up(place_at(self.task.evaluations), genotype)
            number = self.task.proposal.number
            return {"trial": number, "stopped": None, "objective": known_accuracy, "metrics": {}}
        cache = EvaluationCache.of(self.task, self.space, genotype, self.data.digest)
        known = cache.read()
        if known is not None and self.number > 1 and known.get("stopped"):
            known = None  # only the first search of a trial is compared with others at rungs
        if known is None:
            known = {"trial": self.task.proposal.number, "stopped": None, **self.evaluate(genotype, found)}
            cache.write(known)
        return known

    def evaluate(self, genotype: AnyGenotype, found: dict[str, Any]) -> dict[str, Any]:
        """Train the derived network from scratch, once with each seed: its score, or `stopped`: why it ended at a rung."""
        log, recipe = self.log, self.space.evaluation
        while log.stop is None and (done := len(self.evaluated())) < recipe.all_epochs:
            self.train(genotype, found, number=done // recipe.epochs, goes_on=done % recipe.epochs > 0)
        if log.stop is not None:
            return {"stopped": log.stop, "metrics": log.last("evaluation")}
        records = self.evaluated()
        score = score_trainings(self.space.objective, records)
        return {
            "objective": score.value,
            "standard_error": score.standard_error,
            "seed_std": score.seed_std,
            "held_out": summarize(records),
            "metrics": log.last("evaluation"),
        }

    def train(self, genotype: AnyGenotype, found: dict[str, Any], *, number: int, goes_on: bool) -> None:
        """One training of the evaluation, from its start or the checkpoint to its end, or to a rung where it is stopped."""
        from pcdarts_tune.training.build import build_training

        log, space, device = self.log, self.space, self.device
        execution, seed = self.task.execution, self.task.evaluation_seed
        if number:
            seed = derived_seed(seed, "evaluation", number)
        training = build_training(
            space, genotype, self.data, device=device, seed=seed, stage="evaluation", execution=execution
        )
        if goes_on and log.part is not None:
            training.load_state_dict(log.part)
        for epoch in training:
            record = measured_record(epoch, "evaluation", training.execution(), device)
            if (seeds := space.evaluation.seeds) > 1:
                record |= {"seed": number, "epochs": seeds * epoch.epochs}
                record["epoch"] += number * epoch.epochs
            rung = {} if self.number > 1 else reached_rung(space, found, [*self.evaluated(), record])
            self.add({**record, **rung}, training.state_dict)
            if log.stop is not None:
                return

    def evaluated(self) -> list[dict[str, Any]]:
        """The records of the evaluation so far."""
        return [record for record in self.log.current if record.get("stage") == "evaluation"]
