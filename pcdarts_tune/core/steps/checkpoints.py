"""A training's state copied at once into a few large pieces of memory, to be written while the training goes on.

    snapshot.take(search.state_dict())          # the state as it is now
    write_snapshot(path, snapshot)
    search.load_state_dict(load_checkpoint(path))

Tensors of one type lie in one piece, since thousands are slow to write one by one. The bytes are a safetensors file with

    metadata: "state" the tree of plain values, "layout" the place of each tensor in its piece, both JSON; "crc32" of the pieces
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NAMES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What safetensors calls torch's types."""


class Snapshot:
    """A copy of a state in main memory, page-locked where the state is a GPU's; the next one takes the same memory.

    A state is made of dicts (keys: strings and numbers), lists, tuples, tensors, strings, numbers, booleans and None.
    """

    def __init__(self) -> None:
        self._tree: Any = None
        self._kinds: list[tuple[torch.Size, torch.dtype]] = []
        self._views: list[Tensor] = []
        self._pieces: dict[torch.dtype, Tensor] = {}
        self._layout = "[]"

    def take(self, state: Any) -> None:
        """Make this a copy of `state` as it is now.

        Raises:
            TypeError: for a value of another kind.
        """
        tensors: list[Tensor] = []
        self._tree = _encode(state, tensors)
        kinds = [(tensor.shape, tensor.dtype) for tensor in tensors]
        if kinds != self._kinds:
            self._kinds = []
            self._lay_out(tensors)
            self._kinds = kinds
        if tensors:
            with torch.no_grad():
                torch._foreach_copy_(self._views, tensors, non_blocking=True)
        for device in {tensor.device for tensor in tensors if tensor.is_cuda}:
            torch.cuda.synchronize(device)

    def chunks(self) -> list[bytes | memoryview]:
        """The bytes of the file, one after the other."""
        pieces = {
            dtype: memoryview(piece.view(torch.uint8).numpy().data) for dtype, piece in self._pieces.items()
        }
        crc, offset, header = 0, 0, {}
        for dtype, piece in pieces.items():
            crc = zlib.crc32(piece, crc)
            end = offset + piece.nbytes
            shape = [self._pieces[dtype].numel()]
            header[NAMES[dtype]] = {"dtype": NAMES[dtype], "shape": shape, "data_offsets": [offset, end]}
            offset = end
        metadata = {"state": json.dumps(self._tree), "layout": self._layout, "crc32": str(crc)}
        text = json.dumps({"__metadata__": metadata, **header}).encode()
        text += b" " * (-len(text) % 8)
        return [len(text).to_bytes(8, "little"), text, *pieces.values()]

    def _lay_out(self, tensors: list[Tensor]) -> None:
        """New memory for tensors like these."""
        places, sizes = [], dict.fromkeys((tensor.dtype for tensor in tensors), 0)
        for tensor in tensors:
            stride = torch.empty_like(tensor, device="meta").stride()  # its own, unless it has gaps
            places.append((NAMES[tensor.dtype], sizes[tensor.dtype], tuple(tensor.shape), stride))
            sizes[tensor.dtype] += tensor.numel()
        pinned = any(tensor.is_cuda for tensor in tensors)
        self._pieces = {
            dtype: torch.empty(size, dtype=dtype, pin_memory=pinned) for dtype, size in sizes.items() if size
        }
        self._views = [
            self._pieces.get(tensor.dtype, tensor.new_empty(0, device="cpu")).as_strided(
                shape, stride, offset
            )
            for tensor, (_, offset, shape, stride) in zip(tensors, places, strict=True)
        ]
        self._layout = json.dumps(places)


def load_snapshot(data: bytes, device: torch.device | str = "cpu") -> Any:
    """The state whose snapshot's bytes these are, on a device.

    Raises:
        ValueError: when they are not a whole snapshot.
    """
    try:
        start = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:start])
        metadata = header.pop("__metadata__")
        end = start + max((entry["data_offsets"][1] for entry in header.values()), default=0)
        if end != len(data) or zlib.crc32(memoryview(data)[start:]) != int(metadata["crc32"]):
            raise ValueError("bytes are missing or changed")
        types = {name: dtype for dtype, name in NAMES.items()}
        pieces = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            copied = bytearray(memoryview(data)[start + begin : start + end])
            pieces[name] = torch.frombuffer(copied, dtype=types[name]).to(device)
        tensors = []
        for name, offset, shape, stride in json.loads(metadata["layout"]):
            piece = pieces.get(name, torch.empty(0, dtype=types[name], device=device))
            part = piece.as_strided(shape, stride, offset)
            if part.numel() > piece.numel():
                raise ValueError("a tensor larger than what it is in")
            tensors.append(part.clone())  # memory of its own, aligned as torch likes it
        return _decode(json.loads(metadata["state"]), tensors)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RuntimeError) as error:
        raise ValueError(f"not a whole checkpoint ({type(error).__name__})") from error


def _encode(state: Any, tensors: list[Tensor]) -> Any:
    """`state` as JSON has it: `{"t": n}` for the nth tensor, `{"d": pairs}` and `{"u": values}` for dict and tuple."""
    if isinstance(state, Tensor):
        tensors.append(state)
        return {"t": len(tensors) - 1}
    if isinstance(state, dict):
        return {"d": [[key, _encode(value, tensors)] for key, value in state.items()]}
    if isinstance(state, list):
        return [_encode(value, tensors) for value in state]
    if isinstance(state, tuple):
        return {"u": [_encode(value, tensors) for value in state]}
    if state is None or isinstance(state, str | int | float):
        return state
    raise TypeError(f"a {type(state).__name__} cannot be kept in a checkpoint")


def _decode(tree: Any, tensors: list[Tensor]) -> Any:
    if isinstance(tree, list):
        return [_decode(value, tensors) for value in tree]
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind == "t":
        return tensors[content]
    if kind == "u":
        return tuple(_decode(value, tensors) for value in content)
    return {key: _decode(value, tensors) for key, value in content}


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
    state: dict[str, Any] = load_snapshot(Path(path).read_bytes(), device)
    return state
