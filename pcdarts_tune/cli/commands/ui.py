"""`pcdarts-tune ui`: MLflow's pages on what the sweeps recorded."""

from __future__ import annotations

import click

from pcdarts_tune.cli import options
from pcdarts_tune.home import Where


@click.command("ui")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="Port on this machine; 0 takes a free one.",
)
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; another than this machine's own lets everybody on the network read and change all.",
)
@click.option("--no-browser", is_flag=True, help="Print the address, open nothing.")
@options.store
@options.verbosity
def command(port: int, host: str, no_browser: bool, where: Where) -> None:
    """Start MLflow on this home's store, for this machine alone unless --host says otherwise, and print where to look.
    Ctrl-C ends it, and so does whatever ends this command.

    With --tracking-uri of a running server, only print (and open) its addresses.

    \b
    Example:
      pcdarts-tune ui
      pcdarts-tune ui --home /data/pcdarts-home --port 0 --no-browser
    """
    from pcdarts_tune.tracking.server import browse

    browse(where, port=port, host=host, open_browser=not no_browser)
