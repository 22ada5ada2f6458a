"""Plug-ins for tests: a process that knows none, and a package that is installed on the path."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pcdarts_tune.core import ops
from pcdarts_tune.plugins import files, registry

CONV = """
import torch
from torch import nn

class Conv(nn.Module):
    def __init__(self, channels, stride, affine):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels, affine=affine)

    def forward(self, x):
        return self.bn(self.conv(torch.relu(x)))

operations = {"own_conv": Conv}
"""
"""A plug-in file with one operation."""


_SHIPPED = dict(ops.OPERATIONS)


def forget_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the length of a test, a process that was given no plug-in."""
    for name in ("_GIVEN", "_DECLARED", "_LACKING"):
        monkeypatch.setattr(registry, name, {})
    monkeypatch.setattr(registry, "_STORES", [])
    monkeypatch.setattr(files, "_OFFERS", {})
    monkeypatch.setattr(ops, "OPERATIONS", dict(_SHIPPED))


def install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, code: str, points: Mapping[str, Sequence[str]]
) -> None:
    """A package with entry points, by group, as an installer leaves it."""
    (folder / f"{module}.py").write_text(code)
    meta = folder / f"{module}-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n")
    lines = [line for group, named in points.items() for line in (f"[pcdarts_tune.{group}]", *named)]
    (meta / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, module, raising=False)
    importlib.invalidate_caches()
