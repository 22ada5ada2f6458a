"""The score of a derived network, by the name that a space gives it, from the records of its training's epochs.

    score_trainings("mean_accuracy", records)       # Score(value=0.9412, standard_error=0.0161, seed_std=None)

A high score is good: of the loss it is the negative. The standard error says how far another draw of as many held-out images
would move it: binomial for accuracies (by class for the balanced one), by the spread of the images' losses for the loss. Trials
share their held-out images, so differences between them are somewhat more certain than independent errors suggest.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pcdarts_tune.training.journal import Record

STAGE = "evaluation"
LAST = 1 / 3
"""The share of the epochs that `mean_accuracy` is the mean over."""


@dataclass(frozen=True)
class Score:
    """What a network is worth.

    Attributes:
        value: high is good.
        standard_error: of the sampling of the scored images; None where the records do not say how many there were.
        seed_std: standard deviation of the score over the training seeds; None with one.
    """

    value: float
    standard_error: float | None
    seed_std: float | None = None


def binomial_error(share: float, count: int) -> float:
    """Standard error sqrt(p (1 - p) / n) of a share p of n images. Where none or all count it would be 0, which no finite
    number of images shows; there it is `cautious_error`."""
    return math.sqrt(share * (1 - share) / count) if 0 < share < 1 else cautious_error(share, count)


def cautious_error(share: float, count: int) -> float:
    """The standard error of x + 2 of n + 4 images, where x of n are the share (Agresti and Coull, 1998)."""
    return binomial_error((share * count + 2) / (count + 4), count + 4)


def score_training(objective: str, records: Sequence[Record]) -> Score:
    """The score of one training after its epochs so far, one at least; `records` as `epoch_record` makes them."""
    return _SCORES[objective](records)


def score_trainings(objective: str, records: Sequence[Record]) -> Score:
    """The mean score over the trainings whose records these are, told apart by `seed`.

    The trainings see the same images, so their errors are not averaged away: the standard error is the quadratic mean of
    theirs.
    """
    by_seed: dict[int, list[Record]] = {}
    for record in records:
        by_seed.setdefault(record.get("seed", 0), []).append(record)
    scores = [score_training(objective, each) for each in by_seed.values()]
    if len(scores) == 1:
        return scores[0]
    values = [score.value for score in scores]
    errors = [score.standard_error for score in scores if score.standard_error is not None]
    error = math.sqrt(statistics.fmean(e * e for e in errors)) if len(errors) == len(scores) else None
    return Score(statistics.fmean(values), error, statistics.stdev(values))


def summarize(records: Sequence[Record]) -> dict[str, float]:
    """What the trainings whose records these are measured on the held-out images after their last epochs: `images`, `classes`
    and `majority` (the largest class's share of the images), `seeds` (how many trainings), and means over the seeds of
    `accuracy`, `balanced_accuracy` and `loss`; empty where the records do not say how many images there were."""
    last = list({record.get("seed", 0): record for record in records}.values())
    scored = [_held_out(record) for record in last]
    if not all(scored):
        return {}
    return {
        "images": scored[0]["images"],
        "classes": scored[0]["classes"],
        "majority": scored[0]["majority"],
        "seeds": len(last),
        "accuracy": statistics.fmean(record["accuracy"] for record in last),
        "balanced_accuracy": statistics.fmean(each["balanced_accuracy"] for each in scored),
        "loss": statistics.fmean(record["metrics"][f"{STAGE}/loss_held_out"] for record in last),
    }


def name_classes(record: Record, accuracy: float, names: Sequence[str]) -> Record:
    """What `held_out_record` says of a scored network with the recall of every class by its name, for people and JSON.

    Returns:
        `images`, `accuracy_error` (standard error), `balanced_accuracy`, `balanced_error`, `majority`, `classes`, and
        `by_class`: a list of `{"class", "images", "recall"}`, the recall None where a class has no images.
    """
    pairs = zip(names, record["by_class"], strict=True)
    rows = [
        {"class": name, "images": images, "recall": right / images if images else None}
        for name, (right, images) in pairs
    ]
    kept = ("images", "balanced_accuracy", "balanced_error", "majority", "classes")
    error = binomial_error(accuracy, record["images"])
    return {**{key: record[key] for key in kept}, "accuracy_error": error, "by_class": rows}


def describe_majority(held_out: Mapping[str, float] | None) -> str | None:
    """`majority class 92 %`, where an accuracy may mislead: where the largest class has more than 1.5 times its equal share of
    the images, and at least a fifth of them. None elsewhere."""
    if not held_out or "majority" not in held_out:
        return None
    share, classes = held_out["majority"], held_out["classes"]
    if classes < 2 or share < max(1.5 / classes, 0.2):
        return None
    return f"majority class {100 * share:.0f} %"


def describe_scores(scores: Mapping[str, Any] | None) -> str:
    """What to say behind an accuracy whose `name_classes` these are: ` ± 0.0173`, and where it may mislead
    ` (majority class 92 %, balanced accuracy 0.5312)`; empty where they are not known."""
    if scores is None:
        return ""
    majority = describe_majority(scores)
    said = f" ({majority}, balanced accuracy {scores['balanced_accuracy']:.4f})" if majority else ""
    return f" ± {scores['accuracy_error']:.4f}{said}"


def _accuracy(records: Sequence[Record]) -> Score:
    last = records[-1]
    return Score(last["accuracy"], _error(last["accuracy"], last))


def _mean_accuracy(records: Sequence[Record]) -> Score:
    """The same images are scored in each epoch, so the mean's error is taken for no smaller than one epoch's."""
    last = records[-max(1, round(LAST * len(records))) :]
    mean = statistics.fmean(record["accuracy"] for record in last)
    return Score(mean, _error(mean, records[-1]))


def _loss(records: Sequence[Record]) -> Score:
    last = records[-1]
    count, std = _held_out(last).get("images"), _held_out(last).get("loss_std")
    error = None if count is None or std is None else std / math.sqrt(count)
    return Score(-last["metrics"][f"{STAGE}/loss_held_out"], error)


def _balanced_accuracy(records: Sequence[Record]) -> Score:
    scored = _held_out(records[-1])
    return Score(scored["balanced_accuracy"], scored["balanced_error"])


def _train_accuracy(records: Sequence[Record]) -> Score:
    last = records[-1]
    value, count = last["metrics"][f"{STAGE}/acc_train"], last.get("trained_images")
    return Score(value, None if count is None else binomial_error(value, count))


def _train_loss(records: Sequence[Record]) -> Score:
    return Score(-records[-1]["metrics"][f"{STAGE}/loss_train"], None)


_SCORES: Mapping[str, Callable[[Sequence[Record]], Score]] = {
    "accuracy": _accuracy,
    "mean_accuracy": _mean_accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "loss": _loss,
    "train_accuracy": _train_accuracy,
    "train_loss": _train_loss,
}


def _held_out(record: Record) -> Record:
    found: Record = record.get("held_out") or {}
    return found


def _error(accuracy: float, record: Record) -> float | None:
    count = _held_out(record).get("images")
    return None if count is None else binomial_error(accuracy, count)
