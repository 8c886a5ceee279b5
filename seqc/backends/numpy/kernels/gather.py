"""Looking rows up and adding rows, by number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

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
    if out is None or not out.flags.c_contiguous or not len(table):
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
    """Returns a call that adds rows at the places that ids name, None where it does not know how."""
    if out.dtype not in _PAIRS or not ids.size or not out.size or not contiguous(out):
        return None
    if not contiguous(g):  # such as a gradient that is the same for all words of a sentence
        rows = scratch(g.shape, g.dtype)
        add = _adder(out, rows, ids, scratch)
        return None if add is None else in_turn(partial(np.copyto, rows, g), add)
    width = out.size // len(out)
    kind = _PAIRS[out.dtype] if width % 2 == 0 else out.dtype
    target, source = out.reshape(-1).view(kind), g.reshape(-1).view(kind)
    each = target.size // len(out)
    columns, places = np.arange(each), scratch((ids.size, each), np.int64)
    starts, index = scratch((*ids.shape, 1), np.int64), places.reshape(-1)
    rows, step = starts.reshape(-1, 1), np.int64(each)

    def run() -> None:
        np.copyto(starts, ids[..., None], casting="unsafe")
        np.multiply(rows, step, out=rows)
        np.add(rows, columns, out=places)
        np.add.at(target, index, source)

    return run
