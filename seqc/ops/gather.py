"""Looking rows up by number."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np

from seqc.errors import DTypeError, ShapeError
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Sizes, Type, Value, apply, as_value, constant
from seqc.ops._common import as_number, normalize_axis
from seqc.ops.creation import arange
from seqc.ops.elementwise import cast, equal
from seqc.ops.shape import expand_dims, reshape, transpose
from seqc.ops.sizes import as_size


class Gather(Op):
    """Rows of a table (first axis) by integer ids of any shape; negative ids count from the end."""

    kind = "lookup"

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
        return apply(GatherGrad(), g, ids, table), None

    def lower(self, e: Emitter, y: Value, table: str, ids: str) -> str | tuple[str, ...]:
        return e.node("Gather", table, ids, axis=0)


class GatherGrad(Op):
    """Adds rows of the first operand into zeros of the third's shape at the ids of the second."""

    shape_only: ClassVar[tuple[int, ...]] = (2,)

    def infer(self, g: Type, ids: Type, table: Type) -> Type:
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
        return "reduce"

    def lower(self, e: Emitter, y: Value, g: str, ids: str, table: str) -> str | tuple[str, ...]:
        blank = e.node("Expand", e.constant(np.zeros((), y.type.dtype)), e.node("Shape", table))
        rank = y.inputs[1].type.rank
        index = e.node("Unsqueeze", e.node("Cast", ids, to="int64"), e.constant(np.array([rank], np.int64)))
        return e.node("ScatterND", blank, index, g, reduction="add")


def take(x: Any, indices: Any, axis: int | None = None) -> Value:
    """Returns the sub-tensors of x at `indices` along `axis`, in place of that axis, or among all elements in order.

    Negative indices count from the end; running with one beyond the axis is an error.
    """
    value, ids = as_value(x), as_value(indices)
    ids = ids if ids.dtype.startswith(("int", "uint")) else cast(ids, "int32")
    if axis is None:
        value, axis = reshape(value, -1), 0
    rank = value.type.rank
    axis = normalize_axis("take", axis, rank)
    if axis == 0:
        return apply(Gather(), value, ids)
    rows = apply(Gather(), transpose(value, [axis, *(i for i in range(rank) if i != axis)]), ids)
    width = ids.type.rank
    before = [width + i for i in range(axis)]
    after = [width + i for i in range(axis, rank - 1)]
    return transpose(rows, [*before, *range(width), *after])


def one_hot(x: Any, num_classes: Any, axis: int = -1, dtype: Any = None) -> Value:
    """Returns a 1 (float32 by default) at position x of a new axis of size `num_classes`, 0 elsewhere; all 0 where x is
    out of range.
    """
    value = as_number(x)
    rank = value.type.rank + 1
    at = normalize_axis("one_hot", axis, rank)
    count, others = as_size(num_classes, "one_hot"), tuple(i for i in range(rank) if i != at)
    if isinstance(count, int):
        numbers = constant(np.expand_dims(np.arange(count, dtype=value.dtype), others))
    else:
        numbers = expand_dims(arange(count, dtype=value.dtype), others)
    return cast(equal(expand_dims(value, at), numbers), "float32" if dtype is None else dtype)
