"""Blocks of images as channels and back, under the names of `keras.ops`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.ir import Value, as_value, constant
from seqc.ops._common import as_float
from seqc.ops._pictures import as_computed, is_first, pair, windows_of
from seqc.ops.arithmetic import square
from seqc.ops.images import conv, conv_transpose
from seqc.ops.padding import pad
from seqc.ops.rearranging import moveaxis
from seqc.ops.reduce import mean
from seqc.ops.shape import reshape, shape, transpose
from seqc.ops.transcendental import log10


def depth_to_space(x: Any, block_size: int, data_format: str | None = "channels_last") -> Value:
    """Returns images whose channels have become blocks of elements (pixel shuffle, Shi et al., 2016).

    Args:
        x: (batch, height, width, channels * block_size ** 2), or the same with channels first.
        block_size: the side of a block, 2 or more. data_format: whether channels come last or first.

    Returns: (batch, height * block_size, width * block_size, channels), or the same with channels first.
    """
    value, first = _checked(x, block_size, data_format)
    sizes = list(shape(value))
    batch, height, width, depth = [sizes[i] for i in ((0, 2, 3, 1) if first else (0, 1, 2, 3))]
    if not isinstance(depth, int) or depth % block_size**2:
        raise ShapeError(f"depth_to_space needs a multiple of {block_size**2} channels; got {value.type}.")
    channels, n = depth // block_size**2, block_size
    if first:
        blocks = transpose(reshape(value, (batch, channels, n, n, height, width)), (0, 1, 4, 2, 5, 3))
        return reshape(blocks, (batch, channels, height * n, width * n))
    blocks = transpose(reshape(value, (batch, height, width, n, n, channels)), (0, 1, 3, 2, 4, 5))
    return reshape(blocks, (batch, height * n, width * n, channels))


def space_to_depth(x: Any, block_size: int, data_format: str | None = "channels_last") -> Value:
    """Returns images whose blocks of elements have become channels: what `depth_to_space` turns back.

    Args:
        x: (batch, height * block_size, width * block_size, channels), or the same with channels first.
        block_size: the side of a block, 2 or more. data_format: whether channels come last or first.
    """
    value, first = _checked(x, block_size, data_format)
    sizes, n = list(shape(value)), block_size
    batch, height, width, channels = [sizes[i] for i in ((0, 2, 3, 1) if first else (0, 1, 2, 3))]
    if any(isinstance(size, int) and size % n for size in (height, width)):
        raise ShapeError(f"space_to_depth needs a height and width that are multiples of {n}; got {value.type}.")
    if not isinstance(height, int) or not isinstance(width, int):
        # Whole blocks of a size that nobody knows yet are windows.
        return _channels_of_windows(value, n, first)
    rows, columns = height // n, width // n
    if first:
        blocks = transpose(reshape(value, (batch, channels, rows, n, columns, n)), (0, 1, 3, 5, 2, 4))
        return reshape(blocks, (batch, channels * n * n, rows, columns))
    blocks = transpose(reshape(value, (batch, rows, n, columns, n, channels)), (0, 1, 3, 2, 4, 5))
    return reshape(blocks, (batch, rows, columns, channels * n * n))


def _channels_of_windows(value: Value, size: int, first: bool) -> Value:
    """Returns images (batch, height, width, channels), or with channels first, with their blocks as channels."""
    (channels,) = dims.known((value.type.shape[1 if first else 3],))
    if not value.type.is_float:
        windows = windows_of(moveaxis(value, 1, -1) if first else value, (size, size), (size, size), (1, 1))
        axes, lead = ((0, 5, 3, 4, 1, 2), 1) if first else ((0, 1, 2, 3, 4, 5), 3)
        blocks = transpose(windows, axes)
        sizes = list(shape(blocks))
        sizes[lead : lead + 3] = [channels * size * size]
        return reshape(blocks, tuple(sizes))
    kernel = constant(_windows(channels, (size, size), value.dtype).transpose(1, 2, 3, 0))  # by channel, row and column
    if not first:
        order = np.arange(channels * size * size).reshape(channels, size * size).T.reshape(-1)
        kernel = constant(kernel.numpy()[..., order])
    return conv(value, kernel, size, data_format="channels_first" if first else None)


def psnr(x1: Any, x2: Any, max_val: float) -> Value:
    """Returns the ratio of the largest signal to the mean square of a difference, in decibels.

    Args:
        x1, x2: tensors of one shape. max_val: the largest value that they may have.
    """
    a, b = as_float(x1), as_float(x2)
    if a.type.shape != b.type.shape:
        raise ShapeError(f"Input shapes {a.type} and {b.type} must match for PSNR calculation.")
    return 20.0 * math.log10(max_val) - 10.0 * log10(mean(square(a - b)))


def unfold(
    x: Any,
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Value:
    """Returns the windows of images as columns (im2col).

    Args:
        x: (batch, channels, height, width). kernel_size: of a window; this and what follows one number, or two.
        dilation: between elements of a window. padding: zeros at each end of an axis. stride: between windows.

    Returns: (batch, channels * height of a window * its width, number of windows).
    """
    value = as_value(x)
    if value.type.rank != 4:
        raise ShapeError(f"Input must be a 4D tensor. Received: {value.type}")
    size, added = pair(kernel_size, "kernel_size"), pair(padding, "padding")
    (channels,) = dims.known(value.type.shape[1:2])

    def columns(y: Value) -> Value:
        y = pad(y, ((0, 0), (0, 0), *((n, n) for n in added))) if any(added) else y
        if not y.type.is_float:
            windows = windows_of(moveaxis(y, 1, -1), size, pair(stride, "stride"), pair(dilation, "dilation"))
            return reshape(transpose(windows, (0, 5, 3, 4, 1, 2)), (shape(y)[0], channels * size[0] * size[1], -1))
        kernel = constant(_windows(channels, size, y.dtype).transpose(1, 2, 3, 0))
        found = conv(moveaxis(y, 1, -1), kernel, pair(stride, "stride"), dilation_rate=pair(dilation, "dilation"))
        return moveaxis(reshape(found, (shape(found)[0], -1, channels * size[0] * size[1])), 1, 2)

    return columns(value)


def fold(
    x: Any,
    output_size: int | Sequence[int],
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    stride: int | Sequence[int] = 1,
) -> Value:
    """Returns images made of windows, the sum of them where they overlap (col2im): what has `unfold`'s columns.

    Args:
        x: (batch, channels * height of a window * its width, number of windows).
        output_size: height and width of the images. kernel_size, dilation, padding, stride: see `unfold`.

    Returns: (batch, channels, height, width).
    """
    value = as_value(x)
    if value.type.rank != 3:
        raise ShapeError(f"Input must be a 3D tensor. Received: {value.type}")
    out, size, step = pair(output_size, "output_size"), pair(kernel_size, "kernel_size"), pair(stride, "stride")
    added, apart = pair(padding, "padding"), pair(dilation, "dilation")
    depth, number = dims.known(value.type.shape[1:])
    reach = [a * (k - 1) + 1 for a, k in zip(apart, size, strict=True)]
    whole = [n + 2 * a for n, a in zip(out, added, strict=True)]
    counts = [(n - r) // s + 1 for n, r, s in zip(whole, reach, step, strict=True)]
    if depth % (size[0] * size[1]) or counts[0] * counts[1] != number:
        raise ShapeError(
            f"fold: images of {tuple(out)} have {counts[0]} * {counts[1]} windows of {size[0]} * {size[1]} elements "
            f"per channel; got {value.type}."
        )

    def images(y: Value) -> Value:
        kernel = _windows(depth // (size[0] * size[1]), size, y.dtype)
        blocks = moveaxis(reshape(y, (-1, depth, *counts)), 1, -1)
        # Of a transposed convolution, filters come before channels.
        found = conv_transpose(blocks, constant(kernel.transpose(1, 2, 3, 0)), step, "valid", dilation_rate=apart)
        # Elements after the last window belong to none.
        ends = [n - (c - 1) * s - r for n, c, s, r in zip(whole, counts, step, reach, strict=True)]
        found = pad(found, ((0, 0), *((0, end) for end in ends), (0, 0))) if any(ends) else found
        (top, left), (height, width) = added, out
        return moveaxis(found[:, top : top + height, left : left + width], -1, 1)

    return as_computed(value, images)


def _windows(channels: int, size: tuple[int, ...], dtype: str) -> Any:
    """Returns, for each element of a window, the window with a one there (elements, height, width, channels)."""
    count = channels * size[0] * size[1]
    return np.eye(count, dtype=dtype).reshape(count, channels, *size).transpose(0, 2, 3, 1)


def _checked(x: Any, block_size: int, data_format: str | None) -> tuple[Value, bool]:
    value, first = as_value(x), is_first(data_format)
    if not isinstance(block_size, int | np.integer) or block_size < 2:
        raise ConfigError(f"`block_size` must be at least 2. Received: block_size={block_size}")
    if value.type.rank != 4:
        raise ShapeError(f"Blocks are parts of images (batch, height, width, channels); got {value.type}.")
    return value, first
