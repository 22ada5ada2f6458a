"""The file of cells, and recipes: what is read, and what is said of what cannot be."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from support.calibrating import some_cells, write_cells

from pcdarts_tune.calibration.cells import read_cells
from pcdarts_tune.calibration.recipes import read_recipes
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.errors import UserError

STRING = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"
OTHER = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_1x1~2|"


def error_of(path: Path, text: str, truth: str | None = None) -> str:
    """What is said of a file."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_cells(path, truth)
    return str(caught.value)


def test_pairs_in_csv_plain_and_packed(tmp_path: Path) -> None:
    cells = some_cells(6)
    file = write_cells(tmp_path / "cells.csv", cells, "test_e600")
    assert sorted(read_cells(file), key=lambda cell: cell.name) == cells
    packed = tmp_path / "cells.csv.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert read_cells(packed) == read_cells(file)


def test_a_larger_limit_only_adds(tmp_path: Path) -> None:
    file = write_cells(tmp_path / "cells.csv", some_cells(9))
    assert read_cells(file, limit=4) == read_cells(file, limit=7)[:4] == read_cells(file)[:4]


def test_json_with_genotypes_names_and_strings(tmp_path: Path) -> None:
    rows = [
        {"genotype": PUBLISHED["DARTS_V1"].to_dict(), "accuracy": 97.0, "cell": "first"},
        {"genotype": "PC_DARTS_cifar", "accuracy": 97.4, "cell": "second"},
        {"genotype": STRING, "accuracy": 94.0, "cell": "third"},
    ]
    file = tmp_path / "cells.json"
    file.write_text(json.dumps(rows))
    found = {cell.name: cell for cell in read_cells(file)}
    assert found["first"].genotype == PUBLISHED["DARTS_V1"]
    assert found["second"].truth == 97.4
    assert found["third"].genotype.to_dict() != found["first"].genotype.to_dict()


def test_the_mean_of_columns_and_of_rows(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(f"index,arch,s0,s1\n0,{STRING},90,92\n1,{OTHER},80,\n2,{STRING},96,98\n")
    found = {cell.name: cell.truth for cell in read_cells(file, "s0,s1")}
    assert sorted(found.values()) == [80, 94]
    with pytest.raises(UserError, match="columns of numbers: s0"):
        file.write_text(f"arch,s0,s1\n{STRING},90,92\n{OTHER},80,81\n")
        read_cells(file)


@pytest.mark.parametrize(
    ("text", "truth", "expected"),
    [
        ("", None, "holds no cells"),
        ("a,b\n1,2\n", None, ":2: no column holds a cell; there are a, b"),
        (f"arch,accuracy\n{STRING},1\nrubbish,2\n", None, ":3: 'rubbish' is no genotype"),
        (f"arch,accuracy\n{STRING},1\n{OTHER}\n", None, ":3: 1 values, and 2 columns"),
        (f"arch,accuracy\n{STRING},1\n{OTHER},nan\n", None, ":3: accuracy is 'nan', not a finite number"),
        (f"arch,accuracy\n{STRING},1\n{OTHER},2\n", "acuracy", "did you mean 'accuracy'"),
        (f"arch,accuracy\n{STRING},1\n", None, "1 cell cannot be ranked"),
        (f"cell,arch,accuracy\nx,{STRING},1\nx,{OTHER},2\n", None, "two different cells are called 'x'"),
        ("normal,reduce,accuracy\nsep_conv_3x3 0,skip_connect:1,3\n" * 2, None, "not operation:input"),
        ("normal,reduce,accuracy\nconv:0 conv:1,conv:0 conv:1,3\nx,y,4\n", None, "conv"),
        ('[{"genotype": {}, "accuracy": 1}, 5]', None, "item 2 is no object"),
        ('[{"genotype": {}, "accuracy": 1}, {"genotype": {}, "accuracy": 2}]', None, "item"),
        ('[{"genotype"', None, ":1: not JSON"),
        ("{}", None, "a list of objects is needed"),
        ("arch,arch\n", None, ":1: columns need names"),
        ('arch,accuracy\n"x,1\n', None, "not CSV"),
    ],
)
def test_mistakes_are_found_with_their_place(
    tmp_path: Path, text: str, truth: str | None, expected: str
) -> None:
    assert expected in error_of(tmp_path / "cells.csv", text, truth)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_cells(tmp_path / "no.csv")
    torn = tmp_path / "torn.csv.gz"
    torn.write_bytes(gzip.compress(b"arch,accuracy\n" * 100)[:40])
    with pytest.raises(UserError, match="cannot be unpacked"):
        read_cells(torn)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"arch,accuracy\n\xe9,1\n")
    with pytest.raises(UserError, match=":2: not UTF-8"):
        read_cells(latin)


def test_recipes_from_a_file_and_from_options(tmp_path: Path) -> None:
    file = tmp_path / "recipes.yaml"
    file.write_text(
        "now: {}\nlong: {evaluation.epochs: 20}\nsmall:\n  evaluation: {channels: 4, augment: {cutout: 2}}\n"
    )
    given = ["both:evaluation.epochs=3,evaluation.channels=6"]
    recipes = {
        each.name: each
        for each in read_recipes("quickstart", ["evaluation.layers=4"], file=file, given=given)
    }
    assert list(recipes) == ["now", "long", "small", "both"]
    assert recipes["long"].space.evaluation.epochs == 20
    assert recipes["small"].settings == {"evaluation.channels": 4, "evaluation.augment.cutout": 2}
    assert recipes["both"].space.evaluation.channels == 6
    assert {each.space.evaluation.layers for each in recipes.values()} == {4}
    assert [each.settings for each in read_recipes("quickstart")] == [{}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("long: {evaluation.epoch: 3}\n", "recipes.yaml:1: evaluation.epoch: unknown key"),
        (
            "now: {}\nlong:\n  search.epochs: 3\n",
            "recipes.yaml:3: search.epochs: a recipe changes evaluation",
        ),
        ("now: {}\nlong: 3\n", "recipes.yaml:2: long is not a mapping"),
        ("- now\n", "recipes are a mapping of names"),
        ("now: {}\nnow: {}\n", "recipes.yaml:2: 'now' again"),
        ("'a b': {}\n", "recipes.yaml:1: 'a b' cannot name a recipe"),
    ],
)
def test_mistakes_in_a_file_of_recipes(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "recipes.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_recipes("quickstart", file=file)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["evaluation.epochs=3"], "not NAME:KEY=VALUE"),
        (["a:evaluation.epochs=3", "a:"], "there is a recipe 'a' already"),
        (["a:evaluation.epochs=x"], "--recipe a: evaluation.epochs=x"),
        (["a:supernet.k=2"], "a recipe changes evaluation"),
    ],
)
def test_mistakes_in_options_of_recipes(given: list[str], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        read_recipes("quickstart", given=given)
    assert expected in str(caught.value)
