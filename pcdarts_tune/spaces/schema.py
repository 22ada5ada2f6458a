"""The JSON Schema of spaces, for editors that complete and check YAML as it is typed.

    # yaml-language-server: $schema=space.schema.json

is the line in a space that editors read. The schema knows keys, types, bounds and names; rules between keys, such as which batch
fits which K, are checked by `pcdarts-tune spaces FILE`.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

from pcdarts_tune.spaces.space import Space

FILE_NAME = "space.schema.json"
"""Beside the shipped spaces."""
LINE = "# yaml-language-server: $schema="
_AMOUNT = {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*[kKMG]?\s*$"}


def space_schema() -> dict[str, Any]:
    """The schema, made from the model that checks spaces."""
    schema = Space.model_json_schema()
    _correct(schema)
    limits = schema["$defs"]["ConstraintsConfig"]["properties"]
    for limit in limits.values():
        limit["anyOf"].append(_AMOUNT)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "pcdarts-tune search space",
    }


def editor_line() -> str:
    """The line that leads an editor to the installed schema."""
    return LINE + Path(str(files("pcdarts_tune.search_spaces") / FILE_NAME)).absolute().as_uri()


def _correct(node: Any) -> None:
    """In place: lists are limited by their items, and titles that only repeat a key are left out."""
    if isinstance(node, list):
        for item in node:
            _correct(item)
    elif isinstance(node, dict):
        if node.get("type") == "array":
            for wrong, right in (("maxLength", "maxItems"), ("minLength", "minItems")):
                if wrong in node:
                    node[right] = node.pop(wrong)
        if isinstance(node.get("title"), str):
            del node["title"]
        for value in list(node.values()):
            _correct(value)
