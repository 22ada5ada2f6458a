"""`pcdarts-tune completion`: words completed in the shell."""

from __future__ import annotations

import os
from pathlib import Path

import click

from pcdarts_tune.cli import options
from pcdarts_tune.say import say

_INSTALL = {
    "bash": 'eval "$(pcdarts-tune completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(pcdarts-tune completion zsh)" in ~/.zshrc, after compinit',
    "fish": "pcdarts-tune completion fish > ~/.config/fish/completions/pcdarts-tune.fish",
}


@click.command("completion")
@click.argument("shell", required=False, type=options.NearestChoice(["bash", "zsh", "fish"]))
@options.verbosity
def command(shell: str | None) -> None:
    """Print the script that completes commands, options, and names of sweeps, spaces, models and published genotypes
    in SHELL: bash, zsh or fish; without SHELL, the one in $SHELL.

    \b
    Example:
      eval "$(pcdarts-tune completion bash)"
      pcdarts-tune completion fish > ~/.config/fish/completions/pcdarts-tune.fish
    """
    from click.shell_completion import ShellComplete, get_completion_class

    from pcdarts_tune.cli.group import cli

    chosen = shell or Path(os.environ.get("SHELL", "")).name
    kind = get_completion_class(chosen) if chosen in _INSTALL else None
    if kind is None:
        given = chosen or "not set"
        raise click.UsageError(f"which shell? $SHELL is {given}; give one of {', '.join(_INSTALL)}")
    # past bash's own source(), which starts a bash to ask for its version; cli.main reads the variable
    click.echo(ShellComplete.source(kind(cli, {}, "pcdarts-tune", "_PCDARTS_TUNE_COMPLETE")))
    say(f"to keep it: {_INSTALL[chosen]}")
