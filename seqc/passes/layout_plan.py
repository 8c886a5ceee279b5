"""Choosing the order of axes that a target is fastest with.

The IR is channels-last, ONNX's convolutions are channels-first. What works either way is put on the side where
the fewest tensors are moved (passes/_sides.py). Then the plan walks the graph once, forwards: each value gets a layout,
each op, or the target in its place, says which layouts it wants and gives (`Op.layout_rule`, `Target.forms`), and a
tensor is moved only where what it has and what is wanted differ. Nothing is repaired afterwards.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from typing import cast

from seqc.errors import ExportError
from seqc.graph.ir import Graph, Item, Op, Type, Value, build
from seqc.graph.layout import Layout, channels_first, natural
from seqc.graph.target import Target
from seqc.ops.shape import Transpose
from seqc.passes._absorption import AS_THEY_ARE, Sources, absorb
from seqc.passes._moves import arranged_shape, move
from seqc.passes._rewriting import count_uses
from seqc.passes._sides import Side, choose_sides, followers


def plan_layout(graph: Graph, target: Target) -> Graph:
    """Returns the graph with every op working in the layout that suits the target; inputs and outputs keep theirs.

    Exactly: move(f(x)) = g(move(x)), where g is f with its axes numbered as the move orders them; moves that undo
    one another are none, move(back(x)) = x.
    """
    if target.layout == "channels_last":
        return graph
    plan = _Plan(graph, target)
    for value in graph.walk():
        plan.place(value)
    outputs = tuple(plan.fetch(y, natural(y.type.rank)) for y in graph.outputs)
    return Graph(graph.inputs, outputs, graph.output_names)


class _Plan:
    """Where each natural value is found: the arranged value and its layout, and the moves made of it so far."""

    def __init__(self, graph: Graph, target: Target) -> None:
        self._target = target
        self._uses = count_uses(graph)
        self._sides = choose_sides(graph, target, lambda value: self._made_first(value, AS_THEY_ARE) is not None)
        self._sources = Sources(lambda x: self._layouts[x][0], self.fetch)
        self._placed: dict[Value, Value] = {}
        self._layouts: dict[Value, tuple[Layout, ...]] = {}
        self._moves: dict[tuple[Value, Layout], Value] = {}

    def place(self, old: Value) -> None:
        if isinstance(old.op, Item):
            self._keep(old, build(old.op, (self._placed[old.inputs[0]],), old.scope), self._item_layout(old))
            return
        rule = self._target.layout_rule(old, *self._operand_layouts(old)) if old.inputs else None
        if rule is None:
            if self._sides.get(old) is Side.FIRST and (made := self._made_first(old, self._sources)) is not None:
                self._keep(old, made, (channels_first(old.type.rank),))
                return
            operands = [self.fetch(x, natural(x.type.rank)) for x in old.inputs]
            self._keep(old, _rebuilt(old, old.op, operands), tuple(natural(t.rank) for t in _results(old)))
            return
        operands = [self.fetch(x, want) for x, want in zip(old.inputs, rule.wants, strict=True)]
        gives = rule.gives if isinstance(old.result, tuple) else (rule.gives,)
        new = operands[0] if rule.op is None else _rebuilt(old, rule.op, operands)
        self._keep(old, new, cast("tuple[Layout, ...]", gives))

    def fetch(self, old: Value, want: Layout) -> Value:
        """Returns the arranged value of `old`, moved to the layout `want`."""
        key = (old, want)
        if key not in self._moves:
            moved = move(self._placed[old], old.type, self._layouts[old][0], want)
            if _moves_elements(moved, self._placed[old]):
                absorbed = absorb(old, want, self._uses, self._sources)
                moved = moved if absorbed is None else absorbed
            self._moves[key] = moved
        return self._moves[key]

    def _operand_layouts(self, old: Value) -> list[Layout]:
        """Returns how the operands of a value are taken to lie: on its own side where it follows them."""
        layouts = [self._layouts[x][0] for x in old.inputs]
        side = self._sides.get(old)
        if side is None:
            return layouts
        return [
            side.layout(x.type.rank) if follows and _is_plain(layout, x.type.rank) else layout
            for x, layout, follows in zip(old.inputs, layouts, followers(old, self._target), strict=True)
        ]

    def _made_first(self, old: Value, sources: Sources) -> Value | None:
        """Returns a value made channels-first from the start, if constants can take the re-ordering."""
        return absorb(old, channels_first(old.type.rank), ChainMap({old: 1}, self._uses), sources)

    def _item_layout(self, item: Value) -> tuple[Layout, ...]:
        return (self._layouts[item.inputs[0]][cast(Item, item.op).index],)

    def _keep(self, old: Value, new: Value, layouts: tuple[Layout, ...]) -> None:
        for natural_type, arranged, layout in zip(_results(old), _results(new), layouts, strict=True):
            if arranged.shape != arranged_shape(layout, natural_type):
                raise ExportError(
                    f"{old.op!r} on {', '.join(str(x.result) for x in old.inputs)} says it gives {natural_type} as"
                    f" {layout}, and gives {arranged}. Its `layout_rule` is wrong."
                )
        self._placed[old], self._layouts[old] = new, layouts


def _is_plain(layout: Layout, rank: int) -> bool:
    return any(layout == side.layout(rank) for side in Side)


def _moves_elements(moved: Value, source: Value) -> bool:
    return moved is not source and (
        isinstance(moved.op, Transpose) or any(_moves_elements(x, source) for x in moved.inputs)
    )


def _results(value: Value) -> tuple[Type, ...]:
    return value.result if isinstance(value.result, tuple) else (value.result,)


def _rebuilt(old: Value, op: Op, operands: Sequence[Value]) -> Value:
    if op is old.op and all(a is b for a, b in zip(operands, old.inputs, strict=True)):
        return old
    return build(op, tuple(operands), old.scope)
