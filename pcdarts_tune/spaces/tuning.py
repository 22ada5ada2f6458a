"""The ranges of a space together (`tune`): their order, the names Optuna knows them by, what they can reach, their checks.

    propose({"supernet.k": CategoricalRange(choices=(1, 4))}, optuna_trial)       # {"supernet.k": 4}

Optuna fixes a name's distribution for the whole study, so a range that depends on another choice gets a name for each
value of it: `search.batch_size@supernet.k=4`. Configuration and MLflow see only the key. Optuna is not imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from pcdarts_tune.errors import nearest
from pcdarts_tune.spaces.keys import field_at, leaves, lookup
from pcdarts_tune.spaces.methods import METHODS
from pcdarts_tune.spaces.mistakes import Mistake, as_error, mistakes_of, unknown_key
from pcdarts_tune.spaces.ranges import MOST_VALUES, CategoricalRange, ConditionalRange, Range, parts, resolve
from pcdarts_tune.spaces.values import label

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

METHOD = "search.method"
USUAL_TRIALS = 32


def dependency_order(tune: Mapping[str, Range]) -> list[str]:
    """The tuned keys, each after the key it depends on, else as given. Raises ValueError on a circle, naming it."""
    done: list[str] = []
    for key in tune:
        path: list[str] = []
        at: str | None = key
        while at is not None and at in tune and at not in done:
            if at in path:
                raise ValueError("circular: " + " <- ".join([*path[path.index(at) :], at]))
            path.append(at)
            item = tune[at]
            at = item.by if isinstance(item, ConditionalRange) else None
        done += reversed(path)
    return done


def optuna_name(key: str, item: Range, values: Mapping[str, Any]) -> str:
    """`search.batch_size`, or `search.batch_size@supernet.k=4` where the range depends on another key."""
    return f"{key}@{item.by}={label(values[item.by])}" if isinstance(item, ConditionalRange) else key


def propose(tune: Mapping[str, Range], trial: BaseTrial) -> dict[str, Any]:
    """One value for each tuned key, drawn in the order of their dependencies; given in the order of `tune`."""
    values: dict[str, Any] = {}
    for key in dependency_order(tune):
        values[key] = resolve(tune[key], values).suggest(optuna_name(key, tune[key], values), trial)
    return {key: values[key] for key in tune}


def encode(tune: Mapping[str, Range], values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` under Optuna's names, for `study.enqueue_trial`. Raises ValueError where one lies outside its range."""
    encoded: dict[str, Any] = {}
    for key in dependency_order(tune):
        concrete = resolve(tune[key], values)
        if not concrete.contains(values[key]):
            raise ValueError(f"{key}: {label(values[key])} lies outside its range, {concrete}")
        encoded[optuna_name(key, tune[key], values)] = values[key]
    return encoded


def starting_point(space: BaseModel) -> dict[str, Any] | None:
    """The space's own values of its tuned keys under Optuna's names, or None where one lies outside its range.

    What `study.enqueue_trial` takes, so that the first trial is the setting that the space is written around.
    """
    tune: Mapping[str, Range] = lookup(space, "tune")
    try:
        return encode(tune, {key: lookup(space, key) for key in tune}) or None
    except (ValueError, KeyError):
        return None


def assignments(tune: Mapping[str, Range], keys: Sequence[str], *, every: bool) -> Iterator[dict[str, Any]]:
    """What `keys` (and the keys they depend on) can be together: all values, or only the ends of each range.

    A key that others depend on is always listed whole. Keys that are not tuned are left out. A range without end
    gives its ends.
    """
    wanted: list[str] = []
    for key in keys:
        while key in tune:
            wanted.append(key)
            item = tune[key]
            if not isinstance(item, ConditionalRange):
                break
            key = item.by
    whole = {item.by for item in tune.values() if isinstance(item, ConditionalRange)}
    order = [key for key in dependency_order(tune) if key in wanted]

    def grow(values: dict[str, Any], left: list[str]) -> Iterator[dict[str, Any]]:
        if not left:
            yield values
            return
        concrete = resolve(tune[left[0]], values)
        listed = concrete.every() if every or left[0] in whole else None
        for value in concrete.ends() if listed is None else listed:
            yield from grow({**values, left[0]: value}, left[1:])

    return grow({}, order)


def grid(tune: Mapping[str, Range], *, limit: int = MOST_VALUES) -> list[dict[str, Any]] | None:
    """Every combination, where all ranges are finite and there are at most `limit`; else None."""
    if any(part.every() is None for item in tune.values() for part in parts(item)):
        return None
    combinations = list(islice(assignments(tune, list(tune), every=True), limit + 1))
    return combinations if len(combinations) <= limit else None


def usual_trials(tune: Mapping[str, Range]) -> int:
    """How many trials a sweep has where nobody says: each combination of a small grid once, else 32."""
    combinations = grid(tune, limit=USUAL_TRIALS) or []
    return len(combinations) if len(combinations) > 1 else USUAL_TRIALS


