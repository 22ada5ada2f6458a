"""optuna-dashboard on a sweep's study, for as long as this process lives. Run as a module, it is the server.

browse_study(where, "first", port=8080, host="127.0.0.1", open_browser=True)
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.util import find_spec

import click

from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import Where, sweep_names
from pcdarts_tune.say import say
from pcdarts_tune.sweeps.sweep import SweepHandle, open_sweep
from pcdarts_tune.tracking.guarded import guarded, signals_end_the_block
from pcdarts_tune.tracking.server import free_port, in_address, open_in_browser, wait_for, warn_of_others

_STORAGE = "PCDARTS_TUNE_DASHBOARD_STORAGE"
"""The environment variable with the study's URL: as an argument, the list of processes would show its password."""


def browse_study(where: Where, name: str, *, port: int, host: str, open_browser: bool) -> None:
    """Serve until Ctrl-C.

    Args:
        name: of the sweep; empty for the newest.

    Raises:
        UserError: no such sweep, optuna-dashboard is not installed, or the port is taken.
        WorkFailed: the server does not come up.
    """
    if find_spec("optuna_dashboard") is None:
        raise UserError(
            "ui --optuna needs the package optuna-dashboard",
            hint="uv sync --extra dashboard in the checkout; elsewhere pip install 'pcdarts-tune[dashboard]'",
        )
    sweep = open_sweep(where, name) if name else _newest(where)
    study, port = sweep.study.number, free_port(port, host)
    say(f"starting optuna-dashboard on the study of {sweep.name}...")
    warn_of_others(host)
    address, environment = f"http://{in_address(host)}:{port}", {**os.environ, _STORAGE: sweep.study_url}
    command = [sys.executable, "-m", "pcdarts_tune.sweeps.dashboard", host, str(port)]
    with (
        tempfile.TemporaryFile() as log,
        signals_end_the_block(),
        guarded(command, log=log, environment=environment) as server,
    ):
        wait_for(server, address, log, name="optuna-dashboard", page="/api/studies")
        page = f"{address}/dashboard/studies/{study}"
        click.echo(f"Optuna: {page}")
        if open_browser:
            open_in_browser(page)
        say("Ctrl-C ends it.")
        server.wait()
        raise WorkFailed("optuna-dashboard ended by itself", hint="run it again")


def _newest(where: Where) -> SweepHandle:
    """Raises UserError: there is none."""
    sweeps = [open_sweep(where, name) for name in sweep_names(where.home)]
    if not sweeps:
        hint = "pcdarts-tune sweep makes one; --home DIR is where to look"
        raise UserError(f"{where.home} holds no sweep", hint=hint)
    newest = max(sweeps, key=lambda sweep: str(sweep.about.get("created", "")))
    if len(sweeps) > 1:
        say(f"{len(sweeps)} sweeps are here: {newest.name} is the newest; --optuna SWEEP takes another")
    return newest


def _serve(host: str, port: int) -> None:
    from optuna_dashboard import run_server

    from pcdarts_tune.sweeps.study.storage import open_storage

    run_server(open_storage(os.environ[_STORAGE]), host=host, port=port)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
