"""The supernet against the published code's numbers, and the fast form against the textbook form."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.filling import STATISTICS, batch, fill_supernet, reference_supernet
from support.formula import images, load_reference, tensor_seed, u
from torch import nn
from torch.nn import functional as F

from pcdarts_tune.core import ops
from pcdarts_tune.core.cost import count_macs, count_parameters
from pcdarts_tune.core.fast import normalize
from pcdarts_tune.core.genotype import DARTS_PRIMITIVES
from pcdarts_tune.core.mixing import channel_shuffle, mix_channels, sample_order
from pcdarts_tune.core.skeletons.plan import reduction_layers
from pcdarts_tune.core.supernet import Supernet
from pcdarts_tune.core.textbook import TextbookSupernet

FORMS = (Supernet, TextbookSupernet)
CASES = load_reference("supernet_forward_grad.json")["cases"]


def test_the_filling_formula_is_the_references() -> None:
    check = load_reference("formula_check_values.json")
    assert u(5, 1001).tolist() == check["u(0..4,seed=1001)"]
    assert tensor_seed((2, 1, 3, 3), "weight") == check["seed((2,1,3,3),weight)"]
    assert torch.allclose(
        images((4, 3, 16, 16), 1001).flatten()[:5],
        torch.tensor(check["input (4,3,16,16) seed 1001 first 5"], dtype=torch.float64),
        rtol=0,
        atol=1e-15,
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_logits_loss_and_gradients_equal_the_reference(case: dict[str, Any], form: type) -> None:
    single = case["dtype"] == "float32"
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if single else {"rtol": 1e-10, "atol": 1e-10}
    net = reference_supernet(case, form)
    x, targets = batch(case, case["input_seed"], case["targets"])

    def close(actual: torch.Tensor, name: str) -> None:
        torch.testing.assert_close(
            actual, torch.tensor(case[name], dtype=actual.dtype), msg=None, **tolerance
        )

    if "logits_eval_with_fresh_running_stats" in case:
        close(net.eval()(x).detach(), "logits_eval_with_fresh_running_stats")
    logits = net.train()(x)
    loss = F.cross_entropy(logits, targets)
    loss.backward()
    close(logits.detach(), "logits")
    close(loss.detach(), "loss")
    for name in ("alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce"):
        parameter = getattr(net, name)
        if f"grad_{name}" in case:
            close(parameter.grad, f"grad_{name}")
        else:
            assert parameter is None
    close(net.classifier.bias.grad, "grad_classifier_bias")
    norm = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in net.weight_parameters()]))
    close(norm, "weight_grad_total_l2_norm")
    assert count_parameters(net) == case["n_weight_params"]
    if "logits_eval_after_this_one_train_forward" in case:
        close(net.eval()(x).detach(), "logits_eval_after_this_one_train_forward")
    if "per_parameter" in case:
        _check_every_parameter(net, case)


def _check_every_parameter(net: Supernet | TextbookSupernet, case: dict[str, Any]) -> None:
    """Names, order, shapes, values and gradients one by one: swapped modules of equal shape would show."""
    if isinstance(net, Supernet):
        state = {k: v for k, v in net.published_state().items() if not k.endswith(STATISTICS)}
        with torch.no_grad():
            for p in net.weight_parameters():
                p.copy_(p.grad)
        gradients = net.published_state()
    else:
        state = {k: v for k, v in net.weight_state().items() if not k.endswith(STATISTICS)}
        gradients = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    assert [entry["reference_name"] for entry in case["per_parameter"]] == list(state)
    for entry in case["per_parameter"]:
        name = entry["reference_name"]
        assert list(state[name].shape) == entry["shape"]
        assert float(state[name].norm()) == pytest.approx(entry["l2"], rel=1e-9)
        assert float(gradients[name].norm()) == pytest.approx(entry["grad_l2"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("case", load_reference("supernet_params.json")["cases"], ids=str)
def test_counts_equal_the_reference_and_undefined_supernets_are_refused(case: dict[str, Any]) -> None:
    arguments = {
        "stem": "imagenet" if "imagenet" in case["network"] else "cifar",
        "edge_normalization": "darts" not in case["network"],
    }

    def build() -> Supernet:
        with torch.device("meta"):
            return Supernet(case["C"], case["layers"], case["K"] or 1, case["num_classes"], **arguments)

    if not case.get("defined", True):
        with pytest.raises(ValueError, match=f"k={case['K']} must divide channels"):
            build()
        return
    net = build()
    assert count_parameters(net) == case["params"]
    assert sum(p.numel() for p in net.arch_parameters()) == case["arch_params"]
    if "macs_conv_linear_32x32" in case:
        assert count_macs(net, 3, (32, 32)) == case["macs_conv_linear_32x32"]


def twins(dtype: torch.dtype = torch.float64, **arguments: Any) -> tuple[Supernet, TextbookSupernet]:
    """The same supernet in both forms: same weights, alphas and betas."""
    torch.manual_seed(1)
    textbook = TextbookSupernet(**arguments)
    with torch.no_grad():
        for p in textbook.arch_parameters():
            p.normal_()
    fast = Supernet(**arguments)
    fast.load_published_state(textbook.weight_state())
    with torch.no_grad():
        for p, q in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
            p.copy_(q)
    return fast.to(dtype), textbook.to(dtype)


def assert_equal_through_steps(
    fast: Supernet, textbook: TextbookSupernet, size: int = 8, steps: int = 3, **tolerance: float
) -> None:
    """Outputs, all gradients, running statistics, and a trajectory of several steps."""
    dtype = fast.classifier.weight.dtype
    optimizers = [
        torch.optim.SGD([*net.weight_parameters(), *net.arch_parameters()], lr=0.05, momentum=0.9)
        for net in (fast, textbook)
    ]
    in_channels = fast.arguments["in_channels"]
    for step in range(steps):
        x = images((4, in_channels, size, size), 7 + step).to(dtype)
        targets = torch.arange(4) % fast.arguments["num_classes"]
        outputs = []
        for net, optimizer in zip((fast, textbook), optimizers, strict=True):
            torch.manual_seed(step)
            optimizer.zero_grad()
            logits = net(x)
            F.cross_entropy(logits, targets).backward()
            outputs.append(logits.detach())
        torch.testing.assert_close(*outputs, **tolerance)
        for p, q in zip(fast.arch_parameters(), textbook.arch_parameters(), strict=True):
            torch.testing.assert_close(p.grad, q.grad, **tolerance)
        for optimizer in optimizers:
            optimizer.step()
        published, expected = fast.published_state(), textbook.weight_state()
        assert list(published) == list(expected)
        for name, value in expected.items():
            torch.testing.assert_close(published[name], value, msg=lambda m, n=name: f"{n}: {m}", **tolerance)
    for net in (fast, textbook):
        net.eval()
    torch.testing.assert_close(fast(x).detach(), textbook(x).detach(), **tolerance)


EXACT = {"rtol": 1e-8, "atol": 1e-10}


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_fast_equals_textbook_for_every_k(k: int) -> None:
    assert_equal_through_steps(*twins(channels=8, layers=4, k=k, num_classes=3), **EXACT)


@pytest.mark.parametrize(
    "arguments",
    [
        {"k": 2, "edge_normalization": False},
        {"k": 4, "mixing": "shift"},
        {"k": 4, "mixing": "random"},
        {"k": 1, "mixing": "random"},
        {"k": 2, "nodes": 2, "in_channels": 1},
        {"k": 2, "nodes": 1},
        {"k": 2, "nodes": 5, "layers": 3},
        {"k": 4, "primitives": ("skip_connect", "sep_conv_3x3", "none")},
        {"k": 4, "primitives": ("max_pool_3x3",)},
        {"k": 2, "primitives": ("sep_conv_7x7", "conv_7x1_1x7", "dil_conv_3x3")},
        {"channels": 32, "k": 1, "layers": 3, "nodes": 2},  # too wide to compose
    ],
    ids=str,
)
def test_fast_equals_textbook_for_other_cells(arguments: dict[str, Any]) -> None:
    sizes = {"channels": 8, "layers": 4, "num_classes": 3} | arguments
    assert_equal_through_steps(*twins(**sizes), **EXACT)


@pytest.mark.parametrize(
    "arguments",
    [{"k": 4}, {"k": 4, "mixing": "random"}],
    ids=str,
)
def test_the_form_for_gpus_equals_textbook(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where BatchNorm is not folded."""
    monkeypatch.setattr(normalize, "FOLDED_ON", set())
    sizes = {"channels": 8, "layers": 4, "num_classes": 3} | arguments
    assert_equal_through_steps(*twins(**sizes), **EXACT)


