"""A calibration as work for Ray Tune: which trainings there are, which are known, and what each is told.

    calibration = Calibration.plan(where, "mine", cells, recipes, images, seeds=2)
    calibration.queue.left              # those to run; the others are known from before
    calibration.known(item)             # a Training, a reason why it failed, or None

HOME/calibrations/NAME/trials/<key>/     checkpoint while it runs, result.json when it ended
HOME/evaluations/<key>.json              the curve, for every calibration of the home
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune import plugins
from pcdarts_tune.calibration.cells import Cell
from pcdarts_tune.calibration.recipes import Recipe
from pcdarts_tune.calibration.trial import Training, curve_of, from_cache, images_key, single_training
from pcdarts_tune.cluster.resources import Share
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import hold_lock
from pcdarts_tune.home import NAME, Where
from pcdarts_tune.places import below
from pcdarts_tune.sweeps.study.samplers import derived_seed
from pcdarts_tune.sweeps.trials.log import EvaluationCache, read_result
from pcdarts_tune.sweeps.view import Progress, Screen, View
from pcdarts_tune.tasks import DEFAULTS, Execution, Outcome, Proposal, TrialTask
from pcdarts_tune.training.journal import digest

if TYPE_CHECKING:
    from pcdarts_tune.datasets import DataSet


@dataclass(frozen=True)
class Item:
    """One training: of a cell, with a recipe, and the number of its seed."""

    cell: Cell
    recipe: Recipe
    seed: int
    task: TrialTask = field(repr=False)
    cache: EvaluationCache = field(repr=False)

    @property
    def key(self) -> str:
        """16 hexadecimal digits of all that its result depends on."""
        return self.cache.name.removesuffix(".json")


class ItemQueue:
    """The items that are to be run, in their order; Ray's trial numbers count them."""

    def __init__(self, left: Sequence[Item]) -> None:
        self.left = list(left)
        self._asked = 0
        self._open: set[int] = set()
        self._notes: dict[str, Any] = {}

    def proposal(self, number: int) -> Proposal:
        """What a person sees of an item."""
        item = self.left[number]
        shown = {"cell": item.cell.name, "recipe": item.recipe.name, "seed": item.seed}
        return Proposal(number, item.seed, shown)

    def __len__(self) -> int:
        return self._asked

    def unfinished(self) -> list[Proposal]:
        return [self.proposal(number) for number in sorted(self._open)]

    def ask(self, target: int) -> Proposal:
        number = self._asked
        self._asked += 1
        self._open.add(number)
        return self.proposal(number)

    def start(self, number: int) -> None:
        """Nothing: an item is open until its end is told."""

    def tell(self, number: int, outcome: Outcome) -> bool:
        known = number not in self._open
        self._open.discard(number)
        return not known

    def note(self, key: str, value: Any) -> None:
        self._notes[key] = value

    def notes(self) -> dict[str, Any]:
        return self._notes


