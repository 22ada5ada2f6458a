"""What a sweep leaves in MLflow, written to and read back from a real store."""

from __future__ import annotations

import io
import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.compare import image_files

from pcdarts_tune.addresses import check_uri, has_secret, keep_secret, without_secret
from pcdarts_tune.core.genotype import PUBLISHED
from pcdarts_tune.errors import UserError
from pcdarts_tune.home import artifact_root, default_tracking_uri
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps import tracker as sweep_tracking
from pcdarts_tune.sweeps.runs import SweepFacts
from pcdarts_tune.sweeps.tracker import SweepTracker
from pcdarts_tune.tasks import Outcome, Proposal
from pcdarts_tune.tracking.reach import require_answer
from pcdarts_tune.tracking.run import Run
from pcdarts_tune.tracking.store import OBJECTIVE, MlflowStore

GENOTYPE = PUBLISHED["PC_DARTS_cifar"]
TUNE: dict[str, Any] = {
    "supernet.k": {"type": "categorical", "choices": [2, 4]},
    "search.learning_rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
}
SPACE = Space(name="toy", tune=TUNE)
PROPOSAL = Proposal(5, 77, {"supernet.k": 4, "search.learning_rate": 0.1243})
DATA = {"name": "digits", "digest": "0123abcd", "source": '{"source": "test"}', "profile": "{}"}


