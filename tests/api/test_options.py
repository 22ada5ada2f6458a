"""The commands and the API have the same options, with the same defaults."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

import pcdarts_tune as pt

PRINTING = {"csv", "json", "verbose", "quiet", "plan"}
"""Flags for what a command prints."""
HOME = {"home", "tracking_uri", "study_uri", "plugin"}
"""What a handle has been opened with."""


@pytest.mark.parametrize(
    ("command", "function", "beside"),
    [
        ("sweep", pt.sweep, set()),
        ("search", pt.search, set()),
        ("retrain", pt.retrain, set()),
        ("draw", pt.draw, set()),
        ("promote", pt.Sweep.promote, HOME),
        ("resume", pt.Sweep.resume, HOME),
        ("extend", pt.Sweep.extend, HOME),
        ("report", pt.Sweep.report, HOME),
        ("leaderboard", pt.Sweep.leaderboard, HOME),
    ],
)
def test_flags_are_options(command: str, function: Callable[..., Any], beside: set[str]) -> None:
    params = import_module(f"pcdarts_tune.cli.commands.{command}").command.params
    flags = {_name(param): param for param in params if isinstance(param, click.Option)}
    options = inspect.signature(function).parameters
    assert set(flags) - PRINTING - beside <= set(options)
    assert {name for name in options if name not in ("self", "genotype", "quiet")} <= set(flags)
    for name in set(flags) & set(options) - HOME - PRINTING:
        default = options[name].default
        if default is not inspect.Parameter.empty and not flags[name].required:
            assert _plain(flags[name].to_info_dict()["default"]) == _plain(default), name


def _name(param: click.Option) -> str:
    name = max(param.opts, key=len).lstrip("-").replace("-", "_")
    # Python cannot call an argument `from`
    return str(param.name) if keyword.iskeyword(name) else name


def _plain(value: Any) -> Any:
    """What is not given is None, and of several nothing."""
    return None if value in ((), None) else str(value) if isinstance(value, Path) else value
