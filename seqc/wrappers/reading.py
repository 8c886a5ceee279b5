"""What the output of a classifier's model means: probabilities, logits or scores, of which classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc import losses
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError
from seqc.graph.ir import Array, Value
from seqc.ops.nonlinear import Sigmoid
from seqc.ops.reduce import Softmax

# Losses that take outputs for probabilities, and what makes these of logits.
_CROSSENTROPIES = {
    losses.binary_crossentropy: "sigmoid",
    losses.binary_focal_crossentropy: "sigmoid",
    losses.categorical_crossentropy: "softmax",
    losses.categorical_focal_crossentropy: "softmax",
    losses.sparse_categorical_crossentropy: "softmax",
}
_HINGES = (losses.hinge, losses.squared_hinge)


@dataclass(frozen=True)
class Reading:
    """How an output is read.

    Attributes:
        columns: of the output; one column stands for the second of two classes.
        scale: "probabilities", "softmax" or "sigmoid" of logits, which give them, or "scores", which are none.
        exclusive: whether a sample is of one class; otherwise each column is a question of its own.
        summed: whether the model itself makes every row sum to one.
        middle: the output between one class and the other, where a column decides alone.
        numbered: whether the loss wants the number of a class in place of a column for each.
    """

    columns: int
    scale: str
    exclusive: bool
    summed: bool
    middle: float
    numbered: bool

    def target(self, numbers: Array, encoded: Array) -> Array:
        """Returns the targets as the loss wants them.

        Args:
            numbers: of classes, (samples,). encoded: a column for each class, (samples, classes).
        """
        if not self.exclusive:
            return encoded
        if self.columns == 1:
            return numbers.astype(encoded.dtype)[:, None]
        return numbers if self.numbered else encoded

    @property
    def alone(self) -> bool:
        """Whether each column says yes or no by itself, and not the largest of a row."""
        return self.columns == 1 or not (self.exclusive or self.scale == "softmax" or self.summed)

    def chosen(self, outputs: Array) -> Array:
        """Returns the number of the class of each sample, or ones and zeros for each column."""
        if not self.alone:
            numbers = outputs.argmax(-1)
            return np.asarray(numbers) if self.exclusive else np.eye(self.columns, dtype=np.int64)[numbers]
        above: Array = (outputs > self.middle).astype(np.int64)
        return above[:, 0] if self.exclusive else above

    def decision(self, outputs: Array) -> Array:
        """Returns scores as scikit-learn has them: a column for each class; of two, how far the second is ahead."""
        if not self.alone:
            return outputs[:, 1] - outputs[:, 0] if self.exclusive and self.columns == 2 else outputs
        moved: Array = outputs - np.asarray(self.middle, outputs.dtype)
        return moved[:, 0] if self.exclusive else moved

    def probabilities(self, outputs: Array) -> Array:
        """Returns a column of probabilities for each class, in double precision.

        Of one class per sample they sum to one, as the loss reads them.
        """
        p = outputs.astype(np.float64)
        if self.scale == "softmax":
            p = np.exp(p - p.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
        elif self.scale == "sigmoid":
            with np.errstate(over="ignore"):
                p = 1.0 / (1.0 + np.exp(-p))
        if not self.exclusive:
            return p
        if self.columns == 1:
            return np.concatenate([1.0 - p, p], -1)
        p = p if self.summed else np.clip(p, EPSILON, 1.0)
        return np.asarray(p / p.sum(-1, keepdims=True))


def read_output(loss_id: Any, output: Value, classes: int, exclusive: bool) -> Reading:
    """Returns how a model's output is read.

    Args:
        loss_id: the loss, as `compile` took it. output: the output in the model's inference graph. classes: how many
        there are. exclusive: whether a sample is of one.

    Raises:
        ConfigError: the output has other columns than there are classes.
    """
    columns = output.type.shape[-1] if output.type.rank == 2 else None
    if not isinstance(columns, int) or columns not in ((classes, 1) if exclusive and classes == 2 else (classes,)):
        one = " (or one, for two classes)" if exclusive and classes == 2 else ""
        raise ConfigError(
            f"A classifier of {classes} classes needs a model whose output has {classes} columns{one}; this one's is "
            f"{output.type}. A function that makes the model is given y with a column for each class: "
            "Dense(y.shape[1])."
        )
    loss: Any = losses.resolve(loss_id, (None, columns), (None, columns))
    function, options = getattr(loss, "fn", None), getattr(loss, "fn_kwargs", {})
    kind = _CROSSENTROPIES.get(function) if callable(function) else None
    last = isinstance(output.op, Softmax) and output.op.axis == output.type.rank - 1
    if last or isinstance(output.op, Sigmoid):
        scale = "probabilities"
    elif kind is None:
        scale = "scores"
    else:
        scale = kind if options.get("from_logits") else "probabilities"
    middle = 0.0 if scale in ("softmax", "sigmoid") or function in _HINGES else 0.5
    summed = (last or scale == "softmax") and columns > 1
    numbered = function is losses.sparse_categorical_crossentropy and columns > 1
    return Reading(columns, scale, exclusive, summed, middle, numbered)
