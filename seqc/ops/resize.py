"""Making images larger by whole factors: repeating their elements, or interpolating between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from seqc.contexts import Scoped
from seqc.errors import NoGradientError, ShapeError
from seqc.graph import dims
from seqc.graph.ir import Array, Emitter, Op, Sizes, Type, Value, apply
from seqc.graph.layout import Layout, LayoutRule, Merged, axis_of
from seqc.graph.target import Target
from seqc.ops._common import as_float, check_float
from seqc.ops.pool import AveragePool
from seqc.ops.rearranging import repeat


@dataclass(frozen=True, repr=False, eq=False)
class Upsample(Op):
    """Repeats every element factors[i] times along axis i."""

    factors: tuple[int, ...]

    def infer(self, x: Type) -> Type:
        if len(self.factors) != x.rank:
            raise ShapeError(f"Upsample needs one factor per axis of {x}; got {self.factors}.")
        return x.with_shape(d * f for d, f in zip(x.shape, self.factors, strict=True))

    def eval(self, x: Array) -> Any:
        # Each axis that grows gets an axis for its copies behind it; one pass then writes them all.
        single = [n for d, f in zip(x.shape, self.factors, strict=True) for n in ((d,) if f == 1 else (d, 1))]
        copies = [n for d, f in zip(x.shape, self.factors, strict=True) for n in ((d,) if f == 1 else (d, f))]
        shape = [d * f for d, f in zip(x.shape, self.factors, strict=True)]
        return np.broadcast_to(x.reshape(single), copies).reshape(shape)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        batch, *size, channels = self.factors
        if not size or batch != 1 or channels != 1:
            raise NoGradientError(f"{self!r} has a gradient only along the axes between the first and the last.")
        window = tuple(size)
        return (apply(AveragePool(window, window), g) * float(prod(window)),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        if target.supports("Resize", dtype=x.dtype):
            return None
        for axis, factor in enumerate(self.factors):
            x = repeat(x, factor, axis) if factor > 1 else x
        return x

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return emit_resize(e, x, self.factors, mode="nearest", where="asymmetric", nearest_mode="floor")

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        if any(isinstance(a, Merged) for a in layout):
            return None
        factors = tuple(1 if a is None else self.factors[axis_of(a) or 0] for a in layout)
        return LayoutRule((layout,), Upsample(factors), layout)


@dataclass(frozen=True, repr=False, eq=False)
class Resample(Op):
    """An image (batch, *space, channels) larger by whole `factors`, interpolated between the centers of its elements.

    `interpolation` is "bilinear", "bicubic" (Keys's, a = -0.5), "lanczos3" or "lanczos5"; at the borders the weights of
    the elements that exist are scaled up to one.
    """

    factors: tuple[int, ...]
    interpolation: str

    def infer(self, x: Type) -> Type:
        check_float(self, x)
        if x.rank != len(self.factors) + 2:
            raise ShapeError(f"Resample by {self.factors} needs a rank-{len(self.factors) + 2} input; got {x}.")
        return x.with_shape(self.resized(x.shape))

    def resized(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(d * f for d, f in zip(shape, (1, *self.factors, 1), strict=True))

    def matrices(self, small: tuple[int, ...], dtype: str) -> list[Array]:
        """Returns, per axis of space, the weights (large, small) for an image of the given sizes."""
        return [weights(n, n * f, self.interpolation, dtype) for n, f in zip(small, self.factors, strict=True)]

    def eval(self, x: Array) -> Any:
        return along_space(x, self.matrices(x.shape[1:-1], x.dtype.name))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(ResampleGrad(self.factors, self.interpolation), g),)


class ResampleGrad(Resample):
    """Gradient of Resample: each element of the large image goes to those it was interpolated from."""

    def resized(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        sizes = tuple(dims.exact_quotient(d, f) for d, f in zip(shape, (1, *self.factors, 1), strict=True))
        if None in sizes:
            raise ShapeError(f"{self!r}: sizes {list(shape)} are no multiples of {self.factors}.")
        return sizes

    def eval(self, g: Array) -> Any:
        return along_space(g, self.turned(dims.known(self.resized(g.shape)[1:-1]), g.dtype.name))

    def turned(self, small: tuple[int, ...], dtype: str) -> list[Array]:
        """Returns, per axis of space, the weights (small, large) of a gradient."""
        return [np.ascontiguousarray(w.T) for w in self.matrices(small, dtype)]

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def vjp(self, g: Value, y: Value, upstream: Value) -> Sequence[Value | None]:
        return (apply(Resample(self.factors, self.interpolation), g),)


def along_space(x: Array, matrices: Sequence[Array]) -> Array:
    """Returns an image (batch, *space, channels) with each axis of space multiplied by its matrix."""
    for axis, w in enumerate(matrices, 1):
        lead, trail = x.shape[:axis], x.shape[axis + 1 :]
        x = (w @ x.reshape(prod(lead), x.shape[axis], prod(trail))).reshape(*lead, len(w), *trail)
    return x


def emit_resize(e: Emitter, x: str, factors: Sequence[int], mode: str, where: str, **more: Any) -> str:
    """Writes a Resize by whole factors, which says all that readers have different defaults for."""
    scales = e.constant(np.array(factors, np.float32))
    return e.node("Resize", x, "", scales, mode=mode, coordinate_transformation_mode=where, **more)


def _triangle(x: Array) -> Array:
    return np.where(x < 1, 1 - x, 0)


def _keys(x: Array) -> Array:
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


KERNELS: dict[str, Callable[[Array], Array]] = {
    "bilinear": _triangle,
    "bicubic": _keys,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


_disturbance: Scoped[Callable[[Array], Array] | None] = Scoped("disturbance", default=None)


def disturbed_places(disturb: Callable[[Array], Array]) -> AbstractContextManager[object]:
    """The places that weights interpolate at pass through `disturb`: an operator computes them in single precision."""
    return _disturbance.holding(disturb)


def weights(size: int, wanted: int, kind: str, dtype: str, antialias: bool = False) -> Array:
    """Returns the matrix (wanted, size) that interpolates an axis. The array is shared: read only.

    Args:
        size, wanted: elements before and after.
        kind: of interpolation.
        dtype: of the matrix.
        antialias: whether each element takes from all those that it covers where there are fewer than before.
    """
    disturb = _disturbance.get()
    if disturb is None:
        return _exact_weights(size, wanted, kind, dtype, antialias)
    return _weights_at(disturb(_places(size, wanted)), size, wanted, kind, dtype, antialias)


@lru_cache(maxsize=256)
def _exact_weights(size: int, wanted: int, kind: str, dtype: str, antialias: bool) -> Array:
    found = _weights_at(_places(size, wanted), size, wanted, kind, dtype, antialias)
    found.flags.writeable = False
    return found


def _places(size: int, wanted: int) -> Array:
    """Returns where the elements of a result lie among those that are there, as a column."""
    return (np.arange(wanted)[:, None] + 0.5) * size / wanted - 0.5


def _weights_at(at: Array, size: int, wanted: int, kind: str, dtype: str, antialias: bool) -> Array:
    found = KERNELS[kind](np.abs(at - np.arange(size)) / (max(1.0, size / wanted) if antialias else 1.0))
    return np.asarray(found / found.sum(1, keepdims=True), dtype)


def upsample(x: Value, size: Sequence[int]) -> Value:
    """Returns (batch, *space, channels) with every element repeated size[i] times along the i-th axis of space."""
    return apply(Upsample((1, *size, 1)), x)


def resample(x: Value, size: Sequence[int], kind: str) -> Value:
    """Returns (batch, *space, channels) interpolated to size[i] times as many elements along the i-th axis of space."""
    return apply(Resample(tuple(size), kind), as_float(x))
