"""Calls with a record of what they read and write, which memory is planned and the plan is checked by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from seqc.backends.numpy.kernel_choice import select_kernel, select_partial_kernel, ufunc_of
from seqc.backends.numpy.kernels import Call, Scratch, in_turn
from seqc.backends.numpy.rows import AddRows
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, Value
from seqc.ops._parts import Merged
from seqc.sure import mistake, of_kind

# What an array holds of its values:
#   "whole"     all elements of one value
#   "samples"   what belongs to the samples of `span`; of a value without a batch axis, the sum over these samples
#   "elements"  elements `span` of all values written side by side
#   "sum"       the sum over some samples, whichever they are by then
#   "part"      what is merged into the results of an operation, for the samples of `span`
Kind = Literal["whole", "samples", "elements", "sum", "part"]
Work = Literal["compute", "copy", "add", "merge"]

# Gives a call for the arrays it works on, None for results that nobody reads, and scratch memory.
Bind = Callable[[Sequence[Any], Scratch], Call]


class Access(NamedTuple):
    """An array that a call reads or writes, and what it holds."""

    array: Array
    values: tuple[Value, ...]
    kind: Kind = "whole"
    span: tuple[int, int] = (0, 0)


class PlannedCall(NamedTuple):
    """A call before its arrays have got their places.

    Attributes:
        bind: gives the call. arrays: what it works on. value: what it computes. reads, writes: what its arrays hold.
        kind: "compute" the values it writes, "copy" the one it reads, "add" the second sum it reads to the first, or
        "merge" parts. in_place: it may write over an operand, element by element.
    """

    bind: Bind
    arrays: Sequence[Array | None]
    value: Value
    reads: Sequence[Access]
    writes: Sequence[Access]
    kind: Work = "compute"
    in_place: bool = False


class Record(NamedTuple):
    """What a bound call does: see `PlannedCall`. `scratch` is memory that it uses on the way."""

    value: Value
    reads: Sequence[Access]
    writes: Sequence[Access]
    scratch: Sequence[Array] = ()
    kind: Work = "compute"
    in_place: bool = False


def computing(
    v: Value, outs: Sequence[Access | None], reads: Sequence[Access], xs: Sequence[Array], offset: int = 0
) -> PlannedCall:
    """Returns a call that computes the results of an operation.

    Args:
        v: the operation.
        outs: where each result goes, None where nobody reads it.
        reads: the operands it reads.
        xs: arrays of all operands, of which some only give a shape.
        offset: the position of the first element of the result in that of the whole batch.
    """

    def bind(arrays: Sequence[Any], scratch: Scratch) -> Call:
        return select_kernel(v.op, arrays[: len(outs)], arrays[len(outs) :], scratch, offset)

    arrays = [*(None if out is None else out.array for out in outs), *xs]
    in_place = ufunc_of(v.op) is not None or isinstance(v.op, AddRows)
    return PlannedCall(bind, arrays, v, reads, [out for out in outs if out is not None], "compute", in_place)


def multiplying(v: Value, reads: Sequence[Access], written: Access) -> PlannedCall:
    """Returns a call that computes some rows of a matrix product, of two operands and a bias where there are three."""

    def bind(arrays: Sequence[Any], _: Scratch) -> Call:
        out, a, b, *bias = arrays
        product = partial(np.matmul, a, b, out)
        return in_turn(product, partial(np.add, out, bias[0], out)) if bias else product

    return PlannedCall(bind, [written.array, *(read.array for read in reads)], v, reads, [written])


def copying(source: Access, target: Array) -> PlannedCall:
    """Returns a call that copies what an array holds."""

    def bind(arrays: Sequence[Any], _: Scratch) -> Call:
        return partial(np.copyto, *arrays)

    if source.array.shape != target.shape:
        raise mistake(f"{source.array.shape} is copied to {target.shape}")
    return PlannedCall(
        bind, [target, source.array], source.values[0], [source], [source._replace(array=target)], kind="copy"
    )


def adding(y: Value, total: Array, part: Array) -> PlannedCall:
    """Returns a call that adds a part of a sum to another."""

    def bind(arrays: Sequence[Any], _: Scratch) -> Call:
        return partial(np.add, *arrays, arrays[0])

    held = Access(total, (y,), "sum")
    return PlannedCall(bind, [total, part], y, [held, Access(part, (y,), "sum")], [held], "add", in_place=True)


def taking_part(v: Value, reads: Sequence[Access], xs: Sequence[Array], part: Access) -> PlannedCall:
    """Returns a call that computes what is kept of some samples of an operation, for `merging`."""
    op = of_kind(v.op, Merged)

    def bind(arrays: Sequence[Any], scratch: Scratch) -> Call:
        kept, *given = arrays
        return select_partial_kernel(op, kept, given, scratch)

    return PlannedCall(bind, [part.array, *xs], v, reads, [part])


def merging(v: Value, parts: Sequence[Access], counts: Sequence[int], outs: Sequence[Access | None]) -> PlannedCall:
    """Returns a call that makes the results of an operation of what was kept of all samples, `counts` of them each."""
    op = of_kind(v.op, Merged)

    def bind(arrays: Sequence[Any], _: Scratch) -> Call:
        results, kept = arrays[: len(outs)], arrays[len(outs) :]

        def run() -> None:
            for out, result in zip(results, op.merge(kept, counts), strict=True):
                if out is not None:
                    out[...] = result

        return run

    arrays = [*(None if out is None else out.array for out in outs), *(part.array for part in parts)]
    return PlannedCall(bind, arrays, v, parts, [out for out in outs if out is not None], "merge")


def reads_of(v: Value, xs: Sequence[Array], rows: tuple[int, int] | None = None) -> list[Access]:
    """Returns the accesses to the operands that an operation reads, of some samples or of all."""
    return [
        Access(array, (x,)) if rows is None or batch_axis(x.type) is None else Access(array, (x,), "samples", rows)
        for i, (x, array) in enumerate(zip(v.inputs, xs, strict=True))
        if i not in v.op.shape_only
    ]


def same_memory(a: Array, b: Array) -> bool:
    """Tells whether two arrays are the same elements in the same order."""
    return a.ctypes.data == b.ctypes.data and a.shape == b.shape and a.strides == b.strides and a.dtype == b.dtype
