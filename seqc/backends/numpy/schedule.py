"""The schedule of a graph: what runs when, on how many samples. Nothing here knows where anything lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from seqc.backends.numpy.cut import Cut, is_remade
from seqc.backends.numpy.horizontal_fusion import Group, When, plan_turns
from seqc.backends.numpy.stage import Stage, plan_stages
from seqc.graph.batch import BATCH
from seqc.graph.ir import Constant, Graph, Input, Item, Value

NEVER = (-1.0, -1.0)
AT_THE_END = (float("inf"), 0.0)


@dataclass(frozen=True, eq=False)
class Schedule:
    """What runs when.

    Before each stage, values for all samples are computed and groups of chains run, in turns; then the stage runs, tile
    by tile. What its tiles have summed is added up before the turns of the next.

    Attributes:
        graph: what is computed. batch: how many samples. workers: threads at most; who does what follows from their
        number, and no result does.
        cut: which values are computed tile by tile. stages: of these. live_out: what of them is kept for all samples.
        when: in which turn each other value is computed. groups: of chains, in running order.
        results: the outputs that are given back. new_state: the others, each with the input whose place it takes.
    """

    graph: Graph
    batch: int
    workers: int
    cut: Cut
    stages: Sequence[Stage]
    live_out: set[Value]
    when: dict[Value, When]
    groups: Sequence[Group]
    results: Sequence[Value]
    new_state: Sequence[tuple[Value, Value]]

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes of named axes."""
        return {BATCH: self.batch}

    @cached_property
    def targets(self) -> dict[Value, Value]:
        """The input whose place each new state takes; one of them where it takes several."""
        return dict(self.new_state)

    @cached_property
    def places_taken(self) -> Counter[Value]:
        """How many new states take the place of an input."""
        return Counter(owner for _, owner in self.new_state)

    @cached_property
    def _read_at_the_end(self) -> set[Value]:
        """What is given back or copied to another's place when all else is done."""
        return {*self.results, *(y for y, owner in self.new_state if owner is not y)}

    @cached_property
    def turns(self) -> list[list[tuple[list[Value], list[Group]]]]:
        """The turns before each stage and after the last, in order: the values to compute and the groups to run."""
        turns: dict[When, tuple[list[Value], list[Group]]] = {}
        for group in self.groups:
            turns.setdefault(group.when, ([], []))[1].append(group)
        grouped = {v for group in self.groups for chain in group.chains for v in chain.nodes}
        for v, when in self.when.items():
            if v not in self.cut.tiled and v not in grouped and not isinstance(v.op, Input | Constant | Item):
                turns.setdefault(when, ([], []))[0].append(v)
        before: list[list[tuple[list[Value], list[Group]]]] = [[] for _ in range(self.cut.stages + 1)]
        for when in sorted(turns):
            before[when[0]].append(turns[when])
        return before

    def last_read(self, x: Value, inside: Iterable[Value]) -> tuple[float, float]:
        """Returns in which turn a value's numbers are read for the last time by anything but `inside`."""
        if x in self._read_at_the_end:
            return AT_THE_END
        skipped = set(inside)
        latest = NEVER
        for u in self.cut.users.get(x, ()):
            if u not in skipped:
                latest = max(latest, self._time(u))
                if is_remade(u):
                    latest = max(latest, self.last_read(u, skipped))
        return latest

    def _time(self, v: Value) -> tuple[float, float]:
        """Returns when a value is computed; in a stage, that is after all turns before it."""
        return (self.cut.tiled[v], float("inf")) if v in self.cut.tiled else self.when.get(v, (0, 0))


def make_schedule(graph: Graph, batch: int, targets: Sequence[Value], workers: int) -> Schedule:
    """Returns the schedule of a graph.

    Args:
        graph: lowered for NumPy; its only named size is the batch.
        batch: how many samples.
        targets: for each of the last outputs the input whose new state it is; outputs before these are results.
        workers: threads at most.
    """
    cut, stages, live_out = plan_stages(graph, batch)
    when, groups = plan_turns(cut, graph)
    count = len(graph.outputs) - len(targets)
    new_state = tuple(zip(graph.outputs[count:], targets, strict=True))
    return Schedule(graph, batch, workers, cut, stages, live_out, when, groups, graph.outputs[:count], new_state)
