"""Stages: the operations that run for one tile after another, how large a tile is, and what is too heavy for tiles."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.costs import seconds_of
from seqc.backends.numpy.cut import Cut, cut_graph, live_out_values, shape_of, stage_values
from seqc.backends.numpy.memory import bytes_of
from seqc.backends.numpy.pieces import piece_count
from seqc.backends.numpy.tile_memory import TileMemory, plan_tile, summed
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
        number: of the stage. values: its operations in order. pieces: of the batch, which threads share. tile: the most
        samples of a tile, of which a piece has one or several. memory: of a tile.
    """

    number: int
    values: list[Value]
    pieces: int
    tile: int
    memory: TileMemory


def plan_stages(graph: Graph, batch: int) -> tuple[Cut, list[Stage], set[Value]]:
    """Cuts a graph into stages; returns also the values of stages that are kept for all samples.

    How large the tiles of a stage are tells which operations are too heavy for them. Without these there are other
    stages, with other tiles: it is done over until all that is left is light enough.
    """
    whole: frozenset[Value] = frozenset()
    while True:
        cut = cut_graph(graph, whole)
        live_out = live_out_values(cut, graph.outputs)
        stages = [plan_stage(cut, number, live_out, batch) for number in range(cut.stages)]
        heavy = {v for stage in stages for v in stage.values if _is_heavy(v, cut, stage.tile, batch)}
        if not heavy:
            return cut, stages, live_out
        whole |= heavy


def plan_stage(cut: Cut, number: int, live_out: Collection[Value], batch: int) -> Stage:
    """Returns a stage.

    Args:
        number: of the stage.
        live_out: what is kept for all samples.
        batch: how many samples there are.
    """
    values = stage_values(cut, number)
    trial = min(-(-batch // 2), TRIAL)
    each = max(1, plan_tile(cut, values, live_out, trial, sums=False).touched // trial)
    most = _largest_tile(values, each)
    pieces = _pieces(cut, values, batch, most)
    tiles, tile = _tiles(-(-batch // pieces), most)
    return Stage(number, values, pieces, tile, plan_tile(cut, values, live_out, tile, sums=tiles > 1))


def _largest_tile(values: Sequence[Value], each: int) -> int:
    """Returns how many samples a tile of a stage may have, of which each takes so many bytes."""
    if any(v.op.sequential for v in values):
        return max(1, machine.tile_bytes(machine.TILE_SHARE) * machine.SEQUENTIAL_SHARE // each)
    computed = [seconds_of(v, {BATCH: TRIAL}) for v in values if v.op.kind != "view"]
    wanted = round(machine.SECONDS_PER_LONG_CALL * TRIAL * len(computed) / max(sum(computed), 1e-9))
    fewest, most = (machine.tile_bytes(share) // each for share in (machine.TILE_SHARE, machine.LARGEST_TILE_SHARE))
    return max(1, fewest, min(wanted, most))


def _tiles(count: int, most: int) -> tuple[int, int]:
    """Returns how many tiles of at most so many samples a piece has, all of nearly equal size, and that size."""
    tiles = -(-count // min(count, most))
    return tiles, -(-count // tiles)


def _pieces(cut: Cut, values: Sequence[Value], batch: int, most: int) -> int:
    """Returns into how many pieces the batch is cut for a stage whose tiles have at most so many samples."""
    seconds = sum(seconds_of(v, {BATCH: batch}) for v in values)
    calls = machine.CALLS_PER_OPERATION * sum(_steps(v) for v in values)
    sums = sum(bytes_of(y.type, {}) for v in values for y in summed(cut, v))

    def overhead(pieces: int) -> float:
        # On two threads, each keeps a sum for every level of its half of the tree.
        if 2 * (pieces.bit_length() - 1) * sums > machine.PARTIAL_BYTES:
            return float("inf")
        more = pieces * _tiles(-(-batch // pieces), most)[0] - 2 * _tiles(-(-batch // 2), most)[0]
        return more * calls * machine.SECONDS_PER_CALL

    return piece_count(batch, seconds, overhead)


def _steps(v: Value) -> int:
    """Returns how many steps an operation goes through for each tile: those through time, and one for any other."""
    if not v.op.sequential:
        return 1
    shapes = [shape_of(x.type, {BATCH: 1}) for x in v.inputs if not isinstance(x.result, tuple)]
    return max((shape[1] for shape in shapes if len(shape) > 2), default=1)


def _is_heavy(v: Value, cut: Cut, tile: int, batch: int) -> bool:
    """Tells whether an operation had better be computed for all samples at once.

    It is one for which each tile would read a large matrix, or write a part of a sum as large as the result.
    """
    if batch <= tile:
        return False
    if isinstance(v.op, GatherGrad):
        return bytes_of(v.type, {BATCH: batch}) > bytes_of(v.inputs[0].type, {BATCH: batch})
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
