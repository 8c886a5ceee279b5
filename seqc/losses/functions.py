"""Losses as functions: labels and predictions to one value per sample (and step)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import DataError
from seqc.ir import Value
from seqc.losses.base import squeeze_or_expand_to_same_rank, tensor
from seqc.ops._common import normalize_axis
from seqc.ops.nonlinear import Sigmoid
from seqc.ops.reduce import Softmax

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]

# Probabilities and divisors are kept at least this far from 0 (and from 1).
EPSILON = 1e-7


def mean_squared_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean((y_true - y_pred)^2) over the last axis."""
    true, pred = _pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(true - pred), -1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(|y_true - y_pred|) over the last axis."""
    true, pred = _pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.absolute(true - pred), -1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Value:
    """Returns 100 * mean(|y_true - y_pred| / max(|y_true|, 1e-7)) over the last axis."""
    true, pred = _pair("mean_absolute_percentage_error", y_true, y_pred)
    relative = ops.absolute((true - pred) / ops.maximum(ops.absolute(true), EPSILON))
    return ops.mean(relative, -1) * 100.0


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Value:
    """Returns mean((log(1 + y_true) - log(1 + y_pred))^2) over the last axis, both at least 1e-7."""
    true, pred = _pair("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [ops.log(ops.maximum(x, EPSILON) + 1.0) for x in (pred, true)]
    return ops.mean(ops.square(logs[0] - logs[1]), -1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Value:
    """Returns the mean over the last axis of e^2 / 2 where |e| <= delta, else delta * |e| - delta^2 / 2.

    Huber (1964), "Robust Estimation of a Location Parameter".
    """
    true, pred = _pair("huber", y_true, y_pred)
    error = pred - true
    size = ops.absolute(error)
    inside, outside = ops.square(error) * 0.5, size * delta - 0.5 * delta * delta
    return ops.mean(ops.where(size <= delta, inside, outside), -1)


def log_cosh(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(log(cosh(e))) over the last axis for e = y_pred - y_true, as e + softplus(-2e) - log 2."""
    true, pred = _pair("log_cosh", y_true, y_pred)
    error = pred - true
    return ops.mean(error + ops.softplus(error * -2.0) - float(np.log(2.0)), -1)


def hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(max(1 - y_true * y_pred, 0)) over the last axis; labels 0 and 1 are read as -1 and 1."""
    true, pred = _pair("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signs(true) * pred, 0.0), -1)


def squared_hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(max(1 - y_true * y_pred, 0)^2) over the last axis; labels 0 and 1 are read as -1 and 1."""
    true, pred = _pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signs(true) * pred, 0.0)), -1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns max(1 + neg - pos, 0): pos is the score of the true class, neg the best other one (one-hot labels)."""
    true, pred = _pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(true * pred, -1)
    wrong = ops.max((1.0 - true) * pred, -1)
    return ops.maximum(wrong - right + 1.0, 0.0)


def kl_divergence(y_true: Any, y_pred: Any) -> Value:
    """Returns sum(y_true * log(y_true / y_pred)) over the last axis, both limited to [1e-7, 1]."""
    true, pred = _pair("kl_divergence", y_true, y_pred)
    true, pred = ops.clip(true, EPSILON, 1.0), ops.clip(pred, EPSILON, 1.0)
    return ops.sum(true * ops.log(true / pred), -1)


def poisson(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(y_pred - y_true * log(y_pred + 1e-7)) over the last axis."""
    true, pred = _pair("poisson", y_true, y_pred)
    return ops.mean(pred - true * ops.log(pred + EPSILON), -1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Value:
    """Returns minus the cosine of the angle between labels and predictions along `axis`."""
    true, pred = _pair("cosine_similarity", y_true, y_pred)
    return ops.negative(ops.sum(_unit(true, axis) * _unit(pred, axis), axis))


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Value:
    """Returns the mean over `axis` of -(y_true * log(p) + (1 - y_true) * log(1 - p)).

    Args:
        y_true: labels 0 or 1 (or probabilities), shaped like `y_pred`.
        y_pred: probabilities, limited to [1e-7, 1 - 1e-7]; logits with `from_logits`.
        label_smoothing: moves labels towards one half by this share.

    Raises:
        DataError: labels and predictions differ in shape.
    """
    true, pred = _pair("binary_crossentropy", y_true, y_pred)
    _check_same_shape("binary_crossentropy", true, pred)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    logits = _undo(Sigmoid, pred, from_logits, "binary_crossentropy")
    if logits is not None:
        # log(sigmoid(x)) = x - softplus(x) and log(1 - sigmoid(x)) = -softplus(x)
        return ops.mean(ops.softplus(logits) - true * logits, axis)
    p = ops.clip(pred, EPSILON, 1.0 - EPSILON)
    return ops.mean(ops.negative(true * ops.log(p) + (1.0 - true) * ops.log(1.0 - p)), axis)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Value:
    """Returns -sum(y_true * log(p)) over the class axis.

    Args:
        y_true: one-hot labels (or probabilities), shaped like `y_pred`.
        y_pred: probabilities, made to sum to one and limited to [1e-7, 1 - 1e-7]; logits with `from_logits`.
        label_smoothing: share of each label that is spread evenly over the classes. axis: the class axis.

    Raises:
        DataError: labels and predictions differ in shape.
    """
    true, pred = _pair("categorical_crossentropy", y_true, y_pred)
    _check_same_shape("categorical_crossentropy", true, pred, axis)
    if label_smoothing:
        true = true * (1.0 - label_smoothing) + label_smoothing / len_of_axis(true, -1, "categorical_crossentropy")
    return ops.negative(ops.sum(true * _log_probabilities(pred, from_logits, axis, "categorical_crossentropy"), axis))


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Value:
    """Returns -log(p) of the true class.

    Args:
        y_true: class numbers, shaped like `y_pred` without the class axis, or with it and size one.
        y_pred: probabilities, made to sum to one and limited to [1e-7, 1 - 1e-7]; logits with `from_logits`.
        ignore_class: a label whose loss is 0. axis: the class axis.

    Raises:
        DataError: the shapes do not fit.
    """
    pred = tensor(y_pred)
    true = class_numbers(y_true, pred, axis)
    classes = len_of_axis(pred, axis, "sparse_categorical_crossentropy")
    log_p = _log_probabilities(pred, from_logits, axis, "sparse_categorical_crossentropy")
    # An ignored label is not one of the classes, or is made none, so that its one-hot row is all zero.
    known = true if ignore_class is None else ops.where(valid_labels(true, ignore_class), true, -1)
    return ops.negative(ops.sum(ops.one_hot(known, classes, axis, pred.dtype) * log_p, axis))


def valid_labels(true: Value, ignore_class: int) -> Value:
    """Returns where class numbers are not the ignored one."""
    return ops.not_equal(true, ignore_class)


def class_numbers(y_true: Any, pred: Value, axis: int) -> Value:
    """Returns labels as int32 without a class axis.

    Raises:
        DataError: they are not one class number for each prediction.
    """
    who = "sparse_categorical_crossentropy"
    true = tensor(y_true)
    at = normalize_axis(who, axis, pred.ndim)
    if true.ndim == pred.ndim and true.type.shape[at] == 1:
        true = ops.squeeze(true, at)
    wanted = tuple(d for i, d in enumerate(pred.type.shape) if i != at)
    if true.ndim != len(wanted) or _clash(true.type.shape, wanted):
        hint = ""
        if true.ndim == pred.ndim and true.type.shape[at] == pred.type.shape[at]:
            hint = " One-hot labels belong to loss='categorical_crossentropy'; or pass numpy.argmax(y, axis=-1)."
        raise DataError(
            f"Loss '{who}' needs one class number per prediction: labels of shape {_shown(wanted)} for an output of "
            f"shape {_shown(pred.type.shape)}; got labels of shape {_shown(true.type.shape)}.{hint}"
        )
    return ops.cast(true, "int32")


def _pair(who: str, y_true: Any, y_pred: Any) -> tuple[Value, Value]:
    """Returns labels and predictions in the dtype of the predictions and, where it can be, of one rank.

    Raises:
        DataError: they do not broadcast against each other.
    """
    pred = tensor(y_pred)
    pred = pred if pred.type.is_float else ops.cast(pred, "float32")
    true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, pred.dtype), pred)
    crossentropy = who.endswith("crossentropy")
    if not crossentropy and _clash(true.type.shape, pred.type.shape, broadcast=True):
        raise DataError(
            f"Loss '{who}' needs labels of the output's shape {_shown(pred.type.shape)}; got labels of shape "
            f"{_shown(true.type.shape)}. Change the last layer's units or reshape the labels."
        )
    return true, pred


