"""Everything that a report says about a sweep, read from its study and its folder: no MLflow, no Ray, no network.

read_facts(open_sweep(home, "first")).best
"""

from __future__ import annotations

import html
import json
import math
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna import Study

from pcdarts_tune.calibration.promoted import Agreement, short_against_full
from pcdarts_tune.reporting.plot_study import Importances, compute_importances, make_plot_study
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.scores import score_in_full, score_title
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.benchmark import Benchmark
from pcdarts_tune.sweeps.leaderboard import RankedTrial, add_known, rank_trials
from pcdarts_tune.sweeps.noise import Noise, read_noise, score_error
from pcdarts_tune.sweeps.sweep import SweepHandle, counts
from pcdarts_tune.sweeps.trials.log import read_result
from pcdarts_tune.tasks import ENDED, TrialRecord, total
from pcdarts_tune.training.scoring import cautious_error, describe_majority


@dataclass(frozen=True)
class Retraining:
    """A genotype that `promote` trained, as its model's folder describes it; accuracies that were not read are None.

    Attributes:
        held_out_scores, test_scores: see `training.work.Retrained`; None where they were not recorded.
    """

    genotype_hash: str
    seed: int | None
    epochs: int
    held_out: float | None
    test: float | None
    held_out_scores: dict[str, Any] | None = None
    test_scores: dict[str, Any] | None = None

    @property
    def by_class(self) -> list[dict[str, Any]]:
        """A row for each class: its name, and images and recall on the held-out images and the test split."""
        rows: dict[str, dict[str, Any]] = {}
        for where, scores in (("held_out", self.held_out_scores), ("test", self.test_scores)):
            for row in (scores or {}).get("by_class", []):
                rows.setdefault(row["class"], {"class": row["class"]})[where] = row
        return list(rows.values())


@dataclass(frozen=True)
class Facts:
    """A sweep as it is now.

    Attributes:
        trials: all trials, best first; `states`: their number in each state; `target`: how many were asked for.
        keys: the settings that differ between trials, in the order of tables.
        study: the trials as an Optuna study that maximizes their score, for plots.
        held_out: number of held-out images that the trials were scored on; None where they do not say.
        noise: whether the trials differ by more than their images let them seem to; None where that is not known.
        spent: hours by unit (GPU, CPU). `unspent`: number of ended trials whose hours are not known.
        alphas: of the best trial by epoch, softmaxed; empty where its folder has none.
        retrainings: what promotions trained, best first.
        known: the columns of a table of known accuracies that are shown.
        agreement: how well the trials' scores rank what was retrained; None with fewer than two cells.
    """

    sweep: SweepHandle
    trials: Sequence[RankedTrial]
    keys: Sequence[str]
    states: dict[str, int]
    target: int
    running: bool
    study: Study
    importances: Importances
    held_out: int | None
    noise: Noise | None
    spent: dict[str, float]
    unspent: int
    alphas: dict[int, dict[str, Any]]
    retrainings: Sequence[Retraining]
    written: str
    known: tuple[str, ...] = ()
    agreement: Agreement | None = None

    @property
    def records(self) -> list[TrialRecord]:
        return [trial.record for trial in self.trials]

    @property
    def complete(self) -> list[RankedTrial]:
        """The trials that have an accuracy, best first."""
        return [trial for trial in self.trials if trial.record.objective is not None]

    @property
    def best(self) -> RankedTrial | None:
        return next(iter(self.complete), None)

    @property
    def score(self) -> str:
        """The name of the score in the space."""
        return self.sweep.space.objective

    @property
    def axis(self) -> str:
        """What the score is called on axes: `held-out accuracy`."""
        return score_in_full(self.score)

    @property
    def majority(self) -> str | None:
        """`majority class 92 %`, where an accuracy may mislead."""
        return None if self.best is None else describe_majority(self.best.record.held_out)

    @property
    def resolution(self) -> float | None:
        """The smallest difference of two scores that means something: two standard errors of the difference of two
        networks like the best, as if they erred independently. None where it is not known."""
        if self.best is None or (error := score_error(self.best.record)) is None:
            return None
        record, count = self.best.record, self.held_out
        if self.score in ("accuracy", "mean_accuracy") and count and record.objective is not None:
            # an accuracy near 1 is known less well than it looks
            error = max(error, cautious_error(record.objective, count))
        return 2 * math.sqrt(2) * error

    @property
    def tied(self) -> list[RankedTrial]:
        """The complete trials whose score cannot be told apart from the highest, the best included."""
        if self.resolution is None:
            return self.complete[:1]
        scores = [(trial, trial.record.objective) for trial in self.complete]
        highest = max(score for _, score in scores if score is not None)
        return [t for t, score in scores if score is not None and highest - score <= self.resolution]

    @property
    def best_of_each_genotype(self) -> list[RankedTrial]:
        """The best trial of each genotype, best first."""
        found: dict[str, RankedTrial] = {}
        for trial in self.complete:
            if trial.record.genotype is not None:
                found.setdefault(trial.record.genotype_hash or "", trial)
        return list(found.values())

    @cached_property
    def descriptions(self) -> dict[int, str]:
        """What plots show of each trial where the mouse rests on it, by number."""
        return {trial.record.trial: describe_trial(trial, self.score) for trial in self.trials}

    @property
    def retrained(self) -> dict[str, Spread]:
        """Held-out accuracies over seeds by genotype."""
        values: dict[str, list[float]] = {}
        for made in self.retrainings:
            if made.held_out is not None:
                values.setdefault(made.genotype_hash, []).append(made.held_out)
        return {name: Spread(tuple(seeds)) for name, seeds in values.items()}


