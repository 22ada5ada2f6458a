"""One module a subcommand, each with a click command named `command`; `cli.group` imports one when it is used."""
