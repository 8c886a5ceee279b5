"""Operations on images as ONNX has them, with the channels before the axes of space.

Images are (batch, channels, *space) and kernels (filters, channels / groups, *window). One axis of space becomes two,
of height one: onnxruntime's kernels for those are faster.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from seqc.graph.ir import Array, BatchRule, Op, Sizes, Type, Value
from seqc.graph.layout import Layout, LayoutRule, channels_first, natural
from seqc.sure import of_kind

Axes = Literal["image", "kernel", "other"]
T = TypeVar("T")
# What numbers per axis of space are along an axis of height one.
_ALONG_HEIGHT: dict[str, Any] = {"size": 1, "strides": 1, "dilations": 1, "factors": 1, "extra": 0, "padding": (0, 0)}


@dataclass(frozen=True, repr=False, eq=False)
class ChannelsFirst(Op):
    """An operation that takes its channels first and else means what `op` means, whose numbers it computes.

    Attributes:
        operands: what the operands are, in order; "other" lie as they do in `op`. result: the same of the result.
    """

    op: Op
    operands: ClassVar[tuple[Axes, ...]]
    result: ClassVar[Axes] = "image"

    @classmethod
    def layout_rule_of(cls, y: Value, *layouts: Any) -> LayoutRule:
        """Returns how a channels-last operation becomes this one."""
        rank = y.type.rank
        wants = tuple(_layout(axes, x.type.rank) for axes, x in zip(cls.operands, y.inputs, strict=False))
        return LayoutRule(wants, cls(_with_height(y.op) if rank == 3 else y.op), _layout(cls.result, rank))

    def infer(self, *types: Any) -> Type:
        seen = (t.with_shape(_last(a, t.shape)) for a, t in zip(self.operands, types, strict=False))
        y = of_kind(self.op.infer(*seen), Type)
        return y.with_shape(y.shape[a] for a in _order_of(self.result, y.rank))

    def eval(self, *arrays: Any) -> Any:
        y = self.op.eval(*(_moved(axes, a) for axes, a in zip(self.operands, arrays, strict=False)))
        return np.ascontiguousarray(y.transpose(_order_of(self.result, y.ndim)))

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        shapes = [_last(axes, s) for axes, s in zip(self.operands, inputs, strict=False)]
        return self.op.work(shapes, [_last(self.result, outputs[0])])

    def batch_rule(self, y: Value) -> BatchRule | tuple[BatchRule, ...]:
        return self.op.batch_rule(y)

    def __repr__(self) -> str:
        return repr(self.op).replace(self.op.name, self.name, 1)


def kernel_layout(rank: int) -> Layout:
    """Where a channels-first kernel's axes come from; `rank` counts all axes of the image."""
    return (2, 1, None, 0) if rank == 3 else (rank - 1, rank - 2, *range(rank - 2))


def _layout(axes: Axes, rank: int) -> Layout:
    """Returns the layout that a channels-last operand is wanted in."""
    return {"image": channels_first, "kernel": kernel_layout, "other": natural}[axes](rank)


def _order_of(axes: Axes, rank: int) -> tuple[int, ...]:
    """Returns the axes of something channels-last in the order of channels first."""
    return (0, rank - 1, *range(1, rank - 1)) if axes == "image" else tuple(range(rank))


def _order_back(axes: Axes, rank: int) -> tuple[int, ...]:
    """Returns the axes of something channels-first in the order of channels last."""
    if axes == "kernel":
        return (*range(2, rank), 1, 0)
    return (0, *range(2, rank), 1) if axes == "image" else tuple(range(rank))


def _last(axes: Axes, shape: tuple[T, ...]) -> tuple[T, ...]:
    """Returns a shape with the channels last."""
    return tuple(shape[a] for a in _order_back(axes, len(shape)))


def _moved(axes: Axes, x: Array) -> Array:
    return x.transpose(_order_back(axes, x.ndim))


def _with_height(op: Op) -> Op:
    """Returns an operation over one axis of space as one over two, of height one."""
    given = {f.name: getattr(op, f.name) for f in dataclasses.fields(op) if f.name in _ALONG_HEIGHT}
    tall = {name: (_ALONG_HEIGHT[name], *v) for name, v in given.items() if isinstance(v, tuple) and v}
    return dataclasses.replace(op, **tall)
