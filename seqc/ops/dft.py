"""The operations of the discrete Fourier transform; `fourier.py` has the functions.

A transform of length n is X[k] = sum of x[t] exp(-2 pi i k t / n) over t. It is linear, so that its gradient is the
same sum with the other sign.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from seqc.errors import NoLoweringError, ShapeError
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, Emitter, Op, Sizes, Type, Value, apply
from seqc.ops._common import check_float

# onnxruntime computes its DFT fast and accurately where the length is a power of two, and is faster than a product with
# a matrix from here on; elsewhere it is slower and loses half of the digits.
_FAST_FROM = 1024
# The matrix of a longer transform has more than 2^26 numbers.
_LONGEST = 8192


@dataclass(frozen=True, repr=False, eq=False)
class _Fourier(Op):
    """What the transforms share: what comes out is what goes in, times a matrix.

    The last axis of a complex operand or result has all real parts, and all imaginary parts after them.
    """

    def matrix(self, x: Type) -> Array:
        """Returns the matrix for an operand."""
        raise NotImplementedError(f"{self.name}.matrix")

    def length(self, x: Type) -> int:
        """Returns the length of the transform of an operand."""
        raise NotImplementedError(f"{self.name}.length")

    def emit_dft(self, e: Emitter, y: Value, x: str) -> str:
        """Writes the transform with ONNX's operator."""
        raise NotImplementedError(f"{self.name}.emit_dft")

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0][:-1]) * work_of_transform(min(inputs[0][-1], outputs[0][-1]))

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        given = y.inputs[0].type
        n = self.length(given)
        if n >= _FAST_FROM and n & (n - 1) == 0 and e.target.supports("DFT", dtype=given.dtype):
            return self.emit_dft(e, y, x)
        if n > _LONGEST:
            raise NoLoweringError(
                f"A Fourier transform of length {n} cannot be exported: onnxruntime computes accurately only those of "
                f"powers of two (from opset 17 on), and only those up to {_LONGEST} are written as a matrix. Use a "
                "power of two, such as fft_length=16384."
            )
        return e.node("MatMul", x, e.constant(self.matrix(given).astype(given.dtype)))


