"""The base of all losses: how values per sample become one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import dtype_policies, ops
from seqc.dtype_policies import floatx
from seqc.errors import ConfigError, DataError
from seqc.graph.ir import HasValue, Value, as_value, constant, scope
from seqc.losses.shapes import broadcast, misfit, one_per_sample, shown
from seqc.ops.reduce import count
from seqc.serialization import Configurable
from seqc.utils.naming import snake_case, unique_name

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)
MEANS = ("sum_over_batch_size", "mean")


class Loss(Configurable):
    """A number to make small.

    A subclass writes `call(y_true, y_pred)` with functions of `seqc.ops` and returns a value per sample (and step).

    Args:
        name: shown in messages and files; made from the class name by default.
        reduction: "sum_over_batch_size" or "mean" (sum divided by the number of values), "mean_with_sample_weight" (sum
            divided by the sum of the weights), "sum", "none" or None (the values as they are).
        dtype: in which labels, predictions and the loss are computed; "float32" by default.

    Raises:
        ConfigError: the reduction is none of these.
    """

    _kind = "losses"

    @property
    def _labels_like_output(self) -> bool:
        """Whether labels are to have the output's shape, and nothing but a look at both would tell."""
        return False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ConfigError(
                "Invalid value for argument `reduction`. Expected one of "
                f"{', '.join(repr(r) for r in REDUCTIONS)}. Received: reduction={reduction}"
            )
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.reduction = reduction
        self.dtype = dtype_of(dtype)

    def call(self, y_true: Value, y_pred: Value) -> Any:
        """Returns a loss per sample (and step)."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(self, y_true, y_pred).")

    def valid(self, y_true: Value, y_pred: Value) -> Value | None:
        """Returns which values of `call` count, as booleans of its shape; None for all."""
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None, mask: Any = None) -> Value:
        """Returns the reduced loss.

        Args:
            y_true: labels. y_pred: predictions.
            sample_weight: factors for the values, broadcast against them aligned on the right.
            mask: which values count, by default the mask that the model's output carries; a mean is over these.

        Raises:
            DataError: the labels do not fit the predictions.
        """
        with scope(self.name):
            mask = carried_mask(y_pred) if mask is None else as_value(mask)
            pred, true = tensor(y_pred, self.dtype), tensor(y_true, self.dtype)
            values = tensor(self.call(true, pred), self.dtype)
            valid = self.valid(true, pred)
            if valid is not None:
                mask = valid if mask is None else ops.logical_and(mask, valid)
            _check_mask(mask, values, true, pred)
            return reduce_weighted(values, sample_weight, mask, self.reduction)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data, without the dtype, as Keras writes them."""
        config = super().get_config()
        config.pop("dtype", None)
        return {"name": self.name, "reduction": self.reduction} | config

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def object_name(thing: Any) -> str:
    """Returns the name under which a function or object, or what a string stands for, appears in logs."""
    if isinstance(thing, str):
        return thing
    return str(getattr(thing, "name", None) or snake_case(getattr(thing, "__name__", type(thing).__name__)))


def tensor(x: Any, dtype: str | None = None) -> Value:
    """Returns x as a value of the given dtype; by default its own."""
    if isinstance(x, Value | HasValue):
        value = as_value(x)
        return value if dtype is None else ops.cast(value, dtype)
    return as_value(x) if dtype is None else constant(np.asarray(x, dtype))


def dtype_of(dtype: Any) -> str:
    """Returns what losses and metrics compute in that are given a dtype or policy; `floatx()` for None.

    Raises:
        ConfigError: there is none of that name.
    """
    return floatx() if dtype is None else dtype_policies.get(dtype).compute_dtype


def carried_mask(y_pred: Any) -> Value | None:
    """Returns the mask that a model's output carries, in the graph being traced or on arrays."""
    return y_pred._keras_mask if isinstance(y_pred, Value) else None


def squeeze_or_expand_to_same_rank(a: Value, b: Value, expand_rank_1: bool = True) -> tuple[Value, Value]:
    """Returns both with the same rank where one has just a last axis of size one more.

    A vector beside it gets such an axis too; anything of higher rank makes the other one lose it.
    """
    if a.ndim == b.ndim + 1 and a.type.shape[-1] == 1:
        return (a, ops.expand_dims(b, -1)) if b.ndim == 1 and expand_rank_1 else (ops.squeeze(a, -1), b)
    if b.ndim == a.ndim + 1 and b.type.shape[-1] == 1:
        return (ops.expand_dims(a, -1), b) if a.ndim == 1 and expand_rank_1 else (a, ops.squeeze(b, -1))
    return a, b


def divide_no_nan(a: Value, b: Value) -> Value:
    """Returns a / b, and 0 where b is 0."""
    zero = ops.equal(b, 0)
    return ops.where(zero, ops.zeros_like(a), a / ops.where(zero, ops.ones_like(b), b))


def weight_of_mask(sample_weight: Any, mask: Value | None, dtype: str, reduction: str | None) -> Value | None:
    """Returns sample weights with a mask multiplied in.

    For a mean over all values the mask counts `total / valid` instead of 1, so that the mean is over the valid ones.
    """
    weight = None if sample_weight is None else tensor(sample_weight, dtype)
    if mask is None:
        return weight
    kept = ops.cast(ops.cast(mask, "bool"), dtype)
    if reduction in MEANS:
        kept = kept * divide_no_nan(count(kept), ops.sum(kept))
    if weight is None:
        return kept
    kept, weight = squeeze_or_expand_to_same_rank(kept, weight)
    return _weighted(kept, weight)


def _check_mask(mask: Value | None, values: Value, true: Value, pred: Value) -> None:
    """Raises DataError if a mask tells apart what a loss has one value for; a single number it may weigh as a whole."""
    if mask is None or not values.ndim or mask.ndim - (mask.type.shape[-1:] == (1,)) <= values.ndim:
        return
    hint = "Use a loss that gives a value per step, or no mask."
    if true.ndim == pred.ndim - 1 and pred.type.shape[-1] == 1:
        hint = "Give the labels the last axis that the output has, y[..., None]."
    raise DataError(
        f"The output carries a mask of shape {shown(mask.type.shape)}, from a layer such as Masking or Embedding("
        f"mask_zero=True), and its loss gives values of shape {shown(values.type.shape)}, one for all that the mask "
        f"tells apart. {hint}"
    )


def reduce_weighted(values: Value, sample_weight: Any, mask: Value | None, reduction: str | None) -> Value:
    """Returns values times weights and mask, reduced.

    Raises:
        DataError: the weights do not broadcast against the values.
    """
    weight = weight_of_mask(sample_weight, mask, values.dtype, reduction)
    if weight is not None:
        values, weight = squeeze_or_expand_to_same_rank(values, weight)
        values = _weighted(values, weight)
    if reduction in ("none", None) or values.type.shape in ((), (0,)):
        return values
    if reduction == "sum":
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return divide_no_nan(ops.sum(values), ops.sum(weight))
    return ops.mean(values)


def _weighted(values: Value, weight: Value) -> Value:
    if not broadcast(weight.type.shape, values.type.shape):
        raise misfit(
            weight.type.shape,
            values.type.shape,
            f"Sample weights of shape {shown(weight.type.shape)} do not broadcast against loss values of shape "
            f"{shown(values.type.shape)}, aligned on the right. {one_per_sample(values.ndim)}",
        )
    return values * weight
