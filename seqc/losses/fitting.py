"""How labels must be shaped for an output, and what is said when they are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import DataError
from seqc.ir import Value
from seqc.losses.base import squeeze_or_expand_to_same_rank, tensor
from seqc.ops._common import normalize_axis

# Probabilities and divisors are kept at least this far from 0 (and from 1).
EPSILON = 1e-7


def pair(who: str, y_true: Any, y_pred: Any) -> tuple[Value, Value]:
    """Returns labels and predictions in the dtype of the predictions and, where it can be, of one rank.

    Raises:
        DataError: they do not broadcast against each other.
    """
    pred = tensor(y_pred)
    pred = pred if pred.type.is_float else ops.cast(pred, "float32")
    true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, pred.dtype), pred)
    crossentropy = who.endswith("crossentropy")
    if not crossentropy and clash(true.type.shape, pred.type.shape, broadcast=True):
        raise DataError(
            f"Loss '{who}' needs labels of the output's shape {shown(pred.type.shape)}; got labels of shape "
            f"{shown(true.type.shape)}. Change the last layer's units or reshape the labels."
        )
    return true, pred


def check_same_shape(who: str, true: Value, pred: Value, axis: int = -1) -> None:
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
    raise DataError(
        f"Loss '{who}' needs {wanted} the output's shape {shown(pred.type.shape)}; got labels of shape "
        f"{shown(true.type.shape)}.{hint}"
    )


def clash(a: Sequence[Any], b: Sequence[Any], broadcast: bool = False) -> bool:
    """Tells whether two shapes, aligned on the right, differ."""
    pairs = zip(reversed(a), reversed(b), strict=False)
    return any(x != y and not (broadcast and 1 in (x, y)) for x, y in pairs)


def shown(shape: Sequence[Any]) -> str:
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
        raise DataError(
            f"Loss '{who}' needs one class number per prediction: labels of shape {shown(wanted)} for an output of "
            f"shape {shown(pred.type.shape)}; got labels of shape {shown(true.type.shape)}.{hint}"
        )
    return ops.cast(true, "int32")
