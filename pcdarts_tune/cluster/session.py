"""Ray for the length of a block: started on this machine without output of its own, or joined at an address.

with ray_running(address=None, data_bytes=0):
    ...
"""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pcdarts_tune.cluster.processes import change_environment, end_new_children, list_children
from pcdarts_tune.cluster.resources import Cluster, read_cluster
from pcdarts_tune.errors import UserError
from pcdarts_tune.machine import WAITING, waiting_settings
from pcdarts_tune.say import say

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    # Ray's snapshots are never read again, and hold every trial there was
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # how soon Ray Train notices that its workers are done, or lost
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # workers take longer than its minute to start where a machine is busy, and would be started again and again
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
    # under `uv run` Ray would ship the working directory, images included, and build an environment anew for its workers
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
"""Environment variables that keep Ray's own output and side effects away; read when ray is imported and when it starts."""


@contextmanager
def ray_running(*, address: str | None, data_bytes: int = 0) -> Iterator[None]:
    """Ray for the length of the block; one that runs in this process already is used and left running.

    Args:
        address: `host:port` of a cluster, or `auto` for the one that runs on this machine; None starts one here.
        data_bytes: how much will be put into the object store.

    Raises:
        UserError: nothing answers at the address.
    """
    with _quiet_environment():
        import ray

        if ray.is_initialized():
            yield
            return
        if address is not None:
            require_ray(address)
        with _silence_daemon():
            _start(address, data_bytes)
            try:
                yield
            finally:
                ray.shutdown()


def look_up_cluster(address: str) -> Cluster:
    """The resources of a cluster; no code is sent there and no trial started.

    Raises:
        UserError: nothing answers at the address.
    """
    with _quiet_environment():
        import ray

        if ray.is_initialized():
            return read_cluster()
        require_ray(address)
        _join(address, {})
        try:
            return read_cluster()
        finally:
            ray.shutdown()


STARTS = 3
"""How often Ray may try to start on this machine."""
ENTERS_WITHIN = 120.0
"""Seconds that a cluster may take to let us in."""
SOCKET_BYTES = 107
"""The longest path of a socket on Linux."""
_BELOW = len("/ray/session_2026-11-29_10-25-40_123456_1234567/sockets/plasma_store")
"""Bytes of what Ray puts below the temporary folder."""


def temporary_folder() -> tuple[Path, int]:
    """Where Ray keeps its session unless it is told otherwise, and by how many bytes that path is too long for its sockets."""
    folder = Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or tempfile.gettempdir())
    return folder, max(0, len(os.fsencode(folder)) + _BELOW - SOCKET_BYTES)


def short_folder() -> Path | None:
    """Where Ray's session goes instead of a temporary folder whose path is too long; None where it is not.

    Raises:
        UserError: there is no other.
    """
    folder, excess = temporary_folder()
    if not excess:
        return None
    for other in (Path("/tmp"), Path("/var/tmp")):
        if os.access(other, os.W_OK | os.X_OK):
            return other
    raise UserError(
        f"the path of the temporary folder, {folder}, is {excess} bytes too long for Ray's sockets",
        hint=f"RAY_TMPDIR=DIR, with at most {SOCKET_BYTES - _BELOW} bytes",
    )


