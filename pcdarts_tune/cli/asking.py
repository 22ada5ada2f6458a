"""Asking before something is removed.

confirm(plan.lines(), yes=yes, question="Delete this?")
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from pcdarts_tune.errors import UserError, visible


def confirm(lines: Sequence[str], *, yes: bool, question: str, as_json: bool = False) -> None:
    """Show what is going to be removed, and return where it may be: with `yes`, or when the person at the terminal agrees.

    Raises:
        UserError: there is nobody to ask.
        click.exceptions.Exit: the person does not agree.
    """
    # stdout is for results
    click.echo(visible("\n".join(lines)), err=as_json)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(
            "nothing was removed: there is no terminal to ask at", hint="--yes removes it without asking"
        )
    if not click.confirm(question, err=True):
        click.echo("nothing was removed", err=True)
        raise click.exceptions.Exit(1)
