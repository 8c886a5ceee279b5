"""Cross-entropies, element by element or along the axis of classes, as losses are made of."""

from __future__ import annotations

from typing import Any

from seqc.epsilon import EPSILON
from seqc.errors import ShapeError
from seqc.graph.ir import Value
from seqc.ops._common import as_float, as_floats
from seqc.ops.activation import log_sigmoid
from seqc.ops.arithmetic import clip, negative
from seqc.ops.elementwise import cast, where
from seqc.ops.gather import one_hot
from seqc.ops.reduce import log_softmax, sum
from seqc.ops.shape import squeeze
from seqc.ops.sizes import size_of
from seqc.ops.transcendental import log


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Value:
    """Returns -(target * log(p) + (1 - target) * log(1 - p)) for each element.

    Args:
        target: labels 0 or 1, or probabilities. output: of that shape: probabilities p, limited to [1e-7, 1 - 1e-7];
        logits with `from_logits`.
    """
    true, pred = _same_shape(target, output)
    if from_logits:
        return negative(true * log_sigmoid(pred)) - (1.0 - true) * log_sigmoid(negative(pred))
    p = clip(pred, EPSILON, 1.0 - EPSILON)
    return negative(true * log(p) + (1.0 - true) * log(1.0 - p))


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Value:
    """Returns -sum(target * log(p)) over the axis of classes.

    Args:
        target: one-hot labels, or probabilities. output: of that shape: probabilities, made to sum to one and limited
        to [1e-7, 1 - 1e-7]; logits with `from_logits`. axis: the axis of classes.
    """
    true, pred = _same_shape(target, output)
    if not pred.type.rank:
        raise ShapeError(f"Arguments `target` and `output` must be at least rank 1; got {true.type} and {pred.type}.")
    log_p = log_softmax(pred, axis) if from_logits else log(clip(pred / sum(pred, axis, True), EPSILON, 1.0 - EPSILON))
    return negative(sum(true * log_p, axis))


def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Value:
    """Returns -log(p) of the true class.

    Args:
        target: class numbers, shaped like `output` without its last axis, or with it and size one. output:
        probabilities, limited to [1e-7, 1 - 1e-7] and made to sum to one; logits with `from_logits`.
        axis: the axis of classes.
    """
    true, pred = cast(target, "int32"), as_float(output)
    if not pred.type.rank:
        raise ShapeError(f"Argument `output` must be at least rank 1; got {pred.type}.")
    if true.type.rank == pred.type.rank and true.type.shape[-1] == 1:
        true = squeeze(true, -1)
    if true.type.shape != pred.type.shape[:-1]:
        raise ShapeError(
            "Arguments `target` and `output` must have the same shape up until the last dimension; "
            f"got {true.type} and {pred.type}."
        )
    chosen = one_hot(true, size_of(pred, axis), axis, "bool")
    logits = pred if from_logits else log(clip(pred, EPSILON, 1.0 - EPSILON))
    # Chosen, not multiplied: 0 times the minus infinity of another class would be no number.
    return negative(sum(where(chosen, log_softmax(logits, axis), 0.0), axis))


def _same_shape(target: Any, output: Any) -> tuple[Value, Value]:
    true, pred = as_floats(target, output)
    if true.type.shape != pred.type.shape:
        raise ShapeError(f"Arguments `target` and `output` must have the same shape; got {true.type} and {pred.type}.")
    return true, pred