def _start(address: str | None, data_bytes: int) -> None:
    # one thread until the trial says how many it may use; one that waits leaves its core to the other trials
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **waiting_settings()}
    quiet: dict[str, Any] = {
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address is None:
        os.environ.update(threads)
        store = 150 * 2**20 + 2 * data_bytes
        if (folder := short_folder()) is not None:
            say(
                f"note: Ray keeps its files in {folder}/ray: the path of {temporary_folder()[0]} is too long for its sockets"
            )
            quiet["_temp_dir"] = str(folder / "ray")
        _start_here(object_store_memory=store, **quiet)
        return
    environment: dict[str, Any] = {"env_vars": {**QUIET, **threads}}
    if (package := _checkout()) is not None:
        environment["py_modules"] = [str(package)]
    _join(address, environment)


def _start_here(**options: Any) -> None:
    """Start Ray on this machine, again where it gave up: it waits 30 s for itself, which is too short on a busy machine.

    Raises:
        UserError: it gave up each time.
    """
    import ray

    for _ in range(STARTS):
        before = list_children()
        try:
            ray.init(address="local", **options)
            return
        except Exception as error:  # Ray raises just this class
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()
            end_new_children(before)
    load, cores = os.getloadavg()[0], os.cpu_count()
    raise UserError(
        f"Ray did not start within {STARTS} times 30 s (load {load:.0f} on {cores} cores)",
        hint="wait until the machine is less busy, and give the same command again",
    )


def _join(address: str, environment: dict[str, Any]) -> None:
    import ray

    _require_entry(address)
    try:
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_entry(address, str(error).strip().partition("\n")[0] or type(error).__name__) from None


_ENTER = "import logging, ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)"


@cache
def _require_entry(address: str) -> None:
    """See in a process of its own that the cluster lets us in: Ray's core may end the process that is refused, and writes many
    lines to its stderr before.

    Raises:
        UserError: it does not.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return  # a Ray job is in it
    command = [sys.executable, "-c", _ENTER, address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=ENTERS_WITHIN, check=False
        )
    except subprocess.TimeoutExpired:
        raise _no_entry(address, f"no answer in {ENTERS_WITHIN:.0f} s") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
        last = (errors or lines or [f"exit code {done.returncode}"])[-1]
        reason = re.sub(r"^\[[^\]]*\] \S+:\d+: ", "", last)[:200]  # time and place of a line of Ray's log
        if "AuthToken" in done.stderr:
            reason = "it wants a token, and the one of this machine is missing or another"
        raise _no_entry(address, reason)


def _no_entry(address: str, reason: str) -> UserError:
    return UserError(
        f"no Ray cluster could be joined at {address}: {reason}",
        hint="ray start --head there; versions of Python and Ray must be the same on all nodes; where the cluster wants "
        "a token: RAY_AUTH_MODE=token, and its ~/.ray/auth_token on this machine too",
    )


def _checkout() -> Path | None:
    """This package's folder where it is not installed, so that Ray sends it to the workers; else None."""
    package = Path(__file__).resolve().parent.parent
    return None if any(part in package.parts for part in ("site-packages", "dist-packages")) else package


def require_ray(address: str) -> None:
    """Raise at once where nothing listens at the address, since Ray itself would try for minutes.

    Raises:
        UserError: nothing does, or `address` is none.
    """
    if address == "auto":
        from ray._private import utils

        if not (os.environ.get("RAY_ADDRESS") or utils.read_ray_address()):
            raise UserError(
                "--address auto: no Ray runs on this machine",
                hint="ray start --head, or leave --address away: the sweep then starts Ray for itself",
            )
        return
    if address == "local" or address.startswith("ray://"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(
            f"--address {address!r} is not HOST:PORT", hint="--address auto for the cluster on this machine"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            pass
    except OSError as error:
        raise UserError(
            f"nothing answers at --address {address}: {error.strerror or error}",
            hint="ray start --head --port=6379 on that machine, or leave --address away to use this one",
        ) from None


@contextmanager
def _silence_daemon() -> Iterator[None]:
    """Keep what Ray's daemon reports of lost processes off stdout, which is for results: Ray prints it there in spite of
    `log_to_driver=False`, and writes it to its log files too."""
    from ray._private import worker

    before = getattr(worker, "print_to_stdstream", None)
    if before is not None:
        worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        if before is not None:
            worker.print_to_stdstream = before


@contextmanager
def _quiet_environment() -> Iterator[None]:
    """Ray with `QUIET`, and without what slows down the start of Python processes or leads workers astray."""
    removed = dict.fromkeys(("PYTHONDONTWRITEBYTECODE", "MLFLOW_RUN_ID"))
    # set inside the block, by `_start` and by Ray Tune
    changed = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", *WAITING, "TUNE_MAX_PENDING_TRIALS_PG")
    tune_log = logging.getLogger("ray.tune")
    level = tune_log.level
    tune_log.setLevel(logging.CRITICAL)
    try:
        with change_environment({**{name: os.environ.get(name) for name in changed}, **QUIET, **removed}):
            yield
    finally:
        tune_log.setLevel(level)
