"""`retrain --workers 2` by real Ray Train on the digits: equal to one process, also when workers and drivers are killed."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from safetensors.torch import load_file
from support.made_sweeps import FOUND, make_sweep
from torch import distributed as dist

from pcdarts_tune.cli import group as cli
from pcdarts_tune.cluster.resources import Cluster
from pcdarts_tune.cluster.session import ray_running
from pcdarts_tune.core.groups import Team
from pcdarts_tune.core.images.stream import StreamBatches, TensorImages
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import default_tracking_uri
from pcdarts_tune.tasks import Workers
from pcdarts_tune.training.workers.coordinator import final_error, start_coordinator
from pcdarts_tune.training.workers.driver import worker_share
from pcdarts_tune.training.workers.worker import _count_damaged

CHANGES = {"channels": 4, "layers": 3, "epochs": 6, "drop_path": 0.3, "auxiliary": "true"}


def command(home: Path, name: str, *options: str, **changes: object) -> list[str]:
    """Each folder has a home of its own: a training that is done again would go into the same MLflow run."""
    words = ["retrain", "PC_DARTS_cifar", "--space", "quickstart", "--device", "cpu"]
    words += ["-o", str(home / name), "--home", str(home / f"home-{name}"), *options]
    words += [
        word for key, value in (CHANGES | changes).items() for word in ("--set", f"retrain.{key}={value}")
    ]
    return [*words, "--set", "data.test_fraction=0.5"]  # the last batch of 64 is smaller


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    with ray_running(address=None, data_bytes=2**22):
        yield


@pytest.fixture(scope="module")
def two(home: Path, ray: None) -> Path:
    """Trained by two workers without disturbance."""
    assert cli.run(command(home, "two", "--workers", "2")) == 0
    return home / "two"


def origin(folder: Path) -> Any:
    return json.loads((folder / "model.json").read_text())["origin"]


@pytest.fixture
def worker_threads() -> Iterator[None]:
    """As many threads in this process as each worker has: on some processors another number of threads rounds otherwise,
    and a few training steps at this learning rate turn 1e-7 into 0.1."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // 2))
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("worker_threads")
def test_two_workers_equal_one_process_with_two_groups(
    home: Path, two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(command(home, "one", "--groups", "2", "--json")) == 0
    one = json.loads(capsys.readouterr().out)
    assert origin(two)["recipe"] == origin(home / "one")["recipe"]
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (home / "one", two))
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=1e-5, msg=name)
    assert origin(two)["result"]["validation_accuracy"] == pytest.approx(one["validation_accuracy"])
    assert not two.with_name("two.checkpoint").exists()

    # the runs have the same numbers by the same names
    clients = [mlflow.MlflowClient(default_tracking_uri(home / f"home-{name}")) for name in ("two", "one")]
    ids = (origin(two)["result"]["run_id"], one["run_id"])
    by_workers, alone = (client.get_run(run_id) for client, run_id in zip(clients, ids, strict=True))
    assert by_workers.data.metrics.keys() == alone.data.metrics.keys()
    for name in ("retrain/loss_train", "retrain/acc_held_out"):
        curves = [c.get_metric_history(run_id, name) for c, run_id in zip(clients, ids, strict=True)]
        assert [point.step for point in curves[0]] == list(range(6))
        assert [p.value for p in curves[0]] == pytest.approx([p.value for p in curves[1]], rel=1e-4)
    assert by_workers.data.tags["pcdarts.groups"] == "2"
    assert by_workers.data.tags["pcdarts.threads"] == str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert by_workers.info.status == "FINISHED"
    assert cli.run(["reproduce", one["run_id"], "--home", str(home / "home-one"), "--json"]) == 0
    reproduced = json.loads(capsys.readouterr().out)
    assert reproduced["equal"], reproduced["verdict"]


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if stat.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found + [below for child in found for below in children(child)]


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


LOST = "a worker was lost; all go on from the checkpoint (1 of 3)\n"


