"""A sweep from Python.

import pcdarts_tune as pt

sweep = pt.sweep("quickstart", trials=4)
sweep.leaderboard()
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pcdarts_tune.api import options
from pcdarts_tune.api.entering import public
from pcdarts_tune.api.running import alone, prepare_sweep, run_from_python
from pcdarts_tune.api.space import Settings, resolve_space, setting_texts
from pcdarts_tune.api.sweep import Sweep
from pcdarts_tune.api.where import Files, find_where, path_or_none
from pcdarts_tune.spaces import space as models
from pcdarts_tune.tasks import Execution


@public
def sweep(
    space: str | Path | models.Space = "cifar10",
    *,
    data: str | Path | None = None,
    trials: int | None = None,
    name: str | None = None,
    set: Settings = (),
    seed: int | None = None,
    method: str | None = None,
    repeats: int | None = None,
    sampler: str | None = None,
    objective: str | Iterable[str] = (),
    max_params: int | str | None = None,
    max_macs: int | str | None = None,
    address: str | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    max_concurrent: int | None = None,
    threads: int | None = None,
    time_budget: float | str | None = None,
    precision: str | None = None,
    compile: bool | None = None,
    graphs: bool | None = None,
    max_failures: int = 2,
    benchmark: str | Path | None = None,
    truth: str | None = None,
    warm_start: str | None = None,
    enqueue: str | Path | None = None,
    storage: str | None = None,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    study_uri: str | None = None,
    plugin: Files = (),
    quiet: bool = False,
) -> Sweep:
    """Search with many hyperparameters, and return when all trials have ended. Each trial searches, derives a genotype and trains
    the derived network from scratch; its accuracy on images that the search never saw is what Optuna maximises.

    Ctrl-C, or the stop button of a notebook, ends the trials cleanly; `open_sweep(name).resume()` goes on. In a thread
    other than the main one no signal is heard.

    Args:
        space: a name, a YAML file, or a `Space`.
        data: the images, as `--data`.
        trials: 32 when it is left out, or each combination once of a space with fewer.
        name: of the sweep; the space's name and a number when it is left out.
        set: values of the space: "search.epochs=3", several of them, or {"search.epochs": 3}.
        method, repeats, sampler, objective, max_params, max_macs: the space's unless they are given.
        address: a Ray cluster; this machine when it is left out.
        cpus_per_trial, gpus_per_trial, max_concurrent: shares of trials. threads: of each, kept with the sweep.
        time_budget: seconds, or "2h"; then it stops, and `resume` goes on.
        benchmark, truth: known accuracies, for objective="benchmark".
        warm_start: a sweep whose trials the sampler shall know. enqueue: a file with settings to try first.
        storage: where trials keep checkpoints when nodes do not share the home.
        home, tracking_uri, study_uri, plugin: where everything is kept, and what is plugged in; see `open_sweep`.
        quiet: no progress and no notes.

    Raises:
        UserError: something that is asked for is wrong: what, where, what is legal.
        WorkFailed: no trial was completed, or MLflow did not take all records.
        KeyboardInterrupt: it was interrupted, and has ended cleanly.
    """
    options.at_least(1, trials=trials)
    options.at_least(0, seed=seed, max_failures=max_failures)
    goals = options.goal_settings(
        method, repeats, sampler, options.texts(objective), max_params=max_params, max_macs=max_macs
    )
    run = options.run_settings(
        cpus_per_trial,
        gpus_per_trial,
        max_concurrent,
        time_budget,
        address=address,
        quiet=quiet,
        threads=threads,
    )
    with alone():
        prepared = prepare_sweep(
            resolve_space(space, setting_texts(set), goals),
            find_where(home, tracking_uri, study_uri, plugin=plugin, of_new_sweep=True),
            trials=trials,
            name=name,
            data=path_or_none(data),
            seed=seed,
            execution=Execution(**options.execution_settings(precision, compile, graphs)),
            max_failures=max_failures,
            benchmark=path_or_none(benchmark),
            truth=truth,
            warm_start=warm_start,
            enqueue=path_or_none(enqueue),
            storage=storage,
        )
        made, images = prepared.create(run)
        run_from_python(made, run, images)
    return Sweep(made)
