"""The architect: one step of alphas and betas on a batch that the weights do not train on.

First order (the paper's choice): g = grad_alpha L_val(w, alpha).
Second order (DARTS, eq. 7): g = grad_alpha L_val(w') - eta * [grad_alpha L_train(w + R v) - grad_alpha L_train(w - R v)] / (2 R),
with w' = w - eta * (mu * buffer + grad_w L_train + wd * w), v = grad_w' L_val, R = 0.01 / ||v||.

    >>> Architect(net, order=1).step(valid_images, valid_labels)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pcdarts_tune.core.balance import cross_entropy
from pcdarts_tune.core.steps.execution import autocast, check_precision, promote_logits, use_precision
from pcdarts_tune.core.steps.optimizers import adam
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

HESSIANS = ("finite_difference", "exact")
FINITE_DIFFERENCE_STEP = 0.01  # r of R = r / ||v||, as published


class Architect:
    """Adam on alphas and betas.

    Args:
        net: the supernet.
        learning_rate, betas, weight_decay: Adam's; the decay is L2 in the gradient, as published.
        grad_clip: norm at which architecture gradients are clipped; None as published for CIFAR, 5 for ImageNet.
        order: 1 or 2.
        hessian: how order 2 gets its second term: "finite_difference" (published) or "exact".
        class_weights: of the losses, float32 (classes,) on the device, see `balance.cross_entropy`; None for none.
        precision: of the forward passes, see `precision.py`. The second term of order 2 always has float32: anything
            less would round its small step away.

    Raises:
        ValueError: when order, hessian or precision is none of these.
    """

    def __init__(
        self,
        net: Supernet | TextbookSupernet,
        *,
        learning_rate: float = 6e-4,
        betas: tuple[float, float] = (0.5, 0.999),
        weight_decay: float = 1e-3,
        grad_clip: float | None = None,
        order: int = 1,
        hessian: str = "finite_difference",
        class_weights: Tensor | None = None,
        precision: str = "float32",
    ) -> None:
        if order not in (1, 2):
            raise ValueError(f"order must be 1 or 2; got {order!r}")
        if hessian not in HESSIANS:
            raise ValueError(f"hessian must be one of {', '.join(HESSIANS)}; got {hessian!r}")
        self.net, self.order, self.hessian, self.grad_clip = net, order, hessian, grad_clip
        self.class_weights = class_weights
        self.device = net.arch_parameters()[0].device
        self.precision = check_precision(precision, self.device)
        self.optimizer = adam(
            net.arch_parameters(), self.device, lr=learning_rate, betas=betas, weight_decay=weight_decay
        )

    def step(
        self,
        valid_images: Tensor,
        valid_labels: Tensor,
        train_images: Tensor | None = None,
        train_labels: Tensor | None = None,
        *,
        weight_optimizer: torch.optim.SGD | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Move alphas and betas once.

        Args:
            valid_images, valid_labels: (N, C, H, W) and (N,), from the half that trains the architecture.
            train_images, train_labels: the batch that the weights train on next; order 2 only.
            weight_optimizer: the weights' SGD, whose rate, momentum and decay w' is computed with; order 2 only.

        Returns:
            The validation loss before the step (at w' for order 2) and its logits, both detached.
        """
        if self.order == 1:
            loss, logits, gradients = self.gradients(valid_images, valid_labels)
        else:
            if train_images is None or train_labels is None or weight_optimizer is None:
                raise ValueError("order 2 needs the training batch and the weights' optimizer as well")
            loss, logits, gradients = self.unrolled_gradients(
                valid_images, valid_labels, train_images, train_labels, weight_optimizer
            )
        parameters = self.net.arch_parameters()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            # fused optimizers require the parameter's memory layout
            alike = gradient.stride() == parameter.stride()
            parameter.grad = gradient if alike else torch.empty_like(parameter).copy_(gradient)
        if self.grad_clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, logits

    def gradients(
        self, images: Tensor, labels: Tensor, precision: str | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """First-order loss, logits and gradients; the weights' gradients are not computed."""
        with differentiate_only(self.net.arch_parameters(), self.net.weight_parameters()):
            loss, logits = self._loss(images, labels, precision)
            gradients = torch.autograd.grad(loss, self.net.arch_parameters())
        return loss.detach(), logits.detach(), list(gradients)

    def _loss(self, images: Tensor, labels: Tensor, precision: str | None = None) -> tuple[Tensor, Tensor]:
        """Loss and logits, by default in the architect's precision."""
        with autocast(self.device, precision or self.precision):
            logits = self.net(images)
        return cross_entropy(promote_logits(logits), labels, self.class_weights), logits

    def unrolled_gradients(
        self,
        valid_images: Tensor,
        valid_labels: Tensor,
        train_images: Tensor,
        train_labels: Tensor,
        weight_optimizer: torch.optim.SGD,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Second-order loss at w', logits and gradients; weights and running statistics are left as they were."""
        weights, arch = self.net.weight_parameters(), self.net.arch_parameters()
        eta = weight_optimizer.param_groups[0]["lr"]  # a number, or a tensor on the device
        with differentiate_only(weights, arch):
            train_gradients = torch.autograd.grad(self._loss(train_images, train_labels)[0], weights)
        # the published code takes this pass on a copy
        with restore_values(weights), restore_values(list(self.net.buffers())):
            _assign(weights, _momentum_step(weights, train_gradients, weight_optimizer))
            loss, logits = self._loss(valid_images, valid_labels)
            gradients = torch.autograd.grad(loss, [*arch, *weights])
        direct, vector = list(gradients[: len(arch)]), gradients[len(arch) :]
        with use_precision(self.device, "float32"):
            implicit = self._second_term(vector, train_images, train_labels)
        return loss.detach(), logits.detach(), [d - eta * i for d, i in zip(direct, implicit, strict=True)]

    def _second_term(self, vector: Sequence[Tensor], images: Tensor, labels: Tensor) -> list[Tensor]:
        """d/d alpha of grad_w L_train . vector."""
        weights, arch = self.net.weight_parameters(), self.net.arch_parameters()
        if self.hessian == "exact":
            loss, _ = self._loss(images, labels, "float32")
            inner = torch.autograd.grad(loss, weights, create_graph=True)
            product = torch.stack([(g * v).sum() for g, v in zip(inner, vector, strict=True)]).sum()
            return list(torch.autograd.grad(product, arch))
        radius = FINITE_DIFFERENCE_STEP / torch.linalg.vector_norm(
            torch.stack([torch.linalg.vector_norm(v) for v in vector])
        )
        sides = []
        with restore_values(weights) as original:
            for sign in (1, -1):
                _assign(weights, [w + sign * radius * v for w, v in zip(original, vector, strict=True)])
                sides.append(self.gradients(images, labels, "float32")[2])
        return [(plus - minus) / (2 * radius) for plus, minus in zip(*sides, strict=True)]


@contextmanager
def differentiate_only(wanted: Sequence[nn.Parameter], unwanted: Sequence[nn.Parameter]) -> Iterator[None]:
    """Differentiate by `wanted` alone, so that no gradient is computed to be thrown away."""
    for parameter in unwanted:
        parameter.requires_grad_(False)
    for parameter in wanted:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in unwanted:
            parameter.requires_grad_(True)


def _momentum_step(
    weights: Sequence[nn.Parameter], gradients: Sequence[Tensor], optimizer: torch.optim.SGD
) -> list[Tensor]:
    """w' = w - eta * (mu * buffer + gradient + wd * w), unclipped; no buffer counts as zero."""
    group = optimizer.param_groups[0]
    stepped = []
    for w, gradient in zip(weights, gradients, strict=True):
        direction = gradient + group["weight_decay"] * w.detach()
        buffer = optimizer.state.get(w, {}).get("momentum_buffer")
        if buffer is not None:
            direction = direction + group["momentum"] * buffer
        stepped.append(w.detach() - group["lr"] * direction)
    return stepped


def _assign(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        torch._foreach_copy_(list(parameters), list(values))


@contextmanager
def restore_values(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Put the values, which are given as copies, back afterwards, whatever happens meanwhile."""
    saved = [tensor.detach().clone() for tensor in tensors]
    try:
        yield saved
    finally:
        _assign(tensors, saved)
