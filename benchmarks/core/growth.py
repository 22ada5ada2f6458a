"""How a search step's cost grows with K, channels, layers and batch: the fast form, each setting in turn with the usual one.

    PYTHONPATH=. python benchmarks/core/growth.py --threads 2 --json benchmarks/results/cpu-growth.json

The ratio is the setting's time over that of K=4, C=16, 8 cells, batch 32 in the same pair, so above 1 it costs more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from pathlib import Path

import torch

from pcdarts_tune.core.benchmark import build_form
from pcdarts_tune.core.steps.meter import peak_memory, time_step

USUAL = {"k": 4, "channels": 16, "layers": 8, "batch": 32}
SETTINGS = [
    *({"k": k} for k in (1, 2, 8)),
    *({"channels": c} for c in (8, 32)),
    *({"layers": n} for n in (4, 14, 20)),
    *({"batch": n} for n in (8, 16, 64)),
]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    device = torch.device(arguments.device)
    usual = build_form("fast", "search", device, **USUAL)
    usual.step()
    memory = peak_memory(usual.weight_step, device)
    rows = []
    print(f"{'setting':12} {'s/step':>8} {'ratio':>6} {'min':>6} {'max':>6}  n  {'memory':>6}")
    for changed in SETTINGS:
        side = build_form("fast", "search", device, **{**USUAL, **changed})
        side.step()
        pairs = [
            (time_step(side.step, device), time_step(usual.step, device)) for _ in range(arguments.repeats)
        ]
        ratios = [one / other for one, other in pairs]
        row = {
            **changed,
            "seconds_per_step": statistics.median(one for one, _ in pairs),
            "ratio": statistics.median(ratios),
            "ratio_min": min(ratios),
            "ratio_max": max(ratios),
            "n": len(ratios),
            "memory_ratio": peak_memory(side.weight_step, device) / memory,
        }
        rows.append(row)
        ((name, value),) = changed.items()
        print(
            f"{name + '=' + str(value):12} {row['seconds_per_step']:8.3f} {row['ratio']:6.2f} {row['ratio_min']:6.2f} "
            f"{row['ratio_max']:6.2f}  {row['n']}  {row['memory_ratio']:6.2f}",
            flush=True,
        )
    if arguments.json:
        result = {
            "usual": USUAL,
            "settings": rows,
            "device": str(device),
            "processor": platform.processor() or platform.machine(),
            "threads": arguments.threads,
            "torch": torch.__version__,
            "precision": "float32",
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
