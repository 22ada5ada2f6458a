"""The names of the tags that MLflow's runs and model versions carry.

store.set_tags(run_id, {Tag.KIND: "trial", Tag.SWEEP: "first", Tag.TRIAL: "3"})

Runs of earlier releases carry these names: a name never changes.
"""

from __future__ import annotations

from collections.abc import Mapping


class Tag:
    """Names of tags, in groups; every value is text."""

    KIND = "pcdarts.kind"
    """What the run is: sweep, trial, search, retraining, finetuning, promotion, reproduction or calibration."""

    # what was computed
    SPACE = "pcdarts.space"
    METHOD = "pcdarts.method"
    """How genotypes are found, `search.method`; runs of earlier releases lack it: pc-darts."""
    DATA = "pcdarts.data"
    SEED = "pcdarts.seed"
    SWEEP_SEED = "pcdarts.sweep_seed"
    GROUPS = "pcdarts.groups"
    SEARCH = "pcdarts.search"
    RETRAINING = "pcdarts.retraining"
    PROMOTION = "pcdarts.promotion"
    REPRODUCTION = "pcdarts.reproduction"
    CALIBRATION = "pcdarts.calibration"
    """Digests of a recipe, by which a run is found again: of a search, a retraining, a promotion, a reproduction, a
    calibration."""

    # how it was computed
    DEVICE = "pcdarts.device"
    THREADS = "pcdarts.threads"
    PRECISION = "pcdarts.precision"
    GRAPHS = "pcdarts.graphs"
    COMPILE = "pcdarts.compile"
    VERSION = "pcdarts.version."
    """Prefix: `pcdarts.version.torch` and the like."""

    # how it went
    STAGE = "pcdarts.stage"
    OUTCOME = "pcdarts.outcome"
    REASON = "pcdarts.reason"
    EVALUATION_FROM = "pcdarts.evaluation_from"
    WEIGHTS = "pcdarts.weights"
    LATENCY = "pcdarts.latency"

    # the genotype
    GENOTYPE = "pcdarts.genotype"
    GENOTYPE_HASH = "pcdarts.genotype_hash"
    GENOTYPE_ORIGIN = "pcdarts.genotype_origin"
    BASELINE = "pcdarts.baseline"

    # what it belongs to and where it comes from
    SWEEP = "pcdarts.sweep"
    SWEEP_ID = "pcdarts.sweep_id"
    SWEEP_RUN = "pcdarts.sweep_run"
    NOTE = "pcdarts.note"
    """What a person wrote on the run; MLflow's own description has it too, above what the program says."""
    SWEEP_DELETED = "pcdarts.sweep_deleted"
    """When its sweep was deleted, of a run that stayed for the registered model that was made of it."""
    TRIAL = "pcdarts.trial"
    TRIAL_RUN = "pcdarts.trial_run"
    SEARCH_RUN = "pcdarts.search_run"
    RETRAINING_RUN = "pcdarts.retraining_run"
    PROMOTION_RUN = "pcdarts.promotion_run"
    BASE_RUN = "pcdarts.base_run"
    BASE_MODEL = "pcdarts.base_model"
    BASE_WEIGHTS = "pcdarts.base_weights"
    FREEZE = "pcdarts.freeze"
    REPRODUCES = "pcdarts.reproduces"
    REPRODUCED = "pcdarts.reproduced"
    REPRODUCED_KIND = "pcdarts.reproduced_kind"

    # of model versions and of the run that registered one
    MODEL = "pcdarts.model"
    COMPARABLE = "pcdarts.comparable"
    VALIDATION_ACCURACY = "pcdarts.validation_accuracy"
    VALIDATION_BALANCED = "pcdarts.validation_balanced_accuracy"
    VALIDATION_MEAN = "pcdarts.validation_mean"
    VALIDATION_STD = "pcdarts.validation_std"
    VALIDATION_N = "pcdarts.validation_n"
    TEST_ACCURACY = "pcdarts.test_accuracy"
    CHAMPIONS = "pcdarts.champions"


def execution_tags(execution: Mapping[str, str]) -> dict[str, str]:
    """`Search.execution()` or `Training.execution()` as tags of a run; the device has a tag of its own."""
    names = {"precision": Tag.PRECISION, "graphs": Tag.GRAPHS, "compile": Tag.COMPILE}
    return {tag: execution[key] for key, tag in names.items()}
