"""Building the program of a graph for one batch size: what runs when, on which arrays."""

from __future__ import annotations

from seqc.backends.numpy.arena import Arena
from seqc.backends.numpy.buffers import Buffers
from seqc.backends.numpy.horizontal_run import HorizontalRunner
from seqc.backends.numpy.packing import Packing
from seqc.backends.numpy.program_writer import ProgramWriter
from seqc.backends.numpy.regions import Program
from seqc.backends.numpy.schedule import make_schedule
from seqc.backends.numpy.state import State
from seqc.backends.numpy.tiling import Tiling
from seqc.backends.numpy.whole_batch import WholeBatch
from seqc.graph.ir import Graph


def build_program(
    graph: Graph, batch: int, state: State, workers: int, recorded: bool = False, arena: Arena | None = None
) -> Program:
    """Returns the program of a graph.

    Args:
        graph: lowered for NumPy; its only named size is the batch.
        batch: how many samples.
        state: the inputs that outlive a run, which may be moved, and where their new numbers come from.
        workers: threads at most.
        recorded: whether to say of each call what it reads and writes, for the plan checker.
        arena: where its memory is; by default one of its own.
    """
    schedule = make_schedule(graph, batch, state.targets, workers)
    buffers, writer = Buffers(schedule), ProgramWriter()
    given = {x: buffers.output_buffer(x) for x in graph.inputs if x not in state}
    packing = Packing(schedule, buffers, state)
    held = {x: state.array(x) for x in graph.inputs if x in state}  # where packing has moved it
    buffers.arrays |= held
    whole, tiling = WholeBatch(schedule, buffers, writer), Tiling(schedule, buffers, writer)
    runner = HorizontalRunner(packing, buffers, whole, writer)
    for number in range(len(schedule.turns)):
        if number > 0:
            tiling.collect(schedule.stages[number - 1])
        for values, groups in schedule.turns[number]:
            for v in values:
                whole.add(v)
            for group in groups:
                runner.add(group)
        if number < len(schedule.stages):
            tiling.add(schedule.stages[number])
    results = [whole.result(y) for y in schedule.results]
    whole.commit(list(held))
    regions, first_change = writer.bind(buffers, list(given.values()), results, arena or Arena(), recorded)
    placed = {x: buffers.placed(array) for x, array in given.items()}
    return Program(
        graph,
        batch,
        regions,
        inputs=placed,
        first_change=first_change,
        results=[buffers.placed(y) for y in results],
        memory=buffers.memory,
        present=placed | held | {v: buffers.arrays[v] for v in buffers.constants},
        new_state=[(y, held[x]) for y, x in schedule.new_state],
    )
