"""Interpolation in ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from seqc.errors import NoLoweringError
from seqc.export.images.form import ChannelsFirst
from seqc.export.images.weights import Axis, emit_weights
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, Emitter, Op, Value
from seqc.ops._shape_onnx import emit_sizes
from seqc.ops.image_sizes import Resize, ResizeGrad, nearest
from seqc.ops.resize import Resample, ResampleGrad, emit_resize

T = TypeVar("T")


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResample(ChannelsFirst):
    """Images enlarged by whole factors, with the channels first."""

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
        if dims.is_known(small):
            return _emit_products(e, self.op, x, self.op.matrices(dims.known(small), y.type.dtype))
        if kind == "bicubic" and e.target.supports("Resize", "cubic_coeff_a"):
            keys = {"cubic_coeff_a": -0.5, "exclude_outside": 1}
            return emit_resize(e, x, scales, mode="cubic", where="half_pixel", **keys)
        axes = [Axis.by_factor(e, x, axis, n, small[axis - 2]) for axis, n in enumerate(self.op.factors, 2)]
        return _emit_weighed(e, self.op, x, _weights(e, axes, kind, y))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResampleGrad(ChannelsFirst):
    """Its gradient: the products with the matrices turned round."""

    op: ResampleGrad
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, g: str) -> str | tuple[str, ...]:
        small = y.type.shape[2:]
        if dims.is_known(small):
            return _emit_products(e, self.op, g, self.op.turned(dims.known(small), y.type.dtype))
        axes = [Axis.made_by_factor(e, g, axis, n, small[axis - 2]) for axis, n in enumerate(self.op.factors, 2)]
        return _emit_weighed(e, self.op, g, _turned(e, _weights(e, axes, self.op.interpolation, y)))


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResize(ChannelsFirst):
    """Images brought to a size, with the channels first."""

    op: Resize
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        space, kind = y.inputs[0].type.shape[2:], self.op.interpolation
        if kind == "nearest":
            for axis, (size, wanted) in enumerate(zip(space, self.op.size, strict=True), 2):
                x = x if size == wanted else e.node("Gather", x, _emit_nearest(e, x, axis, wanted, size), axis=axis)
            return x
        if kind == "bilinear" and not self.op.antialias:
            return self._to_sizes(e, y, x)
        if dims.is_known(space):
            return _emit_products(e, self.op, x, self.op.matrices(dims.known(space), y.type.dtype))
        axes = [Axis.to_size(e, x, axis, n, space[axis - 2]) for axis, n in enumerate(self.op.size, 2)]
        return _emit_weighed(e, self.op, x, _weights(e, axes, kind, y, self.op.antialias))

    def _to_sizes(self, e: Emitter, y: Value, x: str) -> str:
        """Writes a linear Resize to sizes, not by scales, which rounding could make one too small."""
        fixed = y.inputs[0].type.shape[:2]
        if dims.is_known(fixed):
            sizes = e.constant(np.array((*dims.known(fixed), *self.op.size), np.int64))
        else:
            sizes = e.node("Concat", emit_sizes(e, x, end=2), e.constant(np.array(self.op.size, np.int64)), axis=0)
        return e.node("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode="half_pixel")


@dataclass(frozen=True, repr=False, eq=False)
class OnnxResizeGrad(ChannelsFirst):
    """Its gradient: the products with the matrices turned round."""

    op: ResizeGrad
    operands = ("image", "image")
    shape_only = (1,)

    def lower(self, e: Emitter, y: Value, g: str, x: str) -> str | tuple[str, ...]:
        resize = self.op.resize
        small = y.type.shape[2:]
        if dims.is_known(small):
            return _emit_products(e, self.op, g, self.op.turned(dims.known(small), y.type.dtype))
        if resize.interpolation == "nearest":
            raise NoLoweringError(
                f"{self.op.name} of the nearest elements of an image of {', '.join(map(str, small))} needs fixed sizes "
                "in ONNX. Say them in the model's Input, or use another interpolation."
            )
        axes = [Axis.to_size(e, x, axis, n, small[axis - 2]) for axis, n in enumerate(resize.size, 2)]
        return _emit_weighed(e, self.op, g, _turned(e, _weights(e, axes, resize.interpolation, y, resize.antialias)))


def _emit_nearest(e: Emitter, x: str, axis: int, wanted: int, dim: Dim) -> str:
    """Writes which elements are nearest, as `seqc.ops.image_sizes.nearest` has it; ONNX's Resize rounds otherwise."""
    if isinstance(dim, int):
        return e.constant(nearest(dim, wanted))
    size = emit_sizes(e, x, start=axis, end=axis + 1)
    step = e.node("Div", e.node("Cast", size, to="float32"), e.constant(np.array([wanted], np.float32)))
    centers = e.constant(np.arange(wanted, dtype=np.float32) + np.float32(0.5))
    at = e.node("Cast", e.node("Floor", e.node("Mul", centers, step)), to="int64")
    return e.node("Min", at, e.node("Sub", size, e.constant(np.array([1], np.int64))))


def _weights(e: Emitter, axes: Sequence[Axis], kind: str, y: Value, antialias: bool = False) -> list[str]:
    """Writes the matrices of an interpolation for sizes known only when the model runs."""
    if kind.startswith("lanczos") and "float64" not in e.target.dtypes:
        sizes = ", ".join(map(str, y.inputs[0].type.shape[2:]))
        raise NoLoweringError(
            f"{kind} interpolation of an image of {sizes} needs float64, which is not there, or fixed sizes. Say them "
            "in the model's Input, or use another interpolation."
        )
    return [emit_weights(e, axis, kind, y.type.dtype, antialias) for axis in axes]


def _turned(e: Emitter, matrices: Sequence[str]) -> list[str]:
    return [e.node("Transpose", matrix, perm=[1, 0]) for matrix in matrices]


def _emit_weighed(e: Emitter, op: Op, x: str, matrices: Sequence[str]) -> str:
    """Writes the products with matrices that the file computes."""
    rows, columns = _two(op, matrices)
    return e.node("MatMul", rows, e.node("MatMul", x, e.node("Transpose", columns, perm=[1, 0])))


def _emit_products(e: Emitter, op: Op, x: str, matrices: list[Array]) -> str:
    """Writes the products with the last two axes of a channels-first image."""
    rows, columns = _two(op, matrices)
    return e.node("MatMul", e.constant(rows), e.node("MatMul", x, e.constant(np.ascontiguousarray(columns.T))))


def _two(op: Op, matrices: Sequence[T]) -> Sequence[T]:
    if len(matrices) != 2:
        raise NoLoweringError(f"{op.name} over {len(matrices)} axes cannot be expressed in ONNX.")
    return matrices
