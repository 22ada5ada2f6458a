"""A sweep as a notebook shows it: how far it is, its first trials, the cells of its best."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from pcdarts_tune.api.board import read_board
from pcdarts_tune.core.genotype import read_genotype
from pcdarts_tune.drawing.cells import cell_svg
from pcdarts_tune.sweeps.leaderboard import leaderboard_columns, score_notes
from pcdarts_tune.sweeps.sweep import SweepHandle, counts

SHOWN = 10
"""Trials that are shown."""


def sweep_html(sweep: SweepHandle) -> str:
    """The sweep as HTML without scripts or styles of its own."""
    board, _ = read_board(sweep)
    records = [standing.record for standing in board]
    states = ", ".join(f"{number} {state}" for state, number in counts(records).items()) or "no trials"
    head = f"<b>{html.escape(sweep.name)}</b>, space {html.escape(sweep.space.name)}: {states}"
    columns = leaderboard_columns(board[:SHOWN], sweep.keys, sweep.space.objective)
    more = f"<p>and {len(board) - SHOWN} more</p>" if len(board) > SHOWN else ""
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in score_notes(records, sweep.space.objective))
    best = records[0].genotype if records and records[0].objective is not None else None
    cells = "" if best is None else f"<div>{cell_svg(read_genotype(best))}</div>"
    return f"<p>{head}</p>{_table(columns) if board else ''}{more}{notes}{cells}"


def _table(columns: Mapping[str, Sequence[str]]) -> str:
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in columns)
    rows = zip(*columns.values(), strict=True)
    cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"
