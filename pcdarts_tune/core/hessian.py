"""The dominant eigenvalue of the architecture's Hessian, whose growth announces cells that do not generalise.

    H = d2 L(w, alpha, beta) / d(alpha, beta)2     on one batch, with fixed weights (RobustDARTS, arXiv 1909.09656, section 3)

    >>> architecture_eigenvalue(supernet, images, labels)

H is never built: Lanczos' method takes products H v, each one more backward pass, as power iteration does, and keeps the
vectors that it made, so that it also converges where two eigenvalues are almost equal or opposite.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from pcdarts_tune.core.architect import differentiate_only, restore_values
from pcdarts_tune.core.architecture import SearchedNetwork
from pcdarts_tune.core.balance import cross_entropy
from pcdarts_tune.core.steps.execution import use_precision

TOLERANCE = 1e-6


def architecture_eigenvalue(
    net: SearchedNetwork,
    images: Tensor,
    labels: Tensor,
    *,
    class_weights: Tensor | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """The eigenvalue of largest magnitude, with its sign, of the loss's Hessian by all alphas and betas.

    The pass is that of an architecture step: in training mode, in the network's own precision. Weights, running statistics,
    gradients and random generators are left as they were.

    Args:
        images, labels: (N, C, H, W) and (N,), N at least 2, from the half that trains the architecture.
        class_weights: see `balance.cross_entropy`.
        tolerance: see `dominant_eigenvalue`.
    """
    parameters, device, training = net.arch_parameters(), images.device, net.training
    sizes = [parameter.numel() for parameter in parameters]
    devices = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        use_precision(device, "float32"),
        differentiate_only(parameters, net.weight_parameters()),
        restore_values([*net.buffers()]),
        torch.enable_grad(),
    ):
        try:
            # not through torch.compile, whose programs cannot be differentiated twice
            loss = cross_entropy(net.train().forward(images), labels, class_weights)
            slopes = torch.autograd.grad(loss, parameters, create_graph=True)
            slope = torch.cat([part.reshape(-1) for part in slopes])

            def product(vector: Tensor) -> Tensor:
                along = vector.to(slope)
                parts = torch.autograd.grad(
                    slope, parameters, along, retain_graph=True, materialize_grads=True
                )
                return torch.cat([part.reshape(-1) for part in parts]).double().cpu()

            return dominant_eigenvalue(product, sum(sizes), tolerance=tolerance)
        finally:
            net.train(training)


def dominant_eigenvalue(
    product: Callable[[Tensor], Tensor], size: int, *, tolerance: float = TOLERANCE
) -> float:
    """The eigenvalue of largest magnitude, with its sign, of a symmetric matrix that is known by its products alone.

    Args:
        product: of the matrix with a float64 (size,) vector on the CPU.
        tolerance: largest residual |H v - e v| of the eigenvector v found, relative to its eigenvalue e; the eigenvalue's
            own error is smaller still.

    Returns:
        NaN where a product is not finite.
    """
    start = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    vectors = [start / torch.linalg.vector_norm(start)]
    diagonal: list[Tensor] = []
    beside: list[Tensor] = []
    while True:
        image = product(vectors[-1])
        if not bool(torch.isfinite(image).all()):
            return math.nan
        diagonal.append(vectors[-1] @ image)
        basis = torch.stack(vectors)
        for _ in range(2):  # once leaves rounding errors that grow
            image = image - basis.T @ (basis @ image)
        length = torch.linalg.vector_norm(image)
        small = torch.diag(torch.stack(diagonal))
        if beside:
            side = torch.diag(torch.stack(beside), 1)
            small = small + side + side.T
        values, directions = torch.linalg.eigh(small)
        at = int(values.abs().argmax())
        found, residual = float(values[at]), float(length * directions[-1, at].abs())
        if len(vectors) == size or residual <= tolerance * abs(found):
            return found
        vectors.append(image / length)
        beside.append(length)
