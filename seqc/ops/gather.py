"""Looking rows up by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import numpy as np

from seqc.errors import ConfigError, DTypeError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.equal_sizes import check_equal
from seqc.graph.ir import Array, BatchRule, Constant, Emitter, Op, Sizes, Type, Value, apply, as_value, constant
from seqc.graph.strings import STRING
from seqc.ops._common import as_ids, as_number, as_tensor, check_axes, check_unused, normalize_axis
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, equal
from seqc.ops.reduce import is_empty, max, sum
from seqc.ops.shape import expand_dims, reshape, squeeze, transpose
from seqc.ops.sizes import as_size, broadcast_sizes, size_of
from seqc.ops.slicing import Slice, SliceGrad, slice_axis


class Gather(Op):
    """Rows of a table (first axis) by integer ids of any shape; negative ids count from the end."""

    kind = "lookup"
    moves_strings = True

    def infer(self, table: Type, ids: Type) -> Type:
        if not ids.dtype.startswith(("int", "uint")):
            raise DTypeError(f"Gather needs integer ids; got {ids}.")
        if table.rank < 1:
            raise ShapeError(f"Gather needs a table of rows; got {table}.")
        return table.with_shape((*ids.shape, *table.shape[1:]))

    def eval(self, table: Array, ids: Array) -> Any:
        self.check_range(table, ids)
        return table[ids]

    def check_range(self, table: Array, ids: Array) -> None:
        """Raises ShapeError where an id is beyond the table."""
        if ids.size and not (-len(table) <= ids.min() and ids.max() < len(table)):
            raise ShapeError(
                f"Gather: ids must lie in [0, {len(table)}) for a table of {len(table)} rows; "
                f"got values from {ids.min()} to {ids.max()}."
            )

    def vjp(self, g: Value, y: Value, table: Value, ids: Value) -> Sequence[Value | None]:
        row = _fixed_row(table, ids)
        if row is not None:
            return apply(SliceGrad(Slice((0,), (row,), (row + 1,), (1,))), expand_dims(g, 0), table), None
        return apply(GatherGrad(), g, ids, table), None

    def batch_rule(self, y: Value) -> BatchRule:
        table, ids = (batch_axis(x.type) for x in y.inputs)
        return "whole" if table == 0 or None not in (table, ids) else "parallel"

    def lower(self, e: Emitter, y: Value, table: str, ids: str) -> str | tuple[str, ...]:
        if y.dtype != STRING or y.inputs[0].type.rank == 1:
            return e.node("Gather", table, _places(e, y.inputs[1], ids), axis=0)
        # Of rows of strings onnxruntime's Gather gives the first string alone (1.32).
        ids = ids if y.inputs[1].dtype == "int64" else e.node("Cast", ids, to="int64")
        return e.node("GatherND", table, e.node("Unsqueeze", ids, e.constant(np.array([-1], np.int64))))


def _fixed_row(table: Value, ids: Value, axis: int = 0) -> int | None:
    """Returns which row of a table is read, counted from its start, where it is a single one that is known."""
    size = table.type.shape[axis]
    if ids.type.rank or not isinstance(ids.op, Constant) or not isinstance(size, int):
        return None
    row = int(ids.op.array)
    return row % size if -size <= row < size else None


def _places(e: Emitter, ids: Value, name: str) -> str:
    """Returns ids as the integers that ONNX takes."""
    return name if ids.dtype in ("int32", "int64") else e.node("Cast", name, to="int64")


class GatherGrad(Op):
    """Adds rows of the first operand into zeros of the third's shape at the ids of the second."""

    shape_only: ClassVar[tuple[int, ...]] = (2,)

    def infer(self, g: Type, ids: Type, table: Type) -> Type:
        if g.shape != (*ids.shape, *table.shape[1:]):
            raise ShapeError(f"GatherGrad of ids {ids} into {table} needs a row per id; got {g}.")
        return table.with_dtype(g.dtype)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def eval(self, g: Array, ids: Array, table: Array) -> Any:
        result = np.zeros(table.shape, g.dtype)
        np.add.at(result, ids.reshape(-1), g.reshape(-1, *table.shape[1:]))
        return result

    def vjp(self, g: Value, y: Value, upstream: Value, ids: Value, table: Value) -> Sequence[Value | None]:
        return apply(Gather(), g, ids), None, None

    def batch_rule(self, y: Value) -> BatchRule:
        if batch_axis(y.type) is None:
            return "reduce"
        return "whole" if batch_axis(y.type) == 0 or batch_axis(y.inputs[1].type) is not None else "parallel"

    def lower(self, e: Emitter, y: Value, g: str, ids: str, table: str) -> str | tuple[str, ...]:
        blank = e.node("Expand", e.constant(np.zeros((), y.type.dtype)), e.node("Shape", table))
        rank = y.inputs[1].type.rank
        index = e.node("Unsqueeze", e.node("Cast", ids, to="int64"), e.constant(np.array([rank], np.int64)))
        return e.node("ScatterND", blank, index, g, reduction="add")


