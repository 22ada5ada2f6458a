"""NAS-Bench-201 networks: sizes of the published table, both forms of the supernet, DARTS on them, second order."""

from __future__ import annotations

import csv
import gzip
import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from support.small_jobs import comparable, half
from torch import Tensor, nn
from torch.nn import functional as F

from pcdarts_tune.core.architect import Architect
from pcdarts_tune.core.backbone import FeatureMaps
from pcdarts_tune.core.cost import count_macs, count_parameters
from pcdarts_tune.core.genotype import (
    NASBENCH201_PRIMITIVES,
    NasBench201Genotype,
    random_genotype,
    read_genotype,
)
from pcdarts_tune.core.network import EvaluationNetwork
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

SMALL: dict[str, Any] = {"channels": 8, "layers": 5, "num_classes": 4, "family": "nasbench201"}


def both_forms(**arguments: Any) -> tuple[Supernet, TextbookSupernet]:
    """The fast form and the textbook with its weights, alphas and betas, in float64."""
    torch.manual_seed(0)
    fast = Supernet(**{**SMALL, **arguments}).double()
    textbook = TextbookSupernet(**{**SMALL, **arguments}).double()
    for parameter in fast.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    textbook.load_state_dict(fast.published_state(), strict=False)
    with torch.no_grad():
        for a, b in zip(textbook.arch_parameters(), fast.arch_parameters(), strict=True):
            a.copy_(b)
    return fast, textbook


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(4, 3, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.tensor([0, 1, 2, 3])


@pytest.mark.parametrize(
    "arguments",
    [
        {"k": 1, "edge_normalization": False},
        {"k": 1},
        {"k": 2},
        {"k": 4, "edge_normalization": False},
        {"k": 4, "mixing": "shift"},
        {"k": 8, "layers": 8},
        {"k": 2, "primitives": ("none", "nor_conv_1x1", "sep_conv_3x3", "max_pool_3x3", "conv_7x1_1x7")},
    ],
)
def test_the_fast_form_equals_the_textbook(arguments: dict[str, Any]) -> None:
    fast, textbook = both_forms(**arguments)
    images, labels = batch()
    for training in (True, False):
        outputs = []
        for net in (fast, textbook):
            net.train(training)
            net.zero_grad()
            logits = net(images)
            F.cross_entropy(logits, labels).backward()
            outputs.append(logits)
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-10, atol=1e-10)
        for a, b in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-10, atol=1e-10)
        assert any(float(a.grad.abs().max()) > 1e-6 for a in fast.arch_parameters() if a.grad is not None)
        own = dict(textbook.named_parameters())
        before = fast.published_state()
        with torch.no_grad():  # the gradient of each weight, by its published name: a step moves it
            torch.optim.SGD(fast.weight_parameters(), lr=1.0).step()
            moved = fast.published_state()
            fast.load_published_state(before)
        for name, parameter in own.items():
            if name in moved:
                step = before[name] - moved[name]
                torch.testing.assert_close(step, parameter.grad, rtol=1e-9, atol=1e-10)
    states = fast.published_state(), textbook.weight_state()
    assert list(states[0]) == list(states[1])
    for name in states[0]:
        torch.testing.assert_close(states[0][name], states[1][name], rtol=1e-10, atol=1e-10)


def test_random_mixing_samples_alike_in_both_forms() -> None:
    fast, textbook = both_forms(k=4, mixing="random")
    images, _ = batch()
    outputs = []
    for net in (fast, textbook):
        torch.manual_seed(3)
        outputs.append(net(images))
    torch.testing.assert_close(*outputs, rtol=1e-10, atol=1e-10)