class Untracked:
    """Nobody is told of single trainings: a calibration's figures go to MLflow at its end."""

    trouble: str | None = None

    def trial(self, proposal: Proposal) -> None: ...
    def record(self, number: int, record: dict[str, Any]) -> None: ...
    def ended(self, number: int, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class Calibration:
    """Cells, recipes and seeds, each combination a training.

    Attributes:
        items: all of them, cell by cell: one that is stopped has whole cells.
        images: by `images_key`.
        storage: where trainings keep their files when not in the home, see places.py.
    """

    where: Where
    name: str
    cells: Sequence[Cell]
    recipes: Sequence[Recipe]
    images: Mapping[str, DataSet]
    items: Sequence[Item]
    execution: Execution
    storage: str | None = None

    max_failures = 2
    asks_beside = False

    @classmethod
    def plan(
        cls,
        where: Where,
        name: str,
        cells: Sequence[Cell],
        recipes: Sequence[Recipe],
        images: Mapping[str, DataSet],
        *,
        seeds: int = 1,
        seed: int | None = None,
        execution: Execution = DEFAULTS,
        storage: str | None = None,
    ) -> Calibration:
        """All trainings, none run.

        Args:
            seeds: trainings of each cell, at least those that a recipe's score is a mean of (`evaluation.seeds`).
            seed: they are drawn from it, as a sweep's evaluations are; None for the space's.

        Raises:
            UserError: the name cannot be a folder's, or a cell is of another family than the space's.
        """
        from pcdarts_tune.training.build import check_family

        if not NAME.fullmatch(name):
            legal = "letters, digits, '_', '.' and '-', a letter or digit first, at most 100"
            raise UserError(f"{name!r} cannot name a calibration: {legal}", hint="such as --name first")
        root = storage or str(where.home.absolute())
        made = []
        for cell in cells:
            for recipe in recipes:
                check_family(recipe.space, cell.genotype)
                space = single_training(recipe.space)
                digest_of_images = images[images_key(space.data)].digest
                base = derived_seed(recipe.space.seed if seed is None else seed, "evaluation")
                for number in range(max(seeds, recipe.space.evaluation.seeds)):
                    task = TrialTask(
                        Proposal(0, number, {}),
                        derived_seed(base, "evaluation", number) if number else base,
                        space.model_dump_json(),
                        "",
                        below(root, "evaluations"),
                        execution=execution,
                        genotype=cell.genotype.to_dict(),
                        plugins=plugins.records_of(cell.genotype.to_dict(), space.model_dump(mode="json")),
                    )
                    cache = EvaluationCache.of(task, space, cell.genotype, digest_of_images)
                    made.append(Item(cell, recipe, number, task, cache))
        return cls(where, name, cells, recipes, images, made, execution, storage)

    @property
    def folder(self) -> Path:
        return self.where.home.absolute() / "calibrations" / self.name

    @property
    def identity(self) -> str:
        return digest({"calibration": str(self.folder)})

    @property
    def ray(self) -> Path:
        return self.folder / "ray"

    @cached_property
    def queue(self) -> ItemQueue:
        """What is to be run; equal trainings once."""
        return ItemQueue(list({item.key: item for item in self.items if self.known(item) is None}.values()))

    @property
    def target(self) -> int:
        return len(self.queue.left)

    def lock(self) -> AbstractContextManager[None]:
        """Held by the one process that runs it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return hold_lock(
            self.folder / "lock",
            f"calibration {self.name!r} is already being run, by {{holder}}",
            "wait for it, or stop that process, or another --name",
        )

    def known(self, item: Item) -> Training | str | None:
        """What an item came to: a training, why it failed, or None where it has not ended."""
        result = read_result(self.address(item))
        if result is not None:
            outcome = Outcome(**result["outcome"])
            if outcome.state != "complete":
                return outcome.reason
            if curve := curve_of(result["history"]):
                return Training.of_outcome(outcome, curve)
        entry = item.cache.read()
        return None if entry is None else from_cache(entry)

    def task(self, proposal: Proposal, share: Share) -> TrialTask:
        item = self.queue.left[proposal.number]
        folder, threads = self.address(item), share.threads
        return replace(item.task, proposal=proposal, folder=folder, threads=threads, gpus=share.gpus)

    def address(self, item: Item) -> str:
        """Where a training keeps its files: a path or a URL."""
        base = str(self.folder) if self.storage is None else below(self.storage, "calibrations", self.name)
        return below(base, "trials", item.key)

    def trial_address(self, number: int) -> str:
        return self.address(self.queue.left[number])

    def decide_at_rung(self, number: int, reached: dict[str, Any]) -> str | None:
        """None: every training runs to its end."""
        return None

    def view(self, share: Share, *, quiet: bool) -> View:
        if not quiet:
            what = f"calibration {self.name}: {self.target} trainings, {share}; in {self.folder}"
            print(what, file=sys.stderr, flush=True)
        longest = max(item.recipe.space.evaluation.epochs for item in self.queue.left)
        progress = Progress(self.target, share.concurrent, {"search": 0, "evaluation": longest})
        return View(progress, None if quiet else Screen(live=sys.stderr.isatty()))
