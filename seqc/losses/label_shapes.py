"""Which labels and weights fit an output, and what is said of others: one description for losses and metrics.

Labels have the output's shape, or are class numbers and have its shape without the class axis. A last axis of size one
that only one side has does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import DataError
from seqc.graph.eager import evaluate_eagerly, is_known
from seqc.graph.ir import Array, Value
from seqc.graph.tracing import current_trace
from seqc.losses.base import squeeze_or_expand_to_same_rank, tensor
from seqc.losses.shapes import broadcast, clash, misfit, shown
from seqc.ops._common import normalize_axis
from seqc.utils.display import note


def pair(who: str, y_true: Any, y_pred: Any) -> tuple[Value, Value]:
    """Returns labels and predictions in the dtype of the predictions and, where it can be, of one rank.

    Raises:
        DataError: they do not broadcast against each other, or would hold every sample beside every other one.
    """
    pred = tensor(y_pred)
    pred = pred if pred.type.is_float else ops.cast(pred, "float32")
    true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, pred.dtype), pred)
    if who not in _OF_ONE_SHAPE and not broadcast(true.type.shape, pred.type.shape):
        raise unfit(f"Loss '{who}'", tensor(y_true).type.shape, tensor(y_pred).type.shape)
    return true, pred


# These check for themselves.
_OF_ONE_SHAPE = ("binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy")


def unfit(who: str, true: Sequence[Any], pred: Sequence[Any]) -> DataError:
    """Returns the error of labels that are not of the output's shape."""
    if "crossentropy" in who:
        return not_one_hot(who, true, pred, "loss='sparse_categorical_crossentropy'")
    bare = tuple(true[:-1]) if true[-1:] == (1,) and len(true) == len(pred) else tuple(true)
    hint = _RESHAPE
    if bare == tuple(pred[:-1]):
        hint = (
            "Each label would be compared with all outputs of its sample. Give the last layer 1 unit; if it is meant, "
            f"repeat the labels: numpy.repeat(numpy.reshape(y, (*y.shape[:{len(bare)}], 1)), {pred[-1]}, axis=-1)."
        )
    elif len(pred) > 2 and len(pred) > len(true):
        hint = (
            "For one prediction per sample put Flatten, a pooling layer, or a recurrent layer without return_sequences "
            "before the last layers."
        )
    return _wrong(who, true, pred, hint)


_RESHAPE = "Change the last layer's units or reshape the labels."


def _wrong(who: str, true: Sequence[Any], pred: Sequence[Any], hint: str) -> DataError:
    return misfit(
        true,
        pred,
        f"{who} needs labels of the output's shape {shown(pred)}; got labels of shape {shown(true)}. {hint}",
    )


def not_one_hot(who: str, true: Sequence[Any], pred: Sequence[Any], instead: str) -> DataError:
    """Returns the error of labels that should say something of each class, for an output with classes last.

    Args:
        instead: what takes class numbers.
    """
    hint = _RESHAPE
    if len(pred) > 1 and tuple(true) in (tuple(pred[:-1]), (*pred[:-1], 1)):
        hint = (
            f"For labels that are class numbers use {instead}, or make them one-hot with "
            f"seqc.utils.to_categorical(y, {pred[-1]})."
        )
        if pred[-1] == 1:
            hint = "Give the labels a last axis, y[..., None]."
    return _wrong(who, true, pred, hint)


def check_fit(who: str, y_true: Value, y_pred: Value) -> None:
    """Checks labels of a model's output that are to have its shape; where a broadcast may be meant it warns.

    Args:
        who: what takes them, for messages. y_true: the labels. y_pred: the output.

    Raises:
        DataError: they have another one.
    """
    true, pred = (v.type.shape for v in squeeze_or_expand_to_same_rank(y_true, y_pred))
    if tuple(true) == tuple(pred):
        return
    kept_axes = len(true) == len(pred) and true[-1:] == pred[-1:] and broadcast(true, pred)
    if not kept_axes or any(p == 1 and t != 1 for t, p in zip(true, pred, strict=True)):
        raise unfit(who, y_true.type.shape, y_pred.type.shape)
    note(f"{who} repeats labels of shape {shown(true)} for an output of shape {shown(pred)}.", warn=True)