def darts_on_nasbench201(net: TextbookSupernet, images: Tensor) -> Tensor:
    """DARTS in the benchmark, written anew from its paper: every edge the softmax-weighted sum of all five operations."""
    state = net.state_dict()

    def norm(x: Tensor, name: str | None) -> Tensor:
        weight, bias = (None, None) if name is None else (state[f"{name}.weight"], state[f"{name}.bias"])
        return F.batch_norm(x, None, None, weight, bias, training=True)

    def relu_conv_bn(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = state[f"{name}.1.weight"]
        x = F.conv2d(F.relu(x), weight, stride=stride, padding=weight.shape[-1] // 2)
        return norm(x, f"{name}.2" if f"{name}.2.weight" in state else None)

    shares = state["alpha_cell"].softmax(dim=1)
    x = norm(F.conv2d(images, state["stem.0.weight"], padding=1), "stem.1")
    for index in range(SMALL["layers"]):
        name = f"cells.{index}"
        if index in (1, 3):
            short = F.conv2d(F.avg_pool2d(x, 2), state[f"{name}.downsample.1.weight"])
            x = short + relu_conv_bn(relu_conv_bn(x, f"{name}.conv_a", 2), f"{name}.conv_b")
            continue
        nodes, edge = [x], 0
        for node in (1, 2, 3):
            total = torch.zeros_like(x)
            for source in range(node):
                y, ops = nodes[source], f"{name}._ops.{edge}._ops"
                pooled = norm(F.avg_pool2d(y, 3, 1, 1, count_include_pad=False), None)
                convolved = [relu_conv_bn(y, f"{ops}.{o}.op") for o in (2, 3)]
                outputs = [torch.zeros_like(y), y, *convolved, pooled]
                total = total + sum(w * out for w, out in zip(shares[edge], outputs, strict=True))
                edge += 1
            nodes.append(total)
        x = nodes[3]
    x = F.relu(norm(x, "ending.0")).mean(dim=(2, 3))
    return F.linear(x, state["classifier.weight"], state["classifier.bias"])


def test_a_supernet_with_k_1_and_without_edge_normalisation_is_darts() -> None:
    fast, textbook = both_forms(k=1, edge_normalization=False)
    images, _ = batch()
    expected = darts_on_nasbench201(textbook, images)
    for net in (fast, textbook):
        torch.testing.assert_close(net(images), expected, rtol=1e-10, atol=1e-10)
    assert [tuple(p.shape) for p in fast.arch_parameters()] == [(6, 5)]
    best = fast.alpha_cell.argmax(dim=1).tolist()  # type: ignore[operator]
    genotype = fast.genotype()
    assert [NASBENCH201_PRIMITIVES[o] for o in best] == list(genotype.operations)  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", [1, 2])
def test_both_orders_of_the_architect_agree_on_both_forms(order: int) -> None:
    nets = both_forms(k=2)
    gradients = []
    for net in nets:
        optimizer = torch.optim.SGD(net.weight_parameters(), lr=0.05, momentum=0.9)
        architect = Architect(net, learning_rate=1e-2, order=order)
        before = [p.detach().clone() for p in net.arch_parameters()]
        architect.step(*batch(1), *batch(2), weight_optimizer=optimizer)
        assert all(bool((a != b).any()) for a, b in zip(before, net.arch_parameters(), strict=True))
        gradients.append(torch.cat([p.detach().flatten() for p in net.arch_parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-8)


def expression(genotype: NasBench201Genotype) -> str:
    """What the cell computes, as text, in which skips are identities."""
    operations, nodes = iter(genotype.operations), ["x"]
    for node in range(1, 4):
        terms = []
        for name, source in zip(operations, nodes[:node], strict=False):
            terms.append({"none": "0", "skip_connect": source}.get(name, f"{name}({source})"))
        nodes.append(f"({' + '.join(sorted(terms))})")
    return nodes[-1].replace("(x)", "x")


def test_parameters_are_those_of_the_table() -> None:
    """150 of its 15,625 rows have the number of another cell whose expression is the same: such as x + conv(x) + conv(x)
    with one convolution in the cell, read twice, or with two."""
    folder = os.environ.get("PCDARTS_TUNE_TEST_DATA")
    table = None if folder is None else Path(folder) / "nasbench201.csv.gz"
    if table is None or not table.is_file():
        pytest.skip("PCDARTS_TUNE_TEST_DATA names no folder with nasbench201.csv.gz")
    with gzip.open(table, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    others = []
    for row in random.Random(0).sample(rows, 200):
        genotype = NasBench201Genotype.from_arch(row["arch"])
        if printed_parameters(genotype) != row["params_M"]:
            others.append((genotype, row["params_M"]))
    assert len(others) <= 4
    cells = [NasBench201Genotype.from_arch(row["arch"]) for row in rows]
    for genotype, printed in others:
        wanted = expression(genotype)
        alike = [cell for cell in cells if expression(cell) == wanted and cell != genotype]
        assert printed in map(printed_parameters, alike), genotype


def printed_parameters(genotype: NasBench201Genotype) -> str:
    with torch.device("meta"):
        network = EvaluationNetwork(genotype, 16, 17, auxiliary=False)
    return f"{count_parameters(network) / 1e6:.6f}"


def test_sizes_of_known_cells() -> None:
    skips = read_genotype("|skip_connect~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|")
    network = EvaluationNetwork(skips, 16, 17, auxiliary=False)
    # stem, two residual blocks, BatchNorm, classifier
    assert count_parameters(network) == 464 + 14_464 + 57_600 + 128 + 650
    stem, blocks = 16 * 27 * 32**2, (16 * 32 * 9 + 32 * 32 * 9 + 16 * 32) * 16**2 * 2
    assert count_macs(network, 3, (32, 32)) == stem + blocks + 640


def test_evaluation_networks_train_and_give_feature_maps() -> None:
    images, labels = batch()
    for seed in range(6):
        genotype = random_genotype(seed, family="nasbench201")
        network = EvaluationNetwork(genotype, 8, 5, num_classes=4, auxiliary=False).double()
        network.drop_path = 0.2
        logits, auxiliary = network(images)
        assert auxiliary is None
        F.cross_entropy(logits, labels).backward()
        assert all(
            p.grad is not None for p in (*network.classifier.parameters(), *network.ending.parameters())
        )
    features = FeatureMaps(network)(images)
    assert [tuple(x.shape[1:]) for x in features.values()] == [(8, 8, 8), (16, 4, 4), (32, 2, 2)]


def test_the_last_cells_are_normalised_and_rectified_before_they_are_averaged() -> None:
    """As the benchmark's network ends: BatchNorm, ReLU, global average, linear (arXiv 2001.00326, section 2.1)."""
    images, _ = batch()
    genotype = random_genotype(3, family="nasbench201")
    network = EvaluationNetwork(genotype, 8, 5, num_classes=4, auxiliary=False).double().eval()
    with torch.no_grad():
        maps = dict(network.named_children())["stem"](images)
        for cell in network.cells:
            maps = cell(maps, maps, None)
        norm = next(part for part in network.ending.modules() if isinstance(part, torch.nn.BatchNorm2d))
        norm.running_mean.uniform_(-1, 1)
        scale = (norm.running_var + norm.eps).sqrt()
        x_NCHW = (maps - norm.running_mean[:, None, None]) / scale[:, None, None]
        expected = F.linear(x_NCHW.relu().mean((2, 3)), network.classifier.weight, network.classifier.bias)
        assert torch.allclose(network(images)[0], expected, rtol=0, atol=1e-12)


def test_a_path_is_dropped_from_convolutions_and_pools_alone() -> None:
    skips = read_genotype("|skip_connect~0|+|none~0|skip_connect~1|+|none~0|none~1|skip_connect~2|")
    images, _ = batch()
    assert not _changes_between_passes(str(skips), images)
    for name in ("nor_conv_1x1", "avg_pool_3x3"):
        assert _changes_between_passes(str(skips).replace("none~1", f"{name}~1"), images)


def _changes_between_passes(cell: str, images: Tensor) -> bool:
    torch.manual_seed(0)
    network = EvaluationNetwork(read_genotype(cell), 8, 5, num_classes=4, auxiliary=False).double()
    network.drop_path = 0.5
    with torch.no_grad():
        return not torch.equal(network(images)[0], network(images)[0])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"nodes": 5}, "nodes must be 4 in the family nasbench201; got 5"),
        ({"stem": "imagenet"}, "stem must be one of cifar in the family nasbench201"),
        (
            {"family": "nasbench101"},
            "unknown family of cells 'nasbench101'; legal: darts, nasbench201; did you mean",
        ),
        ({"k": 3}, "k=3 must divide channels=8"),
        ({"layers": 2}, "layers must be a whole number of at least 3"),
    ],
)
def test_what_a_family_cannot_be_is_refused(arguments: dict[str, Any], says: str) -> None:
    for form in (Supernet, TextbookSupernet):
        with pytest.raises(ValueError, match=says):
            form(**{**SMALL, **arguments})


def test_an_auxiliary_head_is_refused() -> None:
    with pytest.raises(ValueError, match="no auxiliary head: auxiliary must be False"):
        EvaluationNetwork(random_genotype(0, family="nasbench201"), 8, 5)


def test_cells_are_not_affine_in_search_alone() -> None:
    fast, textbook = both_forms(k=4)
    affine = {
        name.split(".")[0]
        for name, module in textbook.named_modules()
        if isinstance(module, nn.BatchNorm2d) and module.affine and "_ops" not in name
    }
    assert affine == {"stem", "cells", "ending"}
    assert not [
        n for n, m in textbook.named_modules() if "_ops" in n and isinstance(m, nn.BatchNorm2d) and m.affine
    ]
    assert count_parameters(fast) == count_parameters(textbook)
    assert count_macs(fast, 3, (8, 8)) == count_macs(textbook, 3, (8, 8))


def test_a_search_goes_on_where_it_stopped_and_records_its_cell() -> None:
    def start() -> Search:
        torch.manual_seed(0)
        net = Supernet(4, 5, 2, num_classes=2, in_channels=1, family="nasbench201")
        return Search(
            net, half(1), half(2), epochs=3, batch_size=8, arch_warmup_epochs=1, arch_learning_rate=0.05
        )

    whole = list(start())
    first = start()
    begun = [next(iter(first))]
    second = start()
    second.load_state_dict(first.state_dict())
    assert comparable(begun + list(second)) == comparable(whole)
    last = whole[-1]
    alphas = torch.tensor(last.alphas["cell"])
    assert alphas.shape == (6, 5)
    torch.testing.assert_close(alphas.sum(dim=1), torch.ones(6))
    betas = torch.tensor(last.betas["cell"])
    torch.testing.assert_close(
        torch.stack([betas[:1].sum(), betas[1:3].sum(), betas[3:].sum()]), torch.ones(3)
    )
    assert last.metrics()["arch/alpha_entropy_cell"] < whole[0].metrics()["arch/alpha_entropy_cell"]
    assert last.genotype.family == "nasbench201"
    assert last.skip_connections == last.genotype.skip_connections
