"""Selection by perturbation (DARTS-PT, algorithm 1) against a brute-force reference."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from support.small_jobs import comparable, half
from torch import Tensor

from pcdarts_tune.core.cells.selecting import count_decisions
from pcdarts_tune.core.epochs import SearchEpoch
from pcdarts_tune.core.genotype import FAMILIES, Genotype, NasBench201Genotype
from pcdarts_tune.core.images.augment import Augmentation
from pcdarts_tune.core.images.data import MemoryBatches
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps.checkpoints import load_checkpoint, save_checkpoint
from pcdarts_tune.core.steps.execution import derive_seed
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

NAMES = ("none", "max_pool_3x3", "skip_connect", "sep_conv_3x3")
NODES = ((0, 1), (2, 3, 4), (5, 6, 7, 8))


class DoubleBatches(MemoryBatches):
    """So that both forms of the supernet, which round differently, count the same images as right."""

    def epoch(self, *values: Any, **named: Any) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in super().epoch(*values, **named):
            yield images.double(), labels


def noisy_half(seed: int) -> DoubleBatches:
    """Of 32 images whose classes can hardly be told, so that accuracies differ."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(32) % 2
    images = torch.randint(0, 200, (32, 1, 8, 8), generator=generator) + 15 * labels[:, None, None, None]
    return DoubleBatches(
        images.byte(), labels, num_classes=2, mean=(0.4,), std=(0.3,), augment=Augmentation(1, True, 2)
    )


def new_search(tune_epochs: int = 1, epochs: int = 2, **sizes: Any) -> Search:
    torch.manual_seed(0)
    arguments = {"nodes": 3, "primitives": NAMES, "k": 2, **sizes}
    net = Supernet(4, 3, num_classes=2, in_channels=1, **arguments).double()
    settings: dict[str, Any] = {"arch_warmup_epochs": 1, "arch_learning_rate": 0.05, "learning_rate": 0.02}
    return Search(
        net,
        noisy_half(1),
        noisy_half(2),
        epochs=epochs,
        batch_size=32,
        tune_epochs=tune_epochs,
        **settings,
    )


