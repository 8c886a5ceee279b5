"""Sizes of axes as values, and operations whose results are as large as such values say.

`SizeOf` reads the size of an axis when the graph runs. What is known of it beforehand, its `Type.size`, is kept through
`+`, `-`, `*`, `//` and `%`, so that the shapes of results are known as formulas.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from seqc.errors import DTypeError, ShapeError
from seqc.graph import dims
from seqc.graph.batch import BATCH, batch_axis
from seqc.graph.dims import Dim
from seqc.graph.equal_sizes import SizesDiffer
from seqc.graph.ir import Array, BatchRule, Emitter, HasValue, Input, Op, Type, Value, apply, as_value, constant, walk
from seqc.graph.layout import Layout, LayoutRule, position
from seqc.graph.target import Target
from seqc.ops._common import check_axes, check_count
from seqc.sure import mistake

# A size as functions take it: a number, or a value that follows from sizes of axes.
Size = int | Value


@dataclass(frozen=True, repr=False, eq=False)
class SizeOf(Op):
    """The size of one axis of the operand (int32): of the whole batch, where that axis is the batch."""

    kind = "lookup"
    axis: int
    shape_only: ClassVar[tuple[int, ...]] = (0,)

    def infer(self, x: Type) -> Type:
        check_axes(self, (self.axis,), x)
        return Type("int32", ())

    def known_size(self, x: Type) -> Dim | None:
        return x.shape[self.axis]

    def eval(self, x: Array) -> Any:
        return np.int32(x.shape[self.axis])

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (None,)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        size = y.type.size
        return constant(np.int32(size)) if isinstance(size, int) else None

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        size = e.node("Gather", e.node("Shape", x), e.constant(np.int64(self.axis)), axis=0)
        return e.node("Cast", size, to="int32")

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        at = position(layout, self.axis)
        return None if at is None else LayoutRule((layout,), SizeOf(at), ())


class Sized(Op):
    """Operations on operands and, after them, sizes: integer scalars of which it is known what they are."""

    # How many operands come before the sizes.
    operands: ClassVar[int] = 1

    def known(self, *sizes: Type) -> list[Dim]:
        """Returns what the sizes are known to be."""
        found: list[Dim] = []
        for t in sizes:
            if t.size is None or t.shape:
                raise ShapeError(f"{self!r} needs sizes that follow from those of axes; got {t}.")
            found.append(t.size)
        return found

    def batch_rule(self, y: Value) -> BatchRule:
        # What is as large as the batch says cannot be made for some samples: the size is that of all.
        sizes = [x.type.size for x in y.inputs[self.operands :]]
        return "whole" if any(d is not None and BATCH in dims.names(d) for d in sizes) else self.rule_of_samples(y)

    def rule_of_samples(self, y: Value) -> BatchRule:
        return "parallel"


@dataclass(frozen=True, repr=False, eq=False)
class Range(Sized):
    """Whole numbers from the first size on, `step` apart, before the second (int32)."""

    kind = "lookup"
    step: int = 1
    operands = 0

    def infer(self, start: Type, stop: Type) -> Type:
        first, end = self.known(start, stop)
        count = dims.ceil_div(end - first if self.step > 0 else first - end, abs(self.step))
        return Type("int32", (max(count, 0) if isinstance(count, int) else count,))

    def eval(self, start: Array, stop: Array) -> Any:
        return np.arange(int(start), int(stop), self.step, dtype=np.int32)

    def vjp(self, g: Value, y: Value, start: Value, stop: Value) -> Sequence[Value | None]:
        return None, None

    def lower(self, e: Emitter, y: Value, start: str, stop: str) -> str | tuple[str, ...]:
        given = zip((start, stop), y.inputs, strict=True)
        limits = [n if x.dtype == "int32" else e.node("Cast", n, to="int32") for n, x in given]
        return e.node("Range", *limits, e.constant(np.int32(self.step)))


@dataclass(frozen=True, repr=False, eq=False)
class BroadcastTo(Sized):
    """The operand broadcast to a shape; 1 keeps the size of an axis, None takes the next of the sizes."""

    kind = "move"
    moves_strings = True
    target: tuple[int | None, ...]

    def infer(self, x: Type, *sizes: Type) -> Type:
        check_count(self, (x, *sizes), 1 + self.target.count(None))
        wanted = filled(self.target, self.known(*sizes))
        before = len(wanted) - x.rank
        have = (*[1] * before, *x.shape)
        message = f"broadcast_to cannot give {x} the shape ({', '.join(map(str, wanted))})."
        if before < 0:
            raise ShapeError(message)
        for a, b in zip(have, wanted, strict=True):
            if a != b and 1 not in (a, b):
                raise SizesDiffer(message, (a, b))
        return x.with_shape(b if a == 1 else a for a, b in zip(have, wanted, strict=True))

    def eval(self, x: Array, *sizes: Array) -> Any:
        return np.broadcast_to(x, np.broadcast_shapes(x.shape, filled(self.target, [int(s) for s in sizes])))

    def vjp(self, g: Value, y: Value, x: Value, *sizes: Value) -> Sequence[Value | None]:
        return g, *(None for _ in sizes)

    def lower(self, e: Emitter, y: Value, x: str, *sizes: str) -> str | tuple[str, ...]:
        return e.node("Expand", x, emit_shape(e, self.target, sizes))


@dataclass(frozen=True, repr=False, eq=False)
class ReshapeTo(Sized):
    """The elements under another shape, in which None takes the next of the sizes and one -1 what is left."""

    kind = "move"
    moves_strings = True
    target: tuple[int | None, ...]

    def infer(self, x: Type, *sizes: Type) -> Type:
        check_count(self, (x, *sizes), 1 + self.target.count(None))
        shape = list(filled(self.target, self.known(*sizes)))
        total = dims.product(x.shape)
        if -1 in self.target:
            at = self.target.index(-1)
            left = dims.exact_quotient(total, dims.product(d for i, d in enumerate(shape) if i != at))
            shape[at] = -1 if left is None else left
        if dims.product(shape) != total:
            shown = ", ".join(map(str, shape))
            # Where free sizes decide, what is left to be found out is most likely as it was.
            likely = [x.shape[i] if d == -1 and i < x.rank else d for i, d in enumerate(shape)]
            raise SizesDiffer(
                f"reshape of {x} to ({shown}) does not fit: the number of elements differs, or cannot be seen to be "
                "the same for all sizes.",
                (dims.product(likely), total),
            )
        return x.with_shape(shape)

    def eval(self, x: Array, *sizes: Array) -> Any:
        return x.reshape(filled(self.target, [int(s) for s in sizes]))

    def rule_of_samples(self, y: Value) -> BatchRule:
        from seqc.ops.shape import batch_rule_of_reshape

        return batch_rule_of_reshape(y)

    def vjp(self, g: Value, y: Value, x: Value, *sizes: Value) -> Sequence[Value | None]:
        from seqc.ops.shape import reshape_like

        return reshape_like(g, x), *(None for _ in sizes)

    def lower(self, e: Emitter, y: Value, x: str, *sizes: str) -> str | tuple[str, ...]:
        return e.node("Reshape", x, emit_shape(e, self.target, sizes))


@dataclass(frozen=True, repr=False, eq=False)
class Crop(Sized):
    """The elements of one axis from the first size on, before the second; negative ones count from the end."""

    kind = "move"
    moves_strings = True
    axis: int

    def infer(self, x: Type, start: Type, stop: Type) -> Type:
        check_axes(self, (self.axis,), x)
        size = x.shape[self.axis]
        first, end = (_place(bound, size) for bound in self.known(start, stop))
        length = end - first
        length = max(length, 0) if isinstance(length, int) else length
        return x.with_shape(length if i == self.axis else d for i, d in enumerate(x.shape))

    def eval(self, x: Array, start: Array, stop: Array) -> Any:
        return x[(*[slice(None)] * self.axis, slice(int(start), int(stop)))]

    def rule_of_samples(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.inputs[0].type) == self.axis else "parallel"

    def vjp(self, g: Value, y: Value, x: Value, start: Value, stop: Value) -> Sequence[Value | None]:
        return apply(Uncrop(self.axis), g, x, start, stop), None, None

    def lower(self, e: Emitter, y: Value, x: str, start: str, stop: str) -> str | tuple[str, ...]:
        bounds = (emit_shape(e, (None,), (bound,)) for bound in (start, stop))
        return e.node("Slice", x, *bounds, e.constant(np.array([self.axis])))

    def layout_rule(self, y: Value, layout: Layout, start: Layout, stop: Layout) -> LayoutRule | None:
        at = position(layout, self.axis)
        return None if at is None else LayoutRule((layout, (), ()), replace(self, axis=at), layout)


@dataclass(frozen=True, repr=False, eq=False)
class Uncrop(Sized):
    """Zeros of the shape of the second operand, with the first written where `Crop` reads between the sizes."""

    kind = "move"
    axis: int
    operands = 2
    shape_only: ClassVar[tuple[int, ...]] = (1,)

    def infer(self, g: Type, x: Type, start: Type, stop: Type) -> Type:
        return x.with_dtype(g.dtype)

    def eval(self, g: Array, x: Array, start: Array, stop: Array) -> Any:
        result = np.zeros(x.shape, g.dtype)
        result[(*[slice(None)] * self.axis, slice(int(start), int(stop)))] = g
        return result

    def rule_of_samples(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.type) == self.axis else "parallel"

    def vjp(self, g: Value, y: Value, upstream: Value, x: Value, start: Value, stop: Value) -> Sequence[Value | None]:
        return apply(Crop(self.axis), g, start, stop), None, None, None

    def lower(self, e: Emitter, y: Value, g: str, x: str, start: str, stop: str) -> str | tuple[str, ...]:
        axis = e.constant(np.array([self.axis], np.int64))
        size, written = (e.node("Gather", e.node("Shape", n), axis, axis=0) for n in (x, g))
        before = emit_shape(e, (None,), (start,))
        zero = e.constant(np.array([0], np.int64))
        from_end = e.node("Max", e.node("Add", before, size), zero)
        before = e.node("Where", e.node("Less", before, zero), from_end, e.node("Min", before, size))
        after = e.node("Sub", e.node("Sub", size, before), written)
        others = [e.constant(np.zeros(n, np.int64)) for n in (self.axis, y.type.rank - 1, y.type.rank - 1 - self.axis)]
        parts = [others[0], before, others[1], after, others[2]]
        return e.node("Pad", g, e.node("Concat", *parts, axis=0), e.constant(np.zeros((), y.type.dtype)))


def _place(bound: Dim, size: Dim) -> Dim:
    """Returns where a bound lies along an axis, as Python counts; one of unknown sign is taken to lie within."""
    from_end = bound < 0 if isinstance(bound, int) else not dims.may_grow(bound)
    at = size + bound if from_end else bound
    if isinstance(at, int) and isinstance(size, int):
        return min(max(at, 0), size)
    return size if dims.is_never_less(at, size) else at


def filled(target: tuple[int | None, ...], sizes: Sequence[Any]) -> tuple[Any, ...]:
    """Returns a shape with the sizes in the place of None."""
    rest = iter(sizes)
    return tuple(next(rest) if d is None else d for d in target)


def emit_shape(e: Emitter, target: Sequence[int | None], names: Sequence[str]) -> str:
    """Writes a shape as a vector of int64, None standing for the next of the scalars `names`."""
    if None not in target:
        return e.constant(np.array(target, np.int64))
    rest, parts, numbers = iter(names), [], []
    for d in target:
        if d is not None:
            numbers.append(d)
            continue
        if numbers:
            parts.append(e.constant(np.array(numbers, np.int64)))
        numbers = []
        parts.append(e.node("Reshape", e.node("Cast", next(rest), to="int64"), e.constant(np.array([1], np.int64))))
    if numbers:
        parts.append(e.constant(np.array(numbers, np.int64)))
    return parts[0] if len(parts) == 1 else e.node("Concat", *parts, axis=0)


def size_of(x: Value, axis: int) -> Size:
    """Returns the size of an axis, counted from either end: a number where it is known, else a value."""
    at = axis % x.type.rank
    size = x.type.shape[at]
    return size if isinstance(size, int) else apply(SizeOf(at), x)


def as_size(given: Any, who: str) -> Size:
    """Returns a size given to a function as a number, or as a value of which is known what it is.

    Raises:
        DTypeError: it is no whole number. ShapeError: it depends on more than sizes.
    """
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        return int(given)
    value = None if given is None else as_value(given)
    if value is None or value.type.shape or not value.dtype.startswith(("int", "uint")):
        got = "None; use seqc.ops.shape(x)[axis] instead of x.shape[axis]" if value is None else f"{given!r}"
        raise DTypeError(f"{who} needs whole numbers as sizes (use // to divide them); got {got}.")
    size = value.type.size
    if isinstance(size, int):
        return size
    if size is None:
        if not any(isinstance(v.op, Input) for v in walk([value])):
            return int(value)
        raise ShapeError(
            f"{who} needs sizes that follow from those of axes, as ops.shape(x)[1] // 2 + 1 does by +, -, *, // and %; "
            f"got {value}, which seqc cannot tell before the model runs."
        )
    return value


def as_sizes(shape: Any, who: str) -> tuple[Size, ...]:
    """Returns a shape given to a function, or one size alone, as `as_size` returns each."""
    return tuple(as_size(d, who) for d in listed_sizes(shape, who))


def listed_sizes(shape: Any, who: str) -> tuple[Any, ...]:
    """Returns the sizes in a shape: a list, one size alone, or a vector that was put together of sizes.

    Raises:
        ShapeError: it is a vector of which is not known what is in it.
    """
    if isinstance(shape, Sequence):
        return tuple(shape)
    if isinstance(shape, np.ndarray | Value | HasValue) and as_value(shape).type.rank == 1:
        return tuple(_elements(as_value(shape), who))
    return (shape,)


def _elements(vector: Value, who: str) -> Iterator[Any]:
    """Yields the sizes that a vector was put together of, as by `concatenate` and `stack`."""
    from seqc.ops.shape import Reshape, Unsqueeze
    from seqc.ops.slicing import Concat

    if not any(isinstance(v.op, Input) for v in walk([vector])):
        yield from vector.numpy().tolist()
    elif isinstance(vector.op, Concat):
        for part in vector.inputs:
            yield from _elements(part, who)
    elif isinstance(vector.op, Unsqueeze | Reshape) and not vector.inputs[0].type.rank:
        yield vector.inputs[0]
    else:
        raise ShapeError(
            f"{who} needs sizes as a list, or as a vector put together of them by concatenate or stack; got {vector}."
        )


def dim_of(size: Size) -> Dim:
    """Returns what is known of a size."""
    if isinstance(size, int):
        return size
    if size.type.size is None:
        raise mistake("nothing is known of a size")
    return size.type.size


def product(sizes: Sequence[Size]) -> Size:
    """Returns the product of sizes; 1 for none."""
    total: Any = math.prod(d for d in sizes if isinstance(d, int))
    for size in sizes:
        total = total if isinstance(size, int) else size * total
    return total  # type: ignore[no-any-return]


def apply_sized(op: Sized, operands: Sequence[Any], sizes: Sequence[Size]) -> Value:
    """Applies an operation to operands and sizes, numbers among which become constants."""
    return apply(op, *operands, *(constant(np.int32(s)) if isinstance(s, int) else s for s in sizes))


def broadcast_sizes(x: Value, sizes: Sequence[Size]) -> Value:
    """Returns x broadcast to a shape of numbers and values."""
    before = len(sizes) - x.type.rank
    if before == 0 and all(dim_of(s) == d for s, d in zip(sizes, x.type.shape, strict=True)):
        return x
    target: list[int | None] = []
    taken: list[Value] = []
    for i, size in enumerate(sizes):
        if 0 <= before <= i and dim_of(size) == x.type.shape[i - before]:
            target.append(1)
        elif isinstance(size, int):
            target.append(size)
        else:
            target.append(None)
            taken.append(size)
    return apply_sized(BroadcastTo(tuple(target)), [x], taken)


def crop(x: Value, axis: int, start: Size, stop: Size | None) -> Value:
    """Returns the elements of one axis from `start` on, before `stop`, or to the end."""
    return apply_sized(Crop(axis), [x], [start, size_of(x, axis) if stop is None else stop])
