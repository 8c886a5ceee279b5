"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any, Unpack

from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.optimizers.arguments import BaseArguments
from seqc.optimizers.base import Optimizer


@known("optimizers")
class SGD(Optimizer):
    """w - learning_rate * g, with momentum: v = momentum * v - learning_rate * g and w + v.

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
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
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        if not 0 <= momentum <= 1:
            raise ConfigError(f"`momentum` must be a float between [0, 1]. Received: momentum={momentum}")
        self.momentum = float(momentum)
        self.nesterov = nesterov

    def make_slots(self, variables: list[Variable]) -> None:
        if self.momentum:
            self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        change = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - change)
            return
        slot = self.slot(variable, "momentum")
        velocity = slot.to_value() * self.momentum - change
        slot.assign(velocity)
        variable.assign(variable + (velocity * self.momentum - change if self.nesterov else velocity))
