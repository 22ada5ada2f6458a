"""Seeds and checkpoints.

>>> save_checkpoint(path, {"search": search.state_dict()})
>>> search.load_state_dict(load_checkpoint(path)["search"])
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pcdarts_tune.core.steps.snapshot import Snapshot, restored


def derive_seed(*parts: object) -> int:
    """A 63-bit seed from parts such as (base seed, purpose, epoch); nearby parts give unrelated seeds."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(device: torch.device, *parts: object) -> Iterator[None]:
    """Run with torch's global generators seeded from `parts`, and give them back as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive_seed(*parts))
        yield


def weights_digest(module: torch.nn.Module) -> str:
    """16 hexadecimal digits of all weights and running statistics: equal when every bit is, whatever the device."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists, tuples, dicts) to `path`, whole or not at all."""
    snapshot = Snapshot()
    snapshot.take(state)
    write_snapshot(path, snapshot)


def write_snapshot(path: str | Path, snapshot: Snapshot) -> None:
    """Write a state that was copied before to `path`, whole or not at all."""
    write_whole(path, snapshot.chunks())


def write_whole(path: str | Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write bytes to `path`, all of them or none."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; tensors and plain values only, no code in it is run.

    Raises:
        ValueError: when the file is not a whole checkpoint.
    """
    state: dict[str, Any] = restored(Path(path).read_bytes(), device)
    return state