def varied_keys(tune: Mapping[str, Range]) -> tuple[str, ...]:
    """The keys that differ between trials; the others are constants, and only clutter a table of parameters."""
    labels = {key: {label(end) for part in parts(item) for end in part.ends()} for key, item in tune.items()}
    return tuple(key for key, found in labels.items() if len(found) > 1)


def numeric_keys(tune: Mapping[str, Range]) -> list[str]:
    """The tuned keys that are numbers whatever else is drawn, sorted."""
    return sorted(key for key, item in tune.items() if CategoricalRange not in map(type, parts(item)))


def check_tune(space: BaseModel, found: list[Mistake]) -> dict[str, Range]:
    """The ranges of a space that are right, those that depend on a fixed key resolved.

    Args:
        space: a `Space` whose fields are valid each for itself.
        found: mistakes in the ranges are appended to it.

    Raises:
        ValidationError: `found`, where ranges depend on each other in a circle.
    """
    tune = _check_targets(space, found)
    try:
        order = dependency_order(tune)
    except ValueError as error:
        inside = [key for key in tune if key in str(error)]
        raise as_error([*found, Mistake(("tune", inside[0]), str(error), frozenset(inside))]) from None
    given: Mapping[str, Range] = lookup(space, "tune")
    good: dict[str, Range] = {}
    for key in order:
        item = tune[key]
        if not isinstance(item, ConditionalRange):
            good[key] = item
        elif item.by in good or item.by not in given:  # else the other key's range is wrong, and reported
            try:
                good[key] = _settle(space, item, good.get(item.by))
            except ValueError as error:
                found.append(Mistake(("tune", key), str(error), frozenset({key, item.by})))
    return {key: good[key] for key in tune if key in good}


def _check_targets(space: BaseModel, found: list[Mistake]) -> dict[str, Range]:
    """The ranges whose key may be tuned and takes every value they give; the others are reported."""
    root = type(space)
    legal = [key for key in leaves(root) if key.startswith(("supernet.", "search.")) and key != METHOD]
    method = METHODS[lookup(space, METHOD)]
    good: dict[str, Range] = {}
    for key, item in lookup(space, "tune").items():
        texts = _misfits(root, key, item) if key in legal else [_untunable(root, key, legal)]
        found += [Mistake(("tune", key), text) for text in texts]
        if not texts and method.uses(key):  # what decides nothing is not drawn
            good[key] = item
    return good


def _untunable(root: type[BaseModel], key: str, legal: list[str]) -> str:
    part, *_ = path = key.split(".")
    section, field = field_at(root, tuple(path))
    if part in ("evaluation", "retrain"):
        why = f"{part} is the same for all trials by design, so that they stay comparable"
        return f"not tuned: {why}; only supernet.* and search.* are"
    if key == METHOD:
        return "not tuned: a sweep has one method; two sweeps are compared by `leaderboard A B`"
    if part in root.model_fields and part not in ("supernet", "search"):
        return "not tuned: every trial sees the same data and objective; only supernet.* and search.* are"
    if section is not None:
        inside = [name for name in legal if name.startswith(f"{key}.")]
        return f"a section, not a value: tune one of {', '.join(inside)}"
    return "a list, not one value: lists are not tuned" if field is not None else unknown_key(key, legal)


def _misfits(root: type[BaseModel], key: str, item: Range) -> list[str]:
    """What is wrong with the range's values for the field: each end (each choice) is tried on it."""
    *above, name = key.split(".")
    section = field_at(root, tuple(above))[0]
    assert section is not None
    texts: dict[str, None] = {}
    for value in chain.from_iterable(part.ends() for part in parts(item)):
        try:
            section.model_validate({name: value})
        except ValidationError as error:
            texts |= dict.fromkeys(mistake.text for mistake in mistakes_of(error, {name: value}, section))
    return list(texts)


def _settle(space: BaseModel, item: ConditionalRange, drawn: Range | None) -> Range:
    """The range itself where the key that it depends on is tuned, else its part for the value of that key in
    the space. Raises ValueError: a value of that key has no range, or a range no value."""
    if drawn is None:
        legal = list(leaves(type(space)))
        if item.by not in legal:
            raise ValueError(f"by: {item.by!r} is no key of a space{nearest(item.by, legal)}")
        value = label(lookup(space, item.by))
        if value not in item.ranges:
            known = ", ".join(item.ranges)
            raise ValueError(f"no range for {item.by} = {value}; there are ranges for {known}")
        return item.ranges[value]
    values: dict[str, None] = {}
    for part in parts(drawn):
        listed = part.every()
        if listed is None:
            why = "a range can only depend on a key with few values"
            raise ValueError(f"by: {item.by} is drawn from {part}: {why}")
        values |= dict.fromkeys(map(label, listed))
    missing = [value for value in values if value not in item.ranges]
    never = [value for value in item.ranges if value not in values]
    texts = [f"no range for {item.by} = {', '.join(missing)}"] * bool(missing)
    texts += [f"{item.by} never is {', '.join(never)}: leave the range out"] * bool(never)
    if texts:
        raise ValueError("; ".join(texts))
    return item
