"""The cell of convolutional LSTMs: one step, and the weights of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from seqc import ops
from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.ir import Value, as_value
from seqc.layers._arguments import KernelArguments, keep_arguments
from seqc.layers._cells import SteppedCell, forget_gate_open
from seqc.layers._common import KerasShape, first_from_last, last_from_first
from seqc.layers._convolution import Convolution
from seqc.layers.regularization import drop
from seqc.ops._cell_steps import lstm_step
from seqc.ops._windows import Window
from seqc.ops.conv import convolve
from seqc.ops.shape import merge_leading, split_leading
from seqc.ops.slicing import slice_axis


class ConvLSTMCell(KernelArguments, Convolution, SteppedCell):
    """One step of a convolutional LSTM, which keeps its weights in one.

    Args: as in `ConvLSTM2D`.

    Shapes: states h, c (batch, *space, filters), space that of the convolution's result; kernel (*kernel_size,
    channels, 4 filters), recurrent_kernel (*kernel_size, filters, 4 filters), bias (4 filters,), gates in the order
    input, forget, cell, output.
    """

    filters: int
    dropout: float
    recurrent_dropout: float
    unit_forget_bias: bool
    recurrent_activation: Callable[[Value], Value]

    @keep_arguments
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
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
        self.refuse_dilated_steps()
        self.dropout, self.recurrent_dropout = (min(1.0, max(0.0, r)) for r in (self.dropout, self.recurrent_dropout))
        self.state_size = [self.filters, self.filters]
        self.output_size = self.filters

    def build(self, input_shape: KerasShape) -> None:
        channels = self.input_channels(input_shape)
        space = input_shape[1:-1] if self.data_format == "channels_last" else input_shape[2:]
        known = tuple(size for size in space if size is not None)
        if len(known) < len(space):
            raise ShapeError(
                "ConvLSTM layers only support static input shapes for the spatial dimension. Received invalid input "
                f"shape: input_shape={tuple(input_shape)}. Say the sizes in the model's Input."
            )
        self.kernel = self._add_described_weight("kernel", (*self.kernel_size, channels, 4 * self.filters))
        shape = (*self.kernel_size, self.filters, 4 * self.filters)
        self.recurrent_kernel = self._add_described_weight("recurrent_kernel", shape)
        self.bias = None
        if self.use_bias:
            start = self._open_forget_gate if self.unit_forget_bias else None
            self.bias = self._add_described_weight("bias", (4 * self.filters,), initializer=start)
        window = Window(self.kernel_size, self.strides, self.dilation_rate, self.padding)
        sizes = dims.known(window.out_sizes(type(self).__name__, known))
        one = (*sizes, self.filters) if self.data_format == "channels_last" else (self.filters, *sizes)
        self.state_shapes = [one, one]

    def _open_forget_gate(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        return forget_gate_open(self.bias_initializer, self.filters, dtype)

    def last(self, x: Value) -> Value:
        """Returns a state with its channels last."""
        return x if self.data_format == "channels_last" else ops.transpose(x, last_from_first(x.type.rank))

    def given(self, y: Value) -> Value:
        """Returns channels-last results, of one step or of all, as the layer's `data_format` has them."""
        if self.data_format == "channels_last":
            return y
        rank = y.type.rank
        before = rank - 1 - self.rank
        return ops.transpose(y, (*range(before), rank - 1, *range(before, rank - 1)))

    def gates_of(self, x: Value, training: bool, learning: bool) -> Value:
        """Returns what the input adds to the gates of all steps, (batch, time, *space, 4 filters).

        Args:
            x: the input of all steps. training: whether to drop a part of it, another one for each gate. learning:
            whether a gradient may be asked for.
        """
        if self.data_format == "channels_first":
            x = ops.transpose(x, (0, 1, *range(3, x.type.rank), 2))
        if not training or not 0 < self.dropout < 1:
            return self._convolved_steps(x, as_value(self.kernel), self.bias, learning)
        like = slice_axis(x, 1, 0, 1)
        axis = self.rank + 1
        biases = [None] * 4 if self.bias is None else ops.split(self.bias, 4)
        parts = []
        for gate, (kernel, bias) in enumerate(zip(ops.split(self.kernel, 4, axis=axis), biases, strict=True)):
            seen = drop(x, self.dropout, like, self.seed, self.name, stream=5 + gate)
            parts.append(self._convolved_steps(seen, kernel, bias, learning))
        return ops.concatenate(parts, axis=-1)

    def _convolved_steps(self, x: Value, kernel: Value, bias: Any, learning: bool) -> Value:
        y = convolve(merge_leading(x), kernel, bias, self.strides, self.padding, self.dilation_rate)
        if learning:
            return split_leading(y, x)
        # The steps are told apart while channels come first, as ONNX's convolution gives them and a Scan takes them.
        first = split_leading(ops.transpose(y, first_from_last(y.type.rank)), x)
        return ops.transpose(first, (0, 1, *range(3, first.type.rank), 2))

    call = SteppedCell.call  # type: ignore[assignment]

    def one_step(self, x: Value, states: list[Value], training: bool) -> list[Value]:
        z = self.gates_of(ops.expand_dims(x, 1), training, learning=True)[:, 0]
        before = [self.last(s) for s in states]
        kept = self.recurrent_factors(before[0]) if training and 0 < self.recurrent_dropout < 1 else None
        return [self.given(s) for s in self.step(z, before, kept)]

    def dropped_gates(self) -> int:
        return 4

    def step(self, z: Value, states: Sequence[Value], kept: list[Value] | None = None) -> list[Value]:
        h, c = states
        kernel, steps = as_value(self.recurrent_kernel), (1,) * self.rank
        if kept is None:
            gates = ops.split(z + convolve(h, kernel, None, steps, "same"), 4, axis=-1)
        else:
            parts = zip(ops.split(z, 4, axis=-1), kept, ops.split(kernel, 4, axis=self.rank + 1), strict=True)
            gates = [of_x + convolve(h * factor, part, None, steps, "same") for of_x, factor, part in parts]
        return lstm_step(gates, c, self.recurrent_activation, self.activation)


class ConvLSTMCell1D(ConvLSTMCell):
    rank = 1


class ConvLSTMCell2D(ConvLSTMCell):
    rank = 2


class ConvLSTMCell3D(ConvLSTMCell):
    rank = 3
