"""Operations that differ from edge to edge (RobustDARTS, S1) and the operation `noise` (S4)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_supernet import assert_equal_through_steps, twins
from torch.nn import functional as F

from pcdarts_tune.core.cells.candidates import join_primitives
from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, Genotype, derive_genotype, random_genotype
from pcdarts_tune.core.hessian import architecture_eigenvalue
from pcdarts_tune.core.ops import build_operation
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

EDGES = {
    "normal": [
        ["skip_connect", "dil_conv_3x3"],
        ["max_pool_3x3"],
        ["none", "sep_conv_3x3", "skip_connect"],
        ["conv_7x1_1x7", "sep_conv_5x5"],
        ["avg_pool_3x3", "skip_connect"],
    ],
    "reduce": [
        ["max_pool_3x3", "avg_pool_3x3"],
        ["skip_connect", "dil_conv_5x5"],
        ["max_pool_3x3"],
        ["skip_connect", "conv_7x1_1x7"],
        ["dil_conv_3x3", "none"],
    ],
}
"""Of two nodes; no two edges of a source have the same operations."""
TINY: dict[str, Any] = {"channels": 8, "layers": 3, "num_classes": 3, "nodes": 2, "edge_primitives": EDGES}


@pytest.mark.parametrize(
    "arguments",
    [{"k": 2}, {"k": 1, "edge_normalization": False}, {"k": 4, "mixing": "shift"}, {"k": 2, "channels": 40}],
    ids=str,
)
def test_fast_equals_textbook(arguments: dict[str, Any]) -> None:
    assert_equal_through_steps(*twins(**{**TINY, **arguments}), rtol=1e-10, atol=1e-10)


def test_fast_equals_textbook_in_evaluation_with_other_running_statistics() -> None:
    fast, textbook = twins(**TINY, k=2)
    state = {name: value.double() for name, value in textbook.weight_state().items()}
    for name, value in state.items():
        if name.endswith("running_var"):
            state[name] = torch.rand_like(value) + 0.5
        elif name.endswith("running_mean"):
            state[name] = torch.randn_like(value)
    fast.load_published_state(state)
    textbook.load_state_dict(state, strict=False)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(fast.eval()(x), textbook.eval()(x), rtol=1e-10, atol=1e-10)
    assert list(fast.published_state()) == list(textbook.weight_state())
    for name, value in fast.published_state().items():
        torch.testing.assert_close(value, textbook.weight_state()[name], msg=name)


def test_all_operations_on_all_edges_are_the_same_supernet_as_without_lists() -> None:
    names = ("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3")
    lists = {kind: [names] * 5 for kind in ("normal", "reduce")}
    sizes = {key: value for key, value in TINY.items() if key != "edge_primitives"}
    one, other = (Supernet(**sizes, primitives=names, edge_primitives=lists) for lists in (None, lists))
    other.primitives, order = names, list(other.primitives)
    other.load_published_state(one.published_state())
    with torch.no_grad():
        for mine, theirs in zip(other.arch_parameters(), one.arch_parameters(), strict=True):
            columns = [names.index(name) for name in order]
            mine.copy_(theirs[:, columns] if theirs.ndim == 2 else theirs)
    x = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(one(x), other(x), rtol=1e-4, atol=1e-5)


def test_an_edge_has_only_its_own_weights_and_its_softmax_only_its_own_operations() -> None:
    net = Supernet(**TINY, k=2)
    counts = [sum(p.numel() for p in one.weight_parameters()) for one in (net, TextbookSupernet(**TINY, k=2))]
    assert counts[0] == counts[1]
    F.cross_entropy(net(torch.randn(4, 3, 8, 8)), torch.tensor([0, 1, 2, 0])).backward()
    for kind, weights in net.softmaxed_alphas().items():
        gradient = net.alphas()[kind].grad
        assert gradient is not None
        for edge, names in enumerate(EDGES[kind]):
            own = [net.primitives.index(name) for name in names]
            others = [o for o in range(len(net.primitives)) if o not in own]
            assert weights[edge, own].sum().item() == pytest.approx(1)
            assert not weights[edge, others].any() and not gradient[edge, others].any()


def test_a_genotype_takes_only_what_an_edge_has_whatever_the_alphas_say() -> None:
    net = Supernet(**TINY)
    for seed in range(20):
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in net.arch_parameters():
                parameter.normal_(0, 60)  # so that the softmax rounds to 0
        for genotype in (net.genotype(), random_genotype(seed, nodes=2, edge_primitives=EDGES)):
            assert isinstance(genotype, Genotype)
            for kind, cell in (("normal", genotype.normal), ("reduce", genotype.reduce)):
                for i, (name, source) in enumerate(cell):
                    assert name in EDGES[kind][source + 2 * (i // 2)] and name != "none"


def test_derivation_equals_that_of_the_edges_own_columns() -> None:
    lists = {kind: [["skip_connect", "sep_conv_3x3"]] * 14 for kind in ("normal", "reduce")}
    net = Supernet(edge_primitives=lists, primitives=DARTS_PRIMITIVES[3:5])
    with torch.no_grad():
        for parameter in net.arch_parameters():
            parameter.normal_()
    arch = net.arch_parameters()
    assert net.genotype() == derive_genotype(*arch, primitives=net.primitives)
    limited = net.genotype(max_skip_connections=1)
    assert limited == derive_genotype(*arch, primitives=net.primitives, max_skip_connections=1)


def test_the_hessian_is_that_of_the_alphas_that_there_are() -> None:
    lists = {kind: [["skip_connect", "sep_conv_3x3"]] * 5 for kind in ("normal", "reduce")}
    sizes = {**TINY, "edge_primitives": None, "k": 2}
    plain = Supernet(**{**sizes, "primitives": ["skip_connect", "sep_conv_3x3"]}).double()
    lists["normal"][0] = ["skip_connect"]
    wide = Supernet(**{**sizes, "edge_primitives": lists}).double()
    with torch.no_grad():  # the same network: one edge of the plain one has an operation that weighs nothing
        wide.load_published_state(
            {
                name: value
                for name, value in plain.published_state().items()
                if not (name.startswith(("cells.0", "cells.3")) and "_ops.0._ops.1" in name)
            }
        )
        for mine, theirs in zip(wide.arch_parameters(), plain.arch_parameters(), strict=True):
            mine.copy_(theirs)
        plain.alpha_normal[0] = torch.tensor([40.0, -40.0])
    x, y = torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.arange(6) % 3
    found = [architecture_eigenvalue(net, x, y) for net in (wide, plain)]
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"edge_primitives": {"normal": EDGES["normal"]}}, "for the cells normal, reduce; got normal"),
        ({"nodes": 3}, "one list for each of 9 edges; got 5"),
        (
            {"edge_primitives": {**EDGES, "reduce": [["none"]] * 5}},
            r"reduce\[0\]: an edge needs an operation",
        ),
        ({"edge_primitives": {**EDGES, "reduce": [["a", "a"]] * 5}}, r"reduce\[0\]: each operation .* once"),
        ({"edge_primitives": {**EDGES, "reduce": [["nose"]] * 5}}, "did you mean 'noise'"),
        ({"primitives": ["none", "skip_connect"]}, "primitives must be those of the edges"),
    ],
)
def test_lists_that_fit_no_supernet_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Supernet(**{**TINY, **arguments})


def test_operations_are_joined_in_the_familys_order() -> None:
    assert join_primitives(EDGES, DARTS_PRIMITIVES) == (*DARTS_PRIMITIVES, "conv_7x1_1x7")


@pytest.mark.parametrize("stride", [1, 2])
def test_noise_is_normal_and_nothing_of_its_input(stride: int) -> None:
    x = torch.full((8, 16, 32, 32), torch.nan, requires_grad=True)
    noise = build_operation("noise", 16, stride, True)
    torch.manual_seed(0)
    drawn = noise(x)
    assert drawn.shape == (8, 16, 32 // stride, 32 // stride) and not drawn.requires_grad
    assert drawn.mean().item() == pytest.approx(0, abs=0.02)
    assert drawn.std().item() == pytest.approx(1, abs=0.02)
    assert not torch.equal(drawn, noise(x)) and not list(noise.parameters())
    torch.manual_seed(0)
    assert torch.equal(drawn, noise(x))


def test_fast_equals_textbook_with_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    # edges are computed in another order, so that equal noise cannot come from equal seeds
    fixed = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    monkeypatch.setattr(torch, "randn_like", lambda x: fixed[tuple(map(slice, x.shape))].clone())
    sizes = {**TINY, "edge_primitives": None, "primitives": ["noise", "sep_conv_3x3"], "k": 2}
    assert_equal_through_steps(*twins(**sizes), rtol=1e-10, atol=1e-10)
