"""Adam and its relatives: steps from running estimates of the gradient's mean and size."""

from __future__ import annotations

from typing import Any, Unpack

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.optimizers.arguments import BaseArguments
from seqc.optimizers.base import Optimizer
from seqc.optimizers.graph import norm


class _Moments(Optimizer):
    """Keeps running estimates of the gradient's mean and size; arguments as for `Adam`."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, **base)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def make_slots(self, variables: list[Variable]) -> None:
        self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def estimates(self, gradient: Value, variable: Variable) -> tuple[Value, Value]:
        """Updates and returns the running means of gradient (slot momentum) and squared gradient (slot velocity)."""
        momentum, velocity = self.slot(variable, "momentum"), self.slot(variable, "velocity")
        return estimates(momentum, velocity, gradient, self.beta_1, self.beta_2)


def estimates(
    momentum: Variable, velocity: Variable, gradient: Value, beta_1: float, beta_2: float
) -> tuple[Value, Value]:
    """Updates and returns the running means of a gradient and of its square."""
    mean = momentum + (gradient - momentum) * (1.0 - beta_1)
    square = velocity + (ops.square(gradient) - velocity) * (1.0 - beta_2)
    momentum.assign(mean)
    velocity.assign(square)
    return mean, square


def adam_rate(learning_rate: Value, step: Value, beta_1: float, beta_2: float) -> Value:
    """Returns the learning rate times sqrt(1 - beta_2^t) / (1 - beta_1^t), against the start of both means at 0."""
    return learning_rate * ops.sqrt(1.0 - ops.power(beta_2, step)) / (1.0 - ops.power(beta_1, step))


@known("optimizers")
class Adam(_Moments):
    """Steps scaled by running estimates of the gradient's mean and mean square.

    Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization", in the form at the end of its section 2, where
    epsilon is added to the uncorrected root.

    Args:
        learning_rate: see `Optimizer`, as for the arguments not named here.
        beta_1, beta_2: shares of the old estimate of mean and mean square in the new one.
        epsilon: added to the root of the mean square.
        amsgrad: whether the largest mean square so far is used. Reddi et al. (2018), "On the Convergence of Adam and
            Beyond".

    Example:
        >>> optimizer, x = seqc.optimizers.Adam(learning_rate=0.1), seqc.Variable([1.0, -2.0])
        >>> optimizer.apply([np.array([0.5, -3.0])], [x])
        >>> x.numpy().round(3)  # the first step is as long as the learning rate, whatever the gradient
        array([ 0.9, -1.9], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **base: Unpack[BaseArguments],
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **base)
        self.amsgrad = amsgrad

    def make_slots(self, variables: list[Variable]) -> None:
        super().make_slots(variables)
        if self.amsgrad:
            self.add_optimizer_variables(variables, "velocity_hat")

    def begin_step(self, learning_rate: Value) -> Value:
        return adam_rate(learning_rate, self.step_number(learning_rate), self.beta_1, self.beta_2)

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        mean, square = self.estimates(gradient, variable)
        if self.amsgrad:
            largest = self.slot(variable, "velocity_hat")
            square = ops.maximum(largest, square)
            largest.assign(square)
        variable.assign(variable - mean * learning_rate / (ops.sqrt(square) + self.epsilon))


@known("optimizers")
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.004 by default; arguments as for `Adam`.

    Loshchilov and Hutter (2017), "Decoupled Weight Decay Regularization".

    Raises:
        ConfigError: there is no weight decay.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **base: Any,
    ) -> None:
        if weight_decay is None:
            raise ConfigError("Argument `weight_decay` must be a float. Received: weight_decay=None")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **base)


@known("optimizers")
class Adamax(_Moments):
    """Adam with the largest decayed absolute gradient in place of the root mean square.

    Kingma and Ba (2014), "Adam: A Method for Stochastic Optimization", section 7.1. Arguments as for `Adam`.
    """

    def make_slots(self, variables: list[Variable]) -> None:
        self.add_optimizer_variables(variables, ["momentum", "norm"])

    def begin_step(self, learning_rate: Value) -> Value:
        return learning_rate / (1.0 - ops.power(self.beta_1, self.step_number(learning_rate)))

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        momentum, norm = self.slot(variable, "momentum"), self.slot(variable, "norm")
        mean = momentum + (gradient - momentum) * (1.0 - self.beta_1)
        size = ops.maximum(norm.to_value() * self.beta_2, ops.absolute(gradient))
        momentum.assign(mean)
        norm.assign(size)
        variable.assign(variable - mean * learning_rate / (size + self.epsilon))


@known("optimizers")
class Nadam(_Moments):
    """Adam with Nesterov's momentum, whose strength grows as beta_1 * (1 - 0.96^t / 2).

    Dozat (2015), "Incorporating Nesterov Momentum into Adam". Arguments as for `Adam`.
    """

    def make_slots(self, variables: list[Variable]) -> None:
        super().make_slots(variables)
        dtype = variables[0].dtype if variables else "float32"
        self._product = self.add_variable((), "ones", dtype, name="u_product")

    def begin_step(self, learning_rate: Value) -> Value:
        self._product.assign(self._product * self._strength(0, self._product.to_value()))
        return learning_rate

    def _strength(self, ahead: int, like: Value) -> Value:
        """Returns the momentum's strength so many steps ahead, in the dtype of `like`."""
        return (1.0 - ops.power(0.96, self.step_number(like, ahead)) * 0.5) * self.beta_1

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        mean, square = self.estimates(gradient, variable)
        now, following = self._strength(0, gradient), self._strength(1, gradient)
        product = ops.cast(self._product, variable.dtype)
        mean = mean * (following / (1.0 - product * following)) + gradient * ((1.0 - now) / (1.0 - product))
        square = square / (1.0 - ops.power(self.beta_2, self.step_number(gradient)))
        variable.assign(variable - mean * learning_rate / (ops.sqrt(square) + self.epsilon))


@known("optimizers")
class Lamb(_Moments):
    """Adam's step, scaled for each variable to the variable's own norm.

    You et al. (2019), "Large Batch Optimization for Deep Learning". Arguments as for `Adam`.
    """

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        step = self.step_number(gradient)
        mean, square = self.estimates(gradient, variable)
        mean = mean / (1.0 - ops.power(self.beta_1, step))
        root = ops.sqrt(square / (1.0 - ops.power(self.beta_2, step))) + self.epsilon
        change = mean / root
        size, length = norm([variable.to_value()]), norm([change])
        usable = ops.logical_and(size > 0, length > 0)
        ratio = ops.where(usable, size / ops.where(usable, length, 1.0), 1.0)
        variable.assign(variable - change * (ratio * learning_rate))
