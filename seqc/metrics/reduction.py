"""Sums and means over samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc import ops
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.base import (
    carried_mask,
    divide_no_nan,
    object_name,
    squeeze_or_expand_to_same_rank,
    tensor,
    weight_of_mask,
)
from seqc.losses.named import named_function, takes_labels_like_output
from seqc.metrics.base import Metric
from seqc.ops.reduce import count
from seqc.serialization import serialize

Reduce = Callable[..., Value]


def per_sample(values: Any, sample_weight: Any, reduce: Reduce, dtype: str) -> tuple[Value, Value | None]:
    """Returns weighted values and weights with one number per sample; axes beyond the first go by `reduce`.

    Values are reduced to the axes that the weights have before they are multiplied.
    """
    value = tensor(values, dtype)
    weight = None if sample_weight is None else tensor(sample_weight, dtype)
    if weight is not None:
        value, weight = squeeze_or_expand_to_same_rank(value, weight)
        value = _reduced(value, weight.ndim, reduce)
        weight = ops.broadcast_like(weight, value)
        value = value * weight
        weight = _reduced(weight, 1, reduce)
    return _reduced(value, 1, reduce), weight


def _reduced(x: Value, kept: int, reduce: Reduce) -> Value:
    return reduce(x, tuple(range(kept, x.ndim))) if x.ndim > kept else x


@known("metrics")
class Sum(Metric):
    """The (weighted) sum of all values seen."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Adds values, times their weights."""
        value, _ = per_sample(values, sample_weight, ops.sum, self.dtype)
        self.total.assign(self.total + ops.sum(value))

    def result(self) -> Value:
        return self.total.to_value()


@known("metrics")
class Mean(Metric):
    """The (weighted) mean of all values seen; 0 before the first."""

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Takes values in; each sample counts by its weight, which broadcasts against the values' leading axes."""
        value, weight = per_sample(values, sample_weight, ops.mean, self.dtype)
        seen = ops.sum(weight) if weight is not None else count(value, (0,)) if value.ndim else 1.0
        self.total.assign(self.total + ops.sum(value))
        self.count.assign(self.count.to_value() + seen)

    def result(self) -> Value:
        return divide_no_nan(self.total.to_value(), self.count.to_value())


# Functions of `seqc.metrics` whose labels have the output's shape.
SAME_LABELS: set[Callable[..., Any]] = set()


@known("metrics")
class MeanMetricWrapper(Mean):
    """The mean of what a function `(y_true, y_pred, **kwargs) -> values` gives.

    Args:
        fn: the function, or the name of one of seqc's losses. name: that of the function by default.
        dtype: of the state. kwargs: more arguments of the function.
    """

    def __init__(self, fn: Callable[..., Any] | str, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        function: Callable[..., Any] = _named_function(fn) if isinstance(fn, str) else fn
        super().__init__(name or object_name(function), dtype)
        self.fn = function
        self.fn_kwargs = kwargs

    @property
    def _labels_like_output(self) -> bool:
        return self.fn in SAME_LABELS or takes_labels_like_output(self.fn)

    def valid(self, y_true: Any, y_pred: Any) -> Value | None:
        """Returns which values count where there are sample weights or a mask; None for all."""
        return None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Takes a batch in; steps masked in the model's output do not count."""
        weight = weight_of_mask(sample_weight, carried_mask(y_pred), self.dtype, "sum")
        if weight is not None:
            weight = weight_of_mask(weight, self.valid(y_true, y_pred), self.dtype, "sum")
        super().update_state(self.fn(tensor(y_true), tensor(y_pred), **self.fn_kwargs), weight)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is MeanMetricWrapper:
            config |= {name: serialize(value) for name, value in self.fn_kwargs.items()}
            if isinstance(config["fn"], str):  # Keras calls a bare name as if it were the function
                described = {"module": "builtins", "class_name": "function", "registered_name": "function"}
                config["fn"] = described | {"config": config["fn"]}
        return config


def _named_function(name: str) -> Callable[..., Any]:
    from seqc.metrics import accuracy

    found: Callable[..., Any] | None = getattr(accuracy, name, None) if name in accuracy.FUNCTIONS else None
    return found or named_function(name)
