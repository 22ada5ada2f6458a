"""What a sweep costs beside its training: standing still, waiting for a place, starting, the driver's work.

    PYTHONPATH=tests python benchmarks/search/overhead.py
    PYTHONPATH=tests python benchmarks/search/overhead.py --trials 4 --growth 4 16 --out /tmp/overhead.json

Four parts, each in a process of its own: a real sweep of quickstart by the command line; sweeps of lookups (lookup.py),
which show how the cost grows with the number of trials; and how long copying a state takes for networks of several
sizes, and what the training loses while it is written. Prints tables and writes JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from copies import NETWORKS, copied, spread

RESULTS = Path(__file__).parents[1] / "results"
SHORT = ["search.epochs=6", "search.arch_warmup_epochs=2", "evaluation.epochs=6"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=8, help="of the real sweep")
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[4, 16, 64], help="trials of the sweeps of lookups"
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        kind, number = given.part
        {"real": real, "lookups": lookups}[kind](int(number))
        return
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    result = {
        "about": about(),
        "real": apart("real", given.trials),
        "growth": [apart("lookups", number) for number in given.growth],
        "copies": [copied(name) for name in NETWORKS],
    }
    out = given.out or RESULTS / f"{device}-overhead.json"
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(tables(result))
    print(f"\nwritten to {out}", file=sys.stderr)


def about() -> dict[str, Any]:
    """Hardware and versions."""
    import torch

    from pcdarts_tune.tracking.provenance import git_revision, versions

    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    cores = len(os.sched_getaffinity(0))
    return {"cpu": cpu, "cores": cores, "gpu": gpu, "versions": versions(), "git": git_revision()}


# the sweeps: each in a process of its own, whose trials and driver write down when what happened


def apart(kind: str, number: int) -> dict[str, Any]:
    """One of the sweeps in a new process; what became of it."""
    print(f"{kind}, {number} trials ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        environment = {**os.environ, "OVERHEAD_LOG": str(log), "OVERHEAD_HOME": str(Path(place) / "home")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, __file__, "--part", kind, str(number)]
        begun = time.time()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        seconds = time.time() - begun
        events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {"trials": number, "seconds": seconds, **evaluated(sorted(events, key=lambda e: e["at"]), begun)}


def note(log: str, what: str, **facts: Any) -> None:
    """Write down that something happened now."""
    line = json.dumps({"at": time.time(), "what": what, "process": os.getpid(), **facts})
    with open(log, "a", encoding="utf-8") as file:
        file.write(line + "\n")


def evaluated(events: list[dict[str, Any]], begun: float) -> dict[str, Any]:
    """What the events of a sweep come to, in seconds."""

    def spent(what: str, **facts: Any) -> list[float]:
        return [
            event["seconds"]
            for event in events
            if event["what"] == what and all(event.get(key) == value for key, value in facts.items())
        ]

    stations = ("imported", "images", "ray", "called", "step")
    first = {
        station: next((event["at"] for event in events if event["what"] == station), begun) - begun
        for station in stations
    }
    free: dict[int, float] = {}
    waited = []
    for event in events:
        if event["what"] == "step" and event["process"] in free:
            waited.append(event["at"] - free.pop(event["process"]))
        if event["what"] == "ended":
            free[event["process"]] = event["at"]
    found = {
        "still, search": spread(spent("still", stage="search")),
        "still, evaluation": spread(spent("still", stage="evaluation")),
        "report": spread(spent("report")),
        "free to first step": spread(waited),
        "record": spread(spent("record")),
        "proposal": spread(spent("proposal")),
    }
    driver = next((event["cpu"] for event in events if event["what"] == "driver"), None)
    return {
        "start": first,
        "driver_cpu_seconds": driver,
        **{key: value for key, value in found.items() if value},
    }


def watched(log: str, function: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A trial function that notes what happens in a trial; it travels to the workers by value."""

    def trial(task: Any, data: Any, report: Any) -> Any:
        import ray.tune
        import torch
        from torch.nn.modules.module import register_module_forward_pre_hook

        from pcdarts_tune.core.supernet import Supernet
        from pcdarts_tune.sweeps.trials import log as trial_log
        from pcdarts_tune.sweeps.trials import trial as trainable

        note(log, "called", trial=task.proposal.number)
        add, tell = trial_log.TrialLog.add, ray.tune.report
        stepped = []

        def timed_add(self: Any, record: dict[str, Any], *part: Any) -> None:
            begun = time.perf_counter()
            add(self, record, *part)
            note(log, "still", stage=record.get("stage"), seconds=time.perf_counter() - begun)

        def timed_report(*given: Any, **more: Any) -> None:
            begun = time.perf_counter()
            tell(*given, **more)
            note(log, "report", seconds=time.perf_counter() - begun)

        def first_step(module: torch.nn.Module, given: Any) -> None:
            if isinstance(module, Supernet) and not stepped:
                stepped.append(True)
                note(log, "step", trial=task.proposal.number)

        trial_log.TrialLog.add, ray.tune.report = timed_add, timed_report
        hook = register_module_forward_pre_hook(first_step)
        try:
            return (function or trainable.run_trial)(task, data, report)
        finally:
            hook.remove()
            trial_log.TrialLog.add = add
            note(log, "ended", trial=task.proposal.number)

    return trial


