"""Crossentropies: each as a function and as a class."""

from __future__ import annotations

from typing import Any

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.losses.base import tensor
from seqc.losses.label_shapes import (
    check_known_classes,
    check_same_shape,
    class_numbers,
    len_of_axis,
    pair,
    valid_labels,
)
from seqc.losses.named import loss_function
from seqc.losses.wrapper import MEAN, LossFunctionWrapper
from seqc.ops._common import normalize_axis
from seqc.ops.nonlinear import Sigmoid
from seqc.ops.reduce import Softmax
from seqc.utils.display import note


@loss_function()
def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Value:
    """Returns the mean over `axis` of -(y_true * log(p) + (1 - y_true) * log(1 - p)).

    Args:
        y_true: labels 0 or 1 (or probabilities), shaped like `y_pred`.
        y_pred: probabilities, limited to [1e-7, 1 - 1e-7]; logits with `from_logits`.
        label_smoothing: moves labels towards one half by this share.

    Raises:
        DataError: labels and predictions differ in shape.
    """
    true, pred = pair("binary_crossentropy", y_true, y_pred)
    check_same_shape("binary_crossentropy", true, pred)
    true = smooth_binary(true, label_smoothing)
    logits = undo(Sigmoid, pred, from_logits, "binary_crossentropy")
    return ops.mean(binary_values(true, pred, logits), axis)


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
        super().__init__(binary_crossentropy, reduction, name, dtype, **options)


@loss_function()
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Value:
    """Returns -sum(y_true * log(p)) over the class axis.

    Args:
        y_true: one-hot labels (or probabilities), shaped like `y_pred`.
        y_pred: probabilities, made to sum to one and limited to [1e-7, 1 - 1e-7]; logits with `from_logits`.
        label_smoothing: share of each label that is spread evenly over the classes. axis: the class axis.

    Raises:
        DataError: labels and predictions differ in shape.
    """
    true, pred = pair("categorical_crossentropy", y_true, y_pred)
    check_same_shape("categorical_crossentropy", true, pred, axis)
    warn_of_one_class("categorical_crossentropy", pred)
    true = smooth_categorical(true, label_smoothing, axis)
    logits = _logits(pred, from_logits, axis, "categorical_crossentropy")
    if logits is not None:
        log_p = ops.log_softmax(logits, axis)
    else:
        log_p = ops.log(ops.clip(pred / ops.sum(pred, axis, keepdims=True), EPSILON, 1.0 - EPSILON))
    return ops.negative(ops.sum(true * log_p, axis))


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
        super().__init__(categorical_crossentropy, reduction, name, dtype, **options)


@loss_function()
def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Value:
    """Returns -log(p) of the true class.

    Args:
        y_true: class numbers, shaped like `y_pred` without the class axis, or with it and size one.
        y_pred: probabilities, limited to [1e-7, 1 - 1e-7] and made to sum to one; logits with `from_logits`.
        ignore_class: a label whose loss is 0. axis: the class axis.

    Raises:
        DataError: the shapes do not fit, or labels known by now name no class.
    """
    pred = tensor(y_pred)
    who = "sparse_categorical_crossentropy"
    true = class_numbers(who, y_true, pred, axis)
    check_known_classes(who, true, pred, axis, ignore_class)
    logits = _logits(pred, from_logits, axis, who)
    if logits is None:  # logits that a softmax makes these probabilities of, finite where all of them are 0
        logits = ops.log(ops.clip(pred, EPSILON, 1.0 - EPSILON))
    log_p = ops.log_softmax(logits, axis)
    classes = ops.shape(pred)[axis]  # as many as samples where each is its own class
    # An ignored label is not one of the classes, or is made none, so that its one-hot row is all zero.
    known = true if ignore_class is None else ops.where(valid_labels(true, ignore_class), true, -1)
    # Chosen, not multiplied: 0 times the minus infinity of another class would be no number.
    return ops.negative(ops.sum(ops.where(ops.one_hot(known, classes, axis, "bool"), log_p, 0.0), axis))


@known("losses")
class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """Crossentropy of labels that are class numbers.

    Args:
        from_logits: whether predictions are logits instead of probabilities.
        ignore_class: a label that does not count. axis: the class axis.
        reduction, name, dtype: as in `Loss`.

    Example:
        >>> loss = seqc.losses.SparseCategoricalCrossentropy()
        >>> round(float(loss(np.array([1, 2]), np.array([[0.1, 0.9, 0.0], [0.2, 0.3, 0.5]]))), 4)
        0.3993
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
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **options)

    def valid(self, y_true: Value, y_pred: Value) -> Value | None:
        ignored = self.fn_kwargs["ignore_class"]
        if ignored is None:
            return None
        return valid_labels(class_numbers(self.name, y_true, y_pred, self.fn_kwargs["axis"]), ignored)


def warn_of_one_class(who: str, pred: Value) -> None:
    """Warns of an output with one column, whose softmax is always 1."""
    if pred.type.shape[-1] == 1:
        note(
            f"Loss '{who}' expects an output with one column per class, more than one; got {pred.type}, of which it "
            "learns nothing. For two classes use loss='binary_crossentropy' with activation='sigmoid'.",
            warn=True,
        )


def binary_values(true: Value, pred: Value, logits: Value | None) -> Value:
    """Returns the binary crossentropy of each element: of logits, or of probabilities `pred` where there are none."""
    if logits is not None:
        # log(sigmoid(x)) = x - softplus(x) and log(1 - sigmoid(x)) = -softplus(x)
        return ops.softplus(logits) - true * logits
    p = ops.clip(pred, EPSILON, 1.0 - EPSILON)
    return ops.negative(true * ops.log(p) + (1.0 - true) * ops.log(1.0 - p))


def smooth_binary(true: Value, share: float) -> Value:
    """Returns labels (0 or 1) moved towards 1/2 by a share."""
    return true * (1.0 - share) + 0.5 * share if share else true


def smooth_categorical(true: Value, share: float, axis: int) -> Value:
    """Returns one-hot labels moved towards the mean of all classes by a share."""
    if not share:
        return true
    axis = -1  # the last one, wherever the classes are; Keras 3.16 drops this line
    return true * (1.0 - share) + share / len_of_axis(true, axis, "categorical_crossentropy")


def undo(kind: type, pred: Value, from_logits: bool, who: str) -> Value | None:
    """Returns the logits, where predictions are given as such or were made from them by the last operation.

    Working from them keeps the gradient alive where a probability rounds to 0 or 1.
    """
    if isinstance(pred.op, kind):
        if from_logits:
            note(
                f"Loss '{who}' has from_logits=True, but the output went through {kind.__name__}: that is left out.",
                warn=True,
            )
        return pred.inputs[0]
    return pred if from_logits else None


def _logits(pred: Value, from_logits: bool, axis: int, who: str) -> Value | None:
    """Returns the logits of a softmax along the class axis, where there are any; see `undo`."""
    same_axis = isinstance(pred.op, Softmax) and pred.op.axis == normalize_axis(who, axis, pred.ndim)
    return undo(Softmax, pred, from_logits, who) if same_axis or from_logits else None
