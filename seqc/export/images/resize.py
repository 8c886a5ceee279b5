"""Interpolation in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import NoLoweringError
from seqc.export.images.form import ChannelsFirst
from seqc.export.images.weights import emit_keys_weights
from seqc.graph import dims
from seqc.graph.ir import Array, Emitter, Op, Value
from seqc.ops._shape_onnx import emit_sizes
from seqc.ops.image_sizes import Resize, ResizeGrad, nearest
from seqc.ops.resize import Resample, ResampleGrad, emit_resize


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResample(ChannelsFirst):
    op: Resample
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        small = y.inputs[0].type.shape[2:]
        kind, scales = self.op.interpolation, (1, 1, *self.op.factors)
        if kind == "bilinear":
            return emit_resize(e, x, scales, mode="linear", where="half_pixel")
        # onnxruntime up to 1.20 does not load a cubic Resize between Transposes, and OpenVINO weighs borders otherwise:
        # two products with the matrices that say what is meant are right everywhere. Where sizes are not known, they
        # take up to five times as long as the operator.
        if kind == "bicubic" and not dims.is_known(small):
            if not e.target.supports("Resize", "cubic_coeff_a"):
                return _emit_weighed(e, x, y.type.dtype, self.op.factors)
            keys = {"cubic_coeff_a": -0.5, "exclude_outside": 1}
            return emit_resize(e, x, scales, mode="cubic", where="half_pixel", **keys)
        return _emit_products(e, self.op, x, self.op.matrices(_fixed(self.op, kind, small), y.type.dtype))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResampleGrad(ChannelsFirst):
    op: ResampleGrad
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, g: str) -> str | tuple[str, ...]:
        small = _fixed(self.op, self.op.interpolation, y.type.shape[2:])
        return _emit_products(e, self.op, g, self.op.turned(small, y.type.dtype))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResize(ChannelsFirst):
    op: Resize
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        space, kind = y.inputs[0].type.shape[2:], self.op.interpolation
        if kind == "nearest" and dims.is_known(space):
            for axis, (size, wanted) in enumerate(zip(dims.known(space), self.op.size, strict=True), 2):
                x = x if size == wanted else e.node("Gather", x, e.constant(nearest(size, wanted)), axis=axis)
            return x
        if kind == "nearest":
            return self._to_sizes(e, y, x, mode="nearest", nearest_mode="round_prefer_ceil")
        if kind == "bilinear" and not self.op.antialias:
            return self._to_sizes(e, y, x, mode="linear")
        return _emit_products(e, self.op, x, self.op.matrices(_fixed(self.op, kind, space), y.type.dtype))

    def _to_sizes(self, e: Emitter, y: Value, x: str, **more: Any) -> str:
        """Writes a Resize to sizes, not by scales, which rounding could make one too small."""
        fixed = y.inputs[0].type.shape[:2]
        if dims.is_known(fixed):
            sizes = e.constant(np.array((*dims.known(fixed), *self.op.size), np.int64))
        else:
            sizes = e.node("Concat", emit_sizes(e, x, end=2), e.constant(np.array(self.op.size, np.int64)), axis=0)
        return e.node("Resize", x, "", "", sizes, coordinate_transformation_mode="half_pixel", **more)


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResizeGrad(ChannelsFirst):
    op: ResizeGrad
    operands = ("image", "image")
    shape_only = (1,)

    def lower(self, e: Emitter, y: Value, g: str, x: str) -> str | tuple[str, ...]:
        resize = self.op.resize
        small = _fixed(self.op, resize.interpolation, y.type.shape[2:])
        return _emit_products(e, self.op, g, self.op.turned(small, y.type.dtype))


def _fixed(op: Op, interpolation: str, space: tuple[Any, ...]) -> tuple[int, ...]:
    if not dims.is_known(space):
        raise NoLoweringError(
            f"{op.name} with {interpolation} interpolation of an image of {', '.join(map(str, space))} "
            "needs fixed sizes in ONNX. Say them in the model's Input, or use another interpolation."
        )
    return dims.known(space)


def _emit_weighed(e: Emitter, x: str, dtype: str, factors: tuple[int, ...]) -> str:
    """Writes the products of a channels-first image with bicubic weights for sizes known only when the model runs."""
    rows, columns = (emit_keys_weights(e, x, axis, factor, dtype) for axis, factor in enumerate(factors, 2))
    return e.node("MatMul", rows, e.node("MatMul", x, e.node("Transpose", columns, perm=[1, 0])))


def _emit_products(e: Emitter, op: Op, x: str, matrices: list[Array]) -> str:
    """Writes the products with the last two axes of a channels-first image."""
    if len(matrices) != 2:
        raise NoLoweringError(f"{op.name} over {len(matrices)} axes cannot be expressed in ONNX.")
    rows, columns = matrices
    return e.node("MatMul", e.constant(rows), e.node("MatMul", x, e.constant(np.ascontiguousarray(columns.T))))
