"""Losses as classes: a function of `seqc.losses.functions` and how its values are reduced."""

from __future__ import annotations

from typing import Any

from seqc.ir import Value
from seqc.losses import functions
from seqc.losses.base import LossFunctionWrapper
from seqc.serialization import known

MEAN = "sum_over_batch_size"


@known("losses")
class MeanSquaredError(LossFunctionWrapper):
    """mean((y_true - y_pred)^2); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(functions.mean_squared_error, reduction, name, dtype)


@known("losses")
class MeanAbsoluteError(LossFunctionWrapper):
    """mean(|y_true - y_pred|); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(functions.mean_absolute_error, reduction, name, dtype)


@known("losses")
class MeanAbsolutePercentageError(LossFunctionWrapper):
    """100 * mean(|y_true - y_pred| / |y_true|); see `Loss` for the arguments."""

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_absolute_percentage_error", dtype: Any = None
    ) -> None:
        super().__init__(functions.mean_absolute_percentage_error, reduction, name, dtype)


@known("losses")
class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """mean((log(1 + y_true) - log(1 + y_pred))^2); see `Loss` for the arguments."""

    def __init__(
        self, reduction: str | None = MEAN, name: str = "mean_squared_logarithmic_error", dtype: Any = None
    ) -> None:
        super().__init__(functions.mean_squared_logarithmic_error, reduction, name, dtype)


@known("losses")
class Huber(LossFunctionWrapper):
    """Quadratic for errors up to `delta`, linear beyond; see `Loss` for the other arguments."""

    def __init__(
        self, delta: float = 1.0, reduction: str | None = MEAN, name: str = "huber_loss", dtype: Any = None
    ) -> None:
        super().__init__(functions.huber, reduction, name, dtype, delta=delta)


@known("losses")
class LogCosh(LossFunctionWrapper):
    """mean(log(cosh(y_pred - y_true))); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "log_cosh", dtype: Any = None) -> None:
        super().__init__(functions.log_cosh, reduction, name, dtype)


@known("losses")
class Hinge(LossFunctionWrapper):
    """mean(max(1 - y_true * y_pred, 0)) for labels -1 and 1 (or 0 and 1); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "hinge", dtype: Any = None) -> None:
        super().__init__(functions.hinge, reduction, name, dtype)


@known("losses")
class SquaredHinge(LossFunctionWrapper):
    """mean(max(1 - y_true * y_pred, 0)^2) for labels -1 and 1 (or 0 and 1); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(functions.squared_hinge, reduction, name, dtype)


@known("losses")
class CategoricalHinge(LossFunctionWrapper):
    """max(1 + best wrong score - right score, 0) for one-hot labels; see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(functions.categorical_hinge, reduction, name, dtype)


@known("losses")
class KLDivergence(LossFunctionWrapper):
    """sum(y_true * log(y_true / y_pred)); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(functions.kl_divergence, reduction, name, dtype)


@known("losses")
class Poisson(LossFunctionWrapper):
    """mean(y_pred - y_true * log(y_pred)); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(functions.poisson, reduction, name, dtype)


@known("losses")
class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle along `axis`; see `Loss` for the other arguments."""

    def __init__(
        self, axis: int = -1, reduction: str | None = MEAN, name: str = "cosine_similarity", dtype: Any = None
    ) -> None:
        super().__init__(functions.cosine_similarity, reduction, name, dtype, axis=axis)


@known("losses")
class BinaryCrossentropy(LossFunctionWrapper):
    """Crossentropy of labels 0 and 1.

    Args:
        from_logits: whether predictions are logits instead of probabilities.
        label_smoothing: moves labels towards one half by this share, in [0, 1].
        axis: over which the mean is taken. reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.binary_crossentropy, reduction, name, dtype, **options)


@known("losses")
class CategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of one-hot labels.

    Args:
        from_logits: whether predictions are logits instead of probabilities.
        label_smoothing: share of each label that is spread evenly over the classes, in [0, 1].
        axis: the class axis. reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(functions.categorical_crossentropy, reduction, name, dtype, **options)


@known("losses")
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of labels that are class numbers.

    Args:
        from_logits: whether predictions are logits instead of probabilities.
        ignore_class: a label that does not count. axis: the class axis.
        reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(functions.sparse_categorical_crossentropy, reduction, name, dtype, **options)

    def valid(self, y_true: Value, y_pred: Value) -> Value | None:
        ignored = self.fn_kwargs["ignore_class"]
        if ignored is None:
            return None
        return functions.valid_labels(functions.class_numbers(y_true, y_pred, self.fn_kwargs["axis"]), ignored)
