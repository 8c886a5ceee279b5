"""Convolution and its transpose over one, two or three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._arguments import UNQUANTIZED, KernelArguments, keep_arguments
from seqc.layers._common import KerasShape, as_tuple
from seqc.layers._convolution import Convolution
from seqc.layers._words import with_words_of
from seqc.ops._windows import Padding
from seqc.ops.conv import convolve, convolve_back


class _Conv(KernelArguments, Convolution):
    """activation(cross-correlation of the input with a kernel + bias).

    Args:
        filters: channels of the result. kernel_size: the window, one number for all axes or one per axis.
        strides: steps of the window. padding: "valid" (none), "same" (as many results as steps fit, the odd element of
        padding at the end), or pairs (before, after), one per axis. data_format: "channels_last" or "channels_first".
        dilation_rate: distance of the window's elements; only with strides of 1. groups: parts the channels are split
        into, each with its own filters. activation, use_bias, and the initializers, regularizers and constraints as in
        `Dense`.

    Shapes: (batch, *space, channels) to (batch, *space, filters); kernel (*kernel_size, channels / groups, filters).
    """

    inert = UNQUANTIZED
    filters: int
    groups: int

    @keep_arguments
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str | Sequence[Sequence[int]] = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._check_arguments()

    def checked_padding(self, padding: Any) -> Padding:
        allowed = ("valid", "same", "causal") if self.rank == 1 else ("valid", "same")
        if isinstance(padding, str):
            if padding.lower() in allowed:
                return padding.lower()
        elif isinstance(padding, list | tuple) and len(padding) == self.rank:
            return tuple((a, b) for a, b in (as_tuple(pair, 2, "padding", smallest=0) for pair in padding))
        names = ", ".join(map(repr, allowed))
        raise ConfigError(
            f"The `padding` argument must be one of {{{names}}} or a list of {self.rank} pairs (before, after). "
            f"Received: {padding}"
        )

    def _check_arguments(self) -> None:
        if self.filters % self.groups:
            raise ConfigError(
                "The number of filters must be evenly divisible by the number of groups. "
                f"Received: groups={self.groups}, filters={self.filters}."
            )
        self.refuse_dilated_steps()

    def build(self, input_shape: KerasShape) -> None:
        channels = self.input_channels(input_shape)
        if channels % self.groups:
            raise ShapeError(
                "The number of input channels must be evenly divisible by the number of groups. Received "
                f"groups={self.groups}, but the input has {channels} channels (full input shape is "
                f"{tuple(input_shape)})."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self._add_described_weight("kernel", shape)
        self.add_bias(self.filters)

    def convolved(self, x: Value) -> Value:
        padding = self._effective_padding()
        return convolve(x, as_value(self.kernel), self.bias, self.strides, padding, self.dilation_rate)

    def _effective_padding(self) -> Padding:
        if self.padding != "causal":
            return self.padding
        # Every result sees its own step and earlier ones only.
        return (((self.kernel_size[0] - 1) * self.dilation_rate[0], 0),)


@known("layers")
@with_words_of(_Conv)
class Conv1D(_Conv):
    """activation(cross-correlation of the input with a kernel + bias) over time.

    `padding` may also be "causal": no result depends on later steps.
    """

    rank = 1


@known("layers")
@with_words_of(_Conv)
class Conv2D(_Conv):
    """activation(cross-correlation of the input with a kernel + bias) over height and width.

    Example:
        >>> layer = seqc.layers.Conv2D(8, 3, padding="same", activation="relu")
        >>> layer(np.zeros((1, 28, 28, 1))).shape, layer.kernel.shape
        ((1, 28, 28, 8), (3, 3, 1, 8))
    """

    rank = 2


@known("layers")
@with_words_of(_Conv)
class Conv3D(_Conv):
    """activation(cross-correlation of the input with a kernel + bias) over depth, height and width."""

    rank = 3


class _ConvTranspose(KernelArguments, Convolution):
    """activation(transposed convolution of the input with a kernel + bias).

    A convolution the other way round, which makes images larger.

    Args:
        filters: channels of the result. kernel_size: the window, one number for all axes or one per axis.
        strides: steps of the window in the result. padding: "valid" (all that the windows reach) or "same" (sizes times
        strides). output_padding: how much longer than necessary the result is, below the strides; None leaves its size
        to `padding`. data_format: "channels_last" or "channels_first". dilation_rate: distance of the window's
        elements; only with strides of 1. activation, use_bias, and the initializers, regularizers and constraints as in
        `Dense`.

    Shapes: (batch, *space, channels) to (batch, *larger space, filters); kernel (*kernel_size, filters, channels).
    """

    filters: int

    @keep_arguments
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.output_padding = (
            None if output_padding is None else as_tuple(output_padding, self.rank, "output_padding", smallest=0)
        )
        self.refuse_dilated_steps()
        for i, longer in enumerate(self.output_padding or ()):
            if longer >= self.strides[i]:
                raise ConfigError(
                    "`output_padding` must be strictly less than `strides` for all dimensions. "
                    f"At dimension {i}, `output_padding` is {longer} but `strides` is {self.strides[i]}. "
                    f"Received: output_padding={self.output_padding}, strides={self.strides}"
                )

    def build(self, input_shape: KerasShape) -> None:
        shape = (*self.kernel_size, self.filters, self.input_channels(input_shape))
        self.kernel = self._add_described_weight("kernel", shape)
        self.add_bias(self.filters)

    def convolved(self, x: Value) -> Value:
        kernel, padding = as_value(self.kernel), str(self.padding)
        return convolve_back(x, kernel, self.bias, self.strides, padding, self.output_padding, self.dilation_rate)


@known("layers")
@with_words_of(_ConvTranspose)
class Conv1DTranspose(_ConvTranspose):
    """activation(transposed convolution of the input with a kernel + bias) over time."""

    rank = 1


@known("layers")
@with_words_of(_ConvTranspose)
class Conv2DTranspose(_ConvTranspose):
    """activation(transposed convolution of the input with a kernel + bias) over height and width."""

    rank = 2


@known("layers")
@with_words_of(_ConvTranspose)
class Conv3DTranspose(_ConvTranspose):
    """activation(transposed convolution of the input with a kernel + bias) over depth, height and width."""

    rank = 3


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
