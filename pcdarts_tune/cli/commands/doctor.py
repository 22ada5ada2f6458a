"""`pcdarts-tune doctor`: whether everything is there that a sweep needs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pcdarts_tune.cli import completing, options
from pcdarts_tune.home import Where

_MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


@click.command("doctor")
@click.option(
    "--space",
    metavar="NAME|FILE",
    shell_complete=completing.spaces,
    help="Check this space too, and the images it names.",
)
@options.data
@click.option("--address", metavar="ADDR", help="Ray cluster to look for: HOST:PORT, or auto.")
@click.option(
    "--ray", is_flag=True, help="Start Ray (or join it at --address) and run a task; takes some seconds."
)
@options.study
@options.output
def command(
    space: str | None, data: Path | None, address: str | None, ray: bool, where: Where, as_json: bool
) -> int:
    """Look whether everything is there that a sweep needs: versions, GPU and driver, cores and memory (also of a
    container), shared memory, home folder and disk, MLflow's store and the studies, Ray, and with --space or --data the
    images. Nothing is written. What is not well says what to do; the exit code is 1 when something fails.

    With --json, one object: {"ok", "checks": [{"name", "status": "ok"|"warn"|"fail", "said", "do"}]}.

    \b
    Example:
      pcdarts-tune doctor
      pcdarts-tune doctor --space cifar10 --data photos --ray
    """
    from pcdarts_tune.doctor.examine import Scope, examine

    checks = []
    for check in examine(Scope(where, space, data, address, ray)):
        checks.append(check)
        if not as_json:
            click.echo(f"{_MARKS[check.status]}  {check.name}: {check.finding}")
            if check.advice:
                click.echo(f"      -> {check.advice}")
    failed = sum(check.status == "fail" for check in checks)
    if as_json:
        click.echo(json.dumps({"ok": not failed, "checks": [check.to_dict() for check in checks]}))
    else:
        warned = sum(check.status == "warn" for check in checks)
        click.echo(f"{len(checks) - failed - warned} ok, {warned} to look at, {failed} failed")
    return 1 if failed else 0
