"""The ranges that a space may give: float, int, categorical, and one that depends on another key. Optuna is not imported.

resolve(ConditionalRange(by="supernet.k", ranges={"1": ..., "4": ...}), {"supernet.k": 4}).ends()
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from pcdarts_tune.spaces.keys import Listed, Section
from pcdarts_tune.spaces.values import Scalar, label

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

MOST_VALUES = 1000
"""An int range with more values is not enumerated."""


class _NumberRange(Section):
    """What ranges of floats and of ints share."""

    type: str
    low: float
    """Smallest value."""
    high: float
    """Largest value."""
    log: bool = False
    """Draw evenly in the logarithm; low must be above 0."""
    step: float | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} must be above 0 with log: true")
        if self.log and self.step != type(self).model_fields["step"].default:
            raise ValueError("log and step exclude each other: leave one out")
        if not self._is_step(self.high):
            raise ValueError(f"step: {self.step} does not lead from low {self.low} to high {self.high}")
        return self

    def _is_step(self, value: float) -> bool:
        """Whether whole steps lead from `low` to the value; floats within rounding."""
        if isinstance(self.step, int):
            return (value - self.low) % self.step == 0
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) <= 1e-8 * max(1.0, steps)

    def ends(self) -> tuple[Scalar, ...]:
        return (self.low, self.high)


class FloatRange(_NumberRange):
    """A number between two ends, drawn evenly or evenly in its logarithm."""

    type: Literal["float"] = "float"
    step: float | None = Field(default=None, gt=0)
    """Distance between values; null: any value."""

    def suggest(self, name: str, trial: BaseTrial) -> float:
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return self.low <= value <= self.high and self._is_step(value)

    def every(self) -> tuple[Scalar, ...] | None:
        """All values, or None where they cannot be listed."""
        return None

    def __str__(self) -> str:
        step = f" by {self.step:g}" if self.step else ""
        return f"{'log ' if self.log else ''}float {self.low:g} .. {self.high:g}{step}"


class IntRange(_NumberRange):
    """A whole number between two ends, both included."""

    type: Literal["int"] = "int"
    low: int = Field(ge=-(2**53), le=2**53)
    """Smallest value."""
    high: int = Field(ge=-(2**53), le=2**53)
    """Largest value."""
    step: int = Field(default=1, ge=1)
    """Distance between values."""

    def suggest(self, name: str, trial: BaseTrial) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: object) -> bool:
        return type(value) is int and self.low <= value <= self.high and self._is_step(value)

    def every(self) -> tuple[Scalar, ...] | None:
        values = range(self.low, self.high + 1, self.step)
        return tuple(values) if len(values) <= MOST_VALUES else None

    def __str__(self) -> str:
        step = f" by {self.step}" if self.step > 1 else ""
        return f"{'log ' if self.log else ''}int {self.low} .. {self.high}{step}"


class CategoricalRange(Section):
    """One of a few values, in no order."""

    type: Literal["categorical"] = "categorical"
    choices: Annotated[tuple[Scalar, ...], Listed, Field(max_length=1000)]
    """The values."""

    @field_validator("choices")
    @classmethod
    def _check(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if not choices:
            raise ValueError("an empty list: give at least one value")
        labels = list(map(label, choices))
        places = range(len(choices))
        twice = [labels[i] for i in places if choices[i] in choices[:i] or labels[i] in labels[:i]]
        if twice:
            raise ValueError(f"{', '.join(twice)} listed more than once")
        return choices

    def suggest(self, name: str, trial: BaseTrial) -> Any:
        return trial.suggest_categorical(name, list(self.choices))

    def contains(self, value: object) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    def ends(self) -> tuple[Scalar, ...]:
        return self.choices

    def every(self) -> tuple[Scalar, ...] | None:
        return self.choices

    def __str__(self) -> str:
        return "one of " + ", ".join(map(label, self.choices))


def _label_keys(ranges: Any) -> Any:
    return {label(key): value for key, value in ranges.items()} if isinstance(ranges, dict) else ranges


Concrete = FloatRange | IntRange | CategoricalRange
_Ranges = dict[str, Annotated[Concrete, Field(discriminator="type")]]


class ConditionalRange(Section):
    """A range for each value of another key, which is itself tuned or fixed."""

    type: Literal["conditional"] = "conditional"
    by: str
    """The key it depends on, such as supernet.k."""
    ranges: Annotated[_Ranges, BeforeValidator(_label_keys), Field(min_length=1)]
    """A range for each value that `by` can take."""

    def __str__(self) -> str:
        return f"by {self.by}: " + "; ".join(f"{value}: {part}" for value, part in self.ranges.items())


Range = Annotated[FloatRange | IntRange | CategoricalRange | ConditionalRange, Field(discriminator="type")]
_MODELS: tuple[type[Section], ...] = (FloatRange, IntRange, CategoricalRange, ConditionalRange)
KINDS = {str(model.model_fields["type"].default): model for model in _MODELS}
"""The models of ranges, by the `type` that a space gives."""


def parts(item: Range) -> tuple[Concrete, ...]:
    """The ranges that a value may come from: those of a conditional range, else the range itself."""
    return tuple(item.ranges.values()) if isinstance(item, ConditionalRange) else (item,)


def resolve(item: Range, values: Mapping[str, Any]) -> Concrete:
    """The range that holds once the keys before it have `values`. Raises KeyError: a conditional range has
    none for the value of the key that it depends on."""
    return item.ranges[label(values[item.by])] if isinstance(item, ConditionalRange) else item


def is_logarithmic(item: Range) -> bool:
    """Whether a setting is drawn on a logarithmic scale."""
    return any(isinstance(part, _NumberRange) and part.log for part in parts(item))
