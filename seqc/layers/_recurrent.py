"""What recurrent layers share: the cell with its weights, and running it over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from seqc import activations, constraints, file_scope, initializers, ops, regularizers
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Graph, Type, Value, apply_many, as_value, constant, input_value
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer
from seqc.layers.regularization import drop
from seqc.ops._gates import GATES
from seqc.ops._recurrent import Recurrent as RecurrentOp
from seqc.ops.rnn import recurrent
from seqc.ops.scan import Scan
from seqc.ops.slicing import slice_axis
from seqc.tracing import Trace, Variable, current_trace, traced

# What becomes of an argument, by the last word of its name.
_CONVERTED: dict[str, Callable[[Any], Any]] = {
    "units": int,
    "activation": activations.get,
    "initializer": initializers.get,
    "regularizer": regularizers.get,
    "constraint": constraints.get,
    "dropout": lambda rate: min(1.0, max(0.0, rate)),
}


def taken(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the named arguments of a constructor, given its `locals()`."""
    return {name: value for name, value in variables.items() if name not in ("self", "kwargs", "__class__")}


class Cell(Layer):
    """One step of a recurrent layer.

    Args:
        given: the arguments that become attributes of the same names.
    """

    operation: ClassVar[type[RecurrentOp]]
    # Attributes that name functions of the step, under the names that the fused operation gives them.
    functions: ClassVar[tuple[str, ...]] = ("activation", "recurrent_activation")
    units: int
    use_bias: bool
    dropout: float
    recurrent_dropout: float
    seed: int | None
    activation: Callable[[Value], Value]
    recurrent_activation: Callable[[Value], Value]
    bias_initializer: Any

    def __init__(self, given: dict[str, Any], **kwargs: Any) -> None:
        units = given["units"]
        if not hasattr(units, "__index__") or units <= 0:
            raise ConfigError(
                f"Received an invalid value for argument `units`, expected a positive integer, got {units}."
            )
        super().__init__(**kwargs)
        for name, value in given.items():
            setattr(self, name, _CONVERTED.get(name.rsplit("_", 1)[-1], lambda v: v)(value))
        states = self.operation.states
        self.state_size = self.units if states == 1 else [self.units] * states
        self.output_size = self.units

    def build(self, input_shape: KerasShape) -> None:
        columns = self.operation.gates * self.units
        self.kernel = self._weight("kernel", (input_shape[-1], columns))
        self.recurrent_kernel = self._weight("recurrent_kernel", (self.units, columns))
        self.bias = self._weight("bias", self._bias_shape()) if self.use_bias else None

    def _weight(self, name: str, shape: tuple[int | None, ...]) -> Variable:
        kind = name.removesuffix("_kernel")
        return self.add_weight(
            shape,
            self._start_bias if name == "bias" else getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            name=name,
        )

    def _start_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return self.bias_initializer(shape, dtype)

    def attributes(self) -> dict[str, Any]:
        """Returns what the fused operation must know beside the activations."""
        return {}

    def _bias_shape(self) -> tuple[int, ...]:
        return self.operation(**self.attributes()).bias_shape(self.units)

    def bias_value(self) -> Value:
        """Returns the bias, zeros where there is none."""
        return constant(np.zeros(self._bias_shape(), self.dtype)) if self.bias is None else self.bias.to_value()

    def gates_of(self, x: Value) -> Value:
        """Returns what the input adds to the gates before their activations, (..., gates · units)."""
        return ops.matmul(x, self.kernel) + self.bias_value()

    def step(self, z: Value, states: Sequence[Value], kept: list[Value] | None = None) -> list[Value]:
        """Returns the new states, the first of which is the output.

        Args:
            z: what the input adds to the gates. kept: recurrent dropout's factor of the hidden state for each gate.
        """
        raise ConfigError(f"{type(self).__name__} does not define step(self, z, states).")

    def from_state(self, h: Value, kept: list[Value] | None) -> list[Value]:
        """Returns what the hidden state adds to each gate, (batch, units)."""
        gates = self.operation.gates
        if kept is None:
            return ops.split(ops.matmul(h, self.recurrent_kernel), gates, axis=-1)
        columns = ops.split(self.recurrent_kernel, gates, axis=1)
        return [ops.matmul(h * k, w) for k, w in zip(kept, columns, strict=True)]

    def recurrent_factors(self, h: Value) -> list[Value]:
        """Returns recurrent dropout's factor of h for each gate, the same for all steps."""
        one, rate = ops.ones_like(h), self.recurrent_dropout
        return [drop(one, rate, h, self.seed, self.name, stream=1 + gate) for gate in range(self.operation.gates)]

    def fused_names(self) -> dict[str, str] | None:
        """Returns the activations as the fused operation calls them, or None where it does not know one."""
        names = {attribute: gate_name(getattr(self, attribute)) for attribute in self.functions}
        known = {attribute: name for attribute, name in names.items() if name is not None}
        return known if len(known) == len(names) else None

    def __call__(self, x: Any, states: Any, training: bool = False) -> tuple[Value, list[Value]]:
        """Applies the cell to one step: (output, new states)."""
        value = as_value(x)
        before = [as_value(s) for s in (states if isinstance(states, list | tuple) else (states,))]
        self.ensure_built(value)
        if training and self.dropout:
            value = drop(value, self.dropout, value, self.seed, self.name)
        kept = self.recurrent_factors(before[0]) if training and self.recurrent_dropout else None
        after = self.step(self.gates_of(value), before, kept)
        return after[0], after


