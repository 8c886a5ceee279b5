"""What weights must satisfy after each optimizer step: functions from a tensor to the tensor that takes its place.

Norms are taken along `axis` (0, the inputs of a Dense kernel; (0, 1, 2) for the filters of a Conv2D kernel).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops, serialization
from seqc.epsilon import EPSILON
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.serialization import Configurable
from seqc.utils.absent import absent

Axis = int | Sequence[int]


@known("constraints")
class Constraint(Configurable):
    """The base of constraints."""

    def __call__(self, w: Any) -> Value:
        raise NotImplementedError("Constraint subclasses must implement the `__call__()` method.")


@known("constraints")
class MaxNorm(Constraint):
    """Shrinks vectors longer than `max_value` to that length."""

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Value:
        value = as_value(w)
        norms = _norms(value, self.axis)
        return value * (ops.clip(norms, 0, self.max_value) / (norms + EPSILON))


@known("constraints")
class NonNeg(Constraint):
    """Sets negative weights to 0."""

    def __call__(self, w: Any) -> Value:
        return ops.maximum(w, 0)


@known("constraints")
class UnitNorm(Constraint):
    """Scales vectors to length 1."""

    def __init__(self, axis: Axis = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Value:
        value = as_value(w)
        return value / (_norms(value, self.axis) + EPSILON)


@known("constraints")
class MinMaxNorm(Constraint):
    """Moves lengths towards [min_value, max_value]: all the way for `rate` 1, less for smaller rates."""

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Value:
        value = as_value(w)
        norms = _norms(value, self.axis)
        wanted = ops.clip(norms, self.min_value, self.max_value) * self.rate + norms * (1 - self.rate)
        return value * (wanted / (norms + EPSILON))


def _norms(w: Value, axis: Axis) -> Value:
    return ops.sqrt(ops.sum(ops.square(w), axis, keepdims=True))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

ALIASES: dict[str, Any] = {
    "constraint": Constraint, "max_norm": MaxNorm, "non_neg": NonNeg, "unit_norm": UnitNorm,
    "min_max_norm": MinMaxNorm,
}  # fmt: skip


def get(identifier: Any) -> Any:
    """Returns the constraint that a name, a description or a function stands for; None for None.

    Raises:
        ConfigError: it stands for none.
    """
    return serialization.get(identifier, "constraints", "constraint", ALIASES)


def serialize(constraint: Any) -> Any:
    """Returns a constraint as plain data."""
    return serialization.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the constraint that plain data describe."""
    return serialization.revive(config, custom_objects)


__getattr__ = absent(__name__)
