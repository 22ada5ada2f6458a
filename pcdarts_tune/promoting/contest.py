"""The trainings of a promotion, one after another with the same recipe; those that are done are not done again.

    contest = Contest(sweep, space, images, seeds=(0, 1, 2), device=device, store=store, run=run)
    standings = contest.train(contestants)

Seeds are the outer loop: a contest that is stopped early has compared all contestants with the seeds it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.execution import DEFAULTS, Execution
from pcdarts_tune.locks import FileLock
from pcdarts_tune.promoting.comparison import Standing, Trained
from pcdarts_tune.promoting.contestants import Contestant, candidate, own_trial
from pcdarts_tune.recording.epoch_run import Tracked
from pcdarts_tune.recording.promotion_run import PromotionRun, lineage_tags
from pcdarts_tune.retraining import Retraining, read_test, retrain
from pcdarts_tune.searching import Searching, search
from pcdarts_tune.study import derived_seed
from pcdarts_tune.terminal.options import say

if TYPE_CHECKING:
    import torch

    from pcdarts_tune.config import Space
    from pcdarts_tune.datasets import DataSet
    from pcdarts_tune.sweep import SweepHandle
    from pcdarts_tune.tracking import MlflowStore


@dataclass(frozen=True)
class Contest:
    """Trains genotypes for a promotion.

    Attributes:
        space: with the retraining recipe that all of them get.
        seeds: of the trainings.
        run: what the trainings are nested under; None where there is one alone.
        execution: of the trainings.
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

    @property
    def _folder(self) -> Path:
        return self.sweep.folder.path / "promotions"

    def place(self, work: Retraining) -> Path:
        """The folder of one training."""
        return self._folder / f"{work.genotype.canonical_hash()}-{work.recipe}"

    def work(self, contestant: Contestant, seed: int) -> Retraining:
        """One training."""
        return Retraining(self.space, contestant.genotype, self.images, seed, self.execution)

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
        place = self.place(work)
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(
            place / "lock",
            f"{each.name} is already being trained with seed {work.seed}, by {{holder}}",
            "wait for it: promote then takes its result",
        ):
            done = retrain(
                work,
                place / "model",
                device=self.device,
                checkpoint=place / "checkpoint",
                tracked=self._tracked(each, work.seed),
                origin={"sweep": self.sweep.name, "trial": each.trial, "trial_run": each.run_id},
                test=False,
                quiet=self.quiet,
            )
        if self.run is not None and done.run_id is not None:
            self.run.adopt(done.run_id)
        return Trained(work, done)

    def test(self, each: Contestant, trained: Trained) -> Trained:
        """A training with its accuracy on the test split, read now if it never was."""
        if trained.done is None:
            return trained
        tracked = self._tracked(each, trained.seed)
        return Trained(
            trained.work, read_test(trained.work, trained.done, device=self.device, tracked=tracked)
        )

    def default_contestant(self) -> Contestant:
        """The genotype of the space's own hyperparameters: that of the trial which ran with them, as the first trial of
        a sweep does, or else of one search that is run now, with the seed such a trial would have had."""
        from dataclasses import replace

        from pcdarts_tune.core.genotype import Genotype
        from pcdarts_tune.home import read_json, write_json

        if (record := own_trial(self.sweep)) is not None:
            if not self.quiet:
                say(
                    f"baseline default: the genotype of trial {record.trial}, which ran with the space's own values"
                )
            return replace(candidate(record), name="default", kind="default")
        seed = derived_seed(self.sweep.settings.seed, "trial", 0)
        work = Searching(self.sweep.space, self.images, seed, self.sweep.settings.execution)
        place = self._folder / f"default-{work.recipe}"
        known = place / "search.json"
        if not known.is_file():
            if not self.quiet:
                say("baseline default: no trial ran with the space's own values; searching once with them")
            found = search(
                work,
                checkpoint=place / "checkpoint",
                device=self.device,
                tracked=Tracked(
                    self.store,
                    self.sweep.experiment,
                    f"{self.sweep.name} search with the space's own values",
                    {**lineage_tags(self.sweep), "pcdarts.baseline": "default"},
                    None if self.run is None else self.run.run_id,
                ),
                quiet=self.quiet,
            )
            write_json(known, {"genotype": found.genotype.to_dict(), "run_id": found.run_id})
            (place / "checkpoint").unlink(missing_ok=True)
        about = read_json(known)
        return Contestant("default", "default", Genotype.from_dict(about["genotype"]), run_id=about["run_id"])

    def _tracked(self, each: Contestant, seed: int) -> Tracked:
        sweep = self.sweep
        tags = lineage_tags(sweep)
        if each.kind == "candidate":
            name = f"{sweep.name} t{each.trial:02d} retraining"
        else:
            name = f"{sweep.name} {each.name} retraining"
            tags["pcdarts.baseline"] = each.name
        if each.trial is not None:
            tags["pcdarts.trial"] = str(each.trial)
        if each.run_id is not None:
            tags["pcdarts.trial_run" if each.trial is not None else "pcdarts.search_run"] = each.run_id
        if len(self.seeds) > 1:
            name += f" seed {seed}"
        parent = None if self.run is None else self.run.run_id
        return Tracked(self.store, sweep.experiment, name, tags, parent)