def test_fast_equals_textbook_with_imagenet_stems() -> None:
    assert_equal_through_steps(
        *twins(channels=8, layers=3, k=2, num_classes=3, stem="imagenet"), size=32, **EXACT
    )


def test_fast_equals_textbook_in_float32() -> None:
    fast, textbook = twins(torch.float32, channels=8, layers=4, k=4, num_classes=3)
    assert_equal_through_steps(fast, textbook, size=16, steps=2, rtol=2e-4, atol=2e-4)


def test_a_registered_operation_joins_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "OPERATIONS", dict(ops.OPERATIONS))
    ops.register_operation(
        "conv_1x1", lambda channels, stride, affine: nn.Conv2d(channels, channels, 1, stride, bias=False)
    )
    with pytest.raises(ValueError, match="registered already"):
        ops.register_operation("conv_1x1", lambda channels, stride, affine: nn.Identity())
    primitives = ("none", "conv_1x1", "skip_connect", "avg_pool_3x3")
    assert_equal_through_steps(
        *twins(channels=8, layers=3, k=2, num_classes=3, primitives=primitives), **EXACT
    )


def test_published_state_goes_both_ways_running_statistics_too() -> None:
    net = Supernet(8, 4, 4)
    state = {
        name: torch.rand_like(value) if value.is_floating_point() else torch.tensor(7)
        for name, value in net.published_state().items()
    }
    net.load_published_state(state)
    again = net.published_state()
    assert list(again) == list(state)
    assert all(torch.equal(again[name], state[name]) for name in state)
    textbook = TextbookSupernet(8, 4, 4)
    textbook.load_state_dict(state, strict=False)
    with torch.no_grad():
        for p, q in zip(textbook.arch_parameters(), net.arch_parameters(), strict=True):
            p.copy_(q)
    x = images((4, 3, 16, 16), 3).float()
    torch.testing.assert_close(net.eval()(x), textbook.eval()(x), rtol=1e-4, atol=1e-4)


