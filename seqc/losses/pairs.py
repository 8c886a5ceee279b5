"""The loss of embeddings, which looks at pairs of samples."""

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

# In the place of minus infinity, where there is no pair: its gradient is zero and no NaN.
_NONE = -1e30


@loss_function()
def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80,
    margin: float = 0.4,
) -> Value:
    """Returns the circle loss of each sample, over all pairs with the reference samples.

    Sun et al. (2020), "Circle Loss: A Unified Perspective of Pair Similarity Optimization".

    Args:
        y_true: class numbers (batch,) or (batch, 1). y_pred: embeddings of length 1, (batch, features).
        ref_labels, ref_embeddings: those of the reference samples; by default the samples themselves.
        remove_diagonal: whether a sample makes no pair with the reference sample of its number.
        gamma: scale of the similarities. margin: how far similarities may be from 1, or from 0, to do no harm.

    Raises:
        DataError: labels and embeddings do not have such shapes.
    """
    pred = tensor(y_pred)
    labels = _labels("labels", y_true, pred)
    others = pred if ref_embeddings is None else tensor(ref_embeddings, pred.dtype)
    other_labels = labels if ref_labels is None else _labels("ref_labels", ref_labels, others)
    same = ops.equal(labels, ops.transpose(other_labels))
    positive = same
    if remove_diagonal:
        itself = ops.eye(ops.shape(pred)[0], ops.shape(others)[0], dtype="bool")
        positive = ops.logical_and(same, ops.logical_not(itself))
    distance = ops.maximum(1.0 - ops.matmul(pred, ops.transpose(others)), 0.0)
    near = (distance + margin) * (distance - margin) * gamma
    far = ops.maximum(1.0 + margin - distance, 0.0) * (1.0 - margin - distance) * gamma
    pull = ops.logsumexp(ops.where(positive, near, _NONE), 1)
    push = ops.logsumexp(ops.where(same, _NONE, far), 1)
    return ops.softplus(pull + push)


@known("losses")
class Circle(LossFunctionWrapper):
    """The circle loss of embeddings; see `circle`, and `Loss` for the other arguments.

    Samples without a pair of either kind do not count.
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = MEAN,
        name: str = "circle",
        dtype: Any = None,
    ) -> None:
        super().__init__(circle, reduction, name, dtype, gamma=gamma, margin=margin, remove_diagonal=remove_diagonal)

    def valid(self, y_true: Value, y_pred: Value) -> Value | None:
        return ops.greater(self.call(y_true, y_pred), 0.0)


def _labels(what: str, given: Any, embeddings: Value) -> Value:
    """Returns class numbers as a column."""
    labels = tensor(given)
    if embeddings.ndim != 2 or not (labels.ndim == 1 or (labels.ndim == 2 and labels.type.shape[1] == 1)):
        raise DataError(
            f"Loss 'circle' needs {what} that are class numbers, (batch,) or (batch, 1), for embeddings (batch, "
            f"features); got labels of shape {shown(labels.type.shape)} for {shown(embeddings.type.shape)}."
        )
    column = ops.cast(labels, "int32")
    return ops.expand_dims(column, -1) if column.ndim == 1 else column
