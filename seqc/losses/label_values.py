"""Checks of label arrays before training starts: what a graph could only answer with wrong numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.losses.crossentropy import binary_crossentropy, sparse_categorical_crossentropy
from seqc.losses.focal import binary_focal_crossentropy
from seqc.losses.label_shapes import check_classes
from seqc.losses.sequences import ctc
from seqc.ops._common import normalize_axis


def check_labels(loss: Any, y: Any, output_shape: tuple[int | None, ...]) -> str | None:
    """Checks that labels which are class numbers name one of the output's classes.

    Args:
        loss: a loss object or function. y: the labels, an array. output_shape: of the model, batch first.

    Returns:
        What is to be said of labels that are allowed and yet can hardly be meant; None if nothing is.

    Raises:
        DataError: a label is not a whole number, or there is no such class.
    """
    function = getattr(loss, "fn", loss)
    if function in (binary_crossentropy, binary_focal_crossentropy):
        return _beyond_one(loss, np.asarray(y))
    if function is sparse_categorical_crossentropy:
        _check_classes(loss, y, output_shape)
    if function is ctc and len(output_shape) == 3:
        _check_sequences(np.asarray(y), output_shape[-1])
    return None


def _beyond_one(loss: Any, labels: Array) -> str | None:
    if labels.size == 0 or not (labels.min() < -_SLACK or labels.max() > 1 + _SLACK):
        return None
    low, high = (f"{float(bound):g}" for bound in (labels.min(), labels.max()))
    hint = "Number two classes 0 and 1; more than two belong to loss='sparse_categorical_crossentropy'."
    if (low, high) == ("1", "2"):
        hint = "Subtract 1 from classes that are numbered from 1."
    elif (low, high) == ("-1", "1"):
        hint = "For labels -1 and 1 use loss='hinge', or (y + 1) / 2."
    name = getattr(loss, "name", "binary_crossentropy")
    return f"Loss '{name}' takes labels from 0 to 1; got labels from {low} to {high}. {hint}"


# How far labels may be rounded.
_SLACK = 1e-3


def _check_sequences(labels: Array, classes: int | None) -> None:
    if labels.size == 0:
        return
    whole = labels == np.trunc(labels)
    if not whole.all():
        raise DataError(
            f"Loss 'ctc' needs labels that are whole numbers, one class each; got {labels[~whole].flat[0]}."
        )
    low, high = labels.min(), labels.max()
    if low < 0 or (classes is not None and high >= classes):
        found = low if low < 0 else high
        raise DataError(
            f"Loss 'ctc' needs labels from 1 to {'the last class' if classes is None else classes - 1}, and 0 where "
            f"there is no more label; got {int(found)}. Class 0 of the output stands for no label: give the last layer "
            "one unit more than there are labels."
        )


def _check_classes(loss: Any, y: Any, output_shape: tuple[int | None, ...]) -> None:
    options = getattr(loss, "fn_kwargs", {})
    name = "sparse_categorical_crossentropy"
    axis, ignored = options.get("axis", -1), options.get("ignore_class")
    classes = output_shape[normalize_axis(name, axis, len(output_shape))]
    labels = np.asarray(y)
    if ignored is not None:
        labels = labels[labels != ignored]
    if labels.size == 0:
        return
    if not np.issubdtype(labels.dtype, np.number) and labels.dtype != bool:
        raise DataError(f"Loss '{name}' needs labels that are class numbers; got an array of {labels.dtype}.")
    if np.issubdtype(labels.dtype, np.floating) and not np.array_equal(labels, np.trunc(labels)):
        found = labels[labels != np.trunc(labels)].flat[0]
        raise DataError(f"Loss '{name}' needs labels that are whole numbers, one class each; got {found}.")
    check_classes(name, labels, classes)
