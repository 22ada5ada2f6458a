"""Making a sweep, and running it: what `sweep`, `resume` and `extend` have in common.

prepared = prepare_sweep(load_space("quickstart"), Where(Path("home")), trials=4)
sweep, images = prepared.create(RunSettings())
launch.run(sweep, RunSettings(), images)
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune.datasets.load import about_images
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import Where
from pcdarts_tune.places import check_address
from pcdarts_tune.say import say
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spaces.tuning import usual_trials
from pcdarts_tune.sweeps import launch
from pcdarts_tune.sweeps.benchmark import Benchmark, read_objective
from pcdarts_tune.sweeps.comparison import Scoring
from pcdarts_tune.sweeps.create import create_sweep
from pcdarts_tune.sweeps.noise import candidate_options
from pcdarts_tune.sweeps.queued import read_queue
from pcdarts_tune.sweeps.record import SweepSettings
from pcdarts_tune.sweeps.runner import Ended, RunSettings, trials_left
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.sweeps.warm_start import learn_from
from pcdarts_tune.tasks import DEFAULTS, Execution
from pcdarts_tune.tracking.store import MlflowStore

if TYPE_CHECKING:
    from pcdarts_tune.datasets import DataSet


@dataclass(frozen=True)
class Prepared:
    """A sweep that can be made: its options are right, its name is free."""

    where: Where
    name: str
    space: Space
    settings: SweepSettings
    trials: int
    data: Path | None
    table: tuple[Benchmark, str] | None
    source: SweepHandle | None = None
    queued: Sequence[Mapping[str, Any]] = ()

    def create(self, run: RunSettings) -> tuple[SweepHandle, DataSet]:
        """Make it, once machines, stores and images were looked at.

        Raises:
            UserError: what is wrong with them.
        """
        home, store = self.where.home, MlflowStore.of(self.where)
        launch.check_before(home, run, store, self.space.name, storage=self.settings.storage)
        images = launch.load_images(self.space, self.data, home)
        about = about_images(images)
        learned = None
        if self.source is not None:
            scoring = Scoring(self.name, self.space, images.digest, self.settings.precision)
            learned = learn_from(self.source, self.space, scoring)
            for line in learned.lines():
                say(line)
        sweep = create_sweep(
            home,
            self.name,
            self.space,
            self.settings,
            trials=self.trials,
            data=about,
            benchmark=self.table,
            learned=learned,
            queued=self.queued,
        )
        return sweep, images


def prepare_sweep(
    space: Space,
    where: Where,
    *,
    trials: int | None = None,
    name: str | None = None,
    data: Path | None = None,
    seed: int | None = None,
    execution: Execution = DEFAULTS,
    max_failures: int = 2,
    benchmark: Path | None = None,
    truth: str | None = None,
    storage: str | None = None,
    warm_start: str | None = None,
    enqueue: Path | None = None,
) -> Prepared:
    """See that a sweep can be made; writes nothing.

    Args:
        trials: None for the usual number of its space.
        warm_start: a sweep whose trials the sampler shall know.
        enqueue: a file with the settings of its first trials.

    Raises:
        UserError: its name is taken or no name, its storage or its benchmark is none.
    """
    settings = SweepSettings(
        seed=space.seed if seed is None else seed,
        sampler=space.sampler,
        data_root=None if data is None else str(data),
        tracking_uri=where.tracking_uri,
        study_uri=where.study_uri,
        storage=None if storage is None else check_address(storage),
        max_failures=max_failures,
        **execution.arguments(),
    )
    table = read_objective(space, benchmark, truth)
    chosen = launch.choose_name(where.home, name, space)
    wanted = usual_trials(space.tune) if trials is None else trials
    source = None if warm_start is None else open_sweep(replace(where, study_uri=None), warm_start)
    queued = [] if enqueue is None else read_queue(enqueue, space)
    if len(queued) > wanted:
        raise UserError(
            f"{enqueue} has {len(queued)} settings, and --trials is {wanted}", hint=f"--trials {len(queued)}"
        )
    return Prepared(where, chosen, space, settings, wanted, data, table, source, queued)


def prepare_resuming(sweep: SweepHandle, run: RunSettings, data: Path | None = None) -> DataSet:
    """The images of a sweep that shall go on, once machines and stores were looked at.

    Raises:
        UserError: what is wrong with them.
    """
    images = launch.load_images_of(sweep, data)
    left = trials_left(sweep) > 0  # else there is nothing to do but to deliver
    _check(sweep, run, goes_on=left)
    return images


def extend_sweep(
    sweep: SweepHandle, trials: tuple[bool, int], run: RunSettings, data: Path | None = None
) -> DataSet:
    """Give a sweep more trials (`options.parse_more`); its images.

    Raises:
        UserError: it has so many, it is being run, or something is wrong with its images or stores.
    """
    images = launch.load_images_of(sweep, data)
    _check(sweep, run)
    with sweep.lock():  # nobody may be running it while its target changes
        launch.extend(sweep, *trials)
    return images


def _check(sweep: SweepHandle, run: RunSettings, *, goes_on: bool = False) -> None:
    home, storage = sweep.where.home, sweep.settings.storage
    launch.check_before(home, run, sweep.store(), sweep.experiment, storage=storage, goes_on=goes_on)


_BUSY = threading.Lock()


@contextmanager
def alone() -> Iterator[None]:
    """One sweep at a time in this process: Ray is one for all threads.

    Raises:
        UserError: another thread runs one.
    """
    if not _BUSY.acquire(blocking=False):
        raise UserError(
            "another thread of this process runs a sweep", hint="wait for it, or take a process of its own"
        )
    try:
        yield
    finally:
        _BUSY.release()


def run_from_python(sweep: SweepHandle, run: RunSettings, images: DataSet) -> None:
    """Run a sweep to its end, or to the end of its time budget, and say what can be done next.

    Raises:
        KeyboardInterrupt: it was interrupted, and has ended cleanly.
        WorkFailed: no trial was completed, or MLflow did not take all that there is to record.
    """
    opened = _in_python(sweep)
    again = f"{opened}.resume()"
    ended = launch.run(sweep, run, images, f"to go on: {again}")
    _raise_undelivered(sweep, ended)
    if ended.reason != "done":
        say(f"stopped ({ended.reason}); to go on: {again}")
    if ended.reason == "interrupted":
        raise KeyboardInterrupt(f"sweep {sweep.name!r}")
    records = sweep.records()
    if ended.reason == "done" and not any(record.objective is not None for record in records):
        raise WorkFailed("no trial was completed", hint=sweep.what_next())
    options = candidate_options(records, sweep.space.objective)
    candidates = f"candidates={options[1]}" if options else ""
    if ended.reason == "done":
        say(f"next: {opened}.promote({candidates})")


def _in_python(sweep: SweepHandle) -> str:
    """What opens the sweep, with its home where it needs it to be found."""
    home = f", home={str(sweep.where.home)!r}" if sweep.where.home_flag else ""
    return f"pt.open_sweep({sweep.name!r}{home})"


def _raise_undelivered(sweep: SweepHandle, ended: Ended) -> None:
    if not ended.undelivered:
        return
    error = launch.undelivered(sweep, ended)
    if ended.reason != "interrupted":
        raise error
    say(f"Error: {error}", always=True)
