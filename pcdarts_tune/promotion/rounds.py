"""Genotypes trained side by side: each with every seed and the same recipe, one training after another.

    standings = Rounds.train(contestants)       # of a `Contest` (a sweep's promotion) or of `SeveralSeeds` (retrain --seeds)

Seeds are the outer loop: what is stopped early has compared all contestants with the seeds it has. What is done is not done
again. Where trainings lie and how they are recorded, the subclasses say.

The trainings of a promotion, one after another with the same recipe; those that are done are not done again.

contest = Contest(sweep, space, images, seeds=(0, 1, 2), device=device, store=store, run=run)
standings = contest.train(contestants)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.files import hold_lock
from pcdarts_tune.promotion.candidates import Contestant, candidate, own_trial
from pcdarts_tune.promotion.comparison import Standing, Trained
from pcdarts_tune.promotion.promotion_run import PromotionRun, lineage_tags
from pcdarts_tune.say import say
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.tracking.run import Tracked
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.retraining import read_test, retrain
from pcdarts_tune.training.work import Retraining

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.spaces.space import Space
    from pcdarts_tune.sweeps.sweep import SweepHandle
    from pcdarts_tune.tasks import Workers
    from pcdarts_tune.tracking.store import MlflowStore


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
        from pcdarts_tune.core.steps.meter import NonFiniteLoss

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
    from pcdarts_tune.files import read_json, write_json
    from pcdarts_tune.training.searching import Searching, search

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


@dataclass(frozen=True)
class Contest(Rounds):
    """Trains genotypes for a promotion.

    Attributes:
        run: what the trainings are nested under; None where there is one alone.
    """

    sweep: SweepHandle
    space: Space
    images: DataSet
    seeds: tuple[int, ...]
    device: torch.device
    store: MlflowStore
    run: PromotionRun | None = None
    quiet: bool = False
    execution: Execution = DEFAULTS
    groups: int = 1
    workers: Workers | None = None

    @property
    def _folder(self) -> Path:
        return self.sweep.folder.path / "promotions"

    def place(self, work: Retraining) -> Path:
        """The folder of one training."""
        return self._folder / f"{work.genotype.canonical_hash()}-{work.recipe}"

    def places(self, each: Contestant, work: Retraining) -> tuple[Path, Path]:
        place = self.place(work)
        return place / "model", place / "checkpoint"

    def origin(self, each: Contestant) -> Mapping[str, Any]:
        return {"sweep": self.sweep.name, "trial": each.trial, "trial_run": each.run_id}

    def _train(self, each: Contestant, work: Retraining) -> Trained:
        place = self.place(work)
        place.mkdir(parents=True, exist_ok=True)
        with hold_lock(
            place / "lock",
            f"{each.name} is already being trained with seed {work.seed}, by {{holder}}",
            "wait for it: promote then takes its result",
        ):
            trained = super()._train(each, work)
        if self.run is not None and trained.done is not None and trained.done.run_id is not None:
            self.run.adopt(trained.done.run_id)
        return trained

    def default_contestant(self) -> Contestant:
        """The genotype of the space's own hyperparameters: that of the trial which ran with them, as the first trial of
        a sweep does, or else of one search that is run now, with the seed such a trial would have had."""
        if (record := own_trial(self.sweep)) is not None:
            if not self.quiet:
                say(
                    f"baseline default: the genotype of trial {record.trial}, which ran with the space's own values"
                )
            return replace(candidate(record), name="default", kind="default")
        return searched_contestant(
            self.sweep.space,
            self.images,
            derived_seed(self.sweep.settings.seed, "trial", 0),
            self._folder,
            device=self.device,
            execution=self.sweep.settings.execution,
            tracked=Tracked(
                self.store,
                self.sweep.experiment,
                f"{self.sweep.name} search with the space's own values",
                {**lineage_tags(self.sweep), Tag.BASELINE: "default"},
                None if self.run is None else self.run.run_id,
            ),
            quiet=self.quiet,
        )

    def tracked(self, each: Contestant, seed: int) -> Tracked:
        sweep = self.sweep
        tags = lineage_tags(sweep)
        if each.kind == "candidate":
            name = f"{sweep.name} t{each.trial:02d} retraining"
        else:
            name = f"{sweep.name} {each.name} retraining"
            tags[Tag.BASELINE] = each.name
        if each.trial is not None:
            tags[Tag.TRIAL] = str(each.trial)
        if each.run_id is not None:
            tags[Tag.TRIAL_RUN if each.trial is not None else Tag.SEARCH_RUN] = each.run_id
        if len(self.seeds) > 1:
            name += f" seed {seed}"
        parent = None if self.run is None else self.run.run_id
        return Tracked(self.store, sweep.experiment, name, tags, parent)
