"""Signals cut into overlapping frames, and their transforms: short-time Fourier transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DTypeError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Type, Value, apply, as_value, constant
from seqc.ops._tapers import taper
from seqc.ops.arithmetic import divide, multiply, square
from seqc.ops.elementwise import greater, where
from seqc.ops.fourier import as_complex, checked_length, ends_reshaped, irfft, rfft
from seqc.ops.padding import pad
from seqc.ops.rearranging import broadcast_to, swapaxes
from seqc.ops.reduce import sum
from seqc.ops.sizes import Size, crop, size_of
from seqc.ops.slicing import slice_axis
from seqc.sure import of_kind

# How many elements are worth being moved as a block, at least.
_WORTH_JOINING = 16
# Where the windows over a sample are smaller than this, a signal cannot be told from its transform.
_NEGLIGIBLE = 1e-10


@dataclass(frozen=True, repr=False, eq=False)
class Frames(Op):
    """Runs of `length` elements of the last axis, one every `stride` elements: (..., n) to (..., frames, length)."""

    kind = "move"
    length: int
    stride: int

    def infer(self, x: Type) -> Type:
        if x.rank < 1:
            raise ShapeError(f"{self.name} needs an axis to cut; got {x}.")
        n = x.shape[-1]
        if isinstance(n, int) and n < self.length:
            raise ShapeError(
                f"{self!r}: a frame of {self.length} does not fit a last axis of {n}, of {x}. Use shorter frames or a "
                "longer signal."
            )
        return x.with_shape((*x.shape[:-1], (n - self.length) // self.stride + 1, self.length))

    def eval(self, x: Array) -> Any:
        self.infer(Type("", x.shape))
        windows = np.lib.stride_tricks.sliding_window_view(x, self.length, axis=-1)
        return np.ascontiguousarray(windows[..., :: self.stride, :])

    def batch_rule(self, y: Value) -> BatchRule:
        x = y.inputs[0].type
        return "whole" if batch_axis(x) == x.rank - 1 else "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (overlap_add(g, self.stride, size_of(x, -1)),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        block, rank = gcd(self.length, self.stride), y.inputs[0].type.rank
        if block < _WORTH_JOINING:
            return self._emit_gather(e, y, x, 1)
        # onnxruntime copies element by element what Gather takes from a last axis, and else whole blocks.
        *lead, n = y.inputs[0].type.shape
        if not isinstance(n, int) or n % block:
            zero, axis = (e.constant(np.array([i], np.int64)) for i in (0, -1))
            x = e.node("Slice", x, zero, _emit_whole(e, x, n, block, rank - 1), axis)
            e.typed(x, y.type.with_shape((*lead, n // block * block)))
        blocks = e.node("Reshape", x, e.constant(np.array([0] * (rank - 1) + [-1, block], np.int64)))
        e.typed(blocks, y.type.with_shape((*lead, n // block, block)))
        found = self._emit_gather(e, y, blocks, block)
        return e.node("Reshape", found, e.constant(np.array([0] * rank + [self.length], np.int64)))

    def _emit_gather(self, e: Emitter, y: Value, x: str, block: int) -> str:
        """Writes the frames of an axis of blocks of so many elements."""
        count, axis = y.type.shape[-2], y.type.rank - 2
        length, stride = self.length // block, self.stride // block
        within = e.constant(np.arange(length))
        if isinstance(count, int):
            starts = e.constant(np.arange(count)[:, None] * stride)
        else:
            behind = e.node("Sub", _emit_size(e, x, axis), e.constant(np.int64(length - 1)))
            listed = e.node("Range", e.constant(np.int64(0)), behind, e.constant(np.int64(stride)))
            e.typed(listed, Type("int64", (count,)))
            starts = e.node("Unsqueeze", listed, e.constant(np.array([1], np.int64)))
        # Two short constants: a table of all indices may be larger than the signal.
        return e.node("Gather", x, e.node("Add", starts, within), axis=axis)


def _emit_whole(e: Emitter, x: str, n: Dim, block: int, axis: int) -> str:
    """Writes how many elements of an axis whole blocks have, as a vector."""
    if isinstance(n, int):
        return e.constant(np.array([n - n % block], np.int64))
    size = e.node("Gather", e.node("Shape", x), e.constant(np.array([axis], np.int64)), axis=0)
    return e.node("Sub", size, e.node("Mod", size, e.constant(np.int64(block))))


def _emit_size(e: Emitter, x: str, axis: int) -> str:
    return e.node("Gather", e.node("Shape", x), e.constant(np.int64(axis)), axis=0)


def overlap_add(frames: Value, stride: int, length: Size) -> Value:
    """Returns frames laid over each other, one every `stride` elements, and added up; the rest is 0.

    Args:
        frames: of shape (..., frames, n).
        stride: elements from one frame to the next.
        length: of the result; what goes beyond it is left out.
    """
    rank, n = frames.type.rank, of_kind(frames.type.shape[-1], int)
    parts = -(-n // stride)
    rows = _end_padded(frames, rank - 1, parts * stride - n)
    count = size_of(rows, -2) + parts
    rows = swapaxes(ends_reshaped(rows, 1, (parts, stride)), -3, -2)
    # Row j is to lie j places further on. It does when all rows, with one more place than needed, are written one after
    # the other and read as rows without that place.
    shifted = _end_padded(rows, rank - 1, parts + 1)
    shifted = ends_reshaped(shifted, 3, ((count + 1) * parts, stride))
    shifted = slice_axis(shifted, rank - 2, 0, -parts)
    shifted = ends_reshaped(shifted, 2, (parts, count, stride))
    joined = ends_reshaped(sum(shifted, axis=-3), 2, (count * stride,))
    if isinstance(length, int) and isinstance(size := size_of(joined, -1), int):
        joined = _end_padded(joined, rank - 2, max(0, length - size))
    return slice_axis(joined, rank - 2, 0, length) if isinstance(length, int) else crop(joined, rank - 2, 0, length)


def _end_padded(x: Value, axis: int, count: int) -> Value:
    """Returns x with so many zeros at the end of an axis."""
    return pad(x, [(0, count if i == axis else 0) for i in range(x.type.rank)]) if count else x


def extract_sequences(x: Any, sequence_length: int, sequence_stride: int) -> Value:
    """Returns runs of elements of the last axis, which may overlap: (..., n) to (..., runs, sequence_length).

    Args:
        x: a tensor of at least one axis, as long as a run.
        sequence_length: elements of a run.
        sequence_stride: elements from the start of one run to that of the next.

    Raises:
        ShapeError: x is shorter than a run, or one of the numbers is less than 1.
    """
    length = checked_length(sequence_length, "extract_sequences", "sequence_length")
    return apply(Frames(length, checked_length(sequence_stride, "extract_sequences", "sequence_stride")), as_value(x))


def _window(window: Any, sequence_length: int, fft_length: int, like: Value) -> Value | None:
    """Returns what frames are multiplied with, as long as the transform; None for nothing.

    Raises:
        ConfigError: no window has that name. ShapeError: it is not as long as a sequence.
    """
    if window is None:
        return None
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ConfigError(
                f'If a string is passed to `window`, it must be one of `"hann"`, `"hamming"`. Received: window={window}'
            )
        window = taper(window, sequence_length, periodic=True)
    values = as_value(window if isinstance(window, Value) else np.asarray(window, like.dtype))
    if values.type.shape != (sequence_length,):
        raise ShapeError(
            f"The shape of `window` must be equal to [sequence_length], {sequence_length}. Received: window "
            f"shape={values.shape}"
        )
    before = (fft_length - sequence_length) // 2
    return pad(values, [(before, fft_length - sequence_length - before)])


def _checked(who: str, sequence_length: Any, sequence_stride: Any, fft_length: Any) -> tuple[int, int, int]:
    length = checked_length(sequence_length, who, "sequence_length")
    stride = checked_length(sequence_stride, who, "sequence_stride")
    n = checked_length(fft_length, who)
    if n < length:
        raise ShapeError(
            f"{who}: `fft_length` must equal or larger than `sequence_length`. Received: sequence_length={length}, "
            f"fft_length={n}"
        )
    return length, stride, n


def stft(
    x: Any, sequence_length: int, sequence_stride: int, fft_length: int, window: Any = "hann", center: bool = True
) -> tuple[Value, Value]:
    """Returns the real and imaginary parts of the Fourier transforms of short, overlapping pieces of a signal.

    Args:
        x: float32 or float64, the signal along the last axis.
        sequence_length: elements of a piece.
        sequence_stride: elements from one piece to the next.
        fft_length: length of the transforms, at least `sequence_length`; zeros stand at both sides of shorter pieces.
        window: what pieces are multiplied with: "hann", "hamming", `sequence_length` numbers, or None.
        center: whether piece i has its middle at i * sequence_stride, for which the signal is mirrored at its ends;
            otherwise it starts there.

    Raises:
        ShapeError: the lengths do not fit each other, or the signal. ConfigError: no window has that name. DTypeError:
        x holds other numbers.
    """
    length, stride, n = _checked("stft", sequence_length, sequence_stride, fft_length)
    value = as_value(x)
    if value.dtype not in ("float32", "float64"):
        raise DTypeError(
            f"stft: Invalid input type. Expected `float32` or `float64`. Received: input type={value.dtype}. Use "
            "ops.cast."
        )
    weights = _window(window, length, n, value)
    if center:
        value = pad(value, [(0, 0)] * (value.type.rank - 1) + [(n // 2, n // 2)], mode="reflect")
    frames = apply(Frames(n, stride), value)
    return rfft(frames if weights is None else frames * weights)


def istft(
    x: Any,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Value:
    """Returns the signal whose `stft` with the same arguments is nearest to x, by least squares.

    Args:
        x: the real and imaginary parts, of shape (..., pieces, fft_length // 2 + 1). sequence_length, sequence_stride,
            fft_length, window, center: as in `stft`.
        length: of the result: what is longer is cut, what is shorter filled up with zeros. By default what the pieces
            cover.

    Raises:
        As `stft`.
    """
    sequence, stride, n = _checked("istft", sequence_length, sequence_stride, fft_length)
    real, imag = as_complex(x, "istft", 2)
    frames = irfft((real, imag), n)
    weights = _window(window, sequence, n, frames)
    count = size_of(frames, -2)
    start = n // 2 if center else 0
    total = (count - 1) * stride + n - (start if length is None else 0)
    reach = total if length is None else start + checked_length(length, "istft", "length")
    if weights is None:
        weights = constant(np.ones(n, frames.dtype))
        scale = n / stride
    else:
        frames, scale = frames * weights, 1.0
    signal = overlap_add(frames, stride, reach)
    covered = overlap_add(broadcast_to(square(weights), (count, n)), stride, reach)
    one = as_value(1.0, signal.dtype)
    signal = divide(signal, where(greater(covered, _NEGLIGIBLE), covered, one))
    signal = signal if scale == 1 else multiply(signal, scale)
    return slice_axis(signal, -1, start, None) if start else signal