class RealDFT(_Fourier):
    """The first n // 2 + 1 numbers of the transform of a real last axis, the rest being their conjugates."""

    def infer(self, x: Type) -> Type:
        check_float(self, x)
        return x.with_shape((*x.shape[:-1], 2 * (self.length(x) // 2 + 1)))

    def matrix(self, x: Type) -> Array:
        return _real_matrix(self.length(x))

    def length(self, x: Type) -> int:
        return _known_length(self, x)

    def eval(self, x: Array) -> Any:
        return _halves(np.fft.rfft(x), x.dtype)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(RealDFTGrad(self.length(x.type)), g),)

    def emit_dft(self, e: Emitter, y: Value, x: str) -> str:
        column = e.node("Unsqueeze", x, e.constant(np.array([-1], np.int64)))
        return _emit_halves(e, _emit(e, column, y.type.rank + 1, onesided=1), y.type.rank)


@dataclass(frozen=True, repr=False, eq=False)
class RealDFTGrad(_Fourier):
    """Gradient of `RealDFT` of length n: sums of re[k] cos(2 pi k t / n) - im[k] sin(2 pi k t / n) over k."""

    n: int

    def infer(self, g: Type) -> Type:
        check_float(self, g)
        if g.rank < 1 or g.shape[-1] != 2 * (self.n // 2 + 1):
            raise ShapeError(f"{self!r} needs a last axis of {2 * (self.n // 2 + 1)}; got {g}.")
        return g.with_shape((*g.shape[:-1], self.n))

    def matrix(self, x: Type) -> Array:
        return np.ascontiguousarray(_real_matrix(self.n).T)

    def length(self, x: Type) -> int:
        return self.n

    def eval(self, g: Array) -> Any:
        # NumPy takes every number but the first, and the middle one of an even length, for itself and its conjugate.
        z = _complex(g)
        z[..., 1 : (self.n + 1) // 2] *= 0.5
        return np.fft.irfft(z, self.n, norm="forward").astype(g.dtype, copy=False)

    def vjp(self, g: Value, y: Value, upstream: Value) -> Sequence[Value | None]:
        return (apply(RealDFT(), g),)

    def emit_dft(self, e: Emitter, y: Value, x: str) -> str:
        rank, missing = y.type.rank, self.n - (self.n // 2 + 1)
        added = e.constant(np.array([0] * (2 * rank) + [missing, 0], np.int64))
        whole = e.node("Pad", _emit_pairs(e, x, rank), added, e.constant(np.zeros((), y.type.dtype)))
        real = e.node("Gather", _emit(e, whole, rank + 1, inverse=1), e.constant(np.array(0, np.int64)), axis=rank)
        return e.node("Mul", real, e.constant(np.array(self.n, y.type.dtype)))


@dataclass(frozen=True, repr=False, eq=False)
class DFT(_Fourier):
    """The transform of a complex last axis, with the other sign and no division where `inverse`."""

    inverse: bool = False

    def infer(self, x: Type) -> Type:
        check_float(self, x)
        self.length(x)
        return x

    def matrix(self, x: Type) -> Array:
        return _complex_matrix(self.length(x), self.inverse)

    def length(self, x: Type) -> int:
        both = _known_length(self, x)
        if both % 2:
            raise ShapeError(f"{self.name} needs as many real as imaginary parts along the last axis; got {x}.")
        return both // 2

    def eval(self, x: Array) -> Any:
        z = _complex(x)
        return _halves(np.fft.ifft(z, norm="forward") if self.inverse else np.fft.fft(z), x.dtype)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(DFT(not self.inverse), g),)

    def emit_dft(self, e: Emitter, y: Value, x: str) -> str:
        rank, pairs = y.type.rank, _emit_pairs(e, x, y.type.rank)
        if not self.inverse:
            return _emit_halves(e, _emit(e, pairs, rank + 1), rank)
        divided = _emit_halves(e, _emit(e, pairs, rank + 1, inverse=1), rank)
        return e.node("Mul", divided, e.constant(np.array(self.length(y.type), y.type.dtype)))


def _emit(e: Emitter, x: str, rank: int, **attributes: int) -> str:
    """Writes ONNX's transform, whose operand and result have the two parts of each number along a last axis of 2."""
    if e.target.supports("DFT", "axis"):
        return e.node("DFT", x, axis=rank - 2, **attributes)
    return e.node("DFT", x, "", e.constant(np.array(rank - 2, np.int64)), **attributes)


def _emit_pairs(e: Emitter, x: str, rank: int) -> str:
    """Writes a last axis of all real and all imaginary parts as ONNX has them."""
    split = e.node("Reshape", x, e.constant(np.array([0] * (rank - 1) + [2, -1], np.int64)))
    return e.node("Transpose", split, perm=(*range(rank - 1), rank, rank - 1))


def _emit_halves(e: Emitter, pairs: str, rank: int) -> str:
    """Writes what `_emit` gives as a last axis of all real and all imaginary parts, of a tensor of that rank."""
    turned = e.node("Transpose", pairs, perm=(*range(rank - 1), rank, rank - 1))
    # A size of 0 stands for that of the same axis before.
    return e.node("Reshape", turned, e.constant(np.array([0] * (rank - 1) + [-1], np.int64)))


def _known_length(op: Op, x: Type) -> int:
    n: Dim | None = x.shape[-1] if x.rank else None
    if not isinstance(n, int) or n < 1:
        raise ShapeError(f"{op.name} needs a known size of the last axis, at least 1; got {x}.")
    return n


def _complex(halves: Array) -> Array:
    """Returns an array of real and imaginary parts as a new one of complex numbers."""
    n = halves.shape[-1] // 2
    return halves[..., :n] + halves[..., n:] * (1j if halves.dtype == np.float64 else np.complex64(1j))


def _halves(z: Array, dtype: Any) -> Array:
    """Returns the real parts of complex numbers and, after them, the imaginary ones."""
    return np.concatenate([z.real, z.imag], -1).astype(dtype, copy=False)


def _real_matrix(n: int) -> Array:
    """Returns the matrix (n, 2 (n // 2 + 1)) of `RealDFT`."""
    angles = turns(n, n, n // 2 + 1)
    return np.concatenate([np.cos(angles), -np.sin(angles)], 1)


def _complex_matrix(n: int, inverse: bool) -> Array:
    """Returns the matrix (2 n, 2 n) of `DFT`."""
    angles = turns(n, n, n)
    c, s = np.cos(angles), np.sin(angles) * (-1 if inverse else 1)
    return np.block([[c, -s], [s, c]])


def turns(n: int, length: int, count: int) -> Array:
    """Returns the angles (radians) that a transform of length n turns by: (length, count), of elements and frequencies.

    Whole turns are taken off before, so that the sine of a large angle loses nothing.
    """
    return np.outer(np.arange(length), np.arange(count)) % n * (2 * np.pi / n)


def work_of_transform(numbers: int) -> int:
    """Returns the floating-point operations of a fast Fourier transform of so many real numbers.

    Two of them may make a complex one (J. W. Cooley and J. W. Tukey, 1965).
    """
    return numbers * 5 * math.ceil(math.log2(max(numbers, 2))) // 2
