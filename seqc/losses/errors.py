"""Losses that measure how far predictions are off: each as a function and as a class."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.label_shapes import pair
from seqc.losses.named import loss_function
from seqc.losses.wrapper import MEAN, LossFunctionWrapper


@loss_function(labels_like_output=True)
def mean_squared_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean((y_true - y_pred)^2) over the last axis."""
    true, pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(true - pred), -1)


@known("losses")
class MeanSquaredError(LossFunctionWrapper):
    """mean((y_true - y_pred)^2); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


@loss_function(labels_like_output=True)
def mean_absolute_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(|y_true - y_pred|) over the last axis."""
    true, pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.absolute(true - pred), -1)


@known("losses")
class MeanAbsoluteError(LossFunctionWrapper):
    """mean(|y_true - y_pred|); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


@loss_function(labels_like_output=True)
def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Value:
    """Returns 100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis."""
    true, pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    relative = ops.absolute((true - pred) / ops.maximum(ops.absolute(true), EPSILON))
    return ops.mean(relative, -1) * 100.0


@known("losses")
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """100 * mean(|y_true - y_pred| / |y_true|); see `Loss` for the arguments."""

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


@loss_function(labels_like_output=True)
def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean((log(1 + y_true) - log(1 + y_pred))^2) over the last axis, both at least 1e-7."""
    true, pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [ops.log(ops.maximum(x, EPSILON) + 1.0) for x in (pred, true)]
    return ops.mean(ops.square(logs[0] - logs[1]), -1)


@known("losses")
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """mean((log(1 + y_true) - log(1 + y_pred))^2); see `Loss` for the arguments."""

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


@loss_function(labels_like_output=True)
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Value:
    """Returns the mean over the last axis of e^2 / 2 where |e| <= delta, else delta * |e| - delta^2 / 2.

    Huber (1964), "Robust Estimation of a Location Parameter".
    """
    true, pred = pair("huber", y_true, y_pred)
    error = pred - true
    size = ops.absolute(error)
    inside, outside = ops.square(error) * 0.5, size * delta - 0.5 * delta * delta
    return ops.mean(ops.where(size <= delta, inside, outside), -1)


@known("losses")
class Huber(LossFunctionWrapper):
    """Quadratic for errors up to `delta`, linear beyond; see `Loss` for the other arguments."""

    def __init__(
        self, delta: float = 1.0, reduction: str | None = MEAN, name: str = "huber_loss", dtype: Any = None
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


@loss_function(labels_like_output=True)
def log_cosh(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(log(cosh(e))) over the last axis for e = y_pred - y_true, as e + softplus(-2e) - log 2."""
    true, pred = pair("log_cosh", y_true, y_pred)
    error = pred - true
    return ops.mean(error + ops.softplus(error * -2.0) - float(np.log(2.0)), -1)


@known("losses")
class LogCosh(LossFunctionWrapper):
    """mean(log(cosh(y_pred - y_true))); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "log_cosh", dtype: Any = None) -> None:
        super().__init__(log_cosh, reduction, name, dtype)
