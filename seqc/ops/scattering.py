"""Writing elements to places that tensors say, and reading them there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from seqc.errors import ConfigError, DTypeError, NoLoweringError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.equal_sizes import check_equal
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Sizes, Type, Value, apply, as_value
from seqc.ops._common import as_number, check_number, check_same_dtype, scalar
from seqc.ops.arithmetic import add, maximum, minimum, subtract
from seqc.ops.creation import arange, zeros
from seqc.ops.elementwise import cast, equal, less, logical_and, where
from seqc.ops.gather import take
from seqc.ops.indexing import get_item
from seqc.ops.shape import expand_dims, zeros_like
from seqc.ops.sizes import size_of
from seqc.ops.slicing import concatenate


def _check_places(op: Op, x: Type, places: Type) -> int:
    """Returns how many leading axes of x a place names."""
    if not places.dtype.startswith(("int", "uint")):
        raise DTypeError(f"{op.name} needs integer places; got {places}.")
    depth = places.shape[-1] if places.rank else 0
    if not isinstance(depth, int) or not 1 <= depth <= x.rank:
        raise ShapeError(f"{op.name} needs places whose last axis names 1 to {x.rank} axes of {x}; got {places}.")
    return depth


def _index(op: Op, x: Array, places: Array) -> tuple[Array, ...]:
    """Returns places as NumPy indexes by them."""
    along = np.moveaxis(places, -1, 0)
    for axis, at in enumerate(along):
        size = x.shape[axis]
        if at.size and not (-size <= at.min() and at.max() < size):
            raise ShapeError(
                f"{op.name}: places along axis {axis}, which has {size} elements, must lie in [{-size}, {size}); "
                f"got values from {at.min()} to {at.max()}."
            )
    return tuple(along)


class GatherND(Op):
    """The elements, or blocks, of x at places (..., axes): a place names as many leading axes of x."""

    kind = "lookup"

    def infer(self, x: Type, places: Type) -> Type:
        depth = _check_places(self, x, places)
        return x.with_shape((*places.shape[:-1], *x.shape[depth:]))

    def eval(self, x: Array, places: Array) -> Any:
        return x[_index(self, x, places)]

    def batch_rule(self, y: Value) -> BatchRule:
        x, places = (v.type for v in y.inputs)
        return "parallel" if batch_axis(x) is None and batch_axis(places) != places.rank - 1 else "whole"

    def vjp(self, g: Value, y: Value, x: Value, places: Value) -> Sequence[Value | None]:
        return apply(ScatterAdd(), cast(zeros_like(x), g.dtype), places, g), None

    def lower(self, e: Emitter, y: Value, x: str, places: str) -> str | tuple[str, ...]:
        return e.node("GatherND", x, _long(e, y.inputs[1], places))


def _long(e: Emitter, places: Value, name: str) -> str:
    return name if places.dtype == "int64" else e.node("Cast", name, to="int64")


class Scatter(Op):
    """x with updates written at places (..., axes), each of which names so many leading axes of x.

    Which update stays where several are written to one place is not said.
    """

    reduction: ClassVar[str] = "none"
    function: ClassVar[Callable[..., Any]]

    def infer(self, x: Type, places: Type, updates: Type) -> Type:
        check_same_dtype(self, x, updates)
        if self.reduction != "none":
            check_number(self, x)
        depth = _check_places(self, x, places)
        wanted = (*places.shape[:-1], *x.shape[depth:])
        message = f"{self.name} into {x} at {places} needs updates {x.with_shape(wanted)}; got {updates}."
        if updates.rank != len(wanted):
            raise ShapeError(message)
        check_equal(updates.shape, wanted, message)
        return x

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[2])

    def eval(self, x: Array, places: Array, updates: Array) -> Any:
        result = x.copy()
        at = _index(self, x, places)
        if self.reduction == "none":
            result[at] = updates
        else:
            type(self).function.at(result, at, updates)  # type: ignore[attr-defined]
        return result

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole"

    def vjp(self, g: Value, y: Value, x: Value, places: Value, updates: Value) -> Sequence[Value | None]:
        kept = apply(Scatter(), g, places, zeros_like(updates))
        return kept, None, apply(GatherND(), g, places)

    def lower(self, e: Emitter, y: Value, x: str, places: str, updates: str) -> str | tuple[str, ...]:
        reduction = {} if self.reduction == "none" else {"reduction": self.reduction}
        return e.node("ScatterND", x, _long(e, y.inputs[1], places), updates, **reduction)


class ScatterAdd(Scatter):
    """x with updates added at places."""

    reduction = "add"
    function = np.add

    def vjp(self, g: Value, y: Value, x: Value, places: Value, updates: Value) -> Sequence[Value | None]:
        return g, None, apply(GatherND(), g, places)


class ScatterMul(Scatter):
    """x multiplied with updates at places."""

    reduction = "mul"
    function = np.multiply

    def vjp(self, g: Value, y: Value, x: Value, places: Value, updates: Value) -> Sequence[Value | None]:
        # The product of the others, for each factor: of all but zeros where none is zero, of the rest for a lone zero.
        none, one = scalar(0, x), scalar(1, x)
        x_zero, updates_zero = equal(x, none), equal(updates, none)
        x_factor, factors = where(x_zero, one, x), where(updates_zero, one, updates)
        rest = apply(ScatterMul(), x_factor, places, factors)
        zeros_there = apply(ScatterAdd(), cast(x_zero, x.dtype), places, cast(updates_zero, x.dtype))
        there = (apply(GatherND(), v, places) for v in (g * rest, zeros_there))
        others, number = there
        gx = where(equal(zeros_there - cast(x_zero, x.dtype), none), g * rest / x_factor, none)
        return gx, None, where(equal(number - cast(updates_zero, x.dtype), none), others / factors, none)


class ScatterMax(Scatter):
    """The larger of x and the updates at places."""

    reduction = "max"
    function: ClassVar[Callable[..., Any]] = np.maximum

    def vjp(self, g: Value, y: Value, x: Value, places: Value, updates: Value) -> Sequence[Value | None]:
        # Ties share the gradient equally, as in reductions.
        hit_x = cast(equal(x, y), g.dtype)
        hit = cast(equal(updates, apply(GatherND(), y, places)), g.dtype)
        share = g / maximum(apply(ScatterAdd(), hit_x, places, hit), scalar(1, g))
        return share * hit_x, None, apply(GatherND(), share, places) * hit

    def lower(self, e: Emitter, y: Value, x: str, places: str, updates: str) -> str | tuple[str, ...]:
        if e.target.opset < 18:  # the operator has the attribute, but not yet this value of it
            who = f"Layer '{y.scope}'" if y.scope else "The model"
            raise NoLoweringError(
                f"{who} needs ScatterND(reduction='{self.reduction}'), which opset {e.target.opset} lacks. "
                "Export with opset=18.",
                opset=18,
            )
        return super().lower(e, y, x, places, updates)


class ScatterMin(ScatterMax):
    """The smaller of x and the updates at places."""

    reduction = "min"
    function = np.minimum


_REDUCTIONS: dict[str | None, type[Scatter]] = {
    None: Scatter,
    "add": ScatterAdd,
    "max": ScatterMax,
    "min": ScatterMin,
    "mul": ScatterMul,
}


def scatter(indices: Any, values: Any, shape: Any) -> Value:
    """Returns zeros of a shape with values added at places.

    Args:
        indices: integers (..., axes): each names so many leading axes. values: numbers, or blocks of the other axes.
        shape: numbers, or sizes as `ops.shape` gives them.
    """
    updates = as_number(values)
    return apply(ScatterAdd(), zeros(shape, updates.dtype), as_value(indices), updates)


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Value:
    """Returns a tensor with updates at places.

    Args:
        inputs: a tensor. indices: integers (count, axes): each names so many leading axes. updates: numbers, or blocks
        of the other axes. reduction: "add", "max", "min" or "mul" for what is done with the element that is there;
        None replaces it, where a place should come once.
    """
    if reduction not in _REDUCTIONS:
        raise ConfigError(f"Unsupported reduction: {reduction}. Use None, 'add', 'max', 'min' or 'mul'.")
    x = as_value(inputs)
    return apply(_REDUCTIONS[reduction](), x, as_value(indices), cast(updates, x.dtype))


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Value:
    """Returns a tensor with a block replaced, which begins at the given element and is moved so that it lies inside.

    Negative starts count from the end.

    Args:
        inputs: a tensor. start_indices: one integer per axis: numbers, or integer tensors without axes. updates: the
        block, of as many axes.
    """
    x = as_value(inputs)
    block = cast(updates, x.dtype)
    starts = list(start_indices) if not isinstance(start_indices, Value) else [*start_indices]
    if not len(starts) == x.type.rank == block.type.rank:
        raise ShapeError(
            f"slice_update needs a start per axis and a block of as many axes; got {len(starts)} starts, {block.type} "
            f"and {x.type}."
        )
    sizes = zip(block.type.shape, x.type.shape, strict=True)
    if any(isinstance(a, int) and isinstance(b, int) and a > b for a, b in sizes):
        raise ShapeError(f"slice_update cannot put {block.type} into {x.type}, which is smaller.")
    return _replaced(x, starts, block, 0)


def _replaced(x: Value, starts: Sequence[Any], block: Value, axis: int) -> Value:
    """Returns x with the block written, where all axes before `axis` are as long in both."""
    if axis == x.type.rank:
        return block
    size, part = x.type.shape[axis], block.type.shape[axis]
    if size == part:
        return _replaced(x, starts, block, axis + 1)
    start = starts[axis]
    if isinstance(start, int | np.integer) and isinstance(size, int) and isinstance(part, int):
        first = min(max(int(start) + (size if start < 0 else 0), 0), size - part)
        before = (slice(None),) * axis
        inner = _replaced(get_item(x, (*before, slice(first, first + part))), starts, block, axis + 1)
        pieces = [get_item(x, (*before, slice(0, first))), inner, get_item(x, (*before, slice(first + part, None)))]
        return concatenate([p for p in pieces if p.type.shape[axis] != 0], axis)
    # Where it begins is known when it runs: every place is told which element of the block belongs there, if any.
    count, length = size_of(block, axis), size_of(x, axis)
    start = cast(start, "int32")
    start = where(less(start, 0), add(start, length), start)
    first_at = maximum(minimum(start, subtract(length, count)), 0)
    at = subtract(arange(length), first_at)
    last = subtract(count, 1)
    inside = logical_and(equal(at, maximum(at, 0)), equal(at, minimum(at, last)))
    wide = take(block, minimum(maximum(at, 0), last), axis)
    mask = expand_dims(inside, tuple(i for i in range(x.type.rank) if i != axis))
    return where(mask, _replaced(x, starts, wide, axis + 1), x)