def _check_same_shape(who: str, true: Value, pred: Value, axis: int = -1) -> None:
    if true.ndim == pred.ndim and not _clash(true.type.shape, pred.type.shape):
        return
    if who == "categorical_crossentropy" and true.type.shape[-1:] != pred.type.shape[-1:]:
        wanted = "one-hot labels, one column per class, of"
        hint = (
            " For labels that are class numbers use loss='sparse_categorical_crossentropy', or make them one-hot with "
            "seqc.utils.to_categorical(y, num_classes)."
        )
        hint = hint if true.ndim < pred.ndim or true.type.shape[-1] == 1 else ""
    else:
        wanted, hint = "labels of", " Change the last layer's units or reshape the labels."
    raise DataError(
        f"Loss '{who}' needs {wanted} the output's shape {_shown(pred.type.shape)}; got labels of shape "
        f"{_shown(true.type.shape)}.{hint}"
    )


def _clash(a: Sequence[Any], b: Sequence[Any], broadcast: bool = False) -> bool:
    """Tells whether two shapes, aligned on the right, differ."""
    pairs = zip(reversed(a), reversed(b), strict=False)
    return any(x != y and not (broadcast and 1 in (x, y)) for x, y in pairs)


def _shown(shape: Sequence[Any]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


def len_of_axis(x: Value, axis: int, who: str) -> int:
    """Returns the number of classes.

    Raises:
        DataError: it is not known before the graph runs.
    """
    size = x.type.shape[normalize_axis(who, axis, x.ndim)]
    if not isinstance(size, int):
        raise DataError(f"Loss '{who}' needs to know the number of classes, axis {axis} of {x.type}.")
    return size


def _undo(kind: type, pred: Value, from_logits: bool, who: str) -> Value | None:
    """Returns the logits, where predictions are given as such or were made from them by the last operation.

    Working from them keeps the gradient alive where a probability rounds to 0 or 1.
    """
    if isinstance(pred.op, kind):
        if from_logits:
            warnings.warn(
                f"Loss '{who}' has from_logits=True, but the output went through {kind.__name__}: that is left out.",
                stacklevel=2,
            )
        return pred.inputs[0]
    return pred if from_logits else None


def _log_probabilities(pred: Value, from_logits: bool, axis: int, who: str) -> Value:
    same_axis = isinstance(pred.op, Softmax) and pred.op.axis == normalize_axis(who, axis, pred.ndim)
    logits = _undo(Softmax, pred, from_logits, who) if same_axis or from_logits else None
    if logits is not None:
        return ops.log_softmax(logits, axis)
    p = pred / ops.sum(pred, axis, keepdims=True)
    return ops.log(ops.clip(p, EPSILON, 1.0 - EPSILON))


def _signs(true: Value) -> Value:
    """Returns labels 2y - 1 when all of them are 0 or 1, else as they are."""
    other = ops.logical_not(ops.logical_or(ops.equal(true, 0.0), ops.equal(true, 1.0)))
    binary = ops.equal(ops.max(ops.cast(other, true.dtype)), 0.0)
    return ops.where(binary, true * 2.0 - 1.0, true)


def _unit(x: Value, axis: int) -> Value:
    """Returns x of length one along `axis`; a zero vector stays zero."""
    norm = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis, keepdims=True), 1e-24))
    return x / norm
