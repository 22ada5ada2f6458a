"""How good a trained network is on labelled images: accuracy with its interval, by class, and how far its probabilities are true.

    evaluation = evaluate(model, labelled.renumber(model.classes))
    evaluation.accuracy, evaluation.expected_calibration_error

Images come in batches and are forgotten; what is kept is the confusion matrix and a few sums. Intervals of shares are
Wilson's (spread.py). The expected calibration error is that of C. Guo et al., "On Calibration of Modern Neural Networks", ICML
2017, equation 3: the mean distance between confidence and accuracy over bins of equal width, weighted by their images.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pcdarts_tune.core.images.stream import StreamBatches
from pcdarts_tune.datasets.labelled import Labelled
from pcdarts_tune.errors import UserError
from pcdarts_tune.models.model import LoadedModel
from pcdarts_tune.spread import wilson

BINS = 15
"""Bins of confidence; as many as Guo et al. take."""
TOP = 5
BATCH, FEW = 256, 2000
"""Images in a batch; how many are decoded in this process alone, as starting others takes longer."""


@dataclass
class Evaluation:
    """What was counted.

    Attributes:
        classes: K names.
        confusion: int64 (K, K): of the images of class i, how many were taken for class j.
        top: images whose class is among the TOP likeliest.
        loss, squared_loss: sums of -log p(class) and of its square over the images.
        bin_images, bin_right: int64 (BINS,), images by confidence, and those that were right.
        bin_confidence: float64 (BINS,), sums of confidence.
        unreadable: file -> why it was left out.
    """

    classes: tuple[str, ...]
    confusion: Tensor
    top: int = 0
    loss: float = 0.0
    squared_loss: float = 0.0
    bin_images: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.int64))
    bin_right: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.int64))
    bin_confidence: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.float64))
    unreadable: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, classes: tuple[str, ...]) -> Evaluation:
        """Nothing counted yet."""
        return cls(classes, torch.zeros(len(classes), len(classes), dtype=torch.int64))

    def add(self, logits_NK: Tensor, labels_N: Tensor) -> None:
        """Count a batch: logits float (N, K), labels int64 (N,), both on the CPU."""
        logs_NK, count = logits_NK.double().log_softmax(dim=1), len(self.classes)
        losses_N = -logs_NK.gather(1, labels_N[:, None])[:, 0]
        confidence_N, best_N = logs_NK.exp().max(dim=1)
        right_N = best_N == labels_N
        self.confusion += torch.bincount(labels_N * count + best_N, minlength=count * count).view(
            count, count
        )
        self.top += int((logs_NK.topk(min(TOP, count), dim=1).indices == labels_N[:, None]).sum())
        self.loss += float(losses_N.sum())
        self.squared_loss += float(losses_N.square().sum())
        bins_N = (confidence_N * BINS).ceil().long().clamp(1, BINS) - 1
        self.bin_images += torch.bincount(bins_N, minlength=BINS)
        self.bin_right += torch.bincount(bins_N[right_N], minlength=BINS)
        self.bin_confidence += torch.bincount(bins_N, confidence_N, minlength=BINS)

    @property
    def images(self) -> int:
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """Images whose likeliest class is theirs."""
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        return self.right / self.images

    @property
    def top_accuracy(self) -> float | None:
        """Share of the images whose class is among the TOP likeliest; None where there are no more classes than that."""
        return self.top / self.images if len(self.classes) > TOP else None

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have images."""
        counts = self.confusion.sum(1)
        return float((self.confusion.diagonal()[counts > 0] / counts[counts > 0]).mean())

    @property
    def mean_loss(self) -> float:
        """Mean negative log-likelihood, in nats."""
        return self.loss / self.images

    @property
    def loss_error(self) -> float | None:
        """Standard error of `mean_loss`; None of one image."""
        if self.images < 2:
            return None
        variance = max(0.0, self.squared_loss - self.loss**2 / self.images) / (self.images - 1)
        return math.sqrt(variance / self.images)

    @property
    def expected_calibration_error(self) -> float:
        return float((self.bin_confidence - self.bin_right).abs().sum() / self.images)

    def by_class(self) -> list[dict[str, Any]]:
        """Of every class, in their order, what `--json` has."""
        rows = []
        for number, name in enumerate(self.classes):
            right, images = int(self.confusion[number, number]), int(self.confusion[number].sum())
            predicted = int(self.confusion[:, number].sum())
            rows.append(
                {
                    "class": name,
                    "images": images,
                    "predicted": predicted,
                    "recall": right / images if images else None,
                    "recall_interval": wilson(right, images),
                    "precision": right / predicted if predicted else None,
                    "precision_interval": wilson(right, predicted),
                }
            )
        return rows

    def bins(self) -> list[dict[str, Any]]:
        """The reliability curve: for each bin with images its bounds, mean confidence and accuracy."""
        rows = []
        for number in range(BINS):
            images, right = int(self.bin_images[number]), int(self.bin_right[number])
            if images:
                rows.append(
                    {
                        "low": number / BINS,
                        "high": (number + 1) / BINS,
                        "images": images,
                        "confidence": float(self.bin_confidence[number]) / images,
                        "accuracy": right / images,
                        "accuracy_interval": wilson(right, images),
                    }
                )
        return rows

    def mistakes(self, most: int = 10) -> list[dict[str, Any]]:
        """The commonest confusions, most images first."""
        wrong = self.confusion.clone().fill_diagonal_(0)
        counts, places = wrong.flatten().topk(min(most, wrong.numel()))
        count = len(self.classes)
        pairs = zip(counts.tolist(), places.tolist(), strict=True)
        return [
            {"class": self.classes[at // count], "taken_for": self.classes[at % count], "images": images}
            for images, at in pairs
            if images
        ]

    def to_dict(self) -> dict[str, Any]:
        top = None if self.top_accuracy is None else wilson(self.top, self.images)
        return {
            "images": self.images,
            "unreadable": self.unreadable,
            "accuracy": self.accuracy,
            "accuracy_interval": wilson(self.right, self.images),
            "balanced_accuracy": self.balanced_accuracy,
            "top_5": self.top_accuracy,
            "top_5_interval": top,
            "negative_log_likelihood": self.mean_loss,
            "negative_log_likelihood_error": self.loss_error,
            "expected_calibration_error": self.expected_calibration_error,
            "calibration": {"bins": BINS, "curve": self.bins()},
            "by_class": self.by_class(),
            "mistakes": self.mistakes(),
            "confusion": {"classes": list(self.classes), "matrix": self.confusion.tolist()},
        }


def evaluate(
    model: LoadedModel,
    labelled: Labelled,
    *,
    max_unreadable: float = 0.01,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Classify every image once.

    Args:
        labelled: labels count `model.classes`, see `Labelled.renumber`.
        max_unreadable: share of a part's files that may be damaged, one always; they are named and left out.
        progress: called with the number of images done.

    Raises:
        UserError: too many damaged images, or no image at all.
    """
    device = next(model.network.parameters()).device
    evaluation, done = Evaluation.of(model.classes), 0
    mean, std = (tuple(model.preprocessing[key]) for key in ("mean", "std"))
    for images, labels in labelled.parts:
        batches = StreamBatches(
            images,
            labels,
            num_classes=len(model.classes),
            mean=mean,
            std=std,
            device=device,
            workers=min(torch.get_num_threads(), os.cpu_count() or 1) if len(labels) > FEW else 0,
            max_unreadable=max_unreadable,
        )
        try:
            with torch.inference_mode():
                for x, y in batches.epoch(BATCH, epoch=0, seed=0, shuffle=False):
                    evaluation.add(model.network(x)[0].float().cpu(), y.cpu())
                    done += len(y)
                    if progress is not None:
                        progress(done)
        except ValueError as error:
            if not batches.unreadable:
                raise
            hint = "repair or remove these files, or allow more: --set data.max_unreadable=0.1"
            raise UserError(str(error), hint=hint) from error
        evaluation.unreadable |= batches.unreadable
    if not evaluation.images:
        wrong = f"{labelled.name}: no image of the split {labelled.split!r} can be evaluated"
        raise UserError(wrong, hint="give images that can be read, with --data DIR, or another --split")
    return evaluation


def recorded_data(model: LoadedModel) -> dict[str, str] | None:
    """`name` and `digest` of the data set that the model was trained on; None where it does not say."""
    origin = model.description.get("origin")
    data = origin.get("data") if isinstance(origin, dict) else None
    if not isinstance(data, dict) or not all(isinstance(data.get(key), str) for key in ("name", "digest")):
        return None
    return {"name": data["name"], "digest": data["digest"]}
