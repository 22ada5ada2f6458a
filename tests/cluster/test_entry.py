"""Nothing is made before the cluster has let us in."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from support.fuzzing import run_command

from pcdarts_tune.cluster import session


@pytest.fixture
def closing_port() -> int:
    """Of something that takes every connection and ends it, as a cluster does that wants another token."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            server.accept()[0].close()

    threading.Thread(target=serve, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


def test_a_cluster_that_refuses_leaves_no_sweep_and_is_told_in_two_lines(
    closing_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "ENTERS_WITHIN", 15.0)
    monkeypatch.setenv("RAY_gcs_rpc_server_connect_timeout_s", "1")
    words = ["sweep", "--space", "quickstart", "--trials", "1", "--name", "no", "--home", str(tmp_path)]
    done = run_command([*words, "--address", f"127.0.0.1:{closing_port}"])
    error, hint = done.err.strip().splitlines()
    assert done.code == 2
    assert error.startswith("Error: no Ray cluster could be joined at 127.0.0.1:")
    assert "RAY_AUTH_MODE=token" in hint
    assert not (tmp_path / "sweeps").exists()
