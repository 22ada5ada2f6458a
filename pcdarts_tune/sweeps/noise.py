"""Whether the trials of a sweep differ by more than their held-out images let them seem to.

    noise = read_noise(sweep.records(), sweep.space.objective)
    if noise is not None and noise.within: print(noise)

The rule is a chi-square test of homogeneity at 5 %. Under the hypothesis that all genotypes are equally good, their scores
differ by the sampling of the held-out images alone, and the sum of (score - mean)^2 / (mean squared standard error) over n
genotypes follows a chi-square distribution with n - 1 degrees of freedom; for accuracies on as many images this is Pearson's test
of a table of right and wrong answers. Trials lie within the noise where that hypothesis is not rejected. The errors are taken for
independent. Trials share their images, which makes the test cautious; the training's own randomness is in the error only with
several evaluation seeds, which makes it bold.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.spaces.scores import score_title, trains
from pcdarts_tune.tasks import Outcome, TrialRecord

LEVEL = 0.05
"""The probability below which the trials count as different."""
MOST_CANDIDATES = 4
"""How many genotypes are proposed for a promotion, at most, where the sweep cannot tell them apart."""


@dataclass(frozen=True)
class Noise:
    """The scores of a sweep's distinct genotypes against their errors.

    Attributes:
        score: what they are called. genotypes: how many, two at least. images: that were scored; None where it varies.
        spread: standard deviation (n - 1) of the scores. expected: that of equal genotypes, by the standard errors.
        p: of as large a spread among equal genotypes.
    """

    score: str
    genotypes: int
    images: int | None
    spread: float
    expected: float
    p: float

    @property
    def within(self) -> bool:
        """Whether the genotypes cannot be told apart."""
        return self.p >= LEVEL

    @property
    def candidates(self) -> int:
        """How many genotypes a promotion should train: one where they can be told apart."""
        return min(MOST_CANDIDATES, self.genotypes) if self.within else 1

    def __str__(self) -> str:
        images = "the held-out images" if self.images is None else f"the {self.images:,} scored images"
        figures = (
            f"the {self.score} of {self.genotypes} genotypes has a standard deviation of {self.spread:.4f}; with equal genotypes "
            f"{images} alone would give {self.expected:.4f} (chi-square test: p = {self.p:.2g})"
        )
        if self.within:
            return f"the trials lie within the noise, so which of them is best is not known: {figures}"
        return f"the trials differ by more than the noise: {figures}"

    def to_dict(self) -> dict[str, Any]:
        """The figures, as `report --json` and `status --json` give them."""
        return {"within": self.within, **vars(self)}


def read_noise(records: Sequence[TrialRecord], objective: str) -> Noise | None:
    """The noise of complete trials, of one sweep or several, each genotype counted once; None with fewer than two, or where a
    trial does not say its standard error (those of older versions)."""
    found: dict[str, TrialRecord] = {}
    for at, record in enumerate(records):
        if record.objective is not None:
            # a mean over searches belongs to no genotype, and trials of several sweeps share their numbers
            name = None if record.repeats else record.genotype_hash
            found.setdefault(name or f"record {at}", record)
    scores = [record.objective for record in found.values() if record.objective is not None]
    errors = [error for record in found.values() if (error := score_error(record)) is not None]
    if len(scores) < 2 or len(errors) < len(scores):
        return None
    spread = statistics.stdev(scores)
    expected = math.sqrt(statistics.fmean(error * error for error in errors))
    counts = {record.held_out.get("images") for record in found.values()}
    count = counts.pop() if len(counts) == 1 and not trains(objective) else None
    p = chi_square_p(spread, expected, len(scores))
    return Noise(
        score_title(objective), len(scores), None if count is None else int(count), spread, expected, p
    )


def candidate_options(records: Sequence[TrialRecord], objective: str) -> list[str]:
    """The options of `promote` that train several genotypes where the sweep cannot tell them apart; else none."""
    noise = read_noise(records, objective)
    return [] if noise is None or noise.candidates < 2 else ["--candidates", str(noise.candidates)]


def chi_square_p(spread: float, expected: float, n: int) -> float:
    """Probability of a standard deviation of at least `spread` among n values whose standard error is `expected`."""
    from scipy.special import chdtrc

    if spread == 0.0:
        return 1.0
    return float(chdtrc(n - 1, (n - 1) * (spread / expected) ** 2)) if expected else 0.0


def score_error(of: Outcome | TrialRecord) -> float | None:
    """Standard error of a trial's objective: that of its images and, with several evaluation seeds or searches, that of their
    mean."""
    if of.standard_error is None:
        return None
    seeds = (of.seed_std or 0.0) / math.sqrt(of.held_out.get("seeds", 1))
    searches = of.metrics.get("repeats/std", 0.0) / math.sqrt(max(1, len(of.repeats)))
    return math.hypot(of.standard_error, seeds, searches)
