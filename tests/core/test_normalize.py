"""BatchNorm folded into matrices: against PyTorch's own operations, first and second derivatives too."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pcdarts_tune.core.fast.normalize import (
    channel_statistics,
    combine,
    mix,
    normalize,
    pixels,
    plain_mix,
    plain_normalize,
    unpixels,
)
from pcdarts_tune.core.fast.wiring import fixed_wires, node_matrix, sampled_wires
from pcdarts_tune.core.mixing import mix_channels


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize(("rows", "channels"), [(32, 4), (30, 4), (7, 3), (64, 300)])
def test_statistics_whatever_the_row_length(rows: int, channels: int) -> None:
    y = 3 + random(rows, channels).detach()
    mean, variance = channel_statistics(y)
    torch.testing.assert_close(mean, y.mean(dim=0))
    torch.testing.assert_close(variance, y.var(dim=0, correction=0))


def test_statistics_survive_a_large_mean_in_float32() -> None:
    y = 300 + random(4096, 4).detach().float()
    torch.testing.assert_close(
        channel_statistics(y)[1], y.double().var(dim=0, correction=0).float(), rtol=1e-4, atol=0
    )


def test_one_value_has_no_variance() -> None:
    with pytest.raises(ValueError, match="more than one value"):
        channel_statistics(torch.zeros(1, 4))


@pytest.mark.parametrize("relu", [True, False])
def test_normalize_is_batch_norm(relu: bool) -> None:
    y = random(3, 4, 5, 2)
    out, mean, variance = normalize(y, relu=relu)
    expected = F.batch_norm(y, None, None, training=True)
    torch.testing.assert_close(out, torch.relu(expected) if relu else expected)
    assert mean.shape == variance.shape == (4,)
    torch.testing.assert_close(pixels(out), plain_normalize(pixels(y), relu))
    assert torch.autograd.gradcheck(lambda v: normalize(v, relu=relu)[0], (y,))
    assert torch.autograd.gradgradcheck(lambda v: normalize(v, relu=relu)[0], (y,), atol=1e-4)


@pytest.mark.parametrize("normalized", [(True, False, True), (False, False, False), (True, True, True)])
@pytest.mark.parametrize("with_before", [True, False])
def test_mix_is_batch_norm_then_matrices(normalized: tuple[bool, ...], with_before: bool) -> None:
    ys = [random(12, c, seed=c) for c in (2, 3, 4)]
    matrix, before = random(9, 3, seed=9), random(12, 3, seed=8) if with_before else None

    def run(matrix: Tensor, *ys: Tensor) -> Tensor:
        return mix(before, ys, matrix, normalized)[0]

    torch.testing.assert_close(run(matrix, *ys), plain_mix(before, ys, matrix, normalized))
    assert torch.autograd.gradcheck(run, (matrix, *ys))
    assert torch.autograd.gradgradcheck(run, (matrix, *ys), atol=1e-4)
    if before is not None:
        (given,) = torch.autograd.grad(run(matrix, *ys).sum(), before)
        torch.testing.assert_close(given, torch.ones_like(before))


def test_combine_adds_products() -> None:
    ys, matrix = [random(12, c, seed=c) for c in (2, 3)], random(5, 3, seed=9)
    torch.testing.assert_close(combine(ys, matrix), torch.cat(ys, dim=1) @ matrix)
    assert torch.autograd.gradcheck(lambda m, *v: combine(v, m), (matrix, *ys))
    assert torch.autograd.gradgradcheck(lambda m, *v: combine(v, m), (matrix, *ys))


@pytest.mark.parametrize("mixing", ["shuffle", "shift"])
@pytest.mark.parametrize("k", [2, 4])
def test_a_node_is_what_its_edges_send_and_bypass(mixing: str, k: int) -> None:
    wires = fixed_wires(8, k, mixing)
    wires = type(wires)(*(values.double() for values in wires))
    states = [random(2, 8, 3, 3, seed=s).detach() for s in range(3)]
    edges = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    sent = random(18, 3 * 8 // k, seed=7).detach()  # three nodes; this is the second
    matrix = node_matrix(1, 3, [wires] * 3, [0], edges)
    node = combine([sent, *(pixels(state) for state in states)], matrix)
    c = 8 // k
    bypassed = sum(e * state[:, c:] for e, state in zip(edges, states, strict=True))
    assert isinstance(bypassed, Tensor)
    expected = mix_channels(unpixels(sent[:, c : 2 * c], (2, c, 3, 3)), bypassed, k, mixing)
    torch.testing.assert_close(unpixels(node, (2, 8, 3, 3)), expected)
    torch.testing.assert_close(pixels(states[0]) @ wires.select, pixels(states[0][:, :c]))


def test_sampled_channels_keep_their_places() -> None:
    order = torch.tensor([2, 0, 3, 1])
    wires = sampled_wires(order, 2, torch.zeros((), dtype=torch.float64))
    state = random(5, 4).detach()
    torch.testing.assert_close(state @ wires.select, state[:, [2, 0]])
    torch.testing.assert_close(state @ wires.select @ wires.place + state @ wires.bypass, state)
