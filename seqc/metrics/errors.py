"""Means of losses and errors as metrics."""

from __future__ import annotations

from typing import Any

from seqc import losses, ops
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.base import squeeze_or_expand_to_same_rank, tensor
from seqc.losses.label_shapes import class_numbers, valid_labels
from seqc.metrics.reduction import SAME_LABELS, Mean, MeanMetricWrapper


@known("metrics")
class MeanSquaredError(MeanMetricWrapper):
    """mean((y_true - y_pred)^2)."""

    def __init__(self, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


@known("metrics")
class RootMeanSquaredError(Mean):
    """sqrt(mean((y_true - y_pred)^2)); the root is taken of the mean over all batches."""

    def __init__(self, name: str = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    @property
    def _labels_like_output(self) -> bool:
        return True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Takes a batch in."""
        true, pred = squeeze_or_expand_to_same_rank(tensor(y_true, self.dtype), tensor(y_pred, self.dtype))
        super().update_state(ops.square(pred - true), sample_weight)

    def result(self) -> Value:
        return ops.sqrt(super().result())


@known("metrics")
class MeanAbsoluteError(MeanMetricWrapper):
    """mean(|y_true - y_pred|)."""

    def __init__(self, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


@known("metrics")
class MeanAbsolutePercentageError(MeanMetricWrapper):
    """100 * mean(|y_true - y_pred| / |y_true|)."""

    def __init__(self, name: str = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


@known("metrics")
class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """mean((log(1 + y_true) - log(1 + y_pred))^2)."""

    def __init__(self, name: str = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


@known("metrics")
class LogCoshError(MeanMetricWrapper):
    """mean(log(cosh(y_pred - y_true)))."""

    def __init__(self, name: str = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Value:
    """Returns the cosine of the angle between labels and predictions along `axis`: the loss of that name, negated."""
    return ops.negative(losses.cosine_similarity(y_true, y_pred, axis))


SAME_LABELS.add(cosine_similarity)


@known("metrics")
class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine of the angle between labels and predictions along `axis`."""

    def __init__(self, name: str = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


@known("metrics")
class Hinge(MeanMetricWrapper):
    """mean(max(1 - y_true * y_pred, 0)) for labels -1 and 1 (or 0 and 1)."""

    def __init__(self, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name, dtype)


@known("metrics")
class SquaredHinge(MeanMetricWrapper):
    """mean(max(1 - y_true * y_pred, 0)^2) for labels -1 and 1 (or 0 and 1)."""

    def __init__(self, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


@known("metrics")
class CategoricalHinge(MeanMetricWrapper):
    """max(1 + best wrong score - right score, 0) for one-hot labels."""

    def __init__(self, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)


@known("metrics")
class KLDivergence(MeanMetricWrapper):
    """sum(y_true * log(y_true / y_pred))."""

    def __init__(self, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


@known("metrics")
class Poisson(MeanMetricWrapper):
    """mean(y_pred - y_true * log(y_pred))."""

    def __init__(self, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)


@known("metrics")
class BinaryCrossentropy(MeanMetricWrapper):
    """Crossentropy of labels 0 and 1; arguments as for the loss of that name."""

    def __init__(
        self,
        name: str = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing}
        super().__init__(losses.binary_crossentropy, name, dtype, **options)


@known("metrics")
class CategoricalCrossentropy(MeanMetricWrapper):
    """Crossentropy of one-hot labels; arguments as for the loss of that name."""

    def __init__(
        self,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(losses.categorical_crossentropy, name, dtype, **options)


@known("metrics")
class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Crossentropy of labels that are class numbers; arguments as for the loss of that name."""

    def __init__(
        self,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, **options)

    def valid(self, y_true: Any, y_pred: Any) -> Value | None:
        ignored = self.fn_kwargs["ignore_class"]
        if ignored is None:
            return None
        return valid_labels(class_numbers(self.name, y_true, tensor(y_pred), self.fn_kwargs["axis"]), ignored)
