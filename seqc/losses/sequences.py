"""The loss of labels for a sequence of which nobody says when each of them comes."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.errors import DataError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.base import tensor
from seqc.losses.named import loss_function
from seqc.losses.shapes import shown
from seqc.losses.wrapper import MEAN, LossFunctionWrapper


@loss_function()
def ctc(y_true: Any, y_pred: Any) -> Value:
    """Returns minus the log-probability of the labels, however they lie in the steps; see `ops.ctc_loss`.

    Args:
        y_true: class numbers from 1 (batch, labels); zeros fill up and stand for no label.
        y_pred: logits (batch, steps, classes), of which class 0 is that of no label.

    Raises:
        DataError: they have other shapes.
    """
    true, pred = tensor(y_true), tensor(y_pred)
    if true.ndim != 2 or pred.ndim != 3:
        raise DataError(
            "Loss 'ctc' needs class numbers (batch, labels), filled up with zeros, for an output of logits "
            f"(batch, steps, classes); got labels of shape {shown(true.type.shape)} for an output of shape "
            f"{shown(pred.type.shape)}."
        )
    labels = ops.cast(true, "int32")
    count = ops.sum(ops.cast(ops.not_equal(labels, 0), "int32"), -1)
    size = ops.shape(pred)
    return ops.ctc_loss(labels, pred, count, ops.full([size[0]], size[1], "int32"))


@known("losses")
class CTC(LossFunctionWrapper):
    """Minus the log-probability of labels, however they lie in the steps; see `ctc`, and `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "ctc", dtype: Any = None) -> None:
        super().__init__(ctc, reduction, name, dtype)