class Reference:
    """Algorithm 1, written anew: tables of weights for the textbook's form, and loops over all that could be removed."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.chosen: dict[str, dict[int, int]] = {"normal": {}, "reduce": {}}
        self.gone: dict[str, set[int]] = {"normal": set(), "reduce": set()}
        self.net = TextbookSupernet(**search.supernet.arguments).double()

    def accuracy(self, kind: str, edge: int, operation: int | None) -> float:
        """Without an operation, or all of an edge."""
        net, theirs = self.net, self.search.supernet
        net.load_state_dict(theirs.published_state(), strict=False)
        operations, edges = {}, {}
        for cell in ("normal", "reduce"):
            table = torch.softmax(getattr(theirs, f"alpha_{cell}").detach(), dim=1)
            for e, o in self.chosen[cell].items():
                table[e] = 0
                table[e, o] = 1
            beta = getattr(theirs, f"beta_{cell}")
            if beta is None:
                weights = torch.ones(9, dtype=torch.float64)
            else:
                weights = torch.cat([torch.softmax(beta.detach()[list(rows)], dim=0) for rows in NODES])
            for e in self.gone[cell]:
                weights[e] = 0
            if cell == kind and operation is not None:
                table[edge, operation] = 0
            elif cell == kind:
                weights[edge] = 0
            operations[cell], edges[cell] = table, weights
        net.softmaxed_alphas = lambda: operations  # type: ignore[method-assign]
        net.edge_weights = lambda: edges  # type: ignore[assignment, method-assign]
        right = count = 0
        seed = derive_seed(0, "selection")
        for images, labels in noisy_half(2).epoch(32, epoch=0, seed=seed, shuffle=False):
            with torch.no_grad():
                right += int((net.train()(images).argmax(1) == labels).sum())
            count += len(labels)
        return right / count

    def follow(self, epoch: SearchEpoch) -> None:
        """Decide what the search decided after this epoch, with the weights that it has."""
        for made in epoch.decisions:
            if len(made.edges) == 1:
                (edge,) = made.edges
                assert edge not in self.chosen[made.kind]
                costs = {o: self.accuracy(made.kind, edge, o) for o in range(1, len(NAMES))}
                assert made.accuracies == {NAMES[o]: accuracy for o, accuracy in costs.items()}
                best = min(costs, key=lambda o: (costs[o], o))
                assert made.kept == NAMES[best]
                self.chosen[made.kind][edge] = best
            else:
                assert made.edges in NODES[1:] and len(self.chosen[made.kind]) == 9
                costs = {e: self.accuracy(made.kind, e, None) for e in made.edges}
                assert made.accuracies == {str(e): accuracy for e, accuracy in costs.items()}
                best_two = sorted(costs, key=lambda e: (costs[e], e))[:2]
                assert made.kept == tuple(sorted(best_two))
                self.gone[made.kind] |= set(made.edges) - set(best_two)

    def genotype(self) -> dict[str, set[tuple[int, str, int]]]:
        """(node, operation, predecessor) of each kind of cell."""
        found = {}
        for kind, chosen in self.chosen.items():
            kept = set(range(9)) - self.gone[kind]
            found[kind] = {
                (node, NAMES[chosen[e]], e - rows[0])
                for node, rows in enumerate(NODES)
                for e in rows
                if e in kept
            }
        return found


@pytest.mark.parametrize("sizes", [{}, {"k": 1, "edge_normalization": False}], ids=["pc-darts", "darts"])
def test_decisions_are_those_of_brute_force(sizes: dict[str, Any]) -> None:
    search = new_search(**sizes)
    reference = Reference(search)
    epochs = []
    for epoch in search:
        reference.follow(epoch)
        epochs.append(epoch)
    assert len(epochs) == 2 + (9 + 2 - 1) == epochs[-1].epochs == search.total_epochs
    assert [len(epoch.decisions) for epoch in epochs] == [0, *[2] * 11]
    assert (
        sum(len(set(made.accuracies.values())) > 1 for e in epochs for made in e.decisions) > 11
    )  # not all are ties
    found = search.genotype()
    assert isinstance(found, Genotype) and found == epochs[-1].genotype
    for kind, cell in (("normal", found.normal), ("reduce", found.reduce)):
        assert {(i // 2, name, source) for i, (name, source) in enumerate(cell)} == reference.genotype()[kind]
    orders = [
        [d.edges[0] for e in epochs for d in e.decisions if d.kind == kind and len(d.edges) == 1]
        for kind in ("normal", "reduce")
    ]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(9))
    assert orders[0] != orders[1] and orders[0] != sorted(orders[0])
    rates = [epoch.learning_rate for epoch in epochs]
    assert rates[2] == pytest.approx(0.002) and rates[2:] == sorted(rates[2:], reverse=True)


@pytest.fixture(scope="module")
def whole() -> tuple[Search, list[SearchEpoch]]:
    """Of two nodes: five edges, and a node to decide."""
    search = new_search(nodes=2)
    return search, list(search)


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_an_interrupted_selection_equals_an_uninterrupted_one(
    stop: int, whole: tuple[Search, list[SearchEpoch]], tmp_path: Any
) -> None:
    first = new_search(nodes=2)
    begun = list(islice(first, stop))
    save_checkpoint(tmp_path / "c.pt", first.state_dict())
    second = new_search(nodes=2)
    second.load_state_dict(load_checkpoint(tmp_path / "c.pt"))
    assert comparable(begun + list(second)) == comparable(whole[1])
    assert second.genotype() == whole[0].genotype()
    mine, expected = (search.supernet.state_dict().values() for search in (second, whole[0]))
    assert all(torch.equal(p, q) for p, q in zip(mine, expected, strict=True))


def test_without_epochs_between_all_is_decided_at_once_and_measuring_leaves_no_trace() -> None:
    search, plain = new_search(tune_epochs=0, nodes=2), new_search(nodes=2)
    (_, last), (_, same) = search, islice(plain, 2)
    assert len(last.decisions) == 12 and search.total_epochs == 2
    assert (last.train_loss, last.arch_loss) == (same.train_loss, same.arch_loss)
    for p, q in zip(search.supernet.state_dict().values(), plain.supernet.state_dict().values(), strict=True):
        assert torch.equal(p, q)  # running statistics too


def test_both_forms_agree_on_a_supernet_that_is_partly_decided() -> None:
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"nodes": 3, "primitives": NAMES, "in_channels": 1, "num_classes": 2}
    for more in ({"k": 2}, {"k": 1, "edge_normalization": False}):
        textbook = TextbookSupernet(4, 3, **sizes, **more)
        fast = Supernet(4, 3, **sizes, **more)
        fast.load_published_state(textbook.weight_state())
        fast.load_state_dict(
            {k: v for k, v in textbook.state_dict().items() if k[:4] in ("alph", "beta")}, strict=False
        )
        x, outputs = torch.randn(4, 1, 8, 8, dtype=torch.float64), []
        for net in (fast.double(), textbook.double()):
            net.open_selection()
            net.keep_operation("normal", 4, "max_pool_3x3")
            net.drop_edges("reduce", [2, 5, 6])
            with net.without_operation("reduce", 0, "sep_conv_3x3"), net.without_edge("normal", 7):
                outputs.append(net(x))
                outputs[-1].sum().backward()
            kept = net.softmaxed_alphas()["normal"][4].tolist()
            assert kept == [0, 1, 0, 0] and net.softmaxed_alphas()["reduce"][0].sum().item() == pytest.approx(
                1
            )
            assert not torch.equal(net(x), outputs[-1])
        torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-10, atol=1e-10)
        for mine, its in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
            torch.testing.assert_close(mine.grad, its.grad, rtol=1e-9, atol=1e-12)


def test_a_family_that_keeps_all_edges_decides_operations_alone_none_too() -> None:
    torch.manual_seed(0)
    net = Supernet(4, 5, 1, num_classes=2, in_channels=1, family="nasbench201")
    search = Search(
        net, half(1), half(2), epochs=1, batch_size=8, arch_warmup_epochs=0, tune_epochs=0, learning_rate=0.02
    )
    (epoch,) = search
    assert len(epoch.decisions) == 6 == count_decisions(FAMILIES["nasbench201"], 4)
    assert all(set(made.accuracies) == set(net.primitives) for made in epoch.decisions)
    by_edge = {made.edges[0]: made.kept for made in epoch.decisions}
    found = search.genotype()
    assert isinstance(found, NasBench201Genotype)
    assert found.operations == tuple(by_edge[edge] for edge in range(6))


def test_numbers_of_decisions() -> None:
    assert count_decisions(FAMILIES["darts"], 4) == 17
    assert count_decisions(FAMILIES["darts"], 2) == 6
