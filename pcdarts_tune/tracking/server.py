"""Start MLflow's server on a home's store, on loopback alone, and say where to look.

The experiments page opens in another view unless its address says `workflowType=machine_learning`, and shows nested
runs collapsed unless a filter asks for the trials: so the addresses printed here say both.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlencode

import click

from pcdarts_tune.addresses import engine_url, masked, without_secret
from pcdarts_tune.errors import UserError, WorkFailed
from pcdarts_tune.home import Where, artifact_root
from pcdarts_tune.say import say
from pcdarts_tune.tracking.registry import store_uri
from pcdarts_tune.tracking.store import OBJECTIVE, MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.tracking.view import view_key, view_link, view_tag

HOST = "127.0.0.1"
STARTS_WITHIN = 90.0
"""Seconds that the server may take until it answers."""


def browse(where: Where, *, port: int, open_browser: bool) -> None:
    """Serve until Ctrl-C, or only print the addresses when the store is a running server.

    Raises:
        UserError: nothing recorded yet, or the port is taken.
        WorkFailed: the server does not come up.
    """
    uri = store_uri(where)
    if uri.startswith(("http://", "https://")):
        _announce(without_secret(uri).rstrip("/"), uri, open_browser)
        return
    say("starting MLflow...")
    with serving(uri, where.home, port) as (address, server):
        _announce(address, uri, open_browser)
        say("Ctrl-C ends it.")
        server.wait()
        raise WorkFailed("MLflow's server ended by itself", hint="-v shows what it said")


@contextmanager
def serving(uri: str, home: Path, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """MLflow's server on a store, ready to answer: its address and its process, which ends with the block."""
    port = _free_port(port)
    arguments = ["--artifacts-destination", artifact_root(home).as_uri()]
    arguments += ["--host", HOST, "--port", str(port), "--workers", "1"]
    with tempfile.TemporaryFile() as log:
        # a session of its own: Ctrl-C reaches this process alone, which then ends the server and its workers
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # not as an argument: the list of processes would show a password
            env={**os.environ, "MLFLOW_BACKEND_STORE_URI": engine_url(uri)},
        )
        try:
            yield _wait(server, f"http://{HOST}:{port}", log), server
        finally:
            _end(server)


def _announce(address: str, uri: str, open_browser: bool) -> None:
    """Print the addresses of the experiments, of every sweep's trials (oldest first) and of the models."""
    first = f"{address}/#/experiments?workflowType=machine_learning"
    click.echo(f"MLflow: {first}")
    client = MlflowStore(uri).client
    experiments = {experiment.experiment_id: experiment.tags for experiment in client.search_experiments()}
    order = ["attributes.start_time ASC"]
    for run in client.search_runs(list(experiments), f"tags.`{Tag.KIND}` = 'sweep'", order_by=order):
        experiment, sweep = run.info.experiment_id, run.data.tags[Tag.SWEEP]
        key = view_key(sweep, run.data.tags.get(Tag.SWEEP_ID, ""))
        if view_tag(key) not in experiments[experiment]:  # of sweeps that an older version made
            first = trials_link(address, experiment, sweep)
            click.echo(f"Trials of {sweep}: {first}")
            continue
        first = view_link(address, experiment, key, charts=True)
        click.echo(f"Trials of {sweep}: {view_link(address, experiment, key, charts=False)}")
        click.echo(f"  as charts: {first}")
    click.echo(f"Models: {address}/#/models?workflowType=machine_learning")
    # on a bare terminal, Python would start a text browser in the way
    display = (
        sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    )
    if open_browser and display:
        webbrowser.open(first)


def _wait(server: subprocess.Popen[bytes], address: str, log: IO[bytes]) -> str:
    """The address, once the server answers there."""
    end = time.monotonic() + STARTS_WITHIN
    # loopback is never a proxy's business
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end and server.poll() is None:
        try:
            with direct.open(f"{address}/health", timeout=5):
                return address
        except OSError:
            time.sleep(0.2)
    log.seek(0)
    said = log.read()[-2000:].decode(errors="replace").strip()
    raise WorkFailed(
        f"MLflow's server did not come up at {address}; it said:\n{masked(said)}",
        hint="another --port, or pcdarts-tune doctor, which looks at the store",
    )


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server and the workers it started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
        except ProcessLookupError:
            break
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            continue
    server.wait()


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        # a server that has just ended leaves its port in TIME_WAIT, which is free enough
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} is not free here: {error.strerror}",
                hint=f"--port {port + 1}, or --port 0 for a free one",
            ) from None
        free: int = probe.getsockname()[1]
        return free


def trials_link(address: str, experiment_id: str, sweep: str) -> str:
    """The page that shows a sweep's trials side by side, best first: flat, as charts."""
    query = {
        "workflowType": "machine_learning",
        "searchFilter": f"tags.\"{Tag.SWEEP}\"='{sweep}' and tags.\"{Tag.KIND}\"='trial'",
        "orderByKey": f"metrics.`{OBJECTIVE}`",
        "orderByAsc": "false",
        "compareRunsMode": "CHART",
    }
    return f"{address}/#/experiments/{experiment_id}/runs?{urlencode(query, quote_via=quote, safe='')}"
