"""What the convolution layers share: arguments about the window, the bias, and where the channels are."""

from __future__ import annotations

from typing import Any, ClassVar

from seqc import ops
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Type, Value
from seqc.layers._arguments import NO_PENALTY, BiasArguments
from seqc.layers._common import KerasShape, as_tuple, data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers.base import Layer
from seqc.ops._windows import Padding


class Convolution(BiasArguments, Layer):
    """activation(what `convolved` gives).

    A subclass keeps its arguments, makes its kernels in `build` and writes `convolved`, for channels-last data.
    """

    always_written = NO_PENALTY
    rank: ClassVar[int]
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    padding: Padding
    data_format: str
    activation: Any
    use_bias: bool

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_size = as_tuple(self.kernel_size, self.rank, "kernel_size")
        self.strides = as_tuple(self.strides, self.rank, "strides")
        self.dilation_rate = as_tuple(self.dilation_rate, self.rank, "dilation_rate")
        self.padding = self.checked_padding(self.padding)
        self.data_format = data_format_name(self.data_format)
        self.input_rank = self.rank + 2

    def checked_padding(self, padding: Any) -> Padding:
        """Returns the padding as the layer keeps it.

        Raises:
            ConfigError: the layer has none of that name.
        """
        if isinstance(padding, str) and padding.lower() in ("valid", "same"):
            return padding.lower()
        raise ConfigError(f"The `padding` argument must be one of {{'valid', 'same'}}. Received: {padding}")

    def refuse_dilated_steps(self) -> None:
        """Raises ConfigError where the window both steps and is spread apart."""
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ConfigError(
                "`strides > 1` not supported in conjunction with `dilation_rate > 1`. "
                f"Received: strides={self.strides} and dilation_rate={self.dilation_rate}"
            )

    def input_channels(self, input_shape: KerasShape) -> int:
        """Returns the channels that the kernel is made for, and remembers them."""
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None:
            raise ShapeError(
                f"The number of input channels (axis {axis}) must be known to make the kernel; the input shape is "
                f"{tuple(input_shape)}. Say it in the model's Input."
            )
        self._input_sizes = {axis: channels}
        return channels

    def add_bias(self, size: int) -> None:
        """Makes the bias, or sets it to None where the layer has none."""
        self.bias = self._add_described_weight("bias", (size,)) if self.use_bias else None

    def call(self, x: Any) -> Value:
        value = ops.cast(x, self.compute_dtype)
        if self.data_format == "channels_last":
            return self.activation(self.convolved(value))  # type: ignore[no-any-return]
        y = self.convolved(ops.transpose(value, last_from_first(value.type.rank)))
        return self.activation(ops.transpose(y, first_from_last(y.type.rank)))  # type: ignore[no-any-return]

    def convolved(self, x: Value) -> Value:
        """Returns the result before the activation, for channels-last data."""
        raise NotImplementedError(f"{type(self).__name__}.convolved")

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)
