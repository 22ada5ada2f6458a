"""Whether an operation is one: shapes, gradients, determinism, state, export, the same in both forms of the supernet."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcdarts_tune.core.ops import build_operation
from pcdarts_tune.testing.forms import compare_forms
from pcdarts_tune.testing.problems import give, raise_problems, say_error

Build = Callable[..., nn.Module]
STRIDES = (1, 2)
SIZES = ((8, 8), (8, 12))
"""Heights and widths that are tried."""


def check_operation(
    name: str, *, channels: int = 8, plugin: str | Path | None = None, export: bool = True
) -> None:
    """Pass where an operation can be searched, trained, saved and exported.

    Args:
        channels: of the modules that are built; also 4 and 1 channel a candidate in the supernet.
        plugin: a file that has it, as --plugin takes it.
        export: whether torch.export must be able to take it.

    Raises:
        NotConformant: with everything that is wrong.
        UserError: the plug-in's file cannot be read.
    """
    give(plugin)
    raise_problems(f"operation {name!r}", _problems(name, channels, export))


def _problems(name: str, channels: int, export: bool) -> Iterator[str]:
    """Later checks need what earlier ones look at."""
    if found := list(_check_built(name, channels)) or list(_check_shapes(name, channels)):
        yield from found
        return
    for check in (_check_input, _check_gradients, _check_repeats, _check_batches, _check_state):
        for stride in STRIDES:
            try:
                yield from check(name, channels, stride)
            except Exception as error:  # another's code
                yield f"stride {stride}: {say_error(error)} ({check.__doc__})"
    yield from compare_forms(name)
    if export:
        yield from _check_export(name, channels)


def _build(name: str, channels: int, stride: int, affine: bool = True, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_operation(name, channels, stride, affine)


def _images(channels: int, size: tuple[int, int] = (8, 8), count: int = 4, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, *size, generator=generator)


def _check_built(name: str, channels: int) -> Iterator[str]:
    """It is built."""
    for stride in STRIDES:
        for affine in (True, False):
            try:
                module = _build(name, channels, stride, affine)
            except Exception as error:  # another's code
                yield f"it cannot be built with {channels} channels, stride {stride}, affine {affine}: {say_error(error)}"
                return
            if not isinstance(module, nn.Module):
                yield f"its function returns {type(module).__name__}, not an nn.Module"
                return
            norms = [each for each in module.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
            if any(norm.affine != affine for norm in norms):
                yield (
                    f"with affine={affine} a BatchNorm has affine={not affine}: in the search none may learn a scale, which "
                    "would compete with the alphas; hand the argument on"
                )


def _check_shapes(name: str, channels: int) -> Iterator[str]:
    """Shapes and types."""
    for stride in STRIDES:
        for height, width in SIZES:
            wanted = (4, channels, height // stride, width // stride)
            what = f"stride {stride}: images (4, {channels}, {height}, {width})"
            try:
                y = _build(name, channels, stride)(_images(channels, (height, width)))
            except Exception as error:  # another's code
                yield f"{what} fail: {say_error(error)}"
                continue
            if not isinstance(y, Tensor) or tuple(y.shape) != wanted:
                got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
                yield f"{what} must become {wanted}; they became {got}"
            elif y.dtype != torch.float32:
                yield f"{what} of float32 became {y.dtype}"
            elif not bool(torch.isfinite(y).all()):
                yield f"{what} became NaN or infinity"
        try:
            y = _build(name, channels, stride).double()(_images(channels).double())
        except Exception as error:  # another's code
            yield f"stride {stride}: it fails in float64: {say_error(error)}"
            continue
        if y.dtype != torch.float64:
            yield f"stride {stride}: images of float64 became {y.dtype}"


def _check_input(name: str, channels: int, stride: int) -> Iterator[str]:
    """It leaves its input as it is."""
    x = _images(channels)
    before = x.clone()
    _build(name, channels, stride)(x)
    if not torch.equal(x, before):
        yield f"stride {stride}: it changes its input, which other operations read too (inplace=True?)"


def _check_gradients(name: str, channels: int, stride: int) -> Iterator[str]:
    """Gradients."""
    module, x = _build(name, channels, stride).double(), _images(channels).double().requires_grad_()
    y = module(x)
    if name == "none":
        return
    if not y.requires_grad:
        yield f"stride {stride}: no gradient passes through it"
        return
    # of a random direction: the sum of what BatchNorm gives has none
    y.backward(torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype))
    if x.grad is None or not bool(x.grad.any()):
        yield f"stride {stride}: its input gets no gradient"
    elif not bool(torch.isfinite(x.grad).all()):
        yield f"stride {stride}: the gradient of its input is NaN or infinite"
    for key, parameter in module.named_parameters():
        if parameter.grad is None:
            yield f"stride {stride}: parameter {key} gets no gradient: it is not used"
    small = _build(name, channels, stride).double().eval()
    inputs = _images(channels, (4, 4), 2).double().requires_grad_()
    try:
        torch.autograd.gradcheck(small, (inputs,), fast_mode=True)
    except (RuntimeError, ValueError) as error:
        yield f"stride {stride}: its gradient is not the derivative of what it computes: {say_error(error)}"


def _check_repeats(name: str, channels: int, stride: int) -> Iterator[str]:
    """The same seed gives the same."""
    first, second = (_build(name, channels, stride) for _ in range(2))
    states = first.state_dict(), second.state_dict()
    if list(states[0]) != list(states[1]) or not all(
        torch.equal(one, other) for one, other in zip(states[0].values(), states[1].values(), strict=True)
    ):
        yield f"stride {stride}: built twice with one torch seed it has other values: draw them by torch's generator"
        return
    x, outputs = _images(channels), []
    for module in (first, second):
        torch.manual_seed(3)
        outputs.append(module(x))
    if not torch.equal(*outputs):
        yield f"stride {stride}: in training it gives other numbers with the same seed"
    first.eval()
    if not torch.equal(first(x), first(x)):
        yield f"stride {stride}: in evaluation it gives other numbers for the same images: look at self.training"


def _check_batches(name: str, channels: int, stride: int) -> Iterator[str]:
    """Images do not depend on others."""
    module, x = _build(name, channels, stride), _images(channels)
    module(x)
    module.eval()
    with torch.no_grad():
        whole, single = module(x), torch.cat([module(image[None]) for image in x])
        last = module(x.contiguous(memory_format=torch.channels_last))
    if not torch.allclose(whole, single, rtol=1e-4, atol=1e-5):
        yield f"stride {stride}: in evaluation what an image becomes depends on the others of its batch"
    if not torch.allclose(whole, last, rtol=1e-4, atol=1e-5):
        yield f"stride {stride}: other numbers in torch.channels_last: use reshape or contiguous, not view or strides"


def _check_state(name: str, channels: int, stride: int) -> Iterator[str]:
    """Its state can be saved and loaded."""
    module, x = _build(name, channels, stride), _images(channels)
    module(x)
    state: dict[str, Any] = module.state_dict()
    if other := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        yield f"stride {stride}: its state has {other[0]}, which is no tensor: a model's file takes tensors alone"
        return
    content = io.BytesIO()
    torch.save(state, content)
    content.seek(0)
    again = _build(name, channels, stride, seed=9)
    again.load_state_dict(torch.load(content, weights_only=True))
    expected = module.eval()(x)
    for what, loaded in (("loaded from its state", again), ("copied", copy.deepcopy(module))):
        if not torch.equal(loaded.eval()(x), expected):
            yield f"stride {stride}: {what} it gives other numbers: keep what it needs in parameters and buffers"


def _check_export(name: str, channels: int) -> Iterator[str]:
    for stride in STRIDES:
        module, x = _build(name, channels, stride).eval(), _images(channels)
        batch = {0: torch.export.Dim("batch", min=1)}
        try:
            program = torch.export.export(module, (x,), dynamic_shapes=(batch,)).module()
            if not torch.allclose(program(x), module(x), rtol=1e-4, atol=1e-5):
                yield f"stride {stride}: exported it gives other numbers"
        except Exception as error:  # whatever torch.export raises
            yield f"stride {stride}: torch.export cannot take it: {say_error(error)}"
