"""`pcdarts-tune ui`: MLflow's pages on what the sweeps recorded."""

from __future__ import annotations

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where


@click.command("ui")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    show_default="5000; with --optuna 8080",
    help="Port on this machine; 0 takes a free one.",
)
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another than this machine's own lets everybody on the network read and change all.",
)
@click.option(
    "--optuna",
    is_flag=False,
    flag_value="",
    metavar="[SWEEP]",
    shell_complete=completing.sweeps,
    help="Start optuna-dashboard on the study of SWEEP instead, of the newest where none is named.",
)
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
@options.sweep_store
@options.verbosity
def command(port: int | None, host: str, optuna: str | None, no_browser: bool, where: Where) -> None:
    """Start MLflow on this home's store, for this machine alone unless --host says otherwise, and print where to look.
    Ctrl-C ends it, and so does whatever ends this command.

    With --tracking-uri of a running server, only print (and open) its addresses.

    With --optuna (uv sync --extra dashboard), Optuna's own pages on the study of one sweep: its history, importances and
    trials. What is changed there is changed in the sweep.

    \b
    Example:
      pcdarts-tune ui
      pcdarts-tune ui --optuna first
      pcdarts-tune ui --home /data/pcdarts-home --port 0 --no-browser
    """
    if optuna is not None:
        from pcdarts_tune.sweeps.dashboard import browse_study

        port = 8080 if port is None else port
        browse_study(where, optuna, port=port, host=host, open_browser=not no_browser)
        return
    from pcdarts_tune.tracking.server import browse

    browse(where, port=5000 if port is None else port, host=host, open_browser=not no_browser)
