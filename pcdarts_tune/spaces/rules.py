"""Rules that join several fields of a space, asked of the space as it stands and of every combination that it can draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from pydantic import BaseModel

from pcdarts_tune.core.cells.candidates import EdgePrimitives, check_edge_primitives
from pcdarts_tune.core.cells.selecting import all_edges
from pcdarts_tune.core.genotype import FAMILIES, limited_kind
from pcdarts_tune.spaces.keys import lookup
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.mistakes import Mistake, as_error
from pcdarts_tune.spaces.ranges import Range
from pcdarts_tune.spaces.tuning import assignments, check_tune, numeric_keys
from pcdarts_tune.spaces.values import label

MOST_COMBINATIONS = 20_000
"""A rule is asked of so many combinations of values at most."""


@dataclass(frozen=True)
class Rule:
    """Something that the values of several keys must hold together.

    Attributes:
        wrong: of the values at `keys`: what is wrong with them, or None.
        every: asked of all values that ranges give, not only of their ends.
    """

    keys: tuple[str, ...]
    wrong: Callable[..., str | None]
    every: bool = False


def _k_divides(k: int, channels: int) -> str | None:
    if channels % k == 0:
        return None
    legal = [str(n) for n in range(1, channels + 1) if channels % n == 0]
    return f"K = {k} does not divide channels = {channels}; legal for {channels}: {', '.join(legal)}"


def _below(name: str, other: str, *, equal: bool = False) -> Callable[[float, float], str | None]:
    def wrong(value: float, limit: float) -> str | None:
        if value < limit or (equal and value == limit):
            return None
        return f"{name} = {label(value)} must be {'at most' if equal else 'below'} {other} = {label(limit)}; set both"

    return wrong


def _even(stem: str, channels: int) -> str | None:
    if stem != "imagenet" or channels % 2 == 0:
        return None
    return f"channels = {channels} must be even with stem: imagenet, which starts with half of them"


def _sized(kind: str, size: int | None) -> str | None:
    if kind != "imagenet" or size is not None:
        return None
    return "kind: imagenet crops to data.image_size, which is null; set it (224: the mobile setting)"


def _held_out(split: str, tune: Mapping[str, Range]) -> str | None:
    if split == "tuning" or not tune:
        return None
    return "split: published holds nothing out, so a sweep has nothing to maximise; take tuning, or leave tune out"


def _shares(weights: float | None, alphas: float | None, held_out: float, split: str) -> str | None:
    if weights is None and alphas is None:
        return None
    if weights is None or alphas is None:
        return "weights_fraction and alphas_fraction go together: set both, or neither"
    total = weights + alphas + (held_out if split == "tuning" and isinstance(held_out, float) else 0.0)
    if total <= 1 + 1e-9:
        return None
    return f"weights_fraction, alphas_fraction and held_out make {total:g}; at most 1"


def _balanced_once(class_weights: str, sampling: str) -> str | None:
    if class_weights == "none" or sampling == "uniform":
        return None
    return "class_weights and sampling are both balanced, which counts rare classes twice; take one of them"


def _rungs(rungs: tuple[float | int, ...], epochs: int) -> str | None:
    beyond = [label(rung) for rung in rungs if isinstance(rung, int) and rung >= epochs]
    if beyond:
        return f"rungs = {', '.join(beyond)}: not before the end of evaluation.epochs = {epochs}"
    shares = [rung / epochs if isinstance(rung, int) else rung for rung in rungs]
    return None if shares == sorted(set(shares)) else f"rungs = {', '.join(map(label, rungs))} must rise"


def _edges(skips: int | None, nodes: int, family: str) -> str | None:
    edges = FAMILIES[family].kept_edges(nodes)
    if skips is None or skips <= edges:
        return None
    return f"skip_connections = {skips}: a cell of {nodes} nodes has {edges} edges"


def _limited(
    most: int | None, family: str, primitives: tuple[str, ...], lists: EdgePrimitives | None
) -> str | None:
    if most is None:
        return None
    kind = limited_kind(FAMILIES[family])
    if kind is None:
        return f"max_skip_connections = {most}: skip connections of family: {family} cannot be limited; leave it null"
    edges = [primitives] if lists is None else lists.get(kind, ())
    if not all(set(names) - {"none", "skip_connect"} for names in edges):
        return f"max_skip_connections = {most}: no operation but skip_connect could take their place"
    return None


def _edge_primitives(lists: EdgePrimitives | None, nodes: int, family: str) -> str | None:
    of_family = FAMILIES[family]
    try:
        if lists is not None:
            check_edge_primitives(lists, tuple(of_family.kinds), all_edges(of_family, nodes))
    except ValueError as error:
        return str(error)
    return None


def _sampled(method: str, order: int, log_hessian: int | None, derived: str) -> str | None:
    if method != "gdas" or (order == 1 and log_hessian is None and derived == "magnitude"):
        return None
    return "method: gdas samples operations, so it goes with order: 1, log_hessian: null and derive.method: magnitude alone"


def _perturbed(derived: str, most: int | None, method: str) -> str | None:
    if derived != "perturbation":
        return None
    if most is not None:
        return f"max_skip_connections = {most} limits cells that alphas derive; leave it null with method: perturbation"
    if not METHODS[method].searches:
        return f"method: perturbation needs a trained supernet, and search.method: {method} trains none"
    return None


def _nodes(nodes: int, family: str) -> str | None:
    legal = FAMILIES[family].fixed_nodes
    return None if legal in (None, nodes) else f"nodes = {nodes}: a cell of family: {family} has {legal}"


def _stem(stem: str, family: str) -> str | None:
    legal = FAMILIES[family].stems
    if stem in legal:
        return None
    return f"stem: {stem} does not go with family: {family}; legal: {', '.join(legal)}"


def _auxiliary(auxiliary: bool, family: str) -> str | None:
    if FAMILIES[family].auxiliary or not auxiliary:
        return None
    return f"auxiliary: true does not go with family: {family}, whose networks have no auxiliary head; set auxiliary: false"


def _one_family(tune: Mapping[str, Range]) -> str | None:
    if "supernet.family" not in tune:
        return None
    return "supernet.family is one for all trials: sizes and recipes fit one family; make a space of each"


def _cmaes(sampler: str, objectives: tuple[str, ...], tune: Mapping[str, Range]) -> str | None:
    if sampler != "cmaes" or not tune:
        return None
    others = "; take tpe, gp, nsga2, random or qmc"
    if len(objectives) > 1:
        return f"cmaes takes one objective, not {', '.join(objectives)}{others}"
    if not numeric_keys(tune):
        return f"cmaes draws numbers, and {', '.join(tune)} are none (float and int ranges are){others}"
    return None


def _recipe(name: str) -> list[Rule]:
    rate_min, rate = f"{name}.learning_rate_min", f"{name}.learning_rate"
    return [
        Rule((f"{name}.lr_warmup_epochs", f"{name}.epochs"), _below("lr_warmup_epochs", "epochs")),
        Rule((rate_min, rate), _below("learning_rate_min", "learning_rate", equal=True)),
        Rule((f"{name}.augment.kind", "data.image_size"), _sized),
        Rule((f"{name}.class_weights", f"{name}.sampling"), _balanced_once),
    ]


RULES = (
    Rule(("supernet.k", "supernet.channels"), _k_divides, every=True),
    Rule(("supernet.stem", "supernet.channels"), _even, every=True),
    Rule(("search.arch_warmup_epochs", "search.epochs"), _below("arch_warmup_epochs", "epochs")),
    *_recipe("search"),
    *_recipe("evaluation"),
    Rule(("evaluation.stem", "evaluation.channels"), _even),
    *_recipe("retrain"),
    *(
        Rule((f"{section}.{key}", "supernet.family"), wrong)
        for section in ("evaluation", "retrain")
        for key, wrong in (("stem", _stem), ("auxiliary", _auxiliary))
    ),
    Rule(("retrain.stem", "retrain.channels"), _even),
    Rule(("stopping.halving.rungs", "evaluation.epochs"), _rungs),
    Rule(("stopping.collapse.skip_connections", "supernet.nodes", "supernet.family"), _edges, every=True),
    Rule(
        ("derive.max_skip_connections", "supernet.family", "supernet.primitives", "supernet.edge_primitives"),
        _limited,
    ),
    Rule(("supernet.edge_primitives", "supernet.nodes", "supernet.family"), _edge_primitives, every=True),
    Rule(("search.method", "search.order", "search.log_hessian", "derive.method"), _sampled),
    Rule(("derive.method", "derive.max_skip_connections", "search.method"), _perturbed),
    Rule(("tune",), _one_family),
    Rule(("supernet.nodes", "supernet.family"), _nodes, every=True),
    Rule(("supernet.stem", "supernet.family"), _stem, every=True),
    Rule(("data.split", "tune"), _held_out),
    Rule(("data.weights_fraction", "data.alphas_fraction", "data.held_out", "data.split"), _shares),
    Rule(("sampler", "objectives", "tune"), _cmaes),
)


def check(space: BaseModel) -> dict[str, Range]:
    """The ranges of a `Space`, those that depend on a fixed key resolved. Raises ValidationError: with every
    mistake in its ranges and in what its fields must hold together."""
    found: list[Mistake] = []
    tune = check_tune(space, found)
    for rule in RULES:
        found += _broken(rule, space, tune)
    if found:
        raise as_error(found)
    return tune


def _broken(rule: Rule, space: BaseModel, tune: Mapping[str, Range]) -> Iterator[Mistake]:
    """The space's own values where they break the rule, and the first combination reached by its ranges that does."""
    reachable = (drawn for drawn in assignments(tune, rule.keys, every=rule.every) if drawn)
    for drawn in chain([{}], islice(reachable, MOST_COMBINATIONS)):
        known = {"tune": tune, **drawn}
        text = rule.wrong(*(known[key] if key in known else lookup(space, key) for key in rule.keys))
        if text is None:
            continue
        path = next((("tune", key) for key in rule.keys if key in drawn), tuple(rule.keys[0].split(".")))
        reached = ", ".join(f"{key} = {label(value)}" for key, value in drawn.items())
        yield Mistake(path, text + (f" (reached by {reached})" if drawn else ""), frozenset(rule.keys))
        if drawn:
            return
