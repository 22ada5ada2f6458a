"""`mlflow models serve` on loopback, and requests to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def served(model: str, tracking_uri: str, place: Path, python: str = sys.executable) -> Iterator[str]:
    """The address of a server of a registered model, started as the documentation does it; it logs to `place`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ("models", "serve", "-m", f"models:/{model}", "--env-manager", "local")
    log_file = place / "server.log"
    with log_file.open("wb") as log:
        server = subprocess.Popen(
            [python, "-m", "mlflow", *arguments, "-h", "127.0.0.1", "-p", str(port)],
            # MLflow looks for uvicorn as an activated environment has it
            env={
                **os.environ,
                "MLFLOW_TRACKING_URI": tracking_uri,
                "PATH": os.pathsep.join([str(Path(python).parent), os.environ["PATH"]]),
            },
            cwd=place,
            stdout=log,
            stderr=log,
            start_new_session=True,  # its workers end with it
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 90
        while not answers(f"{url}/ping"):
            assert server.poll() is None and time.monotonic() < deadline, log_file.read_text()
            time.sleep(0.2)
        yield url
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(server.pid, number)
                server.wait(20)


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, OSError):
        return False


def post(address: str, body: Any) -> Any:
    """What a model answers."""
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
