"""The long short-term memory (Hochreiter and Schmidhuber, 1997) as a layer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from seqc import activations, constraints, initializers, ops, regularizers
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Array, Type, Value, as_value, constant
from seqc.layers._common import KerasShape
from seqc.layers.base import Layer
from seqc.layers.regularization import drop
from seqc.ops._gates import GATES
from seqc.ops.slicing import slice_axis
from seqc.serialization import known


@known("layers")
class LSTMCell(Layer):
    """One step of an LSTM; `LSTM` keeps its weights in one.

    Args: as in `LSTM`.

    Shapes: x (batch, features) and states h, c (batch, units) to output (batch, units) and new states; kernel
    (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units,), gates in the order input, forget, cell,
    output.
    """

    inert: ClassVar[dict[str, tuple[Any, ...]]] = {"implementation": (2, 1, 0)}

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        if not hasattr(units, "__index__") or units <= 0:
            raise ConfigError(
                f"Received an invalid value for argument `units`, expected a positive integer, got {units}."
            )
        super().__init__(**kwargs)
        self.units, self.use_bias, self.unit_forget_bias, self.seed = int(units), use_bias, unit_forget_bias, seed
        self.activation = activations.get(activation)
        self.recurrent_activation = activations.get(recurrent_activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self.state_size = [self.units, self.units]
        self.output_size = self.units

    def build(self, input_shape: KerasShape) -> None:
        self.kernel = self.add_weight(
            (input_shape[-1], 4 * self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.recurrent_kernel = self.add_weight(
            (self.units, 4 * self.units),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
            name="recurrent_kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (4 * self.units,),
                self._start_bias if self.unit_forget_bias else self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )

    def _start_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        # A forget gate that starts open keeps what the state holds (Jozefowicz et al., 2015).
        units = self.units
        parts = (
            self.bias_initializer((units,), dtype),
            np.ones(units, dtype),
            self.bias_initializer((2 * units,), dtype),
        )
        return np.concatenate(parts)

    def bias_value(self) -> Value:
        """Returns the bias, zeros where there is none."""
        return constant(np.zeros(4 * self.units, self.dtype)) if self.bias is None else self.bias.to_value()

    def gates_of(self, x: Value) -> Value:
        """Returns what the input adds to the gates before their activations, (..., 4 units)."""
        return ops.matmul(x, self.kernel) + self.bias_value()

    def step(self, z: Value, h: Value, c: Value, kept: list[Value] | None = None) -> tuple[Value, Value]:
        """Returns the new states, given what the input adds to the gates.

        Args:
            kept: recurrent dropout's factor of h for each gate.
        """
        if kept is None:
            z = z + ops.matmul(h, self.recurrent_kernel)
        else:
            columns = ops.split(self.recurrent_kernel, 4, axis=1)
            z = z + ops.concatenate([ops.matmul(h * k, w) for k, w in zip(kept, columns, strict=True)], -1)
        i, f, g, o = ops.split(z, 4, axis=-1)
        inner = self.recurrent_activation
        new_c = inner(f) * c + inner(i) * self.activation(g)
        return inner(o) * self.activation(new_c), new_c

    def recurrent_factors(self, h: Value) -> list[Value]:
        """Returns recurrent dropout's factor of h for each gate, the same for all steps."""
        one, rate = ops.ones_like(h), self.recurrent_dropout
        return [drop(one, rate, h, self.seed, self.name, stream=gate) for gate in range(1, 5)]

    def __call__(self, x: Any, states: Any, training: bool = False) -> tuple[Value, list[Value]]:  # type: ignore[override]
        """Applies the cell to one step: (output, [h, c])."""
        value, (h, c) = as_value(x), (as_value(s) for s in states)
        self.ensure_built(value)
        if training and self.dropout:
            value = drop(value, self.dropout, value, self.seed, self.name)
        kept = self.recurrent_factors(h) if training and self.recurrent_dropout else None
        new_h, new_c = self.step(self.gates_of(value), h, c, kept)
        return new_h, [new_h, new_c]


