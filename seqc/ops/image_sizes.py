"""Images of any size brought to a given one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from seqc.errors import ShapeError
from seqc.graph.ir import Array, Op, Sizes, Type, Value, apply, as_value
from seqc.ops._common import as_float, check_float
from seqc.ops.resize import along_space, weights


@dataclass(frozen=True, repr=False, eq=False)
class Resize(Op):
    """An image (batch, *space, channels) with `size` elements along the axes of space.

    `interpolation` is "nearest", or one of those of `Resample`, between the centers of elements. With `antialias`, an
    element of a smaller image takes from all those that it covers.
    """

    size: tuple[int, ...]
    interpolation: str
    antialias: bool = False

    def infer(self, x: Type) -> Type:
        if self.interpolation != "nearest":
            check_float(self, x)
        if x.rank != len(self.size) + 2:
            raise ShapeError(f"Resize to {self.size} needs a rank-{len(self.size) + 2} input; got {x}.")
        return x.with_shape((x.shape[0], *self.size, x.shape[-1]))

    def eval(self, x: Array) -> Any:
        if self.interpolation != "nearest":
            return along_space(x, self.matrices(x.shape[1:-1], x.dtype.name))
        for axis, wanted in enumerate(self.size, 1):
            x = x.take(nearest(x.shape[axis], wanted), axis)
        return x

    def matrices(self, space: Sequence[int], dtype: str) -> list[Array]:
        """Returns, per axis of space, the weights (wanted, size) for an image of the given sizes."""
        if self.interpolation == "nearest":
            return [np.eye(n, dtype=dtype)[nearest(n, wanted)] for n, wanted in zip(space, self.size, strict=True)]
        pairs = zip(space, self.size, strict=True)
        return [weights(n, wanted, self.interpolation, dtype, self.antialias) for n, wanted in pairs]

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(ResizeGrad(self), g, x),)


@dataclass(frozen=True, repr=False, eq=False)
class ResizeGrad(Op):
    """Gradient of Resize: each element goes to those it was interpolated from. Operands: gradient, the image before."""

    resize: Resize
    shape_only: ClassVar[tuple[int, ...]] = (1,)

    def infer(self, g: Type, x: Type) -> Type:
        return x.with_dtype(g.dtype)

    def eval(self, g: Array, x: Array) -> Any:
        return along_space(g, self.turned(x.shape[1:-1], g.dtype.name))

    def turned(self, space: Sequence[int], dtype: str) -> list[Array]:
        """Returns, per axis of space, the weights (size, wanted) of a gradient."""
        return [np.ascontiguousarray(w.T) for w in self.resize.matrices(space, dtype)]

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def vjp(self, g: Value, y: Value, upstream: Value, x: Value) -> Sequence[Value | None]:
        return apply(self.resize, g), None


def nearest(size: int, wanted: int) -> Array:
    """Returns which of `size` elements each of `wanted` ones is, computed in single precision as Keras does."""
    at = (np.arange(wanted, dtype=np.float32) + np.float32(0.5)) * np.float32(size / wanted)
    found: Array = np.minimum(np.floor(at).astype(np.int64), size - 1)
    return found


def resize_image(x: Any, size: Sequence[int], interpolation: str, antialias: bool = False) -> Value:
    """Returns an image (batch, *space, channels) of the given size, as floats if it has several shares; see `Resize`.

    `antialias` means nothing where the nearest element is taken.
    """
    if interpolation == "nearest":
        return apply(Resize(tuple(size), interpolation), as_value(x))
    return apply(Resize(tuple(size), interpolation, antialias), as_float(x))
