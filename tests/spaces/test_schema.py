"""The JSON Schema of spaces: what it accepts and refuses, that it is up to date, and how an editor finds it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import jsonschema
import pytest

from pcdarts_tune.cli.group import run
from pcdarts_tune.errors import UserError
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.schema import FILE_NAME, LINE, space_schema
from pcdarts_tune.spaces.yaml_lines import read_yaml

FOLDER = Path(__file__).parents[2] / "search_spaces"
SPACES = sorted(FOLDER.glob("*.yaml"))
MISTAKES = [
    "search: {epoch: 3}",
    "search: {epochs: 0}",
    "search: {epochs: many}",
    "supernet: {mixing: stir}",
    "supernet: {primitives: none}",
    "constraints: {max_macs: 6 miles}",
    "tune: {supernet.k: {type: categorical}}",
    "tune: {search.learning_rate: {type: float, low: 0.1}}",
]


def mistakes(data: Any) -> list[str]:
    found = jsonschema.Draft202012Validator(space_schema()).iter_errors(data)
    return [f"{error.json_path}: {error.message}" for error in found]


def test_the_shipped_schema_is_up_to_date() -> None:
    shipped = json.loads((FOLDER / FILE_NAME).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(shipped)
    assert shipped == space_schema(), f"pcdarts-tune spaces --schema > search_spaces/{FILE_NAME}"


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_shipped_spaces_fit_and_name_it(path: Path) -> None:
    assert f"{LINE}{FILE_NAME}" in path.read_text(encoding="utf-8").splitlines()[:2]
    assert mistakes(read_yaml(path.read_bytes(), path.name)[0]) == []
    # with every value filled in, as `spaces NAME` prints it
    assert mistakes(load_space(path.stem).model_dump(mode="json")) == []


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_marked_as_the_command_does(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\n{text}\n", encoding="utf-8")
    assert mistakes(read_yaml(path.read_bytes(), "mine.yaml")[0])
    with pytest.raises(UserError):
        load_space(path)


def test_amounts_with_units_fit() -> None:
    assert mistakes({"name": "mine", "constraints": {"max_macs": "600M", "max_params": 4}}) == []


def test_a_printed_space_leads_an_editor_to_the_schema(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["spaces", "quickstart"]) == 0
    printed = capsys.readouterr().out
    first = printed.splitlines()[0]
    assert first.startswith(f"{LINE}file://") and " " not in first.removeprefix(LINE)
    path = Path(url2pathname(first.removeprefix(f"{LINE}file://")))
    assert json.loads(path.read_text(encoding="utf-8")) == space_schema()
    (tmp_path / "mine.yaml").write_text(printed, encoding="utf-8")
    assert load_space(tmp_path / "mine.yaml") == load_space("quickstart")
    assert run(["spaces", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == space_schema()
    assert run(["spaces", "quickstart", "--schema"]) == 2
    assert "of all spaces" in capsys.readouterr().err
