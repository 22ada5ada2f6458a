"""Rules that join several fields of a space: each names its keys, and says what is wrong with their values, or None.

What a space must hold beyond its fields: the rules of rules.py, and ranges that fit the fields they tune.

Every rule is asked of the space as it stands and of every combination that `tune` can draw: of all values where the rule
says `every`, else of the ends of each range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.mistakes import Mistake, as_error, field_at, mistakes_of, section
from pcdarts_tune.spaces.range_kinds import ConditionalRange, Range, label
from pcdarts_tune.spaces.ranges import assignments, numeric_keys, ordered

if TYPE_CHECKING:
    from pcdarts_tune.spaces.space import Space


@dataclass(frozen=True)
class Rule:
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
    odd = stem == "imagenet" and channels % 2
    return (
        f"channels = {channels} must be even with stem: imagenet, which starts with half of them"
        if odd
        else None
    )


def _sized(kind: str, size: int | None) -> str | None:
    missing = kind == "imagenet" and size is None
    return (
        "kind: imagenet crops to data.image_size, which is null; set it (224: the mobile setting)"
        if missing
        else None
    )


def _held_out(split: str, tuned: bool) -> str | None:
    if split == "tuning" or not tuned:
        return None
    return "split: published holds nothing out, so a sweep has nothing to maximise; take tuning, or leave tune out"


def _shares(weights: float | None, alphas: float | None, held_out: float, split: str) -> str | None:
    if weights is None and alphas is None:
        return None
    if weights is None or alphas is None:
        return "weights_fraction and alphas_fraction go together: set both, or neither"
    held = held_out if split == "tuning" and isinstance(held_out, float) else 0.0
    total = weights + alphas + held
    return (
        f"weights_fraction, alphas_fraction and held_out make {total:g}; at most 1"
        if total > 1 + 1e-9
        else None
    )


def _rungs(rungs: tuple[float | int, ...], epochs: int) -> str | None:
    beyond = [label(rung) for rung in rungs if isinstance(rung, int) and rung >= epochs]
    if beyond:
        return f"rungs = {', '.join(beyond)}: not before the end of evaluation.epochs = {epochs}"
    shares = [rung / epochs if isinstance(rung, int) else rung for rung in rungs]
    if shares != sorted(set(shares)):
        return f"rungs = {', '.join(map(label, rungs))} must rise"
    return None


def _edges(skips: int | None, nodes: int) -> str | None:
    if skips is None or skips <= 2 * nodes:
        return None
    return f"skip_connections = {skips}: a cell of {nodes} nodes has {2 * nodes} edges"


def _recipe(name: str) -> list[Rule]:
    return [
        Rule((f"{name}.lr_warmup_epochs", f"{name}.epochs"), _below("lr_warmup_epochs", "epochs")),
        Rule(
            (f"{name}.learning_rate_min", f"{name}.learning_rate"),
            _below("learning_rate_min", "learning_rate", equal=True),
        ),
        Rule((f"{name}.augment.kind", "data.image_size"), _sized),
    ]


RULES = (
    Rule(("supernet.k", "supernet.channels"), _k_divides, every=True),
    Rule(("supernet.stem", "supernet.channels"), _even, every=True),
    Rule(("search.arch_warmup_epochs", "search.epochs"), _below("arch_warmup_epochs", "epochs")),
    *_recipe("search"),
    *_recipe("evaluation"),
    Rule(("evaluation.stem", "evaluation.channels"), _even),
    *_recipe("retrain"),
    Rule(("retrain.stem", "retrain.channels"), _even),
    Rule(("stopping.halving.rungs", "evaluation.epochs"), _rungs),
    Rule(("stopping.collapse.skip_connections", "supernet.nodes"), _edges, every=True),
    Rule(("data.split", "tune"), _held_out),
    Rule(("data.weights_fraction", "data.alphas_fraction", "data.held_out", "data.split"), _shares),
)


MOST_COMBINATIONS = 20_000


def check(space: Space) -> dict[str, Range]:
    """The space's ranges, those that depend on a fixed key resolved. Raises every mistake in one pydantic error."""
    found: list[Mistake] = []
    tune = _targets(space, found)
    try:
        ordered(tune)
    except ValueError as error:
        inside = [key for key in tune if key in str(error)]
        raise as_error([*found, Mistake(("tune", inside[0]), str(error), frozenset(inside))]) from None
    tune = _conditions(space, tune, found)
    for rule in RULES:
        found += _broken(rule, space, tune)
    if text := _unsuited(space, tune):
        found.append(Mistake(("sampler",), text, frozenset({"sampler", "objectives", *space.tune})))
    if found:
        raise as_error(found)
    return tune