@dataclass(frozen=True, repr=False, eq=False)
class GatherElements(Op):
    """Of each line along an axis the elements at the positions in that line of the second operand.

    Both operands have the same other axes; negative positions count from the end.
    """

    kind = "lookup"
    axis: int

    def infer(self, x: Type, ids: Type) -> Type:
        if not ids.dtype.startswith(("int", "uint")):
            raise DTypeError(f"GatherElements needs integer positions; got {ids}.")
        check_axes(self, (self.axis,), x)
        message = f"GatherElements along axis {self.axis} needs equal other axes; got {x} and {ids}."
        if x.rank != ids.rank:
            raise ShapeError(message)
        one, two = (t.shape[: self.axis] + t.shape[self.axis + 1 :] for t in (x, ids))
        check_equal(one, two, message)
        return x.with_shape(ids.shape)

    def eval(self, x: Array, ids: Array) -> Any:
        size = x.shape[self.axis]
        if ids.size and not (-size <= ids.min() and ids.max() < size):
            raise ShapeError(
                f"GatherElements: positions along an axis of size {size} must lie in [{-size}, {size}); "
                f"got values from {ids.min()} to {ids.max()}."
            )
        return np.take_along_axis(x, ids, self.axis)

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel" if batch_axis(y.inputs[0].type) not in (None, self.axis) else "whole"

    def vjp(self, g: Value, y: Value, x: Value, ids: Value) -> Sequence[Value | None]:
        return apply(GatherElementsGrad(self.axis), g, ids, x), None

    def lower(self, e: Emitter, y: Value, x: str, ids: str) -> str | tuple[str, ...]:
        return e.node("GatherElements", x, _places(e, y.inputs[1], ids), axis=self.axis)


@dataclass(frozen=True, repr=False, eq=False)
class GatherElementsGrad(Op):
    """Zeros of the third operand's shape to which the first is added at the positions in the second, along an axis."""

    axis: int
    shape_only: ClassVar[tuple[int, ...]] = (2,)

    def infer(self, g: Type, ids: Type, x: Type) -> Type:
        return x.with_dtype(g.dtype)

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return prod(inputs[0])

    def eval(self, g: Array, ids: Array, x: Array) -> Any:
        result = np.zeros(x.shape, g.dtype)
        places = list(np.ogrid[tuple(map(slice, ids.shape))])
        places[self.axis] = ids
        np.add.at(result, tuple(places), g)
        return result

    def batch_rule(self, y: Value) -> BatchRule:
        return "parallel" if batch_axis(y.inputs[2].type) not in (None, self.axis) else "whole"

    def vjp(self, g: Value, y: Value, upstream: Value, ids: Value, x: Value) -> Sequence[Value | None]:
        return apply(GatherElements(self.axis), g, ids), None, None

    def lower(self, e: Emitter, y: Value, g: str, ids: str, x: str) -> str | tuple[str, ...]:
        blank = e.node("Expand", e.constant(np.zeros((), y.type.dtype)), e.node("Shape", x))
        return e.node("ScatterElements", blank, ids, g, axis=self.axis, reduction="add")


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Value:
    """Returns of each line along `axis` the elements at the positions in that line of `indices`.

    Other axes broadcast. Negative positions count from the end; running with one beyond the axis is an error.

    Args:
        x: a tensor. indices: integers of as many axes. axis: None for all elements in order.
    """
    value, ids = as_value(x), as_value(indices)
    if axis is None:
        value, axis = reshape(value, -1), 0
    at = normalize_axis("take_along_axis", axis, value.type.rank)
    if ids.type.rank != value.type.rank:
        raise ShapeError(f"take_along_axis needs as many axes of indices as of x; got {value.type} and {ids.type}.")
    sizes = [size_of(ids if d == 1 else value, i) for i, d in enumerate(value.type.shape)]
    value, ids = (broadcast_sizes(v, [*sizes[:at], size_of(v, at), *sizes[at + 1 :]]) for v in (value, ids))
    # Narrower positions are none to ONNX.
    return apply(GatherElements(at), value, ids if ids.dtype in ("int32", "int64") else cast(ids, "int64"))


