"""Losses with a margin: each as a function and as a class."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.label_shapes import pair
from seqc.losses.named import loss_function
from seqc.losses.wrapper import MEAN, LossFunctionWrapper


@loss_function(labels_like_output=True)
def hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(max(1 - y_true * y_pred, 0)) over the last axis; labels 0 and 1 are read as -1 and 1."""
    true, pred = pair("hinge", y_true, y_pred)
    return ops.mean(ops.maximum(1.0 - _signs(true) * pred, 0.0), -1)


@known("losses")
class Hinge(LossFunctionWrapper):
    """mean(max(1 - y_true * y_pred, 0)) for labels -1 and 1 (or 0 and 1); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(hinge, reduction, name, dtype)


@loss_function(labels_like_output=True)
def squared_hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(max(1 - y_true * y_pred, 0)^2) over the last axis; labels 0 and 1 are read as -1 and 1."""
    true, pred = pair("squared_hinge", y_true, y_pred)
    return ops.mean(ops.square(ops.maximum(1.0 - _signs(true) * pred, 0.0)), -1)


@known("losses")
class SquaredHinge(LossFunctionWrapper):
    """mean(max(1 - y_true * y_pred, 0)^2) for labels -1 and 1 (or 0 and 1); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


@loss_function(labels_like_output=True)
def categorical_hinge(y_true: Any, y_pred: Any) -> Value:
    """Returns max(1 + neg - pos, 0): pos is the score of the true class, neg the best other one (one-hot labels)."""
    true, pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(true * pred, -1)
    wrong = ops.max((1.0 - true) * pred, -1)
    return ops.maximum(wrong - right + 1.0, 0.0)


@known("losses")
class CategoricalHinge(LossFunctionWrapper):
    """max(1 + best wrong score - right score, 0) for one-hot labels; see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)


def _signs(true: Value) -> Value:
    """Returns labels 2y - 1 when all of them are 0 or 1, else as they are."""
    other = ops.logical_not(ops.logical_or(ops.equal(true, 0.0), ops.equal(true, 1.0)))
    binary = ops.equal(ops.sum(ops.cast(other, true.dtype)), 0.0)
    return ops.where(binary, true * 2.0 - 1.0, true)
