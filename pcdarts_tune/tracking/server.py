"""Start MLflow's server on a home's store, on loopback unless told otherwise, and say where to look.

The experiments page opens in another view unless its address says `workflowType=machine_learning`, and shows nested
runs collapsed unless a filter asks for the trials: so the addresses printed here say both.
"""

from __future__ import annotations

import errno
import ipaddress
import os
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
from pcdarts_tune.tracking.guarded import guarded, signals_end_the_block
from pcdarts_tune.tracking.moved import follow_home
from pcdarts_tune.tracking.registry import store_uri
from pcdarts_tune.tracking.store import OBJECTIVE, MlflowStore
from pcdarts_tune.tracking.tags import Tag
from pcdarts_tune.tracking.view import view_key, view_link, view_tag

HOST = "127.0.0.1"
_EVERYWHERE = ("0.0.0.0", "::")
STARTS_WITHIN = 90.0
"""Seconds that the server may take until it answers."""


def browse(where: Where, *, port: int, host: str = HOST, open_browser: bool) -> None:
    """Serve until Ctrl-C, or only print the addresses when the store is a running server.

    Raises:
        UserError: nothing recorded yet, or the port is taken.
        WorkFailed: the server does not come up.
    """
    uri = store_uri(where)
    if uri.startswith(("http://", "https://")):
        _announce(without_secret(uri).rstrip("/"), uri, open_browser)
        return
    follow_home(uri)
    say("starting MLflow...")
    warn_of_others(host)
    with serving(uri, where.home, port, host) as (address, server):
        _announce(address, uri, open_browser)
        say("Ctrl-C ends it.")
        server.wait()
        raise WorkFailed("MLflow's server ended by itself", hint="-v shows what it said")


def warn_of_others(host: str) -> None:
    """Say who else can change what is recorded, where the address is not this machine's own."""
    if not is_loopback(host):
        say(
            f"warning: --host {host}: everybody on the network who reaches this machine can read, change and delete all that "
            "is recorded; there is no password",
            always=True,
        )


@contextmanager
def serving(
    uri: str, home: Path, port: int, host: str = HOST
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """MLflow's server on a store, ready to answer: its address and the process that stands for it, which ends with the
    block, and with this process however that ends."""
    port = free_port(port, host)
    arguments = ["--artifacts-destination", artifact_root(home).as_uri()]
    arguments += ["--host", host, "--port", str(port), "--workers", "1"]
    if not is_loopback(host):
        arguments += ["--allowed-hosts", ",".join(_host_headers(host))]
    environment = {
        **os.environ,
        # not as an argument: the list of processes would show a password
        "MLFLOW_BACKEND_STORE_URI": engine_url(uri),
        # six processes for scheduled evaluations of language models
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", *arguments]
    with (
        tempfile.TemporaryFile() as log,
        signals_end_the_block(),
        guarded(command, log=log, environment=environment) as server,
    ):
        yield wait_for(server, f"http://{in_address(host)}:{port}", log), server


def in_address(host: str) -> str:
    """A host to listen on as this machine's browsers write it."""
    seen = HOST if host in _EVERYWHERE else host
    return f"[{seen}]" if ":" in seen else seen


def is_loopback(host: str) -> bool:
    """Whether it is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_headers(host: str) -> list[str]:
    """The names that browsers may have asked for, which MLflow compares with: those of this machine, and private networks."""
    names = {host, socket.gethostname(), socket.getfqdn(), "localhost", "127.0.0.1", "[::1]"} - set(
        _EVERYWHERE
    )
    names |= {"10.*", "192.168.*", *(f"172.{number}.*" for number in range(16, 32))}
    return sorted(names | {f"{name}:*" for name in names})


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
    if open_browser:
        open_in_browser(first)


def open_in_browser(address: str) -> None:
    """Open a page where there is a screen: on a bare terminal, Python would start a text browser in the way."""
    display = (
        sys.platform in ("darwin", "win32") or "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    )
    if display:
        webbrowser.open(address)


def wait_for(
    server: subprocess.Popen[bytes],
    address: str,
    log: IO[bytes],
    *,
    name: str = "MLflow's server",
    page: str = "/health",
) -> str:
    """The address, once the server answers there.

    Raises:
        WorkFailed: it ends, or does not answer in time; with what it said.
    """
    end = time.monotonic() + STARTS_WITHIN
    # loopback is never a proxy's business
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end and server.poll() is None:
        try:
            with direct.open(f"{address}{page}", timeout=5):
                return address
        except OSError:
            time.sleep(0.2)
    log.seek(0)
    said = log.read()[-2000:].decode(errors="replace").strip()
    raise WorkFailed(
        f"{name} did not come up at {address}; it said:\n{masked(said)}",
        hint="another --port, or pcdarts-tune doctor, which looks at the store",
    )


def free_port(port: int, host: str) -> int:
    """The port, or for 0 one that is free now.

    Raises:
        UserError: it is taken, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # a server that has just ended leaves its port in TIME_WAIT, which is free enough
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                message = f"--host {host} is no address of this machine: {error.strerror}"
                raise UserError(
                    message, hint=f"{HOST} for this machine alone, 0.0.0.0 for its network"
                ) from None
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
