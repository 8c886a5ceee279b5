"""Checks of label arrays before training starts: what a graph could only answer with wrong numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.losses.crossentropy import sparse_categorical_crossentropy
from seqc.ops._common import normalize_axis


def check_labels(loss: Any, y: Any, output_shape: tuple[int | None, ...]) -> None:
    """Checks that labels which are class numbers name one of the output's classes.

    Args:
        loss: a loss object or function. y: the labels, an array. output_shape: of the model, batch first.

    Raises:
        DataError: a label is not a whole number, or there is no such class.
    """
    if getattr(loss, "fn", loss) is not sparse_categorical_crossentropy:
        return
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
    low, high = labels.min(), labels.max()
    if classes is not None and not (low >= 0 and high < classes):
        found = low if low < 0 else high
        raise DataError(
            f"Loss '{name}' needs labels from 0 to {classes - 1}, because the output has {classes} classes; got "
            f"{int(found)}. Number the classes from 0, give the last layer {max(int(high) + 1, classes)} units, or "
            "leave a label out with SparseCategoricalCrossentropy(ignore_class=...)."
        )
