"""Derivation against the published code's results, the JSON form, and the canonical hash."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.formula import load_reference

from pcdarts_tune.core.genotype import (
    DARTS_PRIMITIVES,
    PUBLISHED,
    SOURCES,
    Genotype,
    derive_genotype,
    node_count,
)
from pcdarts_tune.core.network import EvaluationNetwork

FILES = ("genotypes_pcdarts.json", "genotypes_darts_nobeta.json", "genotypes_ties.json")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_derivation_equals_the_reference(file: str, dtype: torch.dtype) -> None:
    reference = load_reference(file)
    assert tuple(reference["primitives"]) == DARTS_PRIMITIVES
    for case in reference["cases"]:
        names = ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce")
        raw = [torch.tensor(case[n], dtype=dtype) if n in case else None for n in names]
        assert derive_genotype(*raw).to_dict() == case["genotype"], case.get("id", case.get("desc"))
        # lists of numbers serve as well as tensors
        assert derive_genotype(*(case.get(n) for n in names)).to_dict() == case["genotype"]


def test_beta_decides_where_the_reference_says_so() -> None:
    """Trap 10: an implementation that drops beta fails here."""
    deciding = [c for c in load_reference("genotypes_pcdarts.json")["cases"] if c["beta_changes_result"]]
    assert len(deciding) > 50
    for case in deciding:
        assert derive_genotype(case["alpha_normal"], case["alpha_reduce"]).to_dict() != case["genotype"]


def test_none_is_never_chosen_but_weakens_its_edge() -> None:
    alpha = torch.zeros(14, 8)
    alpha[:, 7] = 1.0
    alpha[2, 0] = 5.0  # node 1, predecessor 0: nearly all of the softmax is `none`
    genotype = derive_genotype(alpha, alpha)
    assert all(name == "dil_conv_5x5" for name, _ in genotype.normal)
    assert {source for _, source in genotype.normal[2:4]} == {1, 2}


def test_the_published_cells_are_the_reference_ones() -> None:
    for name, cell in load_reference("eval_params_macs.json")["genotypes"].items():
        assert PUBLISHED[name].to_dict() == cell
        assert Genotype.from_dict(cell) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("name", "millions"),
    [  # as their repositories print them: without the auxiliary head, 36 channels and 20 cells, CIFAR-10
        ("SGAS_Cri1", 3.80), ("SGAS_Cri2", 4.09), ("DARTS_PT_0", 2.85), ("DARTS_PT_1", 3.05), ("DARTS_PT_2", 2.66),
        ("DARTS_PT_3", 3.33), ("DrNAS_cifar10", 4.1), ("GDAS_V1", 3.36), ("DARTS_V2", 3.3), ("PC_DARTS_cifar", 3.6),
    ],
)  # fmt: skip
def test_published_cells_have_the_size_that_was_published(name: str, millions: float) -> None:
    """A wrong operation, or a separable convolution of another size, would show here."""
    with torch.device("meta"):
        network = EvaluationNetwork(PUBLISHED[name], channels=36, layers=20, num_classes=10, auxiliary=False)
    found = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert found == pytest.approx(millions, abs=0.06 if millions in (4.1, 3.3, 3.6) else 0.011)


def test_every_published_cell_has_a_source_and_can_be_built() -> None:
    assert PUBLISHED.keys() == SOURCES.keys()
    for name, genotype in PUBLISHED.items():
        assert Genotype.from_dict(genotype.to_dict()) == genotype, name
        assert "arXiv " in SOURCES[name]
        with torch.device("meta"):
            EvaluationNetwork(genotype, channels=4, layers=3, num_classes=2)


def test_canonical_hash_ignores_the_order_within_a_node_only() -> None:
    cell = PUBLISHED["PC_DARTS_cifar"].to_dict()
    swapped = copy.deepcopy(cell)
    swapped["normal"][0:2] = reversed(swapped["normal"][0:2])
    assert Genotype.from_dict(swapped) != Genotype.from_dict(cell)
    assert Genotype.from_dict(swapped).canonical_hash() == Genotype.from_dict(cell).canonical_hash()
    other = copy.deepcopy(cell)
    other["normal"][1], other["normal"][2] = other["normal"][2], other["normal"][1]
    assert Genotype.from_dict(other).canonical_hash() != Genotype.from_dict(cell).canonical_hash()
    assert len({g.canonical_hash() for g in PUBLISHED.values()}) == len(PUBLISHED)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.pop("reduce"), "missing: reduce"),
        (lambda d: d.update(extra=1), "unknown: extra"),
        (
            lambda d: d["normal"].__setitem__(3, ["sep_conv_3x4", 0]),
            r"normal\[3\].*did you mean 'sep_conv_3x3'",
        ),
        (
            lambda d: d["normal"].__setitem__(3, ["sep_conv_3x3", 3]),
            r"normal\[3\]: predecessor 3 must be 0..2",
        ),
        (lambda d: d["reduce"].pop(), "reduce must be a list"),
        (lambda d: d.update(normal_concat=[2, 9]), "normal_concat"),
        (lambda d: d["normal"].__setitem__(0, ["sep_conv_3x3", True]), r"normal\[0\]: predecessor True"),
    ],
)
def test_a_wrong_genotype_is_refused_with_its_place(change: object, says: str) -> None:
    cell = PUBLISHED["DARTS_V2"].to_dict()
    change(cell)  # type: ignore[operator]
    with pytest.raises(ValueError, match=says):
        Genotype.from_dict(cell)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4)
    ),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(dict.fromkeys(("normal", "normal_concat", "reduce", "reduce_concat"), json_values))
    | json_values
)
def test_any_json_is_a_genotype_or_a_clear_error(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Genotype.from_dict(value)  # type: ignore[arg-type]


def test_raw_values_come_as_tensors_arrays_or_lists_alike() -> None:
    import numpy as np

    case = load_reference("genotypes_pcdarts.json")["cases"][0]
    names = ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce")
    raw = [np.array(case[name]) for name in names]
    forms = [
        raw,
        [value.astype(np.float32) for value in raw],
        [np.ascontiguousarray(value[::-1])[::-1] for value in raw],  # negative strides
        [list(value) for value in raw],  # lists of arrays
        [[torch.tensor(row) for row in value.tolist()] for value in raw],
        [torch.tensor(value, requires_grad=True) for value in raw],
    ]
    for form in forms:
        assert derive_genotype(*form).to_dict() == case["genotype"]
    zeros = [[0] * 8] * 14
    assert derive_genotype(zeros, zeros) == derive_genotype(torch.zeros(14, 8), torch.zeros(14, 8))
    close = [[0.5] * 8 for _ in range(14)]
    close[1][7] += 1e-9  # lists keep what float32 would round away
    assert derive_genotype(close, close).normal[0] == ("dil_conv_5x5", 1)
    with pytest.raises(ValueError, match="alpha_normal must be a tensor"):
        derive_genotype("abc", zeros)  # type: ignore[arg-type]


def test_wrong_shapes_and_values_are_refused() -> None:
    good = torch.zeros(14, 8)
    with pytest.raises(ValueError, match="alpha_reduce must be"):
        derive_genotype(good, torch.zeros(14, 7))
    with pytest.raises(ValueError, match="beta_normal must be"):
        derive_genotype(good, good, torch.zeros(13), torch.zeros(14))
    with pytest.raises(ValueError, match="NaN or infinity"):
        derive_genotype(good * float("nan"), good)
    with pytest.raises(ValueError, match="13 edges fit no cell"):
        node_count(13)
