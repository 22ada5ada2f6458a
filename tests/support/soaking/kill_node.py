"""Kill -9 of whole nodes of a cluster, at random moments of real sweeps; compared with the same sweeps undisturbed.

    result = soak_nodes(Path("/tmp/soak"), kills=10, sweeps=2)

A head that runs no trials and two nodes with a core each. Their local folders differ, and none of them has the driver's
home: what a trial needs to go on elsewhere lies in `--storage`, a folder that all see. A killed node comes back as a new
one a while later.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

from pcdarts_tune.home import SweepFolder
from support.soaking.driver import Driver, Phase
from support.soaking.nodes import ENVIRONMENT, Nodes
from support.soaking.sweeps import NAME, finish, run_undisturbed, say, sweep_command
from support.soaking.tally import Tally


def soak_nodes(
    folder: Path, *, kills: int, sweeps: int, trials: int = 4, seed: int = 0, pause: float = 15.0
) -> dict[str, Any]:
    """Kill nodes under `sweeps` sweeps until there were `kills` kills.

    Args:
        folder: for the homes; a fresh one.
        pause: seconds between a node's coming and the next kill, at most.
    """
    draw = random.Random(seed)
    tally = Tally(kills, sweeps, trials)
    shared = folder / "shared"
    homes = folder / "homes"
    shared.mkdir(parents=True)
    homes.mkdir()
    with Nodes(hidden=[homes, Path("/tmp/ray")]) as nodes:
        for _ in range(2):
            nodes.add()
        while most := tally.wanted():
            number = tally.number
            undisturbed, _ = run_undisturbed(folder / f"undisturbed-{number}", trials, number)
            home = homes / str(number)
            extra = ["--address", nodes.address, "--storage", str(shared), "--max-failures", str(kills)]
            command = sweep_command(home, trials, number, extra)
            with Driver(command, SweepFolder.of(home, NAME), trials, ENVIRONMENT) as driver:
                killed = kill_nodes(driver, nodes, most, pause, draw)
                finish(driver)
            tally.add(home, undisturbed, killed)
        apart = nodes.apart
    return {
        "what": "kill -9 of all processes of a node",
        "nodes": "a head without cores, two nodes of one core",
        "local_folders_differ": apart,
        **tally.result(),
    }


def kill_nodes(
    driver: Driver, nodes: Nodes, most: int, pause: float, draw: random.Random
) -> list[dict[str, Any]]:
    """Kill a node after random pauses and add one, `most` times at most, until every trial has ended."""
    killed: list[dict[str, Any]] = []
    driver.wait_for(Phase.RUNNING)
    while len(killed) < most and driver.wait_for(Phase.RUNNING, draw.uniform(1, pause)):
        if driver.phase != Phase.RUNNING:
            break
        nodes.kill(draw.randrange(len(nodes.alive)))
        killed.append({"seconds": round(driver.seconds, 2), "said": driver.said[-1:]})
        say(f"killed a node after {driver.seconds:.1f} s")
        away = draw.uniform(0, 3)
        time.sleep(away)  # how long the node is away
        killed[-1]["away"] = round(away, 2)
        nodes.add()
    return killed
