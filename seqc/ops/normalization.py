"""Normalization that ONNX has as one operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqc.errors import NoLoweringError, ShapeError
from seqc.ir import Array, Constant, Emitter, Op, Type, Value, apply
from seqc.layout import Arrangement, Layout, channels_first, position
from seqc.ops._common import check_count, check_float, scalar
from seqc.ops.arithmetic import square
from seqc.ops.reduce import ReduceMean, ReduceSum
from seqc.ops.shape import expand_dims
from seqc.ops.transcendental import sqrt


@dataclass(frozen=True, repr=False)
class BatchNormalization(Op):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset with given statistics, one per element of `axis`."""

    axis: int
    epsilon: float

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 5)
        check_float(self, *types)
        x = types[0]
        for t in types[1:]:
            if t.shape != (x.shape[self.axis],):
                raise ShapeError(f"BatchNormalization over axis {self.axis} of {x} got a statistic {t}.")
        return x

    def _along(self, v: Array, rank: int) -> Array:
        return v.reshape([-1 if i == self.axis else 1 for i in range(rank)])

    def eval(self, *arrays: Array) -> Any:
        x = arrays[0]
        factor, shift = self._factors(*arrays[1:])
        return x * self._along(factor, x.ndim) + self._along(shift, x.ndim)

    def _factors(self, *statistics: Array) -> tuple[Array, Array]:
        """Returns what x is multiplied with and what is added then, per element of the axis."""
        scale, offset, mean, variance = statistics
        factor = scale / np.sqrt(variance + variance.dtype.type(self.epsilon))
        return factor, offset - mean * factor

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        x, scale, _, mean, variance = xs
        others = tuple(i for i in range(x.type.rank) if i != self.axis)
        inverse = scalar(1, x) / sqrt(variance + scalar(self.epsilon, x))
        total = apply(ReduceSum(others), g)
        moment = apply(ReduceSum(others), g * (x - expand_dims(mean, others)))
        half = scalar(-0.5, x) * inverse * inverse * inverse
        g_scale, g_mean = moment * inverse, -(total * scale * inverse)
        return g * expand_dims(scale * inverse, others), g_scale, total, g_mean, moment * scale * half

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        if self.axis == 1:
            return e.node("BatchNormalization", *names, epsilon=self.epsilon)
        # ONNX normalizes axis 1 only. Where nothing else wants the channels there, two element-wise nodes are cheaper
        # than moving the tensor forth and back.
        known = [v.op.array for v in y.inputs[1:] if isinstance(v.op, Constant)]
        if len(known) < 4:
            raise NoLoweringError(f"{self!r} needs constant statistics in ONNX.")
        factor, shift = self._factors(*(a.astype(np.float64) for a in known))
        dtype, rank = y.type.dtype, y.type.rank
        scaled = e.node("Mul", names[0], e.constant(self._along(factor, rank).astype(dtype)))
        return e.node("Add", scaled, e.constant(self._along(shift, rank).astype(dtype)))

    def arrange(self, y: Value, *layouts: Layout) -> Arrangement | None:
        layout, rank = layouts[0], y.type.rank
        at = position(layout, self.axis)
        constants = all(isinstance(v.op, Constant) for v in y.inputs[1:])
        if at is None or not (at == 1 or (rank == 3 and constants)):
            others = [i for i in range(rank) if i not in (0, self.axis)]
            layout = channels_first(rank) if self.axis == rank - 1 else (0, self.axis, *others)
            at = 1
        vectors: tuple[Layout, ...] = ((0,),) * 4
        return Arrangement((layout, *vectors), replace(self, axis=at), layout)


@dataclass(frozen=True, repr=False)
class LayerNormalization(Op):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset over the axes from `axis` on; scale and offset have their
    shape.
    """

    axis: int
    epsilon: float

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 3)
        check_float(self, *types)
        x = types[0]
        for t in types[1:]:
            if t.shape != x.shape[self.axis :]:
                raise ShapeError(f"LayerNormalization from axis {self.axis} of {x} got a weight {t}.")
        return x

    def eval(self, *arrays: Array) -> Any:
        x, scale, offset = arrays
        axes = tuple(range(self.axis, x.ndim))
        centered = x - x.mean(axes, keepdims=True)
        deviation = np.sqrt(np.square(centered).mean(axes, keepdims=True) + x.dtype.type(self.epsilon))
        return centered / deviation * scale + offset

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        x, scale, _ = xs
        axes = tuple(range(self.axis, x.type.rank))
        centered = x - apply(ReduceMean(axes, True), x)
        inverse = scalar(1, x) / sqrt(apply(ReduceMean(axes, True), square(centered)) + scalar(self.epsilon, x))
        normal = centered * inverse
        inner = g * scale
        gx = inner - apply(ReduceMean(axes, True), inner) - normal * apply(ReduceMean(axes, True), inner * normal)
        leading = tuple(range(self.axis))
        return gx * inverse, apply(ReduceSum(leading), g * normal), apply(ReduceSum(leading), g)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("LayerNormalization", *names, axis=self.axis, epsilon=self.epsilon)
