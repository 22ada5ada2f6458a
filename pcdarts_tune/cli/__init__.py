"""The command line: one module a command, and the options, tables and messages that they share. It may import every other
folder; no folder imports it."""

from pcdarts_tune.cli.group import COMMANDS, cli, main, run

__all__ = ["COMMANDS", "cli", "main", "run"]
