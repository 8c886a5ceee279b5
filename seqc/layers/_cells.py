"""Cells: one step of a recurrent layer, and the weights of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from seqc import activations, ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value, constant
from seqc.layers._arguments import BiasArguments, KernelArguments
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer
from seqc.layers.regularization import drop
from seqc.ops._gates import GATES
from seqc.ops._recurrent import Recurrent as RecurrentOp


class SteppedCell(Layer):
    """One step of a recurrent layer, taken from what the input adds to the gates, which is known for all steps at once.

    The first of the new states is the output.
    """

    dropout: float
    recurrent_dropout: float
    seed: int | None

    def step(self, z: Value, states: Sequence[Value], kept: list[Value] | None = None) -> list[Value]:
        """Returns the new states, the first of which is the output.

        Args:
            z: what the input adds to the gates. kept: recurrent dropout's factor of the hidden state for each gate.
        """
        raise ConfigError(f"{type(self).__name__} does not define step(self, z, states).")

    def dropped_gates(self) -> int:
        """Returns how many gates recurrent dropout draws a mask for."""
        raise NotImplementedError(f"{type(self).__name__}.dropped_gates")

    def recurrent_factors(self, h: Value) -> list[Value]:
        """Returns recurrent dropout's factor of h for each gate, the same for all steps."""
        one, rate = ops.ones_like(h), self.recurrent_dropout
        return [drop(one, rate, h, self.seed, self.name, stream=1 + gate) for gate in range(self.dropped_gates())]


class Cell(KernelArguments, BiasArguments, SteppedCell):
    """A cell whose states are vectors. A subclass keeps its arguments."""

    operation: ClassVar[type[RecurrentOp]]
    # Attributes that name functions of the step, under the names that the fused operation gives them.
    functions: ClassVar[tuple[str, ...]] = ("activation", "recurrent_activation")
    units: int
    use_bias: bool
    activation: Callable[[Value], Value]
    recurrent_activation: Callable[[Value], Value]
    recurrent_initializer: Any
    recurrent_regularizer: Any
    recurrent_constraint: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropout, self.recurrent_dropout = (min(1.0, max(0.0, r)) for r in (self.dropout, self.recurrent_dropout))
        states = self.operation.states
        self.state_size = self.units if states == 1 else [self.units] * states
        self.output_size = self.units

    def build(self, input_shape: KerasShape) -> None:
        columns = self.operation.gates * self.units
        self.kernel = self._add_described_weight("kernel", (input_shape[-1], columns))
        self.recurrent_kernel = self._add_described_weight("recurrent_kernel", (self.units, columns))
        self.bias = None
        if self.use_bias:
            start = None if self.bias_initializer is None else self._start_bias
            self.bias = self._add_described_weight("bias", self._bias_shape(), initializer=start)

    def _start_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return self.bias_initializer(shape, dtype)

    def attributes(self) -> dict[str, Any]:
        """Returns what the fused operation must know beside the activations."""
        return {}

    def _bias_shape(self) -> tuple[int, ...]:
        return self.operation(**self.attributes()).bias_shape(self.units)

    def bias_value(self) -> Value:
        """Returns the bias, zeros where there is none."""
        return constant(np.zeros(self._bias_shape(), self.compute_dtype)) if self.bias is None else self.bias.to_value()

    def gates_of(self, x: Value) -> Value:
        """Returns what the input adds to the gates before their activations, (..., gates · units)."""
        return ops.matmul(x, self.kernel) + self.bias_value()

    def from_state(self, h: Value, kept: list[Value] | None) -> list[Value]:
        """Returns what the hidden state adds to each gate, (batch, units)."""
        gates = self.operation.gates
        if kept is None:
            return ops.split(ops.matmul(h, self.recurrent_kernel), gates, axis=-1)
        columns = ops.split(self.recurrent_kernel, gates, axis=1)
        return [ops.matmul(h * k, w) for k, w in zip(kept, columns, strict=True)]

    def dropped_gates(self) -> int:
        return self.operation.gates

    def fused_names(self) -> dict[str, str] | None:
        """Returns the activations as the fused operation calls them, or None where it does not know one."""
        names = {attribute: gate_name(getattr(self, attribute)) for attribute in self.functions}
        known = {attribute: name for attribute, name in names.items() if name is not None}
        return known if len(known) == len(names) else None

    def get_initial_state(self, batch_size: Any = None) -> list[Value]:
        """Returns zeros for each state (batch, units).

        Args:
            batch_size: a number, or what `ops.shape` gives.
        """
        return [ops.zeros((batch_size, self.units), self.compute_dtype)] * self.operation.states

    def __call__(self, x: Any, states: Any, training: bool = False) -> tuple[Value, Any]:
        """Applies the cell to one step: (output, new states), these as a list where they came as one."""
        value, listed = as_value(x), isinstance(states, list | tuple)
        before = [as_value(s) for s in (states if listed else (states,))]
        self.ensure_built(value)
        if training and self.dropout:
            value = drop(value, self.dropout, value, self.seed, self.name)
        kept = self.recurrent_factors(before[0]) if training and self.recurrent_dropout else None
        after = self.step(self.gates_of(value), before, kept)
        return after[0], after if listed else after[0]


def forget_gate_open(initializer: Callable[..., Any], units: int, dtype: Any) -> Any:
    """Returns the first bias of an LSTM: ones for the forget gate, the second of four.

    A forget gate that starts open keeps what the state holds (Jozefowicz et al., 2015).
    """
    return np.concatenate([initializer((units,), dtype), np.ones(units, dtype), initializer((2 * units,), dtype)])


def gate_name(function: Any) -> str | None:
    """Returns the name under which the fused operations know an activation, or None."""
    name = getattr(function, "__name__", "")
    return name if name in GATES and activations.FUNCTIONS.get(name) is function else None