def kill_a_worker_and_the_driver(words: list[str], ray_folder: str) -> list[str]:
    """What the driver said until then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pcdarts_tune", *words], env={**os.environ, "RAY_TMPDIR": ray_folder},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if "retraining: 1/6" in line:
            workers = [pid for pid in children(process.pid) if "RayTrainWorker" in title(pid)]
            assert len(workers) == 2
            os.kill(workers[1], signal.SIGKILL)
        elif "retraining:" in line and LOST in said:
            process.kill()
            break
    assert process.stdout.read() == ""
    process.wait(timeout=30)
    process.stderr.close()
    process.stdout.close()
    return said


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc")
def test_killed_workers_and_a_killed_driver_change_no_bit(home: Path, two: Path) -> None:
    """A worker is killed in the second epoch, the driver when the others have gone on; another driver does the rest."""
    # Ray's folder too: a driver that is killed leaves there that a cluster runs
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        said = kill_a_worker_and_the_driver(command(home, "killed", "--workers", "2", "--no-track"), folder)
    assert LOST in said
    numbers = re.findall(r"retraining: (\d)/6", "".join(said))
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert (home / "killed.checkpoint").exists()
    assert cli.run(command(home, "killed", "--workers", "2", "--no-track")) == 0
    assert origin(home / "killed")["result"]["weights"] == origin(two)["result"]["weights"]


def test_a_promotion_by_workers_is_that_of_as_many_groups(
    home: Path, ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sweep(home / "swept", "first", FOUND)
    words = ["promote", "first", "--home", str(home / "swept"), "--device", "cpu", "--json"]
    assert cli.run([*words, "--workers", "2"]) == 0
    captured = capsys.readouterr()
    assert "2 workers, each with" in captured.err
    promoted = json.loads(captured.out)
    assert (promoted["version"], promoted["champion"]) == (1, True)
    assert cli.run([*words, "--groups", "2"]) == 0
    assert json.loads(capsys.readouterr().out) == promoted, "the same training, done before"


def test_a_frozen_fine_tuning_by_workers_changes_the_classifier_alone(home: Path, two: Path) -> None:
    words = ["finetune", str(two), "--space", "quickstart", "--freeze", "--no-track", "--device", "cpu"]
    words += ["--workers", "2", "--set", "retrain.epochs=1", "-o", str(home / "tuned"), "--home", str(home)]
    assert cli.run(words) == 0
    old, new = (load_file(folder / "model.safetensors") for folder in (two, home / "tuned"))
    changed = {name for name, value in new.items() if not torch.equal(value, old[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def reading(rank: int, folder: str) -> None:
    """Two workers that each found one damaged file of the four that there are, when two may be."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    images, labels = TensorImages(torch.zeros(20, 1, 8, 8, dtype=torch.uint8)), torch.arange(20) % 2
    batches = StreamBatches(images, labels, num_classes=2, mean=(0.4,), std=(0.3,), max_unreadable=0.1)
    team = Team(rank, 2)
    batches.count_damaged({f"{rank}.png": "cut off"})
    _count_damaged(batches, team)
    assert sorted(batches.unreadable) == ["0.png", "1.png"]
    batches.count_damaged({f"{rank}.png": "cut off"})
    batches.unreadable[f"{rank + 2}.png"] = "cut off"
    with pytest.raises(ValueError, match="4 of 20 images cannot be decoded"):
        _count_damaged(batches, team)
    dist.destroy_process_group()


def test_damaged_files_are_counted_over_all_workers(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(reading, (str(tmp_path),), 2)


def test_a_checkpoint_that_cannot_be_written_says_why_as_in_one_process(ray: None, tmp_path: Path) -> None:
    from ray import get

    folder = tmp_path / "folder"
    coordinator = start_coordinator(folder / "checkpoint")
    assert not get(coordinator.failed.remote())
    folder.rmdir()
    folder.touch()
    with pytest.raises(OSError, match="Not a directory") as raised:
        get(coordinator.keep.remote(b"state"))
    again = final_error(raised.value)
    assert isinstance(again, OSError) and again.errno == errno.ENOTDIR
    assert "Traceback" not in str(again) and "checkpoint" in str(again)


def test_a_diverging_training_ends_at_once(home: Path, ray: None, capsys: pytest.CaptureFixture[str]) -> None:
    wild = {"learning_rate": 10, "weight_decay": 1, "grad_clip": 1e6, "batch_size": 8, "epochs": 1}
    assert cli.run(command(home, "diverged", "--workers", "1", "--no-track", **wild)) == 1
    said = capsys.readouterr().err
    assert "training loss became" in said
    assert "a worker was lost" not in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "3"], "--set retrain.batch_size=63"),
        (["--workers", "2", "--groups", "3"], "--groups 4"),
    ],
)
def test_workers_that_cannot_be_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert cli.run(command(home, "refused", "--no-track", *options)) == 2
    assert said in capsys.readouterr().err


def test_each_worker_gets_a_gpu_or_its_share_of_the_cores() -> None:
    node = {"CPU": 16.0, "GPU": 2.0}
    machine = Cluster(16, 2, (node,))
    assert (worker_share(Workers(2), machine).cpus, worker_share(Workers(2), machine).gpus) == (8, 1)
    assert worker_share(Workers(4, device="cpu"), machine).threads == 4
    with pytest.raises(UserError, match="a GPU for each, and there are 2") as refused:
        worker_share(Workers(4), machine)
    assert refused.value.hint == "--workers 2, or --device cpu"
    with pytest.raises(UserError, match="a core for each, and there is 1"):
        worker_share(Workers(2), Cluster(1, 0, ({"CPU": 1.0},)))
