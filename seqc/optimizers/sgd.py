"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqc.errors import ConfigError
from seqc.ir import Value
from seqc.optimizers.base import Optimizer
from seqc.serialization import known
from seqc.tracing import Variable


@known("optimizers")
class SGD(Optimizer):
    """w - learning_rate * g, with momentum: v = momentum * v - learning_rate * g and w + v.

    Args:
        learning_rate: see `Optimizer`, as for all arguments not named here.
        momentum: share of the last change in the next one, in [0, 1].
        nesterov: whether w changes by momentum * v - learning_rate * g instead, with the new v.

    Raises:
        ConfigError: the momentum is out of range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        if isinstance(momentum, bool) or not isinstance(momentum, float | int) or not 0 <= momentum <= 1:
            raise ConfigError(f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}")
        self.momentum = float(momentum)
        self.nesterov = nesterov
        self._momentums: list[Variable] = []

    def build(self, variables: Iterable[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        if self.momentum:
            self._momentums = self.add_optimizer_variables(self._trainable, "momentum")

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        change = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - change)
            return
        slot = self._momentums[self.index_of(variable)]
        velocity = slot.to_value() * self.momentum - change
        slot.assign(velocity)
        variable.assign(variable + (velocity * self.momentum - change if self.nesterov else velocity))
