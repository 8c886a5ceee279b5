"""Making a tensor in another layout from the start, by re-ordering constants instead of the tensor.

A product with a constant kernel gives its columns in any order for nothing: that order is put into the kernel. So where
a Dense layer's result is reshaped to an image, it is computed channels-first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from seqc.graph import dims
from seqc.graph.ir import Constant, Value, build
from seqc.graph.layout import Layout, Merged, broadcast_layout, natural
from seqc.ops.elementwise import Elementwise
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.shape import Reshape
from seqc.passes._moves import arranged_shape, move
from seqc.passes._views import can_view, view


@dataclass(frozen=True)
class Sources:
    """What is there to make a value from: the layout that another value lies in, and that value in any layout."""

    layout: Callable[[Value], Layout]
    fetch: Callable[[Value, Layout], Value]


AS_THEY_ARE = Sources(lambda x: natural(x.type.rank), lambda x, _: x)


def absorb(value: Value, want: Layout, uses: Mapping[Value, int], sources: Sources) -> Value | None:
    """Returns `value` in the layout `want` if constants can take the re-ordering, else None.

    A value with further users is not made twice.
    """
    if isinstance(value.op, Constant):
        return move(value, value.type, natural(value.type.rank), want)
    if uses[value] > 1:
        return None
    if isinstance(value.op, Elementwise):
        return _elementwise(value, want, uses, sources)
    if isinstance(value.op, MatMul | Gemm):
        return _product(value, want, uses, sources)
    if isinstance(value.op, Reshape):
        return _split(value, want, uses, sources)
    return None


def _elementwise(value: Value, want: Layout, uses: Mapping[Value, int], sources: Sources) -> Value | None:
    operands = []
    for x in value.inputs:
        whole = x.type.shape == value.type.shape
        operand = absorb(x, want if whole else broadcast_layout(want, x.type, value.type.rank), uses, sources)
        if operand is None:
            return None
        operands.append(operand)
    return build(value.op, tuple(operands), value.scope)


def _product(value: Value, want: Layout, uses: Mapping[Value, int], sources: Sources) -> Value | None:
    """Gives x @ w (+ b) with its columns in another order: those of w and the elements of b are; its rows follow x."""
    columns = want[-1]
    if len(want) != 2 or want[0] != 0 or not isinstance(columns, Merged) or value.inputs[1].type.rank != 2:
        return None
    left, bias = sources.layout(value.inputs[0]), (replace(columns, axis=0),)
    rows = left[-1]
    if len(left) != 2 or left[0] != 0:
        return None
    kernel: Layout = (replace(rows, axis=0) if isinstance(rows, Merged) else 0, columns)
    operands = [sources.fetch(value.inputs[0], left)]
    for x, layout in zip(value.inputs[1:], (kernel, bias), strict=False):
        operand = (
            absorb(x, layout, uses, sources) if isinstance(x.op, Constant) and x.type.rank == len(layout) else None
        )
        if operand is None:
            return None
        operands.append(operand)
    return build(value.op, tuple(operands), value.scope)


def _split(value: Value, want: Layout, uses: Mapping[Value, int], sources: Sources) -> Value | None:
    """(batch, n) as (batch, a, b, ...): the n elements can come in the order in which they are wanted."""
    x = value.inputs[0]
    sizes = value.type.shape[1:]
    order = tuple(entry - 1 for entry in want[1:] if isinstance(entry, int))
    splits = x.type.rank == 2 and value.type.shape[0] == x.type.shape[0] and dims.is_known(sizes)
    if not splits or want[0] != 0 or sorted(order) != list(range(len(sizes))):
        return None
    flat = absorb(x, (0, Merged(1, order, sizes)), uses, sources)
    shape = arranged_shape(want, value.type)
    return None if flat is None or not can_view(flat.type, shape) else view(flat, shape)