class RecurrentLayer(Layer):
    """A cell applied to every step of a sequence.

    Args:
        given: the arguments of the layer; those of the cell are handed on to it.
    """

    cell_class: ClassVar[Callable[..., Cell]]
    cell_name: ClassVar[str]
    supports_masking = True
    input_rank = 3
    inert: ClassVar[dict[str, tuple[Any, ...]]] = {"stateful": (False,), "time_major": (False,)}

    def __init__(self, given: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(activity_regularizer=given.pop("activity_regularizer"), **kwargs)
        self.return_sequences: bool = given.pop("return_sequences")
        self.return_state: bool = given.pop("return_state")
        self.go_backwards: bool = given.pop("go_backwards")
        self.unroll: bool = given.pop("unroll")
        self.zero_output_for_mask: bool = given.pop("zero_output_for_mask")
        make = type(self).cell_class
        self.cell = make(**given, dtype=self.dtype, trainable=self.trainable, name=self.cell_name)

    def __getattr__(self, name: str) -> Any:
        # The cell holds the arguments that describe it.
        cell = self.__dict__.get("cell")
        if cell is not None and name in cell._arguments:
            return getattr(cell, name)
        return super().__getattr__(name)  # type: ignore[misc]  # the base hides it from type checkers

    def build(self, input_shape: KerasShape) -> None:
        if not self.cell.built:
            self.cell.build((input_shape[0], *input_shape[2:]))
        self._input_sizes = {2: self.cell.kernel.shape[0]}

    def call(
        self, x: Any, training: bool = False, mask: Value | None = None, initial_state: Any = None
    ) -> Value | tuple[Value, ...]:
        value, cell = as_value(x), self.cell
        if self.unroll and value.shape[1] is None:
            raise ShapeError("Cannot unroll a RNN if the time dimension is undefined. Give Input(shape=(steps, ...)).")
        mask = None if mask is None else ops.cast(mask, "bool")
        state = self._as_states(initial_state)
        if training and cell.dropout:
            value = drop(value, cell.dropout, slice_axis(value, 1, 0, 1), cell.seed, self.name)
        names = cell.fused_names()
        zero_output = self.zero_output_for_mask and mask is not None
        if names is None or (training and cell.recurrent_dropout):
            learning = (trace := current_trace()) is not None and trace.training
            if learning:  # a gradient may be asked for
                outputs, *last = self._unrolled(value, state, mask, training)
            else:
                outputs, *last = self._scanned(value, state, mask)
        else:
            attributes = {**names, **cell.attributes(), "reverse": self.go_backwards, "zero_output": zero_output}
            weights = (cell.kernel.to_value(), cell.recurrent_kernel.to_value(), cell.bias_value())
            outputs, *last = recurrent(cell.operation, value, *weights, state, mask, **attributes)
        y = outputs if self.return_sequences else outputs[:, -1] if zero_output else last[0]
        return (y, *last) if self.return_state else y

    def _as_states(self, given: Any) -> list[Value] | None:
        if given is None:
            return None
        listed = given if isinstance(given, list | tuple) else (given,)
        wanted = self.cell.operation.states
        if len(listed) != wanted:
            raise ShapeError(
                f"{type(self).__name__} has {wanted} state{'s' * (wanted > 1)} (batch, units); got {len(listed)} in "
                "initial_state."
            )
        return [ops.cast(s, self.dtype) for s in listed]

    def _unrolled(self, x: Value, state: list[Value] | None, mask: Value | None, training: bool) -> tuple[Value, ...]:
        """Runs step by step, for what the fused operation does not know."""
        steps, cell = x.shape[1], self.cell
        if steps is None:
            raise ShapeError(
                f"With recurrent_dropout, or an activation other than {', '.join(GATES)}, {type(self).__name__} runs "
                f"step by step and must know how many steps there are; got {x.type}. Give Input(shape=(steps, "
                "features))."
            )
        file_scope.count_calls(steps, self.name)
        z = cell.gates_of(x)
        out = ops.zeros_like(z[:, 0, : cell.units])
        states = state or [out] * cell.operation.states
        kept = cell.recurrent_factors(states[0]) if training and cell.recurrent_dropout else None
        outputs = []
        for t in reversed(range(steps)) if self.go_backwards else range(steps):
            new = cell.step(z[:, t], states, kept)
            if mask is None:
                states, out = new, new[0]
            else:
                valid = mask[:, t : t + 1]
                out = ops.where(valid, new[0], 0.0 if self.zero_output_for_mask else out)
                states = [ops.where(valid, a, old) for a, old in zip(new, states, strict=True)]
            outputs.append(out)
        return ops.stack(outputs, 1), *states

    def _scanned(self, x: Value, state: list[Value] | None, mask: Value | None) -> tuple[Value, ...]:
        """Says a step once, where no gradient passes through it."""
        cell, count = self.cell, self.cell.operation.states
        z = ops.transpose(cell.gates_of(x), (1, 0, 2))
        nothing = ops.zeros_like(z[0, :, : cell.units])
        states, sequences = state or [nothing] * count, [z]
        repeats = mask is not None and not self.zero_output_for_mask
        if mask is not None:
            sequences.append(ops.expand_dims(ops.transpose(mask), 2))
            states = [*states, nothing] if repeats else states

        def step(before: list[Value], now: list[Value]) -> list[Value]:
            new = cell.step(now[0], before[:count])
            if len(now) == 1:
                return [*new, new[0]]
            out = ops.where(now[1], new[0], before[-1] if repeats else 0.0)
            new = [ops.where(now[1], a, old) for a, old in zip(new, before, strict=False)]
            return [*new, out, out] if repeats else [*new, out]

        *last, outputs = scan(step, states, sequences, self.go_backwards)
        return ops.transpose(outputs, (1, 0, 2)), *last[:count]

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        return mask if self.return_sequences else None

    def input_hint(self, x: Type) -> str:
        if x.rank != 2:
            return ""
        return (
            " It runs over time: give a recurrent layer before it return_sequences=True, or put Reshape((steps, "
            "features)) before it."
        )


def scan(
    step: Callable[[list[Value], list[Value]], list[Value]],
    states: Sequence[Value],
    sequences: Sequence[Value],
    reverse: bool,
) -> tuple[Value, ...]:
    """Returns the last states and the outputs (time, ...) of a step that is run along sequences (time, ...).

    Args:
        step: from states and one step of each sequence to the new states and an output like the first state.
    """
    handed = [input_value(f"state_{i}", s.dtype, s.type.shape) for i, s in enumerate(states)]
    handed += [input_value(f"step_{i}", s.dtype, s.type.shape[1:]) for i, s in enumerate(sequences)]
    trace = Trace()
    outputs = traced(trace, step, handed[: len(states)], handed[len(states) :])
    names = (*(f"next_{i}" for i in range(len(states))), "output")
    body = Graph((*handed, *trace.reads.values()), tuple(outputs), names)
    around = [variable.to_value() for variable in trace.reads]
    return apply_many(Scan(body, len(states), len(sequences), reverse), *states, *sequences, *around)


def gate_name(function: Any) -> str | None:
    """Returns the name under which the fused operations know an activation, or None."""
    name = getattr(function, "__name__", "")
    return name if name in GATES and activations.FUNCTIONS.get(name) is function else None
