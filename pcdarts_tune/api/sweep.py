"""A sweep as a handle: its leaderboard, its best trial, its study, and what can be done with it next.

sweep = open_sweep("first")
sweep.leaderboard().head(); sweep.best.objective; sweep.report("first.html")
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.api.board import board_frame, read_board
from pcdarts_tune.api.entering import public
from pcdarts_tune.api.space import Settings, Space, setting_texts
from pcdarts_tune.api.trial import Trial
from pcdarts_tune.api.where import Files, find_where, path_or_none
from pcdarts_tune.sweeps.sweep import SweepHandle, counts
from pcdarts_tune.sweeps.sweep import open_sweep as open_handle

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from pcdarts_tune.api.reports import Report
    from pcdarts_tune.promotion.promote import Promoted


class Sweep:
    """A sweep that exists, in a home.

    Attributes:
        handle: the sweep as the layers below have it.
    """

    def __init__(self, handle: SweepHandle) -> None:
        self.handle = handle

    @property
    def name(self) -> str:
        """Its name, by which commands find it."""
        return self.handle.name

    @property
    def space(self) -> Space:
        """Its space, as resolved when the sweep was made."""
        return Space.of(self.handle.space)

    @property
    def states(self) -> dict[str, int]:
        """How many trials are in each state."""
        return counts(self.handle.records())

    @property
    def best(self) -> Trial:
        """The complete trial with the highest objective.

        Raises:
            WorkFailed: no trial is complete.
        """
        return Trial(self.name, self.handle.best(), self.handle.where)

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, for reading. It follows the sweep while that runs; what would change it is refused."""
        from pcdarts_tune.api.study import read_study

        return read_study(self.handle)

    def trial(self, number: int) -> Trial:
        """The trial of that number.

        Raises:
            UserError: there is none.
        """
        return Trial(self.name, self.handle.record(number), self.handle.where)

    @public
    def leaderboard(self, *, benchmark: str | Path | None = None, truth: str | None = None) -> pd.DataFrame:
        """A row for each trial, best first, with the columns of `leaderboard --json`: `objective`, `params`, one for each
        hyperparameter, and the genotype as an object.

        Args:
            benchmark: a table of known accuracies (CSV, JSON), whose columns become `known.…`.
            truth: which of them, divided by commas.
        """
        return board_frame(read_board(self.handle, path_or_none(benchmark), truth)[0], self.handle.keys)

    @public
    def report(
        self,
        output: str | Path | None = None,
        *,
        benchmark: str | Path | None = None,
        truth: str | None = None,
    ) -> Report:
        """Write the report, one HTML page that needs no network.

        Args:
            output: the page; NAME.html here when it is left out.
            benchmark, truth: see `leaderboard`.

        Raises:
            UserError: the folder does not exist or cannot be written to.
        """
        from pcdarts_tune.api.reports import report_sweep

        target = None if output is None else Path(output)
        return report_sweep(self.handle, target, path_or_none(benchmark), truth)

    @public
    def resume(
        self,
        *,
        data: str | Path | None = None,
        address: str | None = None,
        cpus_per_trial: float | None = None,
        gpus_per_trial: float | None = None,
        max_concurrent: int | None = None,
        threads: int | None = None,
        time_budget: float | str | None = None,
        quiet: bool = False,
    ) -> Sweep:
        """Go on with what was interrupted: trials that ended stay, the others go on from their last epoch.

        Args:
            data: where the same images are now. The others: see `sweep`.

        Raises:
            UserError: it is being run, or its images have changed.
            KeyboardInterrupt: it was interrupted again, and has ended cleanly.
        """
        from pcdarts_tune.api.options import run_settings
        from pcdarts_tune.api.running import alone, prepare_resuming, run_from_python

        run = run_settings(
            cpus_per_trial,
            gpus_per_trial,
            max_concurrent,
            time_budget,
            address=address,
            quiet=quiet,
            threads=threads,
        )
        with alone():
            images = prepare_resuming(self.handle, run, path_or_none(data))
            run_from_python(self.handle, run, images)
        return self

    @public
    def extend(
        self,
        trials: int | str,
        *,
        data: str | Path | None = None,
        address: str | None = None,
        cpus_per_trial: float | None = None,
        gpus_per_trial: float | None = None,
        max_concurrent: int | None = None,
        threads: int | None = None,
        time_budget: float | str | None = None,
        quiet: bool = False,
    ) -> Sweep:
        """Give the sweep more trials and run them; the sampler knows the old ones.

        Args:
            trials: "+16": so many more; 48: so many in all. The others: see `resume`.

        Raises:
            UserError: it has so many, it is being run, or its images have changed.
            KeyboardInterrupt: it was interrupted, and has ended cleanly.
        """
        from pcdarts_tune.api.options import parse_more, parsed, run_settings
        from pcdarts_tune.api.running import alone, extend_sweep, run_from_python

        wanted = parsed("trials", parse_more, trials)
        run = run_settings(
            cpus_per_trial,
            gpus_per_trial,
            max_concurrent,
            time_budget,
            address=address,
            quiet=quiet,
            threads=threads,
        )
        with alone():
            images = extend_sweep(self.handle, wanted, run, path_or_none(data))
            run_from_python(self.handle, run, images)
        return self

    @public
    def promote(
        self,
        *,
        trial: int | None = None,
        run: str | None = None,
        candidates: int = 1,
        seeds: int = 1,
        baseline: str | Iterable[str] = (),
        test_all: bool = False,
        model: str | None = None,
        force: bool = False,
        data: str | Path | None = None,
        set: Settings = (),
        seed: int | None = None,
        device: str = "auto",
        workers: int | None = None,
        groups: int | None = None,
        address: str | None = None,
        threads: int | None = None,
        precision: str | None = None,
        compile: bool | None = None,
        graphs: bool | None = None,
        quiet: bool = False,
    ) -> Promoted:
        """Retrain the best genotype, test it once, register the model; see docs/promotion.md. What was interrupted goes on when
        it is called again with the same options.

        Args:
            trial, run: which one, by its number or its MLflow run; the best where both are left out.
            candidates, seeds, baseline: how many genotypes compete, trainings of each, and what they are compared with:
                "default", "random:2".
            test_all: read the test split for all seeds of the chosen genotype and of the baselines.
            model: name to register under; the sweep's when it is left out.
            force: move the alias `champion` even to a worse model, and take changed images.
            set: changes of the recipe, `{"retrain.epochs": 100}`.
            workers, groups, address: Ray Train's processes that share every batch.
            precision, compile, graphs: the sweep's when they are left out.

        Returns:
            `registered.model`, `registered.version`, `done.test_accuracy`, `results`, `verdicts`; `to_dict()` is what
            `promote --json` prints.

        Raises:
            UserError: no such trial, images that are not the sweep's, or options that do not go together.
            WorkFailed: no trial is complete.
        """
        from pcdarts_tune.api import options
        from pcdarts_tune.api.promoting import promote_sweep

        options.at_least(1, candidates=candidates, seeds=seeds)
        options.at_least(0, trial=trial, seed=seed)
        return promote_sweep(
            self.handle.where,
            self.name,
            trial=trial,
            run_id=run,
            candidates=candidates,
            seeds=seeds,
            baselines=options.texts(baseline),
            test_all=test_all,
            model=options.parsed("model", options.check_model_name, model),
            force=force,
            data=path_or_none(data),
            settings=setting_texts(set),
            seed=seed,
            workers=options.worker_settings(device, workers, groups, address, threads=threads),
            execution=options.execution_settings(precision, compile, graphs),
            quiet=quiet,
        )

    def __repr__(self) -> str:
        states = ", ".join(f"{number} {state}" for state, number in self.states.items()) or "no trials"
        return f"<sweep {self.name}, space {self.handle.space.name}: {states}>"

    def _repr_html_(self) -> str:
        from pcdarts_tune.api.showing import sweep_html

        return sweep_html(self.handle)


@public
def open_sweep(
    name: str,
    *,
    home: str | Path | None = None,
    tracking_uri: str | None = None,
    study_uri: str | None = None,
    plugin: Files = (),
) -> Sweep:
    """The sweep of that name.

    Args:
        home: the folder that holds it; PCDARTS_TUNE_HOME, else ./pcdarts-home, when it is left out.
        tracking_uri, study_uri: its stores, where they have moved or need a password.
        plugin: Python files with operations, data sets, spaces or samplers of your own.

    Raises:
        UserError: there is none, naming those there are.
    """
    return Sweep(open_handle(find_where(home, tracking_uri, study_uri, plugin=plugin), name))
