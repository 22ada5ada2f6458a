"""Genotypes trained side by side: each with every seed and the same recipe, one training after another.

    standings = Rounds.train(contestants)       # of a `Contest` (a sweep's promotion) or of `SeveralSeeds` (retrain --seeds)

Seeds are the outer loop: what is stopped early has compared all contestants with the seeds it has. What is done is not done
again. Where trainings lie and how they are recorded, the subclasses say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.execution import Execution
from pcdarts_tune.promoting.comparison import Standing, Trained
from pcdarts_tune.promoting.contestants import Contestant
from pcdarts_tune.recording.epoch_run import Tracked
from pcdarts_tune.retraining import Retraining, read_test, retrain
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.config import Space
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.distributed.fitting import Workers


class Rounds(ABC):
    """Trains genotypes.

    Attributes:
        space: with the retraining recipe that all of them get.
        seeds: of the trainings.
        execution, groups, workers: of the trainings, see `Retraining` and `retrain`.
    """

    space: Space
    images: DataSet
    seeds: tuple[int, ...]
    device: torch.device
    quiet: bool
    execution: Execution
    groups: int = 1
    workers: Workers | None = None

    @abstractmethod
    def places(self, each: Contestant, work: Retraining) -> tuple[Path, Path]:
        """The folder of a training's model, and its checkpoint."""

    @abstractmethod
    def tracked(self, each: Contestant, seed: int) -> Tracked | None:
        """Where a training is recorded."""

    @abstractmethod
    def origin(self, each: Contestant) -> Mapping[str, Any]:
        """What model.json keeps of where the genotype came from."""

    def work(self, contestant: Contestant, seed: int) -> Retraining:
        """One training."""
        return Retraining(
            self.space, contestant.genotype, self.images, seed, self.execution, groups=self.groups
        )

    def train(self, contestants: Sequence[Contestant]) -> list[Standing]:
        """Train every contestant with every seed, and read no test split.

        Raises:
            NonFiniteLoss: when the only training there is diverges; of several, one that diverges is written down.
        """
        from pcdarts_tune.core.meter import NonFiniteLoss

        total = len(contestants) * len(self.seeds)
        found: dict[str, list[Trained]] = {each.name: [] for each in contestants}
        trained: dict[str, Trained] = {}
        number = 0
        for seed in self.seeds:
            for each in contestants:
                number += 1
                work = self.work(each, seed)
                if work.recipe not in trained:
                    if total > 1 and not self.quiet:
                        say(f"training {number} of {total}: {each.name}, seed {seed}")
                    try:
                        trained[work.recipe] = self._train(each, work)
                    except NonFiniteLoss as error:
                        if total == 1:
                            raise
                        say(f"{each.name}, seed {seed} diverged: {error}")
                        trained[work.recipe] = Trained(work, None, str(error))
                found[each.name].append(trained[work.recipe])
        return [Standing(each, tuple(found[each.name])) for each in contestants]

    def _train(self, each: Contestant, work: Retraining) -> Trained:
        folder, checkpoint = self.places(each, work)
        done = retrain(
            work,
            folder,
            device=self.device,
            checkpoint=checkpoint,
            tracked=self.tracked(each, work.seed),
            origin=self.origin(each),
            test=False,
            quiet=self.quiet,
            workers=self.workers,
        )
        return Trained(work, done)

    def test(self, each: Contestant, trained: Trained) -> Trained:
        """A training with its accuracy on the test split, read now if it never was."""
        if trained.done is None:
            return trained
        tracked = self.tracked(each, trained.seed)
        return Trained(
            trained.work, read_test(trained.work, trained.done, device=self.device, tracked=tracked)
        )


def searched_contestant(
    space: Space,
    images: DataSet,
    seed: int,
    folder: Path,
    *,
    device: torch.device,
    execution: Execution,
    tracked: Tracked | None,
    quiet: bool,
) -> Contestant:
    """The genotype of one search with the space's own hyperparameters, run now unless `folder` has it."""
    from pcdarts_tune.core.genotype import Genotype
    from pcdarts_tune.home import read_json, write_json
    from pcdarts_tune.searching import Searching, search

    work = Searching(space, images, seed, execution)
    place = folder / f"default-{work.recipe}"
    known = place / "search.json"
    if not known.is_file():
        if not quiet:
            say("baseline default: searching once with the space's own values")
        checkpoint = place / "checkpoint"
        found = search(work, checkpoint=checkpoint, device=device, tracked=tracked, quiet=quiet)
        if found.undelivered is not None:
            raise found.undelivered
        write_json(known, {"genotype": found.genotype.to_dict(), "run_id": found.run_id})
        checkpoint.unlink(missing_ok=True)
    about = read_json(known)
    return Contestant("default", "default", Genotype.from_dict(about["genotype"]), run_id=about["run_id"])
