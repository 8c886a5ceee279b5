"""Operations that give the same elements other axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.arrays import as_array
from seqc.graph.batch import batch_axis
from seqc.graph.dims import Dim
from seqc.graph.equal_sizes import SizesDiffer
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Shape, Type, Value, apply, as_value, constant
from seqc.graph.layout import Layout, LayoutRule, Merged, elementwise_layout_rule, is_natural
from seqc.graph.operators import OPERATORS
from seqc.graph.target import Target
from seqc.ops._common import (
    as_tensor,
    broadcast_shapes,
    check_axes,
    dtype_name,
    listed_axes,
    normalize_axes,
    normalize_axis,
)
from seqc.ops._shape_onnx import emit_sizes
from seqc.ops.sizes import ReshapeTo, Size, apply_sized, as_size, dim_of, listed_sizes, product, size_of


@dataclass(frozen=True, repr=False, eq=False)
class Reshape(Op):
    """New axes over the same elements, in ONNX's terms: 0 keeps the size at that place, one -1 takes what is left."""

    kind = "view"
    target: tuple[int, ...]

    def infer(self, x: Type) -> Type:
        shape = self._solve(x.shape)
        if shape is None:
            rest = math.prod(d for d in self.target if d > 0)
            raise SizesDiffer(f"{self!r} does not fit {x}: its elements cannot be divided evenly by {rest}.")
        if dims.product(shape) != dims.product(x.shape):
            raise SizesDiffer(f"{self!r} does not fit {x}: the number of elements differs.")
        return x.with_shape(shape)

    def _solve(self, shape: Shape) -> Shape | None:
        """Returns the new shape, or None where -1 has no whole solution for every size of the symbolic axes."""
        kept = [i for i, d in enumerate(self.target) if d == 0 and i < len(shape)]
        result: list[Dim] = [shape[i] if i in kept else d for i, d in enumerate(self.target)]
        if -1 in self.target:
            moved = dims.product(d for i, d in enumerate(shape) if i not in kept)
            left = dims.exact_quotient(moved, math.prod(d for d in self.target if d > 0))
            if left is None:
                return None
            result[self.target.index(-1)] = left
        return tuple(result)

    def eval(self, x: Array) -> Any:
        if x.size:
            return x.reshape([x.shape[i] if d == 0 else d for i, d in enumerate(self.target)])
        # NumPy does not solve for -1 where another size is zero.
        return x.reshape(dims.known(self.infer(Type("", x.shape)).shape))

    def batch_rule(self, y: Value) -> BatchRule:
        return batch_rule_of_reshape(y)

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (reshape_like(g, x),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        if self.target == (0, -1):
            return e.node("Flatten", x, axis=1)
        return e.node("Reshape", x, e.constant(np.array(self.target, np.int64)))

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        x = y.inputs[0].type
        flattens = y.type.rank == 2 and x.rank > 2 and x.shape[0] == y.type.shape[0]
        inner = x.shape[1:]
        if not flattens or is_natural(layout) or layout[0] != 0 or any(isinstance(a, Merged) for a in layout):
            return None
        if not all(isinstance(d, int) for d in inner):
            return None
        order = tuple(a - 1 for a in layout[1:] if isinstance(a, int))
        moved = [o for o in order if inner[o] != 1]
        gives: Layout = (0, 1) if moved == sorted(moved) else (0, Merged(1, order, inner))
        return LayoutRule((layout,), Reshape((0, -1)), gives)


@dataclass(frozen=True, repr=False, eq=False)
class ReshapeLike(Op):
    """The first operand with the leading `take` sizes of the second (all by default) before its own last axes."""

    kind = "view"
    take: int | None = None
    drop: int = 0
    shape_only: ClassVar[tuple[int, ...]] = (1,)

    def infer(self, x: Type, like: Type) -> Type:
        shape = like.shape if self.take is None else (*like.shape[: self.take], *x.shape[self.drop :])
        counts = dims.product(shape), dims.product(x.shape)
        if counts[0] != counts[1]:
            raise SizesDiffer(f"{self!r} cannot give {x} the shape of {like}.", counts)
        return x.with_shape(shape)

    def eval(self, x: Array, like: Array) -> Any:
        return x.reshape(like.shape if self.take is None else (*like.shape[: self.take], *x.shape[self.drop :]))

    def batch_rule(self, y: Value) -> BatchRule:
        return batch_rule_of_reshape(y)

    def vjp(self, g: Value, y: Value, x: Value, like: Value) -> Sequence[Value | None]:
        return reshape_like(g, x), None

    def decompose(self, target: Target, y: Value, x: Value, like: Value) -> Value | tuple[Value, ...] | None:
        sizes = _static_target(x.type, y.type)
        return None if sizes is None else apply(Reshape(sizes), x)

    def lower(self, e: Emitter, y: Value, x: str, like: str) -> str | tuple[str, ...]:
        shape = emit_sizes(e, like, end=self.take)
        if self.take is not None:
            shape = e.node("Concat", shape, emit_sizes(e, x, start=self.drop), axis=0)
        return e.node("Reshape", x, shape)


def batch_rule_of_reshape(y: Value) -> BatchRule:
    """The samples stay in their order where what lies before the batch stays as it is."""
    x = y.inputs[0].type
    before, after = batch_axis(x), batch_axis(y.type)
    if before is None or after is None:
        return "whole"
    return "parallel" if dims.product(x.shape[:before]) == dims.product(y.type.shape[:after]) else "whole"


def _static_target(x: Type, y: Type) -> tuple[int, ...] | None:
    """Returns a Reshape target for going from `x` to `y`, or None when more than one size would have to be -1."""
    target = [d if isinstance(d, int) else 0 if i < x.rank and x.shape[i] == d else -1 for i, d in enumerate(y.shape)]
    if target.count(-1) > 1 or 0 in y.shape:
        return None
    return tuple(target)


class BroadcastLike(Op):
    """The first operand broadcast to the shape of the second."""

    kind = "view"
    shape_only = (1,)

    def infer(self, x: Type, like: Type) -> Type:
        if broadcast_shapes(self, x.shape, like.shape) != like.shape:
            raise ShapeError(f"BroadcastLike cannot grow {x} to the shape of {like}.")
        return x.with_shape(like.shape)

    def eval(self, x: Array, like: Array) -> Any:
        return np.broadcast_to(x, like.shape)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel"

    def vjp(self, g: Value, y: Value, x: Value, like: Value) -> Sequence[Value | None]:
        return g, None

    def lower(self, e: Emitter, y: Value, x: str, like: str) -> str | tuple[str, ...]:
        return e.node("Expand", x, e.node("Shape", like))

    def layout_rule(self, y: Value, x: Layout, like: Layout) -> LayoutRule | None:
        return elementwise_layout_rule(self, y.type, tuple(v.type for v in y.inputs), (x, like))


@dataclass(frozen=True, repr=False, eq=False)
class Repeat(Op):
    """Repeats the operand `count` times along a new axis."""

    kind = "move"
    moves_strings = True
    axis: int
    count: int

    def infer(self, x: Type) -> Type:
        shape = list(x.shape)
        shape.insert(self.axis, self.count)
        return x.with_shape(shape)

    def eval(self, x: Array) -> Any:
        return np.repeat(np.expand_dims(x, self.axis), self.count, self.axis)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        from seqc.ops.reduce import ReduceSum

        return (apply(ReduceSum((self.axis,)), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        shape = np.ones(y.type.rank, np.int64)
        shape[self.axis] = self.count
        wide = e.node("Unsqueeze", x, e.constant(np.array([self.axis], np.int64)))
        return e.node("Expand", wide, e.constant(shape))


@dataclass(frozen=True, repr=False, eq=False)
class Transpose(Op):
    """Axis i of the result is axis perm[i] of the operand."""

    kind = "view"
    perm: tuple[int, ...]

    def infer(self, x: Type) -> Type:
        if sorted(self.perm) != list(range(x.rank)):
            raise ShapeError(f"Transpose {self.perm} does not name each axis of {x} once.")
        return x.with_shape(x.shape[p] for p in self.perm)

    def eval(self, x: Array) -> Any:
        return x.transpose(self.perm)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (transpose(g, tuple(self.perm.index(i) for i in range(len(self.perm)))),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("Transpose", x, perm=list(self.perm))

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        # Nothing moves: the same tensor is read with other axis numbers.
        renamed = tuple(
            replace(a, axis=self.perm.index(a.axis))
            if isinstance(a, Merged)
            else None
            if a is None
            else self.perm.index(a)
            for a in layout
        )
        return LayoutRule((layout,), None, renamed)


@dataclass(frozen=True, repr=False, eq=False)
class Unsqueeze(Op):
    """Puts axes of size one at `axes` of the result."""

    kind = "view"
    axes: tuple[int, ...]

    def infer(self, x: Type) -> Type:
        rank = x.rank + len(self.axes)
        shape = list(x.shape)
        for axis in normalize_axes(self, self.axes, rank):
            shape.insert(axis, 1)
        return x.with_shape(shape)

    def eval(self, x: Array) -> Any:
        return np.expand_dims(x, self.axes)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(Squeeze(self.axes), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("Unsqueeze", x, e.constant(np.array(self.axes, np.int64)))


@dataclass(frozen=True, repr=False, eq=False)
class Squeeze(Op):
    """Drops axes of size one."""

    kind = "view"
    axes: tuple[int, ...]

    def infer(self, x: Type) -> Type:
        check_axes(self, self.axes, x)
        if any(x.shape[a] != 1 for a in self.axes):
            raise ShapeError(f"Squeeze of axes {self.axes} needs size 1 there; got {x}.")
        return x.with_shape(d for i, d in enumerate(x.shape) if i not in self.axes)

    def eval(self, x: Array) -> Any:
        return np.squeeze(x, self.axes)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(Unsqueeze(self.axes), g),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("Squeeze", x, e.constant(np.array(self.axes, np.int64)))

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        if any(isinstance(a, Merged) for a in layout):
            return None
        kept = [i for i in range(y.inputs[0].type.rank) if i not in self.axes]
        gives: Layout = tuple(
            None if a is None or isinstance(a, Merged) or a in self.axes else kept.index(a) for a in layout
        )
        return LayoutRule((layout,), None, gives)


def reshape(x: Any, newshape: Any) -> Value:
    """Returns x with another shape.

    Args:
        x: a tensor.
        newshape: sizes as numbers or as `ops.shape` gives them; one may be -1 for what is left, and None keeps the axis
            of x at that place.

    Raises:
        ShapeError: x has not as many elements. ConfigError: more than one size is open.
    """
    value = as_tensor(x)
    listed = listed_sizes(newshape, "reshape")
    given = [None if d is None else as_size(d, "reshape") for d in listed]
    sizes = [_named_size(d, value.type.shape[i : i + 1]) for i, d in enumerate(given)]
    if sizes.count(-1) > 1 or any(isinstance(d, int) and d < -1 for d in sizes):
        raise ConfigError(f"reshape of {value.type} can leave one size open (-1); got {_shown(listed)}.")
    # An axis that stays is said to stay: -1 remains for the one that ONNX has to solve for.
    target = [0 if here == (d,) and not isinstance(d, int) else d for d, here in _with_axes(sizes, value)]
    solved = [d if isinstance(d, int) else -1 for d in target]
    if solved.count(-1) < 2:
        shape = Reshape(tuple(solved)).infer(value.type).shape
        if not any(isinstance(d, dims.Sym) and d != s for d, s in zip(sizes, shape, strict=True)):
            after = zip(solved, _with_axes(shape, value), strict=True)
            kept = (0 if d == -1 and here == (s,) else d for d, (s, here) in after)
            return apply(Reshape(tuple(kept)), value)
    open_sizes = [_size_value(d, i, value) for i, d in enumerate(given)]
    return apply_sized(
        ReshapeTo(tuple(d if isinstance(d, int) else None for d in open_sizes)),
        [value],
        [d for d in open_sizes if not isinstance(d, int)],
    )


def _named_size(size: Size | None, here: Shape) -> Dim:
    """Returns what is known of a size; `here` holds the size of the operand's axis at that place, if it has one."""
    if size is None:
        return here[0] if here and isinstance(here[0], dims.Sym) else -1
    return dim_of(size)


def _size_value(size: Size | None, axis: int, x: Value) -> Size:
    if size is None:
        return size_of(x, axis) if axis < x.type.rank and isinstance(x.type.shape[axis], dims.Sym) else -1
    return size


def _with_axes(sizes: Sequence[Dim], x: Value) -> list[tuple[Dim, Shape]]:
    """Returns each size with that of the axis of x at its place, if there is one."""
    return [(d, x.type.shape[i : i + 1]) for i, d in enumerate(sizes)]


def _shown(sizes: Sequence[Any]) -> str:
    """Returns a shape as text, sizes that are not known by their formulas."""
    named = (d.type.size if isinstance(d, Value) and d.type.size is not None else d for d in sizes)
    return f"({', '.join(map(str, named))}{',' * (len(sizes) == 1)})"


def flatten_batch(x: Value) -> Value:
    """Returns (batch, everything else)."""
    return apply(Reshape((0, -1)), x)


def reshape_like(x: Value, like: Value) -> Value:
    """Returns x with the shape of `like`."""
    return x if x.type.shape == like.type.shape else apply(ReshapeLike(), x, like)


def merge_leading(x: Value) -> Value:
    """Returns x with its first two axes as one."""
    return reshape(x, (-1, *shape(x)[2:]))


def split_leading(x: Value, like: Value) -> Value:
    """Undoes `merge_leading`: the first axis becomes the first two of `like`."""
    return apply(ReshapeLike(2, 1), x, like)


def broadcast_like(x: Any, like: Any) -> Value:
    """Returns x broadcast to the shape of `like`."""
    value, wide = as_value(x), as_value(like)
    return value if value.type.shape == wide.type.shape else apply(BroadcastLike(), value, wide)


def full_like(x: Any, fill_value: float, dtype: Any = None) -> Value:
    """Returns a tensor of the shape of x, filled with one number."""
    value = as_value(x)
    name = value.dtype if dtype is None else dtype_name(dtype)
    return broadcast_like(constant(as_array(fill_value, name)), value)


def zeros_like(x: Any, dtype: Any = None) -> Value:
    """Returns zeros of the shape of x."""
    return full_like(x, 0, dtype)


def empty_like(x: Any, dtype: Any = None) -> Value:
    """Returns a tensor like x whose numbers mean nothing: zeros here."""
    return zeros_like(x, dtype)


def ones_like(x: Any, dtype: Any = None) -> Value:
    """Returns ones of the shape of x."""
    return full_like(x, 1, dtype)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Value:
    """Returns x with its axes in the given order (reversed by default)."""
    value = as_tensor(x)
    rank = value.type.rank
    perm = tuple(reversed(range(rank))) if axes is None else tuple(normalize_axis("transpose", a, rank) for a in axes)
    return value if perm == tuple(range(rank)) else apply(Transpose(perm), value)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Value:
    """Returns x with new axes of size one at `axis`."""
    value = as_tensor(x)
    listed = listed_axes(axis)
    axes = normalize_axes("expand_dims", listed, value.type.rank + len(listed))
    return apply(Unsqueeze(axes), value) if axes else value


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Value:
    """Returns x without the axes of size one named by `axis` (all of them by default)."""
    value = as_tensor(x)
    if axis is None:
        axes = tuple(i for i, d in enumerate(value.type.shape) if d == 1)
    else:
        axes = normalize_axes("squeeze", axis, value.type.rank)
    return apply(Squeeze(axes), value) if axes else value


def repeat_new_axis(x: Any, count: int, axis: int) -> Value:
    """Returns x repeated `count` times along a new axis."""
    return apply(Repeat(axis, count), x)


def shape(x: Any) -> tuple[Size, ...]:
    """Returns the sizes of the axes.

    Those not known before a run are integer tensors without axes: they can be calculated with, bound slices, and stand
    wherever a function of `seqc.ops` takes a size.
    """
    value = as_tensor(x)
    return tuple(size_of(value, axis) for axis in range(value.type.rank))


def size(x: Any) -> Size:
    """Returns the number of elements, as `shape` returns sizes."""
    return product(shape(x))


OPERATORS.update({"reshape": reshape, "squeeze": squeeze})
