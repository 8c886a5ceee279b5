"""Pooling over channels-last tensors, and its gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from seqc.errors import ShapeError
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, Op, Sizes, Type, Value, apply, constant
from seqc.graph.target import Target
from seqc.ops._common import check_float
from seqc.ops._windows import Padding, Window
from seqc.ops.conv import Conv, ConvInputGrad
from seqc.ops.shape import ones_like
from seqc.ops.slicing import slice_axis
from seqc.sure import present


@dataclass(frozen=True, repr=False, eq=False)
class _Pool(Op):
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding = "valid"

    @property
    def window(self) -> Window:
        return Window(self.size, self.strides, (1,) * len(self.size), self.padding)

    def pooled(self, x: Type) -> tuple[Dim, ...]:
        check_float(self, x)
        if x.rank != len(self.size) + 2:
            rank = len(self.size) + 2
            raise ShapeError(f"{self.name} over {rank - 2} axes needs a rank-{rank} input; got {x}.")
        return (x.shape[0], *self.window.out_sizes(self.name, x.shape[1:-1]), x.shape[-1])


class MaxPool(_Pool):
    """The largest element of each window; padding never wins."""

    def infer(self, x: Type) -> Type:
        return x.with_shape(self.pooled(x))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(outputs[0]) * prod(self.size)

    def eval(self, x: Array) -> Any:
        out = dims.known(self.window.out_sizes(self.name, x.shape[1:-1]))
        x = self.window.padded(x, -np.inf)
        y: Array | None = None
        for _, cut in self.window.taps(out):
            y = x[cut].copy() if y is None else np.maximum(y, x[cut], out=y)
        return present(y)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(MaxPoolGrad(self.size, self.strides, self.padding), x, y, g),)


class MaxPoolGrad(_Pool):
    """Sends the gradient of each window to its first largest element: (input, output, gradient of the output)."""

    def infer(self, x: Type, y: Type, g: Type) -> Type:
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[1]) * prod(self.size)

    def eval(self, x: Array, y: Array, g: Array) -> Any:
        padded = self.window.padded(x, -np.inf)
        result = np.zeros(padded.shape, g.dtype)
        for cut, hit in _first_largest(self.window, padded, y):
            result[cut] += g * hit
        return result[self.window.inside(x.shape[1:-1])]

    def vjp(self, g: Value, y: Value, x: Value, out: Value, upstream: Value) -> Sequence[Value | None]:
        return None, None, apply(MaxPoolTake(self.size, self.strides, self.padding), x, out, g)


class MaxPoolTake(_Pool):
    """What lies where the first largest element of each window is: (input, output, what to take from)."""

    def infer(self, x: Type, y: Type, other: Type) -> Type:
        return y.with_dtype(other.dtype)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[1]) * prod(self.size)

    def eval(self, x: Array, y: Array, other: Array) -> Any:
        padded, there = self.window.padded(x, -np.inf), self.window.padded(other)
        result = np.zeros(y.shape, other.dtype)
        for cut, hit in _first_largest(self.window, padded, y):
            result += there[cut] * hit
        return result

    def vjp(self, g: Value, y: Value, x: Value, out: Value, other: Value) -> Sequence[Value | None]:
        return None, None, apply(MaxPoolGrad(self.size, self.strides, self.padding), x, out, g)


def _first_largest(window: Window, padded: Array, y: Array) -> Iterator[tuple[Any, Array]]:
    """Yields, for each place in windows, where it is in their input, and which have their first largest there."""
    left: Array | None = None
    for _, cut in window.taps(y.shape[1:-1]):
        hit = padded[cut] == y
        if left is None:
            left = ~hit
        else:
            hit &= left
            left &= ~hit
        yield cut, hit


class AveragePool(_Pool):
    """The mean of each window over its real elements: padding does not count."""

    def infer(self, x: Type) -> Type:
        return x.with_shape(self.pooled(x))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(outputs[0]) * prod(self.size)

    def eval(self, x: Array) -> Any:
        out = dims.known(self.window.out_sizes(self.name, x.shape[1:-1]))
        padded = self.window.padded(x)
        total: Array | None = None
        for _, cut in self.window.taps(out):
            total = padded[cut].copy() if total is None else np.add(total, padded[cut], out=total)
        return present(total) / real_elements(self.window, x.shape[1:-1], out).astype(x.dtype)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(AveragePoolGrad(self.size, self.strides, self.padding), g, x),)


class AveragePoolGrad(_Pool):
    """Spreads each window's gradient evenly over its real elements: (gradient of the output, input)."""

    shape_only = (1,)

    def infer(self, g: Type, x: Type) -> Type:
        return x.with_dtype(g.dtype)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0]) * prod(self.size)

    def eval(self, g: Array, x: Array) -> Any:
        spatial = x.shape[1:-1]
        pads = self.window.pads(spatial)
        share = g / real_elements(self.window, spatial, g.shape[1:-1]).astype(g.dtype)
        shape = (x.shape[0], *(s + a + b for s, (a, b) in zip(spatial, pads, strict=True)), x.shape[-1])
        result = np.zeros(shape, g.dtype)
        for _, cut in self.window.taps(g.shape[1:-1]):
            result[cut] += share
        return result[self.window.inside(spatial)]

    def vjp(self, g: Value, y: Value, upstream: Value, x: Value) -> Sequence[Value | None]:
        return apply(AveragePool(self.size, self.strides, self.padding), g), None

    def decompose(self, target: Target, y: Value, g: Value, x: Value) -> Value | tuple[Value, ...] | None:
        spatial, (channels,) = x.type.shape[1:-1], dims.known(x.type.shape[-1:])
        if dims.is_known(spatial):
            known = real_elements(self.window, dims.known(spatial), dims.known(g.type.shape[1:-1]))
            counts = constant(known.astype(g.dtype))
        else:
            each = constant(np.ones((*self.size, 1, 1), g.dtype))
            counts = apply(Conv(self.strides, self.padding), ones_like(slice_axis(x, x.type.rank - 1, 0, 1)), each)
        share = g / counts
        ones = constant(np.ones((*self.size, 1, channels), g.dtype))
        return apply(ConvInputGrad(self.strides, self.padding, (1,) * len(self.size), channels), share, ones, x)


@lru_cache(maxsize=256)
def real_elements(window: Window, spatial: tuple[int, ...], out: tuple[int, ...]) -> Array:
    """Returns how many elements of each window are not padding, shaped (*out, 1). The array is shared: read only."""
    ones = window.padded(np.ones((1, *spatial, 1)))
    total = np.zeros((*out, 1))
    for _, cut in window.taps(out):
        total += ones[cut][0]
    return total
