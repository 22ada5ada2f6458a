"""The candidate operations (DARTS, section 3.1) and the registry that names them.

Shapes: x (N, C, H, W) -> (N, C, H / stride, W / stride). No convolution has a bias. Modules are nested and named as in the
published code, so that published weights load by name.

    >>> register_operation("my_op", lambda channels, stride, affine: MyOperation(channels, stride))
    >>> Supernet(primitives=["none", "skip_connect", "my_op"])

One that is not registered is looked for in other packages when it is asked for, see finding.py.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from pcdarts_tune.core import finding

OperationFactory = Callable[[int, int, bool], nn.Module]
"""(channels, stride, affine) -> module; stride is 1 or 2, affine says whether its BatchNorms learn scale and shift."""


class OpSequence(nn.Module):
    """Modules one after another under the name `op`, as the published code has them."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.op = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)  # type: ignore[no-any-return]


class FactorizedReduce(nn.Module):
    """Halve height and width: two 1x1 stride-2 convolutions, the second on `x[:, :, 1:, 1:]`, side by side.

    They are computed with stride 1 on every second pixel, which is the same: in the backward pass of a 1x1 stride-2 convolution
    PyTorch 2.15 writes beyond its memory on CPUs with AVX-512 (channels_last, from 56 x 56 pixels on), and the process ends.
    """

    def __init__(self, c_in: int, c_out: int, affine: bool) -> None:
        super().__init__()
        if c_out % 2:
            raise ValueError(
                f"FactorizedReduce makes two halves, so its output channels must be even; got {c_out}"
            )
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(c_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        require_even(x)
        x = torch.relu(x)
        halves = [self.conv_1(x[:, :, ::2, ::2]), self.conv_2(x[:, :, 1::2, 1::2])]
        return self.bn(torch.cat(halves, dim=1))  # type: ignore[no-any-return]


def _separable(kernel_size: int, dilation: int = 1, times: int = 2) -> OperationFactory:
    """ReLU, depthwise and pointwise convolution, BatchNorm: so many times, the stride in the first."""
    padding = dilation * (kernel_size // 2)

    def build(channels: int, stride: int, affine: bool) -> nn.Module:
        modules: list[nn.Module] = []
        for step in [stride, 1][:times]:
            sizes = (channels, channels, kernel_size, step, padding, dilation)
            modules += [
                nn.ReLU(),
                nn.Conv2d(*sizes, groups=channels, bias=False),
                nn.Conv2d(channels, channels, 1, bias=False),
                nn.BatchNorm2d(channels, affine=affine),
            ]
        return OpSequence(*modules)

    return build


class Zero(nn.Module):
    """`none`: zeros, of the size that the stride gives."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class Noise(nn.Module):
    """`noise`: Gaussian noise N(0, 1) whatever comes, of the size that the stride gives, anew in each pass (RobustDARTS, S4)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return torch.randn_like(x[:, :, :: self.stride, :: self.stride])


def _conv_7x1_1x7(channels: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, (1, 7), (1, stride), (0, 3), bias=False),
        nn.Conv2d(channels, channels, (7, 1), (stride, 1), (3, 0), bias=False),
        nn.BatchNorm2d(channels, affine=affine),
    )


def _skip_connect(channels: int, stride: int, affine: bool) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)


def _convolution(kernel_size: int) -> OperationFactory:
    """ReLU, convolution, BatchNorm (NAS-Bench-201, section 2.1)."""

    def build(channels: int, stride: int, affine: bool) -> nn.Module:
        convolution = nn.Conv2d(channels, channels, kernel_size, stride, kernel_size // 2, bias=False)
        return OpSequence(nn.ReLU(), convolution, nn.BatchNorm2d(channels, affine=affine))

    return build


OPERATIONS: dict[str, OperationFactory] = {
    "none": lambda channels, stride, affine: Zero(stride),
    "noise": lambda channels, stride, affine: Noise(stride),
    "max_pool_3x3": lambda channels, stride, affine: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda channels, stride, affine: nn.AvgPool2d(
        3, stride, padding=1, count_include_pad=False
    ),
    "skip_connect": _skip_connect,
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _separable(3, dilation=2, times=1),
    "dil_conv_5x5": _separable(5, dilation=2, times=1),
    "conv_7x1_1x7": _conv_7x1_1x7,
    "nor_conv_1x1": _convolution(1),
    "nor_conv_3x3": _convolution(3),
}
"""Every operation by name; a family of cells names its own in `primitives`."""


def register_operation(name: str, factory: OperationFactory) -> None:
    """Add an operation to the registry.

    Raises:
        ValueError: when the name is taken: two meanings of one name would make genotypes ambiguous.
    """
    if name in OPERATIONS:
        raise ValueError(f"the operation {name!r} is registered already; choose another name")
    OPERATIONS[name] = factory


def require_operation(name: object, where: str = "") -> None:
    """Raise a ValueError, which begins with `where` and lists the legal names, unless this is a registered one or one that
    can be found."""
    if not isinstance(name, str) or not (name in OPERATIONS or finding.knows(name)):
        if explained := finding.explain(str(name)):
            raise ValueError(where + explained)
        near = difflib.get_close_matches(str(name), OPERATIONS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{where}unknown operation {name!r}; legal: {', '.join(sorted(OPERATIONS))}{hint}")


def build_operation(name: str, channels: int, stride: int, affine: bool) -> nn.Module:
    """Build an operation, looking for one that is not registered.

    Raises:
        ValueError: for a name that nobody knows, and for what is found and makes no module.
    """
    require_operation(name)
    if name not in OPERATIONS:
        found = finding.find(name)
        if not callable(found):
            what = f"is {type(found).__name__}, not a function of (channels, stride, affine)"
            raise ValueError(f"operation {name!r} {what}")
        OPERATIONS.setdefault(name, found)
    return OPERATIONS[name](channels, stride, affine)


def build_search_operation(name: str, channels: int, stride: int) -> nn.Module:
    """Build an operation as the supernet uses it: no affine BatchNorm, and one behind each pool."""
    operation = build_operation(name, channels, stride, affine=False)
    if "pool" in name:
        return nn.Sequential(operation, nn.BatchNorm2d(channels, affine=False))
    return operation


def check_primitives(primitives: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple, after checking that each is registered and none is listed twice.

    Raises:
        ValueError: saying which name is wrong and what is legal.
    """
    names = tuple(primitives)
    for name in names:
        require_operation(name)
    if len(set(names)) != len(names):
        raise ValueError(f"each operation may be listed once; got {', '.join(names)}")
    if not set(names) - {"none"}:
        raise ValueError("primitives must name at least one operation other than 'none'")
    return names


def require_even(x: Tensor) -> None:
    """Halving needs an even height and width: the shifted half of FactorizedReduce would be smaller otherwise."""
    height, width = x.shape[-2:]
    if height % 2 or width % 2:
        raise ValueError(
            f"a reduction halves height and width, so both must be even there; got {height}x{width}: "
            "choose image sizes divisible by 4 (CIFAR stem) or 32 (ImageNet stem)"
        )


def drop_path(x: Tensor, keep: Tensor) -> Tensor:
    """Zero whole samples of x (N, C, H, W) with probability 1 - keep, and divide the others by keep."""
    # float32 at least: bfloat16 has 256 values in [0, 1), too few for a probability
    drawn = torch.promote_types(x.dtype, torch.float32)
    mask = torch.rand(x.shape[0], 1, 1, 1, device=x.device, dtype=drawn) < keep
    return x * (mask / keep).to(x.dtype)
