"""Whether fine-tuning is worth it where images are few: a network of the digits 0 to 4 goes on with 10 images each of 5 to 9.

    PYTHONPATH=. python benchmarks/core/transfer.py --seeds 5 -o benchmarks/results/cpu-transfer.json

The same genotype, sizes, images and epochs three times: from scratch, fine-tuned, and with the classifier alone (`--freeze`).
Accuracy on the test images of the digits 5 to 9; mean, standard deviation and n over seeds. Minutes on 2 cores, nothing to
download.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.datasets import DataSet, load_dataset
from pcdarts_tune.machine import set_threads
from pcdarts_tune.spaces.load import load_space
from pcdarts_tune.spaces.settings import override
from pcdarts_tune.training.finetuning import Initial
from pcdarts_tune.training.retraining import retrain
from pcdarts_tune.training.work import Retraining

NETWORK = ["retrain.channels=8", "retrain.layers=3", "retrain.drop_path=0"]
FEW = ["tune={}", "retrain.epochs=30", "retrain.batch_size=16", "data.split=published"]
WAYS = {
    "from scratch, rate 0.05": ("retrain.learning_rate=0.05", None),
    "fine-tuned, rate 0.05": ("retrain.learning_rate=0.05", False),
    "fine-tuned, rate 0.01": ("retrain.learning_rate=0.01", False),
    "classifier alone, rate 0.05": ("retrain.learning_rate=0.05", True),
}


def part(digits: DataSet, classes: range, most: int | None = None) -> DataSet:
    """Some classes, with `most` training images of each."""
    train, test = (
        torch.cat([(labels == label).nonzero()[:most, 0] for label in classes])
        for labels, most in ((digits.train_labels, most), (digits.test_labels, None))
    )
    return replace(
        digits,
        name=f"digits {classes[0]} to {classes[-1]}",
        classes=tuple(digits.classes[label] for label in classes),
        train_images=digits.train_images[train],
        train_labels=digits.train_labels[train] - classes[0],
        test_images=digits.test_images[test],
        test_labels=digits.test_labels[test] - classes[0],
        digest=f"{digits.digest}-{classes[0]}-{most}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="at least 2")
    parser.add_argument("--images", type=int, default=10, help="of each new class")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    set_threads(args.threads)
    device, genotype = torch.device("cpu"), PUBLISHED["PC_DARTS_cifar"]
    space = override(load_space("quickstart"), NETWORK)
    digits = load_dataset(space.data)
    old, new = part(digits, range(5)), part(digits, range(5, 10), args.images)
    accuracies: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        base = Retraining(override(space, ["retrain.epochs=15"]), genotype, old, 0)
        learned = retrain(base, place / "base", device=device, quiet=True)
        print(f"base: {learned.test_accuracy:.4f} on {len(old.test_labels)} test images of {old.name}")
        for seed in range(args.seeds):
            for way, (rate, freeze) in WAYS.items():
                initial = None
                if freeze is not None:
                    initial, _ = Initial.read(place / "base", "base", freeze=freeze)
                own = override(space, [*FEW, rate])
                work = Retraining(own, genotype, new, seed, initial=initial)
                done = retrain(work, place / work.recipe, device=device, quiet=True)
                assert done.test_accuracy is not None, "it was asked for"
                accuracies[way].append(done.test_accuracy)
    summary = {
        way: {"mean": statistics.mean(found), "std": statistics.stdev(found), "n": len(found), "all": found}
        for way, found in accuracies.items()
    }
    for way, line in summary.items():
        print(f"{way:28}  {line['mean']:.4f} +- {line['std']:.4f}, n={line['n']}")
    about = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": args.threads,
        "images of each new class": args.images,
        "test images": len(new.test_labels),
        "base accuracy": learned.test_accuracy,
    }
    if args.output is not None:
        args.output.write_text(json.dumps({"about": about, "accuracy": summary}, indent=1) + "\n")


if __name__ == "__main__":
    main()
