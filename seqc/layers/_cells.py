"""Cells: one step of a recurrent layer, and the weights of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import numpy as np

from seqc import activations, ops
from seqc.contexts import Scoped
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value, constant
from seqc.graph.tracing import require_trace
from seqc.layers._arguments import BiasArguments, KernelArguments
from seqc.layers._cell_states import is_own, state_shapes
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
    # Methods that say what a step is.
    saying: ClassVar[tuple[str, ...]] = ("call", "step", "gates_of")

    def is_plain(self) -> bool:
        """Tells whether a step is what seqc says, and not what somebody wrote in a subclass."""
        return is_own(self, *self.saying)

    def call(self, inputs: Any, states: Any, training: bool = False) -> tuple[Value, Any]:
        """Applies the cell to one step: (output, new states), these as a list where they came as one."""
        listed = isinstance(states, list | tuple)
        after = self.one_step(as_value(inputs), [as_value(s) for s in (states if listed else (states,))], training)
        return after[0], after if listed else after[0]

    def one_step(self, x: Value, states: list[Value], training: bool) -> list[Value]:
        """Returns the new states after one step."""
        raise NotImplementedError(f"{type(self).__name__}.one_step")

    def get_initial_state(self, batch_size: Any = None) -> list[Value]:
        """Returns zeros for each state.

        Args:
            batch_size: a number, or what `ops.shape` gives.
        """
        return [ops.zeros((batch_size, *shape), self.compute_dtype) for shape in state_shapes(self)]

    def as_computed(self, x: Value) -> Value:
        """Returns an input in what the cell computes in."""
        return self._cast_input(x)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The cell's weights are read inside as its own policy has them, whatever that of the layer around it is."""
        trace = require_trace(f"Cell '{self.name}'")
        with trace.reading_as(self._read_as(trace)):
            yield

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
        gates = range(self.dropped_gates())
        return self.drawn("states", h, lambda: [drop(one, rate, h, self.seed, self.name, 1 + gate) for gate in gates])

    def drawn(self, what: str, like: Value, draw: Callable[[], list[Value]]) -> list[Value]:
        """Returns random factors: those drawn before in `drawn_once`, so that all steps drop alike, or new ones."""
        known = _DRAWN.get()
        if known is None:
            return draw()
        key = (id(self), what, like.type)
        if key not in known:
            known[key] = draw()
        return known[key]


# What cells have drawn in the sequence that is being run; None outside of one.
_DRAWN: Scoped[dict[Any, list[Value]] | None] = Scoped("drawn", default=None)


def drawn_once() -> AbstractContextManager[object]:
    """Cells that are called inside drop alike in all their calls."""
    return _DRAWN.holding({})


class Cell(KernelArguments, BiasArguments, SteppedCell):
    """A cell whose states are vectors. A subclass keeps its arguments."""

    operation: ClassVar[type[RecurrentOp]]
    # Attributes that name functions of the step, under the names that the fused operation gives them.
    functions: ClassVar[tuple[str, ...]] = ("activation", "recurrent_activation")
    saying = (*SteppedCell.saying, "from_state", "bias_value", "one_step")
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

    def one_step(self, x: Value, states: list[Value], training: bool) -> list[Value]:
        if training and self.dropout:
            (factor,) = self.drawn("inputs", x, lambda: [drop(ops.ones_like(x), self.dropout, x, self.seed, self.name)])
            x = x * factor
        kept = self.recurrent_factors(states[0]) if training and self.recurrent_dropout else None
        return self.step(self.gates_of(x), states, kept)


def forget_gate_open(initializer: Callable[..., Any], units: int, dtype: Any) -> Any:
    """Returns the first bias of an LSTM: ones for the forget gate, the second of four.

    A forget gate that starts open keeps what the state holds (Jozefowicz et al., 2015).
    """
    return np.concatenate([initializer((units,), dtype), np.ones(units, dtype), initializer((2 * units,), dtype)])


def gate_name(function: Any) -> str | None:
    """Returns the name under which the fused operations know an activation, or None."""
    name = getattr(function, "__name__", "")
    return name if name in GATES and activations.FUNCTIONS.get(name) is function else None
