"""CIFAR-10 as one file that benchmarks/core/gpu.py reads with PyTorch and torchvision alone.

    python benchmarks/core/prepare_cifar.py cifar10.pt.gz cifar10-train.parquet cifar10-test.parquet

The images stay the JPEG or PNG files that the parquet files hold (20 MB instead of 184), one after the other, compressed:

    {"train": {"bytes": uint8 (B,), "ends": int64 (N,), "labels": int64 (N,)}, "test": the same}
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch
from torch import Tensor


def packed(path: Path) -> dict[str, Tensor]:
    """The images and labels of a parquet file with the columns image{bytes} and label."""
    table = pq.read_table(path, columns=["image", "label"])
    files = [row["bytes"] for row in table.column("image").to_pylist()]
    return {
        "bytes": torch.frombuffer(bytearray(b"".join(files)), dtype=torch.uint8),
        "ends": torch.tensor([len(file) for file in files]).cumsum(0),
        "labels": torch.tensor(table.column("label").to_pylist(), dtype=torch.int64),
    }


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit("usage: prepare_cifar.py OUT.pt.gz TRAIN.parquet TEST.parquet")
    out, train, test = map(Path, sys.argv[1:])
    with gzip.open(out, "wb", compresslevel=6) as file:
        torch.save({"train": packed(train), "test": packed(test)}, file)
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
