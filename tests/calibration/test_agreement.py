"""The statistics of a calibration: against SciPy, by hand, and by counting all subsets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pcdarts_tune.calibration.agreement import (
    FEWEST,
    Estimate,
    Ranking,
    average,
    best_weights,
    difference,
    measure_noise,
)

RANDOM = np.random.default_rng(5)


@pytest.fixture(params=[0.0, 0.3, 2.0], ids=["equal order", "close", "unrelated"])
def scores(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Known accuracies and scores of 40 cells, many of them tied."""
    truth = np.round(RANDOM.normal(97, 0.2, 40), 1)
    return truth, np.round(truth + RANDOM.normal(0, request.param, 40), 1)


def test_correlations_are_those_of_scipy_in_every_resample(scores: tuple[np.ndarray, np.ndarray]) -> None:
    truth, score = scores
    ranking = Ranking(truth, resamples=50)
    spearman, kendall = ranking.spearman(score), ranking.kendall(score)
    assert spearman.value == pytest.approx(stats.spearmanr(score, truth).statistic, abs=1e-6)
    assert kendall.value == pytest.approx(stats.kendalltau(score, truth).statistic, abs=1e-6)
    for at, drawn in enumerate(ranking.index_BN):
        expected = stats.spearmanr(score[drawn], truth[drawn]).statistic
        assert spearman.samples[at] == pytest.approx(expected, abs=1e-5)
        assert kendall.samples[at] == pytest.approx(
            stats.kendalltau(score[drawn], truth[drawn]).statistic, abs=1e-5
        )


def test_the_interval_is_near_that_of_scipys_bootstrap() -> None:
    truth = RANDOM.normal(size=60)
    score = truth + RANDOM.normal(size=60)
    mine = Ranking(truth).spearman(score).interval
    its = stats.bootstrap(
        (score, truth),
        lambda x, y: stats.spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert mine == pytest.approx((its.low, its.high), abs=0.03)


def test_the_better_of_two_by_hand() -> None:
    # pairs that differ in truth: (a, b) right, (a, c) tied in score, (b, c) wrong; c and d are equal in truth
    ranking = Ranking(np.array([1.0, 2.0, 3.0, 3.0]))
    assert ranking.better_of_two(np.array([0.1, 0.5, 0.1, 0.5])).value == pytest.approx(
        (1 + 0.5 + 0 + 1 + 0.5) / 5
    )


def test_regret_is_the_mean_over_all_subsets() -> None:
    truth = np.array([1.0, 4.0, 2.0, 8.0, 5.0, 7.0])
    score = np.array([0.3, 0.9, 0.9, 0.1, 0.5, 0.5])
    lost, by_chance = [], []
    for subset in itertools.combinations(range(6), 4):
        of = list(subset)
        chosen = [at for at in of if score[at] == score[of].max()]
        lost.append(truth[of].max() - truth[chosen].mean())
        by_chance.append(truth[of].max() - truth[of].mean())
    ranking = Ranking(truth)
    assert ranking.best_of == (4,)
    assert ranking.regret(score)[4].value == pytest.approx(np.mean(lost))
    assert ranking.chance_regret(4) == pytest.approx(np.mean(by_chance))
    assert ranking.regret(truth)[4].value == 0


def test_the_chance_of_being_the_best_of_n() -> None:
    for best_of in (1, 3, 7):
        expected = [math.comb(rank - 1, best_of - 1) / math.comb(7, best_of) for rank in range(1, 8)]
        assert best_weights(7, best_of) == pytest.approx(expected)


def test_few_cells_have_no_interval_and_equal_scores_no_correlation() -> None:
    few = Ranking(np.arange(FEWEST - 1.0)).spearman(np.arange(FEWEST - 1.0))
    assert (few.value, few.interval) == (pytest.approx(1), None)
    level = Ranking(np.arange(9.0)).spearman(np.ones(9))
    assert math.isnan(level.value)
    assert level.to_dict() == {"value": None, "interval": None}


def test_differences_are_paired() -> None:
    first, second = Estimate(0.6, np.array([0.5, 0.7])), Estimate(0.4, np.array([0.3, 0.5]))
    assert difference(first, second).samples == pytest.approx([0.2, 0.2])
    assert average([first, second]).value == pytest.approx(0.5)


def test_noise_by_hand() -> None:
    # within cells: variances 2 and 8, mean 5; means 1 and 7: variance 18; own variance 18 - 5 / 2
    noise = measure_noise(np.array([[0.0, 5.0], [2.0, 9.0]]))
    assert noise is not None
    assert noise.standard_error == pytest.approx(math.sqrt(5))
    assert noise.cells_std == pytest.approx(math.sqrt(15.5))
    assert noise.share == pytest.approx(5 / 20.5)
    assert measure_noise(np.array([[0.0, 5.0]])) is None


def test_noise_finds_the_variances_that_were_put_in() -> None:
    cells, seeds = RANDOM.normal(0, 2, 4000), RANDOM.normal(0, 1, (3, 4000))
    noise = measure_noise(cells + seeds)
    assert noise is not None
    assert noise.share == pytest.approx(0.2, abs=0.02)
