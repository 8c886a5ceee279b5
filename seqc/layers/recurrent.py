"""Recurrent layers: the fully connected one, the gated recurrent unit and the long short-term memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc import ops
from seqc.errors import ConfigError
from seqc.graph.ir import Value
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._cells import Cell, forget_gate_open
from seqc.layers._recurrent import RecurrentLayer
from seqc.ops import rnn
from seqc.ops._cell_steps import gru_step, lstm_step

# Ways of Keras to compute the same.
IMPLEMENTATION: dict[str, tuple[Any, ...]] = {"implementation": (2, 1, 0)}
GATED = RecurrentLayer.inert | IMPLEMENTATION | {"use_cudnn": ("auto", True, False)}


@known("layers")
class SimpleRNNCell(Cell):
    """One step of a `SimpleRNN`, which keeps its weights in one.

    Args: as in `SimpleRNN`.

    Shapes: x (batch, features) and state h (batch, units) to output (batch, units) and the new state; kernel (features,
    units), recurrent_kernel (units, units), bias (units,).
    """

    operation = rnn.SimpleRNN
    functions = ("activation",)

    @keep_arguments
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        super().__init__(**kwargs)

    def step(self, z: Value, states: Sequence[Value], kept: list[Value] | None = None) -> list[Value]:
        (added,) = self.from_state(states[0], kept)
        return [self.activation(z + added)]


@known("layers")
class SimpleRNN(RecurrentLayer):
    """A fully connected recurrent layer.

    Each output is activation(x @ kernel + h @ recurrent_kernel + bias), h the output before it.

    Args:
        units: size of output and state. activation: of the output. use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer and the regularizers and constraints: as in `Dense`.
        dropout, recurrent_dropout: in training, the part of inputs and of states to drop, alike for all steps.
        return_sequences: give all outputs, not only the last. return_state: also give the last state; not inside
        Sequential. go_backwards: from the last step to the first. stateful: as in `RNN`. unroll: accepted; the steps
        run in one operation either way. seed: makes dropout independent of the global seed. zero_output_for_mask:
        outputs of masked steps are 0 instead of the output before them.

    Shapes: (batch, time, features) to (batch, units), or (batch, time, units) with return_sequences. A mask is
    (batch, time); a masked step keeps the state.
    """

    cell_class, cell_name = SimpleRNNCell, "simple_rnn_cell"

    @keep_arguments
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        *,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        if self.seed is None:
            # Keras does not write the seed of this layer.
            del config["seed"]
        return config


@known("layers")
class LSTMCell(Cell):
    """One step of an LSTM; `LSTM` keeps its weights in one.

    Args: as in `LSTM`.

    Shapes: x (batch, features) and states h, c (batch, units) to output (batch, units) and new states; kernel
    (features, 4 units), recurrent_kernel (units, 4 units), bias (4 units,), gates in the order input, forget, cell,
    output.
    """

    operation = rnn.LSTM
    inert = IMPLEMENTATION
    unit_forget_bias: bool

    @keep_arguments
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
        super().__init__(**kwargs)
        if self.use_bias and unit_forget_bias and self.bias_initializer is None:
            raise ConfigError("unit_forget_bias starts a part of the bias at 1; give bias_initializer for the rest.")

    def _start_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype)
        return forget_gate_open(self.bias_initializer, self.units, dtype)

    def step(self, z: Value, states: Sequence[Value], kept: list[Value] | None = None) -> list[Value]:
        h, c = states
        gates = [a + b for a, b in zip(ops.split(z, 4, axis=-1), self.from_state(h, kept), strict=True)]
        return lstm_step(gates, c, self.recurrent_activation, self.activation)


@known("layers")
class LSTM(RecurrentLayer):
    """A recurrent layer with input, forget and output gates.

    Args:
        units: size of output and states. activation: of cell candidate and output. recurrent_activation: of the gates.
        use_bias: whether there is a bias. unit_forget_bias: start the forget gate's bias at 1.
        kernel_initializer, recurrent_initializer, bias_initializer and the regularizers and constraints: as in `Dense`.
        dropout, recurrent_dropout: in training, the part of inputs and of states to drop, alike for all steps.
        seed: makes dropout independent of the global seed. return_sequences: give all outputs, not only the last.
        return_state: also give the last h and c; not inside Sequential. go_backwards: from the last step to the first.
        stateful: as in `RNN`. unroll: accepted; the steps run in one operation either way. zero_output_for_mask:
        outputs of masked steps are 0 instead of the output before them.

    Shapes: (batch, time, features) to (batch, units), or (batch, time, units) with return_sequences. A mask is
    (batch, time); a masked step keeps the states.

    Example:
        >>> x = np.zeros((2, 10, 4))  # two sequences of ten steps
        >>> seqc.layers.LSTM(3)(x).shape, seqc.layers.LSTM(3, return_sequences=True)(x).shape
        ((2, 3), (2, 10, 3))
    """

    cell_class, cell_name = LSTMCell, "lstm_cell"
    inert = GATED

    @keep_arguments
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
        stateful: bool = False,
        unroll: bool = False,
        *,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)


@known("layers")
class GRUCell(Cell):
    """One step of a GRU; `GRU` keeps its weights in one.

    Args: as in `GRU`.

    Shapes: x (batch, features) and state h (batch, units) to output (batch, units) and the new state; kernel
    (features, 3 units), recurrent_kernel (units, 3 units), bias (2, 3 units), of input and state, or (3 units,) without
    reset_after; gates in the order update, reset, candidate.
    """

    operation = rnn.GRU
    inert = IMPLEMENTATION
    reset_after: bool

    @keep_arguments
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def attributes(self) -> dict[str, Any]:
        return {"reset_after": self.reset_after}

    def gates_of(self, x: Value) -> Value:
        bias = self.bias_value()
        return ops.matmul(x, self.kernel) + (bias[0] if self.reset_after else bias)

    def step(self, z: Value, states: Sequence[Value], kept: list[Value] | None = None) -> list[Value]:
        (h,) = states
        of_x, of_h = ops.split(z, 3, axis=-1), self.from_state(h, kept)
        if self.reset_after:
            bias = ops.split(self.bias_value()[1], 3, axis=-1)
            of_h = [a + b for a, b in zip(of_h, bias, strict=True)]

        def candidate(reset: Value) -> Value:
            if self.reset_after:
                return reset * of_h[2]
            seen = h if kept is None else h * kept[2]
            return ops.matmul(reset * seen, ops.split(self.recurrent_kernel, 3, axis=1)[2])

        return gru_step(of_x, of_h, h, candidate, self.recurrent_activation, self.activation)


@known("layers")
class GRU(RecurrentLayer):
    """A recurrent layer with update and reset gates.

    Args:
        units: size of output and state. activation: of the candidate. recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer and the regularizers and constraints: as in `Dense`.
        dropout, recurrent_dropout: in training, the part of inputs and of states to drop, alike for all steps.
        seed: makes dropout independent of the global seed. return_sequences: give all outputs, not only the last.
        return_state: also give the last state; not inside Sequential. go_backwards: from the last step to the first.
        stateful: as in `RNN`. unroll: accepted; the steps run in one operation either way. reset_after: apply the reset
        gate to the product of state and recurrent kernel, which then has a bias of its own; else to the state before
        it.
        zero_output_for_mask: outputs of masked steps are 0 instead of the output before them.

    Shapes: (batch, time, features) to (batch, units), or (batch, time, units) with return_sequences. A mask is
    (batch, time); a masked step keeps the state.
    """

    cell_class, cell_name = GRUCell, "gru_cell"
    inert = GATED

    @keep_arguments
    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        *,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
