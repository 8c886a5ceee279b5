"""Adam that needs no schedule of its learning rate, since it averages what it has seen."""

from __future__ import annotations

from typing import Any, Unpack

from seqc import ops
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.optimizers.arguments import BaseArguments
from seqc.optimizers.base import Optimizer


@known("optimizers")
class ScheduleFreeAdamW(Optimizer):
    """Variables between a sequence z that takes Adam's steps and the mean of all z so far.

    Defazio et al. (2024), "The Road Less Scheduled". The slot `momentum` is z; a variable is
    (1 - beta_1) z + beta_1 mean(z).

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        beta_1: share of the mean in the variable, not 0. beta_2: share of the old mean square in the new one.
        epsilon: added to the root of the mean square.
        warmup_steps: over so many steps the learning rate rises from 0.
    """

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def make_slots(self, variables: list[Variable]) -> None:
        for variable in variables:
            self.add_variable_from_reference(variable, "momentum", lambda shape, dtype, v=variable: v.array)
            self.add_variable_from_reference(variable, "velocity")

    def begin_step(self, learning_rate: Value) -> Value:
        if self.warmup_steps <= 0:
            return learning_rate
        return learning_rate * ops.minimum(self.step_number(learning_rate) / float(self.warmup_steps), 1.0)

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        slot, velocity = self.slot(variable, "momentum"), self.slot(variable, "velocity")
        step, old = self.step_number(gradient), slot.to_value()
        square = velocity + (ops.square(gradient) - velocity) * (1.0 - self.beta_2)
        root = ops.sqrt(square / (1.0 - ops.power(self.beta_2, step))) + self.epsilon
        new = old - gradient * learning_rate / root
        mean = (variable - old * (1.0 - self.beta_1)) / self.beta_1
        mean = mean + (new - mean) / step
        velocity.assign(square)
        slot.assign(new)
        variable.assign(new * (1.0 - self.beta_1) + mean * self.beta_1)
