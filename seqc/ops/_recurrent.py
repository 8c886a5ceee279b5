"""What the recurrent operations share: a whole sequence is one operation, and so is its gradient.

A subclass says what one step computes; running over time, masks and states are said here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph.equal_sizes import check_equal
from seqc.graph.ir import Array, Op, Sizes, Type, Value, apply_many
from seqc.ops._cell_steps import Activation
from seqc.ops._common import check_count, check_float, check_rank, check_same_dtype
from seqc.ops._gates import GATES

if TYPE_CHECKING:
    from seqc.ops._recurrent_grad import RecurrentGrad


@dataclass(frozen=True, repr=False, eq=False)
class Recurrent(Op):
    """A sequence run through gates, step by step.

    Operands: x (batch, time, features), kernel (features, gates · units), recurrent kernel (units, gates · units),
    bias, then the initial states (batch, units) if `has_state`, then a boolean mask (batch, time) if `has_mask`.

    Results: outputs (batch, time, units) in the order of processing, and the last states (batch, units). A masked step
    keeps the states and repeats the output before it (zeros at the start), or gives zeros if `zero_output`.

    Attributes:
        gates: how many blocks of columns the kernels have. states: how many states. parts: how many blocks a step
        computes that its gradient reads.
        mixing: operations of a step for each unit besides the products. onnx: ONNX's operator. onnx_gates: Keras's
        gates in ONNX's order.
    """

    activation: str = "tanh"
    reverse: bool = False
    has_state: bool = False
    has_mask: bool = False
    zero_output: bool = False

    sequential = True
    gates: ClassVar[int]
    states: ClassVar[int]
    parts: ClassVar[int]
    mixing: ClassVar[int]
    onnx: ClassVar[str]
    onnx_gates: ClassVar[tuple[int, ...]]

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the activations, in ONNX's order."""
        return (self.activation,)

    def bias_shape(self, units: int) -> tuple[int, ...]:
        return (self.gates * units,)

    def onnx_attributes(self) -> dict[str, Any]:
        """Returns what ONNX must be told beside sizes, direction and activations."""
        return {}

    def unpack(self, operands: Sequence[Any]) -> tuple[Any, Any, Any, Any, tuple[Any, ...], Any]:
        """Returns x, kernel, recurrent kernel, bias, the initial states, none where they are zero, and the mask."""
        x, w, r, b = operands[:4]
        states = tuple(operands[4 : 4 + self.states]) if self.has_state else ()
        return x, w, r, b, states, operands[-1] if self.has_mask else None

    def infer(self, *types: Type) -> tuple[Type, ...]:
        for name in self.functions:
            if name not in GATES:
                raise ConfigError(f"{self.name} has no fused activation {name!r}; it knows {', '.join(GATES)}.")
        check_count(self, types, 4 + self.states * self.has_state + self.has_mask)
        x, w, r, b, states, mask = self.unpack(types)
        check_rank(self, x, 3)
        check_float(self, x)
        check_same_dtype(self, x, w, r, b, *states)
        batch, time, features = x.shape
        units = r.shape[0]
        columns = self.gates * units
        if (w.shape, r.shape, b.shape) != ((features, columns), (units, columns), self.bias_shape(units)):
            raise ShapeError(f"{self.name} of {units} units cannot apply {w}, {r}, {b} to {x}.")
        last = x.with_shape((batch, units))
        if any(state != last for state in states):
            raise ShapeError(f"{self.name} needs initial states {last}; got {' and '.join(map(str, states))}.")
        if mask is not None:
            message = f"{self.name} needs a mask bool[{batch}, {time}]; got {mask}."
            if (mask.dtype, mask.rank) != ("bool", 2):
                raise ShapeError(message)
            check_equal((batch, time), mask.shape, message)
        return x.with_shape((batch, time, units)), *[last] * self.states

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.work_of(inputs[0], inputs[2][0])

    def work_of(self, x: Sizes, units: int) -> int:
        """Returns the operations for an input (batch, time, features) of so many units."""
        batch, time, features = x
        return batch * time * units * (2 * self.gates * (features + units) + self.mixing)

    def eval(self, *arrays: Array) -> Any:
        return self.run(*arrays)[: 1 + self.states]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        """Returns the results and, time first, what the gradient reads of the steps.

        `fed` (time, batch, features + units + 1) is the input of each step, the hidden state before it and a one, which
        is what the kernels and the bias are multiplied with; `kept` (time, parts, batch, units) what it has computed.
        """
        x, w, r, b, states, mask = self.unpack(arrays)
        x, mask = self.in_order(x), None if mask is None else self.in_order(mask)
        batch, time, features = x.shape
        units = r.shape[0]
        zero = np.zeros((batch, units), x.dtype)
        states = states or (zero,) * self.states
        fed = np.ones((time, batch, features + units + 1), x.dtype)
        fed[:, :, :features] = np.swapaxes(x, 0, 1)
        kept = np.empty((time, self.parts, batch, units), x.dtype)
        outputs = np.empty((batch, time, units), x.dtype)
        projected, out = x @ w, zero
        for t in range(time):
            fed[t, :, features:-1] = states[0]
            new = self.step(projected[:, t], states, r, b, kept[t])
            if mask is None:
                states, out = new, new[0]
            else:
                m = mask[:, t, None]
                states = tuple(np.where(m, a, old) for a, old in zip(new, states, strict=True))
                out = np.where(m, new[0], zero if self.zero_output else out)
            outputs[:, t] = out
        return outputs, *states, fed, kept

    def step(self, z: Array, states: Any, r: Array, b: Array, kept: Array) -> tuple[Array, ...]:
        """Returns the new states.

        Args:
            z: the product of the input and the kernel. kept: to be filled with what the gradient needs.
        """
        raise NotImplementedError(f"{self.name}.step")

    def step_values(
        self, z: Value, states: Sequence[Value], weights: Sequence[Value], functions: Sequence[Activation]
    ) -> list[Value]:
        """Returns the new states, in simpler operations.

        Args:
            z: the product of the input and the kernel, the input's bias added. weights: the recurrent kernel, and the
            bias of the state's product where there is one. functions: the activations, see `functions`.
        """
        raise NotImplementedError(f"{self.name}.step_values")

    def in_order(self, x: Array) -> Array:
        """Returns something (batch, time, ...) in the order of processing, or back in that of time."""
        return x[:, ::-1] if self.reverse else x

    def gradient(self, given: tuple[bool, ...]) -> RecurrentGrad:
        """Returns the operation that gives the gradients of the operands; see `RecurrentGrad`."""
        raise NotImplementedError(f"{self.name}.gradient")

    def vjp(self, g: Any, y: Value, *xs: Value) -> Sequence[Value | None]:
        op = self.gradient(tuple(part is not None for part in g))
        grads = apply_many(op, *xs, *(part for part in g if part is not None))
        return (*grads, None) if self.has_mask else grads
