"""Scores by name from the records of trainings: values, standard errors, several seeds, what is said of a majority."""

from __future__ import annotations

import math
import statistics
from typing import Any, get_args

import pytest
from mlflow.utils.validation import _validate_metric_name

from pcdarts_tune.core.epochs import TrainEpoch
from pcdarts_tune.core.steps.meter import Scored
from pcdarts_tune.spaces.recipes import EvaluationConfig, TrainConfig
from pcdarts_tune.spaces.scores import TITLES, score_in_full
from pcdarts_tune.spaces.values import BENCHMARK
from pcdarts_tune.spaces.values import Score as Name
from pcdarts_tune.training.epochs import epoch_record
from pcdarts_tune.training.retraining_run import metric_names
from pcdarts_tune.training.scoring import (
    binomial_error,
    describe_majority,
    describe_scores,
    name_classes,
    score_training,
    score_trainings,
    summarize,
)

ACCURACIES = (0.2, 0.4, 0.5, 0.7, 0.75, 0.8)


def record(epoch: int, accuracy: float, *, seed: int | None = None, right: int = 4) -> dict[str, Any]:
    """An epoch of six that scored 92 images of one class and 8 of another."""
    scored = Scored(1.5 - accuracy, 0.6, accuracy, (round(100 * accuracy) - right, right), (92, 8))
    values: dict[str, Any] = dict.fromkeys(
        ("train_loss", "learning_rate", "drop_path", "seconds", "images_per_second", "peak_memory_bytes"), 1.0
    )
    made = TrainEpoch(
        epoch=epoch, epochs=6, train_accuracy=0.64, valid_loss=scored.loss, valid_accuracy=accuracy,
        trained_images=900, scored=scored, **values,
    )  # fmt: skip
    said = epoch_record(made, "evaluation", {})
    return said if seed is None else {**said, "seed": seed}


RECORDS = [record(epoch, accuracy) for epoch, accuracy in enumerate(ACCURACIES)]


def test_every_score_has_its_value_and_its_standard_error() -> None:
    recalls = (76 / 92, 4 / 8)
    mean = (0.75 + 0.8) / 2
    spread = math.sqrt(sum(r * (1 - r) / n for r, n in zip(recalls, (92, 8), strict=True))) / 2
    expected = {
        "accuracy": (0.8, math.sqrt(0.8 * 0.2 / 100)),
        "mean_accuracy": (mean, math.sqrt(mean * (1 - mean) / 100)),
        "balanced_accuracy": (statistics.fmean(recalls), spread),
        "loss": (-0.7, 0.6 / 10),
        "train_accuracy": (0.64, math.sqrt(0.64 * 0.36 / 900)),
        "train_loss": (-1.0, None),
    }
    assert set(expected) == set(get_args(Name)) == set(TITLES) - {BENCHMARK}
    for name, (value, error) in expected.items():
        score = score_training(name, RECORDS)
        assert score.value == pytest.approx(value), name
        assert score.standard_error == (None if error is None else pytest.approx(error)), name
        assert score.seed_std is None and score == score_trainings(name, RECORDS)
    assert score_training("mean_accuracy", RECORDS[:2]).value == 0.4, "so far, as at a rung"
    assert score_in_full("accuracy") == "held-out accuracy"
    assert score_in_full("train_accuracy") == "training accuracy"


def test_several_seeds_are_averaged_and_their_deviation_is_kept() -> None:
    records = [*RECORDS, record(11, 0.9, seed=1)]
    score = score_trainings("accuracy", records)
    assert score.value == pytest.approx(0.85)
    assert score.seed_std == pytest.approx(math.sqrt(2) * 0.05)
    assert score.standard_error == pytest.approx(math.sqrt((0.8 * 0.2 + 0.9 * 0.1) / 2 / 100))
    said = summarize(records)
    assert (said["images"], said["seeds"], said["majority"], said["classes"]) == (100, 2, 0.92, 2)
    assert said["accuracy"] == pytest.approx(0.85) and said["loss"] == pytest.approx((0.7 + 0.6) / 2)


def test_records_of_older_versions_have_a_score_without_an_error() -> None:
    old = {key: RECORDS[-1][key] for key in ("kind", "stage", "epoch", "epochs", "metrics", "accuracy")}
    for name in ("accuracy", "mean_accuracy", "loss", "train_accuracy"):
        assert score_training(name, [old]).standard_error is None
    assert score_training("accuracy", [old]).value == 0.8
    assert summarize([old]) == {}


@pytest.mark.parametrize(
    ("majority", "classes", "said"),
    [
        (0.92, 2, "majority class 92 %"),
        (0.75, 2, "majority class 75 %"),
        (0.74, 2, None),
        (0.55, 3, "majority class 55 %"),
        (0.45, 3, None),
        (0.19, 100, None),  # no accuracy of a fifth and less looks good
        (0.30, 100, "majority class 30 %"),
        (1.0, 1, None),
    ],
)
def test_a_majority_is_named_where_an_accuracy_may_mislead(
    majority: float, classes: int, said: str | None
) -> None:
    assert describe_majority({"majority": majority, "classes": classes}) == said
    assert describe_majority({}) is None is describe_majority(None)


def test_classes_are_named_with_their_recalls() -> None:
    assert "by_class" not in RECORDS[0]["held_out"], "only after the last epoch"
    scores = name_classes(RECORDS[-1]["held_out"], 0.8, ("good", "defect"))
    assert scores["by_class"] == [
        {"class": "good", "images": 92, "recall": 76 / 92},
        {"class": "defect", "images": 8, "recall": 0.5},
    ]
    assert describe_scores(scores) == " ± 0.0400 (majority class 92 %, balanced accuracy 0.6630)"
    assert describe_scores(None) == ""


def test_only_the_evaluation_has_seeds() -> None:
    assert EvaluationConfig(seeds=3, epochs=4).all_epochs == 12
    assert "seeds" not in TrainConfig.model_fields


def test_an_accuracy_of_1_is_not_known_without_error() -> None:
    assert binomial_error(0.9, 100) == pytest.approx(0.03)
    share = 102 / 104
    assert binomial_error(1.0, 100) == pytest.approx(math.sqrt(share * (1 - share) / 104))
    assert binomial_error(0.0, 100) == pytest.approx(binomial_error(1.0, 100))
    assert score_training("accuracy", [record(1, 1.0)]).standard_error == pytest.approx(0.013464, abs=1e-5)


def test_each_class_has_a_metric_of_its_own_that_mlflow_takes() -> None:
    names = metric_names(["C+", "C#", "C_", "a/b", "a b", "..", "", "é" * 300, "é" * 299, "\udcff"])
    assert len(set(names)) == 10
    assert names[:3] == ["C_", "C_ 2", "C_ 3"]
    for name in names:
        _validate_metric_name(f"held_out_recall/{name}")
        assert len(f"held_out_recall/{name}") <= 250
