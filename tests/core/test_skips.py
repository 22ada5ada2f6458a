"""The limit on skip connections in a derived cell, against P-DARTS' rule written down once more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.small_jobs import new_search
from torch import Tensor

from pcdarts_tune.core.genotype import DARTS_PRIMITIVES, FAMILIES, Genotype, derive, derive_genotype

SKIP = DARTS_PRIMITIVES.index("skip_connect")


def strengths(alpha_EO: Tensor, beta_E: Tensor | None) -> Tensor:
    table = torch.softmax(alpha_EO.double(), dim=-1)
    if beta_E is not None:
        parts = torch.split(beta_E.double(), [2, 3, 4, 5])
        table = table * torch.cat([torch.softmax(part, 0) for part in parts])[:, None]
    return table


def top_two(table: Tensor) -> list[tuple[int, int]]:
    """(edge, operation) of DARTS' derivation, node by node, strongest first; `none` (column 0) is left out."""
    weights, operations = table[:, 1:].max(dim=1)
    found, start = [], 0
    for node in range(4):
        order = sorted(range(start, start + 2 + node), key=lambda e: -float(weights[e]))[:2]
        found += [(e, int(operations[e]) + 1) for e in order]
        start += 2 + node
    return found


def p_darts(table: Tensor, most: int) -> tuple[tuple[tuple[str, int], ...], int]:
    """arXiv 1904.12760, section 3.3, as its text has it, and how often it took weights away."""
    table, rounds = table.clone(), 0
    while len(skips := [e for e, o in top_two(table) if o == SKIP]) > most:
        keep = sorted(skips, key=lambda e: float(table[e, SKIP]))[len(skips) - most :]
        for edge in set(skips) - set(keep):
            table[edge, SKIP] = 0
        rounds += 1
    firsts = {e: e - start for start, n in ((0, 2), (2, 3), (5, 4), (9, 5)) for e in range(start, start + n)}
    return tuple((DARTS_PRIMITIVES[o], firsts[e]) for e, o in top_two(table)), rounds


@pytest.mark.parametrize("most", [0, 1, 2, 3, 8])
@pytest.mark.parametrize("with_betas", [True, False])
def test_the_normal_cell_keeps_its_strongest_skips_as_p_darts_does(most: int, with_betas: bool) -> None:
    most_rounds = 0
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        normal, reduce = (torch.randn(14, 8, generator=generator) for _ in range(2))
        normal[:, SKIP] += 1.5
        reduce[:, SKIP] += 1.5
        betas = [torch.randn(14, generator=generator) if with_betas else None for _ in range(2)]
        found = derive_genotype(normal, reduce, *betas, max_skip_connections=most)
        free = derive_genotype(normal, reduce, *betas)
        assert found.skip_connections <= most
        expected, rounds = p_darts(strengths(normal, betas[0]), most)
        most_rounds = max(most_rounds, rounds)
        assert found.normal == expected
        assert found.reduce == free.reduce  # any number there
        if free.skip_connections <= most:
            assert found == free
    # edges that came in brought skip connections of their own
    assert most_rounds == 0 if most == 8 else most_rounds > 1


def test_a_cell_of_skips_alone_becomes_one_with_exactly_so_many() -> None:
    alpha = torch.zeros(14, 8)
    alpha[:, SKIP] = 400.0  # the softmax of the others is 0 in float64's steps
    for most in range(9):
        assert derive_genotype(alpha, alpha, max_skip_connections=most).skip_connections == most


@pytest.mark.parametrize("most", [-1, 1.5, True, "2"])
def test_a_number_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(ValueError, match="whole number of at least 0"):
        derive_genotype(torch.zeros(14, 8), torch.zeros(14, 8), max_skip_connections=most)


def test_a_family_without_a_rule_and_a_cell_without_a_choice_are_refused() -> None:
    with pytest.raises(ValueError, match="'nasbench201' cannot be limited; those of darts can"):
        derive(FAMILIES["nasbench201"], {"cell": torch.zeros(6, 5)}, {}, max_skip_connections=1)
    with pytest.raises(ValueError, match="without operations other than"):
        derive_genotype(
            torch.zeros(2, 2),
            torch.zeros(2, 2),
            primitives=("none", "skip_connect"),
            max_skip_connections=0,
        )


def test_every_genotype_of_a_search_keeps_to_it() -> None:
    free, limited = list(new_search()), list(new_search(max_skip_connections=0))
    search = new_search()
    with torch.no_grad():
        search.supernet.alpha_normal[:, SKIP] = 5.0
    search.max_skip_connections = 1
    assert search.supernet.genotype().skip_connections == 4 and search.genotype().skip_connections == 1
    assert [one.genotype.skip_connections for one in limited] == [0] * 4
    assert [one.unlimited_skip_connections for one in limited] == [one.skip_connections for one in free]
    assert limited[0].metrics()["arch/skip_connections_unlimited"] == free[0].skip_connections
    assert "arch/skip_connections_unlimited" not in free[0].metrics()
    # what is trained is the same: only the derivation differs
    assert [one.alphas for one in free] == [one.alphas for one in limited]
    assert all(isinstance(one.genotype, Genotype) for one in limited)


def test_a_space_says_it_and_is_refused_where_it_cannot_hold() -> None:
    from pcdarts_tune.errors import UserError
    from pcdarts_tune.spaces.load import read_space

    assert read_space("cifar10", ["derive.max_skip_connections=2"]).derive.max_skip_connections == 2
    for name, settings, says in (
        ("nasbench201", ["derive.max_skip_connections=1"], "of family: nasbench201 cannot be limited"),
        (
            "cifar10",
            ["derive.max_skip_connections=1", "supernet.primitives=[none, skip_connect]"],
            "no operation but skip_connect",
        ),
        ("cifar10", ["derive.max_skip_connections=-1"], "-1 is not legal; must be at least 0 and at most 16"),
    ):
        with pytest.raises(UserError, match=says):
            read_space(name, settings)
