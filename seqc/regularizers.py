"""Penalties on weights and activations: functions from a tensor to a scalar that joins the loss."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seqc import ops, serialization
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.ops.statistics import normalize
from seqc.serialization import Configurable
from seqc.utils.absent import absent


@known("regularizers")
class Regularizer(Configurable):
    """The base of regularizers; it penalizes nothing."""

    def __call__(self, x: Any) -> Any:
        return 0.0


@known("regularizers")
class L1L2(Regularizer):
    """l1 * sum(|x|) + l2 * sum(x^2)."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor(0.0 if l1 is None else l1, "l1")
        self.l2 = _factor(0.0 if l2 is None else l2, "l2")

    def __call__(self, x: Any) -> Value:
        value = as_value(x)
        terms = [L1(self.l1)(value)] if self.l1 else []
        terms += [L2(self.l2)(value)] if self.l2 else []
        return sum(terms[1:], terms[0]) if terms else as_value(0.0, value.dtype)


@known("regularizers")
class L1(Regularizer):
    """l1 * sum(|x|); the gradient at 0 is 0."""

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor(0.01 if l1 is None else l1, "l1")

    def __call__(self, x: Any) -> Value:
        return ops.sum(ops.absolute(x)) * self.l1


@known("regularizers")
class L2(Regularizer):
    """l2 * sum(x^2)."""

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor(0.01 if l2 is None else l2, "l2")

    def __call__(self, x: Any) -> Value:
        return ops.sum(ops.square(x)) * self.l2


@known("regularizers")
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean |cosine| between different rows of a matrix (or its columns).

    Args:
        factor: weight of the penalty. mode: "rows" or "columns".
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ConfigError(
                f'Invalid value for argument `mode`. Expected one of {{"rows", "columns"}}. Received: mode={mode}'
            )
        self.factor, self.mode = _factor(factor, "factor"), mode

    def __call__(self, x: Any) -> Value:
        value = as_value(x)
        if value.type.rank != 2:
            raise ShapeError(f"Inputs to OrthogonalRegularizer must have rank 2. Received: inputs.shape={value.shape}")
        rows = value if self.mode == "rows" else ops.transpose(value)
        rows = normalize(rows, axis=1)
        cosines = ops.matmul(rows, ops.transpose(rows))
        count = rows.shape[0]
        if count == 1:  # there is nothing that it could be orthogonal to
            return as_value(0.0, value.dtype)
        if count is None:
            raise ShapeError(f"OrthogonalRegularizer needs a tensor of known size; got {value.type}.")
        others = (1 - np.eye(count)).astype(value.dtype)
        # Each pair stands twice in the table of cosines, once in the number of pairs.
        return ops.sum(ops.absolute(cosines * others)) * (self.factor / (count * (count - 1)))


def _factor(value: float, name: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ConfigError(f"Invalid value for argument {name}: expected a non-negative float. Received: {name}={value}")
    return float(value)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

ALIASES: dict[str, Any] = {
    "regularizer": Regularizer, "l1": L1, "l2": L2, "l1l2": L1L2, "orthogonal_regularizer": OrthogonalRegularizer,
}  # fmt: skip


def get(identifier: Any) -> Any:
    """Returns the regularizer that a name, a description or a function stands for; None for None.

    Raises:
        ConfigError: it stands for none.
    """
    return serialization.get(identifier, "regularizers", "regularizer", ALIASES)


def serialize(regularizer: Any) -> Any:
    """Returns a regularizer as plain data."""
    return serialization.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the regularizer that plain data describe."""
    return serialization.revive(config, custom_objects)


__getattr__ = absent(__name__)
