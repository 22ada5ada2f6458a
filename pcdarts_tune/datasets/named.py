"""The named data sets: digits (scikit-learn's, embedded), Fashion-MNIST, CIFAR-10 and CIFAR-100 (torchvision's)."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import socket
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcdarts_tune.datasets.dataset import DataSet, Part, make_dataset
from pcdarts_tune.errors import LOOK_AT_THE_DISK, UserError
from pcdarts_tune.say import say
from pcdarts_tune.spaces.space import DataConfig

DOWNLOAD_TIMEOUT = 30
"""Seconds without an answer after which a download is given up; torchvision itself would wait for ever."""
_FASHION = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
FASHION_CLASSES = tuple(_FASHION.split(", "))
CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
CIFAR_ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
TORCHVISION_FOLDERS = {*CIFAR_FOLDERS.values(), *CIFAR_ARCHIVES.values(), "FashionMNIST"}
"""What torchvision makes in its root."""


def default_root() -> Path:
    """Where downloads go when no `--data DIR` is given."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "pcdarts-tune" / "data"


def load_digits(data: DataConfig) -> DataSet:
    """scikit-learn's 1,797 grey 8x8 digits; their levels 0..16 become 0..255."""
    from sklearn.datasets import load_digits as sklearn_digits

    bunch: Any = sklearn_digits()
    images = (torch.from_numpy(bunch.images).float() * (255 / 16)).round().to(torch.uint8)[:, None]
    part = Part(_resized(images, data.image_size), torch.from_numpy(bunch.target).long())
    classes = tuple(str(digit) for digit in range(10))
    return make_dataset("digits", classes, part, None, data, source="scikit-learn's digits")


def load_fashion_mnist(data: DataConfig, root: Path) -> DataSet:
    """Fashion-MNIST from the four idx files, plain or gzipped, in `root` or where torchvision puts them."""
    folder = fashion_folder(root)
    if folder is None:
        with _downloading("fashion_mnist", root, data):
            from torchvision.datasets import FashionMNIST

            FashionMNIST(str(root), download=True)
        folder = root / "FashionMNIST" / "raw"
    parts = []
    for prefix in ("train", "t10k"):
        images = _read_idx(folder, f"{prefix}-images-idx3-ubyte")
        labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte")
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or labels.max() > 9:
            wrong = f"the Fashion-MNIST files in {folder} do not belong together"
            raise UserError(wrong, hint="remove them, to fetch again")
        parts.append(Part(_resized(images[:, None], data.image_size), labels.long()))
    return make_dataset("fashion_mnist", FASHION_CLASSES, parts[0], parts[1], data, source="Fashion-MNIST")


def fashion_folder(root: Path) -> Path | None:
    """Where below `root` the idx files are."""
    folders = (root, root / "FashionMNIST" / "raw", root / "raw")
    return next((folder for folder in folders if _idx_path(folder, "train-images-idx3-ubyte")), None)


def _idx_path(folder: Path, name: str) -> Path | None:
    return next((folder / (name + end) for end in ("", ".gz") if (folder / (name + end)).is_file()), None)


