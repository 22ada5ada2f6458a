"""The services of deploy/compose/compose.yaml without containers: their command lines and variables, on real servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mlflow import MlflowClient
from support.composing import COMPOSE, read_services
from support.s3 import s3_server
from support.servers import PostgreSQL, free_port, missing_postgresql, postgresql

SECRETS = {"POSTGRES_PASSWORD": "nachtigall-51", "S3_PASSWORD": "rohrdommel-52"}
TINY = ("search.epochs=1", "search.arch_warmup_epochs=0", "supernet.channels=4", "search.batch_size=64",
        "evaluation.epochs=1", "evaluation.channels=4")  # fmt: skip


def make_databases(server: PostgreSQL, service: Mapping[str, Any]) -> None:
    """What the image does at its first start: user, database, and the SQL file that is mounted for it."""
    user, password, database = (
        service["environment"][f"POSTGRES_{key}"] for key in ("USER", "PASSWORD", "DB")
    )
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create role {user} superuser login password '{password}'")
        connection.execute(f"create database {database} owner {user}")
    (script,) = [volume.split(":")[0] for volume in service["volumes"] if "initdb.d" in volume]
    address = f"postgresql://{user}:{password}@127.0.0.1:{server.port}/{database}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute((COMPOSE.parent / script).read_bytes())


def answer(address: str, host: str) -> int:
    """The status that the MLflow server answers to a browser that asked for `host`; 0 for none."""
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/experiments/search?max_results=1")
    request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=10) as said:
            return int(said.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def test_the_compose_file_s_services_run_a_sweep(tmp_path: Path) -> None:
    if (reason := missing_postgresql()) is not None:
        pytest.skip(reason)
    services = read_services({**SECRETS, "TRIALS": "1"})
    ray = Path(f"/tmp/pcdarts-compose-{os.getpid()}")  # the path of Ray's sockets must be short
    with postgresql("not-to-be-seen") as database, s3_server("unused") as store:
        s3 = store.partition("endpoint_override=")[2].partition("&")[0]
        port = free_port()
        real = {"postgres:5432": f"127.0.0.1:{database.port}", "minio:9000": s3, "mlflow:5000": f"127.0.0.1:{port}",
                "--port=5000": f"--port={port}", "0.0.0.0": "127.0.0.1", "/data/home": str(tmp_path / "home")}  # fmt: skip

        def here(text: str) -> str:
            for name, place in real.items():
                text = text.replace(name, place)
            return text

        def start(service: str, *more: str) -> subprocess.Popen[str]:
            told = services[service]
            command = [here(word) for word in told["command"]]
            program = Path(sys.executable).with_name(command[0])
            clean = {
                key: value
                for key, value in os.environ.items()
                if not key.startswith(("AWS_", "RAY_", "PCDARTS"))
            }
            environment = {**clean, **{key: here(value) for key, value in told["environment"].items()}}
            with (tmp_path / f"{service}.log").open("w") as log:
                return subprocess.Popen(
                    [str(program), *command[1:], *more],
                    env={**environment, "RAY_TMPDIR": str(ray)},
                    cwd=tmp_path,
                    stdout=log,
                    stderr=log,
                    text=True,
                    start_new_session=True,
                )

        make_databases(database, services["postgres"])
        import boto3

        files = boto3.client("s3", endpoint_url=f"http://{s3}", region_name="us-east-1")
        words = services["buckets"]["command"]
        assert words[:2] == ["mb", "--ignore-existing"]
        for bucket in words[2:]:
            files.create_bucket(Bucket=bucket.removeprefix("store/"))
        server, sweep = start("mlflow"), None
        try:
            address, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
            while answer(address, "mlflow:5000") == 0 and time.monotonic() < end and server.poll() is None:
                time.sleep(0.3)
            said = {
                host: answer(address, host) for host in ("mlflow:5000", "localhost:5000", "evil.example:5000")
            }
            log = tmp_path / "mlflow.log"
            assert said == {"mlflow:5000": 200, "localhost:5000": 200, "evil.example:5000": 403}, (
                log.read_text()
            )
            sweep = start("sweep", *[word for each in TINY for word in ("--set", each)])
            assert sweep.wait(timeout=400) == 0, (tmp_path / "sweep.log").read_text()
            client = MlflowClient(address)
            runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
            assert sorted(run.data.tags["pcdarts.kind"] for run in runs) == ["sweep", "trial"]
            assert all(run.info.artifact_uri.startswith("mlflow-artifacts:/") for run in runs)
        finally:
            for process in (sweep, server):
                if process is not None:
                    process.terminate()
                    process.wait(timeout=30)
            shutil.rmtree(ray, ignore_errors=True)
        kept = {name: [each["Key"] for each in files.list_objects_v2(Bucket=name).get("Contents", [])]
                for name in ("mlflow", "sweeps")}  # fmt: skip
        assert any(key.startswith("artifacts/") and key.endswith("genotype.json") for key in kept["mlflow"])
        assert any(key.startswith("trials/first-") for key in kept["sweeps"])
        with psycopg.connect(database.url("optuna")) as connection:
            (names,) = connection.execute("select study_name from studies").fetchall()
        assert names[0].startswith("first-")
    # the home's volume holds no password, and nothing that is in the stores
    home = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert not any(path.name in ("study.db", "mlflow.db") for path in home)
    assert home
    for path in home:
        assert not any(secret.encode() in path.read_bytes() for secret in SECRETS.values()), path
