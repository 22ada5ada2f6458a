"""`pcdarts-tune bench`: the fast form against the textbook form, in turn in one process."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import click

from pcdarts_tune.cli import options
from pcdarts_tune.cli.option_groups import execution_options
from pcdarts_tune.home import Where
from pcdarts_tune.machine import choose_device, set_threads
from pcdarts_tune.say import verbosity
from pcdarts_tune.tasks import NAMES_OF_PRECISIONS, Execution


@click.command("bench")
@click.option(
    "--stage",
    type=options.NearestChoice(["search", "evaluate"]),
    default="search",
    show_default=True,
    help="search: an architecture and a weight step of the supernet; evaluate: a training step of PC_DARTS_cifar.",
)
@options.device
@execution_options()
@click.option(
    "--textbook-precision",
    type=options.NearestChoice(NAMES_OF_PRECISIONS),
    help="Of the textbook form.  [default: that of the fast form]",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.  [default: PyTorch's]")
@options.count("--batch", 64, "Images a step.", least=2)
@options.count("--k", 4, "K of the partial channels.")
@options.count("--channels", 16, "C of the first cell.")
@options.count("--layers", 8, "Cells.", least=3)
@options.count("--repeats", 10, "Timed steps, at most.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Time, about.",
)
@options.home
@options.output
def command(
    stage: str,
    device: str,
    execution: Execution,
    threads: int | None,
    where: Where,
    as_json: bool,
    **sizes: Any,
) -> None:
    """Time both forms of the same mathematics, one step of each in turn, and measure the peak memory of a weight step.

    The machine's other work slows both sides alike, so trust the ratio, which is the median over the pairs.
    --precision, --compile and --graphs are the fast form's; the textbook form is launched kernel by kernel.

    \b
    Example:
      pcdarts-tune bench --batch 32 --threads 1
      pcdarts-tune bench --stage evaluate --json
      pcdarts-tune bench --device cuda --batch 256 --precision bf16 --textbook-precision float32
    """
    # PyTorch's profiler, which measures memory on a CPU, announces itself on stderr otherwise
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    import torch

    from pcdarts_tune.core.benchmark import compare

    torch_device = choose_device(device)
    set_threads(threads or torch.get_num_threads())

    def note(line: str) -> None:
        if sys.stderr.isatty() and verbosity() >= 0:
            click.echo(f"\r\033[K{line}", nl=False, err=True)

    # the other options are called like what `compare` takes
    result = compare(stage, torch_device, note=note, **sizes, **execution.arguments())
    note("")
    if result["n"] < 3 and verbosity() >= 0:
        click.echo(f"only {result['n']} steps of each: too few to trust; --seconds gives more time", err=True)
    click.echo(json.dumps(result, indent=2) if as_json else _table(result))


def _table(result: dict[str, Any]) -> str:
    about = f"{result['stage']}, batch {result['batch']}, C={result['channels']}, {result['layers']} cells"
    about += f", K={result['k']}" if result["k"] is not None else ""
    where = f"{result['device_name']}, {result['threads']} threads, torch {result['torch']}"
    fast = result["fast"]
    lines = [
        about,
        where,
        f"textbook: {result['textbook']['precision']}; fast: {fast['precision']}, CUDA graphs {fast['graphs']}"
        + ("" if fast["compile"] == "off" else f", torch.compile {fast['compile']}"),
        "",
        f"{'':10}{'s/step':>9}{'min':>9}{'max':>9}{'steps/s':>9}{'images/s':>10}{'peak MB':>9}",
    ]
    for form in ("textbook", "fast"):
        side, times = result[form], result[form]["seconds_per_step"]
        lines.append(
            f"{form:10}{times['median']:9.4f}{times['min']:9.4f}{times['max']:9.4f}{side['steps_per_second']:9.2f}"
            f"{side['images_per_second']:10.1f}{side['peak_memory_bytes'] / 1e6:9.0f}"
        )
    spread = f"{result['ratio_min']:.2f} to {result['ratio_max']:.2f}, n={result['n']}"
    return "\n".join([*lines, "", f"fast is {result['ratio']:.2f} times as fast ({spread})"])
