"""Normalization that ONNX has as one operator, and the statistics of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from seqc.errors import NoLoweringError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Constant, Emitter, Op, Sizes, Type, Value, apply, apply_many, items
from seqc.graph.layout import Layout, LayoutRule, position
from seqc.graph.layout import Merged as MergedAxis
from seqc.graph.target import Target
from seqc.ops._common import check_axes, check_float, fits_attribute, scalar
from seqc.ops._parts import Merged
from seqc.ops.arithmetic import square
from seqc.ops.reduce import ReduceMean, ReduceSum, count
from seqc.ops.shape import broadcast_like, expand_dims, squeeze
from seqc.ops.transcendental import sqrt


@dataclass(frozen=True, repr=False, eq=False)
class BatchNormalization(Op):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset with given statistics, one per element of `axis`."""

    axis: int
    epsilon: float

    def infer(self, x: Type, scale: Type, offset: Type, mean: Type, variance: Type) -> Type:
        check_float(self, x, scale, offset, mean, variance)
        for t in (scale, offset, mean, variance):
            if t.shape != (x.shape[self.axis],):
                raise ShapeError(f"BatchNormalization over axis {self.axis} of {x} got a statistic {t}.")
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 2 * prod(outputs[0])

    def _along(self, v: Array, rank: int) -> Array:
        return v.reshape([-1 if i == self.axis else 1 for i in range(rank)])

    def eval(self, x: Array, scale: Array, offset: Array, mean: Array, variance: Array) -> Any:
        factor, shift = self._factors(scale, offset, mean, variance)
        return x * self._along(factor, x.ndim) + self._along(shift, x.ndim)

    def _factors(self, scale: Array, offset: Array, mean: Array, variance: Array) -> tuple[Array, Array]:
        """Returns what x is multiplied with and what is added then, per element of the axis."""
        factor = scale / np.sqrt(variance + variance.dtype.type(self.epsilon))
        return factor, offset - mean * factor

    def vjp(
        self, g: Value, y: Value, x: Value, scale: Value, offset: Value, mean: Value, variance: Value
    ) -> Sequence[Value | None]:
        others = _others(self.axis, x.type.rank)
        inverse = scalar(1, x) / sqrt(variance + scalar(self.epsilon, x))
        total, moment = apply_many(GradientSums(self.axis), g, x, mean)
        half = scalar(-0.5, x) * inverse * inverse * inverse
        g_scale, g_mean = moment * inverse, -(total * scale * inverse)
        # What is as large as x is only multiplied with a vector.
        return g * expand_dims(scale * inverse, others), g_scale, total, g_mean, moment * scale * half

    def decompose(
        self, target: Target, y: Value, x: Value, scale: Value, offset: Value, mean: Value, variance: Value
    ) -> Value | tuple[Value, ...] | None:
        if fits_attribute(self.epsilon, x.dtype):
            return None
        others = _others(self.axis, x.type.rank)
        factor = scale / sqrt(variance + scalar(self.epsilon, x))
        return x * expand_dims(factor, others) + expand_dims(offset - mean * factor, others)

    def lower(
        self, e: Emitter, y: Value, x: str, scale: str, offset: str, mean: str, variance: str
    ) -> str | tuple[str, ...]:
        if self.axis == 1:
            return e.node("BatchNormalization", x, scale, offset, mean, variance, epsilon=self.epsilon)
        # ONNX normalizes axis 1 only. Where nothing else wants the channels there, two element-wise nodes are cheaper
        # than moving the tensor forth and back.
        known = [v.op.array for v in y.inputs[1:] if isinstance(v.op, Constant)]
        if len(known) < 4:
            raise NoLoweringError(f"{self!r} needs constant statistics in ONNX.")
        factor, shift = self._factors(*(a.astype(np.float64) for a in known))
        dtype, rank = y.type.dtype, y.type.rank
        scaled = e.node("Mul", x, e.constant(self._along(factor, rank).astype(dtype)))
        return e.node("Add", scaled, e.constant(self._along(shift, rank).astype(dtype)))

    def layout_rule(
        self, y: Value, layout: Layout, scale: Layout, offset: Layout, mean: Layout, variance: Layout
    ) -> LayoutRule | None:
        rank = y.type.rank
        at = position(layout, self.axis)
        constants = all(isinstance(v.op, Constant) for v in y.inputs[1:])
        if constants and rank == 2 and self.axis == 1 and layout[0] == 0 and isinstance(layout[-1], MergedAxis):
            inner: Layout = (replace(layout[-1], axis=0),)
            return LayoutRule((layout, *(inner,) * 4), self, layout)
        if at is None:
            return None
        vectors: tuple[Layout, ...] = ((0,),) * 4
        return LayoutRule((layout, *vectors), replace(self, axis=at), layout)


