"""Genotypes that are written out: in a word of the command line, or in a file.

cells, name = read_written("PC_DARTS = Genotype(normal=[('sep_conv_3x3', 1), ...], ...)")
cells = read_cells(Path("README.md"))
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pcdarts_tune.core.cells.text import LONGEST, holds_call, parse_call
from pcdarts_tune.core.genotype import FAMILIES, AnyGenotype, read_genotype
from pcdarts_tune.errors import UserError
from pcdarts_tune.files import read_bytes, read_json

LEGAL_FOLDER = (
    "name the folder of a model, or a file: genotype JSON, or a text with Genotype(normal=[...], ...)"
)


def is_written_out(text: str) -> bool:
    """Whether the word is itself a genotype, as the text of a DARTS cell and the string of a NAS-Bench-201 cell are."""
    return any(family.recognizes(text) for family in FAMILIES.values())


def read_written(text: str) -> tuple[AnyGenotype, str]:
    """The genotype that a word is, and what to call it: a NAS-Bench-201 string itself; the name that a text gives it, and its
    hash.

    Raises:
        UserError: with line and column, or the entry that is wrong.
    """
    shown = " ".join(text.split())
    cells = parse_cells(text, shown if len(shown) <= 100 else f"{shown[:97]}...")
    if not holds_call(text):
        return cells, text
    return cells, f"{parse_call(text)[0] or 'Genotype'} {cells.canonical_hash()[:8]}"


def read_cells(path: Path) -> AnyGenotype:
    """The genotype in a file, or of the model in a folder. Raises UserError: what is wrong, with its place in the file."""
    if path.suffix == ".safetensors":
        from pcdarts_tune.models.model import load_model

        return load_model(path).genotype
    file = path / "genotype.json" if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        raise UserError(f"the folder {path} holds no genotype.json", hint=LEGAL_FOLDER)
    return parse_cells(_read_text(file) or read_json(file), str(file))


def _read_text(file: Path) -> str | None:
    """What a file says where it is no JSON and a genotype is written in it: a note, a log, a README, Python code."""
    with suppress(OSError, UserError, UnicodeDecodeError):
        text = read_bytes(file, LONGEST).decode("utf-8-sig")
        return text if text.lstrip()[:1] not in ("{", '"') and is_written_out(text) else None
    return None


def parse_cells(value: object, where: str) -> AnyGenotype:
    """The genotype that a JSON value or a text is; `where` it stands, for messages."""
    # what `search --json` and `leaderboard --json` print holds the genotype one level down
    if isinstance(value, dict) and isinstance(value.get("genotype"), dict):
        value = value["genotype"]
    try:
        return read_genotype(value)
    except ValueError as error:
        raise UserError(
            f"{where}: {error}", hint="pcdarts-tune draw PC_DARTS_cifar -o cells.svg shows what a genotype is"
        ) from None
