"""Which values of a graph should be computed channels-first, so that as few tensors as possible are moved.

A convolution gives its result channels-first and wants its operand so; an input, an output or a recurrent layer has its
channels last. What lies between and works either way, as an addition does, has to be put on one side; a tensor is moved
where its maker and a user lie on different sides, once for all such users. So the best sides are those of a least cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import cast

from seqc.graph.ir import Constant, Graph, Item, Type, Value
from seqc.graph.layout import Layout, LayoutRule, channels_first, natural
from seqc.graph.target import Target
from seqc.passes._cut import near_side


class Side(Enum):
    """Where the channels of a value are."""

    LAST = "last"
    FIRST = "first"

    def layout(self, rank: int) -> Layout:
        return natural(rank) if self is Side.LAST else channels_first(rank)


def choose_sides(graph: Graph, target: Target, can_make: Callable[[Value], bool]) -> dict[Value, Side]:
    """Returns the side of each value that convolutions and the like are connected with.

    Args:
        graph: the graph, in its natural layout.
        target: what it is prepared for.
        can_make: whether a value with its channels last by nature can be made channels-first without moving it.
    """
    nets: dict[Value, set[Value | Side]] = {}
    for value in graph.walk():
        made, asked = _relation(value, target)
        if isinstance(value.result, Type) and is_moved(value.type) and not isinstance(value.op, Constant):
            fixed = made is not None and not (made is Side.LAST and can_make(value))
            nets[value] = {value, made} if fixed and made is not None else {value}
        for x, side in zip(value.inputs, asked, strict=True):
            if x in nets and side is not None:
                nets[x].add(side)
    for y in graph.outputs:
        if y in nets:
            nets[y].add(Side.LAST)
    return _cut(nets)


def is_moved(x: Type) -> bool:
    """Whether channels that come first lie elsewhere in memory than channels that come last."""
    return x.rank > 2 and x.shape[-1] != 1 and any(d != 1 for d in x.shape[1:-1])


def followers(value: Value, target: Target) -> tuple[bool, ...]:
    """Returns for each operand whether it lies on the side of `value`, which then works on either."""
    return tuple(side is value for side in _relation(value, target)[1])


def _cut(nets: Mapping[Value, set[Value | Side]]) -> dict[Value, Side]:
    if not any(Side.FIRST in net for net in nets.values()):
        return {}
    near = near_side(list(nets.values()), Side.LAST, Side.FIRST)
    return {v: Side.LAST if v in near else Side.FIRST for v in _joined(nets)}


def _joined(nets: Mapping[Value, set[Value | Side]]) -> set[Value]:
    """Returns the values that nets connect with what is channels-first."""
    of: dict[Value | Side, list[set[Value | Side]]] = {}
    for net in nets.values():
        for node in net:
            of.setdefault(node, []).append(net)
    found: set[Value | Side] = {Side.LAST, Side.FIRST}
    waiting: list[Value | Side] = [Side.FIRST]
    while waiting:
        new = set().union(*of[waiting.pop()]) - found
        found |= new
        waiting += new
    return {v for v in nets if v in found}


def _relation(value: Value, target: Target) -> tuple[Side | None, list[Side | Value | None]]:
    """Returns the side on which a value is made, and the one that each operand is asked to lie on.

    None is for no side in particular; `value` itself in place of a side says that it lies where the operand does.
    """
    if isinstance(value.op, Item) or not value.inputs:
        return Side.LAST, [None] * len(value.inputs)
    here, there = _arranged(value, Side.LAST, target), _arranged(value, Side.FIRST, target)
    if here is not None and any(_asks_first(value, here)):
        return _made(value, here), [Side.FIRST if asks else None for asks in _asks_first(value, here)]
    if there is None:
        return Side.LAST, [Side.LAST] * len(value.inputs)
    low, high = _made(value, here) if here is not None else Side.LAST, _made(value, there)
    takes = _asks_first(value, there)
    if (low, high) == (Side.LAST, Side.FIRST):
        return None, [value if takes_it else None for takes_it in takes]
    if (low, high) == (Side.FIRST, Side.LAST):  # a permutation that is one or the other, as axes are read
        return None, [None] * len(value.inputs)
    if low is Side.FIRST:  # a permutation to channels-first
        return Side.FIRST, [Side.LAST] * len(value.inputs)
    if high is Side.LAST and there.op is None and is_moved(value.type):
        return Side.LAST, [Side.FIRST] * len(value.inputs)
    return high, [None] * len(value.inputs)


def _arranged(value: Value, side: Side, target: Target) -> LayoutRule | None:
    """Returns how `value` is computed if its operands of the highest rank lie on one side."""
    rank = max(x.type.rank for x in value.inputs)
    layouts = [(side if x.type.rank == rank > 2 else Side.LAST).layout(x.type.rank) for x in value.inputs]
    return target.layout_rule(value, *layouts)


def _asks_first(value: Value, rule: LayoutRule) -> list[bool]:
    return [
        x.type.rank > 2 and not isinstance(x.op, Constant) and want == channels_first(x.type.rank)
        for x, want in zip(value.inputs, rule.wants, strict=True)
    ]


def _made(value: Value, rule: LayoutRule) -> Side | None:
    """Returns on which side a result lies in memory, None for neither."""
    if isinstance(value.result, tuple):
        return Side.LAST
    gives = cast("Layout", rule.gives)
    return next(
        (side for side in Side if _order(gives, value.type) == _order(side.layout(value.type.rank), value.type)), None
    )


def _order(layout: Layout, x: Type) -> list[object]:
    """Returns what lies along the axes that have more than one element."""
    return [entry for entry in layout if entry is not None and (not isinstance(entry, int) or x.shape[entry] != 1)]
