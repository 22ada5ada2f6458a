"""Checkpoints written beside the training: copies, files, jobs in the background, what goes wrong with them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import nn

from pcdarts_tune.core.steps.background import Background, Checkpoints
from pcdarts_tune.core.steps.checkpoints import Snapshot, load_checkpoint, load_snapshot, write_snapshot


def state() -> dict[str, Any]:
    channels_last = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    return {
        "weights": OrderedDict(a=torch.randn(3, 4), b=channels_last, c=torch.randn(6, 6)[::2, 1:]),
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}, 1: {}}, "groups": [{"betas": (0.5, 0.999)}]},
        "counts": [torch.tensor([1, 2]), torch.tensor(True), torch.empty(0, dtype=torch.float64)],
        "half": torch.randn(5).bfloat16(),
        "plain": [None, True, 7, 0.1, float("inf"), "text", {}],
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return bool(isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def bytes_of(snapshot: Snapshot) -> bytes:
    return b"".join(snapshot.chunks())


def test_a_snapshot_holds_everything_as_it_was(tmp_path: Path) -> None:
    before, snapshot = state(), Snapshot()
    kept = restored_copy(before)
    snapshot.take(before)
    with torch.no_grad():
        for tensor in (before["weights"]["a"], before["weights"]["b"], before["half"]):
            tensor.add_(1)
    before["optimizer"]["groups"][0]["lr"] = 1
    again = load_snapshot(bytes_of(snapshot))
    assert same(again, kept)
    assert again["weights"]["b"].is_contiguous(memory_format=torch.channels_last)
    assert (
        again["weights"]["a"].untyped_storage().data_ptr()
        != again["weights"]["c"].untyped_storage().data_ptr()
    )
    # the next one takes the same memory; one of other sizes, new memory
    snapshot.take(before)
    assert same(load_snapshot(bytes_of(snapshot)), before)
    before["weights"]["a"] = torch.zeros(9)
    snapshot.take(before)
    assert same(load_snapshot(bytes_of(snapshot)), before)
    snapshot.take({"no": "tensors"})
    assert load_snapshot(bytes_of(snapshot)) == {"no": "tensors"}
    # others can read it
    snapshot.take(before)
    write_snapshot(tmp_path / "c", snapshot)
    with safe_open(tmp_path / "c", "pt") as file:
        assert sorted(file.keys()) == ["BF16", "BOOL", "F32", "I64"]


def restored_copy(value: Any) -> Any:
    snapshot = Snapshot()
    snapshot.take(value)
    return load_snapshot(bytes_of(snapshot))


@pytest.mark.parametrize("cut", [0, 4, 8, 9, 100, -1])
def test_what_is_no_whole_snapshot_is_refused(cut: int) -> None:
    snapshot = Snapshot()
    snapshot.take(state())
    data = bytes_of(snapshot)
    for damaged in (data[:cut], data[:cut] + b"\xff" + data[cut + 1 or len(data) :], data + b"\0"):
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            load_snapshot(damaged)


def test_what_cannot_be_kept_is_refused_at_once() -> None:
    for value in (lambda: None, {1, 2}, torch.float32, object()):
        with pytest.raises(TypeError, match="cannot be kept in a checkpoint"):
            Snapshot().take({"a": torch.zeros(1), "b": [value]})


def test_training_goes_on_while_a_checkpoint_is_written_and_the_newest_wins(tmp_path: Path) -> None:
    net = nn.Linear(3, 2)
    path = tmp_path / "c"
    written: list[float] = []
    begun, go_on = threading.Event(), threading.Event()
    checkpoints = Checkpoints()

    def put(value: float) -> None:
        nn.init.constant_(net.weight, value)

        def write(snapshot: Snapshot) -> None:
            begun.set()
            assert go_on.wait(60)
            write_snapshot(path, snapshot)
            written.append(float(load_checkpoint(path)["net"]["weight"].mean()))

        checkpoints.put({"net": net.state_dict()}, write)

    put(1)
    assert begun.wait(60)
    for value in (2, 3, 4):  # the first is being written: these wait, each in place of the one before
        put(value)
    nn.init.constant_(net.weight, 99)
    assert written == []
    go_on.set()
    checkpoints.flush()
    assert written == [1, 4]


def test_what_goes_wrong_in_the_background_is_told_next_time() -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    done: list[int] = []
    background = Background("test")
    background.put(full)
    with pytest.raises(OSError, match="No space left"):
        background.flush()
    background.put(lambda: done.append(1))
    background.flush()
    assert done == [1], "told once, and it works again"
    begun = threading.Event()

    def begin_and_fail() -> None:
        begun.set()
        full()

    background.put(begin_and_fail)
    assert begun.wait(60)
    with pytest.raises(OSError, match="No space left"):
        while True:
            background.put(lambda: done.append(2))
    background.flush()
    assert done == [1], "what waited behind it is dropped"


def test_a_job_that_waits_can_be_taken_back() -> None:
    background, done = Background("test"), []
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        done.append(go_on.wait(60))

    background.put(first)
    assert begun.wait(60)
    background.put(lambda: done.append(False))
    background.withdraw()
    go_on.set()
    background.flush()
    assert done == [True]
