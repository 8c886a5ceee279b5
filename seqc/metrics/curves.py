"""Metrics of a classifier over all thresholds: points on its curves, and the areas under them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from seqc import file_scope, ops
from seqc.argument_kinds import is_number
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError, DataError, NotBuiltError
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.losses.base import divide_no_nan, tensor
from seqc.metrics.base import Metric
from seqc.metrics.confusion import NAMES, _Counted, counts, decisions

CURVES = ("PR", "ROC", "PRGAIN")
SUMMATIONS = ("interpolation", "majoring", "minoring")
# The outermost thresholds lie this far outside [0, 1], so that every score is on the right side of them.
MARGIN = EPSILON


class _AtLeast(_Counted):
    """The best value of one share over all thresholds at which another one is at least as large as asked."""

    asked, best = ("", ""), ("", "")

    def __init__(
        self,
        what: str,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if not 0 <= value <= 1:
            raise ConfigError(f"Argument `{what}` must be in the range [0, 1]. Received: {what}={value}")
        if num_thresholds <= 0:
            raise ConfigError(
                f"Argument `num_thresholds` must be an integer > 0. Received: num_thresholds={num_thresholds}"
            )
        _reserve(num_thresholds)
        last = num_thresholds - 1
        super().__init__([i / last for i in range(num_thresholds)] if last else [0.5], None, class_id, name, dtype)
        self._least = value

    def result(self) -> Value:
        enough = ops.greater_equal(self.share(*self.asked), self._least)
        return ops.max(ops.where(enough, self.share(*self.best), 0.0))


SENSITIVITY = ("true_positives", "false_negatives")
SPECIFICITY = ("true_negatives", "false_positives")
PRECISION = ("true_positives", "false_positives")


@known("metrics")
class SensitivityAtSpecificity(_AtLeast):
    """The best sensitivity where the specificity is at least the given one.

    Args:
        specificity: in [0, 1]. num_thresholds: how many thresholds are tried, evenly spaced.
        class_id: the one class that counts. name, dtype: as in `Metric`.

    Raises:
        ConfigError: a value is out of range.
    """

    asked, best = SPECIFICITY, SENSITIVITY

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("specificity", specificity, num_thresholds, class_id, name, dtype)


@known("metrics")
class SpecificityAtSensitivity(_AtLeast):
    """The best specificity where the sensitivity is at least the given one; as `SensitivityAtSpecificity`."""

    asked, best = SENSITIVITY, SPECIFICITY

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)


@known("metrics")
class PrecisionAtRecall(_AtLeast):
    """The best precision where the recall is at least the given one; as `SensitivityAtSpecificity`."""

    asked, best = SENSITIVITY, PRECISION

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)


@known("metrics")
class RecallAtPrecision(_AtLeast):
    """The best recall where the precision is at least the given one; as `SensitivityAtSpecificity`."""

    asked, best = PRECISION, SENSITIVITY

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)


@known("metrics")
class AUC(Metric):
    """The area under a curve of a binary classifier, as a sum over thresholds.

    Args:
        num_thresholds: how many, evenly spaced, unless `thresholds` names those between 0 and 1.
        curve: "ROC" (sensitivity over false alarms), "PR" (precision over recall) or "PRGAIN" (their gains: Flach and
            Kull (2015), "Precision-Recall-Gain Curves").
        summation_method: height between two points: "interpolation", "majoring" (the larger) or "minoring". For "PR",
            interpolation is that of Davis and Goadrich (2006), "The relationship between Precision-Recall and ROC
            curves".
        multi_label: whether the area is taken for each column of (samples, labels) and then averaged.
        num_labels: how many columns there are. label_weights: weights of the columns.
        from_logits: whether predictions are logits. name, dtype: as in `Metric`.

    Raises:
        ConfigError: an argument is not allowed.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        self.curve = _one_of("AUC curve", curve, CURVES)
        self.summation_method = _one_of("AUC summation method", summation_method, SUMMATIONS)
        if thresholds is None and num_thresholds <= 1:
            raise ConfigError(
                f"Argument `num_thresholds` must be an integer > 1. Received: num_thresholds={num_thresholds}"
            )
        if num_labels and not multi_label:
            raise ConfigError("`num_labels` is needed only when `multi_label` is True.")
        if thresholds is not None and not (isinstance(thresholds, Iterable) and all(map(is_number, thresholds))):
            raise ConfigError(f"AUC needs a list of numbers as `thresholds`. Received: {thresholds!r}")
        super().__init__(dtype, name)
        inner = sorted(thresholds) if thresholds is not None else _inner(num_thresholds)
        self._levels = [-MARGIN, *inner, 1.0 + MARGIN]
        self.num_thresholds = len(self._levels)
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        self.from_logits = from_logits
        self._counts: dict[str, Variable] = {}
        if not multi_label or num_labels:
            self._build(num_labels)

    def _build(self, labels: int | None) -> None:
        shape = (self.num_thresholds,) if labels is None else (self.num_thresholds, labels)
        self._counts = {name: self.add_variable(shape, name=name) for name in NAMES}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in."""
        scores = tensor(y_pred, self.dtype)
        true, pred, weight = decisions(
            self.name, y_true, ops.sigmoid(scores) if self.from_logits else scores, sample_weight, self.dtype
        )
        if self.multi_label and not self._counts:
            if pred.ndim != 2 or not isinstance(pred.type.shape[1], int):
                raise DataError(f"AUC with multi_label needs predictions (samples, labels); got {pred.type}.")
            self._build(pred.type.shape[1])
        if self.label_weights is not None and not self.multi_label:
            weight = weight * tensor(self.label_weights, self.dtype)
        for name, new in zip(NAMES, counts(true, pred, weight, self._levels, self.multi_label), strict=True):
            self._counts[name].assign(self._counts[name] + new)

    def result(self) -> Value:
        if not self._counts:
            raise NotBuiltError(f"Metric '{self.name}' knows the number of labels after its first batch only.")
        hits, alarms, rejections, misses = (self._counts[name].to_value() for name in NAMES)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._averaged(_interpolated_pr(hits, alarms, misses))
        recall = divide_no_nan(hits, hits + misses)
        if self.curve == "ROC":
            x, y = divide_no_nan(alarms, alarms + rejections), recall
        elif self.curve == "PR":
            x, y = recall, divide_no_nan(hits, hits + alarms)
        else:
            x, y = _gains(hits, alarms, rejections, misses)
        return self._averaged((x[:-1] - x[1:]) * self._heights(y[:-1], y[1:]))

    def _heights(self, left: Value, right: Value) -> Value:
        if self.summation_method == "interpolation":
            return (left + right) / 2.0
        return ops.minimum(left, right) if self.summation_method == "minoring" else ops.maximum(left, right)

    def _averaged(self, areas: Value) -> Value:
        if not self.multi_label:
            return ops.sum(areas)
        by_label = ops.sum(areas, 0)
        if self.label_weights is None:
            return ops.mean(by_label)
        weights = tensor(self.label_weights, self.dtype)
        return divide_no_nan(ops.sum(by_label * weights), ops.sum(weights))


def _one_of(what: str, given: str, allowed: Sequence[str]) -> str:
    found = [a for a in allowed if str(given).lower() == a.lower()]
    if not found:
        listed = ", ".join(f'"{a}"' for a in allowed)
        raise ConfigError(f'Invalid {what} value: "{given}". Expected values are [{listed}]')
    return found[0]


def _reserve(count: int) -> None:
    # A Python number and its place in a list.
    file_scope.reserve_free((count,), 40, "thresholds of a metric")


def _inner(count: int) -> list[float]:
    _reserve(count)
    return [(i + 1) / (count - 1) for i in range(count - 2)]


def _gains(hits: Value, alarms: Value, rejections: Value, misses: Value) -> tuple[Value, Value]:
    """Returns recall gain (not below 0) and precision gain; 0 and 1 where nothing is found."""
    ratio = divide_no_nan(hits + misses, rejections + alarms)
    none = ops.equal(hits, 0.0)
    recall = ops.where(none, 0.0, 1.0 - ratio * divide_no_nan(misses, hits))
    precision = ops.where(none, 1.0, 1.0 - ratio * divide_no_nan(alarms, hits))
    return ops.maximum(recall, 0.0), precision


def _interpolated_pr(hits: Value, alarms: Value, misses: Value) -> Value:
    """Returns the areas between thresholds where hits grow linearly with positive predictions."""
    positive = hits + alarms
    gained, grown = hits[:-1] - hits[1:], positive[:-1] - positive[1:]
    slope = divide_no_nan(gained, ops.maximum(grown, 0.0))
    offset = hits[1:] - slope * positive[1:]
    both = ops.logical_and(positive[:-1] > 0.0, positive[1:] > 0.0)
    ratio = ops.where(both, divide_no_nan(positive[:-1], ops.maximum(positive[1:], 0.0)), as_value(1.0, hits.dtype))
    return divide_no_nan(slope * (gained + offset * ops.log(ratio)), ops.maximum(hits[1:] + misses[1:], 0.0))
