"""bfloat16, TF32 and torch.compile: what they change, and what stays in float32."""

from __future__ import annotations

import math

import pytest
import torch
from support.small_jobs import half, small_search, small_training

from pcdarts_tune.core.architect import Architect
from pcdarts_tune.core.loop import evaluate
from pcdarts_tune.core.ops import drop_path
from pcdarts_tune.core.search import Search
from pcdarts_tune.core.steps import execution as precision
from pcdarts_tune.core.steps.execution import CompileFailed
from pcdarts_tune.core.steps.optimizers import optimizer_tensors
from pcdarts_tune.core.supernet import Supernet

CPU, CUDA = (
    torch.device("cpu"),
    torch.device("cuda"),
)  # CUDA is only named here: its flags are there without one


@pytest.mark.parametrize("arguments", [{}, {"order": 2}, {"order": 2, "hessian": "exact"}], ids=str)
def test_a_search_in_bf16_keeps_float32_where_it_counts(arguments: dict[str, object]) -> None:
    exact, search = small_search(epochs=2, **arguments), small_search(epochs=2, precision="bf16", **arguments)
    dtypes = set()
    search.supernet.classifier.register_forward_hook(lambda *call: dtypes.add(call[2].dtype))
    for wanted, epoch in zip(exact, search, strict=True):
        assert epoch.train_loss == pytest.approx(wanted.train_loss, abs=0.1)
        assert epoch.train_loss != wanted.train_loss
        assert epoch.valid_loss is not None
        assert math.isfinite(epoch.valid_loss)
    # evaluation too; the second term of order 2 is float32's
    assert dtypes == {torch.bfloat16} | ({torch.float32} if arguments else set())
    kept = [*search.supernet.parameters(), *search.supernet.buffers()]
    kept += optimizer_tensors(search.optimizer) + optimizer_tensors(search.architect.optimizer)
    assert {tensor.dtype for tensor in kept} == {torch.float32, torch.int64}
    assert search.execution()["precision"] == "bf16"


def test_a_training_in_bf16_keeps_float32_where_it_counts() -> None:
    exact, training = small_training(), small_training(precision="bf16")
    for wanted, epoch in zip(exact, training, strict=True):
        assert epoch.train_loss == pytest.approx(wanted.train_loss, abs=0.3)
        assert epoch.train_loss != wanted.train_loss
    kept = [
        *training.network.parameters(),
        *training.network.buffers(),
        *optimizer_tensors(training.optimizer),
    ]
    assert {tensor.dtype for tensor in kept} == {torch.float32, torch.int64}
    scores = [evaluate(training.network, half(3), 8, precision=name)[0] for name in ("float32", "bf16")]
    assert scores[0] != scores[1] == pytest.approx(scores[0], abs=0.05)


def test_the_second_term_of_order_2_survives_bf16() -> None:
    """A step of norm 0.01 is below the resolution of bfloat16: taken there, the difference would be noise."""
    torch.manual_seed(0)
    net = Supernet(8, 3, 2, num_classes=4, nodes=2)
    images, labels = torch.randn(16, 3, 8, 8), torch.arange(16) % 4
    vector = [torch.randn_like(w) for w in net.weight_parameters()]
    terms = {
        name: Architect(net, order=2, precision=name)._second_term(vector, images, labels)
        for name in ("float32", "bf16")
    }
    for a, b in zip(terms["float32"], terms["bf16"], strict=True):
        assert torch.equal(a, b)


def test_drop_path_draws_the_same_in_bf16() -> None:
    """256 values in [0, 1) would drop with another probability."""
    keep = torch.tensor(0.7)
    torch.manual_seed(0)
    wide = drop_path(torch.ones(4000, 1, 1, 1), keep)
    torch.manual_seed(0)
    narrow = drop_path(torch.ones(4000, 1, 1, 1, dtype=torch.bfloat16), keep)
    assert narrow.dtype == torch.bfloat16
    assert torch.equal(wide != 0, narrow != 0)


def test_a_precision_that_the_device_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="precision must be one of float32, bf16, tf32; got 'fp16'"):
        small_search(precision="fp16")
    with pytest.raises(ValueError, match="precision tf32 is CUDA's; on cpu take float32 or bf16"):
        small_training(precision="tf32")
    assert precision.check_precision("tf32", CUDA) == "tf32"


@pytest.mark.parametrize("name", precision.PRECISIONS)
def test_float32_on_cuda_is_float32_in_convolutions_too(name: str) -> None:
    """PyTorch's own default rounds cuDNN's convolutions to TF32. What was set before is set again, after errors too."""
    before = (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.benchmark,
    )
    with pytest.raises(ZeroDivisionError), precision.use_precision(CUDA, name):
        rounded = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        assert rounded == (name == "tf32", name == "tf32")
        assert torch.backends.cudnn.conv.fp32_precision == ("tf32" if name == "tf32" else "none")
        assert torch.backends.cudnn.benchmark is precision.CUDNN_BENCHMARK
        raise ZeroDivisionError
    assert before == (
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.benchmark,
    )
    with precision.use_precision(CPU, name):
        assert torch.backends.cudnn.allow_tf32 is before[0]


def test_a_compiled_search_computes_the_same() -> None:
    """PyTorch's tracing alone, without the code that takes minutes to generate."""
    jobs = []
    for backend in (False, "eager"):
        torch.manual_seed(0)
        net = Supernet(
            4,
            3,
            2,
            num_classes=2,
            in_channels=1,
            nodes=1,
            primitives=("none", "sep_conv_3x3", "max_pool_3x3"),
        )
        jobs.append(
            Search(
                net,
                half(1, 8),
                half(2, 8),
                epochs=2,
                batch_size=8,
                arch_warmup_epochs=1,
                compile=backend,
            )
        )
    tolerance = 1e-4
    for plain, compiled in zip(*jobs, strict=True):
        assert compiled.train_loss == pytest.approx(plain.train_loss, rel=tolerance, abs=tolerance)
        assert compiled.arch_loss == (plain.arch_loss and pytest.approx(plain.arch_loss, rel=tolerance))
    for p, q in zip(jobs[0].supernet.buffers(), jobs[1].supernet.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=10 * tolerance, atol=tolerance)
    assert jobs[1].execution()["compile"] == "eager"


def test_a_network_that_cannot_be_compiled_is_told_plainly() -> None:
    with pytest.raises(
        CompileFailed, match=r"could not compile the network: .*no_such_backend.*without --compile"
    ):
        small_training(epochs=1, compile="no_such_backend")
