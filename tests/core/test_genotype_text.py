"""The text of a genotype that DARTS repositories print: in, out, and what is wrong with it, by line and column."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcdarts_tune.core.cells.text import parse_call
from pcdarts_tune.core.genotype import PUBLISHED, Genotype, random_genotype, read_genotype, to_text

PC = PUBLISHED["PC_DARTS_cifar"]
NORMAL = (
    "[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)]"
)
REDUCE = (
    "[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), "
    "('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)]"
)
CALL = f"Genotype(normal={NORMAL}, normal_concat=range(2, 6), reduce={REDUCE}, reduce_concat=range(2, 6))"
MANY_LINES = CALL.replace(", (", ",\n      (").replace("), normal", "),\n  normal").replace("'", '"')
FORMS = (
    CALL,
    f"PC_DARTS_cifar = {CALL}",
    f"genotypes.{CALL}\n",
    f"utils.genotypes.{CALL}",
    CALL.replace("range(2, 6)", "[2, 3, 4, 5]"),
    CALL.replace("range(2, 6)", "(2,3,4,5,)"),
    CALL.replace("range(2, 6)", "list(range(2, 6))"),
    f"Genotype({NORMAL}, range(2, 6), {REDUCE}, [2, 3, 4, 5])",
    MANY_LINES,
    f"06/12 11:20:31 PM genotype = {CALL}",
    f"# Results\nThe best cell (see the log):\n```python\nPC_DARTS = {MANY_LINES}  # 2.57 %\n```\nIt has 3.6M (parameters).\n",
    f"from collections import namedtuple\nGenotype = namedtuple('Genotype', 'normal normal_concat')\nX = {CALL}\n",
)


@pytest.mark.parametrize("text", FORMS)
def test_the_forms_that_repositories_print(text: str) -> None:
    assert read_genotype(text) == PC


@given(st.integers(0, 10_000), st.integers(1, 7))
def test_what_is_written_is_read_again(seed: int, nodes: int) -> None:
    genotype = random_genotype(seed, nodes=nodes)
    assert "\n" not in to_text(genotype)
    assert read_genotype(to_text(genotype)) == genotype
    # and is Python, of which the named tuple of the published code is made
    assert Genotype.from_dict(eval(to_text(genotype), {"Genotype": dict})) == genotype
    string = random_genotype(seed, family="nasbench201")
    assert read_genotype(to_text(string)) == string


def test_published_cells_are_written_as_they_were_published() -> None:
    assert to_text(PC) == CALL
    for name, genotype in PUBLISHED.items():
        assert read_genotype(f"{name} = {to_text(genotype)}") == genotype, name
    assert "normal_concat=[4, 5, 6]" in to_text(PUBLISHED["AmoebaNet"]).replace("range(4, 7)", "[4, 5, 6]")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("('skip_connect', 0)", "('skip_connect', x)"), r"line 1, column 56: a field is a list"),
        (("'skip_connect', 0", "'skip_connect' 0"), r"line 1, column \d+: not a genotype: "),
        (("range(2, 6), reduce", "range(2, 10**9), reduce"), r"line 1, column \d+: a field"),
        (("range(2, 6), reduce", "range(2, 10000), reduce"), r"column \d+: a range of at most 200"),
        (("range(2, 6), reduce", "range('2'), reduce"), r"column \d+: a range of at most 200"),
        (("range(2, 6), reduce", "__import__('os').system('touch run'), reduce"), r"column \d+: a field is"),
        (("range(2, 6), reduce", "[i for i in range(9)], reduce"), r"column \d+: a field is"),
        ((", normal_concat=range(2, 6)", ""), "missing: normal_concat"),
        ((", reduce=", ", normal="), r"line 1, column \d+: normal is given twice"),
        (("reduce_concat=range(2, 6)", "reduce_concat=range(2, 6), name=''"), "unknown: name"),
        (("reduce_concat=range(2, 6)", "reduce_concat=range(2, 9)"), r"reduce_concat must list .* 0\.\.5"),
        (("'sep_conv_5x5', 2", "'sep_conv_5x4', 2"), r"reduce\[3\].*did you mean 'sep_conv_5x5'"),
        (("range(2, 6))", "range(2, 6), **more)"), r"column \d+: \*\* is given twice, or is no field"),
        (("range(2, 6))", "range(2, 6)"), r"line 1, column \d+: not a genotype: '\(' was never closed"),
    ],
)
def test_mistakes_are_named_with_their_place(change: tuple[str, str], says: str) -> None:
    before, _, after = CALL.rpartition(change[0]) if change[0].endswith("))") else CALL.partition(change[0])
    text = f"{before}{change[1]}{after}"
    assert text != CALL
    with pytest.raises(ValueError, match=says):
        read_genotype(text)
    if says.startswith("line 1, column 56"):
        with pytest.raises(ValueError, match="line 3, column 60: a field"):
            read_genotype(f"a\n\nX = {text}")


def test_several_genotypes_are_named() -> None:
    with pytest.raises(ValueError, match=r"2 genotypes \(FIRST, one without a name\); give the text of one"):
        parse_call(f"FIRST = {CALL}\nprint({CALL})")


@pytest.mark.parametrize(
    "text",
    [
        "Genotype(" + "[" * 90_000,
        "Genotype([" + "(" * 150 + ")" * 150,
        "Genotype(normal=[" + "-" * 50_000 + "1])",
        "Genotype([" + "9" * 50_000 + "])",
        "Genotype([\0])",
        "Genotype([" + "x." * 40_000 + "y])",
        "Genotype(normal=[1], **{})" + " " * 100_000,
        "x" * 99_000 + " Genotype([1])",
        "a." * 45_000 + "Genotype([1])",
    ],
)
def test_no_text_breaks_or_delays_the_reader(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_genotype(text)
    assert sys.getrecursionlimit() >= 1000


@given(st.text(max_size=30), st.integers(0, len(CALL)), st.integers(0, 20))
def test_a_mutated_text_is_read_or_refused(more: str, place: int, cut: int) -> None:
    text = CALL[:place] + more + CALL[place + cut :]
    try:
        genotype = read_genotype(text)
    except ValueError as error:
        assert str(error)
    else:
        assert read_genotype(to_text(genotype)) == genotype


def test_a_pasted_text_is_drawn_trained_exported_and_comes_back_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 13, "It must show" 4."""
    from pcdarts_tune.cli import group as cli
    from pcdarts_tune.home import Where
    from pcdarts_tune.promotion.seeds import read_baselines

    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text(FORMS[-2], encoding="utf-8")
    pasted = FORMS[1].replace("PC_DARTS_cifar", "MINE")
    for word in (pasted, "README.md"):
        assert cli.run(["draw", word, "-o", "cells.pdf", "--home", "home"]) == 0
        assert Path("cells.pdf").read_bytes().startswith(b"%PDF")
    tiny = ("channels=4", "layers=3", "epochs=1", "batch_size=128", "auxiliary=false", "drop_path=0")
    settings = [word for setting in tiny for word in ("--set", f"retrain.{setting}")]
    assert (
        cli.run(["retrain", pasted, "--space", "quickstart", "-o", "out", "--home", "home", *settings]) == 0
    )
    assert json.loads(Path("out/model.json").read_text())["origin"]["genotype"].startswith("MINE ")
    assert cli.run(["export", "out", "--format", "safetensors", "-o", "m.safetensors", "--home", "home"]) == 0
    capsys.readouterr()
    for source in ("out", "m.safetensors", "README.md"):
        assert cli.run(["show", source, "--text", "--home", "home"]) == 0
        assert capsys.readouterr().out == CALL + "\n", source
    (baseline,) = read_baselines([pasted], Where(Path("home")))[1]
    assert (baseline.name, baseline.genotype) == (f"MINE {PC.canonical_hash()[:8]}", PC), "a folder's name"
    Path("log.txt").write_text("nothing here", encoding="utf-8")
    assert cli.run(["draw", "log.txt", "-o", "cells.svg", "--home", "home"]) == 2
    Path("log.txt").write_text("a\n" + pasted[:-30], encoding="utf-8")
    assert cli.run(["draw", "log.txt", "-o", "cells.svg", "--home", "home"]) == 2
    assert "log.txt: line 2, column 376: not a genotype: '(' was never closed" in capsys.readouterr().err
