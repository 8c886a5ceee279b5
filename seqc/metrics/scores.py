"""Scores that weigh several kinds of errors against each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError, DataError, NotBuiltError
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.losses.base import squeeze_or_expand_to_same_rank, tensor
from seqc.losses.label_shapes import not_one_hot
from seqc.metrics.base import Metric
from seqc.metrics.reduction import SAME_LABELS, MeanMetricWrapper
from seqc.ops.reduce import count

AVERAGES = (None, "micro", "macro", "weighted")
AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


def _columns(who: str, true: Value, pred: Value) -> int:
    """Returns the number of columns of labels and predictions.

    Raises:
        DataError: they are not both (samples, columns).
    """
    if true.ndim == pred.ndim == 2 and true.type.shape == pred.type.shape and isinstance(pred.type.shape[1], int):
        return pred.type.shape[1]
    error = not_one_hot(f"{who}", true.type.shape, pred.type.shape, "a metric of class numbers")
    raise DataError(f"{who} expects 2D inputs with shape (batch_size, output_dim), with output_dim known. {error}")


@known("metrics")
class FBetaScore(Metric):
    """(1 + beta^2) * precision * recall / (beta^2 * precision + recall), for one-hot or multi-hot labels.

    Args:
        average: None for a score per class; "micro" (over all decisions), "macro" (mean over classes) or "weighted"
            (mean weighted by the classes' labels).
        beta: how much more recall counts than precision, a float above 0.
        threshold: in (0, 1], above which a prediction is positive; by default the largest of a sample is.
        name, dtype: as in `Metric`.

    Raises:
        ConfigError: an argument is not allowed.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if average not in AVERAGES:
            raise ConfigError(
                "Invalid `average` argument value. Expected one of: {None, 'micro', 'macro', 'weighted'}. "
                f"Received: average={average}"
            )
        if not isinstance(beta, float) or beta <= 0:
            raise ConfigError(f"Invalid `beta` argument value. It should be a float > 0. Received: beta={beta}")
        if threshold is not None and (not isinstance(threshold, float) or not 0 < threshold <= 1):
            raise ConfigError(
                "Invalid `threshold` argument value. It should be a float with 0 < threshold <= 1. Received: "
                f"threshold={threshold}"
            )
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._sums: list[Variable] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        true, pred = tensor(y_true, self.dtype), tensor(y_pred, self.dtype)
        columns = _columns(type(self).__name__, true, pred)
        if not self._sums:
            shape = () if self.average == "micro" else (columns,)
            names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
            self._sums = [self.add_variable(shape, name=name) for name in names]
        chosen = ops.cast(self._chosen(pred), self.dtype)
        parts = [chosen * true, chosen * (1.0 - true), (1.0 - chosen) * true, true]
        weight = None if sample_weight is None else ops.expand_dims(tensor(sample_weight, self.dtype), 1)
        for variable, part in zip(self._sums, parts, strict=True):
            weighted = part if weight is None else part * weight
            variable.assign(variable + ops.sum(weighted, None if self.average == "micro" else 0))

    def _chosen(self, pred: Value) -> Value:
        if self.threshold is not None:
            return ops.greater(pred, self.threshold)
        largest = ops.greater_equal(pred, ops.max(pred, -1, keepdims=True))
        # A row of zeros chooses nothing.
        return ops.logical_and(largest, ops.greater(ops.absolute(pred), 1e-9))

    def result(self) -> Value:
        if not self._sums:
            raise NotBuiltError(f"Metric '{self.name}' knows the number of classes after its first batch only.")
        hits, alarms, misses, labels = (v.to_value() for v in self._sums)
        precision, recall = hits / (hits + alarms + EPSILON), hits / (hits + misses + EPSILON)
        square = self.beta**2
        score = precision * recall / (precision * square + recall + EPSILON) * (1.0 + square)
        if self.average == "weighted":
            return ops.sum(score * (labels / (ops.sum(labels) + EPSILON)))
        return score if self.average is None else ops.mean(score)


@known("metrics")
class F1Score(FBetaScore):
    """2 * precision * recall / (precision + recall); arguments as for `FBetaScore`."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


@known("metrics")
class R2Score(Metric):
    """1 - sum((y_true - y_pred)^2) / sum((y_true - mean(y_true))^2), the share of variance explained.

    Labels that do not vary give NaN where they are met exactly and 0 where not, as in Keras.

    Args:
        class_aggregation: None for a score per column, "uniform_average" or "variance_weighted_average".
        num_regressors: number of explaining variables, for the adjusted score; 0 for the plain one, which is also given
            where there are too few samples to adjust.
        name, dtype: as in `Metric`.

    Raises:
        ConfigError: an argument is not allowed.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        if class_aggregation not in AGGREGATIONS:
            raise ConfigError(
                f"Invalid value for argument `class_aggregation`. Expected one of {AGGREGATIONS}. Received: "
                f"class_aggregation={class_aggregation}"
            )
        if num_regressors < 0:
            raise ConfigError(
                "Invalid value for argument `num_regressors`. Expected a value >= 0. Received: "
                f"num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable(name="num_samples")
        self._sums: list[Variable] = []

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, self.dtype), tensor(y_pred, self.dtype))
        if not self._sums:
            shape = (_columns("R2Score", true, pred),)
            self._sums = [self.add_variable(shape, name=n) for n in ("squared_sum", "sum", "residual", "count")]
        weight = ops.ones_like(true)
        if sample_weight is not None:
            given = tensor(sample_weight, self.dtype)
            weight = ops.broadcast_like(ops.expand_dims(given, 1) if given.ndim == 1 else given, true)
        parts = [true * true * weight, true * weight, ops.square(true - pred) * weight, weight]
        for variable, part in zip(self._sums, parts, strict=True):
            variable.assign(variable + ops.sum(part, 0))
        self.num_samples.assign(self.num_samples + count(true))  # all numbers; Keras 3.16 counts samples, (0,)

    def result(self) -> Value:
        if not self._sums:
            raise NotBuiltError(f"Metric '{self.name}' knows the number of columns after its first batch only.")
        squares, total, residual, weight = (v.to_value() for v in self._sums)
        spread = squares - total * _quotient(total, weight)
        score = 1.0 - _quotient(residual, spread)
        score = ops.where(ops.isinf(score), 0.0, score)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(score)
        elif self.class_aggregation is not None:
            score = _quotient(ops.sum(spread * score), ops.sum(spread))
        if not self.num_regressors:
            return score
        free = self.num_samples.to_value() - (self.num_regressors + 1.0)
        adjusted = 1.0 - (1.0 - score) * (self.num_samples.to_value() - 1.0) / ops.where(free > 0.0, free, 1.0)
        return ops.where(free > 0.0, adjusted, score)


