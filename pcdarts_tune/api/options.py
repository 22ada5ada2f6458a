"""Options of functions and commands as the values that the layers below take, each checked here once.

run_settings(gpus_per_trial=0.5, time_budget="2h")      # RunSettings(gpus=0.5, time_budget=7200.0)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.spaces.values import AIMS, Setting, amount
from pcdarts_tune.tasks import NAMES_OF_PRECISIONS, Workers

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.runner import RunSettings

DEVICES = ("auto", "cpu", "cuda")


def parse_duration(value: object) -> float:
    """Seconds of `90s`, `45m`, `2h`, `1d`, `1h30m`; a bare number is seconds.

    Raises:
        ValueError: it is none, or no time at all.
    """
    text = str(value).strip().lower()
    if isinstance(value, int | float):
        text = f"{value:f}"
    if re.fullmatch(r"\d+(\.\d+)?", text):
        text += "s"
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", text):
        raise ValueError(f"{value!r} is no duration; such as 90s, 45m, 2h, 1h30m or 1d.")
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    seconds = sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([smhd])", text))
    if seconds <= 0:
        raise ValueError(f"{value!r} is no time at all.")
    return seconds


def parse_more(value: object) -> tuple[bool, int]:
    """`+16`: so many more, (True, 16); `48`: so many in all, (False, 48).

    Raises:
        ValueError: it is neither.
    """
    text = str(value)
    if not text.removeprefix("+").isdigit() or int(text) < 1:
        raise ValueError(f"{text!r} is neither +N (so many more) nor N (so many in all).")
    return text.startswith("+"), int(text)


def parse_limit(value: object) -> int:
    """`600M`, `4.2M`, `150k`, or a whole number from 1.

    Raises:
        ValueError: it is none.
    """
    try:
        count = amount(value)
    except ValueError as error:
        raise ValueError(f"{error}.") from None
    if not count or count < 1:
        raise ValueError(f"{value!r} leaves nothing that is legal.")
    return int(count)


def check_model_name(name: str | None) -> str | None:
    """A name that MLflow's registry takes, and that can be written NAME@ALIAS and NAME/VERSION.

    Raises:
        ValueError: it is none.
    """
    if name is not None and (not name.strip() or any(sign in name for sign in "/:@?")):
        raise ValueError(f"{name!r}: a model's name has none of / : @ ?")
    return name


def parsed(option: str, parse: Any, value: Any) -> Any:
    """What a function makes of an option's value; None of None.

    Raises:
        UserError: naming the option.
    """
    try:
        return None if value is None else parse(value)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{option}: {error}".rstrip("."), hint=f"leave {option} out for its default"
        ) from None


def one_of(option: str, value: str, legal: Sequence[str]) -> str:
    """The value, where it is among the legal ones.

    Raises:
        UserError: naming the nearest.
    """
    if value not in legal:
        near = nearest(str(value), legal)
        raise UserError(
            f"{option}: {value!r} is none of {', '.join(legal)}{near}", hint=f"{option}={legal[0]!r}"
        )
    return value


def at_least(least: int, **values: int | None) -> None:
    """Refuse what is no whole number, or one below the least.

    Raises:
        UserError: naming the option.
    """
    for option, value in values.items():
        if value is not None and (type(value) is not int or value < least):
            wrong = f"{option}: {value!r} is not legal; a whole number, {least} or more"
            raise UserError(wrong, hint=f"{option}={max(1, least)}")


def _share(option: str, value: float | None, *, none: bool) -> None:
    """Refuse what is no number of cores or GPUs; `none` of them may be legal."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or (not value and not none):
        wrong = f"{option}: {value!r} is not legal; {'0 or more' if none else 'more than 0'}"
        raise UserError(wrong, hint=f"{option}=0.5")


def texts(value: str | Iterable[str]) -> tuple[str, ...]:
    """One text or several."""
    return (value,) if isinstance(value, str) else tuple(value)


def run_settings(
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    max_concurrent: int | None = None,
    time_budget: object = None,
    *,
    address: str | None = None,
    quiet: bool = False,
    threads: int | None = None,
) -> RunSettings:
    """How much of which machines a sweep takes, and for how long.

    Raises:
        UserError: a number that is not legal.
    """
    from pcdarts_tune.sweeps.runner import RunSettings

    _share("cpus_per_trial", cpus_per_trial, none=False)
    _share("gpus_per_trial", gpus_per_trial, none=True)
    at_least(1, max_concurrent=max_concurrent, threads=threads)
    seconds = parsed("time_budget", parse_duration, time_budget)
    return RunSettings(address, cpus_per_trial, gpus_per_trial, max_concurrent, seconds, quiet, threads)


def execution_settings(
    precision: str | None = None, compile: bool | None = None, graphs: bool | None = None
) -> dict[str, Any]:
    """Those fields of `tasks.Execution` that are given.

    Raises:
        UserError: an unknown precision.
    """
    if precision is not None:
        one_of("precision", precision, NAMES_OF_PRECISIONS)
    values = {"precision": precision, "compile": compile, "graphs": graphs}
    return {name: value for name, value in values.items() if value is not None}


def worker_settings(
    device: str = "auto",
    workers: int | None = None,
    groups: int | None = None,
    address: str | None = None,
    *,
    threads: int | None = None,
) -> Workers:
    """Who trains.

    Raises:
        UserError: an unknown device, or a number that is not legal.
    """
    at_least(1, workers=workers, groups=groups, threads=threads)
    return Workers(workers, groups, address, one_of("device", device, DEVICES), threads=threads)


def goal_settings(
    method: str | None = None,
    repeats: int | None = None,
    sampler: str | None = None,
    objectives: Sequence[str] = (),
    max_params: object = None,
    max_macs: object = None,
) -> list[Setting]:
    """What is set of a space's aims, over its file and `--set`.

    Raises:
        UserError: more than one score.
    """
    flags = " ".join(f"--objective {name}" for name in objectives)
    scores = [name for name in objectives if name in AIMS]
    if len(set(scores)) > 1:
        raise UserError(
            f"{flags}: one of {', '.join(scores)}, since a trial has one score",
            hint="--objective params, macs and latency may stand beside it",
        )
    # in the list `accuracy` stands for the score, whichever it is
    listed = ["accuracy" if name in scores else name for name in objectives]
    limits = {"params": max_params, "macs": max_macs}
    given = [
        Setting("search.method", method, f"--method {method}"),
        Setting("repeats", repeats, f"--repeats {repeats}"),
        Setting("sampler", sampler, f"--sampler {sampler}"),
        Setting("objective", scores[0] if scores else None, flags),
        Setting("objectives", listed or None, flags),
        *(
            Setting(
                f"constraints.max_{name}", parsed(f"max_{name}", parse_limit, limit), f"--max-{name} {limit}"
            )
            for name, limit in limits.items()
        ),
    ]
    return [setting for setting in given if setting.value is not None]
