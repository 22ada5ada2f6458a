"""A plan in words and tables, for a person.

click.echo(as_text(plan))
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pcdarts_tune.say import format_seconds
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.values import label

MOST_ROWS = 12


def as_text(plan: Mapping[str, Any]) -> str:
    """What `--plan` prints without --json."""
    sections = (_head, _configuration, _networks, _memory, _proposals, _time, _notes)
    return "\n\n".join(text for section in sections if (text := "\n".join(section(plan))))


def _head(plan: Mapping[str, Any]) -> Iterator[str]:
    settings, share = plan["settings"], plan["resources"]
    origin = plan["settings_from"]
    yield f"sweep {plan['sweep']}: {plan['trials']} trials"
    for key, name in (
        ("seed", "seed"),
        ("sampler", "sampler"),
        ("data_root", "data"),
        ("storage", "storage"),
    ):
        if settings.get(key) is not None:
            yield f"  {name} {settings[key]}{_from(origin.get(name))}"
    data = plan["data"]
    profile = json.loads(data["profile"])
    size = "x".join(map(str, profile["image_size"]))
    yield (
        f"  images {data['name']}: {profile['train_images']} to train with, {profile['channels']}x{size}, "
        f"{profile['classes']} classes"
    )
    gpus = f" and {share['gpus']:g} GPU" if share["gpus"] else ""
    yield f"  {share['concurrent']} trials at a time on {share['machines']}, each with {share['cpus']:g} CPU{gpus}"


def _configuration(plan: Mapping[str, Any]) -> Iterator[str]:
    entries: Mapping[str, Any] = plan["configuration"]
    said = {key: one for key, one in entries.items() if one["from"] != "default"}
    tuned = {key: one for key, one in entries.items() if key.startswith("tune.")}
    yield "configuration (what is not listed is the published default; --json lists all):"
    rows = [
        (f"  {key}", _value(one["value"]), one["from"])
        for key, one in said.items()
        if key not in tuned and f"tune.{key}" not in tuned and key != "description"
    ]
    yield from _aligned(rows)
    yield "tuned:" if tuned else "tuned: nothing"
    rows = []
    for key, one in tuned.items():
        name = key.removeprefix("tune.")
        rows.append((f"  {name}", f"{one['value']}; starts at {_value(entries[name]['value'])}", one["from"]))
    yield from _aligned(rows)


def _networks(plan: Mapping[str, Any]) -> Iterator[str]:
    found = plan["networks"]
    yield f"networks (derived ones with {found['genotype']}):"
    rows = [("", "parameters", "MACs")]
    rows += [(f"  supernet {one['settings']}", *_cost(one)) for one in found["supernets"]]
    rows += [(f"  {name}", *_cost(found[name])) for name in ("evaluation", "retrain")]
    yield from _aligned(rows, right=(1, 2))


def _memory(plan: Mapping[str, Any]) -> Iterator[str]:
    memory = plan["memory"]
    yield f"memory of a trial, which has {_size(memory['room_bytes'])} ({memory['room']}):"
    keys = naming.ordered_keys(memory["sizes"][0]["settings"])
    rows = [("", *map(naming.short_name, keys), "search", "evaluation", "fits", "")]
    for one in memory["sizes"]:
        values = [naming.short_value(one["settings"][key]) if key in one["settings"] else "" for key in keys]
        rows.append(("", *values, *_bytes(one)))
    yield from _aligned(rows, right=range(len(keys) + 4))


def _proposals(plan: Mapping[str, Any]) -> Iterator[str]:
    drawn = plan["first_proposals"]
    keys = naming.ordered_keys({key: None for one in drawn for key in one["hyperparameters"]})
    yield "first proposals:"
    rows = [("  trial", *map(naming.short_name, keys), "memory", "fits", "search", "evaluation")]
    for one in drawn[:MOST_ROWS]:
        values = [naming.short_value(one["hyperparameters"].get(key, "")) for key in keys]
        memory, fits = _size(one["bytes"]), _fits(one)
        rows.append(
            (
                str(one["number"]),
                *values,
                memory,
                fits,
                _seconds(one["search_seconds"]),
                _seconds(one["evaluation_seconds"]),
            )
        )
    yield from _aligned(rows, right=range(len(keys) + 5))
    if len(drawn) > MOST_ROWS:
        yield f"  and {len(drawn) - MOST_ROWS} more (--json)"
    if plan["settings"]["sampler"] != "random":
        yield f"  {plan['settings']['sampler']} learns from trials that end, so later proposals will differ from those drawn now"


def _time(plan: Mapping[str, Any]) -> Iterator[str]:
    time, measured = plan["time"], plan["measured"]
    threads = measured["threads"]
    where = f"on {measured['device']} with {threads} thread{'' if threads == 1 else 's'}"
    basis = f"real steps {where}, {measured['seconds']:.0f} s of measuring (limit {measured['limit']:.0f} s)"
    if time is None:
        yield f"time: not known ({basis})"
    else:
        trial = time["trial_seconds"]
        yield (
            f"time: about {format_seconds(3600 * time['hours'])} in all, {time['gpu_hours']:.2f} GPU-hours, "
            f"{time['cpu_hours']:.2f} CPU-hours; a trial {format_seconds(trial['min'])} to {format_seconds(trial['max'])}"
        )
        if time["evaluation_share"] < 1:
            yield f"  halving ends evaluations early: {time['evaluation_share']:.0%} of their epochs are counted"
        if time["done_in_time_budget"] is not None:
            yield f"  {time['done_in_time_budget']} of {plan['trials']} trials end within --time-budget"
        yield f"  seconds a step times steps: {basis}, one network at a time;"
        yield "  starting Ray and each trial, writing checkpoints, and trials that slow each other come on top"
    for left_out in measured["not_tried"]:
        yield f"  not measured: {left_out}"


def _notes(plan: Mapping[str, Any]) -> Iterator[str]:
    for note in plan["notes"]:
        yield f"note: {note}"


def _bytes(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return (
        _size(one["search_bytes"]),
        _size(one["evaluation_bytes"]),
        _fits(one),
        one["basis"] or "",
    )


def _fits(one: Mapping[str, Any]) -> str:
    return {None: "?", True: "yes", False: "NO"}[one["fits"]]


def _size(count: float | None) -> str:
    if count is None:
        return "?"
    return f"{count / 1e6:.0f} MB" if abs(count) < 1e9 else f"{count / 1e9:.1f} GB"


def _seconds(count: float | None) -> str:
    return "?" if count is None else format_seconds(count)


def _cost(one: Mapping[str, Any]) -> tuple[str, str]:
    return naming.short_count(one["parameters"]), naming.short_count(one["macs"])


def _value(value: Any) -> str:
    return f"[{', '.join(map(label, value))}]" if isinstance(value, (list, tuple)) else label(value)


def _from(origin: str | None) -> str:
    return "" if origin in (None, "default") else f"  ({origin})"


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Rows of a table, columns as wide as their widest entry."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
