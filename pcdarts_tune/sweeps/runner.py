"""Running a sweep: Ray Tune executes what the study asks for, until it has the trials it shall have.

    ended = run_sweep(open_sweep(where, "first"), RunSettings())
    ended.reason                # "done", "interrupted", "time budget"

Ray's own state is disposable: every run is a new `Tuner` over the same study, and goes on with what has not ended.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcdarts_tune import plugins
from pcdarts_tune.cluster.processes import end_leftover_processes, mark_processes
from pcdarts_tune.cluster.resources import Share, read_cluster, share_resources
from pcdarts_tune.cluster.session import ray_running
from pcdarts_tune.errors import UserError, WorkFailed, is_disk_full
from pcdarts_tune.say import say
from pcdarts_tune.sweeps.ending import Loss, ReasonToStop, Stop, drop_frames, find_loss
from pcdarts_tune.sweeps.study.objectives import Rung
from pcdarts_tune.sweeps.study.samplers import derived_seed, is_slow
from pcdarts_tune.sweeps.study.study import SweepStudy
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.sweeps.tracker import deliver_late, summary, tracker_of
from pcdarts_tune.sweeps.view import Progress, Screen, View
from pcdarts_tune.sweeps.work import Tracker, Work, count_left
from pcdarts_tune.tasks import Proposal, TrialFunction, TrialTask

if TYPE_CHECKING:
    from pcdarts_tune.sweeps.ray_tune import Recorder

DELIVERED_WITHIN = 60.0
"""Seconds that the end of a sweep waits for MLflow; what it has not taken then, `resume` delivers."""


@dataclass(frozen=True)
class RunSettings:
    """How a sweep is run this time; none of it changes what its trials are told to compute (on CPUs, threads round
    differently).

    Attributes:
        address: of a Ray cluster; None for this machine.
        cpus, gpus: of one trial; None to choose.
        most: trials at a time, at most.
        threads: CPU threads of a trial; None for as many as it has cores, or what the work began with.
        time_budget: seconds after which the sweep stops, to be resumed.
        quiet: no progress on stderr.
    """

    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    most: int | None = None
    time_budget: float | None = None
    quiet: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class Ended:
    """Why a run of a sweep came to its end, and how many records MLflow did not take."""

    reason: ReasonToStop
    undelivered: int = 0
    trouble: str | None = None


def run_sweep(
    sweep: SweepHandle, run: RunSettings, *, data: Any = None, function: TrialFunction | None = None
) -> Ended:
    """Run a sweep to its end, or until it is interrupted or its time is spent.

    Args:
        data: the data set, loaded; workers get it from here.
        function: what a trial does; None for the real one.

    Raises:
        UserError: when another process runs it, or its resources can never be had.
        WorkFailed: when Ray does not run trials at all.
    """
    plugins.check(sweep.plugins)
    with sweep.lock(), Stop(run.time_budget, quiet=run.quiet) as stop:
        end_leftover_processes(sweep.about["id"])
        tracker = tracker_of(sweep)
        tracker.open()
        try:
            deliver_late(sweep, tracker)
            if trials_left(sweep):
                run_work(SweepWork(sweep), run, stop, tracker, data=data, function=function)
            reason: ReasonToStop = stop.reason if trials_left(sweep) else "done"
        except KeyboardInterrupt:
            raise  # at once: what MLflow does not have yet, `resume` delivers
        except BaseException as error:
            tracker.close("KILLED", summary(sweep), timeout=10)
            if isinstance(error, Exception) and is_disk_full(error):
                raise _disk_full(sweep, error) from error
            raise
        status = "FINISHED" if reason == "done" else "KILLED"
        waiting = None if run.quiet else _say_waiting
        undelivered = tracker.close(status, summary(sweep), DELIVERED_WITHIN, waiting)
        return Ended(reason, undelivered, tracker.last_trouble)


def _disk_full(sweep: SweepHandle, error: Exception) -> WorkFailed:
    # of a whole traceback that Ray passes on, the line that says it
    lines = [line.strip() for line in str(error).splitlines() if is_disk_full(line)]
    return WorkFailed(
        f"the disk is full: {(lines or [str(error)])[-1][:300]}",
        hint=f"make space (the sweep writes to {sweep.folder.path}), then {sweep.command('resume')}; "
        "trials that ended stay, the others go on from their last checkpoint",
    )


def _say_waiting(left: int) -> None:
    print(f"MLflow: {left} records are still to be delivered", file=sys.stderr, flush=True)


def run_work(
    work: Work,
    run: RunSettings,
    stop: Stop,
    tracker: Tracker,
    *,
    data: Any = None,
    function: TrialFunction | None = None,
) -> None:
    """Run trials until all have ended or `stop` asks to stop; the caller holds the lock of what they belong to.

    Args:
        data, function: see `run_sweep`.

    Raises:
        UserError: the resources can never be had.
        WorkFailed: Ray does not run trials at all.
    """
    from pcdarts_tune.cluster.shipping import pack, packed_size

    packed, queue = pack(data), work.queue
    with mark_processes(work.identity), ray_running(address=run.address, data_bytes=packed_size(packed)):
        stop.listen()
        left = count_left(queue, work.target)
        # a trial's results on a CPU depend on its number of threads: what the work began with, it goes on with
        cpus = run.cpus if run.cpus is not None else queue.notes().get("cpus_per_trial")
        threads = run.threads if run.threads is not None else queue.notes().get("threads_per_trial")
        divide = partial(
            share_resources, read_cluster(), trials=left, gpus=run.gpus, most=run.most, threads=threads
        )
        try:
            share = divide(cpus=cpus)
        except UserError:
            if run.cpus is not None:
                raise
            share = divide(cpus=None)
        queue.note("cpus_per_trial", share.cpus)
        if threads is not None:
            queue.note("threads_per_trial", threads)
        if not run.quiet and share.remark is not None:
            say(f"note: {share.remark}")
        view = work.view(share, quiet=run.quiet)
        try:
            _Run(work, share, stop, tracker, view, function, packed).to_the_end()
        finally:
            view.close()


@dataclass(frozen=True)
class SweepWork:
    """A sweep as work, see work.py."""

    sweep: SweepHandle

    @property
    def identity(self) -> str:
        return str(self.sweep.about["id"])

    @property
    def queue(self) -> SweepStudy:
        return self.sweep.study

    @property
    def target(self) -> int:
        return self.sweep.target

    @property
    def max_failures(self) -> int:
        return self.sweep.settings.max_failures

    @property
    def ray(self) -> Path:
        return self.sweep.folder.ray

    @property
    def asks_beside(self) -> bool:
        return is_slow(self.sweep.settings.sampler)

    def task(self, proposal: Proposal, share: Share) -> TrialTask:
        return TrialTask(
            proposal,
            evaluation_seed=derived_seed(self.sweep.settings.seed, "evaluation"),
            space=self.sweep.space.model_dump_json(),
            folder=self.trial_address(proposal.number),
            evaluations=self.sweep.folder.evaluations_address,
            threads=share.threads,
            gpus=share.gpus,
            execution=self.sweep.settings.execution,
            plugins=self.sweep.plugins,
        )

    def trial_address(self, number: int) -> str:
        return self.sweep.folder.trial_address(number)

    def decide_at_rung(self, number: int, reached: dict[str, Any]) -> str | None:
        rung = Rung.after(self.sweep.space, reached["epochs"])
        return self.sweep.study.decide_at_rung(number, reached["values"], rung)

    def view(self, share: Share, *, quiet: bool) -> View:
        return _view(self.sweep, share, quiet=quiet)


@dataclass(frozen=True)
class _Run:
    work: Work
    share: Share
    stop: Stop
    tracker: Tracker
    view: View
    function: TrialFunction | None
    packed: Any

    def to_the_end(self) -> None:
        """Tuner after Tuner until the queue has its trials; more than one only where Ray itself gave up."""
        losses: Counter[int] = Counter()
        while not self.stop.asked and count_left(self.work.queue, self.work.target):
            recorder, lost = self._fit()
            gc.collect()  # what the run still holds of Ray must go before Ray does
            if self.stop.asked:
                return
            if not recorder.live and not recorder.ended:
                hint = "the logs of Ray, in /tmp/ray/session_latest/logs"
                raise WorkFailed(f"Ray could not run the trials: {lost.reason}", hint=hint)
            for number in sorted(recorder.lost(lost.actors)):
                losses[number] += 1
                self.view.trial_restarted(number, lost.reason)
                if losses[number] > self.work.max_failures:
                    recorder.fail(number, f"{lost.reason} ({losses[number]} times)")

    def _fit(self) -> tuple[Recorder, Loss]:
        from ray import tune

        from pcdarts_tune.sweeps.ray_tune import Recorder, Silent, StopWhenAsked, StudySearcher
        from pcdarts_tune.sweeps.trials.reports import ray_trial

        work, share, stop = self.work, self.share, self.stop
        searcher = StudySearcher(
            work.queue,
            target=work.target,
            concurrent=share.concurrent,
            task=partial(work.task, share=share),
            beside=work.asks_beside,
        )
        recorder = Recorder(work, self.tracker, self.view, searcher, share)
        # else Tune starts one process after the other; the searcher knows how many there may be
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(share.concurrent)
        resources = {"cpu": share.cpus, **({"gpu": share.gpus} if share.gpus else {})}
        trainable = tune.with_parameters(ray_trial, function=self.function, data=self.packed)
        tuner = tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                num_samples=-1,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial-{trial.config['number']}",
                trial_dirname_creator=lambda trial: f"{trial.config['number']}-{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name=time.strftime("%Y%m%d-%H%M%S"),
                storage_path=str(work.ray),
                failure_config=tune.FailureConfig(max_failures=work.max_failures),
                stop=StopWhenAsked(stop),
                callbacks=[recorder, Silent()],
                verbose=0,
            ),
        )
        lost: Loss | None = Loss("Ray ended its process")
        try:
            tuner.fit()
        except BaseException as error:
            trace = "".join(traceback.format_exception(error))
            drop_frames(error)
            if isinstance(error, UserError) or not isinstance(error, Exception) or is_disk_full(error):
                raise
            lost = find_loss(error)
            if lost is None:
                if not recorder.ended:
                    error.add_note(trace)
                    raise
                # whatever it was, the sweep got on: no trial is blamed, and it goes on
                recorder.live.clear()
                lost = Loss(" ".join(str(error).split())[:300])
        finally:
            searcher.close()
        assert lost is not None, "set above where it was not"
        return recorder, lost


def trials_left(sweep: SweepHandle) -> int:
    """How many trials of a sweep are to be run."""
    return count_left(sweep.study, sweep.target)


def _view(sweep: SweepHandle, share: Share, *, quiet: bool) -> View:
    ended = [record for record in sweep.records() if record.state in ("complete", "failed", "pruned")]
    best = None if not ended or ended[0].objective is None else (ended[0].trial, ended[0].objective)
    if not quiet:
        about = f"sweep {sweep.name}: {sweep.target} trials, {share}; in {sweep.folder.path}"
        print(about, file=sys.stderr, flush=True)
    stages = {
        "search": sweep.space.search_epochs,
        "evaluation": sweep.space.evaluation.all_epochs,
    }
    aims, score = sweep.space.objectives, sweep.space.objective
    progress = Progress(sweep.target, share.concurrent, stages, len(ended), best, aims, score)
    progress.repeats = sweep.space.repeats
    for record in ended:
        if record.pareto:
            progress.add_to_front(record.objectives or {})
    return View(progress, None if quiet else Screen(live=sys.stderr.isatty()))
