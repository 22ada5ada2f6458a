"""A table for a paper: mean, standard deviation and count of a number, by settings in rows and columns.

    table = make_table(read_sources(["ablation"], where, ["accuracy"]), rows=["K"], columns=["edge_normalization"])
    table.cells[(4,), (True,), "accuracy"]          # Spread((0.971, 0.968))
    write_table(table, Path("ablation.tex"), "")    # see table_text.py

Each search of a trial counts, and each training of a genotype.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pcdarts_tune.errors import UserError, nearest
from pcdarts_tune.files import user_path
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.reporting.readings import (
    OF_TRAININGS,
    OF_TRIALS,
    Reading,
    read_promotions,
    read_trainings,
    read_trials,
)
from pcdarts_tune.spaces.keys import leaves
from pcdarts_tune.spaces.naming import SHORT_NAMES, ordered_keys, short_name
from pcdarts_tune.spaces.scores import score_title
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.spread import Spread
from pcdarts_tune.sweeps.comparison import differing_evaluations
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tasks import TrialRecord

NAMES = ("sweep", "genotype", "trial")
"""What can stand in rows and columns beside settings."""
VALUES = tuple(dict.fromkeys((*OF_TRIALS, *OF_TRAININGS)))
COMPARED = ("accuracy", "test_accuracy", "held_out_accuracy")
"""Numbers that say nothing together unless they were measured alike."""
MOST_ROWS, MOST_COLUMNS = 60, 24
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Sources:
    """What is tabulated.

    Attributes:
        keys: the settings that differ between trials.
        values: what is asked for, see `VALUES`.
        titles: what they are called.
        notes: what was left out.
        differences: for two recipes why their accuracies cannot be pooled.
    """

    readings: Sequence[Reading]
    keys: Sequence[str]
    values: Sequence[str]
    titles: Mapping[str, str]
    notes: tuple[str, ...] = ()
    differences: Mapping[frozenset[str], str] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether they are of several sweeps or folders."""
        return len({reading.names["sweep"] for reading in self.readings}) > 1


