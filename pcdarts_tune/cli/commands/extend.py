"""`pcdarts-tune extend`: give a sweep more trials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pcdarts_tune.api.options import parse_more
from pcdarts_tune.cli import completing, options
from pcdarts_tune.cli.option_groups import run_options
from pcdarts_tune.home import Where

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.runner import RunSettings


class More(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in click 8.5
    """`+16`: so many more; `48`: so many in all."""

    name = "trials"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[bool, int]:
        try:
            return parse_more(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("extend")
@click.argument("sweep", shell_complete=completing.sweeps)
@click.option(
    "--trials", type=More(), required=True, metavar="+N", help="+16: so many more; 48: so many in all."
)
@options.data
@run_options
@options.sweep_store
@options.output
def command(
    sweep: str, trials: tuple[bool, int], data: Path | None, run: RunSettings, where: Where, as_json: bool
) -> int:
    """Give SWEEP more trials and run them; the sampler knows the old ones.

    With --json, at the end what `leaderboard --json` prints.

    \b
    Example:
      pcdarts-tune extend first --trials +16
    """
    from pcdarts_tune.api.running import extend_sweep
    from pcdarts_tune.sweeps.launch import run_to_the_end
    from pcdarts_tune.sweeps.sweep import open_sweep

    handle = open_sweep(where, sweep)
    images = extend_sweep(handle, trials, run, data)
    return run_to_the_end(handle, run, images, as_json=as_json)
