"""Looking rows up and adding rows, by number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._common import contiguous
from seqc.backends.numpy.rows import AddRows
from seqc.graph.ir import Array
from seqc.ops.gather import Gather, GatherGrad

# Two real numbers side by side, which are added like one complex number.
_PAIRS: dict[Any, Any] = {np.dtype(np.float32): np.complex64, np.dtype(np.float64): np.complex128}


@kernel(Gather)
def bind_gather(op: Gather, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """The rows of a table, after a look at the ids."""
    (out,), (table, ids) = outs, xs
    if out is None or not len(table):
        return None
    if not ids.ndim:
        # Of a table that is not contiguous, `np.take` copies all for a single row.
        return in_turn(partial(op.check_range, table, ids), lambda: np.copyto(out, table[ids[()]]))
    if not out.flags.c_contiguous:
        return None

    def run() -> None:
        op.check_range(table, ids)
        # The other modes would copy to a buffer, or not count from the end.
        np.take(table, ids, axis=0, out=out, mode="wrap")

    return run


@kernel(GatherGrad)
def bind_gather_grad(
    op: GatherGrad, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Adds element by element: `np.add.at` is five times slower on rows, and twice as slow on reals as on pairs."""
    (out,), (g, ids, _) = outs, xs
    add = None if out is None else _adder(out, g, ids, scratch)
    return None if add is None or out is None else in_turn(partial(out.fill, 0), add)


@kernel(AddRows)
def bind_add_rows(op: AddRows, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """The result may be the table itself."""
    (out,), (table, rows, ids) = outs, xs
    add = None if out is None else _adder(out, rows, ids, scratch)
    if add is None or out is None:
        return None
    return add if out.ctypes.data == table.ctypes.data else in_turn(partial(np.copyto, out, table), add)


def _adder(out: Array, g: Array, ids: Array, scratch: Scratch) -> Call | None:
    """Returns a call that adds rows at the places that ids name, None where it does not know how.

    It adds some at a time, so that the numbers of their elements are still in the cache when they are read.
    """
    if out.dtype not in _PAIRS or not ids.size or not out.size or not contiguous(out):
        return None
    if not ids.ndim:
        ids, g = ids[None], g[None]
    width = out.size // len(out)
    kind = np.dtype(_PAIRS[out.dtype] if width % 2 == 0 else out.dtype)
    each = width * out.itemsize // kind.itemsize
    count = min(len(ids), max(1, machine.NUMBERED_ELEMENTS * len(ids) // (ids.size * each)))
    starts = scratch((count, *ids.shape[1:], 1), np.int64)
    places = scratch((starts.size, each), np.int64)
    # Not contiguous is, for instance, a gradient that is the same for all words of a sentence.
    rows = None if contiguous(g) else scratch((count, *g.shape[1:]), g.dtype)
    target, columns, step = out.reshape(-1).view(kind), np.arange(each), np.int64(each)
    parts = [slice(start, start + count) for start in range(0, len(ids), count)]

    def run() -> None:
        for part in parts:
            some, source = ids[part], g[part]
            if rows is not None:
                np.copyto(rows[: len(some)], source)
                source = rows[: len(some)]
            firsts, index = starts[: len(some)], places[: some.size]
            np.copyto(firsts, some[..., None], casting="unsafe")
            np.multiply(firsts, step, out=firsts)
            np.add(firsts.reshape(-1, 1), columns, out=index)
            np.add.at(target, index.reshape(-1), source.reshape(-1).view(kind))

    return run
