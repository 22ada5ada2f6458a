"""Soaks: real sweeps whose parts are killed again and again, and the counts of what was lost or doubled by it.

    PYTHONPATH=tests python benchmarks/stores/soak.py driver --kills 20             # kill -9 of the driver, resumed each time
    PYTHONPATH=tests python benchmarks/stores/soak.py process --kills 10            # of the process that trains
    PYTHONPATH=tests python benchmarks/stores/soak.py node --kills 10               # of a node of a cluster

Each writes benchmarks/results/soak-….json and exits 1 where anything was lost, doubled or different. The test suite runs
short ones of the same code (tests/whole/test_soak_….py).
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from support.soaking.audit import summed
from support.soaking.record import write

RESULTS = Path(__file__).resolve().parents[1] / "results"


@click.group()
def cli() -> None:
    """Kill parts of real sweeps, resume, and count what was lost."""


def _run(name: str, folder: Path | None, output: Path | None, soak: Callable[[Path], dict[str, Any]]) -> None:
    begun = time.monotonic()
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="soak-") as made:
            result = soak(Path(made))
    else:
        result = soak(folder.absolute())
    command = "PYTHONPATH=tests python benchmarks/stores/soak.py " + " ".join(sys.argv[1:])
    result = {"command": command, "minutes": round((time.monotonic() - begun) / 60, 1), **result}
    path = output or RESULTS / f"soak-{name}.json"
    write(path, result)
    wrong = {key: n for key, n in result["counts"].items() if n}
    click.echo(
        f"{result['kills']} kills, {result['trials']} trials: {wrong or 'nothing lost, nothing doubled'}"
    )
    for text in result["differences"]:
        click.echo(text)
    click.echo(f"{path}")
    sys.exit(1 if wrong or result["differences"] else 0)


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--seed", default=0, show_default=True, help="Of the moments of the kills."),
        click.option(
            "--folder", type=click.Path(path_type=Path), help="For the homes; kept.  [default: temporary]"
        ),
        click.option("-o", "--output", type=click.Path(path_type=Path), help="The result's file."),
    ):
        function = option(function)
    return function


@cli.command()
@click.option("--kills", default=20, show_default=True)
@click.option("--sweeps", default=4, show_default=True, help="Among which the kills are shared.")
@click.option("--trials", default=4, show_default=True, help="Of each sweep.")
@_options
def driver(kills: int, sweeps: int, trials: int, seed: int, folder: Path | None, output: Path | None) -> None:
    """Kill -9 of the driver at random moments; each sweep is compared with one that nobody disturbed."""
    from support.soaking.kill_driver import soak_drivers

    _run(
        "driver",
        folder,
        output,
        lambda place: soak_drivers(place, kills=kills, sweeps=sweeps, trials=trials, seed=seed),
    )


@cli.command()
@click.option("--kills", default=10, show_default=True)
@click.option("--sweeps", default=2, show_default=True, help="Among which the kills are shared.")
@click.option("--trials", default=4, show_default=True, help="Of each sweep.")
@_options
def process(
    kills: int, sweeps: int, trials: int, seed: int, folder: Path | None, output: Path | None
) -> None:
    """Kill -9 of processes that train; last, one trial's process until the sweep gives the trial up."""
    from support.soaking.kill_process import soak_given_up, soak_processes

    def soak(place: Path) -> dict[str, Any]:
        result = soak_processes(place, kills=kills, sweeps=sweeps, trials=trials, seed=seed)
        given_up = soak_given_up(place)
        return {
            **result,
            "counts": summed([result["counts"], given_up["counts"]]),
            "given_up": given_up["reason"],
        }

    _run("process", folder, output, soak)


@cli.command()
@click.option("--kills", default=10, show_default=True)
@click.option("--sweeps", default=2, show_default=True, help="Among which the kills are shared.")
@click.option("--trials", default=4, show_default=True, help="Of each sweep.")
@_options
def node(kills: int, sweeps: int, trials: int, seed: int, folder: Path | None, output: Path | None) -> None:
    """Kill -9 of whole nodes of a cluster whose local folders differ."""
    from support.soaking.kill_node import soak_nodes

    _run(
        "node",
        folder,
        output,
        lambda place: soak_nodes(place, kills=kills, sweeps=sweeps, trials=trials, seed=seed),
    )


if __name__ == "__main__":
    cli()
