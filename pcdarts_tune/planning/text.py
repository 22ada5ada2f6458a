"""A plan in words and tables, as `--plan` prints it without --json: `format_plan(plan)`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pcdarts_tune.say import format_bytes, format_seconds
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.values import label

MOST_ROWS = 12
"""How many proposals are listed at most."""
UNKNOWN = "?"


def format_plan(plan: Mapping[str, Any]) -> str:
    """All sections of a plan that `make_plan` returned, with an empty line between them."""
    first = (_format_head, _format_configuration, _format_networks, _format_memory)
    sections = [section(plan) for section in (*first, _format_proposals, _format_time)]
    texts = ["\n".join(lines) for lines in [*sections, (f"note: {note}" for note in plan["notes"])]]
    return "\n\n".join(filter(None, texts))


def _format_head(plan: Mapping[str, Any]) -> Iterator[str]:
    settings, share, data = plan["settings"], plan["resources"], plan["data"]
    repeats = plan["space"]["repeats"]
    each = f" of {repeats} searches each" if repeats > 1 else ""
    yield f"sweep {plan['sweep']}: {plan['trials']} trials{each}"
    for name in ("seed", "sampler", "data", "storage"):
        key = "data_root" if name == "data" else name
        if settings.get(key) is not None:
            origin = plan["settings_from"].get(name, "default")
            yield f"  {name} {settings[key]}" + (f"  ({origin})" if origin != "default" else "")
    profile = json.loads(data["profile"])
    size = "x".join(map(str, profile["image_size"]))
    yield (
        f"  images {data['name']}: {profile['train_images']} to train with, {profile['channels']}x{size}, "
        f"{profile['classes']} classes"
    )
    gpus = f" and {share['gpus']:g} GPU" if share["gpus"] else ""
    yield f"  {share['concurrent']} trials at a time on {share['machines']}, each with {share['cpus']:g} CPU{gpus}"


def _format_configuration(plan: Mapping[str, Any]) -> Iterator[str]:
    entries: Mapping[str, Any] = plan["configuration"]
    tuned = [key.removeprefix("tune.") for key in entries if key.startswith("tune.")]
    yield "configuration (what is not listed is the published default; --json lists all):"
    rows = [
        (f"  {key}", _format_value(one["value"]), one["from"])
        for key, one in entries.items()
        if one["from"] != "default" and not key.startswith("tune.") and key not in (*tuned, "description")
    ]
    yield from _align(rows)
    yield "tuned:" if tuned else "tuned: nothing"
    rows = []
    for name in tuned:
        item, first = entries[f"tune.{name}"], _format_value(entries[name]["value"])
        rows.append((f"  {name}", f"{item['value']}; starts at {first}", item["from"]))
    yield from _align(rows)


def _format_networks(plan: Mapping[str, Any]) -> Iterator[str]:
    found = plan["networks"]
    yield f"networks (derived ones with {found['genotype']}):"
    networks = {f"supernet {one['settings']}": one for one in found["supernets"]}
    networks |= {name: found[name] for name in ("evaluation", "retrain")}
    rows = [("", "parameters", "MACs")]
    for name, cost in networks.items():
        rows.append((f"  {name}", naming.short_count(cost["parameters"]), naming.short_count(cost["macs"])))
    yield from _align(rows, right=(1, 2))


def _format_memory(plan: Mapping[str, Any]) -> Iterator[str]:
    memory = plan["memory"]
    yield f"memory of a trial, which has {_format_size(memory['room_bytes'])} ({memory['room']}):"
    keys = naming.ordered_keys(memory["sizes"][0]["settings"])
    rows = [("", *map(naming.short_name, keys), "search", "evaluation", "fits", "")]
    for one in memory["sizes"]:
        values = [naming.short_value(one["settings"].get(key, "")) for key in keys]
        sizes = [_format_size(one[f"{stage}_bytes"]) for stage in ("search", "evaluation")]
        rows.append(("", *values, *sizes, _format_fits(one), one["basis"] or ""))
    yield from _align(rows, right=range(len(keys) + 4))


def _format_proposals(plan: Mapping[str, Any]) -> Iterator[str]:
    drawn, sampler = plan["first_proposals"], plan["settings"]["sampler"]
    keys = naming.ordered_keys({key: None for one in drawn for key in one["hyperparameters"]})
    yield "first proposals:"
    rows = [("  trial", *map(naming.short_name, keys), "memory", "fits", "search", "evaluation")]
    for one in drawn[:MOST_ROWS]:
        values = [naming.short_value(one["hyperparameters"].get(key, "")) for key in keys]
        times = [one[f"{stage}_seconds"] for stage in ("search", "evaluation")]
        shown = [UNKNOWN if seconds is None else format_seconds(seconds) for seconds in times]
        rows.append((str(one["number"]), *values, _format_size(one["bytes"]), _format_fits(one), *shown))
    yield from _align(rows, right=range(len(keys) + 5))
    if len(drawn) > MOST_ROWS:
        yield f"  and {len(drawn) - MOST_ROWS} more (--json)"
    if keys and sampler != "random":
        yield f"  {sampler} learns from trials that end, so later proposals will differ from those drawn now"


def _format_time(plan: Mapping[str, Any]) -> Iterator[str]:
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
    for network in measured["not_tried"]:
        yield f"  not measured: {network}"


def _format_fits(forecast: Mapping[str, Any]) -> str:
    return {None: UNKNOWN, True: "yes", False: "NO"}[forecast["fits"]]


def _format_size(count: float | None) -> str:
    return UNKNOWN if count is None else format_bytes(count)


def _format_value(value: Any) -> str:
    return f"[{', '.join(map(label, value))}]" if isinstance(value, (list, tuple)) else label(value)


def _align(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """The rows of a table with columns as wide as their widest cell; those in `right` are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{text:{'>' if at in right else '<'}{widths[at]}}" for at, text in enumerate(row)]
        yield "  ".join(cells).rstrip()
