"""The images of a space: whether they are there and can be read, without reading them all.

list(check_images("cifar10", Path("photos"), home))
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pcdarts_tune.doctor.check import Check, fail, ok, warn
from pcdarts_tune.errors import UserError

if TYPE_CHECKING:
    from pcdarts_tune.datasets.encoded import EncodedSet


def check_images(space: str | None, data: Path | None) -> Iterator[Check]:
    """The space, and of its images one of each class."""
    from pcdarts_tune.datasets.load import find_dataset
    from pcdarts_tune.datasets.named import TORCHVISION, default_root, has_torchvision_files
    from pcdarts_tune.spaces.load import read_space

    try:
        resolved = read_space(space or "cifar10")
        if space is not None:
            yield ok("space", f"{resolved.name}: {resolved.description or 'valid'}")
        found = find_dataset(resolved.data, data)
    except UserError as error:
        yield fail("data", str(error), error.hint or "")
        return
    name, root = resolved.data.dataset, data or default_root()
    if found is not None:
        yield from _files(found)
    elif name in TORCHVISION and has_torchvision_files(name, root, unpacked=True):
        yield ok("data", f"{name} is in {root}")
    elif name in TORCHVISION and resolved.data.download:
        todo = f"nothing where the network allows; else put torchvision's files into {root}, or --data DIR"
        yield warn("data", f"{name} is not in {root}: a sweep would fetch it", todo)
    elif name in TORCHVISION:
        yield fail("data", f"{name} is not in {root}, and data.download is false", "--data DIR where it is")
    elif name == "folder":
        yield fail("data", f"space {resolved.name} reads your own images", "--data DIR")
    else:
        yield ok("data", f"{name} comes with a package")


def _files(found: EncodedSet) -> Iterator[Check]:
    from pcdarts_tune.core.images.decode import decode_image

    part, damaged = found.train, []
    labels = part.labels.tolist()
    rows = [labels.index(number) for number in sorted(set(labels))]
    for row in rows[:200]:
        try:
            decode_image(part.source.read(row), 3)
        except (OSError, ValueError) as error:
            damaged.append(f"{part.source.name(row)} ({error})")
    tested = "" if found.test is None else f" and {len(found.test.labels)} test images"
    said = f"{found.source}: {len(labels)} training images{tested}, {len(found.classes)} classes"
    if damaged:
        todo = "repair or remove them; a sweep skips up to 1 % and says which"
        yield warn("data", f"{said}; unreadable: {', '.join(damaged[:3])}", todo)
    else:
        yield ok("data", f"{said}; one of each class was read")
