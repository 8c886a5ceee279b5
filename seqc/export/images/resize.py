"""Interpolation in ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import NoLoweringError
from seqc.export.images.form import ChannelsFirst
from seqc.graph import dims
from seqc.graph.ir import Array, Emitter, Value
from seqc.ops.resize import Resample, ResampleGrad, emit_resize


@dataclass(frozen=True, repr=False)
class OnnxResample(ChannelsFirst):
    op: Resample
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        small = y.inputs[0].type.shape[2:]
        kind, scales = self.op.interpolation, (1, 1, *self.op.factors)
        if kind == "bilinear":
            return emit_resize(e, x, scales, mode="linear", where="half_pixel")
        # onnxruntime up to 1.20 does not load a cubic Resize between Transposes, and OpenVINO weighs borders otherwise:
        # where the size is known, two products with the matrices that say what is meant are right everywhere.
        if kind == "bicubic" and not dims.is_known(small):
            keys = {"cubic_coeff_a": -0.5, "exclude_outside": 1}
            return emit_resize(e, x, scales, mode="cubic", where="half_pixel", **keys)
        return _emit_products(e, self.op, x, self.op.matrices(_fixed(self.op, small), y.type.dtype))


@dataclass(frozen=True, repr=False)
class OnnxResampleGrad(ChannelsFirst):
    op: ResampleGrad
    operands = ("image",)

    def lower(self, e: Emitter, y: Value, g: str) -> str | tuple[str, ...]:
        small = _fixed(self.op, y.type.shape[2:])
        return _emit_products(e, self.op, g, self.op.turned(small, y.type.dtype))


def _fixed(op: Resample, space: tuple[Any, ...]) -> tuple[int, ...]:
    if not dims.is_known(space):
        raise NoLoweringError(
            f"{op.name} with {op.interpolation} interpolation of an image of {', '.join(map(str, space))} "
            "needs fixed sizes in ONNX. Say them in the model's Input, or use another interpolation."
        )
    return dims.known(space)


def _emit_products(e: Emitter, op: Resample, x: str, matrices: list[Array]) -> str:
    """Writes the products with the last two axes of a channels-first image."""
    if len(matrices) != 2:
        raise NoLoweringError(f"{op.name} over {len(matrices)} axes cannot be expressed in ONNX.")
    rows, columns = matrices
    return e.node("MatMul", e.constant(rows), e.node("MatMul", x, e.constant(np.ascontiguousarray(columns.T))))
