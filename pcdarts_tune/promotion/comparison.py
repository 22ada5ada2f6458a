"""What the trainings of a promotion say: who is best on held-out images, and whom it can be told apart from.

results = [CandidateResult(candidate, trainings), ...]
chosen = choose(results)                # a candidate; baselines are compared, never chosen
chosen.best()                           # its training with the highest held-out accuracy
describe_differences(chosen, results)   # ["cannot tell trial 3 from default with n=3: ...", ...]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pcdarts_tune.spread import Spread

if TYPE_CHECKING:
    from pcdarts_tune.promotion.candidates import Candidate
    from pcdarts_tune.training.work import Retrained, Retraining


Measure = Literal["held_out", "test"]
"""Accuracies that are compared: on held-out images, or, where nothing is held out and nothing chosen, on the test split."""


@dataclass(frozen=True)
class TrainingResult:
    """One training of a candidate; `done` is None where it diverged, and `failed` says how."""

    work: Retraining
    done: Retrained | None
    failed: str | None = None

    @property
    def seed(self) -> int:
        return self.work.seed

    @property
    def score(self) -> float | None:
        """What it is compared by on held-out images, see `Retrained.validation_score`; None where there is nothing."""
        return None if self.done is None else self.done.validation_score(self.work.space.objective)


@dataclass(frozen=True)
class CandidateResult:
    """A candidate and its trainings, one for each seed."""

    candidate: Candidate
    trainings: tuple[TrainingResult, ...]

    @property
    def name(self) -> str:
        return self.candidate.name

    @property
    def done(self) -> list[Retrained]:
        """The trainings that did not diverge."""
        return [each.done for each in self.trainings if each.done is not None]

    @property
    def measure(self) -> str:
        """What the scores on held-out images are: `held-out`, or `held-out balanced`, before the word accuracy."""
        balanced = self.trainings[0].work.space.objective == "balanced_accuracy"
        return "held-out balanced" if balanced else "held-out"

    @property
    def held_out(self) -> Spread:
        """Scores on the held-out images: accuracies, or balanced accuracies where these are the space's objective."""
        found = (each.score for each in self.trainings)
        return Spread(tuple(value for value in found if value is not None))

    @property
    def test(self) -> Spread:
        """Accuracies on the test split of those trainings for which it was read."""
        found = (each.test_accuracy for each in self.done)
        return Spread(tuple(value for value in found if value is not None))

    @property
    def diverged(self) -> int:
        return len(self.trainings) - len(self.done)

    @property
    def failures(self) -> set[str]:
        """What the trainings that diverged say."""
        return {each.failed for each in self.trainings if each.failed}

    def best(self) -> TrainingResult:
        """The training with the highest held-out accuracy (ties, and where nothing is held out: the first seed)."""

        def accuracy(each: TrainingResult) -> float:
            if each.done is None:
                return -2.0
            return -1.0 if each.score is None else each.score

        return max(self.trainings, key=accuracy)

    def to_dict(self) -> dict[str, Any]:
        candidate = self.candidate
        runs = [
            {
                "seed": each.seed,
                "run_id": each.done.run_id if each.done else None,
                "held_out": each.score,
                "test": each.done.test_accuracy if each.done else None,
                "failed": each.failed,
            }
            for each in self.trainings
        ]
        return {
            "name": candidate.name,
            "kind": candidate.kind,
            "trial": candidate.trial,
            "genotype_hash": candidate.genotype.canonical_hash(),
            "held_out": self.held_out.to_dict(),
            "test": self.test.to_dict() if self.test.values else None,
            "runs": runs,
        }


def choose(results: Sequence[CandidateResult]) -> CandidateResult | None:
    """The candidate with the highest mean held-out accuracy; ties go to the one the sweep ranked higher. One that
    diverged with any seed is out of the choice while another did not. None where every training diverged."""
    candidates = [each for each in results if each.candidate.kind == "candidate"]
    whole = [each for each in candidates if not each.diverged] or [
        each for each in candidates if each.diverged < len(each.trainings)
    ]
    # max() keeps the first of equals
    return max(whole, key=_mean_or_below, default=None)


def describe_differences(
    chosen: CandidateResult, results: Sequence[CandidateResult], measure: Measure = "held_out"
) -> list[str]:
    """A sentence for each other candidate: better, worse, or not to be told apart."""
    said = []
    for other in results:
        if other is chosen:
            continue
        if other.candidate.genotype == chosen.candidate.genotype:
            said.append(f"{other.name} is the genotype of {chosen.name}")
        elif other.diverged == len(other.trainings):
            said.append(f"{other.name} diverged with every seed")
        else:
            said.append(_describe_difference(chosen, other, measure))
    return said


def _describe_difference(chosen: CandidateResult, other: CandidateResult, measure: Measure) -> str:
    mine, its = (each.held_out if measure == "held_out" else each.test for each in (chosen, other))
    where = chosen.measure if measure == "held_out" else "test"
    seeds = f"n={mine.n}" if mine.n == its.n else f"n={mine.n} and n={its.n}"
    means = f"{mine.mean:.4f} and {its.mean:.4f}"
    if mine.interval is None or its.interval is None:
        return (
            f"cannot tell {chosen.name} from {other.name} with {seeds}: {where} accuracies {means}, and one training "
            "says nothing of the spread (--seeds 3)"
        )
    if mine.overlaps(its):
        return (
            f"cannot tell {chosen.name} from {other.name} with {seeds}: {where} means {means}, the 95 % intervals "
            f"overlap ({_format(mine.interval)} and {_format(its.interval)})"
        )
    word = "above" if mine.mean > its.mean else "BELOW"
    return f"{chosen.name} is {word} {other.name} with {seeds}: {where} means {means}, the 95 % intervals are apart"


def _format(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}"


def tabulate(results: Sequence[CandidateResult]) -> list[dict[str, Any]]:
    """The comparison as rows of a table, best held-out mean first; None where there is no number."""
    table = []
    for each in sorted(results, key=_mean_or_below, reverse=True):
        spread, test = each.held_out, each.test
        low, high = spread.interval or (None, None)
        row: dict[str, Any] = {"genotype": each.name, "hash": each.candidate.genotype.canonical_hash()[:8]}
        row |= {f"{each.measure} mean": spread.mean if spread.values else None, "std": spread.std}
        row |= {"95 % low": low, "95 % high": high, "n": spread.n, "diverged": each.diverged}
        row |= {
            "test mean": test.mean if test.values else None,
            "test std": test.std,
            "test n": test.n or None,
        }
        table.append(row)
    return table


def _mean_or_below(result: CandidateResult) -> float:
    """The mean held-out accuracy, by which results are ordered; of none, one below all others."""
    return result.held_out.mean if result.held_out.values else -1.0