def _quotient(a: Value, b: Value) -> Value:
    """Returns a / b: infinite where only b is 0, NaN where both are, without a division that NumPy remarks on."""
    nothing = ops.equal(b, 0.0)
    beyond = ops.where(ops.greater(a, 0.0), float("inf"), ops.where(ops.less(a, 0.0), float("-inf"), float("nan")))
    return ops.where(nothing, beyond, a / ops.where(nothing, ops.ones_like(b), b))


def pearson_correlation(y_true: Any, y_pred: Any, axis: int | Sequence[int] = -1) -> Value:
    """Returns the correlation coefficient of labels and predictions along `axis`."""
    pred = tensor(y_pred)
    true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, pred.dtype), pred)
    normal = []
    for x in (true, pred):
        centered = x - ops.mean(x, axis, keepdims=True)
        normal.append(centered / ops.std(centered, axis, keepdims=True))
    return ops.mean(normal[0] * normal[1], axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int | Sequence[int] = -1) -> Value:
    """Returns how well predictions lie on the line y_pred = y_true along `axis`.

    Lin (1989), "A Concordance Correlation Coefficient to Evaluate Reproducibility".
    """
    pred = tensor(y_pred)
    true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, pred.dtype), pred)
    true_mean, pred_mean = ops.mean(true, axis, keepdims=True), ops.mean(pred, axis, keepdims=True)
    # Keras takes the predictions' mean off both; in the mean over the axis that changes nothing.
    together = (true - pred_mean) * (pred - pred_mean)
    spread = ops.var(true, axis, keepdims=True) + ops.var(pred, axis, keepdims=True) + ops.square(true_mean - pred_mean)
    return ops.mean(together * 2.0 / (spread + EPSILON), axis)


SAME_LABELS.update((pearson_correlation, concordance_correlation))


@known("metrics")
class PearsonCorrelation(MeanMetricWrapper):
    """The mean correlation coefficient of labels and predictions along `axis`."""

    def __init__(self, name: str = "pearson_correlation", dtype: Any = None, axis: int | Sequence[int] = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


@known("metrics")
class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean concordance correlation of labels and predictions along `axis`."""

    def __init__(
        self, name: str = "concordance_correlation", dtype: Any = None, axis: int | Sequence[int] = -1
    ) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)