def _read_idx(folder: Path, name: str) -> Tensor:
    """An idx file of bytes: two zeros, type 8, number of axes, their lengths as big-endian int32, the bytes."""
    path = _idx_path(folder, name)
    if path is None:
        raise UserError(
            f"{folder} lacks {name}",
            hint="all four Fashion-MNIST files must be there; remove them, to fetch again",
        )
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        damaged = isinstance(error, EOFError | zlib.error | gzip.BadGzipFile)
        hint = "remove it, to fetch it again" if damaged else LOOK_AT_THE_DISK
        raise UserError(f"cannot read {path}: {error}", hint=hint) from error
    axes = content[3] if len(content) > 3 else 0
    shape = [int.from_bytes(content[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    if content[:3] != b"\0\0\x08" or not axes or len(content) != 4 + 4 * axes + math.prod(shape):
        raise UserError(f"{path} is damaged or no idx file", hint="remove it, to fetch it again")
    return torch.frombuffer(bytearray(content[4 + 4 * axes :]), dtype=torch.uint8).view(shape)


def load_cifar(name: str, data: DataConfig, root: Path) -> DataSet:
    """CIFAR-10 or CIFAR-100 from torchvision's files, which are unpickled only after their md5 was verified."""
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    if root.name == CIFAR_FOLDERS[name]:
        root = root.parent
    archive = root / kind.filename
    try:
        halves = [kind(str(root), train=train, download=False) for train in (True, False)]
    except RuntimeError:  # absent, or not what its md5 says
        whole_archive = check_integrity(str(archive), kind.tgz_md5)
        with _downloading(name, root, data, needed=not whole_archive):
            halves = [kind(str(root), train=train, download=train) for train in (True, False)]
    except OSError as error:
        raise UserError(
            f"cannot read {name} in {root}: {error.strerror or error}", hint=LOOK_AT_THE_DISK
        ) from error
    parts = []
    for half in halves:
        images = torch.from_numpy(half.data).permute(0, 3, 1, 2).contiguous()
        parts.append(Part(_resized(images, data.image_size), torch.tensor(half.targets)))
    classes = tuple(halves[0].classes)
    return make_dataset(name, classes, parts[0], parts[1], data, source=f"torchvision's {name}")


def cifar_files(name: str, root: Path) -> list[Path]:
    """The files of CIFAR below `root` that torchvision reads, there or not."""
    if name not in CIFAR_FOLDERS:
        return []
    folder = root if root.name == CIFAR_FOLDERS[name] else root / CIFAR_FOLDERS[name]
    batches = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    return [folder / part for part in (batches if name == "cifar10" else ["train", "test"])]


def has_torchvision_files(name: str, root: Path, *, unpacked: bool = False) -> bool:
    """Whether `root` is a torchvision root of this set, or (unless `unpacked`) the archive lies in it."""
    if name == "fashion_mnist":
        return fashion_folder(root) is not None
    if name not in CIFAR_FOLDERS:
        return False
    return cifar_files(name, root)[0].is_file() or (not unpacked and (root / CIFAR_ARCHIVES[name]).is_file())


def _resized(images: Tensor, image_size: int | None) -> Tensor:
    if image_size is None or images.shape[2:] == (image_size, image_size):
        return images
    # here and not above: torchvision takes seconds to import, and a trial's process would wait for it
    from torchvision.transforms.v2 import functional as transforms

    resized: Tensor = transforms.resize(images, [image_size, image_size], antialias=True)
    return resized


@contextlib.contextmanager
def _downloading(name: str, root: Path, data: DataConfig, *, needed: bool = True) -> Iterator[None]:
    """A block in which torchvision may fetch a set.

    Args:
        needed: whether it has to; what lies there may only have to be unpacked.

    Raises:
        UserError: when it may not, or could not.
    """
    hint = f"--data DIR with torchvision's files of {name}, an image folder or parquet files"
    if needed and not data.download:
        raise UserError(
            f"{name} is not in {root}, and data.download is off", hint=f"{hint}; or --set data.download=true"
        )
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        root.mkdir(parents=True, exist_ok=True)
        if needed:
            say(f"{name} is not in {root}: it is fetched from the network")
        with contextlib.redirect_stdout(sys.stderr):  # torchvision prints; standard output is for results
            yield
    except Exception as error:  # torchvision lets through whatever urllib, tarfile or gzip raise
        raise UserError(
            f"{name} is not in {root} and could not be downloaded: {' '.join(str(error).split())}", hint=hint
        ) from error
    finally:
        socket.setdefaulttimeout(before)


TORCHVISION: dict[str, Callable[[DataConfig, Path], DataSet]] = {
    "fashion_mnist": load_fashion_mnist,
    "cifar10": lambda data, root: load_cifar("cifar10", data, root),
    "cifar100": lambda data, root: load_cifar("cifar100", data, root),
}
