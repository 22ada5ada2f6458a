"""Trainings side by side: each candidate with every seed and the same recipe, one training after another.

    trainings = Trainings(space, images, seeds=(0, 1, 2), device=device, places=places)
    results = trainings.train(candidates)
    tested = trainings.test(results[0].candidate, results[0].best())

Seeds are the outer loop: what is stopped early has compared all candidates with the seeds it has. What is done is not done
again. `places` says where each is kept and recorded: below a sweep, or in a folder that was named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.core.steps.meter import NonFiniteLoss
from pcdarts_tune.datasets import DataSet
from pcdarts_tune.files import hold_lock, read_json, write_json
from pcdarts_tune.promotion.candidates import Candidate
from pcdarts_tune.promotion.comparison import CandidateResult, TrainingResult
from pcdarts_tune.promotion.promotion_run import PromotionRun, lineage_tags
from pcdarts_tune.say import say
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tasks import DEFAULTS, Execution, Workers
from pcdarts_tune.tracking.run import Tracked
from pcdarts_tune.tracking.store import MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.training.retraining import read_test, retrain
from pcdarts_tune.training.searching import Searching, search
from pcdarts_tune.training.work import Retraining


@dataclass(frozen=True)
class Place:
    """Where one training is kept and recorded.

    Attributes:
        folder: of the model.
        tracked: None where it is not recorded.
        origin: what model.json keeps of where the genotype came from.
        lock: held while it is trained.
    """

    folder: Path
    checkpoint: Path
    tracked: Tracked | None
    origin: Mapping[str, Any]
    lock: AbstractContextManager[None] = field(default_factory=nullcontext)


@dataclass(frozen=True)
class Trainings:
    """Trains candidates: `space` has the recipe that all of them get, `places` says where each training is kept."""

    space: Space
    images: DataSet
    seeds: tuple[int, ...]
    device: torch.device
    places: Callable[[Candidate, Retraining], Place]
    execution: Execution = DEFAULTS
    workers: Workers = field(default_factory=Workers)
    quiet: bool = False

    def work(self, candidate: Candidate, seed: int) -> Retraining:
        """One training."""
        return Retraining(
            self.space, candidate.genotype, self.images, seed, self.execution, groups=self.workers.parts
        )

    def train(self, candidates: Sequence[Candidate]) -> list[CandidateResult]:
        """Train every candidate with every seed, and read no test split.

        Raises:
            NonFiniteLoss: when the only training there is diverges; of several, one that diverges is written down.
        """
        pairs = [(seed, each) for seed in self.seeds for each in candidates]
        found: dict[str, list[TrainingResult]] = {each.name: [] for each in candidates}
        known: dict[str, TrainingResult] = {}
        for number, (seed, each) in enumerate(pairs, 1):
            work = self.work(each, seed)
            if work.recipe not in known:
                if len(pairs) > 1 and not self.quiet:
                    say(f"training {number} of {len(pairs)}: {each.name}, seed {seed}")
                try:
                    known[work.recipe] = self._train(each, work)
                except NonFiniteLoss as error:
                    if len(pairs) == 1:
                        raise
                    say(f"{each.name}, seed {seed} diverged: {error}")
                    known[work.recipe] = TrainingResult(work, None, str(error))
            found[each.name].append(known[work.recipe])
        return [CandidateResult(each, tuple(found[each.name])) for each in candidates]

    def _train(self, candidate: Candidate, work: Retraining) -> TrainingResult:
        place = self.places(candidate, work)
        with place.lock:
            done = retrain(
                work,
                place.folder,
                device=self.device,
                checkpoint=place.checkpoint,
                tracked=place.tracked,
                origin=place.origin,
                test=False,
                quiet=self.quiet,
                workers=self.workers,
            )
        return TrainingResult(work, done)

    def test(self, candidate: Candidate, result: TrainingResult) -> TrainingResult:
        """A training with its accuracy on the test split, read now if it never was."""
        if result.done is None:
            return result
        tracked = self.places(candidate, result.work).tracked
        return replace(result, done=read_test(result.work, result.done, device=self.device, tracked=tracked))

    def test_all(self, result: CandidateResult) -> CandidateResult:
        """A candidate's trainings, all with their accuracy on the test split."""
        tested = (self.test(result.candidate, each) for each in result.trainings)
        return replace(result, trainings=tuple(tested))

    def search_default(
        self, space: Space, seed: int, execution: Execution, folder: Path, tracked: Tracked | None
    ) -> Candidate:
        """The genotype of a search with the space's own hyperparameters, run now unless `folder` has it; with the seed of
        the first trial of a sweep."""
        work = Searching(space, self.images, derived_seed(seed, "trial", 0), execution)
        place = folder / f"default-{work.recipe}"
        known = place / "search.json"
        if not known.is_file():
            if not self.quiet:
                say("baseline default: searching once with the space's own values")
            checkpoint = place / "checkpoint"
            found = search(work, checkpoint=checkpoint, device=self.device, tracked=tracked, quiet=self.quiet)
            if found.undelivered is not None:
                raise found.undelivered
            write_json(known, {"genotype": found.genotype.to_dict(), "run_id": found.run_id})
            checkpoint.unlink(missing_ok=True)
        about = read_json(known)
        return Candidate("default", "default", read_genotype(about["genotype"]), run_id=about["run_id"])


@dataclass(frozen=True)
class SweepPlaces:
    """Where the trainings of a sweep's promotions are kept and recorded."""

    sweep: SweepHandle
    store: MlflowStore
    run: PromotionRun | None
    several_seeds: bool

    @property
    def folder(self) -> Path:
        return self.sweep.folder.path / "promotions"

    def __call__(self, candidate: Candidate, work: Retraining) -> Place:
        folder = self.folder / f"{work.genotype.canonical_hash()}-{work.recipe}"
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold_lock(
            folder / "lock",
            f"{candidate.name} is already being trained with seed {work.seed}, by {{holder}}",
            "wait for it: promote then takes its result",
        )
        origin = {"sweep": self.sweep.name, "trial": candidate.trial, "trial_run": candidate.run_id}
        return Place(
            folder / "model", folder / "checkpoint", self._tracked(candidate, work.seed), origin, lock
        )

    def _tracked(self, candidate: Candidate, seed: int) -> Tracked:
        tags: dict[str, str] = {}
        if candidate.kind == "candidate":
            name = f"t{candidate.trial:02d} retraining"
        else:
            name = f"{candidate.name} retraining"
            tags[Tag.BASELINE] = candidate.name
        if candidate.trial is not None:
            tags[Tag.TRIAL] = str(candidate.trial)
        if candidate.run_id is not None:
            tags[Tag.SEARCH_RUN if candidate.trial is None else Tag.TRIAL_RUN] = candidate.run_id
        return self.tracked(f"{name} seed {seed}" if self.several_seeds else name, tags)

    def tracked(self, name: str, tags: Mapping[str, str]) -> Tracked:
        """A run of the sweep, nested under that of the promotion."""
        parent = None if self.run is None else self.run.run_id
        sweep = self.sweep
        return Tracked(
            self.store, sweep.experiment, f"{sweep.name} {name}", {**lineage_tags(sweep), **tags}, parent
        )
