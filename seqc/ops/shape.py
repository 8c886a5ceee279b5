"""Operations that give the same elements other axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc import dims
from seqc.dims import Dim
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Array, Emitter, Op, Type, Value, apply, as_value
from seqc.layout import Arrangement, Layout, Merged, arrange_elementwise, is_natural
from seqc.ops._common import broadcast_shapes, check_count, normalize_axes, normalize_axis


@dataclass(frozen=True, repr=False)
class Reshape(Op):
    """New axes over the same elements, in ONNX's terms: 0 keeps the size at that place, one -1 takes what is left."""

    target: tuple[int, ...]

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 1)
        (x,) = types
        shape: list[Dim] = [x.shape[i] if d == 0 and i < x.rank else d for i, d in enumerate(self.target)]
        if -1 in self.target:
            rest = dims.product(tuple(d for d in shape if d != -1))
            shape[self.target.index(-1)] = _quotient(self, x, rest)
        if dims.product(tuple(shape)) != dims.product(x.shape):
            raise ShapeError(f"Reshape to {self.target} does not fit {x}: the number of elements differs.")
        return x.with_shape(shape)

    def eval(self, *arrays: Array) -> Any:
        (x,) = arrays
        shape = [x.shape[i] if d == 0 else d for i, d in enumerate(self.target)]
        if x.size == 0 and -1 in shape:  # NumPy cannot solve for -1 where a known size is zero
            at = shape.index(-1)
            shape[at] = _concrete_quotient(x.shape, shape[:at] + shape[at + 1 :])
        return x.reshape(shape)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (reshape_like(g, xs[0]),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        if self.target == (0, -1):
            return e.node("Flatten", *names, axis=1)
        return e.node("Reshape", *names, e.constant(np.array(self.target, np.int64)))

    def arrange(self, y: Value, *layouts: Layout) -> Arrangement | None:
        (layout,) = layouts
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
        return Arrangement((layout,), Reshape((0, -1)), gives)


def _quotient(op: Op, x: Type, rest: Dim) -> Dim:
    """Returns the number of elements over `rest`, if that can be said for every size of the symbolic axes."""
    total = dims.product(x.shape)
    if isinstance(rest, int):
        if rest and (isinstance(total, int) and total % rest == 0):
            return total // rest
        if rest and not isinstance(total, int):
            quotient = total // rest
            if quotient * rest == total:
                return quotient
    elif not isinstance(total, int):
        kept: list[Dim] = list(x.shape)
        for term in _factors(x.shape, rest):
            kept.remove(term)
        quotient = dims.product(tuple(kept))
        constant = 1
        for monomial, coefficient in rest.terms:
            constant = coefficient if monomial else constant
        if constant > 1:
            quotient = quotient // constant
        if quotient * rest == total:
            return quotient
    raise ShapeError(f"{op!r} does not fit {x}: its elements cannot be divided evenly by {rest}.")


def _factors(shape: Sequence[Dim], rest: dims.Sym) -> list[Dim]:
    """Returns the symbolic axes of `shape` that occur in the product `rest`."""
    if len(rest.terms) != 1:
        return [d for d in shape if d == rest]
    wanted = list(rest.terms[0][0])
    found: list[Dim] = []
    for d in shape:
        atoms = list(d.terms[0][0]) if isinstance(d, dims.Sym) and len(d.terms) == 1 else []
        if atoms and all(a in wanted for a in atoms):
            found.append(d)
            for a in atoms:
                wanted.remove(a)
    return found


def _concrete_quotient(shape: Sequence[int], others: Sequence[int]) -> int:
    """Solves for -1 in an empty reshape: the quotient of the sizes that are not zero."""
    rest = int(np.prod([s for s in others if s], dtype=np.int64))
    return int(np.prod([s for s in shape if s], dtype=np.int64)) // rest if 0 in others else 0


@dataclass(frozen=True, repr=False)
class ReshapeLike(Op):
    """The first operand with the leading `take` sizes of the second (all by default) before its own last axes."""

    take: int | None = None
    drop: int = 0

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 2)
        x, like = types
        shape = like.shape if self.take is None else (*like.shape[: self.take], *x.shape[self.drop :])
        if dims.product(shape) != dims.product(x.shape):
            raise ShapeError(f"{self!r} cannot give {x} the shape of {like}.")
        return x.with_shape(shape)

    def eval(self, *arrays: Array) -> Any:
        x, like = arrays
        return x.reshape(like.shape if self.take is None else (*like.shape[: self.take], *x.shape[self.drop :]))

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return reshape_like(g, xs[0]), None

    def decompose(self, y: Value, *xs: Value) -> Value | tuple[Value, ...] | None:
        target = _static_target(xs[0].type, y.type)
        return None if target is None else apply(Reshape(target), xs[0])

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        x, like = names
        shape = e.node("Shape", like)
        if self.take is not None:
            shape = e.node("Shape", like, end=self.take)
            shape = e.node("Concat", shape, e.node("Shape", x, start=self.drop), axis=0)
        return e.node("Reshape", x, shape)


