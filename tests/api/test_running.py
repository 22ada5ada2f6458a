"""A sweep that is interrupted in the main thread, as by Ctrl-C or a notebook's stop button, and goes on in another thread: real
signals, a real Ray, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, os, signal, threading, time
from pathlib import Path
import pcdarts_tune as pt

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
space = pt.Space.load("quickstart").override(
    {"search.method": "random", "evaluation.epochs": 1, "evaluation.channels": 4, "evaluation.layers": 3}
)
ended = Path("home/sweeps/cut/trials/0/result.json")

def press_stop():
    while not ended.exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)

def states():
    return pt.open_sweep("cut", home="home").states

said = {"before": signal.getsignal(signal.SIGINT) is signal.default_int_handler}
threading.Thread(target=press_stop, daemon=True).start()
try:
    pt.sweep(space, trials=3, name="cut", home="home", max_concurrent=1)
except KeyboardInterrupt:
    said["interrupted"] = states()
said["after"] = signal.getsignal(signal.SIGINT) is signal.default_int_handler

refused = []
def resume():
    pt.open_sweep("cut", home="home").resume(max_concurrent=1, quiet=True)

thread = threading.Thread(target=resume)
thread.start()
time.sleep(1)
try:
    pt.sweep(space, trials=1, name="second", home="home")
except pt.UserError as error:
    said["refused"] = str(error)
thread.join()
said["resumed"] = states()
print(json.dumps(said))
"""


def test_an_interrupted_sweep_goes_on_in_a_thread(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["before"] and said["after"], "the handler of SIGINT is as it was"
    assert 1 <= said["interrupted"]["complete"] < 3
    assert said["refused"] == "another thread of this process runs a sweep"
    assert said["resumed"] == {"complete": 3}
    before, _, after = done.stderr.partition("stopping; Ctrl-C once more stops at once")
    assert "trial 0: starts" in before
    assert "stopped (interrupted); to go on: pt.open_sweep('cut', home=" in after
    assert "trial 2" not in after, "it was to be quiet"
