"""deploy/compose/compose.yaml as Compose reads it: variables filled in, anchors resolved.

services = read_services({"POSTGRES_PASSWORD": "a", "S3_PASSWORD": "b"})
services["sweep"]["command"]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def read_services(variables: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """The services. Raises KeyError for a variable that must be set and is not."""

    def fill(found: re.Match[str]) -> str:
        name, how, text = found.groups()
        if variables.get(name):
            return variables[name]
        if how == "-":
            return str(text)
        raise KeyError(name)

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(fill, value)
        if isinstance(value, dict):
            return {key: walk(each) for key, each in value.items()}
        return [walk(each) for each in value] if isinstance(value, list) else value

    services: dict[str, dict[str, Any]] = walk(yaml.safe_load(COMPOSE.read_text()))["services"]
    return services
