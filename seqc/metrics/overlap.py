"""Intersection over union of label maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import file_scope, ops
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.losses.base import tensor
from seqc.losses.shapes import shown
from seqc.metrics.base import Metric


@known("metrics")
class IoU(Metric):
    """The mean over some classes of intersection / union of where it is labelled and where it is predicted.

    Class numbers outside [0, num_classes) do not count, and classes that occur nowhere are left out of the mean.

    Args:
        num_classes: how many there are. target_class_ids: those in the mean.
        ignore_class: a label that does not count.
        sparse_y_true, sparse_y_pred: whether labels and predictions are class numbers; else the largest element along
            `axis` is the class.
        name, dtype: as in `Metric`; an integer dtype ("int64" by default) cuts sample weights to integers.

    Raises:
        ConfigError: a target class is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype or "int64", name)
        if max(target_class_ids) >= num_classes:
            raise ConfigError(f"Target class id {max(target_class_ids)} is out of range, which is [0, {num_classes}).")
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        true = self._classes(y_true, self.sparse_y_true)
        pred = self._classes(y_pred, self.sparse_y_pred)
        self._check_fit(y_true, y_pred, true, pred)
        if self.ignore_class is not None:
            true = ops.where(ops.equal(true, self.ignore_class), -1, true)
        # Class numbers out of range have no place in a one-hot row, and so drop out of the product.
        rows = ops.one_hot(true, self.num_classes)
        if sample_weight is not None:
            weight = ops.cast(tensor(sample_weight, self.dtype), "float32")
            weight = ops.broadcast_like(ops.reshape(weight, [-1]) if weight.ndim > 1 else weight, true)
            rows = rows * ops.expand_dims(weight, -1)
        found = ops.matmul(ops.transpose(rows), ops.one_hot(pred, self.num_classes))
        self.total_cm.assign(self.total_cm + ops.cast(found, self.dtype))

    def _check_fit(self, y_true: Any, y_pred: Any, true: Value, pred: Value) -> None:
        columns = [
            tensor(y).type.shape[self.axis]
            for y, sparse in ((y_true, self.sparse_y_true), (y_pred, self.sparse_y_pred))
            if not sparse
        ]
        # The largest of one column says nothing.
        if true.type.shape == pred.type.shape and (1 not in columns or self.num_classes == 1):
            return
        shapes = [tensor(y).type.shape for y in (y_true, y_pred)]
        kinds = [
            "class numbers" if sparse else f"scores along axis {self.axis}"
            for sparse in (self.sparse_y_true, self.sparse_y_pred)
        ]
        raise DataError(
            f"Metric '{self.name}' ({type(self).__name__}) takes labels that are {kinds[0]} and predictions that are "
            f"{kinds[1]}; got {shown(shapes[0])} and {shown(shapes[1])}. For predictions with one score per class pass "
            "sparse_y_pred=False, for one-hot labels sparse_y_true=False."
        )

    def _classes(self, x: Any, sparse: bool) -> Value:
        numbers = ops.cast(tensor(x) if sparse else ops.argmax(tensor(x), self.axis), "int32")
        return ops.reshape(numbers, [-1]) if numbers.ndim > 1 else numbers

    def result(self) -> Value:
        matrix = ops.cast(self.total_cm, "float32")
        both = ops.sum(matrix * as_value(np.eye(self.num_classes, dtype="float32")), 0)
        union = ops.sum(matrix, 0) + ops.sum(matrix, 1) - both
        wanted = as_value(np.array(self.target_class_ids, "int32"))
        both, union = ops.take(both, wanted, 0), ops.take(union, wanted, 0)
        present = ops.greater(union, 1e-9)
        share = ops.where(present, both / (union + EPSILON), 0.0)
        return ops.sum(share) / (ops.sum(ops.cast(present, "float32")) + EPSILON)


@known("metrics")
class BinaryIoU(IoU):
    """`IoU` of two classes, told apart by a threshold.

    Args:
        target_class_ids: those in the mean. threshold: from which on a prediction is class 1.
        name, dtype: as in `IoU`.
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        chosen = ops.cast(ops.greater_equal(tensor(y_pred, "float32"), self.threshold), "int32")
        super().update_state(y_true, chosen, sample_weight)


@known("metrics")
class MeanIoU(IoU):
    """`IoU` with all classes in the mean."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        file_scope.reserve_free((num_classes,), 40, "class numbers of a metric")
        every = range(num_classes)
        super().__init__(num_classes, every, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


@known("metrics")
class OneHotIoU(IoU):
    """`IoU` of one-hot labels."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


@known("metrics")
class OneHotMeanIoU(MeanIoU):
    """`IoU` of one-hot labels, with all classes in the mean."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
