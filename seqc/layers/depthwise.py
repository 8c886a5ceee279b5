"""Convolution of each channel on its own, alone or with a mixing of the channels after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqc.graph.ir import Value, as_value
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers._common import KerasShape
from seqc.layers._convolution import Convolution
from seqc.layers._words import with_words_of
from seqc.ops.conv import convolve
from seqc.ops.images import channel_kernel


class DepthwiseArguments:
    """What describes the kernels of each channel, as attributes that `keep_arguments` sets."""

    depth_multiplier: int
    depthwise_initializer: Any
    depthwise_regularizer: Any
    depthwise_constraint: Any


class _DepthwiseConv(DepthwiseArguments, Convolution):
    """activation(each channel convolved with kernels of its own + bias).

    Args:
        kernel_size: the window, one number for all axes or one per axis. strides: its steps. padding: "valid" or
        "same". depth_multiplier: kernels per channel; the results of one channel stand side by side.
        data_format: "channels_last" or "channels_first". dilation_rate: distance of the window's elements. activation,
        use_bias, and the initializers, regularizers and constraints as in `Dense`, those of the kernel named
        `depthwise_...`.

    Shapes: (batch, *space, channels) to (batch, *space, channels * depth_multiplier); kernel (*kernel_size, channels,
    depth_multiplier).
    """

    @keep_arguments
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: KerasShape) -> None:
        channels = self.input_channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = self._add_described_weight("kernel", shape, "depthwise")
        self.add_bias(channels * self.depth_multiplier)

    def convolved(self, x: Value) -> Value:
        kernel = channel_kernel(self.kernel)
        return convolve(x, kernel, self.bias, self.strides, self.padding, self.dilation_rate)


@known("layers")
@with_words_of(_DepthwiseConv)
class DepthwiseConv1D(_DepthwiseConv):
    """activation(each channel convolved over time with kernels of its own + bias)."""

    rank = 1


@known("layers")
@with_words_of(_DepthwiseConv)
class DepthwiseConv2D(_DepthwiseConv):
    """activation(each channel convolved over height and width with kernels of its own + bias)."""

    rank = 2


class _SeparableConv(DepthwiseArguments, Convolution):
    """activation(each channel convolved on its own, then the channels mixed + bias).

    Args:
        filters: channels of the result. kernel_size: the window, one number for all axes or one per axis.
        strides: its steps. padding: "valid" or "same". data_format: "channels_last" or "channels_first".
        dilation_rate: distance of the window's elements. depth_multiplier: kernels per channel. activation, use_bias,
        and the initializers, regularizers and constraints as in `Dense`, those of the two kernels named `depthwise_...`
        and `pointwise_...`.

    Shapes: (batch, *space, channels) to (batch, *space, filters); kernels (*kernel_size, channels, depth_multiplier)
    and (1, ..., channels * depth_multiplier, filters).
    """

    filters: int
    pointwise_initializer: Any
    pointwise_regularizer: Any
    pointwise_constraint: Any

    @keep_arguments
    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

    def build(self, input_shape: KerasShape) -> None:
        channels = self.input_channels(input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.depthwise_kernel = self._add_described_weight("depthwise_kernel", shape)
        shape = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.pointwise_kernel = self._add_described_weight("pointwise_kernel", shape)
        self.add_bias(self.filters)

    def convolved(self, x: Value) -> Value:
        kernel = channel_kernel(self.depthwise_kernel)
        y = convolve(x, kernel, None, self.strides, self.padding, self.dilation_rate)
        return convolve(y, as_value(self.pointwise_kernel), self.bias, (1,) * self.rank, "valid")


@known("layers")
@with_words_of(_SeparableConv)
class SeparableConv1D(_SeparableConv):
    """activation(each channel convolved on its own over time, then the channels mixed + bias)."""

    rank = 1


@known("layers")
@with_words_of(_SeparableConv)
class SeparableConv2D(_SeparableConv):
    """activation(each channel convolved on its own over height and width, then the channels mixed + bias)."""

    rank = 2


SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
