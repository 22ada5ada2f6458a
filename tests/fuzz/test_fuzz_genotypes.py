"""Bad genotype files: published cells, mutated, and files that are none. Drawn, or refused; never waited for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fuzzing import TITLE, fuzz, run_command, well_told, wrong_json

from pcdarts_tune.core.genotype import PUBLISHED, Genotype

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 7, 1.0, 1e308, 10**30, "", "none", "skip_connect", "sep_conv_3x3", "sep_conv_9x9", "0",
    [], {}, [[]], [["sep_conv_3x3", 0]], [["sep_conv_3x3", 0], ["sep_conv_3x3", 1]] * 40, ["sep_conv_3x3", "0"], {"normal": 1},
    TITLE, "x" * 3000, [0, 1, 2, 3], [2, 2], [[0, 1]], float("nan"), float("inf"), {"genotype": {}}, "é", "../../etc/passwd",
)  # fmt: skip
TEXTS = (
    "", " ", "{", "[]", "null", "NaN", '"PC_DARTS_cifar"', "[" * 100_000, '{"a":' * 50_000, "1" * 10_000, "-", "{'normal': []}",
    "\ufeff{}", "// {}\n{}", '{"normal": 1, "normal": 2}', "\x00", "cos\nsystem\n(S'touch run'\ntR.",
    '{"normal": [[' + "9" * 5000 + "]]}",
)  # fmt: skip


@st.composite
def mutated(draw: Callable[..., Any]) -> bytes:
    if draw(st.integers(0, 7)) == 0:
        return draw(st.sampled_from(TEXTS)).encode()
    text = json.dumps(draw(wrong_json(PUBLISHED[draw(st.sampled_from(sorted(PUBLISHED)))].to_dict(), ODD)))
    match draw(st.integers(0, 9)):
        case 0:
            text = text[: draw(st.integers(0, len(text)))]
        case 1:
            place = draw(st.integers(0, len(text)))
            text = text[:place] + draw(st.text(max_size=3)) + text[place:]
    content = text.encode("utf-8", "surrogatepass")
    others = [text.encode("utf-16", "surrogatepass"), content + b"\xff", b"PK\3\4" + content]
    return draw(st.sampled_from([content] * 12 + others))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("genotypes")
    (place / "taken").mkdir()
    (place / "taken" / "file").touch()
    return place


@fuzz(110)
@given(content=mutated(), by=st.sampled_from(["draw", "draw", "retrain"]))
def test_a_mutated_genotype_is_drawn_or_refused(place: Path, content: bytes, by: str) -> None:
    file, picture = place / "genotype.json", place / "cells.svg"
    file.write_bytes(content)
    words = {
        "draw": ["draw", str(file), "-o", str(picture)],
        # the folder is taken: nothing is trained whatever the genotype is
        "retrain": ["retrain", str(file), "--space", "quickstart", "-o", str(place / "taken"), "--no-track"],
    }[by]
    said = run_command([*words, "--home", str(place / "home")])
    well_told(said, legal=(0, 2))
    if said.code == 0:
        assert picture.read_text(encoding="utf-8").endswith("</svg>\n"), "whole"
        picture.unlink()
        Genotype.from_dict(
            json.loads(content)["genotype"] if "genotype" in json.loads(content) else json.loads(content)
        )
    elif "taken" not in said.err:
        assert "genotype.json" in said.err
    assert sorted(os.listdir(place)) in (["genotype.json", "taken"], ["genotype.json", "home", "taken"])


ARCH = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"


@st.composite
def mutated_strings(draw: Callable[..., Any]) -> str:
    text = ARCH
    for _ in range(draw(st.integers(0, 3))):
        start, end = sorted(draw(st.integers(1, len(text))) for _ in range(2))
        pieces = [
            "",
            "|",
            "~",
            "+",
            "none~0|",
            "9",
            "~-1",
            "²",
            text[start:end] * 3,
            "x" * 2000,
            "\n",
            "\x1b[31m",
        ]
        text = text[:start] + draw(st.sampled_from(pieces)) + text[end:]
    return text


@fuzz(60)
@given(text=mutated_strings(), by=st.sampled_from(["draw", "show", "predict"]))
def test_a_mutated_string_of_a_cell_is_drawn_or_refused(place: Path, text: str, by: str) -> None:
    picture = place / "cells.svg"
    words = {"draw": ["-o", str(picture)], "show": [], "predict": ["no-image.png"]}[by]
    said = run_command([by, text, *words, "--home", str(place / "home")])
    well_told(said, legal=(0, 2))
    if said.code == 0 and by == "draw":
        assert picture.read_text(encoding="utf-8").endswith("</svg>\n"), "whole"
        picture.unlink()


@pytest.mark.parametrize("command", ["draw", "retrain", "show", "diff"])
@pytest.mark.parametrize(
    "kind",
    ["fifo", "folder", "link to itself", "link to nothing", "device", "not to be read", "a name too long"],
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, command: str) -> None:
    file = tmp_path / "odd.json"
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "not to be read":
        file.write_text("{}")
        file.chmod(0)
    elif kind == "a name too long":
        file = tmp_path / ("x" * 300)
    else:
        file.symlink_to(
            {"link to itself": file, "link to nothing": tmp_path / "no", "device": "/dev/zero"}[kind]
        )
    words = {
        "draw": ["draw", str(file), "-o", str(tmp_path / "cells.svg")],
        "retrain": ["retrain", str(file), "-o", str(tmp_path / "model"), "--no-track"],
        "show": ["show", str(file)],
        "diff": ["diff", str(file), "PC_DARTS_cifar"],
    }[command]
    said = run_command([*words, "--home", str(tmp_path / "home")], seconds=20)
    well_told(said, legal=(2,))


@pytest.mark.parametrize(
    "where",
    ["no/such/folder/cells.svg", "folder", "cells", "cells.txt", "/proc/cells.svg", "x" * 300 + ".svg"],
)
def test_a_picture_that_cannot_be_written(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    said = run_command(
        ["draw", "PC_DARTS_cifar", "-o", str(tmp_path / where), "--home", str(tmp_path / "home")]
    )
    well_told(said, legal=(0, 1, 2) if "no/such" in where else (1, 2))
