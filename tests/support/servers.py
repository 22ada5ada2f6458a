"""Real servers on loopback, for tests and benchmarks: PostgreSQL from Debian's packages, MLflow's own.

with postgresql() as database, mlflow_server(database.url("mlflow"), artifacts) as server:
    server.stop(); server.start()           # the same port
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
STARTS_WITHIN = 120.0


def missing_postgresql() -> str | None:
    """Why PostgreSQL cannot be started here, or None."""
    if _programs() is None:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'pcdarts-tune[postgres]')"
    return None


class PostgreSQL:
    """A cluster of its own in a temporary folder, run as a user without rights."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        programs = _programs()
        assert programs is not None, missing_postgresql()
        self.folder, self.port, self.password, self._programs = folder, port, password, programs
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root
        self._user = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        if self._user:
            shutil.chown(folder, "postgres", "postgres")

    def initialize(self) -> None:
        """Make the cluster, with a password for its user."""
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        command = [str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres"]
        command += ["-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._user)

    def start(self) -> None:
        """Run it, and wait until it answers."""
        import psycopg

        options = {"listen_addresses": HOST, "unix_socket_directories": "", "fsync": "off"}
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._user)
        end = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                psycopg.connect(self._plain("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def stop(self, sign: int = signal.SIGINT) -> None:
        """End it: at once by default, cutting every connection."""
        if self._process is not None:
            self._process.send_signal(sign)
            self._process.wait(timeout=60)
            self._process = None

    def create(self, database: str) -> str:
        """A new database; its address."""
        import psycopg

        with psycopg.connect(self._plain("postgres"), autocommit=True) as connection:
            connection.execute(f'create database "{database}"')
        return self.url(database)

    def url(self, database: str, *, password: bool = True) -> str:
        """The address of a database, as pcdarts-tune takes it."""
        secret = f":{self.password}" if password else ""
        return f"postgresql://postgres{secret}@{HOST}:{self.port}/{database}"

    def _plain(self, database: str) -> str:
        return self.url(database)


@contextmanager
def postgresql(password: str = "not-to-be-seen") -> Iterator[PostgreSQL]:
    """A PostgreSQL that runs for the length of the block."""
    folder = Path(tempfile.mkdtemp(prefix="pcdarts-pg-"))
    try:
        folder.chmod(0o755)
        database = PostgreSQL(folder, free_port(), password)
        database.initialize()
        database.start()
        try:
            yield database
        finally:
            database.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class MlflowServer:
    """MLflow's server, to be stopped and started on one port.

    Args:
        store: of its records. `artifacts`: where its files go.
    """

    def __init__(self, store: str, artifacts: Path, port: int, log: Path) -> None:
        self.store, self.artifacts, self.port, self.log = store, artifacts, port, log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self, wait: bool = True) -> None:
        """Run it, and wait until it answers."""
        from pcdarts_tune.addresses import engine_url

        # by the environment: an address on the command line would show its password to everybody
        environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": engine_url(self.store)}
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port)]
        command += ["--artifacts-destination", self.artifacts.as_uri(), "--workers", "1"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=environment
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until it answers."""
        assert self._process is not None
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                with direct.open(f"{self.url}/health", timeout=5):
                    return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(self.log.read_text()[-2000:]) from None
                time.sleep(0.1)

    def signal(self, sign: int) -> None:
        """To the server and its workers; SIGSTOP makes it one that takes connections and never answers."""
        if self._process is not None:
            os.killpg(self._process.pid, sign)

    def stop(self) -> None:
        """End it and its workers at once, whatever they are at."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait(timeout=60)
            self._process = None


@contextmanager
def mlflow_server(store: str, folder: Path, *, port: int = 0, start: bool = True) -> Iterator[MlflowServer]:
    """MLflow's server for the length of the block; its files and its log go to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = MlflowServer(store, folder / "artifacts", port or free_port(), folder / "server.log")
    try:
        if start:
            server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _programs() -> Path | None:
    """The folder of the newest PostgreSQL's programs; Debian keeps initdb out of the PATH."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda file: float(file.parts[-3]) if file.parts[-3].replace(".", "").isdigit() else 0,
    )
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None
