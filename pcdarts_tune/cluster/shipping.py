"""Getting a data set from the driver to its workers: loaded once, put into Ray's object store once, read
there in place.

Ray shares NumPy arrays between the processes of a node without copying and sends them to other nodes, but
copies tensors; so tensors travel as arrays.

    >>> unpack(pack(DataSet(...)))      # the same data set, its tensors views of shared memory
"""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Packed:
    """A dataclass taken apart: its type, and its fields with arrays for tensors."""

    kind: type
    arrays: dict[str, Any]
    others: dict[str, Any]


def pack(data: Any) -> Any:
    """`data` with arrays for tensors, when it is a dataclass; else as it is."""
    import torch

    if not dataclasses.is_dataclass(data) or isinstance(data, type):
        return data
    fields = {item.name: getattr(data, item.name) for item in dataclasses.fields(data) if item.init}
    tensors = {name for name, value in fields.items() if isinstance(value, torch.Tensor)}
    return Packed(
        type(data),
        {name: fields[name].numpy() for name in tensors},
        {name: value for name, value in fields.items() if name not in tensors},
    )


def unpack(data: Any) -> Any:
    """What `pack` was given."""
    if not isinstance(data, Packed):
        return data
    import torch

    with warnings.catch_warnings():
        # shared memory cannot be written to, which torch remarks on; nothing writes to a data set
        warnings.simplefilter("ignore", UserWarning)
        tensors = {name: torch.from_numpy(array) for name, array in data.arrays.items()}
    return data.kind(**tensors, **data.others)


def size(packed: Any) -> int:
    """Bytes that the arrays of a packed data set take."""
    return sum(array.nbytes for array in packed.arrays.values()) if isinstance(packed, Packed) else 0