def watch_driver(log: str) -> None:
    """Note how long the driver takes for records and proposals, and when it got where."""
    from pcdarts_tune.cluster import session as ray_session
    from pcdarts_tune.sweeps import ray_tune

    def timed(kind: type, name: str, what: str, counts: Callable[[Any], bool] = lambda result: True) -> None:
        method = getattr(kind, name)

        def wrapper(self: Any, *given: Any, **more: Any) -> Any:
            begun = time.perf_counter()
            result = method(self, *given, **more)
            if counts(result):
                note(log, what, seconds=time.perf_counter() - begun)
            return result

        setattr(kind, name, wrapper)

    timed(ray_tune.Recorder, "_record", "record")
    timed(ray_tune.StudySearcher, "suggest", "proposal", lambda result: isinstance(result, dict))
    start = ray_session._start

    def started(*given: Any) -> None:
        start(*given)
        note(log, "ray")

    ray_session._start = started


def real(trials: int) -> None:
    """`sweep` of quickstart by the command line, with few epochs."""
    from functools import partial

    from pcdarts_tune.cli import group as cli
    from pcdarts_tune.sweeps import launch

    log = os.environ["OVERHEAD_LOG"]
    note(log, "imported")
    load = launch.load_images

    def loaded(*given: Any, **more: Any) -> Any:
        images = load(*given, **more)
        note(log, "images")
        return images

    launch.load_images = loaded
    launch.run_sweep = partial(launch.run_sweep, function=watched(log))
    watch_driver(log)
    settings = [word for setting in SHORT for word in ("--set", setting)]
    arguments = [
        "sweep",
        "--space",
        "quickstart",
        "--trials",
        str(trials),
        "--home",
        os.environ["OVERHEAD_HOME"],
    ]
    code = cli.run([*arguments, *settings, "-q", "--json"])
    note(log, "driver", cpu=time.process_time())
    sys.exit(code)


def lookups(trials: int) -> None:
    """A sweep of lookups."""
    from support.lookup import lookup_sweep, lookup_trial

    from pcdarts_tune.sweeps import runner

    log = os.environ["OVERHEAD_LOG"]
    note(log, "imported")
    watch_driver(log)
    run = runner.run_sweep

    def watched_run(*given: Any, function: Any, **more: Any) -> Any:
        return run(*given, function=watched(log, function), **more)

    from support import lookup

    lookup.run_sweep = watched_run
    assert lookup.lookup_trial is lookup_trial
    lookup_sweep(Path(os.environ["OVERHEAD_HOME"]), trials, sampler="tpe", alphas=False)
    note(log, "driver", cpu=time.process_time())


# tables


def tables(result: dict[str, Any]) -> str:
    """Markdown."""
    real_part, versions = result["real"], result["about"]["versions"]
    rows = [
        ("training stands still after an epoch of the search", "still, search", 1e3, "ms"),
        ("training stands still after an epoch of the evaluation", "still, evaluation", 1e3, "ms"),
        ("a report to the driver and back, beside the training", "report", 1e3, "ms"),
        ("the driver's work for a record", "record", 1e3, "ms"),
        ("the driver's work for a proposal", "proposal", 1e3, "ms"),
        ("from a free place to the next trial's first step", "free to first step", 1, "s"),
    ]
    lines = ["| quickstart | mean | median | least and most | n |", "| --- | --- | --- | --- | --- |"]
    for words, key, scale, unit in rows:
        if found := real_part.get(key):
            mean, median, low, high = (found[name] * scale for name in ("mean", "median", "min", "max"))
            lines.append(
                f"| {words} | {mean:.2f} {unit} | {median:.2f} | {low:.2f} to {high:.2f} | {found['n']} |"
            )
    start = real_part["start"]
    lines += [
        "",
        f"From the command to the first step of the first trial: {start['step']:.1f} s (n=1): "
        f"images after {start['images']:.1f} s, Ray after {start['ray']:.1f} s, the trial's process after "
        f"{start['called']:.1f} s.",
        "",
        "| lookups | start to first trial, s | a trial, s | driver's CPU for a trial, s | a record, ms | a proposal, ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for grown in result["growth"]:
        trials, first = grown["trials"], grown["start"]["called"]
        lines.append(
            f"| {trials} trials | {first:.1f} | {(grown['seconds'] - first) / trials:.2f} | "
            f"{grown['driver_cpu_seconds'] / trials:.2f} | {grown['record']['mean'] * 1e3:.2f} | "
            f"{grown['proposal']['mean'] * 1e3:.1f} |"
        )
    lines += [
        "",
        "| state, with its optimizer's | MB | tensors | copied in, ms | lost while it is written, ms | "
        "written in one's own thread, ms |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in result["copies"]:
        times = [each[key] for key in ("copy", "lost", "written in the training's own thread")]
        shown = " | ".join(
            f"{t['median'] * 1e3:.1f} ({t['min'] * 1e3:.1f} to {t['max'] * 1e3:.1f})" for t in times
        )
        lines.append(f"| {each['network']} | {each['bytes'] / 1e6:.1f} | {each['tensors']} | {shown} |")
    gpu = f", {result['about']['gpu']}" if result["about"]["gpu"] else ""
    lines.append(
        f"\n{result['about']['cores']} cores of {result['about']['cpu']}{gpu}; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + f"; n={result['copies'][0]['copy']['n']} in the last table" * bool(result["copies"])
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
