"""Bad search spaces: shipped ones, mutated, and files that are none. A space is taken and read again the same, or refused
with the place of each mistake; nothing in it is ever built or run.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import TITLE, fuzz, run_command, well_told

from pcdarts_tune.spaces.load import load_space

SHIPPED = Path(__file__).resolve().parents[2] / "search_spaces"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.yaml"))}

VALUES = (
    "", "~", "null", "true", "no", "0", "-1", "1", "1.5", "1e3", "1e999", "-.inf", ".nan", "0x1F", "9" * 30, "9" * 400, "é日本",
    "'", '"', '"\\x1b]0;pwned\\x07"', '"\\UFFFFFFFF"', '"\\ud800"', "[1, [2, [3]]]", "{a: {b: {c: 1}}}", "[" * 60, "{a: " * 60,
    "&a 1", "*a", "<<: *a", "!!python/object/apply:os.system ['touch run']", "!!python/name:os.system", "!!binary aGk=", "!x 1",
    "? complex", "- a", "a: b: c", "%YAML 1.1", "---", "...", "\t", "\u2028", "\x07", "2001-01-01", "12:30:45", "{type: float}",
    "{type: int, low: 5, high: 1}", "{type: categorical, choices: []}", "{type: categorical, choices: [1, 1]}", "cifar11",
    "{type: conditional, by: search.epochs, ranges: {1: {type: int, low: 1, high: 2}}}", "{type: float, low: 1, high: 2, log: 3}",
    "{type: conditional, by: supernet.k, ranges: {4: {type: float, low: .1, high: .2}}}", "{type: int, low: 1, high: 99999999}",
    "{type: categorical, choices: [" + ", ".join(map(str, range(1500))) + "]}", "x" * 3000,
)  # fmt: skip
KEYS = (
    "tune",
    "search.epochs",
    "supernet",
    "k",
    "<<",
    "__class__",
    "name",
    "*",
    "1",
    "true",
    "~",
    "é",
    "a" * 300,
    "",
)


@st.composite
def mutated(draw: Callable[..., Any]) -> bytes:
    """A shipped space with one to four things wrong: values, keys, lines, characters, bytes."""
    lines = draw(st.sampled_from(sorted(TEXTS.values()))).splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        match draw(st.integers(0, 8)):
            case 0 | 1 | 2:  # another value
                lines[at] = re.sub(
                    r":( [^,}{\n]*|$)",
                    lambda _: f": {draw(st.sampled_from(VALUES))}",
                    line,
                    count=draw(st.integers(1, 3)),
                )
            case 3:  # another key
                lines[at] = re.sub(r"[\w.]+:", lambda _: f"{draw(st.sampled_from(KEYS))}:", line, count=1)
            case 4:
                lines.insert(
                    at,
                    draw(
                        st.sampled_from(
                            [line, f"{draw(st.sampled_from(KEYS))}: {draw(st.sampled_from(VALUES))}"]
                        )
                    ),
                )
            case 5:
                lines[at] = draw(st.sampled_from(["\t", " ", "      ", "- "])) + line
            case 6:
                lines[at] = line[: draw(st.integers(0, max(0, len(line) - 1)))]
            case 7:
                lines[at : at + draw(st.integers(1, 3))] = [""]
            case _:
                place = draw(st.integers(0, len(line)))
                lines[at] = line[:place] + draw(st.text(max_size=3)) + line[place:]
    text = "\n".join(lines)
    if draw(st.integers(0, 19)) == 0:
        text += draw(
            st.sampled_from(
                ["\na: &x [" + "*x, " * 50 + "]", "\nz: |\n" + "  y\n" * 70_000, "\n" + "a: {" * 2000]
            )
        )
    content = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(content)))
        content = content[:place] + draw(st.binary(min_size=1, max_size=4)) + content[place:]
    return draw(st.sampled_from([content] * 20 + [text.encode("utf-16"), b"\xef\xbb\xbf" + content]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spaces")


@fuzz(150)
@given(content=mutated())
def test_a_mutated_space_is_taken_or_refused_with_its_line(folder: Path, content: bytes) -> None:
    file = folder / "mine.yaml"
    file.write_bytes(content)
    said = run_command(["spaces", str(file)])
    well_told(said, legal=(0, 2))
    assert os.listdir(folder) == ["mine.yaml"], "nothing is written, and nothing in the file runs"
    if said.code == 2:
        assert str(file) in said.err
        return
    (folder / "again.yaml").write_text(said.out, encoding="utf-8")
    try:
        assert load_space(folder / "again.yaml") == load_space(file), "what is printed is that space"
        json.loads(run_command(["spaces", str(file), "--json"]).out)
    finally:
        (folder / "again.yaml").unlink()


@pytest.mark.parametrize(
    "kind", ["fifo", "folder", "link to itself", "link to nothing", "device", "empty", "too large"]
)
def test_what_is_no_file_of_text_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "odd.yaml"
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "empty":
        file.touch()
    elif kind == "too large":
        file.write_text("a: 1\n" * 100_000)
    else:
        file.symlink_to(
            {"link to itself": file, "link to nothing": tmp_path / "no", "device": "/dev/zero"}[kind]
        )
    said = run_command(["spaces", str(file)], seconds=20)
    well_told(said, legal=(2,))
    assert str(file) in said.err


def test_a_description_cannot_steer_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text('name: mine\ndescription: "red \\x1b]0;pwned\\x07 \\x1b[2J \\u202e end"\n')
    said = run_command(["spaces", str(file)], terminal=True)
    assert said.code == 0
    assert TITLE not in said.out + said.err
    assert "\x1b[2J" not in said.out
    assert "\u202e" not in said.out
    (tmp_path / "again.yaml").write_text(said.out)
    assert load_space(tmp_path / "again.yaml") == load_space(file)


@fuzz(60)
@given(
    key=st.sampled_from(
        ["search.epochs", "supernet.k", "tune.supernet.k", "tune", "data.held_out", "name", "nodes", ""]
    ),
    value=st.one_of(st.sampled_from(VALUES), st.text(max_size=20)),
    by=st.sampled_from(["--set", "environment"]),
)
def test_any_setting_is_taken_or_refused(folder: Path, key: str, value: str, by: str) -> None:
    setting = f"{key}={value}"
    words = ["search", "--space", "quickstart", "--data", "/nowhere/at/all", "--home", str(folder / "home")]
    with pytest.MonkeyPatch.context() as patch:
        if by == "--set":
            words += ["--set", setting]
        else:
            if "\0" in setting or any("\ud800" <= letter <= "\udfff" for letter in setting):
                return  # no environment holds these
            patch.setenv("PCDARTS_TUNE_SET", setting)
        said = run_command(words)
    well_told(said, legal=(2,))
    assert not (folder / "home").exists()
