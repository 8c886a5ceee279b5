"""One stage: the operations that run for one tile after another, and where a tile's arrays lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.costs import seconds_of
from seqc.backends.numpy.cut import Cut, cut_graph, read_operands, shape_of, stage_values, stored_values
from seqc.backends.numpy.kernel_choice import ufunc_of
from seqc.backends.numpy.memory import Places, bytes_of
from seqc.graph.batch import BATCH, batch_axis
from seqc.graph.ir import Array, Graph, Item, Value
from seqc.ops.gather import GatherGrad
from seqc.ops.linalg import Gemm, MatMul


@dataclass(eq=False)
class Stage:
    """The operations of a stage and the memory of a tile.

    Attributes:
        number: of the stage. values: its operations in order. tile: the most samples of a tile. places: where the
        arrays begin that live and die in the stage; size: bytes of all of them. workers: threads that share the tiles.
        views: values that show another's memory. direct: values written at once to where all samples' are kept.
    """

    number: int
    values: list[Value]
    tile: int = 1
    places: dict[Value, int] = field(default_factory=dict)
    size: int = 0
    workers: int = 1
    views: set[Value] = field(default_factory=set)
    direct: set[Value] = field(default_factory=set)


def plan_stages(graph: Graph, batch: int, workers: int) -> tuple[Cut, list[Stage], dict[Value, int]]:
    """Cuts a graph and plans its stages; returns also what is kept for all samples, with the last stage to read it.

    Products with large matrices are taken out of stages whose tiles are too small for them.
    """
    whole: frozenset[Value] = frozenset()
    while True:
        cut = cut_graph(graph, whole)
        stored = stored_values(cut, graph.outputs)
        plans = [plan_stage(cut, n, stored, batch, workers, machine.tile_bytes(workers)) for n in range(cut.stages)]
        heavy = {v for plan in plans for v in plan.values if _is_heavy(v, cut, plan.tile, batch)}
        if not heavy:
            return cut, plans, stored
        whole |= heavy


def _is_heavy(v: Value, cut: Cut, tile: int, batch: int) -> bool:
    """Tells whether a product, or what is added to a table, had better be computed for all samples at once.

    Each tile would read the whole matrix, or write a part of the sum as large as the result.
    """
    if isinstance(v.op, GatherGrad):
        return batch > tile and bytes_of(v.type, {}) > 2 * bytes_of(v.inputs[0].type, {BATCH: batch})
    if not isinstance(v.op, MatMul | Gemm) or batch <= tile:
        return False
    if cut.batch_rules[v] == ("reduce",):
        rows = shape_of(v.inputs[0].type, {BATCH: tile})[-1]
        return rows <= machine.FEW_ROWS and bytes_of(v.type, {}) >= machine.large_sum_bytes()
    matrix = v.inputs[1].type
    if batch_axis(matrix) is not None or matrix.rank != 2 or batch_axis(v.type) != 0:
        return False
    rows = int(np.prod(shape_of(v.type, {BATCH: tile})[:-1]))
    return rows < machine.FEW_ROWS // 2 and bytes_of(matrix, {}) >= machine.large_matrix_bytes()


def plan_stage(cut: Cut, number: int, stored: Mapping[Value, int], batch: int, workers: int, cache: int) -> Stage:
    """Returns the plan of a stage.

    Args:
        stored: what is kept for all samples. batch: their number. workers: threads at most. cache: bytes that a tile's
        arrays may take.
    """
    values = stage_values(cut, number)
    seconds = sum(seconds_of(v, {BATCH: batch}) for v in values)
    workers = min(workers, batch) if machine.worth_sharing(seconds, workers) else 1
    most = -(-batch // workers)
    trial = BufferPlan(cut, values, stored, min(most, 4)).place()
    each = max(1, trial.touched // min(most, 4))
    room = cache * (machine.SEQUENTIAL_SHARE if any(v.op.sequential for v in values) else 1)
    tile = int(min(most, max(1, room // each)))
    tile = -(-most // -(-most // tile))  # tiles of equal size
    layout = BufferPlan(cut, values, stored, tile).place()
    return Stage(number, values, tile, layout.places, layout.memory.size, workers, layout.views, layout.direct)


class BufferPlan:
    """Finds places for the arrays of a tile of `count` samples."""

    def __init__(self, cut: Cut, values: list[Value], stored: Mapping[Value, int], count: int) -> None:
        self.cut, self.values, self.stored = cut, values, stored
        self.sizes = {BATCH: count}
        self.memory = Places()
        self.places: dict[Value, int] = {}
        self.views: set[Value] = set()
        self.direct = {v for v in stored if batch_axis(v.type) == 0}
        self.base: dict[Value, Value | None] = {}  # whose memory a value shows; None for memory of others
        self._dummies: dict[Value, Array] = {}
        self._last: dict[Value, int] = {}
        self._taken: set[Value] = set()  # whose place a result has taken over
        self.kept = 0

    @property
    def touched(self) -> int:
        """Bytes that the tile's arrays take at a time, with those that are kept."""
        return self.memory.size + self.kept

    def place(self) -> BufferPlan:
        """Finds all places."""
        self._find_views()
        self._find_last_uses()
        ends: dict[int, list[Value]] = {}
        for v, at in self._last.items():
            ends.setdefault(at, []).append(v)
        for at, v in enumerate(self.values):
            for y in self.results(v):
                self._place_result(at, v, y)
            for dead in ends.get(at, ()):
                if dead in self.places and dead not in self._taken:
                    self.memory.give(self.places[dead], bytes_of(dead.type, self.sizes))
        return self

    def results(self, v: Value) -> list[Value]:
        """Returns the values that an operation of the stage has to find memory for."""
        if isinstance(v.op, Item):
            return []
        if not isinstance(v.result, tuple):
            return [v] if self.cut.batch_rules[v] == ("parallel",) else []
        return [u for u in self.cut.users.get(v, ()) if isinstance(u.op, Item) and u in self.cut.tiled]

    def _find_views(self) -> None:
        for v in self.values:
            self.base[v] = v
            if v.op.kind == "view":
                dummies = [self._dummy(x) for x in v.inputs]
                shown = v.op.eval(*dummies)
                if np.may_share_memory(shown, dummies[0]):
                    self.views.add(v)
                    self.base[v] = self.base.get(v.inputs[0])
                    self._dummies[v] = shown

    def _dummy(self, x: Value) -> Array:
        """Returns an array laid out as that of a value will be; nothing is written to it."""
        if x not in self._dummies:
            self._dummies[x] = np.empty(shape_of(x.type, self.sizes), x.dtype)
        return self._dummies[x]

    def _find_last_uses(self) -> None:
        for at, v in enumerate(self.values):
            for y in self.results(v):
                if y not in self.views:
                    self._last[y] = at
            for x in read_operands(v):
                owner = self.base.get(x)
                if owner is not None:
                    self._last[owner] = at

    def _place_result(self, at: int, v: Value, y: Value) -> None:
        if y in self.views:
            return
        if y in self.direct:
            self.kept += bytes_of(y.type, self.sizes)
            return
        reused = self._over(at, v, y)
        if reused is not None:
            self.places[y] = self.places[reused]
            self._taken.add(reused)
        else:
            self.places[y] = self.memory.take(bytes_of(y.type, self.sizes))

    def _over(self, at: int, v: Value, y: Value) -> Value | None:
        """Returns an operand whose place the result can take, because it is read here for the last time."""
        if v is not y or ufunc_of(v.op) is None:
            return None
        for x in v.inputs:
            fits = x in self.places and self.base.get(x) is x and x.type.shape == y.type.shape and x.dtype == y.dtype
            if fits and self._last[x] == at and x not in self._taken and x not in self.stored:
                return x
        return None
