"""An evaluation as PNG images: the confusion matrix as a heat map of shares, and the reliability curve.

    confusion_png([[48, 2], [1, 49]], ("cat", "dog"))

Each row of the heat map is a class of images, and its colours are shares of these images, so that rare classes are as visible as
common ones; the numbers are images. Lengths are inches, type sizes points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from pcdarts_tune.drawing.picture import INK, text_width
from pcdarts_tune.drawing.render import draw_png

MOST_NUMBERED, MOST_NAMED = 25, 60
"""Classes up to which a cell has its number, and a row its name."""
_BLUE, _GREY = "#0072b2", "#8b949e"


@draw_png
def confusion_png(matrix: Any, classes: Sequence[str], *, title: str = "") -> Figure:
    """The confusion matrix.

    Args:
        matrix: int (K, K): of the images of class i, how many were taken for class j.
        classes: K names.

    Raises:
        ValueError: the matrix is not (K, K).
    """
    counts, count = np.asarray(matrix), len(classes)
    if counts.shape != (count, count):
        raise ValueError(f"the matrix of {count} classes must be ({count}, {count}); got {counts.shape}")
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name in classes] if count <= MOST_NAMED else []
    beside = max((text_width(name, 9) for name in names), default=20) / 72 + 0.7
    side = min(12.0, max(3.0, 0.42 * count))
    width, height = beside + side + 0.3, beside + side + 0.6
    figure = Figure((width, height), dpi=120, facecolor="#ffffff")
    axes = figure.add_axes((beside / width, beside / height, side / width, side / height))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(range(len(names)), names, size=9, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names, size=9)
    axes.tick_params(length=0)
    axes.set_xlabel("taken for", size=10)
    axes.set_ylabel("class", size=10)
    figure.suptitle(title, x=0.02, y=0.99, ha="left", va="top", size=11, weight="bold")
    if count <= MOST_NUMBERED:
        for (row, column), images in np.ndenumerate(counts):
            if images:
                ink = "#ffffff" if shares[row, column] > 0.55 else INK
                axes.text(column, row, str(images), color=ink, size=8, ha="center", va="center")
    return figure


@draw_png
def reliability_png(bins: Sequence[Mapping[str, Any]], *, title: str = "") -> Figure:
    """Accuracy against confidence with 95 % intervals, and below how many images each bin has.

    Args:
        bins: with `low`, `high`, `images`, `confidence`, `accuracy` and `accuracy_interval`.
    """
    figure = Figure((5.0, 6.0), dpi=120, facecolor="#ffffff")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence, accuracy = [each["confidence"] for each in bins], [each["accuracy"] for each in bins]
    errors = [
        [each["accuracy"] - each["accuracy_interval"][0] for each in bins],
        [each["accuracy_interval"][1] - each["accuracy"] for each in bins],
    ]
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    axes.errorbar(
        confidence, accuracy, np.maximum(errors, 0), color=_BLUE, marker="o", capsize=3, linewidth=1.4
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    axes.set_title(title, loc="left", size=11, weight="bold")
    low, widths = [each["low"] for each in bins], [each["high"] - each["low"] for each in bins]
    below.bar(low, [each["images"] for each in bins], widths, align="edge", color=_BLUE, edgecolor="#ffffff")
    below.set(xlabel="confidence", ylabel="images")
    figure.tight_layout()
    return figure
