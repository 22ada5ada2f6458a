"""A score without training, NASWOT (Mellor et al., ICML 2021, sec. 3), against the known accuracy of all public DARTS cells.

    PYTHONPATH=. python benchmarks/search/training_free.py darts_cells_600_epochs.csv.gz

An untrained network maps each of N images to a code c of zeros and ones, which of its ReLUs are active. The score is the
logarithm of the determinant of the matrix of how many ReLUs two images agree in: high where it tells images apart. The images
are noise.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pcdarts_tune.calibration.agreement import Ranking
from pcdarts_tune.calibration.cells import read_cells
from pcdarts_tune.core.network import EvaluationNetwork

RESULT = Path(__file__).parents[1] / "results/training-free-darts.json"
IMAGES, SIDE = 64, 16


def score(network: nn.Module, x_NCHW: Tensor) -> float:
    agree_NN = torch.zeros(len(x_NCHW), len(x_NCHW), dtype=torch.float64)

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        code_NF = (inputs[0] > 0).flatten(1).float()
        agree_NN.add_(code_NF @ code_NF.T + (1 - code_NF) @ (1 - code_NF).T)

    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(x_NCHW)
    return float(torch.linalg.slogdet(agree_NN).logabsdet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("cells", type=Path, help="darts_cells_600_epochs.csv.gz")
    parser.add_argument("--truth", default="test_e600", help="the column of the known accuracy")
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--layers", type=int, default=14)
    parser.add_argument(
        "--seeds", type=int, default=2, help="initialisations, of which the score is the mean"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.randn(IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    rows: list[dict[str, Any]] = []
    begun = time.process_time()
    for cell in read_cells(given.cells, given.truth, None):
        scores = []
        for seed in range(given.seeds):
            torch.manual_seed(seed)
            network = EvaluationNetwork(
                cell.genotype, channels=given.channels, layers=given.layers, num_classes=10, auxiliary=False
            )
            scores.append(score(network.train(), images))
        rows.append({"cell": cell.name, "truth": cell.truth, "scores": scores})
    seconds = (time.process_time() - begun) / len(rows)
    found = Ranking(np.array([row["truth"] for row in rows])).spearman(
        np.array([np.mean(row["scores"]) for row in rows])
    )
    assert found.interval is not None
    low, high = found.interval
    print(
        f"NASWOT, C={given.channels}, {given.layers} cells: Spearman {found.value:.2f} ({low:.2f} to {high:.2f}), n={len(rows)},"
    )
    print(f"{seconds:.1f} core-seconds a cell")
    about = {**vars(given), "file": given.cells.name, "core_seconds": seconds, "cells": rows}
    RESULT.write_text(json.dumps(about) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
