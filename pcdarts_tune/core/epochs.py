"""What one epoch of a search and of a training gave, by names for Python and for MLflow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from pcdarts_tune.core.genotype import AnyGenotype
from pcdarts_tune.core.perturbation import Decision
from pcdarts_tune.core.steps.meter import Scored

Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class SearchEpoch:
    """What one epoch of a search gave.

    Attributes:
        epoch, epochs: this epoch, from 0, and how many there are.
        genotype: derived after this epoch.
        train_loss, train_accuracy: supernet on the weights half, augmented.
        arch_loss, arch_accuracy: supernet on the alphas half, before each architecture step; None while frozen.
        valid_loss, valid_accuracy: supernet in evaluation mode on held-out images; None where none were given. It does
            not rank the derived cells: their own training does.
        alpha_entropies: mean entropy of softmax(alpha) over the edges, in nats, by kind of cell.
        skip_connections: of `genotype`.
        decisions: made after this epoch, see `perturbation.Decision`.
        unlimited_skip_connections: those that it would have without a limit; None where there is none.
        learning_rate: of the weights in this epoch.
        seconds, images_per_second: images count once for each half they train.
        peak_memory_bytes: see `meter.Stopwatch`.
        hessian_eigenvalue: see `hessian.architecture_eigenvalue`; None where it was not asked for.
        alphas: softmaxed, (E, O), by kind of cell.
        betas: softmaxed per node, (E,), or None, by kind of cell.
        alpha_entropy_normal, alpha_entropy_reduce, alpha_normal, alpha_reduce, beta_normal, beta_reduce: those of the
            cells of DARTS.
    """

    epoch: int
    epochs: int
    genotype: AnyGenotype
    train_loss: float
    train_accuracy: float
    arch_loss: float | None
    arch_accuracy: float | None
    valid_loss: float | None
    valid_accuracy: float | None
    alpha_entropies: Mapping[str, float]
    skip_connections: int
    learning_rate: float
    seconds: float
    images_per_second: float
    peak_memory_bytes: int
    alphas: Mapping[str, Table] = field(repr=False)
    betas: Mapping[str, tuple[float, ...] | None] = field(repr=False)
    hessian_eigenvalue: float | None = None
    unlimited_skip_connections: int | None = None
    decisions: tuple[Decision, ...] = ()

    @property
    def alpha_entropy_normal(self) -> float:
        return self.alpha_entropies["normal"]

    @property
    def alpha_entropy_reduce(self) -> float:
        return self.alpha_entropies["reduce"]

    @property
    def alpha_normal(self) -> Table:
        return self.alphas["normal"]

    @property
    def alpha_reduce(self) -> Table:
        return self.alphas["reduce"]

    @property
    def beta_normal(self) -> tuple[float, ...] | None:
        return self.betas["normal"]

    @property
    def beta_reduce(self) -> tuple[float, ...] | None:
        return self.betas["reduce"]

    def metrics(self) -> dict[str, float]:
        """The numbers by the names that MLflow shows; what was not measured is left out."""
        own = {
            "search/loss_arch": self.arch_loss,
            "search/acc_arch": self.arch_accuracy,
            **{f"arch/alpha_entropy_{kind}": value for kind, value in self.alpha_entropies.items()},
            "arch/skip_connections": float(self.skip_connections),
            "arch/skip_connections_unlimited": self.unlimited_skip_connections,
            "arch/hessian_eigenvalue": self.hessian_eigenvalue,
        }
        return _name_metrics("search", self, own)


def as_rows(weights_EO: Tensor) -> Table:
    """The numbers of an (E, O) tensor, row by row."""
    return tuple(tuple(row) for row in weights_EO.tolist())


def as_numbers(values: Tensor | None) -> tuple[float, ...] | None:
    """The numbers of a (E,) tensor."""
    return None if values is None else tuple(values.tolist())


def entropy(rows: Table) -> float:
    """Mean entropy of the edges' softmaxed alphas, in nats."""
    return sum(-p * math.log(p) for row in rows for p in row if p > 0) / len(rows)


@dataclass(frozen=True)
class TrainEpoch:
    """What one epoch of a training gave.

    Attributes:
        epoch, epochs: this epoch, from 0, and how many there are.
        train_loss, train_accuracy: on augmented images with drop path; the loss includes the auxiliary head's and class
            weights. Of mixed images (MixUp, CutMix) the class with the larger share counts as right.
        valid_loss, valid_accuracy: in evaluation mode on held-out images, with the averaged weights where there are some;
            None where there are no images.
        learning_rate, drop_path: in this epoch.
        seconds, images_per_second: of training, validation apart.
        peak_memory_bytes: see `meter.Stopwatch`.
        trained_images: that `train_loss` and `train_accuracy` are means over.
        scored: all that is known of the held-out images.
    """

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    valid_loss: float | None
    valid_accuracy: float | None
    learning_rate: float
    drop_path: float
    seconds: float
    images_per_second: float
    peak_memory_bytes: int
    trained_images: int = 0
    scored: Scored | None = field(default=None, repr=False)

    def metrics(self, prefix: str) -> dict[str, float]:
        """The numbers by the names that MLflow shows, below `prefix`; what was not measured is left out."""
        balanced = None if self.scored is None else self.scored.balanced_accuracy
        own = {f"{prefix}/drop_path": self.drop_path, f"{prefix}/balanced_acc_held_out": balanced}
        return _name_metrics(prefix, self, own)


def _name_metrics(
    prefix: str, epoch: SearchEpoch | TrainEpoch, own: Mapping[str, float | None]
) -> dict[str, float]:
    named = {
        f"{prefix}/loss_train": epoch.train_loss,
        f"{prefix}/acc_train": epoch.train_accuracy,
        f"{prefix}/loss_held_out": epoch.valid_loss,
        f"{prefix}/acc_held_out": epoch.valid_accuracy,
        f"{prefix}/learning_rate": epoch.learning_rate,
        f"{prefix}/seconds": epoch.seconds,
        f"{prefix}/images_per_second": epoch.images_per_second,
        f"{prefix}/peak_memory_bytes": float(epoch.peak_memory_bytes),
        **own,
    }
    return {name: value for name, value in named.items() if value is not None}
