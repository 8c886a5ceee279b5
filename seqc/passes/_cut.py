"""The fewest nets to cut so that two sides come apart.

A net joins any number of nodes and costs one if they do not all end on one side. In a flow network it is an edge of
capacity one that all its nodes lead into and out of (Lawler, "Cutsets and partitions of hypergraphs", 1973); the least
cut is that of the largest flow, found along shortest ways (Edmonds and Karp, 1972).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable, Sequence

Node = Hashable
_Room = dict[Node, dict[Node, float]]


def near_side(nets: Sequence[Iterable[Node]], near: Node, far: Node) -> set[Node]:
    """Returns the nodes on the side of `near` when as few nets as possible are cut; of such cuts, the nearest one.

    Args:
        nets: the nodes that each net joins.
        near: the node that one side is named after.
        far: a node that must be on the other side.
    """
    room: _Room = defaultdict(lambda: defaultdict(float))
    for i, net in enumerate(nets):
        into, out = ("into", i), ("out of", i)
        room[into][out] = 1
        for node in net:
            room[node][into] = room[out][node] = float("inf")
    while far in (came := _search(room, near)):
        at = far
        while at != near:
            before = came[at]
            room[before][at] -= 1
            room[at][before] += 1
            at = before
    return {node for net in nets for node in net if node in came}


def _search(room: _Room, near: Node) -> dict[Node, Node]:
    """Returns what can still be reached from `near`, and from where it is reached first."""
    came: dict[Node, Node] = {near: near}
    waiting = deque([near])
    while waiting:
        node = waiting.popleft()
        for after, left in room[node].items():
            if left > 0 and after not in came:
                came[after] = node
                waiting.append(after)
    return came