def take(x: Any, indices: Any, axis: int | None = None) -> Value:
    """Returns the sub-tensors of x at `indices` along `axis`, in place of that axis, or among all elements in order.

    Negative indices count from the end; running with one beyond the axis is an error.
    """
    value, ids = as_tensor(x), as_value(indices)
    ids = ids if ids.dtype.startswith(("int", "uint")) else cast(ids, "int32")
    if axis is None:
        value, axis = reshape(value, -1), 0
    rank = value.type.rank
    axis = normalize_axis("take", axis, rank)
    if axis == 0:
        return apply(Gather(), value, ids)
    row = _fixed_row(value, ids, axis)
    if row is not None:
        return squeeze(slice_axis(value, axis, row, row + 1), axis)
    rows = apply(Gather(), transpose(value, [axis, *(i for i in range(rank) if i != axis)]), ids)
    width = ids.type.rank
    before = [width + i for i in range(axis)]
    after = [width + i for i in range(axis, rank - 1)]
    return transpose(rows, [*before, *range(width), *after])


def one_hot(x: Any, num_classes: int | Value, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Value:
    """Returns a 1 (float32 by default) at position x of a new axis of size `num_classes`, 0 elsewhere.

    All are 0 where x is out of range. `sparse` can only be false.
    """
    check_unused("one_hot", sparse=sparse)
    value = as_number(x)
    rank = value.type.rank + 1
    at = normalize_axis("one_hot", axis, rank)
    count, others = as_size(num_classes, "one_hot"), tuple(i for i in range(rank) if i != at)
    if value.type.is_float or not (isinstance(count, int) and count - 1 <= np.iinfo(value.dtype).max):
        value = as_ids(value)
    if isinstance(count, int):
        numbers = constant(np.expand_dims(np.arange(count, dtype=value.dtype), others))
    else:
        numbers = expand_dims(arange(count, dtype=value.dtype), others)
    return cast(equal(expand_dims(value, at), numbers), "float32" if dtype is None else dtype)


def multi_hot(
    inputs: Any,
    num_classes: int | Value | None = None,
    axis: int = -1,
    dtype: Any = None,
    sparse: bool = False,
    **kwargs: Any,
) -> Value:
    """Returns a 1 (float32 by default) at each position in a sample of a new axis of size `num_classes`, 0 elsewhere.

    Args:
        inputs: integers (samples, positions, ...), or those of one sample. num_classes: a number, or a size as
        `ops.shape` gives it; `num_tokens` is its older name. axis: where the new axis is, before the axis of positions
        goes. dtype: of the result. sparse: can only be false.
    """
    check_unused("multi_hot", sparse=sparse)
    count = kwargs.pop("num_tokens", None) if num_classes is None else num_classes
    if kwargs or count is None:
        raise ConfigError(f"multi_hot needs num_classes, and takes no argument {sorted(kwargs)}.")
    positions = cast(inputs, "int32")
    vectors, along = one_hot(positions, count, axis, dtype), 1 if positions.type.rank > 1 else 0
    # Of no positions there is no largest, and nothing is there.
    return sum(vectors, along) if is_empty(vectors, along) else max(vectors, along)
