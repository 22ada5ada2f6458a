"""A trial's run in MLflow: its epochs, cells and alphas as the search goes on, its genotype, how it ended.

    trial = TrialRun.open(store, facts, proposal, parent, at)
    trial.record(record, at)                    # what the trial reported, see trials/trial.py
    trial.end(outcome, note, at)

What the run has already is not logged again, so that a method that raised what the store raises can be called again. `at` is in
milliseconds since 1970, as MLflow counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pcdarts_tune import plugins
from pcdarts_tune.core.cells.candidates import EdgePrimitives
from pcdarts_tune.spaces import naming
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.trials.repeats import metric_name
from pcdarts_tune.tasks import CPUS, GPUS, Outcome, Proposal, hours
from pcdarts_tune.tracking.run import Run
from pcdarts_tune.tracking.store import OBJECTIVE, STANDARD_ERROR, Content, MlflowStore
from pcdarts_tune.tracking.tags import Tag, execution_tags


@dataclass(frozen=True)
class SweepFacts:
    """What is recorded of a sweep with each of its runs.

    Attributes:
        identity: a name may come again in another home; this never does.
        data: `name`, `digest`, `source` and `profile` of the data set.
        tags: versions, git revision, seed.
    """

    name: str
    identity: str
    space: Space
    data: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)

    def run_tags(self, kind: str) -> dict[str, str]:
        """Tags of a run; MLflow shows them in this order: what people look for first, versions last."""
        about = {Tag.SWEEP: self.name, Tag.KIND: kind, Tag.SPACE: self.space.name}
        return {**about, Tag.METHOD: self.space.search.method, **self.tags}


@dataclass
class TrialRun:
    """The run of a trial."""

    run: Run
    proposal: Proposal
    pictures: TrialPictures
    score: str
    alphas: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(
        cls, store: MlflowStore, facts: SweepFacts, proposal: Proposal, parent: str, at: int
    ) -> TrialRun:
        """Begin, or go on with, the run of a trial."""

        def content() -> Content:
            constants = facts.space.model_dump(mode="json", exclude={"tune"})
            settings = {"hyperparameters": proposal.hyperparameters, "seed": proposal.seed}
            return Content(
                naming.run_parameters(facts.space.tune, proposal.hyperparameters),
                {"config.json": {**settings, "space": constants}, **plugins.artifact_of(constants)},
                dataset=facts.data,
            )

        number = proposal.number
        identity = {Tag.SWEEP_ID: facts.identity, Tag.KIND: "trial", Tag.TRIAL: str(number)}
        now = {Tag.TRIAL: str(number), Tag.OUTCOME: "running", Tag.STAGE: "search"}
        run_id, fresh = store.open_run(
            facts.space.name,
            identity,
            name=naming.run_name(number, proposal.hyperparameters),
            tags={**now, Tag.SEED: str(proposal.seed), **facts.run_tags("trial")},
            parent=parent,
            content=content,
            at=at,
        )
        sizes = facts.space.supernet
        pictures = TrialPictures(store, run_id, number, sizes.primitives, sizes.edge_primitives)
        return cls(Run(store, run_id, fresh=fresh), proposal, pictures, facts.space.objective)

    def record(self, record: dict[str, Any], at: int) -> None:
        """Write down what the trial reported; numbers of its second search are called `repeat_2/…`."""
        if record["kind"] == "derived":
            self._derived(record, at)
            return
        if record["kind"] == "repeat":
            if record["objective"] is not None:
                score = {"repeats/objective": record["objective"]}
                self.run.log(score, record["repeat"], mark="repeats/objective", at=at)
            return
        stage, epoch, alphas = record["stage"], record["epoch"], record.get("alphas")
        if alphas is not None:
            self.alphas[epoch] = alphas
        mark = metric_name(f"{stage}/epoch", record)
        if epoch in self.run.steps(mark):
            return
        if "genotype" in record and "repeat" not in record and drawn_at(epoch, record["epochs"]):
            self.pictures.cells(record["genotype"], epoch)
            if alphas is not None:
                self.pictures.alphas(alphas, epoch)
        if "execution" in record:
            self.run.set_tags(execution_tags(record["execution"]))
        # last: an epoch that has its numbers has all
        metrics = {metric_name(name, record): value for name, value in record["metrics"].items()}
        self.run.log({**metrics, mark: epoch}, epoch, mark=mark, at=at)

    def _derived(self, record: dict[str, Any], at: int) -> None:
        store, run_id = self.run.store, self.run.run_id
        mark = metric_name("cost/params", record)
        if self.run.steps(mark):
            self.alphas.clear()
            return
        first = "repeat" not in record
        last = max(self.run.steps("search/epoch"), default=0)
        store.log_file(run_id, record["genotype"], metric_name("genotype.json", record))
        # the cells of further searches come after those of the first on the slider
        self.pictures.cells(record["genotype"], last + record.get("repeat", 1) - 1)
        if self.alphas:
            store.log_file(run_id, self.alphas, metric_name("alphas.json", record))
            if first:
                self.pictures.alphas(self.alphas[last], last)
                self.pictures.history(self.alphas)
        found = {Tag.GENOTYPE: record["genotype_hash"]} if first else {}
        store.set_tags(run_id, {**found, Tag.STAGE: "evaluation"})
        cost = {metric_name(name, record): value for name, value in size_metrics(record).items()}
        self.run.log(cost, 0, mark=mark, at=at)
        self.alphas.clear()

    def _keep_best(self, outcome: Outcome, at: int) -> None:
        """Of a trial that searched several times: the genotype and the size that it is known by are those of the best."""
        if outcome.genotype is None or outcome.genotype_hash == outcome.repeats[0]["genotype_hash"]:
            return
        store, run_id = self.run.store, self.run.run_id
        store.log_file(run_id, outcome.genotype, "genotype.json")
        store.set_tags(run_id, {Tag.GENOTYPE: outcome.genotype_hash})
        self.run.log(size_metrics(vars(outcome)), 1, mark="cost/params", at=at)

    def end(self, outcome: Outcome, note: str, at: int) -> None:
        """Write down the result and the cost of a trial that has ended and its description `note`, and close its run."""
        if outcome.repeats:
            self._keep_best(outcome, at)
        numbers = cost_metrics(outcome)
        numbers |= {key: value for key, value in outcome.metrics.items() if key.startswith("repeats/")}
        if self.run.steps("cost/params"):
            numbers.pop("cost/latency_ms", None)  # was logged then
        if outcome.objective is not None:
            numbers |= {OBJECTIVE: outcome.objective, **score_metrics(outcome)}
        if outcome.evaluation_from is not None:
            numbers |= {key: value for key, value in outcome.metrics.items() if key.startswith("evaluation/")}
        self.run.log({**numbers, "trials/ended": 0}, 0, mark="trials/ended", at=at)
        taken = None if outcome.evaluation_from is None else str(outcome.evaluation_from)
        tags = {
            Tag.OUTCOME: outcome.state,
            Tag.STAGE: "ended",
            Tag.REASON: outcome.reason,
            Tag.EVALUATION_FROM: taken,
            **_machine_tags(outcome),
            "mlflow.note.content": note,
        }
        store, run_id = self.run.store, self.run.run_id
        store.set_tags(run_id, tags)
        proposal, status = self.proposal, "FAILED" if outcome.state == "failed" else "FINISHED"
        name = naming.run_name(
            proposal.number, proposal.hyperparameters, outcome.objective, outcome.state, self.score
        )
        store.close_run(run_id, status, name=name, at=at)


def score_metrics(outcome: Outcome) -> dict[str, float]:
    """How sure the objective is, and what it is to be compared with, as metrics beside it."""
    numbers = {STANDARD_ERROR: outcome.standard_error, "objective_seed_sd": outcome.seed_std}
    scored = ("images", "majority", "balanced_accuracy")
    numbers |= {f"held_out/{name}": outcome.held_out.get(name) for name in scored}
    return {name: float(value) for name, value in numbers.items() if value is not None}


def _machine_tags(outcome: Outcome) -> dict[str, str]:
    """What the trial had of its machine: on a CPU its result depends on the number of threads."""
    if CPUS not in outcome.metrics:
        return {}
    device = "cuda" if outcome.metrics.get(GPUS) else "cpu"
    return {Tag.DEVICE: device, Tag.THREADS: str(max(1, int(outcome.metrics[CPUS])))}


def cost_metrics(outcome: Outcome) -> dict[str, float]:
    """What a trial cost, and how fast its genotype is, as metrics."""
    spent = hours(outcome)
    numbers = {"cost/seconds": outcome.seconds, "cost/latency_ms": outcome.latency}
    if spent is not None:
        numbers[f"cost/{spent.unit.lower()}_hours"] = spent.hours
    return {name: value for name, value in numbers.items() if value is not None}


def size_metrics(of: Mapping[str, Any]) -> dict[str, float]:
    """Parameters, multiply-adds and latency of a genotype as metrics, those that are known."""
    names = {"cost/params": "params", "cost/macs": "macs", "cost/latency_ms": "latency"}
    return {metric: of[name] for metric, name in names.items() if of.get(name) is not None}


PICTURES = 4
"""How many times a search is drawn, the end of it included."""


def drawn_at(epoch: int, epochs: int) -> bool:
    """Whether the search is drawn after this epoch (from 0); after the last one its outcome is."""
    return (epoch + 1) % math.ceil(epochs / PICTURES) == 0 and epoch + 1 < epochs


@dataclass(frozen=True)
class TrialPictures:
    """Draws cells and alphas for one run, each under a key and a step; `primitives` are the operations that alphas are about,
    `edge_primitives` those of each edge, where they differ.
    Every trial is drawn at the same epochs, so that a slider over the steps plays the cells of several runs side by side."""

    store: MlflowStore
    run_id: str
    number: int
    primitives: Sequence[str]
    edge_primitives: EdgePrimitives | None = None

    def cells(self, genotype: dict[str, Any], epoch: int) -> None:
        """What would be derived after `epoch` (from 0)."""
        from pcdarts_tune.core.genotype import read_genotype
        from pcdarts_tune.drawing.cells import cells_png

        png = cells_png(read_genotype(genotype), title=self._title(epoch))
        self.store.log_png(self.run_id, png, key="cells", step=epoch)

    def alphas(self, alphas: dict[str, Any], epoch: int) -> None:
        """Alphas and betas, softmaxed, after `epoch`."""
        from pcdarts_tune.drawing.alphas import alphas_png

        lists = self.edge_primitives
        png = alphas_png(alphas, self.primitives, title=self._title(epoch), edge_primitives=lists)
        self.store.log_png(self.run_id, png, key="alphas", step=epoch)

    def history(self, alphas: dict[int, dict[str, Any]]) -> None:
        """Alphas and betas over the whole search, by epoch (from 0)."""
        from pcdarts_tune.drawing.alphas import alpha_history_png

        numbered = {epoch + 1: alphas[epoch] for epoch in alphas}
        title, lists = f"trial {self.number}", self.edge_primitives
        png = alpha_history_png(numbered, self.primitives, title=title, edge_primitives=lists)
        self.store.log_png(self.run_id, png, key="alphas_over_epochs", step=max(alphas))

    def _title(self, epoch: int) -> str:
        return f"trial {self.number}, epoch {epoch + 1}"
