"""The evaluation network against the published code's numbers."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from support.formula import fill_state, images, load_reference
from torch.nn import functional as F

from pcdarts_tune.core.cost import count_macs, count_parameters
from pcdarts_tune.core.genotype import PUBLISHED, Genotype
from pcdarts_tune.core.network import AuxiliaryHead, EvaluationNetwork
from pcdarts_tune.core.ops import drop_path

FORWARD = load_reference("eval_network_forward.json")


@pytest.mark.parametrize("case", FORWARD["cases"], ids=lambda case: case["name"])
def test_logits_loss_and_gradients_equal_the_reference(case: dict[str, Any]) -> None:
    genotype = Genotype.from_dict(FORWARD["genotypes"][case["genotype_name"]])
    net = EvaluationNetwork(
        genotype, case["C"], case["layers"], case["num_classes"], case["network"], case["auxiliary"]
    ).double()
    net.load_state_dict(
        fill_state([(n, p.shape) for n, p in net.named_parameters()], "by_shape"), strict=False
    )
    x = images((case["batch"], 3, case["resolution"], case["resolution"]), case["input_seed"])
    targets = torch.tensor(case["targets"])
    logits, auxiliary = net(x)
    loss = F.cross_entropy(logits, targets) + case["aux_weight"] * F.cross_entropy(auxiliary, targets)
    loss.backward()

    def close(actual: torch.Tensor, name: str) -> None:
        torch.testing.assert_close(
            actual.detach(), torch.tensor(case[name], dtype=torch.float64), rtol=1e-10, atol=1e-10
        )

    close(logits, "logits_train")
    close(auxiliary, "logits_aux_train")
    close(loss, "loss_with_aux")
    close(net.classifier.bias.grad, "grad_classifier_bias")
    gradients = [p.grad.flatten() for p in net.parameters() if p.grad is not None]
    close(torch.linalg.vector_norm(torch.cat(gradients)), "grad_total_l2")
    assert count_parameters(net, auxiliary=True) == case["params_total"]
    logits, auxiliary = net.eval()(x)
    close(logits, "logits_eval_after_this_one_train_forward")
    assert case["aux_in_eval_is_none"] and auxiliary is None


@pytest.mark.parametrize("case", load_reference("eval_params_macs.json")["cases"], ids=str)
def test_counts_equal_the_reference(case: dict[str, Any]) -> None:
    with torch.device("meta"):
        net = EvaluationNetwork(
            PUBLISHED[case["genotype_name"]],
            case["C"],
            case["layers"],
            case["num_classes"],
            case["network"],
            case["auxiliary"],
        )
    assert count_parameters(net, auxiliary=True) == case["params_total"]
    assert count_parameters(net) == case["params_excluding_auxiliary"]
    assert count_macs(net, 3, tuple(case["input"][1:])) == case["macs_total_conv_linear"]
    assert sum(b.numel() for n, b in net.named_buffers() if n != "keep") == case["num_buffer_elements"]


def test_drop_path_zeroes_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(4000, 3, 2, 2)
    y = drop_path(x, torch.tensor(0.75))
    flat = y.flatten(1)
    assert torch.equal(flat.amin(1), flat.amax(1))  # one decision a sample
    assert sorted(set(flat[:, 0].tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert float(y.mean()) == pytest.approx(1.0, abs=0.05)


def test_drop_path_spares_the_identity_and_evaluation() -> None:
    edges = tuple(("skip_connect", source) for _ in range(4) for source in (0, 1))
    skips = Genotype(edges, (2, 3, 4, 5), PUBLISHED["DARTS_V1"].reduce, (2, 3, 4, 5))
    net = EvaluationNetwork(skips, 4, 3, 10, auxiliary=False)
    net.drop_path = 0.9
    cell = net.cells[0].train()
    x = torch.randn(6, 12, 8, 8)
    assert torch.equal(cell(x, x, net.keep), cell(x, x, None))  # identities alone: nothing to drop
    images_ = torch.randn(2, 3, 8, 8)
    net.eval()
    assert torch.equal(net(images_)[0], net(images_)[0])
    with pytest.raises(ValueError, match="drop_path must be in"):
        net.drop_path = 1.0


@pytest.mark.parametrize(
    ("stem", "size"),
    [("cifar", 8), ("cifar", 12), ("cifar", 28), ("cifar", 32), ("imagenet", 32), ("imagenet", 64)],
)
def test_the_auxiliary_head_fits_whatever_resolution_comes(stem: str, size: int) -> None:
    net = EvaluationNetwork(PUBLISHED["PC_DARTS_cifar"], 4, 3, 5, stem, in_channels=1)
    logits, auxiliary = net(torch.randn(2, 1, size, size))
    assert logits.shape == auxiliary.shape == (2, 5)


@pytest.mark.parametrize(("stem", "sizes"), [("cifar", (8, 9, 10)), ("imagenet", (7, 8))])
def test_the_auxiliary_pooling_is_the_published_one_where_that_is_defined(
    stem: str, sizes: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    head = AuxiliaryHead(6, 4, stem).eval()
    for size in sizes:
        x = torch.randn(3, 6, size, size)
        assert torch.equal(head(x), head.classifier(head.features(x).flatten(1)))


def test_cells_of_unequal_outputs_and_five_nodes() -> None:
    for name in ("NASNet", "AmoebaNet"):
        net = EvaluationNetwork(PUBLISHED[name], 4, 6, 10)
        assert net(torch.randn(2, 3, 32, 32))[0].shape == (2, 10)


def test_halving_large_images_ends_no_process() -> None:
    """PyTorch 2.15 writes beyond its memory in the backward pass of a 1x1 stride-2 convolution (channels_last, AVX-512)."""
    script = """
import torch
from pcdarts_tune.core.ops import FactorizedReduce
torch.set_num_threads(1)
for _ in range(8):
    module = FactorizedReduce(8, 8, True).to(memory_format=torch.channels_last)
    x = torch.randn(16, 8, 64, 64).contiguous(memory_format=torch.channels_last).requires_grad_()
    module(x).sum().backward()
    others = [torch.randn(size % 97 + 1) for size in range(300)]
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
