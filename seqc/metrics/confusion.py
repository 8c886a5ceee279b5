"""Counts of right and wrong decisions, and what follows from them directly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.argument_kinds import is_number
from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.losses.base import divide_no_nan, squeeze_or_expand_to_same_rank, tensor
from seqc.losses.label_shapes import not_one_hot
from seqc.losses.shapes import broadcast, one_per_sample, shown
from seqc.metrics.base import Metric

# Below every score: what is not among the top k.
LOWEST = -1e10
NAMES = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def levels(thresholds: Any, default: float = 0.5) -> list[float]:
    """Returns thresholds as a list.

    Raises:
        ConfigError: one lies outside [0, 1].
    """
    if thresholds is None:
        return [default]
    listed = list(thresholds) if isinstance(thresholds, list | tuple | np.ndarray) else [thresholds]
    wrong = [t for t in listed if not is_number(t) or not 0 <= t <= 1]
    if wrong:
        raise ConfigError(f"Threshold values must be in [0, 1]. Received: {wrong}")
    return listed


def decisions(
    who: str,
    y_true: Any,
    y_pred: Any,
    sample_weight: Any,
    dtype: str,
    top_k: int | None = None,
    class_id: int | None = None,
) -> tuple[Value, Value, Value]:
    """Returns labels as 0 and 1, scores, and weights, all of the shape of the scores.

    Args:
        who: name of the metric, for messages. top_k: see `Precision`. class_id: see `Precision`.

    Raises:
        DataError: the labels do not say something of each score, or the weights do not fit.
    """
    pred, true = squeeze_or_expand_to_same_rank(tensor(y_pred, dtype), tensor(y_true, dtype))
    if true.type.shape != pred.type.shape:
        shapes = tensor(y_true).type.shape, tensor(y_pred).type.shape
        raise not_one_hot(f"Metric '{who}'", *shapes, "sparse_categorical_accuracy or another metric of class numbers")
    pred = pred if top_k is None else _only_top_k(pred, top_k)
    if class_id is not None:
        if pred.ndim == 1:
            raise DataError(f"class_id needs predictions (samples, classes); got {pred.type}.")
        true, pred = (_of_class(x, class_id) for x in (true, pred))
    true = ops.cast(ops.not_equal(true, 0.0), dtype)
    if sample_weight is None:
        return true, pred, ops.ones_like(pred)
    weight = ops.expand_dims(tensor(sample_weight, dtype), -1)
    _, weight = squeeze_or_expand_to_same_rank(true, weight, expand_rank_1=False)
    if not broadcast(weight.type.shape, pred.type.shape):
        raise DataError(
            f"Sample weights of shape {shown(tensor(sample_weight).type.shape)} do not fit metric '{who}', which "
            f"counts decisions of shape {shown(pred.type.shape)}. {one_per_sample(max(pred.ndim - 1, 1))}"
        )
    return true, pred, ops.broadcast_like(weight, pred)


def _of_class(x: Value, class_id: int) -> Value:
    """Returns the column of a class; a negative number counts from the last one."""
    classes = x.type.shape[-1]
    if isinstance(classes, int) and not -classes <= class_id < classes:
        raise DataError(f"class_id={class_id} is none of the {classes} classes, the last axis of {x.type}.")
    return x[..., class_id : class_id + 1 or None]


def _only_top_k(x: Value, k: int) -> Value:
    """Returns scores in which all but the k best of the last axis are the lowest; of equals the first ones win."""
    classes = x.type.shape[-1]
    if not isinstance(classes, int):
        raise DataError(f"top_k needs to know the number of classes, the last axis of {x.type}.")
    mine, others = ops.expand_dims(x, -1), ops.expand_dims(x, -2)
    earlier = as_value(np.tri(classes, k=-1, dtype=bool))
    before = ops.logical_or(ops.greater(others, mine), ops.logical_and(ops.equal(others, mine), earlier))
    best = ops.less(ops.sum(ops.cast(before, "float32"), -1), float(k))
    return ops.where(best, x, LOWEST)


def counts(true: Value, pred: Value, weight: Value, thresholds: Sequence[float], by_label: bool = False) -> list[Value]:
    """Returns the sums of weights of true and false positives, true and false negatives, one per threshold.

    With `by_label`, labels are (samples, labels) and the sums (thresholds, labels).
    """
    if not by_label:
        true, pred, weight = (ops.reshape(x, [-1]) for x in (true, pred, weight))
    above = ops.cast(_above(pred, thresholds), pred.dtype)
    found = []
    for label in (true, 1.0 - true):
        weighted = label * weight
        positive = ops.sum(ops.expand_dims(weighted, -1) * above, 0)
        negative = ops.expand_dims(ops.sum(weighted, 0), -1) - positive
        found.append((positive, negative))
    (hits, misses), (alarms, rejections) = found
    ordered = (hits, alarms, rejections, misses)
    return [ops.transpose(c) for c in ordered] if by_label else list(ordered)


def _above(pred: Value, thresholds: Sequence[float]) -> Value:
    """Returns where scores exceed each threshold, along a new last axis."""
    wide, count = ops.expand_dims(pred, -1), len(thresholds)
    if not evenly_spaced(thresholds):
        return ops.greater(wide, as_value(np.array(thresholds, pred.dtype)))
    # Between even thresholds the position of a score is computed, as Keras does: comparing would round differently.
    last_below = ops.ceil(ops.clip(wide, 0.0, 1.0) * float(count - 1)) - 1.0
    if thresholds[0] < 0 or thresholds[-1] > 1:
        last_below = ops.maximum(last_below, 0.0)
    return ops.greater_equal(last_below, as_value(np.arange(count, dtype=pred.dtype)))


def evenly_spaced(thresholds: Sequence[float]) -> bool:
    """Tells whether there are three thresholds or more, in equal steps from 0 to 1."""
    count = len(thresholds)
    return count >= 3 and np.allclose(thresholds, np.arange(count, dtype="float32") / (count - 1), atol=1e-7)


class _Counted(Metric):
    """Keeps some of the four counts, one per threshold."""

    kept: tuple[str, ...] = NAMES

    def __init__(
        self,
        thresholds: list[float],
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self._levels = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self._counts = {kept: self.add_variable((len(thresholds),), name=self._label(kept)) for kept in self.kept}

    def _label(self, count: str) -> str:
        return count

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Takes a batch in: labels count as true unless 0, predictions as positive above a threshold."""
        made = decisions(self.name, y_true, y_pred, sample_weight, self.dtype, self.top_k, self.class_id)
        for name, new in zip(NAMES, counts(*made, self._levels), strict=True):
            if name in self._counts:
                self._counts[name].assign(self._counts[name] + new)

    def share(self, part: str, rest: str) -> Value:
        """Returns part / (part + rest) of two counts; 0 where both are 0."""
        value = self._counts[part].to_value()
        return divide_no_nan(value, value + self._counts[rest])

    def _one_or_all(self, value: Value) -> Value:
        return value[0] if len(self._levels) == 1 else value