def facts(identity: str = "id-1") -> SweepFacts:
    return SweepFacts("first", identity, SPACE, DATA, {"pcdarts.version.torch": "2"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> MlflowStore:
    home = tmp_path_factory.mktemp("home")
    return MlflowStore(default_tracking_uri(home), artifact_root(home))


def search_epoch(epoch: int) -> dict[str, Any]:
    rows = [[1 / 8] * 8 for _ in range(14)]
    return {
        "kind": "epoch",
        "stage": "search",
        "epoch": epoch,
        "epochs": 3,
        "metrics": {"search/loss_train": 1.0 / (epoch + 1), "search/acc_held_out": float("nan")},
        "genotype": GENOTYPE.to_dict(),
        "alphas": {"alpha_normal": rows, "alpha_reduce": rows, "beta_normal": None, "beta_reduce": None},
    }


def derived() -> dict[str, Any]:
    return {
        "kind": "derived",
        "genotype": GENOTYPE.to_dict(),
        "genotype_hash": GENOTYPE.canonical_hash(),
        "params": 3_634_678,
        "macs": 557_000_000,
    }


def evaluation_epoch(epoch: int) -> dict[str, Any]:
    metrics = {"evaluation/acc_held_out": 0.5 + epoch / 10}
    return {
        "kind": "epoch",
        "stage": "evaluation",
        "epoch": epoch,
        "epochs": 2,
        "accuracy": 0.5,
        "metrics": metrics,
    }


OUTCOME = Outcome(
    "complete",
    objective=0.9634,
    genotype=GENOTYPE.to_dict(),
    genotype_hash=GENOTYPE.canonical_hash(),
    params=3_634_678,
    macs=557_000_000,
    seconds=12.0,
)


def trial_runs(store: MlflowStore, identity: str) -> list[Any]:
    client = MlflowClient(store.uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    wanted = f"tags.`pcdarts.sweep_id` = '{identity}' and tags.`pcdarts.kind` = 'trial'"
    return list(client.search_runs([experiment.experiment_id], wanted))


def test_a_trial_s_run_reads_well(store: MlflowStore) -> None:
    notes: dict[str, Any] = {}
    tracker = SweepTracker(store, facts("reads-well"), notes.__setitem__)
    tracker.open()
    tracker.trial(PROPOSAL)
    for record in (*map(search_epoch, range(3)), derived(), *map(evaluation_epoch, range(2))):
        tracker.record(5, record)
    tracker.ended(5, OUTCOME)
    assert tracker.close("FINISHED", "the summary") == 0

    client = MlflowClient(store.uri)
    (run,) = trial_runs(store, "reads-well")
    assert notes["run/5"] == run.info.run_id
    assert notes["delivered/5"]
    assert run.info.run_name == "t05 acc=.963 K=4 lr=.124"
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.parentRunId"] == notes["run"]
    assert run.data.tags["pcdarts.outcome"] == "complete"
    assert run.data.tags["pcdarts.genotype"] == GENOTYPE.canonical_hash()
    assert "promote first --trial 5" in run.data.tags["mlflow.note.content"]
    assert run.data.params == {
        "supernet.k": "4",
        "search.learning_rate": "0.1243",
        "log10_search.learning_rate": "-0.905529",
    }
    assert run.data.metrics[OBJECTIVE] == 0.9634
    assert run.data.metrics["cost/params"] == 3_634_678
    assert "search/acc_held_out" not in run.data.metrics, "what is not finite is left out"
    losses = client.get_metric_history(run.info.run_id, "search/loss_train")
    assert [(entry.step, entry.value) for entry in losses] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert run.inputs.dataset_inputs[0].dataset.digest == "0123abcd"

    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"genotype.json", "alphas.json", "config.json", "images"} <= names
    local = client.download_artifacts(run.info.run_id, "genotype.json")
    assert json.loads(Path(local).read_text()) == GENOTYPE.to_dict()
    images = [Path(entry.path).name for entry in client.list_artifacts(run.info.run_id, "images")]
    for key in ("cells", "alphas"):
        assert any(name.startswith(f"{key}+step+2") and name.endswith(".png") for name in images) or any(
            name.startswith(f"{key}+step") for name in images
        )

    parent = client.get_run(notes["run"])
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "first")
    assert parent.data.tags["mlflow.note.content"] == "the summary"
    assert [(m.step, m.value) for m in client.get_metric_history(notes["run"], "trials/objective")] == [
        (5, 0.9634)
    ]


def test_a_resumed_trial_goes_on_in_its_run_without_doubling(store: MlflowStore) -> None:
    first = SweepTracker(store, facts("resumed"), {}.__setitem__)
    first.open()
    first.trial(PROPOSAL)
    first.record(5, search_epoch(0))
    first.record(5, search_epoch(1))
    assert first.close("KILLED", "") == 0
    (run,) = trial_runs(store, "resumed")
    assert run.info.status == "KILLED"

    # the driver died, the checkpoint has an epoch more than was delivered
    second = SweepTracker(store, facts("resumed"), {}.__setitem__)
    second.open()
    second.trial(PROPOSAL)
    second.record(5, {"kind": "history", "records": [search_epoch(0), search_epoch(1), search_epoch(2)]})
    second.record(5, derived())
    second.ended(5, OUTCOME)
    assert second.close("FINISHED", "") == 0
    # and once more, as when MLflow was away at the end
    third = SweepTracker(store, facts("resumed"), {}.__setitem__)
    third.open()
    third.trial(PROPOSAL)
    third.record(5, {"kind": "history", "records": [*map(search_epoch, range(3)), derived()]})
    third.ended(5, OUTCOME)
    assert third.close("FINISHED", "") == 0

    (again,) = trial_runs(store, "resumed")
    assert again.info.run_id == run.info.run_id
    client = MlflowClient(store.uri)
    for metric in ("search/loss_train", "cost/params", OBJECTIVE):
        steps = [entry.step for entry in client.get_metric_history(run.info.run_id, metric)]
        assert len(steps) == len(set(steps)), metric
    assert len(client.get_metric_history(run.info.run_id, "search/loss_train")) == 3
    parent = again.data.tags["mlflow.parentRunId"]
    assert len(client.get_metric_history(parent, "trials/objective")) == 1


def test_a_sweep_s_description_that_fails_loses_no_trial(
    store: MlflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_tracking, "DESCRIBE_EVERY", -1.0)
    notes: dict[str, Any] = {}
    failures = iter([ConnectionError("the study's server is away")])

    def describe(links: Any) -> str:
        for error in failures:
            raise error
        return "so far"

    tracker = SweepTracker(store, facts("described"), notes.__setitem__, describe)
    tracker.open()
    tracker.trial(PROPOSAL)
    tracker.ended(5, OUTCOME)
    assert tracker.close("FINISHED", "the summary") == 0
    assert notes["delivered/5"]
    (run,) = trial_runs(store, "described")
    assert len(MlflowClient(store.uri).get_metric_history(run.info.run_id, OBJECTIVE)) == 1


def test_a_failed_trial_says_why(store: MlflowStore) -> None:
    tracker = SweepTracker(store, facts("failed"), {}.__setitem__)
    tracker.open()
    tracker.trial(PROPOSAL)
    tracker.ended(5, Outcome("failed", reason="out of memory with K 4"))
    assert tracker.close("FINISHED", "") == 0
    (run,) = trial_runs(store, "failed")
    assert run.info.status == "FAILED"
    assert run.info.run_name == "t05 failed K=4 lr=.124"
    assert run.data.tags["pcdarts.reason"] == "out of memory with K 4"
    assert OBJECTIVE not in run.data.metrics


def test_the_reason_of_a_failure_is_one_line_without_passwords(store: MlflowStore) -> None:
    keep_secret("postgresql://me:supersecretpw@db/x")
    run_id, _ = store.open_run("toy", {"pcdarts.kind": "training"}, name="fails", tags={})
    Run(store, run_id).fail(RuntimeError("x" * 490 + "\nsupersecretpw at https://you:hidden@host"))
    reason = MlflowClient(store.uri).get_run(run_id).data.tags["pcdarts.reason"]
    assert reason == "x" * 490 + " … at http"


def test_a_store_that_refuses_ends_no_sweep(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("this is no database")
    tracker = SweepTracker(MlflowStore(default_tracking_uri(tmp_path)), facts(), {}.__setitem__)
    tracker.open()
    tracker.trial(PROPOSAL)
    tracker.record(5, search_epoch(0))
    tracker.ended(5, OUTCOME)
    assert tracker.close("FINISHED", "", timeout=1.0) > 0


class RefusesOnce(MlflowStore):
    """A real store that refuses the first run, in a way that is not tried again."""

    refused = False

    def open_run(self, *args: Any, **kwargs: Any) -> tuple[str, bool]:
        if not self.refused:
            self.refused = True
            raise ValueError("no run now")
        return super().open_run(*args, **kwargs)


@pytest.mark.parametrize("trials", [0, 1])
def test_a_sweep_s_run_that_was_refused_is_opened_by_who_needs_it(tmp_path: Path, trials: int) -> None:
    notes: dict[str, Any] = {}
    refusing = RefusesOnce(default_tracking_uri(tmp_path), artifact_root(tmp_path))
    tracker = SweepTracker(refusing, facts(), notes.__setitem__)
    tracker.open()
    if trials:
        tracker.trial(PROPOSAL)
        tracker.ended(5, OUTCOME)
    assert tracker.close("FINISHED", "the summary") == 1, "the first attempt is counted"
    parent = MlflowClient(refusing.uri).get_run(notes["run"])
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "first")
    runs = trial_runs(refusing, "id-1")
    assert [run.data.tags["mlflow.parentRunId"] for run in runs] == [notes["run"]] * trials


def test_addresses() -> None:
    assert check_uri("http://127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert check_uri("sqlite:///m.db") == f"sqlite:///{Path.cwd() / 'm.db'}"
    with pytest.raises(UserError, match="no address of an MLflow store"):
        check_uri("ftp://somewhere")
    secret = "https://me:hunter2@host:5000/path?token=abc"
    assert has_secret(secret)
    assert not has_secret("http://host:5000")
    assert without_secret(secret) == "https://host:5000/path"
    assert has_secret("postgresql://me:hunter2@host/db")
    assert "hunter2" not in without_secret("postgresql://me:hunter2@host/db")


def test_a_server_that_does_not_answer_is_named_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=rf"no MLflow server answers at http://127.0.0.1:{port}"):
        require_answer(f"http://me:secret@127.0.0.1:{port}")
    require_answer("sqlite:////nowhere/mlflow.db")


def test_a_beginning_that_was_cut_off_is_made_up_for(store: MlflowStore) -> None:
    tracker = SweepTracker(store, facts("cut-off"), {}.__setitem__)
    tracker.open()
    assert tracker.close("KILLED", "") == 0
    # the driver died after the run was made, before anything was written into it
    experiment = store.experiment("toy")
    identity = {"pcdarts.sweep_id": "cut-off", "pcdarts.kind": "trial", "pcdarts.trial": "5"}
    run_id = store.client.create_run(experiment, tags=identity).info.run_id
    again = SweepTracker(store, facts("cut-off"), {}.__setitem__)
    again.open()
    again.trial(PROPOSAL)
    again.ended(5, OUTCOME)
    assert again.close("FINISHED", "") == 0
    (run,) = trial_runs(store, "cut-off")
    assert run.info.run_id == run_id
    assert run.data.params["supernet.k"] == "4"
    assert len(run.inputs.dataset_inputs) == 1
    assert "config.json" in {entry.path for entry in store.client.list_artifacts(run_id)}


def bare_epoch(epoch: int) -> dict[str, Any]:
    """Without alphas, whose pictures take a while to draw."""
    return {key: value for key, value in search_epoch(epoch).items() if key != "alphas"}


class LosesAnswers(MlflowStore):
    """A real store where everything arrives, and the first answer to everything is lost."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lost: set[str] = set()

    def _lose(self, what: str) -> None:
        if what not in self.lost:
            self.lost.add(what)
            raise ConnectionError("the connection was lost")

    def log_epoch(self, run_id: str, metrics: Any, step: int, **kwargs: Any) -> None:
        super().log_epoch(run_id, metrics, step, **kwargs)
        self._lose(f"{sorted(metrics)} {step}")

    def log_png(self, run_id: str, png: bytes, *, key: str, step: int) -> None:
        super().log_png(run_id, png, key=key, step=step)
        self._lose(f"{key} {step}")


def test_lost_answers_double_nothing(tmp_path: Path) -> None:
    losing = LosesAnswers(default_tracking_uri(tmp_path), artifact_root(tmp_path))
    notes: dict[str, Any] = {}
    tracker = SweepTracker(losing, facts("lost"), notes.__setitem__)
    tracker._outbox._longest_pause = 0.01
    tracker.open()
    tracker.trial(PROPOSAL)
    for record in (*map(bare_epoch, range(2)), derived(), evaluation_epoch(0)):
        tracker.record(5, record)
    tracker.ended(5, OUTCOME)
    assert tracker.close("FINISHED", "", timeout=120) == 0
    assert len(losing.lost) == 8
    (run,) = trial_runs(losing, "lost")
    for metric in run.data.metrics:
        steps = [entry.step for entry in losing.client.get_metric_history(run.info.run_id, metric)]
        assert len(steps) == len(set(steps)), metric
    assert len(losing.client.get_metric_history(notes["run"], "trials/objective")) == 1
    files = image_files(losing.client, run.info.run_id)
    assert len({(file.key, file.step, file.name[-4:]) for file in files}) == len(files) >= 4


def test_a_picture_that_was_cut_off_is_completed_and_not_doubled(store: MlflowStore) -> None:
    from PIL import Image

    run_id = store.client.create_run(store.experiment("toy")).info.run_id
    png = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(png, "png")
    store.log_png(run_id, png.getvalue(), key="cells", step=2)
    folder = Path(store.client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "images"
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert len(whole) == 2
    for name in whole:
        for left in (b"", whole[name][:20], None):  # cut off, or never written
            file = folder / name
            file.unlink() if left is None else file.write_bytes(left)
            store.log_png(run_id, png.getvalue(), key="cells", step=2)
            assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole


def test_records_beyond_the_memory_come_from_the_trial_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_tracking, "WAITING", 3)
    held = MlflowStore(default_tracking_uri(tmp_path), artifact_root(tmp_path))
    gate, history = threading.Event(), [*map(bare_epoch, range(3)), derived(), evaluation_epoch(0)]
    notes: dict[str, Any] = {}
    tracker = SweepTracker(held, facts("held"), notes.__setitem__, history=lambda number: history)
    tracker._outbox.put(lambda: assert_open(gate))  # the store is slow
    tracker.open()
    tracker.trial(PROPOSAL)
    for record in history:
        tracker.record(5, record)
    assert len(tracker._outbox) < 6
    tracker.ended(5, OUTCOME)
    gate.set()
    assert tracker.close("FINISHED", "") == 0
    (run,) = trial_runs(held, "held")
    losses = held.client.get_metric_history(run.info.run_id, "search/loss_train")
    assert [(entry.step, entry.value) for entry in losses] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    assert run.data.metrics["evaluation/acc_held_out"] == 0.5
    assert notes["delivered/5"]


def assert_open(gate: threading.Event) -> None:
    assert gate.wait(60)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, but long enough to have the header of one" * 4)
    with pytest.raises(
        UserError, match=r"MLflow's store at sqlite:.*mlflow.db cannot be read: file is not a database"
    ):
        _ = MlflowStore(default_tracking_uri(tmp_path)).client
