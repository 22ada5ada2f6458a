"""What the commands that run a sweep do around it: look before they start, and say at the end what came of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdarts_tune.cluster.resources import share_resources, this_machine
from pcdarts_tune.cluster.session import look_up_cluster
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import SweepFolder, free_name
from pcdarts_tune.machine import network_file_system
from pcdarts_tune.places import require_storage
from pcdarts_tune.say import say
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.create import check_free
from pcdarts_tune.sweeps.leaderboard import leaderboard_json, print_leaderboard, rank_trials, score_notes
from pcdarts_tune.sweeps.noise import candidate_options
from pcdarts_tune.sweeps.runner import Ended, RunSettings, run_sweep
from pcdarts_tune.sweeps.study.samplers import remarks
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tasks import TrialRecord
from pcdarts_tune.tracking.reach import NoAnswer, require_store
from pcdarts_tune.tracking.store import MlflowStore

if TYPE_CHECKING:
    from pcdarts_tune.datasets import DataSet


def choose_name(home: Path, name: str | None, space: Space) -> str:
    """The sweep's name: the one given, which must be free, or the space's with the next number."""
    chosen = free_name(home, space.name) if name is None else name
    SweepFolder.of(home, chosen)
    check_free(home, chosen)
    return chosen


def check_before(
    home: Path,
    run: RunSettings,
    store: MlflowStore,
    experiment: str,
    *,
    storage: str | None = None,
    goes_on: bool = False,
) -> None:
    """Refuse what would fail later: a home in a Ray job's temporary folder, trials that fit nowhere, dead addresses, an
    MLflow store that takes nothing, storage that cannot be written to. A sweep that `goes_on` does so without an MLflow
    server: its records wait."""
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and "/ray/session" in str(home):
        raise UserError(
            f"{home} is the temporary folder of a Ray job and goes when it ends",
            hint="--home with an absolute path on a disk that stays, the same on all nodes",
        )
    try:
        require_store(store, experiment)
    except NoAnswer as error:
        if not goes_on:
            raise
        say(f"note: {error}; records wait until it answers")
    if (kind := network_file_system(home)) is not None:
        say(
            f"note: {home} is on a network ({kind}), where SQLite's locks cannot be trusted: keep --home on a disk of this "
            "machine, with --storage on the network, or take --study-uri and --tracking-uri of a server"
        )
    # joined for a moment: nothing is made before it is known that the cluster lets us in
    cluster = this_machine() if run.address is None else look_up_cluster(run.address)
    share_resources(cluster, trials=1, cpus=run.cpus, gpus=run.gpus, most=run.most, threads=run.threads)
    if storage is not None:
        require_storage(storage)


def load_images(space: Space, data: Path | None, home: Path | None, *, keep: bool = True) -> DataSet:
    """The data set, checked as far as a sweep needs it before anything starts.

    Args:
        home: where decoded images are kept for the next time; None for nowhere.
        keep: False only reads what is kept there, and writes nothing.

    Raises:
        UserError: what is wrong with it, or that the space holds nothing out to score trials on.
    """
    from pcdarts_tune.datasets.load import load_images as read_images

    if space.data.split == "published":
        raise UserError(
            f"space {space.name!r} holds no images out (data.split: published), so trials could not be compared",
            hint="pcdarts-tune search with this --space for one search, or --set data.split=tuning",
        )
    return read_images(space, data, home, ("search", "evaluation", "retrain"), keep=keep)


def load_images_of(sweep: SweepHandle, data: Path | None) -> DataSet:
    """The data set of a sweep, from where it was or from `data`.

    Raises:
        UserError: when it is not the one that the sweep was made with.
    """
    images = load_images(sweep.space, data or sweep.data_root, sweep.where.home)
    before = sweep.about["data"]["digest"]
    if images.digest != before:
        raise UserError(
            f"the images of sweep {sweep.name!r} have changed (digest {images.digest}, it began with {before}): "
            "its trials could not be compared",
            hint="--data DIR where the same images are, or a new sweep",
        )
    return images


def extend(sweep: SweepHandle, more: bool, trials: int) -> None:
    """Raise the number of trials, by `trials` or to it.

    Raises:
        UserError: when that is no more than it has.
    """
    target = sweep.target + trials if more else trials
    if target <= sweep.target:
        raise UserError(
            f"sweep {sweep.name!r} has {sweep.target} trials already",
            hint=f"--trials +{trials} for {trials} more",
        )
    sweep.study.note("target", target)


def method_remarks(space: Space) -> list[str]:
    """What a method does not do: lines for the person who chose it."""
    method = METHODS[space.search.method]
    if method.searches:
        return []
    kept = ", ".join([*(method.keys or ()), "supernet.primitives"])
    return [
        f"each trial is {method.what} by its seed: of supernet and search only {kept} count, and nothing else of them is tuned"
    ]


def run(sweep: SweepHandle, settings: RunSettings, images: DataSet, to_go_on: str) -> Ended:
    """Run a sweep, after what has to be said of its method and sampler; `to_go_on` is said where it is stopped at once."""
    for remark in [*method_remarks(sweep.space), *remarks(sweep.settings.sampler, sweep.space.tune)]:
        say(f"note: {remark}")
    try:
        return run_sweep(sweep, settings, data=images)
    except KeyboardInterrupt:
        say(f"stopped at once; {to_go_on}")
        raise


def run_to_the_end(sweep: SweepHandle, settings: RunSettings, images: DataSet, *, as_json: bool) -> int:
    """Run a sweep and print its leaderboard and what to do next; the exit code.

    Raises:
        WorkFailed: no trial was completed, or MLflow did not take all that there is to record.
    """
    ended = run(sweep, settings, images, f"to go on: {sweep.command('resume')}")
    records = sweep.records()
    if as_json:
        click.echo(leaderboard_json(rank_trials(records)))
        for line in score_notes(records, sweep.space.objective):
            say(line)
    else:
        print_leaderboard(rank_trials(records), sweep.keys, sweep.space.objective)
    sys.stdout.flush()
    return _say_what_next(sweep, ended, records)


def _say_what_next(sweep: SweepHandle, ended: Ended, records: list[TrialRecord]) -> int:
    """Say how the sweep ended and where to go on; the exit code."""
    lacking = undelivered(sweep, ended) if ended.undelivered else None
    if ended.reason != "done":
        say(f"stopped ({ended.reason}); to go on: {sweep.command('resume')}")
    if ended.reason == "interrupted":
        if lacking is not None:
            say(f"Error: {lacking}", always=True)
        return 130
    if lacking is not None:
        raise lacking
    if ended.reason != "done":
        return 0
    if not any(record.objective is not None for record in records):
        raise WorkFailed("no trial was completed", hint=sweep.what_next())
    say(f"next: {sweep.command('promote', *candidate_options(records, sweep.space.objective))}")
    say(f"to read the report: {sweep.command('report')}")
    say(f"to compare the trials in MLflow: pcdarts-tune ui{sweep.where.home_flag}")
    return 0


def undelivered(sweep: SweepHandle, ended: Ended) -> WorkFailed:
    """That MLflow did not take all records, and what delivers them."""
    return WorkFailed(
        f"MLflow did not take {ended.undelivered} records ({ended.trouble or 'no answer'}); they are kept",
        hint=f"{sweep.command('resume')} delivers them, with --tracking-uri URI to a store that answers",
    )