def test_states_come_as_arrays_and_from_data_parallel_too() -> None:
    net = Supernet(8, 3, 4)
    state = {f"module.{name}": value.numpy() + 1 for name, value in net.published_state().items()}
    net.load_published_state(state)
    assert all(
        (state[f"module.{name}"] == value.numpy()).all() for name, value in net.published_state().items()
    )


def test_a_state_of_another_supernet_is_refused_and_nothing_changes() -> None:
    net = Supernet(8, 3, 4)
    before = net.published_state()
    wrong = {**before, "stem.0.weight": torch.zeros(1), "extra": torch.zeros(1)}
    del wrong["classifier.bias"]
    with pytest.raises(ValueError, match="missing: classifier.bias") as error:
        net.load_published_state(wrong)
    assert "unknown: extra" in str(error.value)
    assert "stem.0.weight: shape (1,), expected (24, 3, 3, 3)" in str(error.value)
    assert all(torch.equal(value, before[name]) for name, value in net.published_state().items())


def test_shuffle_shift_and_reduction_positions() -> None:
    pieces = load_reference("small_pieces.json")
    for name, permutation in pieces["channel_shuffle"]["perm"].items():
        channels, k = (int(part[1:]) for part in name.split("_"))
        x = torch.arange(channels).float().view(1, -1, 1, 1)
        assert channel_shuffle(x, k).flatten().tolist() == permutation
    x = torch.arange(8.0).view(1, -1, 1, 1)
    assert mix_channels(x[:, :2], x[:, 2:], 4, "shift").flatten().tolist() == [2, 3, 4, 5, 6, 7, 0, 1]
    for layers, positions in pieces["reduction_cells"].items():
        assert list(reduction_layers(int(layers))) == positions


