"""Which settings decide whether a trial is among the best, and in which direction they should go.

Optuna's PED-ANOVA (Watanabe et al., IJCAI 2023, arXiv 2304.10255) compares how a setting is distributed among the best
trials and among all: on a study that maximizes accuracy, what differs among the best is important *for a higher accuracy*.
With `target=` Optuna takes low values for better.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna import Study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import spearmanr

EVALUATOR = "PED-ANOVA"
FEWEST = 10
"""The number of complete trials below which no importances are computed."""
ENOUGH = 50
"""The number of complete trials below which the report warns."""
BEST = 5
"""The least number of trials that count as the best, which PED-ANOVA needs."""
SHARE = 0.2
"""The share of the complete trials that counts as the best."""
SHUFFLES = 40
"""How often accuracies are shuffled among the trials, to see what chance alone gives."""


@dataclass(frozen=True)
class Importances:
    """Importances of the settings that differ.

    Attributes:
        n: number of complete trials. `best`: how many of them count as the best.
        shares: importance by setting, largest first; they add up to 1. Empty with too few trials.
        correlations: Spearman's rank correlation with accuracy by setting, of numbers that differ.
        above_chance: the settings whose importance exceeds that under 95 % of shuffled accuracies.
    """

    n: int
    best: int
    shares: dict[str, float] = field(default_factory=dict)
    correlations: dict[str, float] = field(default_factory=dict)
    above_chance: tuple[str, ...] = ()

    @property
    def caution(self) -> str:
        """A warning where there are few trials, else empty."""
        return "" if self.n >= ENOUGH else f"from {self.n} complete trials only: a hint, not a finding"

    @property
    def evaluator(self) -> PedAnovaImportanceEvaluator:
        """Optuna's evaluator, set to the best trials."""
        # half a trial less: `best / n * n` may round to more than `best`
        return PedAnovaImportanceEvaluator(target_quantile=(self.best - 0.5) / self.n)


def compute_importances(study: Study) -> Importances:
    """Importances of all parameters of a single-objective study that maximizes; trials that are not complete are left
    out."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    n = len(trials)
    found = Importances(n, max(BEST, math.ceil(SHARE * n)), correlations=rank_correlations(trials))
    values = [trial.value or 0.0 for trial in trials]
    if n < FEWEST or len(set(values)) < 2 or not any(trial.params for trial in trials):
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about `normalize`, and that low targets are taken for better
        raw = get_param_importances(study, evaluator=found.evaluator, normalize=False)
        exceeded, draw = dict.fromkeys(raw, 0), random.Random(0)
        for _ in range(SHUFFLES):
            draw.shuffle(values)
            targets = {trial.number: -value for trial, value in zip(trials, values, strict=True)}
            chance = get_param_importances(
                study,
                evaluator=found.evaluator,
                target=lambda trial, targets=targets: targets[trial.number],  # type: ignore[misc]
                normalize=False,
            )
            for key, value in chance.items():
                exceeded[key] += value >= raw[key]
    total = math.fsum(raw.values()) or 1.0
    shares = {key: value / total for key, value in raw.items()}
    above = tuple(key for key in shares if exceeded[key] <= SHUFFLES // 20)
    return Importances(n, found.best, shares, found.correlations, above)


def rank_correlations(trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Spearman's correlation of each numeric parameter with the value; parameters that do not differ are left out."""
    found = {}
    for key in dict.fromkeys(key for trial in trials for key in trial.params):
        pairs = [(trial.params[key], trial.value) for trial in trials if key in trial.params]
        settings, values = zip(*pairs, strict=True)
        numeric = not any(isinstance(setting, str) for setting in settings)
        if len(pairs) >= 3 and numeric and len(set(settings)) > 1 and len(set(values)) > 1:
            found[key] = float(spearmanr(settings, values).statistic)
    return found
