"""The ranges that a space may give: float, int, categorical, and one that depends on another key.

    FloatRange(low=1e-4, high=1e-2, log=True).suggest("search.weight_decay", optuna_trial)
    ConditionalRange(by="supernet.k", ranges={"1": ..., "4": ...}).resolve({"supernet.k": 4})

Nothing here imports Optuna: a range asks any object with the three methods of `Suggest`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

Scalar = bool | int | float | str | None
STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
MOST_VALUES = 1000  # an int range with more is not enumerated


class Suggest(Protocol):
    """What a proposal is drawn from; `optuna.Trial` is one."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


def listed(value: Any) -> Any:
    """YAML and JSON have lists where the models have tuples."""
    return tuple(value) if isinstance(value, list) else value


def label(value: object) -> str:
    """The value as a key of `ranges` and in Optuna's names, the way YAML writes it: `true`, `4`, `0.5`, `null`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if isinstance(value, float) else str(value)


def _wrong(text: str) -> PydanticCustomError:
    return PydanticCustomError("range", "{text}", {"text": text})


class FloatRange(BaseModel):
    """A number between two ends, even or even in its logarithm."""

    model_config = STRICT
    type: Literal["float"] = "float"
    low: float = Field(description="smallest value")
    high: float = Field(description="largest value")
    log: bool = Field(default=False, description="draw evenly in the logarithm; low must be above 0")
    step: float | None = Field(default=None, gt=0, description="distance between values; null: any value")

    @model_validator(mode="after")
    def _ends(self) -> FloatRange:
        _check_ends(self.low, self.high, self.log, self.step is not None)
        if self.step is not None:
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > 1e-8 * max(1.0, steps):
                raise _wrong(f"step: {self.step} does not lead from low {self.low} to high {self.high}")
        return self

    def resolve(self, values: Mapping[str, Any]) -> Concrete:
        return self

    def suggest(self, name: str, suggest: Suggest) -> float:
        return suggest.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: object) -> bool:
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not self.low <= value <= self.high
        ):
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) <= 1e-8 * max(1.0, steps)

    def ends(self) -> tuple[Scalar, ...]:
        return (self.low, self.high)

    def every(self) -> tuple[Scalar, ...] | None:
        """All values, or None where there is no end of them."""
        return None

    def __str__(self) -> str:
        return f"{'log ' if self.log else ''}float {self.low:g} .. {self.high:g}" + (
            f" by {self.step:g}" if self.step else ""
        )


class IntRange(BaseModel):
    """A whole number between two ends, both included."""

    model_config = STRICT
    type: Literal["int"] = "int"
    low: int = Field(ge=-(2**53), le=2**53, description="smallest value")
    high: int = Field(ge=-(2**53), le=2**53, description="largest value")
    log: bool = Field(default=False, description="draw evenly in the logarithm; low must be above 0")
    step: int = Field(default=1, ge=1, description="distance between values")

    @model_validator(mode="after")
    def _ends(self) -> IntRange:
        _check_ends(self.low, self.high, self.log, self.step != 1)
        if (self.high - self.low) % self.step:
            raise _wrong(f"step: {self.step} does not lead from low {self.low} to high {self.high}")
        return self

    def resolve(self, values: Mapping[str, Any]) -> Concrete:
        return self

    def suggest(self, name: str, suggest: Suggest) -> int:
        return suggest.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int) or not self.low <= value <= self.high:
            return False
        return (value - self.low) % self.step == 0

    def ends(self) -> tuple[Scalar, ...]:
        return (self.low, self.high)

    def every(self) -> tuple[Scalar, ...] | None:
        values = range(self.low, self.high + 1, self.step)
        return tuple(values) if len(values) <= MOST_VALUES else None

    def __str__(self) -> str:
        return f"{'log ' if self.log else ''}int {self.low} .. {self.high}" + (
            f" by {self.step}" if self.step > 1 else ""
        )


def _check_ends(low: float, high: float, log: bool, stepped: bool) -> None:
    if not low < high:
        raise _wrong(f"low {low} must be below high {high}")
    if log and low <= 0:
        raise _wrong(f"low {low} must be above 0 with log: true")
    if log and stepped:
        raise _wrong("log and step exclude each other: leave one out")


class CategoricalRange(BaseModel):
    """One of a few values, in no order."""

    model_config = STRICT
    type: Literal["categorical"] = "categorical"
    choices: Annotated[
        tuple[Scalar, ...],
        BeforeValidator(listed),
        Field(max_length=1000),
    ] = Field(description="the values")

    @field_validator("choices")
    @classmethod
    def _unique(cls, choices: tuple[Scalar, ...]) -> tuple[Scalar, ...]:
        if not choices:
            raise _wrong("an empty list: give at least one value")
        twice = [
            label(choice)
            for at, choice in enumerate(choices)
            if choice in choices[:at] or label(choice) in map(label, choices[:at])
        ]
        if twice:
            raise _wrong(f"{', '.join(twice)} listed more than once")
        return choices

    def resolve(self, values: Mapping[str, Any]) -> Concrete:
        return self

    def suggest(self, name: str, suggest: Suggest) -> Any:
        return suggest.suggest_categorical(name, list(self.choices))

    def contains(self, value: object) -> bool:
        return any(type(value) is type(choice) and value == choice for choice in self.choices)

    def ends(self) -> tuple[Scalar, ...]:
        return self.choices

    def every(self) -> tuple[Scalar, ...] | None:
        return self.choices

    def __str__(self) -> str:
        return "one of " + ", ".join(map(label, self.choices))


Concrete = FloatRange | IntRange | CategoricalRange


def _labelled(ranges: Any) -> Any:
    return {label(key): value for key, value in ranges.items()} if isinstance(ranges, dict) else ranges


class ConditionalRange(BaseModel):
    """A range for each value of another key, which is itself tuned or fixed."""

    model_config = STRICT
    type: Literal["conditional"] = "conditional"
    by: str = Field(description="the key it depends on, such as supernet.k")
    ranges: Annotated[
        dict[str, Annotated[Concrete, Field(discriminator="type")]],
        BeforeValidator(_labelled),
        Field(min_length=1),
    ] = Field(description="a range for each value that `by` can take")

    def resolve(self, values: Mapping[str, Any]) -> Concrete:
        """The range for the value that `by` has in `values` (KeyError where there is none)."""
        return self.ranges[label(values[self.by])]

    def __str__(self) -> str:
        return f"by {self.by}: " + "; ".join(f"{value}: {part}" for value, part in self.ranges.items())


Range = Annotated[FloatRange | IntRange | CategoricalRange | ConditionalRange, Field(discriminator="type")]
