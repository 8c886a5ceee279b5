"""Pooling over channels-last tensors, and its gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from seqc.errors import NoGradientError, NoLoweringError, ShapeError
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, Emitter, Op, Sizes, Type, Value, apply, constant
from seqc.graph.layout import LayoutRule, channels_first
from seqc.graph.target import Target
from seqc.ops._common import check_float
from seqc.ops._conv_onnx import emit_padded, emit_unknown_pads, emit_unpadded
from seqc.ops._shape_onnx import emit_sizes
from seqc.ops._windows import Padding, Window
from seqc.ops.conv import Conv, ConvInputGrad
from seqc.ops.shape import ones_like
from seqc.ops.slicing import slice_axis


@dataclass(frozen=True, repr=False)
class _Pool(Op):
    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding = "valid"
    first: bool = False  # channels-first operands

    @property
    def window(self) -> Window:
        return Window(self.size, self.strides, (1,) * len(self.size), self.padding)

    def spatial(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return shape[2:] if self.first else shape[1:-1]

    def pooled(self, x: Type) -> tuple[Dim, ...]:
        check_float(self, x)
        if x.rank != len(self.size) + 2:
            rank = len(self.size) + 2
            raise ShapeError(f"{self.name} over {rank - 2} axes needs a rank-{rank} input; got {x}.")
        out = self.window.out_sizes(self.name, self.spatial(x.shape))
        return (*x.shape[:2], *out) if self.first else (x.shape[0], *out, x.shape[-1])

    def last(self, x: Array) -> Array:
        return np.moveaxis(x, 1, -1) if self.first else x

    def back(self, y: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(y, -1, 1)) if self.first else y

    def layout_rule(self, y: Value, *layouts: Any) -> LayoutRule | None:
        if self.first:
            return None
        op = replace(self, first=True)
        if len(self.size) == 1:
            pads = ((0, 0), *self.padding) if isinstance(self.padding, tuple) else self.padding
            op = replace(op, size=(1, *self.size), strides=(1, *self.strides), padding=pads)
        image = channels_first(y.type.rank)
        return LayoutRule((image,) * len(layouts), op, image)

    def onnx_attributes(self, x: Type) -> dict[str, Any]:
        if not self.first:
            raise NoLoweringError(f"{self.name} reaches ONNX channels-first: plan the layout before lowering.")
        return {"kernel_shape": list(self.size), **self.window.onnx_attributes(self.spatial(x.shape))}

    def unknown_pads(self, e: Emitter, x: Type, name: str) -> str:
        """Writes the pads of the operand where they are not known before the model runs, else returns ""."""
        return emit_unknown_pads(e, self.window, self.spatial(x.shape), name)


class MaxPool(_Pool):
    """The largest element of each window; padding never wins."""

    def infer(self, x: Type) -> Type:
        return x.with_shape(self.pooled(x))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(outputs[0]) * prod(self.size)

    def eval(self, x: Array) -> Any:
        x = self.last(x)
        out = dims.known(self.window.out_sizes(self.name, x.shape[1:-1]))
        x = self.window.padded(x, -np.inf)
        y: Array | None = None
        for _, cut in self.window.taps(out):
            y = x[cut].copy() if y is None else np.maximum(y, x[cut], out=y)
        assert y is not None
        return self.back(y)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(MaxPoolGrad(self.size, self.strides, self.padding), x, y, g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        image = y.inputs[0].type
        seen = emit_padded(e, x, self.unknown_pads(e, image, x), -np.inf, image.dtype)
        return e.node("MaxPool", seen, **self.onnx_attributes(image))


class MaxPoolGrad(_Pool):
    """Sends the gradient of each window to its first largest element: (input, output, gradient of the output)."""

    def infer(self, x: Type, y: Type, g: Type) -> Type:
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[1]) * prod(self.size)

    def eval(self, x: Array, y: Array, g: Array) -> Any:
        x, y, g = (self.last(a) for a in (x, y, g))
        padded = self.window.padded(x, -np.inf)
        result = np.zeros(padded.shape, g.dtype)
        left: Array | None = None
        for _, cut in self.window.taps(y.shape[1:-1]):
            hit = padded[cut] == y
            if left is None:
                left = ~hit
            else:
                hit &= left
                left &= ~hit
            result[cut] += g * hit
        return self.back(result[self.window.inside(x.shape[1:-1])])

    def vjp(self, g: Value, y: Value, x: Value, out: Value, upstream: Value) -> Sequence[Value | None]:
        raise NoGradientError("The gradient of max pooling is not differentiated again.")

    def lower(self, e: Emitter, y: Value, x: str, out: str, g: str) -> str | tuple[str, ...]:
        padded = emit_padded(e, x, self.unknown_pads(e, y.type, x), -np.inf, y.type.dtype)
        _, where = e.node_many("MaxPool", padded, outputs=2, **self.onnx_attributes(y.type))
        shape = e.node("Shape", padded)
        flat = e.constant(np.array([-1], np.int64))
        total = e.node("ReduceProd", shape, keepdims=1)
        blank = e.node("Expand", e.constant(np.zeros((1,), y.type.dtype)), total)
        sent = e.node(
            "ScatterElements",
            blank,
            e.node("Reshape", where, flat),
            e.node("Reshape", g, flat),
            axis=0,
            reduction="add",
        )
        whole = e.node("Reshape", sent, shape)
        return whole if padded == x else emit_unpadded(e, self.window, whole, x)


class AveragePool(_Pool):
    """The mean of each window over its real elements: padding does not count."""

    def infer(self, x: Type) -> Type:
        return x.with_shape(self.pooled(x))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(outputs[0]) * prod(self.size)

    def eval(self, x: Array) -> Any:
        x = self.last(x)
        out = dims.known(self.window.out_sizes(self.name, x.shape[1:-1]))
        padded = self.window.padded(x)
        total: Array | None = None
        for _, cut in self.window.taps(out):
            total = padded[cut].copy() if total is None else np.add(total, padded[cut], out=total)
        assert total is not None
        return self.back(total / real_elements(self.window, x.shape[1:-1], out).astype(x.dtype))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(AveragePoolGrad(self.size, self.strides, self.padding), g, x),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        image = y.inputs[0].type
        attributes, pads = self.onnx_attributes(image), self.unknown_pads(e, image, x)
        padded = emit_padded(e, x, pads, 0.0, image.dtype)
        pooled = e.node("AveragePool", padded, count_include_pad=0, **attributes)
        if not pads:
            return pooled
        # Written out, the padding is part of each window: the share of real elements takes it out again.
        spatial = emit_sizes(e, x, start=2)
        sides = e.node("Concat", e.constant(np.ones(2, np.int64)), spatial, axis=0)
        one = e.constant(np.ones((), image.dtype))
        real = emit_padded(e, e.node("Expand", one, sides), pads, 0.0, image.dtype)
        return e.node("Div", pooled, e.node("AveragePool", real, **attributes))


class AveragePoolGrad(_Pool):
    """Spreads each window's gradient evenly over its real elements: (gradient of the output, input)."""

    shape_only = (1,)

    def infer(self, g: Type, x: Type) -> Type:
        return x.with_dtype(g.dtype)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0]) * prod(self.size)

    def eval(self, g: Array, x: Array) -> Any:
        g, x = (self.last(a) for a in (g, x))
        spatial = x.shape[1:-1]
        pads = self.window.pads(spatial)
        share = g / real_elements(self.window, spatial, g.shape[1:-1]).astype(g.dtype)
        shape = (x.shape[0], *(s + a + b for s, (a, b) in zip(spatial, pads, strict=True)), x.shape[-1])
        result = np.zeros(shape, g.dtype)
        for _, cut in self.window.taps(g.shape[1:-1]):
            result[cut] += share
        return self.back(result[self.window.inside(spatial)])

    def vjp(self, g: Value, y: Value, upstream: Value, x: Value) -> Sequence[Value | None]:
        return apply(AveragePool(self.size, self.strides, self.padding), g), None

    def decompose(self, target: Target, y: Value, g: Value, x: Value) -> Value | tuple[Value, ...] | None:
        if self.first:
            raise NoLoweringError(f"{self.name} is decomposed before the layout is planned.")
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