def check_same_shape(who: str, true: Value, pred: Value, axis: int = -1) -> None:
    """Raises DataError if labels and output differ in shape."""
    if true.ndim == pred.ndim and not clash(true.type.shape, pred.type.shape):
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
    raise misfit(
        true.type.shape,
        pred.type.shape,
        f"Loss '{who}' needs {wanted} the output's shape {shown(pred.type.shape)}; got labels of shape "
        f"{shown(true.type.shape)}.{hint}",
    )


def len_of_axis(x: Value, axis: int, who: str) -> int:
    """Returns the number of classes.

    Raises:
        DataError: it is not known before the graph runs.
    """
    size = x.type.shape[normalize_axis(who, axis, x.ndim)]
    if not isinstance(size, int):
        raise DataError(f"Loss '{who}' needs to know the number of classes, axis {axis} of {x.type}.")
    return size


def valid_labels(true: Value, ignore_class: int) -> Value:
    """Returns where class numbers are not the ignored one."""
    return ops.not_equal(true, ignore_class)


def class_numbers(who: str, y_true: Any, pred: Value, axis: int) -> Value:
    """Returns labels as int32 without a class axis.

    Raises:
        DataError: they are not one class number for each prediction.
    """
    true = tensor(y_true)
    at = normalize_axis(who, axis, pred.ndim)
    if true.ndim == pred.ndim and true.type.shape[at] == 1:
        true = ops.squeeze(true, at)
    wanted = tuple(d for i, d in enumerate(pred.type.shape) if i != at)
    if true.ndim != len(wanted) or clash(true.type.shape, wanted):
        hint = ""
        if true.ndim == pred.ndim and true.type.shape[at] == pred.type.shape[at]:
            hint = " One-hot labels belong to loss='categorical_crossentropy'; or pass numpy.argmax(y, axis=-1)."
        elif true.ndim == 1 and pred.ndim > 2:
            hint = (
                " For one prediction per sample put Flatten (or GlobalAveragePooling2D, or a recurrent layer without "
                "return_sequences) before the last layers."
            )
        raise misfit(
            true.type.shape,
            wanted,
            f"Loss '{who}' needs one class number per prediction: labels of shape {shown(wanted)} for an output of "
            f"shape {shown(pred.type.shape)}; got labels of shape {shown(true.type.shape)}.{hint}",
        )
    return ops.cast(true, "int32")


def check_classes(who: str, labels: Array, classes: int | None) -> None:
    """Raises DataError where numbers are none of the classes, which None says nothing of."""
    if labels.size == 0 or classes is None:
        return
    low, high = labels.min(), labels.max()
    if low >= 0 and high < classes:
        return
    if classes == 1:
        raise DataError(
            f"Loss '{who}' needs one unit per class, and the output has one; got labels up to {int(high)}. For "
            "two classes use loss='binary_crossentropy' with activation='sigmoid'; for more give the last layer "
            f"{max(int(high) + 1, 2)} units."
        )
    raise DataError(
        f"Loss '{who}' needs labels from 0 to {classes - 1}, because the output has {classes} classes; got "
        f"{int(low if low < 0 else high)}. Number the classes from 0, give the last layer "
        f"{max(int(high) + 1, classes)} units, or leave a label out with "
        "SparseCategoricalCrossentropy(ignore_class=...)."
    )


def check_known_classes(who: str, true: Value, pred: Value, axis: int, ignored: int | None) -> None:
    """Checks class numbers that are numbers already, outside of any graph; what is fitted was checked before.

    Raises:
        DataError: there is no such class.
    """
    classes = pred.type.shape[normalize_axis(who, axis, pred.ndim)]
    if current_trace() is None and is_known(true) and isinstance(classes, int):
        labels = evaluate_eagerly(true)
        check_classes(who, labels if ignored is None else labels[labels != ignored], classes)
