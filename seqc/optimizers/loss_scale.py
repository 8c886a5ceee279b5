"""A loss scale that finds its own size, around another optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import Variable, current_trace
from seqc.initializers import Constant
from seqc.known_classes import known
from seqc.optimizers.base import Optimizer
from seqc.optimizers.graph import where_true
from seqc.serialization import serialize

# What belongs to the optimizer inside. Files of older versions of Keras hold it, at these values, for this one too.
_OF_INNER = {
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


@known("optimizers")
class LossScaleOptimizer(Optimizer):
    """Multiplies the loss by a scale, so that small gradients do not vanish in float16, and divides gradients by it.

    A step whose gradients are not all finite changes nothing and halves the scale; after so many steps in a row with
    finite ones it doubles.

    Args:
        inner_optimizer: the optimizer that changes the variables. It is not to scale the loss itself.
        initial_scale: the first scale.
        dynamic_growth_steps: after how many steps with finite gradients the scale doubles.
        name: part of the paths of its variables; made from the class name by default.

    Raises:
        ConfigError: the optimizer inside is none, or an argument belongs to it.
    """

    def __init__(
        self,
        inner_optimizer: Optimizer,
        initial_scale: float = 2.0**15,
        dynamic_growth_steps: int = 2000,
        name: str | None = None,
        **others: Any,
    ) -> None:
        if not others.pop("dynamic", True):
            raise ConfigError(
                "LossScaleOptimizer no longer supports `dynamic=False`. Instead, simply set `loss_scale_factor` "
                "directly on the `inner_optimizer`."
            )
        for argument, value in others.items():
            if argument not in _OF_INNER:
                raise ConfigError(f"LossScaleOptimizer does not support arguments: `{'`, `'.join(others)}`.")
            if value != _OF_INNER[argument]:
                raise ConfigError(
                    f"LossScaleOptimizer does not support `{argument}`. Instead, set `{argument}` on the "
                    "`inner_optimizer`."
                )
        if not isinstance(inner_optimizer, Optimizer):
            raise ConfigError(
                f"`inner_optimizer` must be an optimizer; got {inner_optimizer!r}. seqc.optimizers.get makes one of a "
                "name."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        inner_optimizer.loss_scale_factor = None

    def make_slots(self, variables: list[Variable]) -> None:
        self._make_scale()
        if not self.inner_optimizer.built:
            self.inner_optimizer.build(variables)

    def _make_scale(self) -> None:
        if not any(variable.name == "dynamic_scale" for variable in self._variables):
            self.step_counter = self.add_variable((), "zeros", "int64", name="step_counter")
            self.dynamic_scale = self.add_variable((), Constant(self.initial_scale), "float32", name="dynamic_scale")

    @property
    def variables(self) -> list[Variable]:
        """Its own variables, then those of the optimizer inside."""
        return [*self._variables, *self.inner_optimizer.variables]

    @property
    def inner_optimizers(self) -> list[Optimizer]:
        return [self.inner_optimizer]

    @property
    def steps_seen(self) -> Variable:
        return self.inner_optimizer.steps_seen

    @property
    def iterations(self) -> Any:
        """How many times the optimizer inside updated variables."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """That of the optimizer inside."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.inner_optimizer.learning_rate = learning_rate

    def scale_loss(self, loss: Any) -> Any:
        if current_trace() is not None:  # of a step that is taken again, with the scale of then
            self._make_scale()
        elif not self.built:
            return loss * self.initial_scale
        return loss * ops.cast(self.dynamic_scale, as_value(loss).dtype)

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Makes one step where all gradients are finite, and sets the scale for the next; see `Optimizer.apply`."""
        pairs = self._pairs(grads, trainable_variables)
        if not pairs:
            return
        finite = _all_finite([gradient for gradient, _ in pairs])
        scale = self.dynamic_scale.to_value()
        unscaled = [gradient / ops.cast(scale, gradient.dtype) for gradient, _ in pairs]
        where_true(finite, lambda: self.inner_optimizer.apply(unscaled, [variable for _, variable in pairs]))
        count = self.step_counter.to_value()
        grows = ops.logical_and(finite, ops.equal(count, self.dynamic_growth_steps - 1))
        counts = ops.logical_and(finite, ops.logical_not(grows))
        self.step_counter.assign(ops.where(counts, count + 1, ops.zeros_like(count)))
        self.dynamic_scale.assign(scale * ops.where(grows, 2.0, ops.where(finite, 1.0, 0.5)))

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "inner_optimizer": serialize(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }


def _all_finite(values: Sequence[Value]) -> Value:
    found = [ops.all(ops.isfinite(value)) for value in values]
    whole = found[0]
    for one in found[1:]:
        whole = ops.logical_and(whole, one)
    return whole