def _unsuited(space: Space, tune: Mapping[str, Range]) -> str | None:
    """What the sampler cannot do with what it is to draw and aim at."""
    if space.sampler != "cmaes" or not tune:
        return None
    others = "; take tpe, gp, nsga2, random or qmc"
    if len(space.objectives) > 1:
        return f"cmaes takes one objective, not {', '.join(space.objectives)}{others}"
    if not numeric_keys(tune):
        return f"cmaes draws numbers, and {', '.join(tune)} are none (float and int ranges are){others}"
    return None


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted keys of a model that hold one value: no lists, no sections, no ranges."""
    for name, field in model.model_fields.items():
        inner = section(field)
        if inner is not None:
            yield from leaves(inner, f"{prefix}{name}.")
        elif not _holds(field.annotation, (tuple, dict)):
            yield prefix + name


def _holds(annotation: Any, kinds: tuple[type, ...]) -> bool:
    origin = getattr(annotation, "__origin__", None)
    return origin in kinds or any(_holds(part, kinds) for part in get_args(annotation))


def lookup(space: BaseModel, key: str) -> Any:
    """The value at a dotted key."""
    value: Any = space
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _targets(space: Space, found: list[Mistake]) -> dict[str, Range]:
    """The ranges whose key may be tuned and takes every value they give; the others are reported."""
    legal = [key for key in leaves(type(space)) if key.split(".")[0] in ("supernet", "search")]
    good: dict[str, Range] = {}
    for key, item in space.tune.items():
        texts = (
            [_untunable(type(space), key, legal)] if key not in legal else _misfits(type(space), key, item)
        )
        if texts:
            found += [Mistake(("tune", key), text) for text in texts]
        else:
            good[key] = item
    return good


def _untunable(root: type[BaseModel], key: str, legal: list[str]) -> str:
    part = key.split(".")[0]
    model, field = field_at(root, tuple(key.split(".")))
    if part in ("evaluation", "retrain"):
        why = f"{part} is the same for all trials by design, so that they stay comparable"
        return f"not tuned: {why}; only supernet.* and search.* are"
    if part in root.model_fields and part not in ("supernet", "search"):
        return "not tuned: every trial sees the same data and objective; only supernet.* and search.* are"
    if model is not None:
        inside = [name for name in legal if name.startswith(f"{key}.")]
        return f"a section, not a value: tune one of {', '.join(inside)}"
    if field is not None:
        return "a list, not one value: lists are not tuned"
    return f"unknown key{nearest(key, legal)}; legal: {', '.join(legal)}"


def _misfits(root: type[BaseModel], key: str, item: Range) -> list[str]:
    """What is wrong with the range's values for the field: each end (each choice) is tried on it."""
    *parents, name = key.split(".")
    model = field_at(root, tuple(parents))[0]
    assert model is not None
    texts: dict[str, None] = {}
    parts = item.ranges.values() if isinstance(item, ConditionalRange) else [item]
    for value in chain.from_iterable(part.ends() for part in parts):
        try:
            model.model_validate({name: value})
        except ValidationError as error:
            texts |= dict.fromkeys(mistake.text for mistake in mistakes_of(error, {name: value}, model))
    return list(texts)


def _conditions(space: Space, tune: dict[str, Range], found: list[Mistake]) -> dict[str, Range]:
    """Ranges that depend on a fixed key become the one for its value; those on a tuned key must cover its values."""
    out: dict[str, Range] = {}
    for key in ordered(tune):
        item = tune[key]
        if not isinstance(item, ConditionalRange):
            out[key] = item
        elif item.by in out:
            if wrong := _uncovered(out, item):
                found.append(Mistake(("tune", key), wrong, frozenset({key, item.by})))
            else:
                out[key] = item
        elif item.by not in space.tune:  # else the other key is wrong, and reported
            try:
                out[key] = _settled(space, item)
            except ValueError as error:
                found.append(Mistake(("tune", key), str(error), frozenset({key, item.by})))
    return {key: out[key] for key in tune if key in out}


def _settled(space: Space, item: ConditionalRange) -> Range:
    """The range for the value that the key it depends on has in the space. Raises ValueError where there is none."""
    legal = list(leaves(type(space)))
    if item.by not in legal:
        raise ValueError(f"by: {item.by!r} is no key of a space{nearest(item.by, legal)}")
    value = label(lookup(space, item.by))
    if value not in item.ranges:
        raise ValueError(f"no range for {item.by} = {value}; there are ranges for {', '.join(item.ranges)}")
    return item.ranges[value]


def _uncovered(tune: Mapping[str, Range], item: ConditionalRange) -> str | None:
    drawn = tune[item.by]
    parts = drawn.ranges.values() if isinstance(drawn, ConditionalRange) else [drawn]
    values: dict[str, None] = {}
    for part in parts:
        listed = part.every()
        if listed is None:
            return f"by: {item.by} is drawn from {part}: a range can only depend on a key with few values"
        values |= dict.fromkeys(map(label, listed))
    missing = [value for value in values if value not in item.ranges]
    never = [value for value in item.ranges if value not in values]
    texts = [f"no range for {item.by} = {', '.join(missing)}"] * bool(missing)
    texts += [f"{item.by} never is {', '.join(never)}: leave the range out"] * bool(never)
    return "; ".join(texts) or None


def _broken(rule: Rule, space: Space, tune: Mapping[str, Range]) -> Iterator[Mistake]:
    """The space's own values where they break the rule, and the first combination reached by its ranges that does."""
    reachable = (drawn for drawn in assignments(tune, rule.keys, every=rule.every) if drawn)
    for drawn in chain([{}], islice(reachable, MOST_COMBINATIONS)):
        values = [
            drawn[key] if key in drawn else bool(tune) if key == "tune" else lookup(space, key)
            for key in rule.keys
        ]
        text = rule.wrong(*values)
        if text is None:
            continue
        blamed = next((key for key in rule.keys if key in drawn), None)
        reached = ", ".join(f"{key} = {label(value)}" for key, value in drawn.items())
        path = ("tune", blamed) if blamed else tuple(rule.keys[0].split("."))
        yield Mistake(path, text + (f" (reached by {reached})" if drawn else ""), frozenset(rule.keys))
        if drawn:
            return
