"""What one epoch of a training gave."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainEpoch:
    """What one epoch of a training gave.

    Attributes:
        epoch, epochs: this epoch, from 0, and how many there are.
        train_loss, train_accuracy: on augmented images with drop path; the loss includes the auxiliary head's. Of mixed
            images (MixUp, CutMix) the class with the larger share counts as right.
        valid_loss, valid_accuracy: in evaluation mode on held-out images, with the averaged weights where there are some;
            None where there are no images.
        learning_rate, drop_path: in this epoch.
        seconds, images_per_second: of training, validation apart.
        peak_memory_bytes: see `meter.Stopwatch`.
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

    def metrics(self, prefix: str) -> dict[str, float]:
        """The numbers by the names that MLflow shows, below `prefix`; what was not measured is left out."""
        named = {
            "loss_train": self.train_loss,
            "acc_train": self.train_accuracy,
            "loss_held_out": self.valid_loss,
            "acc_held_out": self.valid_accuracy,
            "learning_rate": self.learning_rate,
            "drop_path": self.drop_path,
            "seconds": self.seconds,
            "images_per_second": self.images_per_second,
            "peak_memory_bytes": float(self.peak_memory_bytes),
        }
        return {f"{prefix}/{name}": value for name, value in named.items() if value is not None}