@known("layers")
class LSTM(Layer):
    """A recurrent layer with input, forget and output gates.

    Args:
        units: size of output and states. activation: of cell candidate and output. recurrent_activation: of the gates.
        use_bias: whether there is a bias. unit_forget_bias: start the forget gate's bias at 1.
        kernel_initializer, recurrent_initializer, bias_initializer and the regularizers and constraints: as in `Dense`.
        dropout, recurrent_dropout: in training, the part of inputs and of states to drop, alike for all steps.
        seed: makes dropout independent of the global seed. return_sequences: give all outputs, not only the last.
        return_state: also give the last h and c; not inside Sequential. go_backwards: from the last step to the first.
        unroll: accepted; the steps run in one operation either way. zero_output_for_mask: outputs of masked steps are 0
        instead of the output before them.

    Shapes: (batch, time, features) to (batch, units), or (batch, time, units) with return_sequences. A mask is
    (batch, time); a masked step keeps the states.
    """

    supports_masking = True
    input_rank = 3
    inert: ClassVar[dict[str, tuple[Any, ...]]] = {
        "stateful": (False,),
        "use_cudnn": ("auto", True, False),
        "implementation": (2, 1, 0),
        "time_major": (False,),
    }

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.return_sequences, self.return_state = return_sequences, return_state
        self.go_backwards, self.unroll, self.zero_output_for_mask = go_backwards, unroll, zero_output_for_mask
        self.cell = LSTMCell(
            units,
            activation,
            recurrent_activation,
            use_bias,
            kernel_initializer,
            recurrent_initializer,
            bias_initializer,
            unit_forget_bias,
            kernel_regularizer,
            recurrent_regularizer,
            bias_regularizer,
            kernel_constraint,
            recurrent_constraint,
            bias_constraint,
            dropout,
            recurrent_dropout,
            seed,
            dtype=self.dtype,
            trainable=self.trainable,
            name="lstm_cell",
        )

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
        state = None if initial_state is None else [ops.cast(s, self.dtype) for s in initial_state]
        if training and cell.dropout:
            value = drop(value, cell.dropout, slice_axis(value, 1, 0, 1), cell.seed, self.name)
        names = [_gate_name(f) for f in (cell.activation, cell.recurrent_activation)]
        if None in names or (training and cell.recurrent_dropout):
            outputs, h, c = self._unrolled(value, state, mask, training)
        else:
            outputs, h, c = ops.lstm(
                value,
                cell.kernel.to_value(),
                cell.recurrent_kernel.to_value(),
                cell.bias_value(),
                state,
                mask,
                activation=names[0],
                recurrent_activation=names[1],
                reverse=self.go_backwards,
                zero_output=self.zero_output_for_mask and mask is not None,
            )
        y = outputs if self.return_sequences else h
        if not self.return_sequences and self.zero_output_for_mask and mask is not None:
            y = outputs[:, -1]
        return (y, h, c) if self.return_state else y

    def _unrolled(
        self, x: Value, state: list[Value] | None, mask: Value | None, training: bool
    ) -> tuple[Value, Value, Value]:
        """Runs step by step, for what the fused operation does not know."""
        steps = x.shape[1]
        if steps is None:
            raise ShapeError(
                f"With recurrent_dropout, or an activation other than {', '.join(GATES)}, LSTM runs step by step and "
                f"must know how many steps there are; got {x.type}. Give Input(shape=(steps, features))."
            )
        z = self.cell.gates_of(x)
        h = c = out = ops.zeros_like(ops.split(z[:, 0], 4, axis=-1)[0])
        if state is not None:
            h, c = state
        kept = self.cell.recurrent_factors(h) if training and self.cell.recurrent_dropout else None
        outputs = []
        for t in reversed(range(steps)) if self.go_backwards else range(steps):
            new_h, new_c = self.cell.step(z[:, t], h, c, kept)
            if mask is None:
                h, c, out = new_h, new_c, new_h
            else:
                valid = mask[:, t : t + 1]
                out = ops.where(valid, new_h, 0.0 if self.zero_output_for_mask else out)
                h, c = ops.where(valid, new_h, h), ops.where(valid, new_c, c)
            outputs.append(out)
        return ops.stack(outputs, 1), h, c

    def compute_mask(self, inputs: Any, mask: Value | None = None) -> Value | None:
        return mask if self.return_sequences else None

    def input_hint(self, x: Type) -> str:
        if x.rank != 2:
            return ""
        return (
            " It runs over time: give a recurrent layer before it return_sequences=True, or put Reshape((steps, "
            "features)) before it."
        )


def _gate_name(function: Any) -> str | None:
    """Returns the name under which the fused operation knows an activation, or None."""
    name = getattr(function, "__name__", "")
    return name if name in GATES and activations.FUNCTIONS.get(name) is function else None