@dataclass(frozen=True)
class Table:
    """Rows and columns are keys of settings or of `NAMES`; each cell has the numbers at its row, column and value."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_values: Sequence[Key]
    column_values: Sequence[Key]
    values: Sequence[str]
    titles: Mapping[str, str]
    cells: Mapping[tuple[Key, Key, str], Spread]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """What `table --json` prints."""
        return {
            "rows": list(self.rows),
            "columns": list(self.columns),
            "values": list(self.values),
            "cells": [
                {
                    "row": dict(zip(self.rows, row, strict=True)),
                    "column": dict(zip(self.columns, column, strict=True)),
                    "value": value,
                    **spread.to_dict(),
                }
                for (row, column, value), spread in self.cells.items()
            ],
            "notes": list(self.notes),
        }


def read_sources(words: Sequence[str], where: Where, values: Sequence[str]) -> Sources:
    """All numbers of sweeps, and of folders with models.

    Args:
        values: of `VALUES`; none for the score of trials, or the test accuracy of trainings.

    Raises:
        UserError: a word names no sweep and no such folder, or they have no such number.
    """
    folders = {word: user_path(word) for word in words if word not in sweep_names(where.home)}
    folders = {word: path for word, path in folders.items() if path.is_dir()}
    sweeps = [open_sweep(where, word) for word in words if word not in folders]
    if len(set(words)) < len(words):
        raise UserError("a sweep or folder is named twice", hint="name each once")
    wanted = tuple(values) or (("test_accuracy",) if folders else ("accuracy",))
    trained = bool(folders) or any(value not in OF_TRIALS for value in wanted)
    readings: list[Reading] = []
    notes: list[str] = []
    recipes = _recipes(sweeps)
    for sweep in sweeps:
        if trained:
            readings += read_promotions(sweep)
            continue
        records = sweep.records()
        readings += read_trials(sweep, records, recipes[sweep.name])
        notes += _left_out(sweep.name, records)
    for word, path in folders.items():
        readings += read_trainings(word, path)
    for value in wanted:
        if not any(value in reading.values for reading in readings):
            of = ", ".join(words)
            kind = "training of a genotype" if trained else "complete trial"
            known = sorted({name for reading in readings for name in reading.values})
            there = f"; there are {', '.join(known)}" if known else ""
            raise UserError(f"{of}: no {kind} has {value}{there}", hint=_hint(trained, sweeps))
    keys = ordered_keys({key for sweep in sweeps for key in sweep.keys})
    objectives = {sweep.space.objective for sweep in sweeps}
    titles = {value: value.replace("_", " ") for value in wanted}
    if len(objectives) == 1:
        titles = {v: score_title(*objectives) if v == "accuracy" else title for v, title in titles.items()}
    return Sources(readings, keys, wanted, titles, tuple(notes), _differences(sweeps, recipes))


def _hint(trained: bool, sweeps: Sequence[SweepHandle]) -> str:
    if trained:
        name = sweeps[0].name if sweeps else "SWEEP"
        return (
            f"pcdarts-tune promote {name} --candidates 3 --seeds 3, or retrain GENOTYPE --seeds 3 -o FOLDER"
        )
    return "pcdarts-tune leaderboard SWEEP lists the trials; a folder with models of `retrain --seeds` can be named too"


def _recipes(sweeps: Sequence[SweepHandle]) -> dict[str, str]:
    """Sweep -> the first sweep in which cells score alike."""
    found: dict[str, str] = {}
    for sweep in sweeps:
        alike = (first for first in sweeps if first is sweep or not differing_evaluations(first, sweep))
        found[sweep.name] = next(alike).name
    return found


def _differences(sweeps: Sequence[SweepHandle], recipes: Mapping[str, str]) -> dict[frozenset[str], str]:
    firsts = [sweep for sweep in sweeps if recipes[sweep.name] == sweep.name]
    return {
        frozenset((a.name, b.name)): "; ".join(differing_evaluations(a, b))
        for place, a in enumerate(firsts)
        for b in firsts[place + 1 :]
    }


def _left_out(name: str, records: Sequence[TrialRecord]) -> list[str]:
    states = Counter(record.state for record in records if record.objective is None)
    said = ", ".join(f"{count} {state}" for state, count in states.items())
    return [f"{name}: trials without a score are left out ({said})"] if said else []


def make_table(sources: Sources, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> Table:
    """Order the numbers by settings.

    Args:
        rows, columns: settings (keys, their last parts, or short names such as K) or `NAMES`. Neither: the first and the second
            setting that differ between trials; of several sweeps the sweeps; of trainings the genotypes.

    Raises:
        UserError: an unknown or ambiguous name, too many rows or columns, or a cell that would hold what cannot be compared.
    """
    readings = sources.readings
    named_rows = tuple(resolve_name(name, sources.keys) for name in rows)
    named_columns = tuple(resolve_name(name, sources.keys) for name in columns)
    if not named_rows and not named_columns:
        named_rows, named_columns = _usual(sources)
    if twice := set(named_rows) & set(named_columns):
        raise UserError(
            f"{', '.join(sorted(twice))} is in rows and columns", hint="name another for one of them"
        )
    numbers: dict[tuple[Key, Key, str], list[float]] = {}
    recipes: dict[tuple[Key, Key, str], str] = {}
    for reading in readings:
        row, column = _values(reading, named_rows), _values(reading, named_columns)
        for value in sources.values:
            if value in reading.values:
                cell = (row, column, value)
                numbers.setdefault(cell, []).append(reading.values[value])
                if value in COMPARED and recipes.setdefault(cell, reading.recipe) != reading.recipe:
                    _refuse(sources, recipes[cell], reading.recipe)
    row_values = _ordered([cell[0] for cell in numbers], named_rows)
    column_values = _ordered([cell[1] for cell in numbers], named_columns)
    for name, found, most in (("rows", row_values, MOST_ROWS), ("columns", column_values, MOST_COLUMNS)):
        if len(found) > most:
            raise UserError(
                f"{len(found)} {name}, more than {most}",
                hint=f"--{name} with settings of few values; {', '.join(sources.keys) or 'none'} differ between trials",
            )
    cells = {
        cell: Spread(tuple(numbers[cell]))
        for row in row_values
        for column in column_values
        for value in sources.values
        if (cell := (row, column, value)) in numbers
    }
    notes = (*sources.notes, *_notes(sources, (*named_rows, *named_columns), cells))
    return Table(
        named_rows, named_columns, row_values, column_values, sources.values, sources.titles, cells, notes
    )


def resolve_name(text: str, tuned: Sequence[str]) -> str:
    """The key of a setting that `text` names, or a name of `NAMES`. Of settings that end alike a tuned one is meant.

    Raises:
        UserError: naming those that it may mean, or what comes near.
    """
    known = list(leaves(Space))
    if text in NAMES or text in known:
        return text
    found = [key for key in known if short_name(key) == text or key.rpartition(".")[2] == text]
    found = [key for key in found if key in tuned] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{text!r} may mean {', '.join(found)}", hint="name the whole key")
    words = [*NAMES, *known, *SHORT_NAMES.values(), *(key.rpartition(".")[2] for key in known)]
    raise UserError(
        f"{text!r} is no setting{nearest(text, words)}",
        hint=f"a setting of a space, {', '.join(NAMES)}; here differ {', '.join(tuned) or 'none'}",
    )


def _usual(sources: Sources) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if sources.several:
        return ("sweep",), ()
    if any(value in OF_TRAININGS and value not in OF_TRIALS for value in sources.values) or not sources.keys:
        return ("genotype",), ()
    return (sources.keys[0],), tuple(sources.keys[1:2])


def _values(reading: Reading, names: Sequence[str]) -> Key:
    def value(name: str) -> Any:
        if name in NAMES:
            return reading.names[name]
        try:
            return reading.setting(name)
        except (KeyError, TypeError):
            return None  # of an older version that had no such setting

    return tuple(value(name) for name in names)


def _ordered(found: Sequence[Key], names: Sequence[str]) -> list[Key]:
    """Each once: settings by value, sweeps and genotypes as they come."""
    come = [list(dict.fromkeys(key[place] for key in found)) for place in range(len(names))]

    def order(key: Key) -> list[tuple[Any, ...]]:
        return [
            (seen.index(part),) if name in NAMES else (part is None, isinstance(part, str), part or 0)
            for name, part, seen in zip(names, key, come, strict=True)
        ]

    return sorted(dict.fromkeys(found), key=order)


def _refuse(sources: Sources, one: str, other: str) -> None:
    why = sources.differences.get(frozenset((one, other)))
    if why is None:
        raise UserError(
            "a cell would hold trainings with different recipes or images",
            hint="put what differs into rows or columns, such as --columns retrain.epochs or --columns sweep",
        )
    raise UserError(
        f"a cell would hold scores that cannot be compared: {why}",
        hint="--rows sweep or --columns sweep keeps them apart, or make a table of each alone",
    )


def _notes(sources: Sources, shown: Sequence[str], cells: Mapping[Any, Spread]) -> list[str]:
    pooled = []
    for key in sources.keys:
        groups: dict[Key, set[str]] = {}
        for reading in sources.readings:
            groups.setdefault(_values(reading, shown), set()).add(str(_values(reading, (key,))[0]))
        if key not in shown and any(len(group) > 1 for group in groups.values()):
            pooled.append(key)
    notes = [f"within cells differ {', '.join(pooled)}: the means are over these too"] if pooled else []
    counts = {spread.n for spread in cells.values()}
    if len(counts) > 1:
        notes.append(f"cells have {min(counts)} to {max(counts)} values")
    recipes = {reading.recipe for reading in sources.readings}
    if len(recipes) > 1 and any(value in COMPARED for value in sources.values):
        notes.append("cells were scored by different recipes or on different images")
    return notes
