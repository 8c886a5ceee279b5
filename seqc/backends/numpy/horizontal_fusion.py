"""The same element-wise arithmetic on many arrays, done once on all of them side by side.

An optimizer changes each variable by the same formula. Where the variables, their slots and their gradients lie next to
each other in memory, the formula can run over all of them as over one array, piece by piece so that intermediate
results stay in the cache, and the pieces can be shared out to threads. What belongs together is found in the graph:
element-wise operations on arrays of one shape that are connected with each other form a *chain*; chains of equal
structure form a *group*.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from seqc.backends.numpy import machine
from seqc.backends.numpy.cut import Cut, read_operands
from seqc.graph import dims
from seqc.graph.ir import Constant, Graph, Input, Type, Value
from seqc.ops.elementwise import Elementwise

# (stage before which, turn): even turns run one by one, odd ones are those of groups.
When = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Chain:
    """Connected element-wise operations on arrays of one shape.

    Attributes:
        nodes: in order. leaves: what they read that is of that shape. results: those of the nodes that others read.
    """

    nodes: tuple[Value, ...]
    leaves: tuple[Value, ...]
    results: tuple[Value, ...]

    def structure(self, outputs: Mapping[Value, int]) -> tuple[object, ...]:
        """Returns what two chains must have in common to run as one."""
        number: dict[Value, tuple[str, int]] = {x: ("leaf", i) for i, x in enumerate(self.leaves)}
        number |= {v: ("node", i) for i, v in enumerate(self.nodes)}
        nodes = [(v.op, v.dtype, tuple(number.get(x, ("scalar", id(x))) for x in v.inputs)) for v in self.nodes]
        leaves = [(x.dtype, type(x.op) if isinstance(x.op, Input | Constant) else None) for x in self.leaves]
        results = [(number[v], v in outputs) for v in self.results]
        return tuple(nodes), tuple(leaves), tuple(results)


@dataclass(frozen=True, eq=False)
class Group:
    """Chains of equal structure, and when they run."""

    chains: tuple[Chain, ...]
    when: When

    @property
    def sizes(self) -> list[int]:
        """The number of elements of each chain."""
        return [size_of(chain.nodes[0].type) for chain in self.chains]


def size_of(t: Type) -> int:
    """Returns the number of elements of a tensor of known shape."""
    return math.prod(dims.known(t.shape))


def plan_turns(cut: Cut, graph: Graph) -> tuple[dict[Value, When], list[Group]]:
    """Returns when each value that is not tiled is computed, and the groups among them, as they run."""
    fit = {v for v in cut.order if v not in cut.tiled and _fits(v)}
    when = _earliest(cut, fit)
    _delay(cut, graph, fit, when)
    outputs = {y: i for i, y in enumerate(graph.outputs)}
    grouped: dict[tuple[object, ...], list[Chain]] = {}
    for chain in _chains(cut, fit, when, outputs):
        grouped.setdefault((when[chain.nodes[0]], *chain.structure(outputs)), []).append(chain)
    groups = [Group(tuple(chains), when[chains[0].nodes[0]]) for chains in grouped.values()]
    return when, in_running_order(groups)


def in_running_order(groups: Iterable[Group]) -> list[Group]:
    """Returns groups so that each reads only what earlier ones give."""
    return sorted(groups, key=lambda group: group.when)


def _fits(v: Value) -> bool:
    """Tells whether a value can be part of a chain: element-wise, of known shape, each operand alike or a number."""
    if not isinstance(v.op, Elementwise) or isinstance(v.result, tuple) or v.type.rank == 0 or not v.type.is_static:
        return False
    return all(x.type.rank == 0 or x.type.shape == v.type.shape for x in v.inputs)


def _earliest(cut: Cut, fit: set[Value]) -> dict[Value, When]:
    when: dict[Value, When] = {}
    for v in cut.order:
        if v not in cut.ready:
            continue
        stage, turn = cut.ready[v], int(v in fit)
        if v not in cut.tiled:
            for x in read_operands(v):
                if x in when and when[x][0] == stage and not isinstance(x.op, Input | Constant):
                    turn = max(turn, when[x][1] + ((x in fit) != (v in fit)))
        when[v] = (stage, turn)
    return when


def _delay(cut: Cut, graph: Graph, fit: set[Value], when: dict[Value, When]) -> None:
    """Moves what only later chains read to them, so that it need not be kept, and small results to the end.

    There the new state of all small variables is computed at once, and not in as many calls after each stage of the
    gradient as for a large one.
    """
    kept = set(graph.outputs)
    end = max((when[v] for v in fit), default=(0, 1))
    for v in reversed(cut.order):
        users = cut.users.get(v, ())
        if v not in fit or not all(u in fit for u in users):
            continue
        if v not in kept:
            when[v] = max(when[v], min((when[u] for u in users), default=when[v]))
        elif size_of(v.type) < machine.SHARED_ELEMENTS:
            when[v] = max(when[v], min((when[u] for u in users), default=end))


def _chains(cut: Cut, fit: set[Value], when: Mapping[Value, When], outputs: Mapping[Value, int]) -> Iterable[Chain]:
    root: dict[Value, Value] = {}

    def find(v: Value) -> Value:
        while root[v] is not v:
            v = root[v]
        return v

    for v in cut.order:
        if v not in fit:
            continue
        root[v] = v
        for x in v.inputs:
            if x in fit and when[x] == when[v] and x.type.shape == v.type.shape:
                root[find(x)] = v
    members: dict[Value, list[Value]] = {}
    for v in cut.order:
        if v in fit:
            members.setdefault(find(v), []).append(v)
    for nodes in members.values():
        inside = set(nodes)
        leaves = dict.fromkeys(x for v in nodes for x in v.inputs if x not in inside and x.type.rank)
        results = [v for v in nodes if v in outputs or any(u not in inside for u in cut.users.get(v, ()))]
        yield Chain(tuple(nodes), tuple(leaves), tuple(results))
