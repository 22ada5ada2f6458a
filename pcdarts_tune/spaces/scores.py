"""What the scores of a space are called where people read them.

>>> score_title("mean_accuracy"), score_short("mean_accuracy")
('mean accuracy', 'macc')
"""

from __future__ import annotations

from pcdarts_tune.spaces.values import BENCHMARK

TITLES = {
    "accuracy": ("accuracy", "acc", "held-out accuracy"),
    "mean_accuracy": ("mean accuracy", "macc", "held-out mean accuracy"),
    "balanced_accuracy": ("balanced accuracy", "bacc", "held-out balanced accuracy"),
    "loss": ("-loss", "-loss", "held-out -loss"),
    "train_accuracy": ("training accuracy", "tacc", "training accuracy"),
    "train_loss": ("-training loss", "-tloss", "-training loss"),
    "benchmark": ("known accuracy", "known", "known accuracy"),
}
"""Score -> what it is called, in columns and sentences, in MLflow's names of runs, and where it stands alone. All are high where
they are good."""


def score_title(objective: str) -> str:
    """What a score is called."""
    return TITLES[objective][0]


def score_short(objective: str) -> str:
    """What a score is called where there is little room."""
    return TITLES[objective][1]


def score_in_full(objective: str) -> str:
    """What a score is called with its images: `held-out accuracy`, `training accuracy`."""
    return TITLES[objective][2]


def scored_on(objective: str) -> str:
    """Which images a score is measured on."""
    if objective == BENCHMARK:
        return "a published table"
    return "training images" if trains(objective) else "held-out images"


def trains(objective: str) -> bool:
    """Whether a score is measured on the training images."""
    return objective.startswith("train_")
