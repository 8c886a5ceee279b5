"""Fourier transforms under the names of `keras.ops`. A complex tensor is a pair of real ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.errors import DTypeError, ShapeError
from seqc.graph import dims
from seqc.graph.ir import Value, apply, as_value, constant
from seqc.ops._common import as_float, promote
from seqc.ops.arithmetic import divide, maximum, mod, multiply
from seqc.ops.creation import arange
from seqc.ops.dft import DFT, RealDFT, RealDFTGrad
from seqc.ops.elementwise import cast, equal, logical_or, where
from seqc.ops.linalg import matmul
from seqc.ops.padding import pad
from seqc.ops.rearranging import swapaxes
from seqc.ops.shape import expand_dims, reshape
from seqc.ops.sizes import Size, size_of
from seqc.ops.slicing import concatenate, slice_axis, split
from seqc.ops.transcendental import cos, sin


def ends_reshaped(x: Value, taken: int, ends: Sequence[Any]) -> Value:
    """Returns x with axes of other sizes in the place of the last `taken`; the sizes are numbers or values."""
    return reshape(x, (*(size_of(x, i) for i in range(x.type.rank - taken)), *ends))


def parts(x: Value) -> tuple[Value, Value]:
    """Returns the real and the imaginary parts, which a tensor has along its last axis one after the other."""
    real, imag = split(x, 2, axis=-1)
    return real, imag


def as_complex(x: Any, who: str, rank: int) -> tuple[Value, Value]:
    """Returns the two parts of a complex tensor.

    Args:
        x: (real, imaginary). who: needs it. rank: how many axes it has at least.

    Raises:
        ShapeError: these are no two tensors of one shape, or of too few axes. DTypeError: of other numbers than floats.
    """
    if not isinstance(x, tuple | list) or len(x) != 2:
        raise ShapeError(f"{who}: Input `x` should be a tuple of two tensors - real and imaginary. Received: x={x!r}")
    real, imag = (as_value(part) for part in x)
    shapes = list(zip(real.type.shape, imag.type.shape, strict=False))
    # Of sizes that are free, what meets them finds out that they are equal.
    if real.type.rank != imag.type.rank or any(a != b for a, b in shapes if isinstance(a, int) and isinstance(b, int)):
        raise ShapeError(
            "Input `x` should be a tuple of two tensors - real and imaginary. Both the real and imaginary parts should "
            f"have the same shape. Received: x[0].shape = {real.shape}, x[1].shape = {imag.shape}"
        )
    if real.type.rank < rank:
        raise ShapeError(f"{who}: Input should have rank >= {rank}. Received: input.shape = {real.shape}")
    if not (real.type.is_float and imag.type.is_float):
        raise DTypeError(
            f"{who}: At least one tensor in input `x` is not of type float. Received: {real.type}, {imag.type}"
        )
    wide = promote([real.dtype, imag.dtype])
    return cast(real, wide), cast(imag, wide)


def _packed(x: Any, who: str, axes: int) -> Value:
    """Returns a complex tensor with its two parts along a last axis, the axes before it being known."""
    real, imag = as_complex(x, who, axes)
    if not all(isinstance(n, int) for n in real.type.shape[-axes:]):
        which = "last dimension" if axes == 1 else "(-2, -1) axes"
        raise ShapeError(
            f"{who}: Input should have its {which} fully-defined. Received: input.shape = {real.shape}. Say the size "
            "in the model's Input."
        )
    return concatenate([real, imag], -1)


def fft(x: Any) -> tuple[Value, Value]:
    """Returns the real and imaginary parts of the Fourier transform along the last axis.

    Args:
        x: the real and imaginary parts, two tensors of floats whose last axis has a known size.

    Raises:
        ShapeError: these are no two tensors of one shape. DTypeError: they hold other numbers than floats.
    """
    return parts(apply(DFT(), _packed(x, "fft", 1)))


def fft2(x: Any) -> tuple[Value, Value]:
    """Returns the real and imaginary parts of the Fourier transform along the last two axes. Arguments: see `fft`."""
    return _along_two(_packed(x, "fft2", 2), DFT())


def ifft2(x: Any) -> tuple[Value, Value]:
    """Returns what has x as its transform along the last two axes. Arguments: see `fft`."""
    packed = _packed(x, "ifft2", 2)
    rows, columns = dims.known(packed.type.shape[-2:])
    real, imag = _along_two(packed, DFT(inverse=True))
    scale = 2 / (rows * columns)
    return multiply(real, scale), multiply(imag, scale)


def _along_two(packed: Value, op: DFT) -> tuple[Value, Value]:
    turned = concatenate([swapaxes(part, -2, -1) for part in parts(apply(op, packed))], -1)
    real, imag = parts(apply(op, turned))
    return swapaxes(real, -2, -1), swapaxes(imag, -2, -1)


def rfft(x: Any, fft_length: int | None = None) -> tuple[Value, Value]:
    """Returns the real and imaginary parts of the first half of the Fourier transform along a real last axis.

    Args:
        x: real numbers.
        fft_length: n, to which the axis is cut or filled up with zeros; its size by default. There are n // 2 + 1
            results.

    Raises:
        ShapeError: x has no axis, or the length is less than 1.
    """
    value = as_float(x)
    if value.type.rank < 1:
        raise ShapeError(f"rfft: Input should have rank >= 1. Received: input.shape = {value.shape}")
    if fft_length is not None:
        value = _fitted(value, checked_length(fft_length, "rfft"))
    n = size_of(value, -1)
    if isinstance(n, int):
        return parts(apply(RealDFT(), value))
    turns = _free_turns(n, n // 2 + 1, value)
    return matmul(value, cos(turns)), matmul(value, -sin(turns))


def irfft(x: Any, fft_length: int | None = None) -> Value:
    """Returns the real tensor of which x is what `rfft` gives.

    Args:
        x: the real and imaginary parts, two tensors of floats.
        fft_length: n, size of the last axis of the result; 2 (m - 1) by default for m numbers. They are cut or filled
            up with zeros to n // 2 + 1.

    Raises:
        ShapeError: these are no two tensors of one shape, or the length is less than 1. DTypeError: they hold other
        numbers than floats.
    """
    real, imag = as_complex(x, "irfft", 1)
    if fft_length is not None:
        n = checked_length(fft_length, "irfft")
        real, imag = _fitted(real, n // 2 + 1), _fitted(imag, n // 2 + 1)
    m = size_of(real, -1)
    if not isinstance(m, int):
        return _irfft_of_free_size(real, imag, m)
    n = checked_length(fft_length or 2 * (m - 1), "irfft")
    # All but the first, and the middle one of an even length, stand for their conjugates, too.
    weights = np.full(m, 2 / n)
    weights[0] = 1 / n
    weights[(n + 1) // 2 :] = 1 / n
    both = concatenate([real, imag], -1)
    return apply(RealDFTGrad(n), both * constant(np.tile(weights, 2).astype(both.dtype)))


def _irfft_of_free_size(real: Value, imag: Value, m: Value) -> Value:
    n, one = (m - 1) * 2, as_value(1.0, real.dtype)
    turns = swapaxes(_free_turns(n, m, real), 0, 1)
    k = arange(m, dtype="int32")
    doubled = where(logical_or(equal(k, 0), equal(k, m - 1)), one, multiply(one, 2))
    weights = divide(doubled, maximum(cast(n, real.dtype), one))
    return matmul(real * weights, cos(turns)) - matmul(imag * weights, sin(turns))


def _free_turns(n: Value, count: Size, like: Value) -> Value:
    """Returns what `dft.turns` returns, where the length is known only when the model runs."""
    t, k = expand_dims(arange(n, dtype="int64"), 1), arange(count, dtype="int64")
    length = maximum(cast(n, "int64"), as_value(1, "int64"))  # of one number nothing is the inverse
    steps = cast(mod(multiply(t, k), length), like.dtype)
    return multiply(steps, divide(as_value(2 * math.pi, like.dtype), cast(length, like.dtype)))


def _fitted(x: Value, n: int) -> Value:
    """Returns x with its last axis cut, or filled up with zeros, to n."""
    size = size_of(x, -1)
    if isinstance(size, int):
        x = slice_axis(x, -1, 0, n) if size > n else x
        return pad(x, [(0, 0)] * (x.type.rank - 1) + [(0, n - size)]) if size < n else x
    return slice_axis(pad(x, [(0, 0)] * (x.type.rank - 1) + [(0, n)]), -1, 0, n)


def checked_length(n: Any, who: str, name: str = "fft_length") -> int:
    """Returns a length as a Python number.

    Raises:
        ShapeError: it is no positive integer.
    """
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
        raise ShapeError(f"{who}: `{name}` must be a positive integer. Received: {name}={n!r}")
    return int(n)
