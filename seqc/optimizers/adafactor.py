"""Adafactor: the mean square of a matrix's gradient, kept as one number per row and one per column."""

from __future__ import annotations

from typing import Any, Unpack

from seqc import ops
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.optimizers.adaptive import decayed
from seqc.optimizers.arguments import BaseArguments
from seqc.optimizers.base import Optimizer


@known("optimizers")
class Adafactor(Optimizer):
    """Steps of a size relative to the variable's own, over root mean squares that rows and columns share.

    Shazeer and Stern (2018), "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost". As in Keras, the product
    of rows and columns is kept beside them, and the step falls as 1 / sqrt(t) at the latest.

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        beta_2_decay: the old mean squares have the share 1 - t^beta_2_decay in the new ones.
        epsilon_1: added to squared gradients. epsilon_2: smallest size of a variable that a step is relative to.
        clip_threshold: largest root mean square of the gradient over its own root mean squares.
        relative_step: whether a constant learning rate is limited to 1 / sqrt(t). Keras limits every rate to that, so
            that it changes nothing.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def make_slots(self, variables: list[Variable]) -> None:
        for variable in variables:
            shape = variable.shape
            if len(shape) < 2:
                # Keras's files hold two zeros here, in the place of rows and columns.
                self._unused(variable)
                self._unused(variable)
            else:
                self._slots[variable, "rows"] = self.add_variable(
                    shape[:-1], "zeros", variable.dtype, name=variable.name
                )
                columns = (*shape[:-2], shape[-1])
                self._slots[variable, "columns"] = self.add_variable(
                    columns, "zeros", variable.dtype, name=variable.name
                )
            self.add_variable_from_reference(variable, "velocity")

    def _unused(self, variable: Variable) -> None:
        self.add_variable((), "zeros", "int32", name=variable.name).path = variable.name

    def begin_step(self, learning_rate: Value) -> Value:
        return ops.minimum(learning_rate, 1.0 / ops.sqrt(self.step_number(learning_rate)))

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        square = self._mean_square(ops.square(gradient) + self.epsilon_1, variable)
        direction = gradient / ops.sqrt(square)
        direction = direction / ops.maximum(_root_mean_square(direction) / self.clip_threshold, 1.0)
        size = ops.maximum(_root_mean_square(variable.to_value()), self.epsilon_2)
        variable.assign(variable - direction * (size * learning_rate))

    def _mean_square(self, square: Value, variable: Variable) -> Value:
        """Updates and returns the running mean of a squared gradient."""
        share = 1.0 - ops.power(self.step_number(square), self.beta_2_decay)
        velocity = self.slot(variable, "velocity")
        if variable.ndim < 2:
            return decayed(velocity, square, share)
        rows = decayed(self.slot(variable, "rows"), ops.mean(square, axis=-1), share)
        columns = decayed(self.slot(variable, "columns"), ops.mean(square, axis=-2), share)
        parts = rows / ops.mean(rows, axis=-1, keepdims=True)
        product = ops.expand_dims(parts, -1) * ops.expand_dims(columns, -2)
        velocity.assign(product)
        return product


def _root_mean_square(x: Value) -> Value:
    return ops.sqrt(ops.mean(ops.square(x)))
