"""A small disk of its own (tmpfs, needs root), filled and emptied under a running sweep."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs; raises OSError where mounting is not permitted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}M", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def kept_full(disk: Path) -> Iterator[threading.Event]:
    """Once the event is set, the disk is full, and what becomes free is taken at once; to the end of the block."""
    begin, end = threading.Event(), threading.Event()

    def work() -> None:
        begin.wait()
        while not end.is_set():
            fill(disk)
            end.wait(0.02)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield begin
    finally:
        end.set()
        begin.set()
        thread.join()
        (disk / "ballast").unlink(missing_ok=True)


def half_written(home: Path) -> list[str]:
    """Files that do not read whole."""
    found = [str(file) for file in home.rglob("*.tmp")]
    for file in home.glob("sweeps/*/**/*.json"):
        if "ray" in file.relative_to(home).parts:
            continue
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            found.append(str(file))
    for file in (*home.glob("*.db"), *home.glob("sweeps/*/*.db")):
        with closing(sqlite3.connect(file)) as database:
            if (said := database.execute("pragma integrity_check").fetchone()[0]) != "ok":
                found.append(f"{file}: {said}")
    return found


def fill(disk: Path) -> int:
    """A ballast file as large as the disk lets it become; its size."""
    ballast, size = disk / "ballast", 0
    with ballast.open("ab", buffering=0) as file:
        for block in (2**20, 2**12, 1):
            while True:
                try:
                    size += file.write(b"\0" * block)
                except OSError:
                    break
    return size
