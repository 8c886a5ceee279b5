"""Losses of distributions, directions and overlaps: each as a function and as a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.label_shapes import pair
from seqc.losses.named import loss_function
from seqc.losses.wrapper import MEAN, LossFunctionWrapper


@loss_function(labels_like_output=True)
def kl_divergence(y_true: Any, y_pred: Any) -> Value:
    """Returns sum(y_true * log(y_true / y_pred)) over the last axis, both limited to [1e-7, 1]."""
    true, pred = pair("kl_divergence", y_true, y_pred)
    true, pred = ops.clip(true, EPSILON, 1.0), ops.clip(pred, EPSILON, 1.0)
    return ops.sum(true * ops.log(true / pred), -1)


@known("losses")
class KLDivergence(LossFunctionWrapper):
    """sum(y_true * log(y_true / y_pred)); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


@loss_function(labels_like_output=True)
def poisson(y_true: Any, y_pred: Any) -> Value:
    """Returns mean(y_pred - y_true * log(y_pred + 1e-7)) over the last axis."""
    true, pred = pair("poisson", y_true, y_pred)
    return ops.mean(pred - true * ops.log(pred + EPSILON), -1)


@known("losses")
class Poisson(LossFunctionWrapper):
    """mean(y_pred - y_true * log(y_pred)); see `Loss` for the arguments."""

    def __init__(self, reduction: str | None = MEAN, name: str = "poisson", dtype: Any = None) -> None:
        super().__init__(poisson, reduction, name, dtype)


@loss_function(labels_like_output=True)
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Value:
    """Returns minus the cosine of the angle between labels and predictions along `axis`."""
    true, pred = pair("cosine_similarity", y_true, y_pred)
    return ops.negative(ops.sum(ops.normalize(true, axis) * ops.normalize(pred, axis), axis))


@known("losses")
class CosineSimilarity(LossFunctionWrapper):
    """Minus the cosine of the angle along `axis`; see `Loss` for the other arguments."""

    def __init__(
        self, axis: int = -1, reduction: str | None = MEAN, name: str = "cosine_similarity", dtype: Any = None
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


@loss_function(labels_like_output=True)
def dice(y_true: Any, y_pred: Any, axis: int | Sequence[int] | None = None) -> Value:
    """Returns 1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred)), sums over `axis` (all axes by default)."""
    true, pred = pair("dice", y_true, y_pred)
    both = ops.sum(true * pred, axis)
    return 1.0 - both * 2.0 / (ops.sum(true, axis) + ops.sum(pred, axis) + EPSILON)


@known("losses")
class Dice(LossFunctionWrapper):
    """One minus twice the overlap of labels and predictions over the size of both.

    Args:
        axis: over which overlap and sizes are summed, all axes by default. reduction, name, dtype: as in `Loss`.
    """

    def __init__(
        self,
        reduction: str | None = MEAN,
        name: str = "dice",
        axis: int | Sequence[int] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)


@loss_function(labels_like_output=True)
def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None
) -> Value:
    """Returns 1 - both / (both + alpha * missed + beta * added), sums over `axis` (all axes by default).

    Salehi, Erdogmus and Gholipour (2017), "Tversky loss function for image segmentation"; in Keras's reading `alpha`
    weighs what is labelled and not predicted.
    """
    true, pred = pair("tversky", y_true, y_pred)
    both = ops.sum(true * pred, axis)
    missed, added = ops.sum((1.0 - pred) * true, axis), ops.sum(pred * (1.0 - true), axis)
    weighted = missed * alpha + added * beta  # Keras 3.16 lets alpha weigh what is added and beta what is missed
    return 1.0 - both / (both + weighted + EPSILON)


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
        axis: int | Sequence[int] | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
