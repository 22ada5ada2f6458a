"""What completes a word on the command line: sweeps, spaces, published genotypes, registered models, settings.

A shell waits for this at every press of the tab key, so nothing here imports torch, MLflow or Optuna: names come from
folders, and from MLflow's SQLite file read directly (a server's models are not completed).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from pcdarts_tune.home import sweep_names

Items = list[CompletionItem]  # type: ignore[type-arg,unused-ignore]  # generic in click 8.5


def sweeps(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Names of sweeps in the home."""
    return _matching(sweep_names(_home(ctx)), incomplete)


def spaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Names of search spaces, else files."""
    from pcdarts_tune.spaces.load import space_names

    return _matching(space_names(), incomplete) or [CompletionItem(incomplete, type="file")]


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Registered models with their aliases and versions, else folders."""
    return _models(_home(ctx), incomplete) or [CompletionItem(incomplete, type="dir")]


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Runs and genotypes by name: models, sweeps, published genotypes; else files."""
    from pcdarts_tune.core.genotype import PUBLISHED

    home = _home(ctx)
    found = [*_models(home, incomplete), *_matching([*sweep_names(home), *PUBLISHED], incomplete)]
    once = {item.value: item for item in found}  # a model is called like its sweep
    return list(once.values()) or [CompletionItem(incomplete, type="file")]


def settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> Items:
    """Keys that --set takes, `search.epochs=`."""
    from pcdarts_tune.spaces.keys import leaves
    from pcdarts_tune.spaces.space import Space

    if "=" in incomplete:
        return []
    keys = [key for key in leaves(Space) if key.startswith(incomplete)]
    # a section at a time: there are more keys than fit on a screen
    dot = incomplete.rfind(".") + 1
    sections = {key[: key.index(".", dot) + 1] for key in keys if "." in key[dot:]}
    plain = [f"{key}=" for key in keys if "." not in key[dot:]]
    return [CompletionItem(text) for text in [*sorted(sections), *plain]]


def _models(home: Path, incomplete: str) -> Items:
    from pcdarts_tune.tracking.lookup import registered_models

    models = registered_models(home)
    name = incomplete.partition("@")[0].partition("/")[0]
    others = [found for found in models if found != name]
    return _matching([*others, name, *models[name]] if name in models else others, incomplete)


def _home(ctx: click.Context) -> Path:
    given = ctx.params.get("home") or os.environ.get("PCDARTS_TUNE_HOME") or "pcdarts-home"
    return Path(given).expanduser().absolute()


def _matching(names: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
