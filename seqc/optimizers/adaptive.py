"""Optimizers that scale each element's step by the sizes of its past gradients."""

from __future__ import annotations

from typing import Any, Unpack

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.initializers import Constant
from seqc.known_classes import known
from seqc.optimizers.arguments import BaseArguments
from seqc.optimizers.base import Optimizer


@known("optimizers")
class RMSprop(Optimizer):
    """g / sqrt(mean square of g + epsilon), in which the mean decays by `rho`.

    Tieleman and Hinton (2012), "Lecture 6.5: rmsprop".

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        rho: share of the old mean in the new one. momentum: share of the last change in the next one.
        epsilon: added to the mean square. centered: whether the mean's square is taken off the mean square.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def make_slots(self, variables: list[Variable]) -> None:
        self.add_optimizer_variables(variables, "velocity")
        if self.momentum > 0:
            self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self.add_optimizer_variables(variables, "average_gradient")

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        square = decayed(self.slot(variable, "velocity"), ops.square(gradient), self.rho)
        if self.centered:
            square = square - ops.square(decayed(self.slot(variable, "average_gradient"), gradient, self.rho))
        change = gradient * learning_rate / ops.sqrt(square + self.epsilon)
        if self.momentum > 0:
            slot = self.slot(variable, "momentum")
            change = slot.to_value() * self.momentum + change
            slot.assign(change)
        variable.assign(variable - change)


@known("optimizers")
class Adagrad(Optimizer):
    """g / sqrt(sum of all squares of g + epsilon).

    Duchi, Hazan and Singer (2011), "Adaptive Subgradient Methods".

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        initial_accumulator_value: where the sum starts. epsilon: added to the sum.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def make_slots(self, variables: list[Variable]) -> None:
        self.add_optimizer_variables(variables, "accumulator", Constant(self.initial_accumulator_value))

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        slot = self.slot(variable, "accumulator")
        total = slot + ops.square(gradient)
        slot.assign(total)
        variable.assign(variable - gradient * learning_rate / ops.sqrt(total + self.epsilon))


@known("optimizers")
class Adadelta(Optimizer):
    """Steps as large as the root mean square of past steps, over that of the gradients.

    Zeiler (2012), "ADADELTA: An Adaptive Learning Rate Method".

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here; 1.0 is the paper's rule.
        rho: share of the old means in the new ones. epsilon: added to the mean squares.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        self.rho = rho
        self.epsilon = epsilon

    def make_slots(self, variables: list[Variable]) -> None:
        self.add_optimizer_variables(variables, ["accumulated_grad", "accumulated_delta_var"])

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        steps = self.slot(variable, "accumulated_delta_var")
        square = decayed(self.slot(variable, "accumulated_grad"), ops.square(gradient), self.rho)
        change = ops.sqrt(steps.to_value() + self.epsilon) * gradient / ops.sqrt(square + self.epsilon)
        decayed(steps, ops.square(change), self.rho)
        variable.assign(variable - change * learning_rate)


@known("optimizers")
class Lion(Optimizer):
    """The sign of the gradient mixed with its running mean.

    Chen et al. (2023), "Symbolic Discovery of Optimization Algorithms".

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        beta_1: share of the running mean in the step, in (0, 1]. beta_2: share of the old mean in the new one.

    Raises:
        ConfigError: beta_1 is out of range.
    """

    def __init__(
        self, learning_rate: Any = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **base: Unpack[BaseArguments]
    ) -> None:
        super().__init__(learning_rate, **base)
        if not 0 < beta_1 <= 1:
            raise ConfigError(
                "Argument `beta_1` must be in the [0, 1] range. Otherwise, the optimizer degenerates to SignSGD. "
                f"Received: beta_1={beta_1}."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def make_slots(self, variables: list[Variable]) -> None:
        self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        slot = self.slot(variable, "momentum")
        direction = ops.sign(slot.to_value() * self.beta_1 + gradient * (1.0 - self.beta_1))
        variable.assign(variable - direction * learning_rate)
        decayed(slot, gradient, self.beta_2)


@known("optimizers")
class Ftrl(Optimizer):
    """Follow the regularized leader, for sparse models.

    McMahan et al. (2013), "Ad Click Prediction: a View from the Trenches"; shrinkage and `beta` as in Keras.

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        learning_rate_power: exponent by which the learning rate falls with the sum of squares, at most 0.
        initial_accumulator_value: where that sum starts.
        l1_regularization_strength, l2_regularization_strength: penalties on the variables.
        l2_shrinkage_regularization_strength: penalty that enters the gradient only. beta: adds beta / 2 to the l2
            penalty over the learning rate.

    Raises:
        ConfigError: a value is out of range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        if learning_rate_power > 0:
            raise ConfigError(
                "`learning_rate_power` needs to be negative or zero. Received: "
                f"learning_rate_power={learning_rate_power}."
            )
        for name in self._arguments:
            if name.endswith(("_value", "_strength")) and getattr(self, name) < 0:
                raise ConfigError(f"`{name}` needs to be positive or zero. Received: {name}={getattr(self, name)}.")

    def make_slots(self, variables: list[Variable]) -> None:
        starts = {"accumulator": Constant(self.initial_accumulator_value), "linear": "zeros"}
        for variable in variables:
            for name, start in starts.items():
                self.add_variable_from_reference(variable, name, start)

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        accumulator, linear = self.slot(variable, "accumulator"), self.slot(variable, "linear")
        old, power = accumulator.to_value(), -self.learning_rate_power
        total = old + ops.square(gradient)
        shrunk = gradient + variable.to_value() * (2 * self.l2_shrinkage_regularization_strength)
        grown = (ops.power(total, power) - ops.power(old, power)) / learning_rate
        pull = linear + (shrunk - grown * variable)
        l2 = self.l2_regularization_strength + self.beta / (learning_rate * 2.0)
        curvature = ops.power(total, power) / learning_rate + l2 * 2.0
        limit = self.l1_regularization_strength
        accumulator.assign(total)
        linear.assign(pull)
        variable.assign((ops.clip(pull, -limit, limit) - pull) / curvature)


def decayed(slot: Variable, new: Value, rho: float | Value) -> Value:
    """Updates and returns a running mean: rho * old + (1 - rho) * new."""
    mean = slot.to_value() * rho + new * (1.0 - rho)
    slot.assign(mean)
    return mean
