"""When the collapse rule would have ended 210 real DARTS searches, for several thresholds.

    python benchmarks/search/collapse_replay.py robustdarts_epochs.csv.gz -o benchmarks/results/collapse-replay.json

The searches are those of RobustDARTS (Zela et al., ICLR 2020; automl/RobustDARTS, Apache-2.0), spaces S1 and S3, on CIFAR-10
and SVHN, with five strengths of drop path and seven weight decays. The replay says when the rule fires and whether the search
came back from it by itself; it does not say whether ending it was right: the accuracy of those cells is in no table.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from pcdarts_tune.sweeps.trials.measures import collapse


def read(path: Path) -> list[list[int]]:
    """Skip connections in the normal cell after each epoch, a list a search."""
    searches: dict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = tuple(row[name] for name in ("space", "dataset", "drop_prob", "weight_decay", "seed"))
            searches[key][int(row["epoch"])] = int(row["n_skip_normal"])
    return [[skips[epoch] for epoch in sorted(skips)] for skips in searches.values()]


def replay(searches: list[list[int]], threshold: int, after: float, epochs: int) -> dict[str, Any]:
    """What one rule does to them."""
    fired, back, saved = [], 0, 0.0
    for skips in searches:
        at = collapse(skips, skip_connections=threshold, first=math.ceil(after * len(skips)), epochs=epochs)
        if at is not None:
            fired.append((at + 1) / len(skips))
            back += skips[-1] < threshold
            saved += 1 - (at + 1) / len(skips)
    collapsed = sum(skips[-1] >= threshold for skips in searches)
    return {
        "skip_connections": threshold,
        "after": after,
        "epochs": epochs,
        "fired": len(fired),
        "median_share_of_epochs_when_fired": round(statistics.median(fired), 3) if fired else None,
        "ended_below_the_threshold_after_all": back,
        "ended_at_it_and_not_fired": collapsed - (len(fired) - back),
        "share_of_all_epochs_saved": round(saved / len(searches), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    searches = read(arguments.table)
    final = Counter(skips[-1] for skips in searches)
    result = {
        "searches": len(searches),
        "skip_connections_at_the_end": {str(count): final[count] for count in range(9)},
        "rules": [
            replay(searches, threshold, after, epochs)
            for threshold in range(2, 9)
            for after in (0.0, 0.5, 0.75)
            for epochs in (1, 3, 5)
        ],
    }
    print(json.dumps({key: value for key, value in result.items() if key != "rules"}))
    for rule in result["rules"]:  # type: ignore[attr-defined]
        print(json.dumps(rule))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