class _Count(_Counted):
    """One of the four counts.

    Args:
        thresholds: one or several in [0, 1]; 0.5 by default. name, dtype: as in `Metric`.
    """

    def __init__(
        self, thresholds: float | Sequence[float] | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(levels(thresholds), name=name, dtype=dtype)

    def _label(self, count: str) -> str:
        return "accumulator"

    def result(self) -> Value:
        return self._one_or_all(self._counts[self.kept[0]].to_value())

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k not in ("top_k", "class_id")}


@known("metrics")
class TruePositives(_Count):
    """The (weighted) number of labels 1 predicted as 1; see `Precision` for the arguments."""

    kept = ("true_positives",)


@known("metrics")
class FalsePositives(_Count):
    """The (weighted) number of labels 0 predicted as 1; see `Precision` for the arguments."""

    kept = ("false_positives",)


@known("metrics")
class TrueNegatives(_Count):
    """The (weighted) number of labels 0 predicted as 0; see `Precision` for the arguments."""

    kept = ("true_negatives",)


@known("metrics")
class FalseNegatives(_Count):
    """The (weighted) number of labels 1 predicted as 0; see `Precision` for the arguments."""

    kept = ("false_negatives",)


class _Share(_Counted):
    """The first of the counts it keeps over the sum of both; arguments as for `Precision`."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(levels(thresholds, 0.5 if top_k is None else LOWEST), top_k, class_id, name, dtype)

    def result(self) -> Value:
        return self._one_or_all(self.share(*self.kept))


@known("metrics")
class Precision(_Share):
    """The share of positive predictions that are right.

    Args:
        thresholds: one or several in [0, 1] above which a prediction is positive; 0.5 by default, none with `top_k`.
        top_k: only the k best classes of a sample may be positive. class_id: the one class that counts.
        name, dtype: as in `Metric`.

    Raises:
        ConfigError: a threshold is out of range.
    """

    kept = ("true_positives", "false_positives")


@known("metrics")
class Recall(_Share):
    """The share of positive labels that are found; arguments as for `Precision`."""

    kept = ("true_positives", "false_negatives")
