"""Names of classes in the metadata of a parquet file, in the forms that are in use.

class_names = cat,dog  |  ["cat", "dog"]  |  {"0": "cat", "1": "dog"}  |  {"cat": 0, "dog": 1}
huggingface = {"info": {"features": {"label": {"names": [...], "_type": "ClassLabel"}}}}
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from pcdarts_tune.datasets.names import check_distinct
from pcdarts_tune.errors import UserError

_KEYS = (b"class_names", b"classes", b"label_names", b"id2label", b"label2id")


def names_in(
    metadata: Mapping[bytes, bytes] | None, field: Mapping[bytes, bytes] | None, column: str
) -> tuple[str, ...]:
    """The names in the metadata of a schema, or of its label column; empty where there are none.

    Raises:
        UserError: names that repeat, or that are written in no known form.
    """
    for about in (field or {}, metadata or {}):
        for key in _KEYS:
            if about.get(key):
                names = _parse(_text(about[key], key.decode()), key.decode())
                check_distinct(names, f"{key.decode()} in the file's metadata")
                return names
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][column]
        listed = feature.get("names") or feature["feature"]["names"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return ()
    names = _listed(listed, "huggingface")
    check_distinct(names, "the ClassLabel in the file's metadata")
    return names


_PICKLE = re.compile(r"(\((?:[ldt]p?\d*\n|[VSIL])|c[\w.]+\n\w+\n).*\.", re.DOTALL)
"""A pickle of protocol 0, which is text: of a list, a dict, a tuple or an object."""


def _text(value: bytes, key: str) -> str:
    """The metadata as text. Raises UserError: it is something else, such as a pickle, which is never opened."""
    text = value.decode("utf-8", "replace")
    if _PICKLE.fullmatch(text) or any(
        unicodedata.category(letter) in ("Cc", "Co") or letter == "\ufffd"
        for letter in text
        if letter not in "\t\r\n"
    ):
        raise _unknown(key, ascii(text))
    return text


def _parse(text: str, key: str) -> tuple[str, ...]:
    text = text.strip()
    if text[:1] in ("[", "{", '"'):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise _unknown(key, text) from error
        return _listed(value, key)
    parts = text.splitlines() if "\n" in text else text.split(",")
    return tuple(part.strip() for part in parts)


def _listed(value: Any, key: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return _parse(value, key) if value[:1] not in ("[", "{", '"') else ()
    if isinstance(value, dict):
        if all(str(number).isdigit() for number in value):  # number -> name
            value = {str(name): int(number) for number, name in value.items()}
        if not all(isinstance(number, int) for number in value.values()):
            raise _unknown(key, str(value))
        by_number = sorted(value, key=lambda name: value[name])
        if [value[name] for name in by_number] != list(range(len(value))):
            raise _unknown(key, str(value))
        return tuple(by_number)
    if not isinstance(value, list) or any(isinstance(each, (list, dict)) for each in value):
        raise _unknown(key, str(value))
    return tuple(str(each) for each in value)


def _unknown(key: str, text: str) -> UserError:
    return UserError(
        f"{key} in the file's metadata lists no names: {text[:80]}",
        hint='write names with commas between them, or as JSON: ["cat", "dog"] or {"0": "cat", "1": "dog"}',
    )
