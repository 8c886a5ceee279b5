"""Stages: the operations that run for one tile after another, how large a tile is, and what is too heavy for tiles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.costs import seconds_of
from seqc.backends.numpy.cut import Cut, cut_graph, live_out_values, shape_of, stage_values
from seqc.backends.numpy.memory import bytes_of
from seqc.backends.numpy.tile_memory import TileMemory, plan_tile
from seqc.graph.batch import BATCH, batch_axis
from seqc.graph.ir import Graph, Value
from seqc.ops.gather import GatherGrad
from seqc.ops.linalg import Gemm, MatMul

# A tile of so many samples is planned to see how much memory each takes.
TRIAL = 4


@dataclass(frozen=True, eq=False)
class Stage:
    """The operations of a stage.

    Attributes:
        number: of the stage. values: its operations in order. tile: the most samples of a tile. workers: threads that
        share the tiles. memory: of a tile.
    """

    number: int
    values: list[Value]
    tile: int
    workers: int
    memory: TileMemory


def plan_stages(graph: Graph, batch: int, workers: int) -> tuple[Cut, list[Stage], set[Value]]:
    """Cuts a graph into stages; returns also the values of stages that are kept for all samples.

    How large the tiles of a stage are tells which operations are too heavy for them. Without these there are other
    stages, with other tiles: it is done over until all that is left is light enough.
    """
    whole: frozenset[Value] = frozenset()
    while True:
        cut = cut_graph(graph, whole)
        live_out = live_out_values(cut, graph.outputs)
        stages = [plan_stage(cut, number, live_out, batch, workers) for number in range(cut.stages)]
        heavy = {v for stage in stages for v in stage.values if _is_heavy(v, cut, stage.tile, batch)}
        if not heavy:
            return cut, stages, live_out
        whole |= heavy


def plan_stage(cut: Cut, number: int, live_out: Collection[Value], batch: int, workers: int) -> Stage:
    """Returns a stage.

    Args:
        number: of the stage.
        live_out: what is kept for all samples.
        batch: how many samples there are.
        workers: threads at most.
    """
    values = stage_values(cut, number)
    cache = machine.tile_bytes(workers) * (machine.SEQUENTIAL_SHARE if any(v.op.sequential for v in values) else 1)
    seconds = sum(seconds_of(v, {BATCH: batch}) for v in values)
    workers = min(workers, batch) if machine.worth_sharing(seconds, workers) else 1
    most = -(-batch // workers)
    trial = min(most, TRIAL)
    each = max(1, plan_tile(cut, values, live_out, trial, sums=False).touched // trial)
    tiles = -(-most // max(1, min(most, cache // each)))
    tile = -(-most // tiles)  # all of nearly equal size
    return Stage(number, values, tile, workers, plan_tile(cut, values, live_out, tile, sums=tiles > 1))


def _is_heavy(v: Value, cut: Cut, tile: int, batch: int) -> bool:
    """Tells whether an operation had better be computed for all samples at once.

    It is one for which each tile would read a large matrix, or write a part of a sum as large as the result.
    """
    if batch <= tile:
        return False
    if isinstance(v.op, GatherGrad):
        return bytes_of(v.type, {BATCH: batch}) > 2 * bytes_of(v.inputs[0].type, {BATCH: batch})
    if not isinstance(v.op, MatMul | Gemm):
        return False
    if cut.batch_rules[v] == ("reduce",):
        rows = shape_of(v.inputs[0].type, {BATCH: tile})[-1]
        return rows <= machine.FEW_ROWS and bytes_of(v.type, {}) >= machine.large_sum_bytes()
    matrix = v.inputs[1].type
    if batch_axis(matrix) is not None or matrix.rank != 2 or batch_axis(v.type) != 0:
        return False
    rows = int(np.prod(shape_of(v.type, {BATCH: tile})[:-1]))
    return rows < machine.FEW_ROWS // 2 and bytes_of(matrix, {}) >= machine.large_matrix_bytes()
