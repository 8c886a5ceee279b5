"""Normalization in the forms that onnxruntime is fastest with.

Passes write them for inference. Training goes through what they are made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from seqc.graph import dims
from seqc.graph.ir import Array, Constant, Emitter, Op, Sizes, Type, Value
from seqc.graph.layout import Layout, LayoutRule, position
from seqc.sure import of_kind


@dataclass(frozen=True, repr=False)
class GroupNormalization(Op):
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with the statistics of groups of channels.

    They are those of each sample over all axes but the first and `axis`, and over the neighbouring channels of a group
    (Wu and He, 2018).

    Attributes:
        axis: of the channels. groups: how many there are; it divides the channels. epsilon: added to the variance.
    """

    axis: int
    groups: int
    epsilon: float

    def infer(self, x: Type, scale: Type, offset: Type) -> Type:
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 7 * prod(outputs[0])

    def eval(self, x: Array, scale: Array, offset: Array) -> Any:
        inside = (self.groups, x.shape[self.axis] // self.groups)
        grouped = x.reshape(*x.shape[: self.axis], *inside, *x.shape[self.axis + 1 :])
        over = tuple(i for i in range(1, grouped.ndim) if i != self.axis)
        along = [-1 if i == self.axis else 1 for i in range(x.ndim)]
        centered = grouped - grouped.mean(over, keepdims=True)
        deviation = np.sqrt(np.square(centered).mean(over, keepdims=True) + x.dtype.type(self.epsilon))
        return (centered / deviation).reshape(x.shape) * scale.reshape(along) + offset.reshape(along)

    def lower(self, e: Emitter, y: Value, x: str, scale: str, offset: str) -> str | tuple[str, ...]:
        if self.axis == 1:
            return self._lowered(e, y, x, scale, offset)
        order = (0, self.axis, *(i for i in range(1, y.type.rank) if i != self.axis))
        back = [order.index(i) for i in range(len(order))]
        return e.node("Transpose", self._lowered(e, y, e.node("Transpose", x, perm=order), scale, offset), perm=back)

    def _lowered(self, e: Emitter, y: Value, x: str, scale: str, offset: str) -> str:
        # Measured: a third of the time of ONNX's own GroupNormalization, which onnxruntime takes apart into 29 nodes.
        channels = of_kind(y.shape[self.axis], int)
        if channels == self.groups and y.type.rank > 2:  # each channel by itself
            return e.node("InstanceNormalization", x, scale, offset, epsilon=self.epsilon)
        space = [d for i, d in enumerate(y.type.shape) if i not in (0, self.axis)]
        known = [d for d in space if isinstance(d, int)]
        inside = -1 if len(known) < len(space) else prod(known) * channels // self.groups
        grouped = e.node("Reshape", x, e.constant(np.array([0, self.groups, inside])))
        batch = y.type.shape[0]
        e.typed(grouped, y.type.with_shape((batch, self.groups, dims.product(space) * (channels // self.groups))))
        one, zero = (np.full(self.groups, v, y.dtype) for v in (1, 0))
        normal = e.node("InstanceNormalization", grouped, e.constant(one), e.constant(zero), epsilon=self.epsilon)
        if len(space) - len(known) > 1:
            sizes = e.node("Shape", x)
        else:
            sizes = e.constant(np.array([0, channels, *(d if isinstance(d, int) else -1 for d in space)]))
        result = e.typed(e.node("Reshape", normal, sizes), y.type.with_shape((batch, channels, *space)))
        if _all(y.inputs[1], 1) and _all(y.inputs[2], 0):
            return result
        # In onnxruntime faster than a product and a sum.
        mean, variance = (e.constant(np.full(channels, v, y.dtype)) for v in (0, 1))
        return e.node("BatchNormalization", result, scale, offset, mean, variance, epsilon=0.0)

    def places_of_one(self) -> float:
        return 1.0  # the mean is subtracted once both are divided by the deviation


def channels_second(y: Value, layout: Layout, *vectors: Layout) -> LayoutRule:
    """InstanceNormalization takes its channels as axis 1, whatever the order of the others."""
    op = of_kind(y.op, GroupNormalization)
    others = [i for i in range(y.type.rank) if i not in (0, op.axis)]
    fits = position(layout, op.axis) == 1 and layout[0] == 0 and all(isinstance(i, int | None) for i in layout)
    wanted: Layout = layout if fits else (0, op.axis, *others)
    return LayoutRule((wanted, (0,), (0,)), replace(op, axis=1), wanted)


@dataclass(frozen=True, repr=False)
class RMSNormalization(Op):
    """x / sqrt(mean of x² over the last axis + epsilon) * scale (Zhang and Sennrich, 2019).

    It is written as onnxruntime's SimplifiedLayerNormalization is recognized: ONNX has an operator from opset 23 on.
    """

    epsilon: float

    def infer(self, x: Type, scale: Type) -> Type:
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 4 * prod(outputs[0])

    def eval(self, x: Array, scale: Array) -> Any:
        return x / np.sqrt(np.square(x).mean(-1, keepdims=True) + x.dtype.type(self.epsilon)) * scale

    def lower(self, e: Emitter, y: Value, x: str, scale: str) -> str | tuple[str, ...]:
        two, epsilon = (e.constant(np.array(v, y.dtype)) for v in (2, self.epsilon))
        squares = e.node("Pow", x, two)
        if e.target.supports("ReduceMean", "axes"):  # an attribute before it became an input
            mean = e.node("ReduceMean", squares, axes=[-1], keepdims=1)
        else:
            mean = e.node("ReduceMean", squares, e.constant(np.array([-1])), keepdims=1)
        return e.node("Mul", e.node("Div", x, e.node("Sqrt", e.node("Add", mean, epsilon))), scale)


def _all(vector: Value, number: float) -> bool:
    """Whether a value is a constant that is one number everywhere."""
    return isinstance(vector.op, Constant) and bool((vector.op.array == number).all())