@dataclass(frozen=True, repr=False, eq=False)
class GradientSums(Op):
    """The sums of g and of g * (x - mean) over all axes but `axis`: (g, x, mean)."""

    axis: int

    def infer(self, g: Type, x: Type, mean: Type) -> tuple[Type, ...]:
        check_float(self, g, x, mean)
        if g != x or mean != x.with_shape((x.shape[self.axis],)):
            raise ShapeError(f"GradientSums over axis {self.axis} got {g}, {x} and {mean}, which do not fit together.")
        return mean, mean

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 4 * prod(inputs[0])

    def eval(self, g: Array, x: Array, mean: Array) -> Any:
        others = _others(self.axis, x.ndim)
        return g.sum(others), (g * (x - np.expand_dims(mean, others))).sum(others)

    def vjp(self, g: Any, y: Value, upstream: Value, x: Value, mean: Value) -> Sequence[Value | None]:
        others = _others(self.axis, x.type.rank)
        g_total, g_moment = g
        to_g = None if g_total is None else broadcast_like(expand_dims(g_total, others), x)
        if g_moment is None:
            return to_g, None, None
        spread = expand_dims(g_moment, others)
        away = (x - expand_dims(mean, others)) * spread
        return away if to_g is None else to_g + away, upstream * spread, -(g_moment * items(y)[0])

    def batch_rule(self, y: Value) -> tuple[BatchRule, ...]:
        return "reduce", "reduce"

    def decompose(self, target: Target, y: Value, g: Value, x: Value, mean: Value) -> Value | tuple[Value, ...] | None:
        others = _others(self.axis, x.type.rank)
        return apply(ReduceSum(others), g), apply(ReduceSum(others), g * (x - expand_dims(mean, others)))


@dataclass(frozen=True, repr=False, eq=False)
class BatchMoments(Merged):
    """Mean and biased variance over all axes but `axis`.

    Parts of a batch are merged by what each has seen, as T. F. Chan, G. H. Golub and R. J. LeVeque do (1979): nothing
    large is subtracted from something large, whatever the mean.
    """

    axis: int

    def infer(self, x: Type) -> tuple[Type, ...]:
        check_float(self, x)
        check_axes(self, (self.axis,), x)
        vector = x.with_shape((x.shape[self.axis],))
        return vector, vector

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 4 * prod(inputs[0])

    def eval(self, x: Array) -> Any:
        return self.merge([self.partial(x)], [self.part_size(x)])

    def part_size(self, x: Array) -> int:
        """Returns how many elements each mean is taken of."""
        return int(np.prod([n for i, n in enumerate(x.shape) if i != self.axis], dtype=np.int64))

    def partial(self, x: Array) -> Array:
        """Returns what is kept of a part of the batch: sums, and sums of squared distances from the part's own mean."""
        others = _others(self.axis, x.ndim)
        total = x.sum(others)
        centered = x - np.expand_dims(total / x.dtype.type(self.part_size(x)), others)
        return np.stack([total, np.square(centered).sum(others)])

    def part_shape(self, x: Array) -> tuple[int, int]:
        """Returns the shape of what `partial` gives."""
        return 2, x.shape[self.axis]

    def merge(self, parts: Sequence[Array], counts: Sequence[int]) -> tuple[Array, Array]:
        """Returns mean and variance of all parts, of which each had so many elements per mean."""
        kind = parts[0].dtype.type
        stacked, sizes = np.stack(parts), np.array(counts, kind)[:, None]
        total = kind(sum(counts))
        mean = stacked[:, 0].sum(0) / total
        between = (sizes * np.square(stacked[:, 0] / sizes - mean)).sum(0) if len(parts) > 1 else kind(0)
        return mean, (stacked[:, 1].sum(0) + between) / total

    def vjp(self, g: Any, y: Value, x: Value) -> Sequence[Value | None]:
        others = _others(self.axis, x.type.rank)
        g_mean, g_variance = g
        number = count(x, others)
        shift = None if g_mean is None else g_mean / number
        if g_variance is None:
            return (broadcast_like(expand_dims(shift, others), x),)
        # The mean minimizes the variance, so that no gradient flows from one to the other.
        factor = g_variance * (scalar(2, x) / number)
        away = items(y)[0] * factor
        shift = -away if shift is None else shift - away
        return (x * expand_dims(factor, others) + expand_dims(shift, others),)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        others = _others(self.axis, x.type.rank)
        mean = apply(ReduceMean(others, True), x)
        return squeeze(mean, others), apply(ReduceMean(others), square(x - mean))


