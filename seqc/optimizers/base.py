"""The base of all optimizers: everything around the update rule of one variable.

All of it is functions of graph values, so that a training step with its optimizer is one graph. Outside a trace the
same code runs at once on arrays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import ArgumentTypeError, ConfigError, NotBuiltError, ShapeError
from seqc.graph.ir import Value, apply, as_value
from seqc.graph.tracing import ByVariable, Variable
from seqc.ops.arithmetic import Div
from seqc.optimizers._state import OptimizerState
from seqc.optimizers.arguments import BaseArguments, check_arguments
from seqc.optimizers.graph import limited, overwrite, where_true
from seqc.optimizers.schedules import LearningRateSchedule
from seqc.serialization import serialize
from seqc.utils.display import note
from seqc.utils.naming import snake_case, unique_name


class Optimizer(OptimizerState):
    """Changes variables along their gradients.

    A subclass writes `update_step(gradient, variable, learning_rate)`, and `make_slots(variables)` if it keeps slots,
    which it makes with `add_optimizer_variables` and finds with `slot`.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function without arguments that is called once.
        weight_decay: before the update, variables shrink by this times the learning rate.
        clipnorm: largest norm of each gradient. clipvalue: largest absolute value of a gradient's element.
        global_clipnorm: largest norm of all gradients together. Only one of the three may be given.
        use_ema: keeps an exponential moving average of every variable; `finalize_variable_values` puts it in its place.
        ema_momentum: share of the old average in the new one.
        ema_overwrite_frequency: every so many steps the average replaces the variable.
        loss_scale_factor: the loss is multiplied by it, gradients are divided by it.
        gradient_accumulation_steps: variables change every so many steps, by the mean gradient.
        name: part of the paths of its variables; made from the class name by default.

    Raises:
        ConfigError: an argument is out of range.
    """

    _kind = "optimizers"

    def __init__(
        self,
        learning_rate: Any,
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
        if unknown.pop("decay", None) is not None:
            note("Argument `decay` is no longer supported and will be ignored.", warn=True)
        if unknown:
            raise ConfigError(f"Argument(s) not recognized: {unknown}")
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        check_arguments(self)
        self.built = False
        self._start_state()
        self._trainable: list[Variable] = []
        self._not_decayed: dict[Variable, None] = ByVariable()
        self._not_decayed_names: list[str] = []
        self._iterations = self.add_variable((), dtype="int64", name="iteration")
        self._learning_rate: Any = None
        self._set_learning_rate(learning_rate)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Returns the optimizer that a configuration describes. Options of Keras 2 that change no number are left out.

        Raises:
            ConfigError: another option is not known.
        """
        kept = {k: v for k, v in config.items() if k != "jit_compile" and (k, v) != ("is_legacy_optimizer", False)}
        return super().from_config(kept)

    # -- to be written by subclasses ---------------------------------------------------------------------------------

    def make_slots(self, variables: list[Variable]) -> None:
        """Makes the variables that the update rule keeps beside the given ones."""

    def update_step(self, gradient: Value, variable: Variable, learning_rate: Value) -> None:
        """Assigns a new value to the variable and to its slots."""
        raise NotImplementedError(
            f"{type(self).__name__} does not define update_step(gradient, variable, learning_rate)."
        )

    def begin_step(self, learning_rate: Value) -> Value:
        """Does what comes once before the variables' updates; returns what these get as their learning rate."""
        return learning_rate

    def decay_of(self, variable: Variable) -> float | None:
        """Returns the weight decay of a variable that is not kept from it; None for none."""
        return self.weight_decay

    # -- variables ---------------------------------------------------------------------------------------------------

    def build(self, variables: Iterable[Variable]) -> None:
        """Makes the optimizer's own variables for the given ones. A second call does nothing."""
        if self.built:
            return
        mark = self._mark_variables()
        try:
            self._trainable = list(variables)
            if self.use_ema:
                self.add_optimizer_variables(self._trainable, "average")
            if self.gradient_accumulation_steps:
                self.add_optimizer_variables(self._trainable, "gradient_accumulator")
            self.make_slots(self._trainable)
            self.built = True
        except BaseException:  # also Ctrl-C: another attempt starts from nothing
            self.built = False
            self._forget_variables_since(mark)
            self._slots.clear()
            raise

    def assign(self, variable: Variable, value: Any) -> None:
        """Sets a variable; for update rules that are written as Keras's are."""
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Adds to a variable."""
        variable.assign(variable + value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtracts from a variable."""
        variable.assign(variable - value)

    def _get_variable_index(self, variable: Variable) -> int:
        """Returns the place of a variable among those the optimizer was built with: Keras's way to find its slot."""
        return next(i for i, one in enumerate(self._trainable) if one is variable)

    @property
    def inner_optimizers(self) -> list[Optimizer]:
        """The optimizers that it only hands on to."""
        return []

    @property
    def steps_seen(self) -> Variable:
        """How many steps it was asked for, those that only accumulate gradients included."""
        return self._iterations

    @property
    def iterations(self) -> Any:
        """How many times variables were updated."""
        if self.gradient_accumulation_steps:
            # Both are positive integers, and Div rounds towards zero.
            return apply(Div(), self._iterations, as_value(self.gradient_accumulation_steps, "int64"))
        return self._iterations

    def step_number(self, like: Value, ahead: int = 0) -> Value:
        """Returns the number of the update under way, from 1, in the dtype of `like`; or of one so many steps ahead."""
        return ops.cast(ops.add(self.iterations, 1 + ahead), like.dtype)

    # -- learning rate -----------------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The current learning rate: a variable, or a value where a schedule gives it."""
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations)
        return self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self._set_learning_rate(learning_rate)

    def _set_learning_rate(self, learning_rate: Any) -> None:
        current = self._learning_rate
        if isinstance(learning_rate, LearningRateSchedule) or (
            callable(learning_rate) and not isinstance(learning_rate, Value)
        ):
            if isinstance(current, Variable):
                self._keep_only([v for v in self._kept_variables if v is not current])
            self._learning_rate = learning_rate
        elif isinstance(current, Variable):
            current.assign(learning_rate)
        elif current is not None:
            raise ArgumentTypeError(
                "This optimizer was created with a schedule as its `learning_rate`, hence its learning rate is not "
                "settable. Create it with a number to change the learning rate later."
            )
        elif isinstance(learning_rate, bool) or not isinstance(learning_rate, float | int | np.number):
            raise ConfigError(
                "Argument `learning_rate` should be a number, a LearningRateSchedule, or a function that returns the "
                f"current learning rate. Received instead: learning_rate={learning_rate}"
            )
        else:
            self._learning_rate = self.add_variable((), name="learning_rate")
            self._learning_rate.assign(learning_rate)

    # -- one step ----------------------------------------------------------------------------------------------------

    def scale_loss(self, loss: Any) -> Any:
        """Returns the loss to take gradients of: times `loss_scale_factor`, if there is one."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """Makes one step, from pairs of gradient and variable; returns the counter of steps."""
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.steps_seen

    def apply(self, grads: Sequence[Any], trainable_variables: Iterable[Variable] | None = None) -> None:
        """Makes one step: assigns new values to the variables and to the optimizer's own.

        Args:
            grads: one gradient per variable, a value or an array; None for a variable that is left as it is.
            trainable_variables: those the optimizer was built with by default; the first call builds it.

        Raises:
            NotBuiltError: no variables are known. ShapeError: numbers or shapes do not fit. ConfigError: a variable is
                unknown.
        """
        pairs = self._pairs(grads, trainable_variables)
        if not pairs:
            return
        values, chosen = [g for g, _ in pairs], [v for _, v in pairs]
        if self.loss_scale_factor is not None:
            values = [g / self.loss_scale_factor for g in values]
        self._accumulate_and_update(values, chosen)
        if self.use_ema:
            self._update_averages()
        for variable in chosen:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.to_value()))
        self._iterations.assign(self._iterations.to_value() + 1)

    def _pairs(
        self, grads: Sequence[Any], trainable_variables: Iterable[Variable] | None
    ) -> list[tuple[Value, Variable]]:
        """Returns the gradients there are with their variables, for which the optimizer is built; see `apply`."""
        grads = list(grads)
        if not grads:
            return []
        variables = self._variables_for(grads, trainable_variables)
        pairs = [(as_value(g), v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not pairs:
            raise ConfigError("No gradients provided for any variable.")
        for gradient, variable in pairs:
            if gradient.type.shape != variable.shape:
                raise ShapeError(
                    f"The gradient of variable '{variable.path}' must have shape {variable.shape}; got {gradient.type}."
                )
        return pairs

    def _variables_for(self, grads: Sequence[Any], variables: Iterable[Variable] | None) -> list[Variable]:
        if variables is not None:
            listed = list(variables)
            if not self.built:
                self.build(listed)
            built_with = set(self._trainable)
            unknown = [v for v in listed if v not in built_with]
            if unknown:
                raise ConfigError(
                    f"Unknown variable: {unknown[0]}. This optimizer can only be called for the variables it was "
                    "originally built with. When working with a new set of variables, you should recreate a new "
                    "optimizer instance: after layers were unfrozen, call model.compile with one before fit."
                )
        elif self.built:
            listed = self._trainable
        else:
            raise NotBuiltError(
                "When passing `grads` without `variables`, the optimizer must already be built on a list of variables. "
                "Call `optimizer.build(trainable_variables)` first."
            )
        if len(grads) != len(listed):
            raise ShapeError(f"One gradient per variable is needed; got {len(grads)} for {len(listed)} variables.")
        return listed

    def _accumulate_and_update(self, grads: list[Value], variables: list[Variable]) -> None:
        steps = self.gradient_accumulation_steps
        if not steps:
            self._update(grads, variables)
            return
        sums = [self.slot(v, "gradient_accumulator") for v in variables]
        totals = [g + s for g, s in zip(grads, sums, strict=True)]
        complete = ops.equal(ops.mod(self._iterations.to_value() + 1, steps), 0)
        where_true(complete, lambda: self._update([t / float(steps) for t in totals], variables))
        for accumulator, total in zip(sums, totals, strict=True):
            accumulator.assign(ops.where(complete, ops.zeros_like(total), total))

    def _update(self, grads: list[Value], variables: list[Variable]) -> None:
        # By Keras's names, which subclasses override.
        grads = self._clip_gradients(grads)
        self._apply_weight_decay(variables)
        self._backend_update_step(grads, variables, as_value(self.learning_rate))

    def _backend_update_step(self, grads: list[Value], trainable_variables: list[Variable], learning_rate: Any) -> None:
        size = self.begin_step(as_value(learning_rate))
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(ops.cast(gradient, variable.dtype), variable, ops.cast(size, variable.dtype))

    def _clip_gradients(self, grads: list[Value]) -> list[Value]:
        return limited(grads, self.clipnorm, self.global_clipnorm, self.clipvalue)

    # -- weight decay ------------------------------------------------------------------------------------------------

    def _apply_weight_decay(self, variables: list[Variable]) -> None:
        rate = as_value(self.learning_rate)
        for variable in filter(self._use_weight_decay, variables):
            decay = self.decay_of(variable)
            if decay is not None:
                variable.assign(variable - variable * (ops.cast(rate, variable.dtype) * decay))

    def exclude_from_weight_decay(
        self, var_list: Iterable[Variable] | None = None, var_names: Iterable[str] | None = None
    ) -> None:
        """Keeps variables from being decayed: those listed, and those whose name has a match of one of the patterns.

        Raises:
            ConfigError: the optimizer is built already.
        """
        if self.built:
            raise ConfigError("`exclude_from_weight_decay()` can only be configured before the optimizer is built.")
        self._not_decayed = ByVariable.fromkeys(var_list or ())
        self._not_decayed_names = list(var_names or ())

    def _use_weight_decay(self, variable: Variable) -> bool:
        named = any(re.search(pattern, variable.name) for pattern in self._not_decayed_names)
        return not named and variable not in self._not_decayed

    # -- moving averages of the variables ----------------------------------------------------------------------------

    def _update_averages(self) -> None:
        # The first average is the variable itself.
        started = ops.not_equal(self.iterations, 0)
        for variable in self._trainable:
            average = self.slot(variable, "average")
            momentum = ops.cast(started, variable.dtype) * self.ema_momentum
            average.assign(momentum * average + (1.0 - momentum) * variable)
        if self.ema_overwrite_frequency:
            due = ops.equal(ops.mod(ops.add(self.iterations, 1), self.ema_overwrite_frequency), 0)
            where_true(due, lambda: overwrite(self._own_averages(self._trainable)))

    @property
    def keeps_averages(self) -> bool:
        """Whether moving averages of variables are kept, here or inside."""
        return self.use_ema or any(one.keeps_averages for one in self.inner_optimizers)

    def averages(self, variables: Sequence[Variable]) -> list[tuple[Variable, Variable]]:
        """Returns variables with the averages that are kept of them, where averages are kept and a step was made."""
        found = [pair for one in self.inner_optimizers for pair in one.averages(variables)]
        return found + (self._own_averages(variables) if self._iterations.array else [])

    def _own_averages(self, variables: Sequence[Variable]) -> list[tuple[Variable, Variable]]:
        return [(v, self._slots[v, "average"]) for v in variables if (v, "average") in self._slots]

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Puts the moving averages in the variables' place, where averages are kept."""
        for variable in var_list if self.use_ema else ():
            if (variable, "average") not in self._slots:
                raise ConfigError(f"The optimizer keeps no average of {variable}: it was not built with it.")
        overwrite(self.averages(var_list))

    # -- configuration -----------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data."""
        rate = self._learning_rate
        shown = float(rate.array) if isinstance(rate, Variable) else serialize(rate)
        names = [*BaseArguments.__annotations__, *self._arguments]
        values = {
            name: serialize(getattr(self, name, self._arguments.get(name))) for name in names if name != "learning_rate"
        }
        return {"name": self.name, "learning_rate": shown} | values

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
