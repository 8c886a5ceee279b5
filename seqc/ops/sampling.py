"""Images seen elsewhere: each element of the result looks its value up at a place of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from seqc.errors import DTypeError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Sizes, Type, Value, apply
from seqc.ops._pictures import fill_of
from seqc.ops.arithmetic import absolute, clip, floor, minimum, mod
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, logical_and, where
from seqc.ops.shape import expand_dims, ones_like, reshape
from seqc.ops.sizes import Size, product, size_of
from seqc.sure import present

FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")
ORDERS = {"nearest": 0, "bilinear": 1}
# Places are integers in 32 bits; nothing is so large.
_FAR = 1e9


def _batch_rule(y: Value) -> BatchRule:
    axes = (batch_axis(x.type) for x in y.inputs)
    return "parallel" if all(axis in (0, None) for axis in axes) else "whole"


class GatherRows(Op):
    """Rows of one table per sample (batch, rows, ...) by numbers (batch, ...), which stand in their place."""

    kind = "lookup"

    def infer(self, table: Type, ids: Type) -> Type:
        if not ids.dtype.startswith(("int", "uint")):
            raise DTypeError(f"GatherRows needs integer ids; got {ids}.")
        if table.rank < 2 or ids.rank < 1 or table.shape[0] != ids.shape[0]:
            raise ShapeError(f"GatherRows needs a table of rows for each sample; got {table}, {ids}.")
        return table.with_shape((*ids.shape, *table.shape[2:]))

    def eval(self, table: Array, ids: Array) -> Any:
        return _rows(table).take(_numbered(ids, table.shape[1]), 0)

    def vjp(self, g: Value, y: Value, table: Value, ids: Value) -> Sequence[Value | None]:
        return apply(GatherRowsGrad(), g, ids, table), None

    def batch_rule(self, y: Value) -> BatchRule:
        return _batch_rule(y)

    def lower(self, e: Emitter, y: Value, table: str, ids: str) -> str | tuple[str, ...]:
        at = e.node("Unsqueeze", e.node("Cast", ids, to="int64"), e.constant(np.array([-1], np.int64)))
        return e.node("GatherND", table, at, batch_dims=1)


class GatherRowsGrad(Op):
    """Adds rows of the first operand into zeros of the third's shape at the ids of the second; see `GatherRows`.

    Of ones it makes a histogram of the ids of each sample.
    """

    shape_only: ClassVar[tuple[int, ...]] = (2,)

    def infer(self, g: Type, ids: Type, table: Type) -> Type:
        if g.shape != (*ids.shape, *table.shape[2:]):
            raise ShapeError(f"GatherRowsGrad needs a row for each id; got {g}, {ids} for {table}.")
        return table.with_dtype(g.dtype)

    def eval(self, g: Array, ids: Array, table: Array) -> Any:
        numbers, shape = _numbered(ids, table.shape[1]), table.shape
        if len(shape) == 2:
            return np.bincount(numbers.reshape(-1), g.reshape(-1), prod(shape)).astype(g.dtype).reshape(shape)
        result = np.zeros((shape[0] * shape[1], *shape[2:]), g.dtype)
        np.add.at(result, numbers.reshape(-1), g.reshape(-1, *shape[2:]))
        return result.reshape(shape)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def vjp(self, g: Value, y: Value, upstream: Value, ids: Value, table: Value) -> Sequence[Value | None]:
        return apply(GatherRows(), g, ids), None, None

    def batch_rule(self, y: Value) -> BatchRule:
        return _batch_rule(y)

    def lower(self, e: Emitter, y: Value, g: str, ids: str, table: str) -> str | tuple[str, ...]:
        rest = y.type.rank - 2
        shape = e.node("Shape", table)
        blank = e.node("Expand", e.constant(np.zeros((), y.type.dtype)), shape)
        inner = e.node("Slice", shape, *(e.constant(np.array([n], np.int64)) for n in (2, y.type.rank)))
        rows = e.node("Concat", e.constant(np.array([0, -1], np.int64)), inner, axis=0) if rest else None
        flat = e.node("Flatten", e.node("Cast", ids, to="int64"), axis=1)
        if rows is None:
            return e.node("ScatterElements", blank, flat, e.node("Flatten", g, axis=1), axis=1, reduction="add")
        g = e.node("Reshape", g, rows)
        flat = e.node("Unsqueeze", flat, e.constant(np.arange(2, 2 + rest, dtype=np.int64)))
        return e.node("ScatterElements", blank, e.node("Expand", flat, e.node("Shape", g)), g, axis=1, reduction="add")


def _rows(table: Array) -> Array:
    """Returns the rows of all samples, one after the other."""
    return table.reshape(table.shape[0] * table.shape[1], *table.shape[2:])


def _numbered(ids: Array, rows: int) -> Array:
    """Returns numbers of rows of each sample as numbers of rows of all.

    Raises:
        ShapeError: a number is beyond the table.
    """
    if ids.size and not (ids.min() >= 0 and ids.max() < rows):
        raise ShapeError(f"GatherRows: ids must lie in [0, {rows}); got values from {ids.min()} to {ids.max()}.")
    return ids + (np.arange(len(ids), dtype=np.int64) * rows).reshape(-1, *(1,) * (ids.ndim - 1))


def gather_rows(table: Value, ids: Value) -> Value:
    """Returns rows of one table per sample (batch, rows, ...) by numbers (batch, ...)."""
    return apply(GatherRows(), table, ids)


def counts(ids: Value, bins: int) -> Value:
    """Returns how often each number below `bins` is among those of each sample (batch, ...), as floats.

    Returns: (batch, bins).
    """
    flat = reshape(ids, (-1, product([size_of(ids, axis) for axis in range(1, ids.type.rank)])))
    ones = ones_like(flat, "float32")
    table = ones[:, :1] * np.zeros((1, bins), np.float32)
    return apply(GatherRowsGrad(), ones, flat, table)


def sample(images: Value, places: Sequence[Value], order: int, fill_mode: str, fill_value: float = 0.0) -> Value:
    """Returns what images have at given places.

    Args:
        images: (batch, *space, channels), floats, or numbers of any kind with order 0.
        places: one tensor (batch, *result) of floats for each axis of space, counted in elements from the first.
        order: 0 for the element next to a place, 1 for a mean of the two next to it along each axis.
        fill_mode: what there is beyond an image: "constant" for `fill_value`, "nearest" for the border, "wrap" for the
        image again, "reflect" for the image mirrored at its edge, "mirror" for the image mirrored at the middle of its
        last element.
        fill_value: a number.

    Returns: (batch, *result, channels). It has a gradient for images and, with order 1, for places.
    """
    *space, channels = [size_of(images, axis) for axis in range(1, images.type.rank)]
    table = reshape(images, (-1, product(space), channels))
    result: Value | None = None
    for corner in itertools.product(*(_along(at, order) for at in places)):
        ids: Any = 0
        share: Value | None = None
        inside: Value | None = None
        for (number, weight), size in zip(corner, space, strict=True):
            ids = ids * size + _inside(number, size, fill_mode)
            share = weight if share is None or weight is None else share * weight
            if fill_mode == "constant":
                there = logical_and(number >= 0, number < size)
                inside = there if inside is None else logical_and(inside, there)
        found = gather_rows(table, ids)
        if inside is not None:
            found = where(expand_dims(inside, -1), found, fill_of(found.dtype, fill_value))
        found = found if share is None else found * cast(expand_dims(share, -1), found.dtype)
        result = found if result is None else result + found
    return present(result)


def _along(places: Value, order: int) -> Iterator[tuple[Value, Value | None]]:
    """Yields the elements of one axis next to places, with weights that add up to one."""
    places = clip(places, -_FAR, _FAR)
    if order == 0:  # halves go away from zero
        up = floor(absolute(places) + 0.5)
        yield cast(where(places < 0, -up, up), "int32"), None
        return
    lower = floor(places)
    after, first = places - lower, cast(lower, "int32")
    yield first, 1.0 - after
    yield first + 1, after


def _inside(numbers: Value, size: Size, fill_mode: str) -> Value:
    """Returns which elements of an axis stand for those with the given numbers, some of which lie beyond it."""
    if fill_mode == "wrap":
        return mod(numbers, size)
    if fill_mode == "reflect":
        numbers = mod(numbers, size * 2)
        return minimum(numbers, size * 2 - 1 - numbers)
    if fill_mode == "mirror":
        last = size - 1
        # An image of one element is its own mirror image.
        around = max(2 * last, 1) if isinstance(last, int) else clip(last * 2, 1, None)
        return absolute(mod(numbers + last, around) - last)
    return clip(numbers, 0, size - 1)


def grid(images: Value) -> tuple[Value, Value]:
    """Returns the columns (1, 1, width) and rows (1, height, 1) of images (batch, height, width, ...), as floats."""
    dtype = images.dtype if images.type.is_float else "float32"
    rows, columns = (arange(size_of(images, axis), dtype=dtype) for axis in (1, 2))
    return reshape(columns, (1, 1, -1)), reshape(rows, (1, -1, 1))


def project(
    images: Value, numbers: Sequence[Any], interpolation: str, fill_mode: str = "constant", fill_value: float = 0.0
) -> Value:
    """Returns images (batch, height, width, channels) seen through a map: what is at (x, y) was at (x', y').

    x' = (a x + b y + c) / k and y' = (d x + e y + f) / k, where k = g x + h y + 1.

    Args:
        images: floats, or numbers of any kind where the nearest element is taken.
        numbers: a to f, or a to h, each (batch, 1, 1).
        interpolation: "nearest" or "bilinear". fill_mode, fill_value: see `sample`.
    """
    x, y = grid(images)
    a, b, c, d, e, f, *bent = numbers
    places = [d * x + e * y + f, a * x + b * y + c]
    if bent:
        k = bent[0] * x + bent[1] * y + 1.0
        places = [at / k for at in places]
    return sample(images, places, ORDERS[interpolation], fill_mode, fill_value)