def _static_target(x: Type, y: Type) -> tuple[int, ...] | None:
    """Returns a Reshape target for going from `x` to `y`, or None when more than one size would have to be -1."""
    target = [d if isinstance(d, int) else 0 if i < x.rank and x.shape[i] == d else -1 for i, d in enumerate(y.shape)]
    if target.count(-1) > 1 or 0 in y.shape:
        return None
    return tuple(target)


@dataclass(frozen=True, repr=False)
class BroadcastLike(Op):
    """The first operand broadcast to the shape of the second."""

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 2)
        x, like = types
        if broadcast_shapes(self, x.shape, like.shape) != like.shape:
            raise ShapeError(f"BroadcastLike cannot grow {x} to the shape of {like}.")
        return x.with_shape(like.shape)

    def eval(self, *arrays: Array) -> Any:
        return np.broadcast_to(arrays[0], arrays[1].shape)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return g, None

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("Expand", names[0], e.node("Shape", names[1]))

    def arrange(self, y: Value, *layouts: Layout) -> Arrangement | None:
        return arrange_elementwise(self, y.type, tuple(x.type for x in y.inputs), layouts)


@dataclass(frozen=True, repr=False)
class Repeat(Op):
    """Repeats the operand `count` times along a new axis."""

    axis: int
    count: int

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 1)
        shape = list(types[0].shape)
        shape.insert(self.axis, self.count)
        return types[0].with_shape(shape)

    def eval(self, *arrays: Array) -> Any:
        return np.repeat(np.expand_dims(arrays[0], self.axis), self.count, self.axis)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        from seqc.ops.reduce import ReduceSum

        return (apply(ReduceSum((self.axis,)), g),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        shape = np.ones(y.type.rank, np.int64)
        shape[self.axis] = self.count
        wide = e.node("Unsqueeze", *names, e.constant(np.array([self.axis], np.int64)))
        return e.node("Expand", wide, e.constant(shape))


@dataclass(frozen=True, repr=False)
class Transpose(Op):
    """Axis i of the result is axis perm[i] of the operand."""

    perm: tuple[int, ...]

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 1)
        (x,) = types
        if sorted(self.perm) != list(range(x.rank)):
            raise ShapeError(f"Transpose {self.perm} does not name each axis of {x} once.")
        return x.with_shape(x.shape[p] for p in self.perm)

    def eval(self, *arrays: Array) -> Any:
        return arrays[0].transpose(self.perm)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (transpose(g, tuple(self.perm.index(i) for i in range(len(self.perm)))),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("Transpose", *names, perm=list(self.perm))

    def arrange(self, y: Value, *layouts: Layout) -> Arrangement | None:
        # Nothing moves: the same tensor is read with other axis numbers.
        (layout,) = layouts
        renamed = tuple(
            Merged(self.perm.index(a.axis), a.order, a.sizes)
            if isinstance(a, Merged)
            else None
            if a is None
            else self.perm.index(a)
            for a in layout
        )
        return Arrangement((layout,), StayPut(), renamed)


@dataclass(frozen=True, repr=False)
class StayPut(Op):
    """The identity, used by the layout plan where re-reading axes replaces moving elements; it never reaches ONNX."""

    def infer(self, *types: Type) -> Type:
        return types[0]

    def eval(self, *arrays: Array) -> Any:
        return arrays[0]


@dataclass(frozen=True, repr=False)
class Unsqueeze(Op):
    """Puts axes of size one at `axes` of the result."""

    axes: tuple[int, ...]

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 1)
        shape = list(types[0].shape)
        for axis in sorted(self.axes):
            shape.insert(axis, 1)
        return types[0].with_shape(shape)

    def eval(self, *arrays: Array) -> Any:
        return np.expand_dims(arrays[0], self.axes)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (apply(Squeeze(self.axes), g),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("Unsqueeze", *names, e.constant(np.array(self.axes, np.int64)))


@dataclass(frozen=True, repr=False)
class Squeeze(Op):
    """Drops axes of size one."""

    axes: tuple[int, ...]

    def infer(self, *types: Type) -> Type:
        check_count(self, types, 1)
        (x,) = types
        if any(x.shape[a] != 1 for a in self.axes):
            raise ShapeError(f"Squeeze of axes {self.axes} needs size 1 there; got {x}.")
        return x.with_shape(d for i, d in enumerate(x.shape) if i not in self.axes)

    def eval(self, *arrays: Array) -> Any:
        return np.squeeze(arrays[0], self.axes)

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        return (apply(Unsqueeze(self.axes), g),)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("Squeeze", *names, e.constant(np.array(self.axes, np.int64)))

    def arrange(self, y: Value, *layouts: Layout) -> Arrangement | None:
        (layout,) = layouts
        if any(isinstance(a, Merged) for a in layout):
            return None
        kept = [i for i in range(y.inputs[0].type.rank) if i not in self.axes]
        gives: Layout = tuple(
            None if a is None or a in self.axes else kept.index(a)  # type: ignore[arg-type]
            for a in layout
        )
        return Arrangement((layout,), StayPut(), gives)


def reshape(x: Any, newshape: Sequence[int]) -> Value:
    """Returns x with another shape; one size may be -1. The batch axis is kept by `-1` there."""
    value = as_value(x)
    target = tuple(int(d) if d is not None else -1 for d in newshape)
    if target.count(-1) > 1:
        raise ConfigError(f"reshape can solve for one -1 only; got {tuple(newshape)}.")
    first = value.type.shape[0] if value.type.rank else 1
    if target and target[0] == -1 and not isinstance(first, int):
        rest, inner = dims.product(target[1:]), dims.product(value.type.shape[1:])
        if rest == inner:
            target = (0, *target[1:])
    return apply(Reshape(target), value)


def flatten_batch(x: Value) -> Value:
    """Returns (batch, everything else)."""
    return apply(Reshape((0, -1)), x)


def reshape_like(x: Value, like: Value) -> Value:
    """Returns x with the shape of `like`."""
    return x if x.type.shape == like.type.shape else apply(ReshapeLike(), x, like)


def merge_leading(x: Value) -> Value:
    """Returns x with its first two axes as one."""
    rest = x.type.shape[2:]
    if all(isinstance(d, int) for d in rest):
        return apply(Reshape((-1, *(d for d in rest if isinstance(d, int)))), x)
    raise ShapeError(f"Joining batch and time of {x.type} needs the other sizes to be known.")


def split_leading(x: Value, like: Value) -> Value:
    """Undoes `merge_leading`: the first axis becomes the first two of `like`."""
    return apply(ReshapeLike(2, 1), x, like)


def broadcast_like(x: Value, like: Value) -> Value:
    """Returns x broadcast to the shape of `like`."""
    return x if x.type.shape == like.type.shape else apply(BroadcastLike(), x, like)


def zeros_like(x: Any, dtype: str | None = None) -> Value:
    """Returns zeros of the shape of x."""
    value = as_value(x)
    return broadcast_like(as_value(np.zeros((), dtype or value.dtype)), value)


def ones_like(x: Any, dtype: str | None = None) -> Value:
    """Returns ones of the shape of x."""
    value = as_value(x)
    return broadcast_like(as_value(np.ones((), dtype or value.dtype)), value)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Value:
    """Returns x with its axes in the given order (reversed by default)."""
    value = as_value(x)
    rank = value.type.rank
    perm = tuple(reversed(range(rank))) if axes is None else tuple(normalize_axis("transpose", a, rank) for a in axes)
    return value if perm == tuple(range(rank)) else apply(Transpose(perm), value)


def expand_dims(x: Any, axis: int | Sequence[int]) -> Value:
    """Returns x with new axes of size one at `axis`."""
    value = as_value(x)
    listed = (axis,) if isinstance(axis, int) else tuple(axis)
    axes = normalize_axes("expand_dims", listed, value.type.rank + len(listed))
    return apply(Unsqueeze(axes), value) if axes else value


def squeeze(x: Any, axis: int | Sequence[int] | None = None) -> Value:
    """Returns x without the axes of size one named by `axis` (all of them by default)."""
    value = as_value(x)
    if axis is None:
        axes = tuple(i for i, d in enumerate(value.type.shape) if d == 1)
    else:
        axes = normalize_axes("squeeze", axis, value.type.rank)
    return apply(Squeeze(axes), value) if axes else value


def repeat_new_axis(x: Any, count: int, axis: int) -> Value:
    """Returns x repeated `count` times along a new axis."""
    return apply(Repeat(axis, count), x)


def shape(x: Any) -> tuple[int | None, ...]:
    """Returns the shape as far as it is known: None for symbolic sizes."""
    return as_value(x).shape
