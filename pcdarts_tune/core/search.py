"""One search: weights and architecture trained in turn, each on its own half of the data (PC-DARTS, section 4).

    >>> for epoch in Search(net, weights_half, alphas_half, epochs=50, batch_size=256):
    ...     print(epoch.epoch, epoch.train_accuracy, epoch.genotype)

Every step is an architecture step on a batch of the alphas half, then a weight step on a batch of the weights half; the
architecture is frozen for the first epochs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from pcdarts_tune.core import balance
from pcdarts_tune.core.architect import Architect, differentiate_only, restore_values
from pcdarts_tune.core.epochs import SearchEpoch, as_numbers, as_rows, entropy
from pcdarts_tune.core.genotype import AnyGenotype, require_limited_kind
from pcdarts_tune.core.hessian import architecture_eigenvalue
from pcdarts_tune.core.images.data import Batches, require_batches, skip_single_images
from pcdarts_tune.core.loop import Loop
from pcdarts_tune.core.perturbation import Decision, Selection
from pcdarts_tune.core.steps import optimizers
from pcdarts_tune.core.steps.execution import (
    autocast,
    derive_seed,
    promote_logits,
    seed_generators,
    use_precision,
)
from pcdarts_tune.core.steps.meter import Stopwatch, require_finite
from pcdarts_tune.core.supernet import Supernet


class Search:
    """A search that can be stopped after any epoch and go on elsewhere.

    Args:
        supernet: on the device of the data.
        weights, alphas: the two halves of the training images.
        epochs, batch_size: of both halves.
        learning_rate, learning_rate_min, lr_warmup_epochs: of SGD, annealed by a cosine each epoch.
        momentum, weight_decay, grad_clip: of SGD; gradients are clipped at this norm, alphas and betas apart.
        arch_learning_rate, arch_betas, arch_weight_decay, arch_grad_clip: of Adam on alphas and betas.
        arch_warmup_epochs: epochs before alphas and betas move.
        order, hessian: see `architect.Architect`.
        max_skip_connections: of the normal cell of every genotype that is derived, see `genotype.derive`; None: any number.
        tune_epochs: epochs between two decisions of a selection by perturbation (`perturbation.py`), which then follows the
            `epochs`, with weights and alphas trained on from a tenth of the learning rate; None: alphas decide.
        temperatures: of GDAS (`SearchedNetwork.sample_operations`) in the first and the last epoch, linear between; None:
            operations are mixed.
        log_hessian: epochs between two dominant eigenvalues of the loss's Hessian by the architecture, on one batch of the
            alphas half, for the record only (`hessian.py`); None: none.
        class_weights: `none`, or `balanced` by the images of both halves, see `balance.balanced_weights`.
        seed: of the order and augmentation of the data, and of random mixing.
        validate: images on which the supernet is scored after every epoch, for the record only.
        precision: of the forward passes, see `execution.py`.
        compile: whether torch.compile compiles the network, or with which of its backends.
        graphs: whether steps are replayed as CUDA graphs, see `graphs.StepGraphs`; `execution()` says what came of it.
    """

    def __init__(
        self,
        supernet: Supernet,
        weights: Batches,
        alphas: Batches,
        *,
        epochs: int = 50,
        batch_size: int = 256,
        learning_rate: float = 0.1,
        learning_rate_min: float = 0.0,
        lr_warmup_epochs: int = 0,
        momentum: float = 0.9,
        weight_decay: float = 3e-4,
        grad_clip: float = 5.0,
        arch_learning_rate: float = 6e-4,
        arch_betas: tuple[float, float] = (0.5, 0.999),
        arch_weight_decay: float = 1e-3,
        arch_grad_clip: float | None = None,
        arch_warmup_epochs: int = 15,
        order: int = 1,
        hessian: str = "finite_difference",
        max_skip_connections: int | None = None,
        tune_epochs: int | None = None,
        temperatures: tuple[float, float] | None = None,
        log_hessian: int | None = None,
        class_weights: str = "none",
        seed: int = 0,
        validate: Batches | None = None,
        precision: str = "float32",
        compile: bool | str = False,
        graphs: bool | str = "auto",
    ) -> None:
        require_batches(batch_size, weights=weights, alphas=alphas)
        self.supernet, self.weights, self.alphas, self.validate = supernet, weights, alphas, validate
        self.epochs, self.batch_size, self.seed = epochs, batch_size, seed
        self.max_skip_connections, self.log_hessian = max_skip_connections, log_hessian
        if max_skip_connections is not None:
            require_limited_kind(supernet.family)
        if temperatures is not None and (order != 1 or tune_epochs is not None or log_hessian is not None):
            raise ValueError("sampled operations go with order 1 alone, without tune_epochs and log_hessian")
        self.tune_epochs, self.temperatures = tune_epochs, temperatures
        self.selection: Selection | None = None
        self.total_epochs = epochs
        if tune_epochs is not None:
            nodes = supernet.arguments["nodes"]
            self.selection = Selection(supernet, nodes, self.measure_accuracy, seed)
            self.total_epochs += tune_epochs * (self.selection.steps - 1)
        self.arch_warmup_epochs, self.grad_clip = arch_warmup_epochs, grad_clip
        self.device = next(supernet.parameters()).device
        self.optimizer = optimizers.sgd(
            supernet.weight_parameters(),
            self.device,
            lr=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
        )
        self.class_weights = balance.class_weights(class_weights, weights, alphas, device=self.device)
        self.architect = Architect(
            supernet,
            learning_rate=arch_learning_rate,
            betas=arch_betas,
            weight_decay=arch_weight_decay,
            grad_clip=arch_grad_clip,
            order=order,
            hessian=hessian,
            class_weights=self.class_weights,
            precision=precision,
        )
        random = supernet.arguments["mixing"] == "random" and supernet.arguments["k"] > 1
        self.loop = Loop(
            [supernet],
            [self.optimizer, self.architect.optimizer],
            optimizers.search_rate(
                epochs, self.total_epochs - epochs, learning_rate, learning_rate_min, lr_warmup_epochs
            ),
            precision=precision,
            compile=compile,
            graphs=graphs,
            classes=weights.num_classes,
            unfit="random mixing draws anew in each step" if random else None,
        )
        self.precision, self.graphs, self.execution = precision, self.loop.graphs, self.loop.describe
        self.epoch = 0
        self._alphas_pass, self._alphas_batch = 0, 0  # position in the alphas half

    def __iter__(self) -> Iterator[SearchEpoch]:
        """Run the epochs that are left.

        Raises:
            NonFiniteLoss: when a loss is NaN or infinite at the end of an epoch.
        """
        if self.epoch == self.epochs:
            self._select(self.epoch)  # of a supernet that was brought in, nothing is decided yet
        while self.epoch < self.total_epochs:
            with self.loop.epoch(self.epoch, self.seed, "search") as watch:
                record = self._run_epoch(watch)
            self.epoch += 1
            yield record

    def genotype(self) -> AnyGenotype:
        """What would be derived now."""
        return self.supernet.genotype(max_skip_connections=self.max_skip_connections)

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on: randomness is keyed by seed and epoch."""
        return {
            "supernet": self.supernet.state_dict(),
            "optimizer": optimizers.optimizer_state(self.optimizer),
            "architect": optimizers.optimizer_state(self.architect.optimizer),
            "epoch": self.epoch,
            "alphas_position": [self._alphas_pass, self._alphas_batch],
            **({} if self.selection is None else {"selection": self.selection.state_dict()}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.supernet.load_state_dict(state["supernet"])
        optimizers.load_optimizer(self.optimizer, state["optimizer"])
        optimizers.load_optimizer(self.architect.optimizer, state["architect"])
        if self.selection is not None:
            self.selection.load_state_dict(state["selection"])
        self.graphs.clear()
        self.epoch = state["epoch"]
        self._alphas_pass, self._alphas_batch = state["alphas_position"]

    def _run_epoch(self, watch: Stopwatch) -> SearchEpoch:
        loop, net, epoch = self.loop, self.supernet, self.epoch
        moving = epoch >= self.arch_warmup_epochs
        if self.temperatures is not None:
            first, last = self.temperatures
            net.sample_operations(first + (last - first) * epoch / max(1, self.epochs - 1))
        net.train()
        alphas_batches = skip_single_images(self._alphas_batches()) if moving else None
        batches = self.weights.epoch(self.batch_size, epoch=epoch, seed=self.seed)
        for images, labels in skip_single_images(batches):
            if alphas_batches is not None:
                self.graphs.run("pair", self.step_pair, images, labels, *next(alphas_batches))
            else:
                self.graphs.run("weights", self.step_weights, images, labels)
        advice = "lower search.learning_rate or search.arch_learning_rate"
        train_loss, train_accuracy, trained = loop.trained.read()
        require_finite(train_loss, "search's training loss", epoch, advice)
        arch_loss, arch_accuracy, searched = loop.searched.read() if moving else (None, None, 0)
        if arch_loss is not None:
            require_finite(arch_loss, "search's architecture loss", epoch, advice)
        seconds = watch.seconds()
        scored = loop.score(net, self.validate, self.batch_size)
        peak_memory = max(watch.peak_memory_bytes(), self.graphs.peak_memory_bytes)
        decisions = self._select(epoch + 1)
        genotype = self.genotype()
        alphas = {kind: as_rows(weights) for kind, weights in net.softmaxed_alphas().items()}
        return SearchEpoch(
            epoch=epoch,
            epochs=self.total_epochs,
            genotype=genotype,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            arch_loss=arch_loss,
            arch_accuracy=arch_accuracy,
            valid_loss=None if scored is None else scored.loss,
            valid_accuracy=None if scored is None else scored.accuracy,
            alpha_entropies={kind: entropy(rows) for kind, rows in alphas.items()},
            skip_connections=genotype.skip_connections,
            learning_rate=loop.rate(epoch),
            seconds=seconds,
            images_per_second=(trained + searched) / seconds,
            peak_memory_bytes=peak_memory,
            alphas=alphas,
            betas={kind: as_numbers(beta) for kind, beta in net.softmaxed_betas().items()},
            hessian_eigenvalue=self._hessian_eigenvalue(),
            unlimited_skip_connections=(
                None if self.max_skip_connections is None else net.genotype().skip_connections
            ),
            decisions=tuple(decisions),
        )

    def _select(self, done: int) -> list[Decision]:
        """Make the decisions that are due after so many epochs."""
        if self.selection is None or done < self.epochs:
            return []
        steps, tuned = self.selection.steps, done - self.epochs
        due = min(steps, 1 + tuned // self.tune_epochs) if self.tune_epochs else steps
        made: list[Decision] = []
        while self.selection.done < due:
            made += self.selection.step()
        return made

    @torch.no_grad()
    def measure_accuracy(self) -> float:
        """The supernet's accuracy on the alphas half, each time on the same batches, augmented alike, by the batches' own
        statistics; running statistics and random generators are left as they were."""
        net, seed = self.supernet, derive_seed(self.seed, "selection")
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        count, training = 0, net.training
        with (
            seed_generators(self.device, seed),
            use_precision(self.device, self.precision),
            restore_values(list(net.buffers())),
        ):
            net.train()
            batches = self.alphas.epoch(self.batch_size, epoch=0, seed=seed, shuffle=False)
            for images, labels in skip_single_images(batches):
                with autocast(self.device, self.precision):
                    logits = net(images)
                right += (logits.argmax(dim=1) == labels).sum()
                count += len(labels)
            net.train(training)
        return int(right) / count

    def _hessian_eigenvalue(self) -> float | None:
        if self.log_hessian is None or (self.epoch + 1) % self.log_hessian:
            return None
        # the same images each time, so that only weights and architecture differ
        seed = derive_seed(self.seed, "hessian")
        batches = skip_single_images(self.alphas.epoch(self.batch_size, epoch=0, seed=seed))
        images, labels = next(batches)
        found = architecture_eigenvalue(self.supernet, images, labels, class_weights=self.class_weights)
        return found if math.isfinite(found) else None

    def step_pair(self, images: Tensor, labels: Tensor, valid_images: Tensor, valid_labels: Tensor) -> None:
        """An architecture step on a batch of the alphas half, then a weight step; both go into the epoch's measures."""
        loss, logits = self.architect.step(
            valid_images, valid_labels, images, labels, weight_optimizer=self.optimizer
        )
        self.loop.searched.add(loss, logits, valid_labels)
        self.step_weights(images, labels)

    def step_weights(self, images: Tensor, labels: Tensor) -> None:
        """An SGD step of the weights alone, as in the first epochs; alphas and betas get no gradient."""
        weights = self.supernet.weight_parameters()
        with differentiate_only(weights, self.supernet.arch_parameters()):
            with autocast(self.device, self.precision):
                logits = self.supernet(images)
            loss = balance.cross_entropy(promote_logits(logits), labels, self.class_weights)
            loss.backward()
        nn.utils.clip_grad_norm_(weights, self.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.loop.trained.add(loss.detach(), logits.detach(), labels)

    def _alphas_batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The alphas half, over and over, from where the last epoch left it."""
        seed = derive_seed(self.seed, "alphas")  # or both halves would be shuffled alike
        while True:
            batches = self.alphas.epoch(self.batch_size, epoch=self._alphas_pass, seed=seed)
            for batch in islice(batches, self._alphas_batch, None):
                self._alphas_batch += 1
                yield batch
            self._alphas_pass, self._alphas_batch = self._alphas_pass + 1, 0
