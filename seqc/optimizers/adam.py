"""Adam and its relatives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqc import ops
from seqc.ir import Value
from seqc.optimizers.base import Optimizer
from seqc.serialization import known
from seqc.tracing import Variable


@known("optimizers")
class Adam(Optimizer):
    """Steps scaled by running estimates of the gradient's mean and mean square.

    Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization", in the form at the end of its section 2, where
    epsilon is added to the uncorrected root.

    Args:
        learning_rate: see `Optimizer`, as for all arguments not named here.
        beta_1, beta_2: shares of the old estimate of mean and mean square in the new one.
        epsilon: added to the root of the mean square.
        amsgrad: whether the largest mean square so far is used. Reddi et al. (2018), "On the Convergence of Adam and
            Beyond".
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            use_ema,
            ema_momentum,
            ema_overwrite_frequency,
            loss_scale_factor,
            gradient_accumulation_steps,
            name,
            **unknown,
        )
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []
        self._velocity_hats: list[Variable] = []

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(self._trainable, ["momentum", "velocity"])
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(self._trainable, "velocity_hat")

    def step_size(self, learning_rate: Value) -> Value:
        """Returns the learning rate times sqrt(1 - beta_2^t) / (1 - beta_1^t), against the start at 0."""
        step = ops.cast(ops.add(self.iterations, 1), learning_rate.dtype)
        rise_1 = 1.0 - ops.power(self.beta_1, step)
        rise_2 = 1.0 - ops.power(self.beta_2, step)
        return learning_rate * ops.sqrt(rise_2) / rise_1

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        i = self.index_of(variable)
        mean, square = self._momentums[i].to_value(), self._velocities[i].to_value()
        mean = mean + (gradient - mean) * (1.0 - self.beta_1)
        square = square + (ops.square(gradient) - square) * (1.0 - self.beta_2)
        self._momentums[i].assign(mean)
        self._velocities[i].assign(square)
        if self.amsgrad:
            square = ops.maximum(self._velocity_hats[i], square)
            self._velocity_hats[i].assign(square)
        variable.assign(variable - mean * learning_rate / (ops.sqrt(square) + self.epsilon))
