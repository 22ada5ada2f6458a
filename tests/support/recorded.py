"""A sweep recorded without training: its study and folder as a sweep of many trials leaves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pcdarts_tune.home import Where
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tasks import CPUS, GPUS, Outcome, Proposal, TrialTask
from support.lookup import Table, drawn_rows, lookup_made, lookup_trial

REASONS = (
    "out of memory with K 1, batch 512, channels 16: a smaller batch or a larger K needs less",
    "the search's training loss became nan in epoch 7: lower search.learning_rate or search.arch_learning_rate",
)


def recorded_sweep(
    home: Path,
    trials: int,
    *,
    name: str = "recorded",
    lost: int = 0,
    epochs: int = 6,
    rows: int = 60,
    **settings: Any,
) -> SweepHandle:
    """A sweep whose trials have ended, by the study's own doors.

    Args:
        lost: one trial in so many fails or is pruned; 0 for none.
        epochs: of a search, each with its alphas.
        rows: different genotypes there are to find.
    """
    sweep = lookup_made(home, trials, name=name, epochs=(epochs, 2), sampler="random", **settings)
    table = Table(drawn_rows(rows), (epochs, 2))
    while len(sweep.study) < trials:
        proposal = sweep.study.ask(trials)
        sweep.study.start(proposal.number)
        sweep.study.tell(proposal.number, _ended(sweep, proposal, table, lost))
    return open_sweep(Where(home), name)


def _ended(sweep: SweepHandle, proposal: Proposal, table: Table, lost: int) -> Outcome:
    number = proposal.number
    task = TrialTask(
        proposal,
        evaluation_seed=0,
        space=sweep.space.model_dump_json(),
        folder=str(sweep.folder.trial(number)),
        evaluations=str(sweep.folder.evaluations),
        gpus=0.25,
    )
    if lost and number % lost == lost - 1:
        which = number // lost % len(REASONS)
        outcome = Outcome("failed" if which == 0 else "pruned", reason=REASONS[which], seconds=40.0)
    else:
        outcome = lookup_trial(task, table, lambda record: None)
    return replace(outcome, metrics={**outcome.metrics, CPUS: float(task.threads), GPUS: task.gpus})
