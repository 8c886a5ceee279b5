"""Calls bound to arrays, each with a record of what it reads and writes: what the plan checker goes by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from seqc.backends.numpy.kernel_choice import select_kernel, ufunc_of
from seqc.backends.numpy.kernels import Call
from seqc.backends.numpy.memory import ScratchPad
from seqc.backends.numpy.rows import AddRows
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, Value

# What an array holds of its values:
#   "whole"     all elements of one value
#   "samples"   what belongs to the samples of `span`; of a value without a batch axis, the sum over these samples
#   "elements"  elements `span` of all values written side by side
#   "sum"       the sum over some samples, whichever they are by then
#   "part"      what is merged into the results of an operation, for the samples of `span`
Kind = Literal["whole", "samples", "elements", "sum", "part"]


class Access(NamedTuple):
    """An array that a call reads or writes, and what it holds."""

    array: Array
    values: tuple[Value, ...]
    kind: Kind = "whole"
    span: tuple[int, int] = (0, 0)


class BoundCall(NamedTuple):
    """A call with what it does.

    Attributes:
        call: does the work. value: what it computes. reads, writes: its arrays. scratch: memory that it uses on the
        way. kind: "compute" the values it writes, "copy" the one it reads, "add" the second sum it reads to the first,
        or "merge" parts. in_place: it may write over an operand, element by element.
    """

    call: Call
    value: Value
    reads: Sequence[Access]
    writes: Sequence[Access]
    scratch: Sequence[Array] = ()
    kind: Literal["compute", "copy", "add", "merge"] = "compute"
    in_place: bool = False


def computing(
    v: Value,
    outs: Sequence[Access | None],
    reads: Sequence[Access],
    xs: Sequence[Array],
    pad: ScratchPad,
    first: int = 0,
) -> BoundCall:
    """Returns a call that computes the results of an operation.

    Args:
        outs: where each result goes, None where nobody reads it. reads: the operands it reads. xs: arrays of all
        operands, of which some only give a shape. pad: scratch memory of the thread. first: the position of the first
        element of the result in that of the whole batch.
    """
    pad.start()
    call = select_kernel(v.op, [None if out is None else out.array for out in outs], xs, pad, first)
    in_place = ufunc_of(v.op) is not None or isinstance(v.op, AddRows)
    return BoundCall(call, v, reads, [out for out in outs if out is not None], pad.given, "compute", in_place)


def copying(source: Access, target: Array) -> BoundCall:
    """Returns a call that copies what an array holds."""
    written = source._replace(array=target)
    call = partial(np.copyto, target, source.array.reshape(target.shape))
    return BoundCall(call, source.values[0], [source], [written], kind="copy")


def adding(y: Value, total: Array, part: Array) -> BoundCall:
    """Returns a call that adds a part of a sum to another."""
    held = Access(total, (y,), "sum")
    call = partial(np.add, total, part, total)
    return BoundCall(call, y, [held, Access(part, (y,), "sum")], [held], kind="add", in_place=True)


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
