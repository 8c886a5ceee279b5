"""Convolution over one or two axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from seqc import activations, constraints, initializers, ops, regularizers
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Type, Value
from seqc.layers._common import KerasShape, as_tuple, data_format_name, first_from_last, image_hint, last_from_first
from seqc.layers.base import Layer
from seqc.ops._windows import Padding
from seqc.serialization import known


class _Conv(Layer):
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

    rank: ClassVar[int]
    inert: ClassVar[dict[str, tuple[Any, ...]]] = {
        "lora_rank": (None,),
        "lora_alpha": (None,),
        "quantization_config": (None,),
    }

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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters, self.groups, self.use_bias = filters, groups, use_bias
        self.kernel_size = as_tuple(kernel_size, self.rank, "kernel_size")
        self.strides = as_tuple(strides, self.rank, "strides")
        self.dilation_rate = as_tuple(dilation_rate, self.rank, "dilation_rate")
        self.padding = self._checked_padding(padding)
        self.data_format = data_format_name(data_format)
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_rank = self.rank + 2
        self._check_arguments()

    def _checked_padding(self, padding: Any) -> Padding:
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
        if not isinstance(self.filters, int) or self.filters <= 0:
            raise ConfigError(
                "Invalid value for argument `filters`. Expected a strictly positive value. "
                f"Received filters={self.filters}."
            )
        if not isinstance(self.groups, int) or self.groups <= 0:
            raise ConfigError(f"The number of groups must be a positive integer. Received: groups={self.groups}.")
        if self.filters % self.groups:
            raise ConfigError(
                "The number of filters must be evenly divisible by the number of groups. "
                f"Received: groups={self.groups}, filters={self.filters}."
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ConfigError(
                "`strides > 1` not supported in conjunction with `dilation_rate > 1`. "
                f"Received: strides={self.strides} and dilation_rate={self.dilation_rate}"
            )

    def build(self, input_shape: KerasShape) -> None:
        axis = -1 if self.data_format == "channels_last" else 1
        channels = input_shape[axis]
        if channels is None:
            raise ShapeError(
                f"The number of input channels (axis {axis}) must be known to make the kernel; the input shape is "
                f"{tuple(input_shape)}. Say it in the model's Input."
            )
        if channels % self.groups:
            raise ShapeError(
                "The number of input channels must be evenly divisible by the number of groups. Received "
                f"groups={self.groups}, but the input has {channels} channels (full input shape is "
                f"{tuple(input_shape)})."
            )
        self.kernel = self.add_weight(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
            )
        self._input_sizes = {axis: channels}

    def call(self, x: Any) -> Value:
        value = ops.cast(x, self.dtype)
        rank = value.type.rank
        if self.data_format == "channels_first":
            value = ops.transpose(value, last_from_first(rank))
        y = ops.conv(value, self.kernel, self.strides, self._effective_padding(), dilation_rate=self.dilation_rate)
        if self.bias is not None:
            y = y + self.bias
        if self.data_format == "channels_first":
            y = ops.transpose(y, first_from_last(rank))
        return self.activation(y)  # type: ignore[no-any-return]

    def _effective_padding(self) -> Padding:
        if self.padding != "causal":
            return self.padding
        # Every result sees its own step and earlier ones only.
        return (((self.kernel_size[0] - 1) * self.dilation_rate[0], 0),)

    def input_hint(self, x: Type) -> str:
        return image_hint(x.shape, self.rank)


@known("layers")
class Conv1D(_Conv):
    __doc__ = (_Conv.__doc__ or "") + '\n    `padding` may also be "causal": no result depends on later steps.\n    '
    rank = 1


@known("layers")
class Conv2D(_Conv):
    __doc__ = _Conv.__doc__
    rank = 2
