"""The reference of commands, made from click's tree, and that of Python names, which autodoc fills."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import click

SPECIAL = re.compile(r"([*_<>\[\]{}|#$~])")


def commands_page() -> str:
    """MyST of all commands by section, as `--help` groups them."""
    from pcdarts_tune.cli.group import COMMANDS, cli

    lines = ["# Commands", "", "What `pcdarts-tune COMMAND --help` prints, of every command.", ""]
    with click.Context(cli, info_name="pcdarts-tune") as parent:
        for section, names in COMMANDS.items():
            lines += [f"## {section}", ""]
            for name in names:
                command = cli.get_command(parent, name)
                assert command is not None
                lines += _command(command, parent)
    return "\n".join(lines)


def _command(command: click.Command, parent: click.Context) -> Iterator[str]:
    with click.Context(command, parent, info_name=command.name) as ctx:
        usage = " ".join(command.collect_usage_pieces(ctx))
        yield from (f"### {command.name}", "", "```text", f"{ctx.command_path} {usage}", "```", "")
        for block in (command.help or "").strip().split("\n\n"):
            yield from _paragraph(block)
        for parameter in command.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                yield from (f"`{record[0]}`", f": {_escaped(' '.join(record[1].split()))}", "")


def _paragraph(block: str) -> list[str]:
    """A paragraph of a help text; those that begin with a backspace keep their lines."""
    lines = block.splitlines()
    if lines[0].strip() != "\b":
        return [_escaped(" ".join(line.strip() for line in lines)), ""]
    return [lines[1].strip(), "", "```sh", *(line.strip() for line in lines[2:]), "```", ""]


def _escaped(text: str) -> str:
    """The text with the signs that Markdown reads escaped, but for code between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return SPECIAL.sub(r"\\\1", text).replace("`", "\\`")
    return "`".join(part if at % 2 else SPECIAL.sub(r"\\\1", part) for at, part in enumerate(parts))


def names_page(title: str, package: str, intro: str) -> str:
    """MyST that lets autodoc document the names that the package lists in `__all__`."""
    found = importlib.import_module(package)
    parts = [f"# {title}", "", intro, ""]
    for name in sorted(found.__all__, key=str.lower):
        kind = "class" if isinstance(getattr(found, name), type) else "function"
        if isinstance(getattr(found, name), type) and issubclass(getattr(found, name), BaseException):
            kind = "exception"
        members = ["   :members:"] * (kind == "class")
        parts += [f"## {name}", "", "```{eval-rst}", f".. auto{kind}:: {package}.{name}", *members, "```", ""]
    return "\n".join(parts)


def api_page(title: str, package: str, intro: str) -> str:
    """MyST that lets autodoc document every public module of the package."""
    parts = [f"# {title}", "", intro, ""]
    for name in _modules(package):
        parts += [f"## {name}", "", "```{eval-rst}", f".. automodule:: {name}", "   :members:", "```", ""]
    return "\n".join(parts)


def _modules(package: str) -> list[str]:
    found = importlib.import_module(package)
    below = pkgutil.walk_packages(found.__path__, f"{package}.")
    return [package, *(info.name for info in below if "._" not in info.name)]
