"""How often predictions are right."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.dtype_policies import floatx
from seqc.errors import DataError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.base import squeeze_or_expand_to_same_rank, tensor
from seqc.losses.label_shapes import not_one_hot
from seqc.metrics.reduction import SAME_LABELS, MeanMetricWrapper

FUNCTIONS = (
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
)


def accuracy(y_true: Any, y_pred: Any) -> Value:
    """Returns 1 where labels and predictions are equal, else 0."""
    pred = tensor(y_pred)
    true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, pred.dtype), pred)
    return ops.cast(ops.equal(true, pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Value:
    """Returns 1 where a prediction above `threshold` meets the label 1, or another one the label 0; else 0."""
    true, pred = squeeze_or_expand_to_same_rank(tensor(y_true), tensor(y_pred))
    above = ops.greater(pred, tensor(threshold, floatx()))  # no number that takes the predictions' own precision
    return ops.cast(ops.equal(true, ops.cast(above, true.dtype)), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Value:
    """Returns 1 where the largest element of one-hot labels and of predictions is at the same place, else 0."""
    true, pred = _one_hot("categorical_accuracy", y_true, y_pred)
    return ops.cast(ops.equal(ops.argmax(true, -1), ops.argmax(pred, -1)), "float32")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Value:
    """Returns 1 where the largest prediction is at the place the label names, else 0."""
    pred = tensor(y_pred)
    true = _numbers("sparse_categorical_accuracy", y_true, pred)
    hits = ops.cast(ops.equal(true, ops.cast(ops.argmax(pred, -1), true.dtype)), "float32")
    return ops.squeeze(hits, -1) if hits.ndim > 1 and hits.type.shape[-1] == 1 else hits


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Value:
    """Returns 1 where the class of one-hot labels is among the `k` best predictions, else 0."""
    true, pred = _one_hot("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top_k(ops.argmax(true, -1), pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Value:
    """Returns 1 where the labelled class is among the `k` best predictions, else 0.

    With `from_sorted_ids`, predictions are class numbers, the best first, instead of scores.
    """
    pred = tensor(y_pred)
    true = tensor(y_true)
    if not from_sorted_ids:
        return _in_top_k(ops.cast(_numbers("sparse_top_k_categorical_accuracy", true, pred), "int32"), pred, k)
    best = pred[..., :k]
    hits = ops.cast(ops.equal(ops.expand_dims(ops.cast(true, pred.dtype), -1), best), "float32")
    return ops.max(hits, -1)


SAME_LABELS.update((accuracy, binary_accuracy))


def _one_hot(who: str, y_true: Any, y_pred: Any) -> tuple[Value, Value]:
    true, pred = tensor(y_true), tensor(y_pred)
    if true.type.shape != pred.type.shape:
        raise not_one_hot(f"Metric '{who}'", true.type.shape, pred.type.shape, "sparse_categorical_accuracy")
    return true, pred


def _in_top_k(true: Value, pred: Value, k: int) -> Value:
    """Returns 1 where fewer than k predictions are larger than that of the true class, and that one is finite."""
    classes = pred.type.shape[-1]
    if not isinstance(classes, int):
        raise DataError(f"Top-k accuracy needs to know the number of classes, the last axis of {pred.type}.")
    at_class = ops.where(ops.one_hot(true, classes, -1, "bool"), pred, float("-inf"))
    chosen = ops.max(at_class, -1, keepdims=True)  # of a label that is no class, minus infinity
    better = ops.sum(ops.cast(ops.greater(pred, chosen), "float32"), -1)
    hits = ops.logical_and(ops.less(better, float(k)), ops.isfinite(ops.squeeze(chosen, -1)))
    return ops.cast(hits, "float32")


def _numbers(who: str, y_true: Any, pred: Value) -> Value:
    true = tensor(y_true)
    if true.ndim == pred.ndim and true.type.shape[-1] == 1:
        true = ops.squeeze(true, -1)
    if true.type.shape != pred.type.shape[:-1]:
        raise DataError(
            f"Metric '{who}' needs one class number per prediction: labels of shape "
            f"({', '.join(map(str, pred.type.shape[:-1]))}) for an output {pred.type}; got labels {true.type}."
        )
    return true


@known("metrics")
class Accuracy(MeanMetricWrapper):
    """The share of predictions that equal their labels."""

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


@known("metrics")
class BinaryAccuracy(MeanMetricWrapper):
    """The share of probabilities on the right side of `threshold`.

    Example:
        >>> metric = seqc.metrics.BinaryAccuracy(threshold=0.5)
        >>> metric.update_state(np.array([1, 1, 0, 0]), np.array([0.9, 0.2, 0.3, 0.1]))
        >>> float(metric.result())
        0.75
    """

    def __init__(self, name: str = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


@known("metrics")
class CategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose best class is that of their one-hot label."""

    def __init__(self, name: str = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


@known("metrics")
class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose best class is the number they are labelled with."""

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


@known("metrics")
class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose one-hot label is among the `k` best classes."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


@known("metrics")
class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose label, a class number, is among the `k` best classes."""

    def __init__(
        self,
        k: int = 5,
        name: str = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
