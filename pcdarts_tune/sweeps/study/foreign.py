"""Samplers of others: Optuna's own by module and class, OptunaHub's, those of plug-ins; made anew for each proposal, as all are.

    sampler: optuna.samplers:TPESampler
    sampler: optunahub:samplers/auto_sampler:AutoSampler
    sampler: my_sampler                              # of a plug-in: a class or function

A class or function that takes `seed` is given one for each proposal; what it needs to remember must lie in the study.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from pcdarts_tune import plugins
from pcdarts_tune.errors import UserError, nearest, one_line
from pcdarts_tune.spaces.values import OPTUNAHUB

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def foreign_sampler(name: str, seed: int) -> BaseSampler:
    """The sampler for one proposal.

    Raises:
        UserError: there is none of that name, it needs more than a seed, or it is no sampler of Optuna's.
    """
    from optuna.samplers import BaseSampler

    make = plugins.find("samplers", name) if ":" not in name else _find(name)
    if not callable(make):
        raise UserError(f"sampler {name!r} is {type(make).__name__}, not a class", hint=_EXAMPLE)
    try:
        made = make(seed=seed) if _takes_seed(make) else make()
    except Exception as error:  # another's code
        raise UserError(
            f"sampler {name!r} cannot be made{_given(make)}: {type(error).__name__}: {one_line(error)}",
            hint="a plug-in with a function that gives it the rest: samplers = {'mine': lambda seed: …}",
        ) from error
    if not isinstance(made, BaseSampler):
        raise UserError(
            f"sampler {name!r} is {type(made).__name__}, not a sampler of Optuna's", hint=_EXAMPLE
        )
    return made


_EXAMPLE = "for example --sampler optuna.samplers:TPESampler"


def _given(make: Any) -> str:
    return " by a seed" if _takes_seed(make) else ""


def _takes_seed(make: Any) -> bool:
    try:
        return "seed" in inspect.signature(make).parameters
    except ValueError:  # one of Python's own that does not say
        return False


def _find(name: str) -> Any:
    """The class behind `module:Class` or `optunahub:PACKAGE:Class`."""
    path, _, attribute = name.rpartition(":")
    hub = path.startswith(OPTUNAHUB)
    try:
        if hub:
            module = importlib.import_module("optunahub").load_module(path.removeprefix(OPTUNAHUB))
        else:
            module = importlib.import_module(path)
    except Exception as error:  # an import runs another's code, and OptunaHub asks the network
        needs = "pip install optunahub; a package that was fetched once is cached" if hub else _EXAMPLE
        raise UserError(f"sampler {name!r}: {type(error).__name__}: {one_line(error)}", hint=needs) from error
    found = getattr(module, attribute, None)
    if found is None:
        near = nearest(attribute, [each for each in dir(module) if not each.startswith("_")])
        raise UserError(f"sampler {name!r}: {path} has no {attribute!r}{near}", hint=_EXAMPLE)
    return found
