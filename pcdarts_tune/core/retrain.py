"""One training of a derived network from scratch: a trial's evaluation and the final retraining alike (DARTS, section 3.2).

>>> for epoch in Training(EvaluationNetwork(genotype), train, valid, epochs=600, batch_size=96):
...     print(epoch.epoch, epoch.valid_accuracy)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pcdarts_tune.core import balance
from pcdarts_tune.core.epochs import TrainEpoch
from pcdarts_tune.core.groups import Groups, Team
from pcdarts_tune.core.images.augment import Mixing, largest_class
from pcdarts_tune.core.images.data import Batches, require_batches, skip_single_images
from pcdarts_tune.core.loop import Loop
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.steps import optimizers
from pcdarts_tune.core.steps.execution import autocast, derive_seed, promote_logits
from pcdarts_tune.core.steps.meter import Stopwatch, require_finite


class Training:
    """A training that can be stopped after any epoch and go on elsewhere.

    Args:
        network: on the device of the data.
        train: training images; valid: images to score after every epoch, or None.
        epochs, batch_size: of the training.
        learning_rate, learning_rate_min, lr_warmup_epochs, schedule: see `optimizers.learning_rate`.
        momentum, weight_decay, grad_clip: of SGD.
        drop_path: probability that the last epoch comes close to.
        auxiliary_weight: what the auxiliary head's loss counts, where the network has one.
        label_smoothing: of the training loss.
        class_weights: of the training loss: `none`, or `balanced` by the training images, see `balance.balanced_weights`.
        ema_decay: of the moving average of the weights, see `optimizers.Average`; 0 keeps none.
        mixup, cutmix: of batches, see `augment.Mixing`; 0 mixes none.
        seed: of the order and augmentation of the data, and of drop path.
        precision, compile, graphs: see `search.Search`.
        groups: parts of a batch with BatchNorm statistics of their own, see groups.py; team: the processes that share them.

    Attributes:
        result: the network to score and to keep: the average of the weights where there is one, else `network`.

    Raises:
        ValueError: for a precision that the device does not have, graphs that cannot be had, a batch that cannot be
            divided.
    """

    def __init__(
        self,
        network: EvaluationNetwork,
        train: Batches,
        valid: Batches | None = None,
        *,
        epochs: int = 600,
        batch_size: int = 96,
        learning_rate: float = 0.025,
        learning_rate_min: float = 0.0,
        lr_warmup_epochs: int = 0,
        schedule: str = "cosine",
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        grad_clip: float = 5.0,
        drop_path: float = 0.3,
        auxiliary_weight: float = 0.4,
        label_smoothing: float = 0.0,
        ema_decay: float = 0.0,
        class_weights: str = "none",
        mixup: float = 0.0,
        cutmix: float = 0.0,
        seed: int = 0,
        precision: str = "float32",
        compile: bool | str = False,
        graphs: bool | str = "auto",
        groups: int = 1,
        team: Team | None = None,
    ) -> None:
        require_batches(batch_size, train=train)
        self.network, self.train, self.valid = network, train, valid
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.grad_clip, self.drop_path = grad_clip, drop_path
        self.auxiliary_weight, self.label_smoothing = auxiliary_weight, label_smoothing
        self.device = next(network.parameters()).device
        network.to(memory_format=torch.channels_last)
        self.groups = Groups(groups, team or Team(), network, batch_size, len(train))
        self.optimizer = optimizers.sgd(
            network.parameters(), self.device, lr=learning_rate, momentum=momentum, weight_decay=weight_decay
        )
        self.class_weights = balance.class_weights(class_weights, train, device=self.device)
        self.average = optimizers.Average(network, ema_decay) if ema_decay else None
        self.result = network if self.average is None else self.average.network
        mixes = mixup > 0 or cutmix > 0
        self.mixing = Mixing(train.num_classes, mixup=mixup, cutmix=cutmix) if mixes else None
        self.loop = Loop(
            [network] if self.average is None else [network, self.average.network],
            [self.optimizer],
            lambda epoch: optimizers.learning_rate(
                schedule, epoch, epochs, learning_rate, minimum=learning_rate_min, warmup=lr_warmup_epochs
            ),
            precision=precision,
            compile=compile,
            graphs=graphs,
            classes=train.num_classes,
            unfit="batches are divided into groups" if groups > 1 else None,
        )
        self.precision, self.graphs, self.execution = precision, self.loop.graphs, self.loop.describe
        self.epoch = 0

    def __iter__(self) -> Iterator[TrainEpoch]:
        """Run the epochs that are left.

        Raises:
            NonFiniteLoss: when the training loss is NaN or infinite at the end of an epoch.
        """
        while self.epoch < self.epochs:
            with self.loop.epoch(self.epoch, self.seed, "training") as watch:
                record = self._run_epoch(watch)
            self.epoch += 1
            yield record

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on: randomness is keyed by seed and epoch."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": optimizers.optimizer_state(self.optimizer),
            "epoch": self.epoch,
        }
        return state if self.average is None else {**state, "average": self.average.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.network.load_state_dict(state["network"])
        if self.average is not None:
            self.average.network.load_state_dict(state["average"])
        optimizers.load_optimizer(self.optimizer, state["optimizer"])
        self.graphs.clear()
        self.epoch = state["epoch"]

    def _run_epoch(self, watch: Stopwatch) -> TrainEpoch:
        epoch = self.epoch
        self.network.drop_path = optimizers.drop_path_probability(epoch, self.epochs, self.drop_path)
        self.network.train()
        (self._train_groups if self.groups.count > 1 else self._train_whole)()
        train_loss, train_accuracy, trained = self.loop.trained.read()
        seconds = watch.seconds()
        if not trained:
            raise ValueError("no batch could be trained on: damaged files left too few images in each")
        require_finite(train_loss, "training loss", epoch, "lower the recipe's learning_rate")
        scored = self.loop.score(self.result, self.valid, self.batch_size, self.groups.team)
        return TrainEpoch(
            epoch=epoch,
            epochs=self.epochs,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            valid_loss=None if scored is None else scored.loss,
            valid_accuracy=None if scored is None else scored.accuracy,
            learning_rate=self.loop.rate(epoch),
            drop_path=self.network.drop_path,
            seconds=seconds,
            images_per_second=trained / seconds,
            peak_memory_bytes=max(watch.peak_memory_bytes(), self.graphs.peak_memory_bytes),
            trained_images=trained,
            scored=scored,
        )

    def step_measured(self, images: Tensor, labels: Tensor) -> None:
        """One SGD step, which goes into the epoch's measures."""
        self.loop.trained.add(*self.step(images, labels), largest_class(labels))

    def step(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One SGD step on labels int64 (N,) or shares of the classes, float32 (N, K); loss and logits, detached."""
        loss, logits = self.add_gradients(images, labels)
        self.update()
        return loss, logits

    def add_gradients(self, images: Tensor, labels: Tensor, weight: float = 1.0) -> tuple[Tensor, Tensor]:
        """Forward and backward; the gradient counts `weight`. Returns loss and logits, detached."""
        with autocast(self.device, self.precision):
            logits, auxiliary = self.groups.forward(images.contiguous(memory_format=torch.channels_last))
        loss = self._loss(logits, labels)
        if auxiliary is not None:
            loss = loss + self.auxiliary_weight * self._loss(auxiliary, labels)
        (loss if weight == 1 else loss * weight).backward()
        return loss.detach(), logits.detach()

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return balance.cross_entropy(promote_logits(logits), labels, self.class_weights, self.label_smoothing)

    def update(self) -> None:
        """One step of SGD along the gradients that were added."""
        nn.utils.clip_grad_norm_(self.network.parameters(), self.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update()

    def _train_whole(self) -> None:
        """An epoch's steps."""
        dropping = self.network.drop_path > 0  # whether the step draws masks at all
        batches = self.train.epoch(self.batch_size, epoch=self.epoch, seed=self.seed)
        for number, batch in enumerate(skip_single_images(batches)):
            # mixed outside the graphs: the host draws how
            self.graphs.run(("training", dropping), self.step_measured, *self._mixed(*batch, number))

    def _train_groups(self) -> None:
        """An epoch's steps, group by group, see groups.py."""
        for step, own in self.groups.epoch(self.train, self.batch_size, epoch=self.epoch, seed=self.seed):
            for group, weight, images, labels in own:
                images, labels = self._mixed(images, labels, step * self.groups.count + group)
                torch.manual_seed(derive_seed(self.seed, "training", self.epoch, step, group))
                with self.groups.compute(group):
                    self.loop.trained.add(*self.add_gradients(images, labels, weight), largest_class(labels))
            self.update()
        self.groups.team.add_up(self.loop.trained.sums)

    def _mixed(self, images: Tensor, labels: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """A batch by MixUp or CutMix, where they are on."""
        if self.mixing is None:
            return images, labels
        return self.mixing(images, labels, seed=self.seed, epoch=self.epoch, batch=number)