def test_random_mixing_samples_every_channel() -> None:
    """The published script for it always takes the first channels; here each is operated on some time."""
    torch.manual_seed(0)
    state = torch.zeros(1, 8, 1, 1)
    assert {int(i) for _ in range(30) for i in sample_order(state, training=True)[:2]} == set(range(8))
    assert sample_order(state, training=False).tolist() == list(range(8))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"k": 3}, "legal values are 1, 2, 4, 8, 16"),
        ({"k": 0}, "must divide"),
        ({"k": True}, "must divide"),
        ({"layers": 2}, "layers must be a whole number of at least 3"),
        ({"num_classes": 1}, "num_classes"),
        ({"stem": "cifr"}, "stem must be one of cifar, imagenet"),
        ({"mixing": "swap"}, "mixing must be one of shuffle, shift, random"),
        ({"primitives": ("none",)}, "other than 'none'"),
        ({"primitives": ("sep_conv_3x4",)}, "did you mean 'sep_conv_3x3'"),
        ({"primitives": ("skip_connect", "skip_connect")}, "listed once"),
    ],
)
def test_an_undefined_supernet_is_refused_before_anything_is_built(
    arguments: dict[str, Any], says: str
) -> None:
    for form in FORMS:
        with pytest.raises(ValueError, match=says):
            form(**arguments)


def test_odd_sizes_at_a_reduction_are_refused() -> None:
    """Trap 8."""
    for form in FORMS:
        with pytest.raises(ValueError, match="both must be even there; got 7x7"):
            form(4, 3, 2)(torch.zeros(2, 3, 14, 14))


def test_alphas_and_betas_are_state_but_no_weights() -> None:
    """Trap 3."""
    net = Supernet(8, 3, 4)
    assert {"alpha_normal", "alpha_reduce", "beta_normal", "beta_reduce"} <= set(net.state_dict())
    arch = {id(p) for p in net.arch_parameters()}
    assert not arch & {id(p) for p in net.weight_parameters()}
    assert len(arch) + len(net.weight_parameters()) == len(list(net.parameters()))
    assert all(float(p.detach().abs().max()) < 0.01 for p in net.arch_parameters())
    assert net.alpha_normal.shape == (14, len(DARTS_PRIMITIVES))
    plain = Supernet(8, 3, 1, edge_normalization=False)
    assert plain.beta_normal is None
    assert len(plain.arch_parameters()) == 2


def test_the_fast_form_starts_from_pytorchs_default_initialisation() -> None:
    torch.manual_seed(0)
    fast, textbook = Supernet(16, 8, 4).published_state(), TextbookSupernet(16, 8, 4).weight_state()
    for name, expected in textbook.items():
        if expected.numel() >= 100 and expected.ndim > 1:
            assert float(fast[name].std()) == pytest.approx(float(expected.std()), rel=0.3)
            assert float(fast[name].abs().max()) == pytest.approx(float(expected.abs().max()), rel=0.2)


def test_fill_is_by_published_order_in_both_forms() -> None:
    fast, textbook = Supernet(8, 3, 2).double(), TextbookSupernet(8, 3, 2).double()
    for net in (fast, textbook):
        fill_supernet(net, "by_index")
    state = fast.published_state()
    assert all(torch.equal(state[n].double(), v.double()) for n, v in textbook.weight_state().items())
