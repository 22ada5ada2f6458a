"""How fast a folder too large for memory is read, and how much memory that takes, with the ImageNet recipe's augmentation.

    PYTHONPATH=. python benchmarks/core/streaming.py --images 2000 --workers 0 1 2

Makes a folder of photograph-sized JPEG files (noise over colour gradients: as large as photographs, and no easier to decode),
streams an epoch at 224 x 224 with random resized crop, flip and colour jitter, and prints images per second and by how much
the process and its workers grew. A second folder with four times as many files shows that memory does not follow their number.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pcdarts_tune.core.images.augment import imagenet_transform
from pcdarts_tune.core.images.stream import FileSource, StreamBatches, StreamImages

RESULTS = Path(__file__).parents[1] / "results"
JITTER = (0.4, 0.4, 0.4, 0.2)
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 1, os.cpu_count() or 1])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "cpu-streaming.json")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        folder, images, workers = given.one
        print(json.dumps(one_epoch(Path(folder), int(images), int(workers))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as place:
        files = made(Path(place), given.images)
        size = statistics.mean(path.stat().st_size for path in files)
        print(f"{given.images} JPEG files of {size / 1000:.0f} kB; batch {BATCH}, 224 x 224")
        print(f"{'workers':>7} {'files':>6} {'images/s':>9} {'min':>6} {'max':>6}  n {'grew by, MB':>12}")
        last = given.workers[-1]
        for workers, images in [(n, given.images) for n in given.workers] + [(last, 4 * given.images)]:
            runs = [apart(place, images, workers) for _ in range(given.repeats)]
            speeds = [run["images_per_second"] for run in runs]
            row = {
                "workers": workers,
                "files": images,
                "images_per_second": statistics.median(speeds),
                "min": min(speeds),
                "max": max(speeds),
                "n": len(runs),
                "grew_by_bytes": max(run["grew_by_bytes"] for run in runs),
            }
            rows.append(row)
            print(
                f"{workers:7} {images:6} {row['images_per_second']:9.0f} {row['min']:6.0f} {row['max']:6.0f}  {row['n']} "
                f"{row['grew_by_bytes'] / 1e6:12.0f}",
                flush=True,
            )
    result = {
        "bytes_a_file": size,
        "batch": BATCH,
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "rows": rows,
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def made(place: Path, count: int) -> list[Path]:
    """Files of 500 x 375 pixels, ImageNet's commonest size."""
    draw = np.random.default_rng(0)
    files = []
    gradient = np.linspace(0, 160, 500, dtype=np.float32)[None, :, None]
    for number in range(count):
        pixels = gradient * draw.random(3, dtype=np.float32) + draw.normal(60, 18, (375, 500, 3)).astype(
            np.float32
        )
        path = place / f"{number:05}.jpg"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=85)
        files.append(path)
    return files


def apart(place: str, images: int, workers: int) -> dict[str, Any]:
    """An epoch in a process of its own, so that memory starts anew."""
    command = [sys.executable, __file__, "--one", place, str(images), str(workers)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def one_epoch(place: Path, images: int, workers: int) -> dict[str, Any]:
    """Stream `images` files, those there are again and again."""
    torch.set_num_threads(1)
    files = sorted(place.glob("*.jpg"))
    paths = tuple(str(files[number % len(files)]) for number in range(images))
    source = StreamImages(FileSource(paths), torch.arange(images), (224, 224), 3)
    batches = StreamBatches(
        source,
        torch.zeros(images, dtype=torch.int64),
        num_classes=1,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        transform=imagenet_transform((224, 224), train=True, color_jitter=JITTER),
        workers=workers,
    )
    before, most, ended = memory(), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.1):
            most = max(most, memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.perf_counter()
    seen = sum(len(labels) for _, labels in batches.epoch(BATCH, epoch=0, seed=0))
    seconds = time.perf_counter() - begun
    ended.set()
    watcher.join()
    assert seen == images
    return {"images_per_second": images / seconds, "grew_by_bytes": max(0, most - before)}


def memory() -> int:
    """Bytes that this process and its children take, what they share counted once (Linux)."""
    total = 0
    for pid in [os.getpid(), *children(os.getpid())]:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it ended meanwhile
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()
