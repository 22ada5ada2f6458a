"""Data sets on their way from the driver to its workers: loaded once, put into Ray's object store once, and read there.

    unpack(pack(images))        # the same data set, its tensors views of shared memory

Ray shares NumPy arrays between the processes of a node, and copies tensors: so tensors travel as arrays.
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Packed:
    """A dataclass taken apart: its type, its tensors as arrays, and its other fields."""

    kind: type
    arrays: dict[str, Any]
    others: dict[str, Any]


def pack(data: Any) -> Any:
    """A dataclass as `Packed`, and those that are the values of a dictionary; anything else as it is."""
    import torch

    if isinstance(data, dict):
        return {key: pack(value) for key, value in data.items()}
    if not dataclasses.is_dataclass(data) or isinstance(data, type):
        return data
    fields = {item.name: getattr(data, item.name) for item in dataclasses.fields(data) if item.init}
    arrays = {name: value.numpy() for name, value in fields.items() if isinstance(value, torch.Tensor)}
    return Packed(type(data), arrays, {name: value for name, value in fields.items() if name not in arrays})


def unpack(data: Any) -> Any:
    """The inverse of `pack`."""
    if isinstance(data, dict):
        return {key: unpack(value) for key, value in data.items()}
    if not isinstance(data, Packed):
        return data
    import torch

    with warnings.catch_warnings():
        # torch warns that shared memory cannot be written to; nothing writes to a data set
        warnings.simplefilter("ignore", UserWarning)
        tensors = {name: torch.from_numpy(array) for name, array in data.arrays.items()}
    return data.kind(**tensors, **data.others)


def packed_size(data: Any) -> int:
    """Bytes of the arrays in what `pack` returned."""
    if isinstance(data, dict):
        return sum(map(packed_size, data.values()))
    return sum(array.nbytes for array in data.arrays.values()) if isinstance(data, Packed) else 0
