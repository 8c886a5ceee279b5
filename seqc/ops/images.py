"""Convolution and pooling under Keras's names, over any number of axes of space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.ir import Value, apply, as_value
from seqc.ops._common import as_float, as_number, as_operands
from seqc.ops._windows import Padding
from seqc.ops.conv import convolve, convolve_back
from seqc.ops.elementwise import cast
from seqc.ops.pool import AveragePool, MaxPool
from seqc.ops.rearranging import moveaxis
from seqc.ops.runs import RunMeans, Runs, longest
from seqc.ops.shape import reshape


def conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Value:
    """Returns the convolution of a tensor with kernel (*window, channels / groups, filters).

    Args:
        inputs: (batch, *space, channels), or (batch, channels, *space) where `data_format` is "channels_first".
        strides, dilation_rate: one number per axis of space, or one for all.
        padding: "valid", "same", or (before, after) per axis of space.
    """
    x, w = as_operands(inputs, kernel)
    rank = x.type.rank - 2
    steps, spacing = _per_axis(strides, rank), _per_axis(dilation_rate, rank)
    return _restored(convolve(_channels_last(x, data_format), w, None, steps, _checked(padding), spacing), data_format)


def conv_transpose(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Value:
    """Returns the transposed convolution of a tensor with kernel (*window, filters, channels).

    Args:
        inputs: (batch, *space, channels), or (batch, channels, *space) where `data_format` is "channels_first".
        strides, dilation_rate: one number per axis of space, or one for all. padding: "valid" or "same".
        output_padding: how much longer the result is than without, below the stride; by default it is as long as "same"
        or "valid" asks for: sizes times strides, or all that the windows reach.
    """
    x, w = as_operands(inputs, kernel)
    rank = x.type.rank - 2
    steps, spacing = _per_axis(strides, rank), _per_axis(dilation_rate, rank)
    longer = None if output_padding is None else _per_axis(output_padding, rank)
    y = convolve_back(_channels_last(x, data_format), w, None, steps, _named(padding), longer, spacing)
    return _restored(y, data_format)


def depthwise_conv(
    inputs: Any,
    kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Value:
    """Returns the convolution of each channel on its own, with kernel (*window, channels, filters per channel)."""
    return conv(inputs, channel_kernel(kernel), strides, padding, data_format, dilation_rate)


def separable_conv(
    inputs: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: int | Sequence[int] = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Value:
    """Returns a depthwise convolution followed by one over single elements, with kernel (1, ..., channels, filters)."""
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format)


def channel_kernel(kernel: Any) -> Value:
    """Returns a kernel (*window, channels, filters per channel) as that of a convolution with a group per channel."""
    w = as_value(kernel)
    *window, channels, multiplier = dims.known(w.type.shape)
    return reshape(w, (*window, 1, channels * multiplier))


def max_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    data_format: str | None = None,
) -> Value:
    """Returns the largest element of each window; strides default to the window."""
    return of_integers(inputs, lambda x: _pool(MaxPool, x, pool_size, strides, padding, data_format))


def average_pool(
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: Padding = "valid",
    data_format: str | None = None,
) -> Value:
    """Returns the mean of each window over its elements that are not padding; strides default to the window."""
    return _pool(AveragePool, inputs, pool_size, strides, padding, data_format)


def of_integers(inputs: Any, choose: Callable[[Value], Value]) -> Value:
    """Returns what a function of floats chooses among numbers, in their dtype.

    Integers of more than 16 bits are chosen among in double precision, which holds all up to 2^53.
    """
    x = as_number(inputs)
    if x.type.is_float:
        return choose(x)
    return cast(choose(cast(x, "float32" if np.dtype(x.dtype).itemsize < 4 else "float64")), x.dtype)


def adaptive_max_pool(inputs: Any, output_size: int | Sequence[int], data_format: str | None = None) -> Value:
    """Returns the largest element of each of `output_size` windows that a tensor is divided into.

    Along each axis, windows start at floor(i * size / output_size) and end before ceil((i + 1) * size / output_size).

    Args:
        inputs: (batch, *space, channels), or (batch, channels, *space) where `data_format` is "channels_first".
        output_size: windows along each axis of space, or one number for all.

    Raises:
        ShapeError: a size of the space is not known.
    """

    def pooled(given: Value) -> Value:
        x, sizes, wanted = _to_divide("adaptive_max_pool", given, output_size, data_format)
        window = []
        for axis, (size, count) in enumerate(zip(sizes, wanted, strict=True), 1):
            x = apply(Runs(axis, size, count), x) if size % count else x
            window.append(longest(size, count))
        return _restored(apply(MaxPool(tuple(window), tuple(window)), x), data_format)

    return of_integers(inputs, pooled)


def adaptive_average_pool(inputs: Any, output_size: int | Sequence[int], data_format: str | None = None) -> Value:
    """Returns the mean of each of `output_size` windows that a tensor is divided into.

    Along each axis, windows start at floor(i * size / output_size) and end before ceil((i + 1) * size / output_size).

    Args:
        inputs: (batch, *space, channels), or (batch, channels, *space) where `data_format` is "channels_first".
        output_size: windows along each axis of space, or one number for all.

    Raises:
        ShapeError: a size of the space is not known.
    """
    x, sizes, wanted = _to_divide("adaptive_average_pool", inputs, output_size, data_format)
    window = tuple(1 if size % count else size // count for size, count in zip(sizes, wanted, strict=True))
    x = x if set(window) == {1} else apply(AveragePool(window, window), x)
    for axis, (size, count) in enumerate(zip(sizes, wanted, strict=True), 1):
        x = apply(RunMeans(axis, size, count), x) if size % count else x
    return _restored(x, data_format)


def _to_divide(
    who: str, inputs: Any, output_size: int | Sequence[int], data_format: str | None
) -> tuple[Value, tuple[int, ...], tuple[int, ...]]:
    """Returns a tensor channels-last, the sizes of its space, and how many windows are wanted along each."""
    x = _channels_last(as_float(inputs), data_format)
    space, wanted = x.type.shape[1:-1], _per_axis(output_size, x.type.rank - 2)
    if not dims.is_known(space):
        raise ShapeError(
            f"{who} divides axes into windows and must know their sizes; got {x.type}. Say them in the model's Input."
        )
    if min(wanted) < 1:
        raise ConfigError(f"{who} needs an output_size of at least 1; got {output_size}.")
    return x, dims.known(space), wanted


def _pool(
    kind: type[MaxPool | AveragePool],
    inputs: Any,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None,
    padding: Padding,
    data_format: str | None,
) -> Value:
    x = as_float(inputs)
    size = _per_axis(pool_size, x.type.rank - 2)
    op = kind(size, size if strides is None else _per_axis(strides, len(size)), _checked(padding))
    return _restored(apply(op, _channels_last(x, data_format)), data_format)


def _checked(padding: Padding) -> Padding:
    return _named(padding) if isinstance(padding, str) else padding


def _named(padding: str) -> str:
    """Returns the name of a padding in small letters; Keras takes any."""
    name = padding.lower()
    if name not in ("valid", "same"):
        raise ConfigError(f"The `padding` argument must be one of 'valid', 'same'. Received: padding={padding}")
    return name


def _per_axis(numbers: int | Sequence[int], rank: int) -> tuple[int, ...]:
    listed = (numbers,) * rank if isinstance(numbers, int) else tuple(int(n) for n in numbers)
    if len(listed) != rank:
        raise ShapeError(f"Windows over {rank} axes need {rank} numbers; got {listed}.")
    return listed


def _channels_last(x: Value, data_format: str | None) -> Value:
    if data_format not in (None, "channels_last", "channels_first"):
        raise ConfigError(f"data_format is 'channels_last' or 'channels_first'; got {data_format!r}.")
    return moveaxis(x, 1, -1) if data_format == "channels_first" else x


def _restored(y: Value, data_format: str | None) -> Value:
    return moveaxis(y, -1, 1) if data_format == "channels_first" else y
