"""Several searches of one setting in this process, each with a seed of its own, and what their cells score.

    found = search_seeds(SeedsWork(space, images, seeds=(0, 1, 2)), Path("cells.json.seeds"), device=device)
    found.score                     # Spread: mean, deviation, n
    found.best.genotype

Each seed is a trial as a sweep runs it (trials/trial.py), so it goes on from its last epoch, and a genotype that two seeds find
is evaluated once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.say import Progress
from pcdarts_tune.spaces.keys import identity
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.values import BENCHMARK
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.trials.trial import run_or_fail, run_trial
from pcdarts_tune.tasks import DEFAULTS, Execution, Outcome, Proposal, TrialTask
from pcdarts_tune.training.journal import digest

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.datasets import DataSet

DECIDING = ("data", "supernet", "search", "derive", "evaluation", "stopping")
"""The sections of a space that decide the result."""


@dataclass(frozen=True)
class SeedsWork:
    """What is searched, with the space's own values of what it would tune.

    Raises:
        UserError: a space that holds no images out to score cells on, or looks accuracies up.
    """

    space: Space
    images: DataSet
    seeds: tuple[int, ...]
    execution: Execution = DEFAULTS

    def __post_init__(self) -> None:
        if self.space.data.split == "published":
            raise UserError(
                f"space {self.space.name!r} holds no images out (data.split: published), so its cells cannot be scored",
                hint="--set data.split=tuning, or search without --seeds",
            )
        if self.space.objective == BENCHMARK:
            raise UserError(
                f"space {self.space.name!r} looks accuracies up (objective: benchmark), so its cells are not trained to a score",
                hint="--set objective=accuracy, or search without --seeds",
            )

    @property
    def recipe(self) -> str:
        """16 hexadecimal digits: equal where a seed comes to the same result."""
        values = identity(self.space)
        known = {key: values[key] for key in DECIDING if key in values} | self.execution.identity()
        first = {"evaluation_seed": self.evaluation_seed, "objective": self.space.objective}
        return digest({**known, **first, "images": self.images.digest})

    @property
    def evaluation_seed(self) -> int:
        """One for all cells, so that equal cells score equally."""
        return derived_seed(self.seeds[0], "evaluation")


@dataclass(frozen=True)
class SeedsFound:
    """How each seed's trial ended, in their order."""

    seeds: tuple[int, ...]
    outcomes: Sequence[Outcome]

    @property
    def score(self) -> Spread:
        """What the derived cells score, those that were not evaluated left out."""
        return Spread(tuple(each.objective for each in self.outcomes if each.objective is not None))

    @property
    def best(self) -> Outcome:
        """The one with the highest score.

        Raises:
            WorkFailed: none was evaluated.
        """
        complete = [each for each in self.outcomes if each.objective is not None]
        if not complete:
            reasons = "; ".join(dict.fromkeys(str(each.reason) for each in self.outcomes))
            raise WorkFailed(f"no seed came to a score: {reasons}", hint="--set KEY=VALUE changes the space")
        return max(complete, key=lambda each: each.objective or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """What `search --seeds --json` prints."""
        keys = ("state", "objective", "genotype", "genotype_hash", "params", "macs", "seconds", "reason")
        return {
            "seeds": list(self.seeds),
            "score": self.score.to_dict(),
            "genotype": self.best.genotype,
            "genotype_hash": self.best.genotype_hash,
            "runs": [
                {"seed": seed, **{key: getattr(each, key) for key in keys}}
                for seed, each in zip(self.seeds, self.outcomes, strict=True)
            ],
        }


def search_seeds(work: SeedsWork, place: Path, *, device: torch.device, quiet: bool = False) -> SeedsFound:
    """Search with each seed and evaluate, one after the other; what is in `place` from an earlier start is not done again."""
    import torch

    space = work.space.model_copy(update={"repeats": 1})
    task = TrialTask(
        Proposal(0, 0, {}),
        evaluation_seed=work.evaluation_seed,
        space=space.model_dump_json(),
        folder="",
        evaluations=str(place / "evaluations"),
        threads=torch.get_num_threads(),
        gpus=1.0 if device.type == "cuda" else 0.0,
        execution=work.execution,
    )
    before = {"search": 0, "evaluation": space.search_epochs}
    total = space.search_epochs + space.evaluation.all_epochs
    outcomes = []
    for number, seed in enumerate(work.seeds):
        folder = place / f"{work.recipe}-seed-{seed}"
        told = replace(task, proposal=Proposal(number, seed, {}), folder=str(folder))
        with Progress(f"seed {seed}", total, quiet=quiet) as progress:

            def report(record: dict[str, Any], progress: Progress = progress) -> str | None:
                if record["kind"] == "history":
                    record = record["records"][-1]
                if record["kind"] == "epoch":
                    stage = record["stage"]
                    progress.update(before[stage] + record["epoch"] + 1, stage)
                return None

            outcomes.append(run_or_fail(run_trial, told, work.images, report))
    return SeedsFound(work.seeds, outcomes)
