"""Recurrent layers whose states are sequences, images or volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqc.graph.ir import Type
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape
from seqc.layers._conv_cells import ConvLSTMCell1D, ConvLSTMCell2D, ConvLSTMCell3D
from seqc.layers._recurrent import RecurrentLayer
from seqc.layers._words import with_words_of


class _ConvLSTM(RecurrentLayer):
    """An LSTM whose gates are convolutions of input and state (Shi et al., 2015).

    Args:
        filters: channels of output and states. kernel_size, strides, padding, data_format, dilation_rate: of the
        convolution of the input, as in `Conv2D`; that of the state has steps of 1 and padding "same". activation: of
        cell candidate and output. recurrent_activation: of the gates. use_bias: whether there is a bias.
        unit_forget_bias: start the forget gate's bias at 1. kernel_initializer, recurrent_initializer, bias_initializer
        and the regularizers and constraints: as in `Dense`. dropout, recurrent_dropout: in training, the part of inputs
        and of states to drop, alike for all steps. seed: makes dropout independent of the global seed.
        return_sequences: give all outputs, not only the last. return_state: also give the last h and c; not inside
        Sequential. go_backwards: from the last step to the first. stateful: as in `RNN`.

    Shapes: (batch, time, *space, channels) to (batch, *smaller space, filters), or (batch, time, *smaller space,
    filters) with return_sequences; the sizes of the space must be known, and in training the number of steps. A mask is
    (batch, time); a masked step keeps the states.
    """

    rank: ClassVar[int]
    cell_name = "conv_lstm_cell"
    over_time = True

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.input_rank = self.rank + 3

    def build(self, input_shape: KerasShape) -> None:
        super().build(input_shape)
        self._input_sizes = {i: size for i, size in enumerate(input_shape) if i > 1 and size is not None}

    def get_config(self) -> dict[str, Any]:
        # Keras takes these two without naming them, and writes them.
        return super().get_config() | {"unroll": self.unroll, "zero_output_for_mask": self.zero_output_for_mask}

    def input_hint(self, x: Type) -> str:
        return ""


@known("layers")
@with_words_of(_ConvLSTM)
class ConvLSTM1D(_ConvLSTM):
    """An LSTM whose gates are convolutions of input and state over time (Shi et al., 2015)."""

    rank, cell_class = 1, ConvLSTMCell1D


@known("layers")
@with_words_of(_ConvLSTM)
class ConvLSTM2D(_ConvLSTM):
    """An LSTM whose gates are convolutions of input and state over height and width (Shi et al., 2015)."""

    rank, cell_class = 2, ConvLSTMCell2D


@known("layers")
@with_words_of(_ConvLSTM)
class ConvLSTM3D(_ConvLSTM):
    """An LSTM whose gates are convolutions of input and state over depth, height and width (Shi et al., 2015)."""

    rank, cell_class = 3, ConvLSTMCell3D
