"""Losses as functions: labels and predictions to one value per sample (and step)."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.graph.ir import Value
from seqc.losses.label_shapes import pair


def mean_squared_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean((y_true - y_pred)^2) over the last axis."""
    true, pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(true - pred), -1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(|y_true - y_pred|) over the last axis."""
    true, pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.absolute(true - pred), -1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Value:
    """Returns 100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis."""
    true, pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    relative = ops.absolute((true - pred) / ops.maximum(ops.absolute(true), EPSILON))
    return ops.mean(relative, -1) * 100.0


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean((log(1 + y_true) - log(1 + y_pred))^2) over the last axis, both at least 1e-7."""
    true, pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [ops.log(ops.maximum(x, EPSILON) + 1.0) for x in (pred, true)]
    return ops.mean(ops.square(logs[0] - logs[1]), -1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Value:
    """Returns the mean over the last axis of e^2 / 2 where |e| <= delta, else delta * |e| - delta^2 / 2.

    Huber (1964), "Robust Estimation of a Location Parameter".
    """
    true, pred = pair("huber", y_true, y_pred)
    error = pred - true
    size = ops.absolute(error)
    inside, outside = ops.square(error) * 0.5, size * delta - 0.5 * delta * delta
    return ops.mean(ops.where(size <= delta, inside, outside), -1)


def log_cosh(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(log(cosh(e))) over the last axis for e = y_pred - y_true, as e + softplus(-2e) - log 2."""
    true, pred = pair("log_cosh", y_true, y_pred)
    error = pred - true
    return ops.mean(error + ops.softplus(error * -2.0) - float(np.log(2.0)), -1)


def hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(max(1 - y_true * y_pred, 0)) over the last axis; labels 0 and 1 are read as -1 and 1."""
    true, pred = pair("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signs(true) * pred, 0.0), -1)


def squared_hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(max(1 - y_true * y_pred, 0)^2) over the last axis; labels 0 and 1 are read as -1 and 1."""
    true, pred = pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signs(true) * pred, 0.0)), -1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns max(1 + neg - pos, 0): pos is the score of the true class, neg the best other one (one-hot labels)."""
    true, pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(true * pred, -1)
    wrong = ops.max((1.0 - true) * pred, -1)
    return ops.maximum(wrong - right + 1.0, 0.0)


def kl_divergence(y_true: Any, y_pred: Any) -> Value:
    """Returns sum(y_true * log(y_true / y_pred)) over the last axis, both limited to [1e-7, 1]."""
    true, pred = pair("kl_divergence", y_true, y_pred)
    true, pred = ops.clip(true, EPSILON, 1.0), ops.clip(pred, EPSILON, 1.0)
    return ops.sum(true * ops.log(true / pred), -1)


def poisson(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(y_pred - y_true * log(y_pred + 1e-7)) over the last axis."""
    true, pred = pair("poisson", y_true, y_pred)
    return ops.mean(pred - true * ops.log(pred + EPSILON), -1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Value:
    """Returns minus the cosine of the angle between labels and predictions along `axis`."""
    true, pred = pair("cosine_similarity", y_true, y_pred)
    return ops.negative(ops.sum(_unit(true, axis) * _unit(pred, axis), axis))


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Value:
    """Returns 1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred)), sums over `axis` (all axes by default)."""
    true, pred = pair("dice", y_true, y_pred)
    both = ops.sum(true * pred, axis)
    return 1.0 - both * 2.0 / (ops.sum(true, axis) + ops.sum(pred, axis) + EPSILON)


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Value:
    """Returns 1 - both / (both + alpha * missed + beta * added), sums over `axis` (all axes by default).

    Salehi, Erdogmus and Gholipour (2017), "Tversky loss function for image segmentation"; in Keras's reading `alpha`
    weighs what is labelled and not predicted.
    """
    true, pred = pair("tversky", y_true, y_pred)
    both = ops.sum(true * pred, axis)
    missed, added = ops.sum((1.0 - pred) * true, axis), ops.sum(pred * (1.0 - true), axis)
    weighted = missed * alpha + added * beta  # Keras 3.16 lets alpha weigh what is added and beta what is missed
    return 1.0 - both / (both + weighted + EPSILON)


def _signs(true: Value) -> Value:
    """Returns labels 2y - 1 when all of them are 0 or 1, else as they are."""
    other = ops.logical_not(ops.logical_or(ops.equal(true, 0.0), ops.equal(true, 1.0)))
    binary = ops.equal(ops.sum(ops.cast(other, true.dtype)), 0.0)
    return ops.where(binary, true * 2.0 - 1.0, true)


def _unit(x: Value, axis: int) -> Value:
    """Returns x of length one along `axis`; a zero vector stays zero."""
    norm = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), 1e-24))
    return x / norm
