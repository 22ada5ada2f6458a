"""Names in a space that plug-ins add to: operations, data sets, samplers.

>>> dataset_name("hub:uoft-cs/cifar10")
'hub:uoft-cs/cifar10'
"""

from __future__ import annotations

from collections.abc import Collection

from pcdarts_tune import plugins
from pcdarts_tune.core.genotype import FAMILIES
from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.values import SAMPLERS, is_class_path

HUB = "hub:"
"""Begins the names of data sets of Hugging Face's hub."""
DATASETS = ("digits", "fashion_mnist", "cifar10", "cifar100", "folder")


def check_operations(primitives: Collection[str]) -> None:
    """Raises ValueError: an operation is not registered, and no plug-in has it."""
    known = {name for family in FAMILIES.values() for name in family.primitives}
    others = [name for name in primitives if name not in known]
    if not all(plugins.knows("operations", name) for name in others):
        _refuse_unknown(others)


def _refuse_unknown(primitives: Collection[str]) -> None:
    """Raises ValueError: an operation is not registered, and no plug-in has it."""
    from pcdarts_tune.core.ops import OPERATIONS  # torch: only for operations other than the papers'

    known = [*OPERATIONS, *plugins.names("operations")]
    if wrong := [name for name in primitives if name not in known]:
        texts = [
            plugins.explain("operations", name) or f"{name!r} is no operation{nearest(name, known)}"
            for name in wrong
        ]
        raise ValueError(f"{'; '.join(texts)}; legal: {', '.join(dict.fromkeys(known))}")


def dataset_name(value: str) -> str:
    """The name of a data set, if it is one. Raises ValueError: listing the legal ones."""
    if value in DATASETS or (value.startswith(HUB) and len(value) > len(HUB)):
        return value
    if not plugins.knows("datasets", value):
        if explained := plugins.explain("datasets", value):
            raise ValueError(explained)
        known = [*DATASETS, *plugins.names("datasets")]
        text = f"{value!r} is not legal{nearest(value, known)}; must be one of {', '.join(known)}"
        raise ValueError(f"{text}, or hub:OWNER/NAME")
    return value


def sampler_name(value: str) -> str:
    """The name of a sampler, if it can be one. Raises ValueError: listing the legal ones."""
    if value in SAMPLERS or is_class_path(value) or plugins.knows("samplers", value):
        return value
    if explained := plugins.explain("samplers", value):
        raise ValueError(explained)
    known = [*SAMPLERS, *plugins.names("samplers")]
    near = nearest(value, known)
    raise ValueError(f"{value!r} is not legal{near}; must be one of {', '.join(known)}, or module:Class")
