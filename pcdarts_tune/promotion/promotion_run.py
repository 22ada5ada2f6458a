"""A promotion of several trainings in MLflow: one run, the trainings nested under it, the comparison as a table.

run = PromotionRun.open(store, sweep, digest, name="first: 3 candidates, 3 seeds", space=space, images=images, seed=0)
run.finish(chosen, results, verdicts, note, name)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from pcdarts_tune.calibration.promoted import Agreement
from pcdarts_tune.calibration.track import figure_values
from pcdarts_tune.datasets import DataSet
from pcdarts_tune.promotion.comparison import CandidateResult, tabulate
from pcdarts_tune.spaces.space import Space
from pcdarts_tune.sweeps.sweep import SweepHandle
from pcdarts_tune.tracking.run import Run, common_tags
from pcdarts_tune.tracking.store import Content, MlflowStore
from pcdarts_tune.tracking.tags import Tag

_TABLE = "comparison.json"


class PromotionRun(Run):
    """The run that the trainings of one promotion are nested under."""

    @classmethod
    def open(
        cls,
        store: MlflowStore,
        sweep: SweepHandle,
        digest: str,
        *,
        name: str,
        space: Space,
        images: DataSet,
        seed: int,
    ) -> PromotionRun:
        """The run of this promotion: the one it began in when it goes on. `digest`: of everything that is trained."""
        identity = {Tag.KIND: "promotion", Tag.SWEEP_ID: sweep.about["id"], Tag.PROMOTION: digest}
        tags = {**common_tags("promotion", space, images, seed), **lineage_tags(sweep)}
        content = Content(files={"space.json": space.model_dump(mode="json")})
        run_id, fresh = store.open_run(
            sweep.experiment, identity, name=name, tags=tags, content=lambda: content
        )
        return cls(store, run_id, fresh=fresh)

    def adopt(self, run_id: str) -> None:
        """Nest a training's run under this one; a run that an earlier promotion nested stays where it is."""
        tags = {Tag.PROMOTION_RUN: self.run_id}
        if "mlflow.parentRunId" not in self.store.client.get_run(run_id).data.tags:
            tags["mlflow.parentRunId"] = self.run_id
        self.store.set_tags(run_id, tags)

    def finish(
        self,
        chosen: CandidateResult,
        results: Sequence[CandidateResult],
        verdicts: Sequence[str],
        note: str,
        name: str,
        *,
        agreement: Agreement | None = None,
    ) -> None:
        """Write down what came of it, and end the run."""
        spread = chosen.held_out
        done = chosen.best().done
        assert done is not None, "the chosen one did not diverge"
        numbers = {"held_out/mean": spread.mean, "held_out/std": spread.std, "test/acc": done.test_accuracy}
        for key, value in numbers.items():
            if value is not None:
                self.log({key: value}, 0, mark=key)
        said = list(verdicts)
        if agreement is not None:
            known = {"n": float(agreement.n), **figure_values(agreement.figures)}
            self.log({f"agreement/{key}": value for key, value in known.items()}, 0, mark="agreement/n")
            said.append(str(agreement))
        rows = tabulate(results)
        table = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
        self.store.log_file(self.run_id, table, _TABLE)
        self.store.set_tags(
            self.run_id,
            {
                # what makes MLflow show the file as a table
                "mlflow.loggedArtifacts": json.dumps([{"path": _TABLE, "type": "table"}]),
                "mlflow.note.content": "\n\n".join([note, _markdown(results), *said]),
                Tag.GENOTYPE_HASH: chosen.candidate.genotype.canonical_hash(),
                Tag.RETRAINING_RUN: done.run_id,
            },
        )
        self.store.close_run(self.run_id, "FINISHED", name=name)

    def fail(self, error: BaseException) -> None:
        """As `Run.fail`, and quiet where the store cannot be written to."""
        with suppress(Exception):  # the store may be what failed
            super().fail(error)


def lineage_tags(sweep: SweepHandle) -> dict[str, str]:
    """What leads from a run back to its sweep."""
    tags = {Tag.SWEEP: sweep.name, Tag.SWEEP_ID: sweep.about["id"]}
    if run := sweep.study.notes().get("run"):
        tags[Tag.SWEEP_RUN] = run
    return tags


def _markdown(results: Sequence[CandidateResult]) -> str:
    lines = [f"| genotype | {results[0].measure} accuracy |", "| --- | --- |"]
    lines += [
        f"| {each.name} `{each.candidate.genotype.canonical_hash()[:8]}` | {each.held_out} |"
        for each in results
    ]
    return "\n".join(lines)