def _others(axis: int, rank: int) -> tuple[int, ...]:
    return tuple(i for i in range(rank) if i != axis)


@dataclass(frozen=True, repr=False, eq=False)
class LayerNormalization(Op):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset over the axes from `axis` on.

    Scale and offset have the shape of those axes.
    """

    axis: int
    epsilon: float

    def infer(self, x: Type, scale: Type, offset: Type) -> Type:
        check_float(self, x, scale, offset)
        for t in (scale, offset):
            if t.shape != x.shape[self.axis :]:
                raise ShapeError(f"LayerNormalization from axis {self.axis} of {x} got a weight {t}.")
        return x

    def batch_rule(self, y: Value) -> BatchRule:
        along = batch_axis(y.type)
        return "parallel" if along is not None and along < self.axis else "whole"

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 7 * prod(outputs[0])

    def eval(self, x: Array, scale: Array, offset: Array) -> Any:
        axes = tuple(range(self.axis, x.ndim))
        centered = x - x.mean(axes, keepdims=True)
        deviation = np.sqrt(np.square(centered).mean(axes, keepdims=True) + x.dtype.type(self.epsilon))
        return centered / deviation * scale + offset

    def vjp(self, g: Value, y: Value, x: Value, scale: Value, offset: Value) -> Sequence[Value | None]:
        axes = tuple(range(self.axis, x.type.rank))
        centered = x - apply(ReduceMean(axes, True), x)
        inverse = scalar(1, x) / sqrt(apply(ReduceMean(axes, True), square(centered)) + scalar(self.epsilon, x))
        normal = centered * inverse
        inner = g * scale
        gx = inner - apply(ReduceMean(axes, True), inner) - normal * apply(ReduceMean(axes, True), inner * normal)
        leading = tuple(range(self.axis))
        return gx * inverse, apply(ReduceSum(leading), g * normal), apply(ReduceSum(leading), g)

    def decompose(
        self, target: Target, y: Value, x: Value, scale: Value, offset: Value
    ) -> Value | tuple[Value, ...] | None:
        if target.supports("LayerNormalization") and fits_attribute(self.epsilon, x.dtype):
            return None
        axes = tuple(range(self.axis, x.type.rank))
        centered = x - apply(ReduceMean(axes, True), x)
        deviation = sqrt(apply(ReduceMean(axes, True), square(centered)) + scalar(self.epsilon, x))
        return centered / deviation * scale + offset

    def lower(self, e: Emitter, y: Value, x: str, scale: str, offset: str) -> str | tuple[str, ...]:
        return e.node("LayerNormalization", x, scale, offset, axis=self.axis, epsilon=self.epsilon)
