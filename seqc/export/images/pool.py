"""Pooling and the gradient of a maximum in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from seqc.export.images.form import ChannelsFirst
from seqc.export.images.windows import emit_padded, emit_unknown_pads, emit_unpadded, padded_sizes, window_attributes
from seqc.graph import dims
from seqc.graph.ir import Emitter, Type, Value
from seqc.ops._shape_onnx import emit_sizes
from seqc.ops.pool import AveragePool, MaxPool, MaxPoolGrad, MaxPoolTake, real_elements


@dataclass(frozen=True, repr=False, eq=False)
class OnnxMaxPool(ChannelsFirst):
    """The largest element of each window, with the channels first."""

    op: MaxPool
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        image = y.inputs[0].type
        seen = emit_padded(e, self.op.window, image, x, _unknown_pads(e, self.op, image, x), -np.inf)
        return e.node("MaxPool", seen, **_attributes(self.op, image))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxMaxPoolGrad(ChannelsFirst):
    """Its gradient, sent to where MaxPool says that the largest elements are."""

    op: MaxPoolGrad
    operands = ("image", "image", "image")

    def lower(self, e: Emitter, y: Value, x: str, out: str, g: str) -> str | tuple[str, ...]:
        padded = emit_padded(e, self.op.window, y.type, x, _unknown_pads(e, self.op, y.type, x), -np.inf)
        _, where = e.node_many("MaxPool", padded, outputs=2, **_attributes(self.op, y.type))
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
        return whole if padded == x else emit_unpadded(e, self.op.window, whole, x)


@dataclass(frozen=True, repr=False, eq=False)
class OnnxMaxPoolTake(ChannelsFirst):
    """What lies where MaxPool says that the largest elements are."""

    op: MaxPoolTake
    operands = ("image", "image", "image")

    def lower(self, e: Emitter, y: Value, x: str, out: str, other: str) -> str | tuple[str, ...]:
        image = y.inputs[0].type
        pads = _unknown_pads(e, self.op, image, x)
        padded = emit_padded(e, self.op.window, image, x, pads, -np.inf)
        there = other if padded == x else emit_padded(e, self.op.window, image, other, pads, 0.0)
        largest, where = e.node_many("MaxPool", padded, outputs=2, **_attributes(self.op, image))
        e.typed(largest, y.type.with_dtype(image.dtype))
        row = e.node("Reshape", there, e.constant(np.array([-1], np.int64)))
        sizes = padded_sizes(self.op.window, image) if pads else image.shape[2:]
        if sizes is not None:
            e.typed(row, image.with_shape((prod((*image.shape[:2], *sizes)),)))
        return e.node("Gather", row, e.typed(where, y.type.with_dtype("int64")))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxAveragePool(ChannelsFirst):
    """The mean of each window, padding left out, with the channels first."""

    op: AveragePool
    operands = ("image",)

    def window_of(self, e: Emitter, image: Type, x: str) -> tuple[dict[str, Any], str]:
        """Returns what the operator is told, and the pads that are written before it, "" for none."""
        return _attributes(self.op, image), _unknown_pads(e, self.op, image, x)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        image = y.inputs[0].type
        attributes, pads = self.window_of(e, image, x)
        padded = emit_padded(e, self.op.window, image, x, pads, 0.0)
        pooled = e.typed(e.node("AveragePool", padded, count_include_pad=0, **attributes), y.type)
        if not pads:
            return pooled
        # Written out, the padding is part of each window: the share of real elements takes it out again.
        if dims.is_known(image.shape[2:]):
            sizes = dims.known(image.shape[2:]), dims.known(y.type.shape[2:])
            known = real_elements(self.op.window, *sizes)[..., 0] / prod(self.op.size)
            return e.node("Div", pooled, e.constant(known.astype(image.dtype)))
        spatial = emit_sizes(e, x, start=2)
        sides = e.node("Concat", e.constant(np.ones(2, np.int64)), spatial, axis=0)
        one = e.constant(np.ones((), image.dtype))
        counted = image.with_shape((1, 1, *image.shape[2:]))
        real = emit_padded(e, self.op.window, counted, e.node("Expand", one, sides), pads, 0.0)
        share = e.typed(e.node("AveragePool", real, **attributes), counted.with_shape((1, 1, *y.type.shape[2:])))
        return e.node("Div", pooled, share)


_Pool = MaxPool | MaxPoolGrad | MaxPoolTake | AveragePool


def _attributes(op: _Pool, image: Type) -> dict[str, Any]:
    return {"kernel_shape": list(op.size), **window_attributes(op.window, image.shape[2:])}


def _unknown_pads(e: Emitter, op: _Pool, image: Type, x: str) -> str:
    """Writes the pads of the operand where they are not known before the model runs, else returns ""."""
    return emit_unknown_pads(e, op.window, image.shape[2:], x)
