"""Running a calibration: the trainings that are not known, as Ray trials, until all are or it is stopped.

reason = run_calibration(calibration, RunSettings())        # "done", "interrupted", "time budget"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.calibration.recipes import Recipe
from pcdarts_tune.calibration.trial import images_key, train_cell
from pcdarts_tune.calibration.work import Calibration, Untracked
from pcdarts_tune.cluster.processes import end_leftover_processes
from pcdarts_tune.sweeps.ending import ReasonToStop, Stop
from pcdarts_tune.sweeps.launch import load_images
from pcdarts_tune.sweeps.runner import RunSettings, run_work
from pcdarts_tune.sweeps.work import count_left

if TYPE_CHECKING:
    from pcdarts_tune.datasets import DataSet


def load_all_images(recipes: Sequence[Recipe], data: Path | None, home: Path) -> Mapping[str, DataSet]:
    """The images of each recipe, by `images_key`; those that recipes share are loaded once.

    Raises:
        UserError: what is wrong with them, or that a space holds nothing out to score cells on.
    """
    found: dict[str, DataSet] = {}
    for recipe in recipes:
        key = images_key(recipe.space.data)
        if key not in found:
            found[key] = load_images(recipe.space, data, home)
    return found


def run_calibration(calibration: Calibration, run: RunSettings) -> ReasonToStop:
    """Run the trainings that are left; why it ended.

    Raises:
        UserError: another process runs it, or its resources can never be had.
        WorkFailed: Ray does not run trials at all.
    """
    import torch

    if not calibration.queue.left:
        return "done"
    if run.cpus is None and run.threads is None and run.address is None and not torch.cuda.device_count():
        # trainings this small gain little by a second thread, and there are many of them
        run = replace(run, cpus=1.0)
    with calibration.lock(), Stop(run.time_budget, quiet=run.quiet) as stop:
        end_leftover_processes(calibration.identity)
        run_work(calibration, run, stop, Untracked(), data=dict(calibration.images), function=train_cell)
        return stop.reason if count_left(calibration.queue, calibration.target) else "done"
