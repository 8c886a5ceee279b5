"""Crossentropies in which easy, or doubtful, samples weigh less: each as a function and as a class."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.base import tensor
from seqc.losses.crossentropy import binary_values, smooth_binary, smooth_categorical, undo, warn_of_one_class
from seqc.losses.label_shapes import check_same_shape, class_numbers, len_of_axis, pair
from seqc.losses.named import loss_function
from seqc.losses.wrapper import MEAN, LossFunctionWrapper
from seqc.ops.nonlinear import Sigmoid


@loss_function()
def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Value:
    """Returns the binary crossentropy times (1 - p)^gamma, p being the probability given to the right answer.

    Lin et al. (2017), "Focal Loss for Dense Object Detection".

    Args:
        apply_class_balancing: whether labels 1 weigh `alpha` and labels 0 weigh 1 - alpha.
        y_true, y_pred, from_logits, label_smoothing, axis: as for `binary_crossentropy`.
    """
    true, pred = pair("binary_focal_crossentropy", y_true, y_pred)
    check_same_shape("binary_focal_crossentropy", true, pred)
    true = smooth_binary(true, label_smoothing)
    # With from_logits, what a sigmoid gave is taken for logits, as in Keras.
    logits = pred if from_logits else undo(Sigmoid, pred, False, "binary_focal_crossentropy")
    pred = ops.sigmoid(pred) if from_logits else pred
    values = binary_values(true, pred, logits)
    right = true * pred + (1.0 - true) * (1.0 - pred)
    values = ops.power(1.0 - right, gamma) * values
    if apply_class_balancing:
        values = (true * alpha + (1.0 - true) * (1.0 - alpha)) * values
    return ops.mean(values, axis)


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
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **balance, **options)


@loss_function(labels_like_output=True)
def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Value:
    """Returns the categorical crossentropy, each class times alpha * (1 - p)^gamma.

    Lin et al. (2017), "Focal Loss for Dense Object Detection". Arguments as for `categorical_crossentropy`.
    """
    true, pred = pair("categorical_focal_crossentropy", y_true, y_pred)
    warn_of_one_class("categorical_focal_crossentropy", pred)
    true = smooth_categorical(true, label_smoothing, axis)
    p = ops.softmax(pred, axis) if from_logits else pred
    p = ops.clip(p / ops.sum(p, axis, keepdims=True), EPSILON, 1.0 - EPSILON)
    return ops.negative(ops.sum(ops.power(1.0 - p, gamma) * alpha * true * ops.log(p), axis))


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
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, alpha=alpha, gamma=gamma, **options)


@loss_function()
def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Value:
    """Returns (1 - p^q) / q for the probability p of the true class: a crossentropy that noisy labels hurt less.

    Zhang and Sabuncu (2018), "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels".

    Args:
        y_true: class numbers. y_pred: probabilities, classes last. q: in (0, 1); near 0 it is the crossentropy.
    """
    who = "categorical_generalized_cross_entropy"
    pred = tensor(y_pred)
    hits = ops.one_hot(class_numbers(who, y_true, pred, -1), len_of_axis(pred, -1, who), -1, pred.dtype)
    return (1.0 - ops.power(ops.sum(hits * pred, -1), q)) / q


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
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)