def describe_trial(trial: RankedTrial, score: str) -> str:
    """What is shown of a trial where the mouse rests on it; `<br>` is the only markup."""
    record = trial.record
    said = record.state if record.objective is None else f"{score_title(score)} {record.objective:.4f}"
    if record.standard_error is not None:
        said += f" ± {record.standard_error:.4f}"
    settings = naming.format_settings(record.hyperparameters)
    lines = [f"trial {record.trial}, {said}", settings, record.reason or ""]
    wrapped = [part for line in lines for part in textwrap.wrap(line, 70)]
    return "<br>".join(html.escape(part, quote=False) for part in wrapped)


def read_facts(sweep: SweepHandle, benchmark: Benchmark | None = None, known: tuple[str, ...] = ()) -> Facts:
    """Read a sweep; works while it runs and before any trial is complete.

    Args:
        benchmark: known accuracies that stand beside the trials. `known`: its columns that are shown.
    """
    records = sweep.records()
    trials = add_known(rank_trials(records), benchmark)
    best = next((record for record in records if record.objective is not None), None)
    ended = [trial for trial in trials if trial.record.state in ENDED]
    study = make_plot_study(records, sweep.space.tune, sweep.study.trial_times())
    return Facts(
        sweep=sweep,
        trials=trials,
        keys=sweep.keys,
        states=counts(records),
        target=sweep.target,
        running=sweep.running,
        study=study,
        importances=compute_importances(study),
        held_out=None if best is None else _whole(best.held_out.get("images")),
        noise=read_noise(records, sweep.space.objective),
        spent=total(trial.record for trial in ended),
        unspent=sum(trial.spent is None for trial in ended),
        alphas={} if best is None else _read_alphas(sweep, best.trial),
        retrainings=_read_retrainings(sweep.folder.path / "promotions"),
        written=time.strftime("%Y-%m-%d %H:%M:%S %Z").strip(),
        known=known,
        agreement=short_against_full(sweep),
    )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def read_profile(sweep: SweepHandle) -> dict[str, Any]:
    """Sizes of the data set by name, as the sweep recorded them; empty where it did not."""
    try:
        profile = json.loads(sweep.about["data"]["profile"])
    except (KeyError, TypeError, ValueError):
        return {}
    return profile if isinstance(profile, dict) else {}


def _read_alphas(sweep: SweepHandle, number: int) -> dict[int, dict[str, Any]]:
    try:
        result = read_result(sweep.folder.trial_address(number))
    except (OSError, ValueError):
        return {}
    history = result.get("history", []) if isinstance(result, dict) else []
    searched = [entry for entry in history if entry.get("stage") == "search" and "alphas" in entry]
    return {entry["epoch"]: entry["alphas"] for entry in searched}


def _read_retrainings(folder: Path) -> list[Retraining]:
    found = []
    for file in sorted(folder.glob("*/model/model.json")):
        try:
            origin = json.loads(file.read_text(encoding="utf-8"))["origin"]
            result = origin["result"]
            name, epochs = file.parent.parent.name.partition("-")[0], int(result["epochs"])
            wanted = ("validation_accuracy", "test_accuracy", "held_out_scores", "test_scores")
            accuracies = [result.get(key) for key in wanted]
            found.append(Retraining(name, origin.get("seed"), epochs, *accuracies))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a promotion that is being written, or of another version
    return sorted(found, key=lambda made: (-(made.held_out or 0.0), made.genotype_hash, made.seed or 0))
