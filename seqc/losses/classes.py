"""Losses as classes: a function of `seqc.losses.functions` and how its values are reduced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.losses import crossentropy, functions
from seqc.losses.base import Loss, squeeze_or_expand_to_same_rank
from seqc.losses.label_shapes import class_numbers, valid_labels
from seqc.losses.named import named_function, takes_labels_like_output
from seqc.serialization import known, serialize

MEAN = "sum_over_batch_size"


@known("losses")
class LossFunctionWrapper(Loss):
    """Makes a loss of a function `(y_true, y_pred, **kwargs) -> values`.

    Labels and predictions whose ranks differ by a last axis of size one are brought to the same rank first.
    """

    def __init__(
        self,
        fn: Callable[..., Any] | str,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn: Callable[..., Any] = named_function(fn) if isinstance(fn, str) else fn
        self.fn_kwargs = kwargs

    @property
    def _labels_like_output(self) -> bool:
        return takes_labels_like_output(self.fn)

    def call(self, y_true: Value, y_pred: Value) -> Any:
        true, pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(true, pred, **self.fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if type(self) is LossFunctionWrapper:
            config |= {name: serialize(value) for name, value in self.fn_kwargs.items()}
        return config


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
        super().__init__(crossentropy.binary_crossentropy, reduction, name, dtype, **options)


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
        super().__init__(crossentropy.categorical_crossentropy, reduction, name, dtype, **options)


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
        super().__init__(crossentropy.sparse_categorical_crossentropy, reduction, name, dtype, **options)

    def valid(self, y_true: Value, y_pred: Value) -> Value | None:
        ignored = self.fn_kwargs["ignore_class"]
        if ignored is None:
            return None
        return valid_labels(class_numbers(self.name, y_true, y_pred, self.fn_kwargs["axis"]), ignored)


@known("losses")
class CategoricalGeneralizedCrossEntropy(LossFunctionWrapper):
    """A crossentropy of class numbers that noisy labels hurt less.

    Args:
        q: in (0, 1); near 0 it is the crossentropy, near 1 the absolute error. reduction, name, dtype: as in `Loss`.

    Raises:
        ConfigError: q is out of range.
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "categorical_generalized_cross_entropy",
        dtype: Any = None,
    ) -> None:
        if not 0 < q < 1:
            raise ConfigError(f"q must be in the interval (0, 1). Received: q={q}")
        super().__init__(crossentropy.categorical_generalized_cross_entropy, reduction, name, dtype, q=q)


@known("losses")
class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary crossentropy in which samples that are easy weigh less.

    Args:
        apply_class_balancing: whether labels 1 weigh `alpha` and labels 0 weigh 1 - alpha.
        gamma: exponent of the weight (1 - p)^gamma, p being the probability given to the right answer.
        from_logits, label_smoothing, axis: as in `BinaryCrossentropy`. reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        balance = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(crossentropy.binary_focal_crossentropy, reduction, name, dtype, **balance, **options)


@known("losses")
class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Categorical crossentropy in which classes that are easy weigh less.

    Args:
        alpha: factor of all weights. gamma: exponent of the weight (1 - p)^gamma.
        from_logits, label_smoothing, axis: as in `CategoricalCrossentropy`. reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        options = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(
            crossentropy.categorical_focal_crossentropy, reduction, name, dtype, alpha=alpha, gamma=gamma, **options
        )


@known("losses")
class Dice(LossFunctionWrapper):
    """One minus twice the overlap of labels and predictions over the size of both.

    Args:
        axis: over which overlap and sizes are summed, all axes by default. reduction, name, dtype: as in `Loss`.
    """

    def __init__(self, reduction: str | None = MEAN, name: str = "dice", axis: Any = None, dtype: Any = None) -> None:
        super().__init__(functions.dice, reduction, name, dtype, axis=axis)


@known("losses")
class Tversky(LossFunctionWrapper):
    """One minus the overlap of labels and predictions over the overlap and what either has alone.

    Args:
        alpha: weight of what is labelled and not predicted. beta: weight of what is predicted and not labelled.
        axis: over which is summed, all axes by default. reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = MEAN,
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(functions.tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
