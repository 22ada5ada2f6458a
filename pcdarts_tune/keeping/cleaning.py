"""What of a home is disposable: decoded images, Ray's own files, checkpoints of trials that have ended.

    cleaning = Cleaning.plan(where, ("cache", "ray"))
    print("\\n".join(cleaning.said.lines()))
    cleaning.run()

What is in use stays: sweeps and calibrations that run keep theirs, and all of them the images. Everything is looked at again
under its lock before it is removed, so what is interrupted is simply done again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pcdarts_tune.errors import UserError
from pcdarts_tune.files import hold_lock, remove_tree, size_of
from pcdarts_tune.home import SweepFolder, Where, is_running, sweep_lock, sweep_names
from pcdarts_tune.keeping.listing import glance
from pcdarts_tune.keeping.plans import Plan
from pcdarts_tune.machine import files_in_use
from pcdarts_tune.places import below, place_at
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.sweeps.trials.log import CHECKPOINT

KINDS = {
    "cache": "files of decoded images",
    "ray": "folders of Ray's own files",
    "checkpoints": "checkpoints of trials that have ended",
}
"""What can be removed, and what it is called."""
_CHECKPOINT = re.compile(rf"([^/]+)/(?:{CHECKPOINT}|\.{CHECKPOINT}\.[^/]*\.tmp)")


@dataclass(frozen=True)
class Target:
    """Something disposable: of which kind, how many bytes, what removes it, and the lock that has to be held meanwhile."""

    kind: str
    bytes: int
    remove: Callable[[], None]
    lock: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass(frozen=True)
class Cleaning:
    """What can go now; `stays`: what cannot, with the reason."""

    targets: Sequence[Target]
    stays: Sequence[str]

    @classmethod
    def plan(cls, where: Where, kinds: Sequence[str] = tuple(KINDS)) -> Cleaning:
        """Look, and remove nothing."""
        targets: list[Target] = []
        stays: list[str] = []
        works = [*_sweeps(where, stays), *_calibrations(where)]
        running = [name for name, folder, _ in works if is_running(SweepFolder(folder))]
        stays += [f"all that {name} has, which runs" for name in running]
        if "cache" in kinds:
            targets += _cache(where.home / "cache", running, stays)
        for name, folder, checkpoints in works:
            if name in running:
                continue
            if "ray" in kinds and (folder / "ray").is_dir():
                remove = partial(remove_tree, folder / "ray")
                targets.append(Target("ray", size_of(folder / "ray"), remove, _lock_of(folder)))
            if "checkpoints" in kinds:
                targets += checkpoints()
        return cls(targets, stays)

    @property
    def said(self) -> Plan:
        """What goes and what stays."""
        plan = Plan("clean up:", stays=list(self.stays))
        for kind, what in KINDS.items():
            of_kind = [target for target in self.targets if target.kind == kind]
            plan.add(what, len(of_kind), sum(target.bytes for target in of_kind))
        return plan

    def run(self) -> list[str]:
        """Remove it; why something was not, such as a sweep that was resumed meanwhile.

        Raises:
            OSError: something cannot be removed.
        """
        kept = []
        for target in self.targets:
            try:
                with target.lock():
                    target.remove()
            except UserError as error:
                kept.append(str(error))
        return list(dict.fromkeys(kept))


_Work = tuple[str, Path, Callable[[], list[Target]]]
"""What a sweep or calibration is called, its folder, and what finds its checkpoints."""


def _sweeps(where: Where, stays: list[str]) -> Iterator[_Work]:
    for name in sweep_names(where.home):
        try:
            sweep = SweepHandle(replace(where, study_uri=None), SweepFolder.of(where.home, name))
        except UserError as error:
            stays.append(f"all that sweep {name} has: {error}")
            continue
        yield f"sweep {name}", sweep.folder.path, partial(_of_sweep, sweep, stays)


def _of_sweep(sweep: SweepHandle, stays: list[str]) -> list[Target]:
    try:
        open_trials = glance(sweep.where, SweepFolder(sweep.folder.path), sweep.settings).open
        trials = below(sweep.settings.storage or str(sweep.folder.path), "trials")
        left = place_at(trials).files()
    except (UserError, OSError) as error:
        stays.append(f"checkpoints of sweep {sweep.name}: {error}")
        return []
    ended = {name for name in left if (match := _CHECKPOINT.fullmatch(name)) and match[1].isdigit()}
    ended = {name for name in ended if int(name.partition("/")[0]) not in open_trials}
    return _checkpoints(trials, {name: left[name] for name in ended}, _lock_of(sweep.folder.path))


def _calibrations(where: Where) -> Iterator[_Work]:
    for folder in sorted((where.home.absolute() / "calibrations").glob("*")):
        yield f"calibration {folder.name}", folder, partial(_of_calibration, folder)


def _of_calibration(folder: Path) -> list[Target]:
    left = place_at(folder / "trials").files()
    ended = {
        name: size
        for name, size in left.items()
        if (match := _CHECKPOINT.fullmatch(name)) and f"{match[1]}/result.json" in left
    }
    return _checkpoints(str(folder / "trials"), ended, _lock_of(folder))


def _checkpoints(
    trials: str, found: dict[str, int], lock: Callable[[], AbstractContextManager[None]]
) -> list[Target]:
    def remove(trial: str) -> None:
        place = place_at(below(trials, trial))
        place.delete(CHECKPOINT)
        place.tidy()

    return [
        Target("checkpoints", size, partial(remove, name.partition("/")[0]), lock)
        for name, size in sorted(found.items())
    ]


def _cache(folder: Path, running: Sequence[str], stays: list[str]) -> list[Target]:
    files = sorted(path for path in folder.glob("*") if path.is_file())
    if files and running:
        stays.append(f"the decoded images in {folder}: {', '.join(running)} may read them")
        return []
    used = files_in_use(folder)
    stays += [f"{path}: a process reads it" for path in files if path.resolve() in used]

    def remove(path: Path) -> None:
        if path.resolve() not in files_in_use(folder):
            path.unlink(missing_ok=True)

    return [
        Target("cache", size_of(path), partial(remove, path)) for path in files if path.resolve() not in used
    ]


def _lock_of(folder: Path) -> Callable[[], AbstractContextManager[None]]:
    if folder.parent.name == "sweeps":
        return lambda: sweep_lock(SweepFolder(folder))
    held = f"calibration {folder.name!r} is being run, by {{holder}}"
    return lambda: hold_lock(folder / "lock", held, "wait for it")
