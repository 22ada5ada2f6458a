"""What README and docs say is legal: commands and their options, settings, scripts, Python, YAML. tests/whole runs them."""

from __future__ import annotations

import ast
import builtins
import re
import tomllib
from pathlib import Path

import click
import pytest
import yaml
from support.documents import PLACEHOLDER, ROOT, Block, blocks, commands, inline_spans, pages, shell_lines

from pcdarts_tune.cli.group import NAMES, cli
from pcdarts_tune.spaces.load import load_space, read_space
from pcdarts_tune.spaces.settings import parse_settings

MORE = ["CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md", "CHANGELOG.md"]
"""Pages whose commands are checked and not run."""


def parse(words: tuple[str, ...] | list[str]) -> click.Context:
    """What click makes of a command; it is not run."""
    command = cli.get_command(click.Context(cli), words[0])
    if command is None:
        raise click.UsageError(f"no such command {words[0]}")
    return command.make_context(words[0], list(words[1:]))


def checked(words: tuple[str, ...] | list[str], place: str) -> click.Context | None:
    """The same; files need not be there."""
    try:
        return parse(words)
    except click.BadParameter as error:
        assert "does not exist" in str(error), f"{place}: {' '.join(words)}: {error.format_message()}"
    except click.ClickException as error:
        pytest.fail(f"{place}: {' '.join(words)}: {error.format_message()}")
    return None


def of_language(page: str, *languages: str) -> list[Block]:
    return [block for block in blocks(page) if block.language in languages]


def test_readme_is_short_and_begins_with_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    first = blocks("README.md")[0]
    assert first.line < 20
    assert len(first.text.splitlines()) == 2
    assert "pcdarts-tune sweep --space quickstart --trials 4" in first.text


@pytest.mark.parametrize("page", pages() + MORE)
def test_commands_are_legal(page: str) -> None:
    for block in of_language(page, "sh", "bash"):
        for command in commands(block):
            context = checked(command.words, block.place)
            if context is not None and "settings" in context.params:
                parse_settings(context.params["settings"])
    for span in inline_spans(page):
        words = span.removeprefix("uv run ").split()
        if words[0] == "pcdarts-tune" and len(words) > 1 and not PLACEHOLDER.search(span):
            checked(words[1:], page)
        elif words[0] in NAMES:
            known = {name for parameter in parse_options(words[0]) for name in parameter}
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert flags <= known | {"--help"}, f"{page}: {span}"


def parse_options(name: str) -> list[list[str]]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return [parameter.opts + parameter.secondary_opts for parameter in command.params]


@pytest.mark.parametrize("page", pages())
def test_settings_of_commands_are_legal_in_their_space(page: str, tmp_path: Path) -> None:
    for block in of_language(page, "sh", "bash"):
        for command in commands(block):
            context = checked(command.words, block.place)
            space = context.params.get("space") if context is not None else None
            if context is not None and space and not space.endswith(".yaml"):
                read_space(space, context.params.get("settings", ()))


@pytest.mark.parametrize("page", pages() + MORE)
def test_scripts_exist_and_take_their_options(page: str) -> None:
    for block in of_language(page, "sh", "bash"):
        for words in shell_lines(block):
            # a plug-in is its reader's
            given = {words[at + 1] for at, word in enumerate(words[:-1]) if word == "--plugin"}
            named = [word for word in words if re.fullmatch(r"[\w/.]+\.py", word) and word not in given]
            script = next(iter(named), None)
            if script is not None:
                source = (ROOT / script).read_text(encoding="utf-8")
                if script != "cli.py":
                    flags = [word for word in words if word.startswith("--")]
                    support = "".join(
                        p.read_text(encoding="utf-8") for p in (ROOT / "tests/support").rglob("*.py")
                    )
                    assert all(f'"{flag}"' in source + support for flag in flags), f"{block.place}: {flags}"


@pytest.mark.parametrize("page", pages())
def test_python_is_legal_and_defines_its_names(page: str) -> None:
    before: set[str] = set()
    for block in of_language(page, "python"):
        nodes = list(ast.walk(ast.parse(block.text, block.place)))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        known = {node.id for node in names if isinstance(node.ctx, ast.Store)} | set(vars(builtins))
        known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                known |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                known.add(node.name)
            if isinstance(node, ast.ExceptHandler) and node.name:
                known.add(node.name)
        assert {node.id for node in names} <= known | before, block.place
        if page == "docs/python.md":  # one script
            before |= known


@pytest.mark.parametrize("page", pages())
def test_spaces_are_legal(page: str, tmp_path: Path) -> None:
    for block in of_language(page, "yaml"):
        found = yaml.safe_load(block.text) or {}
        if "tune" in found:
            path = tmp_path / "whole.yaml"
            path.write_text(block.text, encoding="utf-8")
            load_space(str(path))


def test_what_github_reads_is_whole() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    for name in ("bug", "question"):
        path = ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml"
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        assert {part["type"] for part in form["body"]} <= {"markdown", "textarea", "checkboxes"}
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(set(ids)) == len(ids)
