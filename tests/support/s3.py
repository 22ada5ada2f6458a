"""A real S3 server on loopback, for tests of object stores."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def s3_server(bucket: str = "bucket") -> Iterator[str]:
    """An address for `--storage` in a bucket of a server that this process runs; credentials are in the environment."""
    server = pytest.importorskip("moto.server", reason="moto is a development dependency")
    from pyarrow import fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    query = f"endpoint_override={host}:{port}&scheme=http&region=us-east-1"
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        environment.setenv("AWS_EC2_METADATA_DISABLED", "true")
        files, _ = fs.FileSystem.from_uri(f"s3://{bucket}?{query}&allow_bucket_creation=true")
        files.create_dir(bucket)
        try:
            yield f"s3://{bucket}/runs?{query}"
        finally:
            running.stop()
