"""`pcdarts-tune table`: mean, deviation and count by settings, for a paper."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where
from pcdarts_tune.say import print_table, say

VALUES = ("accuracy", "params", "macs", "cpu_hours", "gpu_hours", "test_accuracy", "held_out_accuracy")


@click.command("table")
@click.argument(
    "sweeps", metavar="SWEEP|FOLDER...", nargs=-1, required=True, shell_complete=completing.sweeps
)
@click.option(
    "--rows", metavar="KEY", multiple=True, help="A setting, or sweep, genotype or trial; may be given again."
)
@click.option("--columns", metavar="KEY", multiple=True, help="The same for the columns.")
@click.option(
    "--value",
    "values",
    type=options.NearestChoice(VALUES),
    multiple=True,
    help="What is tabulated; may be given again.  [default: accuracy; of folders test_accuracy]",
)
@options.output_file("Write the table: .tex (LaTeX with booktabs), .md or .csv.")
@options.home
@options.output
def command(
    sweeps: tuple[str, ...],
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    values: tuple[str, ...],
    output: Path | None,
    where: Where,
    as_json: bool,
) -> None:
    """Mean, standard deviation and number of trials by settings, for a paper.

    Of SWEEP: each search of the complete trials is one number. `accuracy` is the score that the space aims at; params and
    MACs are those of the retraining network; hours are those of a search with its evaluation. With test_accuracy or
    held_out_accuracy: each training of the sweep's promotions. FOLDER holds models, as `retrain --seeds -o FOLDER` leaves
    them.

    KEY is a setting (supernet.k, its last part, or its short name, K) or `sweep`, `genotype`, `trial`. Without --rows and
    --columns: the first two settings that differ between trials; of several sweeps the sweeps; of trainings the genotypes.

    What cannot be compared (other images or another recipe) is not put into one cell. Where settings differ within a cell,
    where cells have unequal numbers, and what was left out, is said.

    With --json, one object: {"rows", "columns", "values", "cells": [{"row", "column", "value", "mean", "std", "interval", "n",
    "values"}], "notes"}.

    \b
    Example:
      pcdarts-tune table ablation -o ablation.tex
      pcdarts-tune table ablation --rows K --columns edge_normalization --value accuracy --value params
      pcdarts-tune table tuned random --rows sweep -o methods.md
      pcdarts-tune table cells --value test_accuracy --value params -o main.tex
    """
    from pcdarts_tune.reporting.table import make_table, read_sources
    from pcdarts_tune.reporting.table_text import text_cells, write_table

    made = make_table(read_sources(sweeps, where, values), rows, columns)
    if output is not None:
        given = {"--rows": rows, "--columns": columns, "--value": values}
        chosen = [word for flag, words in given.items() for value in words for word in (flag, value)]
        write_table(made, output, shlex.join(["pcdarts-tune", "table", *sweeps, *chosen, "-o", output.name]))
        say(f"wrote {output}")
    if as_json:
        click.echo(json.dumps(made.to_dict()))
    elif output is None:
        head, lines = text_cells(made)
        print_table(head, lines, left=len(made.rows))
    for note in made.notes:
        say(f"note: {note}")
