"""The memory of a tile: which arrays it needs, for how long, and where they lie in one block."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from seqc.backends.numpy.cut import Cut, read_operands, results_of, shape_of
from seqc.backends.numpy.kernel_choice import ufunc_of
from seqc.backends.numpy.lifetimes import Lifetime, plan_memory
from seqc.backends.numpy.memory import bytes_of
from seqc.graph.batch import BATCH, batch_axis
from seqc.graph.ir import Array, Item, Value


@dataclass(frozen=True)
class TileMemory:
    """The arrays of a tile.

    Attributes:
        places: where those begin that live and die in the tile. size: bytes of all of them.
        views: values that show another's memory. direct: values written at once to where all samples' are kept.
        touched: bytes that the tile's arrays take at a time, with those that are kept.
    """

    places: dict[Value, int]
    size: int
    views: frozenset[Value]
    direct: frozenset[Value]
    touched: int


def plan_tile(cut: Cut, values: list[Value], live_out: Collection[Value], count: int, sums: bool) -> TileMemory:
    """Returns the memory of a tile.

    Args:
        values: the operations of the stage in order.
        live_out: what is kept for all samples.
        count: samples of the tile.
        sums: whether its parts of sums over the batch need memory, to be added to those of other tiles.
    """
    shown = _views(values, count)
    direct = frozenset(y for v in values for y in made_in_tile(cut, v) if y in live_out and batch_axis(y.type) == 0)
    last = _last_reads(cut, values, shown)
    sizes, kept = {BATCH: count}, 0
    lifetimes: dict[Value, Lifetime] = {}
    root: dict[Value, Value] = {}  # whose place a value has; its own, or that of an operand it is written over
    for at, v in enumerate(values):
        for y in made_in_tile(cut, v):
            if y in direct:
                kept += bytes_of(y.type, sizes)
            elif y not in shown:
                over = _operand_to_overwrite(at, v, y, root, last, live_out)
                root[y] = y if over is None else root[over]
                first = at if over is None else lifetimes[root[y]].first
                lifetimes[root[y]] = Lifetime(bytes_of(y.type, sizes), first, last.get(y, at))
        if sums:
            lifetimes |= {y: Lifetime(bytes_of(y.type, {}), at, at) for y in summed(cut, v)}
    places, size = plan_memory(lifetimes)
    places |= {y: places[r] for y, r in root.items()}
    return TileMemory(places, size, frozenset(shown), direct, size + kept)


def made_in_tile(cut: Cut, v: Value) -> list[Value]:
    """Returns the values for which an operation of the stage has to find memory, if they are no views."""
    if isinstance(v.op, Item):
        return []
    if not isinstance(v.result, tuple):
        return [v] if cut.batch_rules[v] == ("parallel",) else []
    return [u for u in results_of(cut, v) if u is not None and u in cut.tiled]


def summed(cut: Cut, v: Value) -> list[Value]:
    """Returns the results of an operation that are summed over the batch."""
    if isinstance(v.op, Item):
        return []
    pairs = zip(results_of(cut, v), cut.batch_rules[v], strict=True)
    return [y for y, rule in pairs if y is not None and rule == "reduce"]


def _views(values: list[Value], count: int) -> dict[Value, Value | None]:
    """Returns the values that show another's memory, with whose that is; None for memory that is not the tile's."""
    sizes, mine = {BATCH: count}, set(values)
    arrays: dict[Value, Array] = {}  # laid out as those of the tile will be; nothing is written to them
    shown: dict[Value, Value | None] = {}
    for v in values:
        if v.op.kind != "view":
            continue
        for x in v.inputs:
            if x not in arrays:
                arrays[x] = np.empty(shape_of(x.type, sizes), x.dtype)
        result = v.op.eval(*(arrays[x] for x in v.inputs))
        x = v.inputs[0]
        if np.may_share_memory(result, arrays[x]):
            arrays[v] = result
            shown[v] = shown.get(x, x if x in mine else None)
    return shown


def _last_reads(cut: Cut, values: list[Value], shown: dict[Value, Value | None]) -> dict[Value, int]:
    """Returns where each value of a stage is read for the last time, itself or what shows it."""
    last: dict[Value, int] = {}
    for at, v in enumerate(values):
        for x in read_operands(v):
            owner = shown.get(x, x)
            if owner is not None:
                last[owner] = at
    return last


def _operand_to_overwrite(
    at: int, v: Value, y: Value, root: dict[Value, Value], last: dict[Value, int], live_out: Collection[Value]
) -> Value | None:
    """Returns an operand whose place a result can take: NumPy reads it element by element, here for the last time."""
    if v is not y or ufunc_of(v.op) is None:
        return None
    for x in v.inputs:
        alike = x.type.shape == y.type.shape and x.dtype == y.dtype
        if x in root and alike and last[x] == at and x not in live_out:
            return x
    return None
