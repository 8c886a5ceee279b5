"""Where a graph can be cut along the batch: what runs tile by tile, and what has to wait for all samples.

A *tile* is a run of consecutive samples. Operations that treat every sample for itself run tile by tile, one after the
other while a tile's arrays are still in the processor's cache; sums over the batch, such as weight gradients, collect a
part per tile. Whatever needs such a sum waits for the end of the stage: stages follow each other, and everything in a
stage runs for one tile before the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from seqc.backends.numpy.patches import Patches
from seqc.graph import dims
from seqc.graph.batch import BATCH, batch_axis
from seqc.graph.dims import Dim
from seqc.graph.ir import BatchRule, Constant, Graph, Input, Item, Type, Value
from seqc.sure import of_kind


def _divisible(t: Type) -> bool:
    """Tells whether the part of a tensor that belongs to some samples is a run along one axis."""
    sizes = [d for d in t.shape if BATCH in dims.names(d)]
    return len(sizes) == 1 and _is_multiple(sizes[0])


def _is_multiple(size: Dim) -> bool:
    """Tells whether an axis has as many elements for each sample: whether it is a multiple of the batch."""
    if isinstance(size, int):
        return False
    return all(monomial.count(BATCH) == 1 and BATCH not in _inner_names(monomial) for monomial, _ in size.terms)


def _inner_names(monomial: Iterable[str | dims.FloorDiv]) -> set[str]:
    return {name for atom in monomial if not isinstance(atom, str) for name in dims.names(atom.numerator)}


@dataclass
class Cut:
    """Where each value of a graph is computed.

    Attributes:
        order: all values, operands first. tiled: values that exist for a tile at a time, with their stage. ready: the
        others, with the stage before which they are complete. batch_rules: how a tiled operation is cut, one answer per
        result. stages: how many there are. users: who reads a value's numbers. computed: the operations of each stage,
        in order, without what is made anew wherever it is read.
    """

    order: Sequence[Value]
    tiled: dict[Value, int] = field(default_factory=dict)
    ready: dict[Value, int] = field(default_factory=dict)
    batch_rules: dict[Value, tuple[BatchRule, ...]] = field(default_factory=dict)
    users: dict[Value, list[Value]] = field(default_factory=dict)
    stages: int = 0
    computed: list[list[Value]] = field(default_factory=list)


def read_operands(v: Value) -> Sequence[Value]:
    """Returns the operands of which an operation reads more than the shape."""
    skipped = v.op.shape_only
    return [x for i, x in enumerate(v.inputs) if i not in skipped] if skipped else v.inputs


def results_of(cut: Cut, v: Value) -> list[Value | None]:
    """Returns the values that stand for the results of an operation, None where nobody reads one."""
    if not isinstance(v.result, tuple):
        return [v]
    picked = {u.op.index: u for u in cut.users.get(v, ()) if isinstance(u.op, Item)}
    return [picked.get(i) for i in range(len(v.result))]


def cut_graph(graph: Graph, whole: frozenset[Value] = frozenset()) -> Cut:
    """Finds the stages of a graph.

    Args:
        graph: its batch is the axis named "batch". whole: values to compute for all samples at once in any case.
    """
    cut = Cut(graph.walk())
    for v in cut.order:
        for x in read_operands(v):
            cut.users.setdefault(x, []).append(v)
        if isinstance(v.op, Item):
            _place_item(cut, v)
        elif isinstance(v.op, Input | Constant):
            cut.ready[v] = 0
        else:
            _place(cut, v, whole)
    cut.stages = max([0, *cut.ready.values(), *(stage + 1 for stage in cut.tiled.values())])
    cut.computed = [[] for _ in range(cut.stages)]
    for v, stage in cut.tiled.items():  # which were found in the order of `cut.order`
        if not is_remade(v):
            cut.computed[stage].append(v)
    return cut


def _place_item(cut: Cut, v: Value) -> None:
    owner = v.inputs[0]
    item = of_kind(v.op, Item)
    if owner not in cut.tiled:
        cut.ready[v] = cut.ready[owner]
    elif cut.batch_rules[owner][item.index] == "parallel":
        cut.tiled[v] = cut.tiled[owner]
    else:
        cut.ready[v] = cut.tiled[owner] + 1


def _place(cut: Cut, v: Value, whole: frozenset[Value]) -> None:
    batch_rules = ("whole",) if v in whole else _batch_rules(v)
    operands = read_operands(v)
    start = max((cut.ready[x] if x in cut.ready else cut.tiled[x] for x in operands), default=0)
    if "whole" in batch_rules:
        cut.ready[v] = max((cut.ready[x] if x in cut.ready else cut.tiled[x] + 1 for x in operands), default=0)
    elif not batch_rules:
        cut.ready[v] = start
    else:
        cut.batch_rules[v], cut.tiled[v] = batch_rules, start
        if len(batch_rules) == 1 and batch_rules != ("parallel",):  # of several results, each has its own place
            cut.ready[v] = start + 1


def _batch_rules(v: Value) -> tuple[BatchRule, ...]:
    """Returns how an operation is cut, one answer per result; nothing where the batch does not enter."""
    results = v.result if isinstance(v.result, tuple) else (v.result,)
    axes = [batch_axis(t) for t in results]
    operands = [x.type for x in read_operands(v) if batch_axis(x.type) is not None]
    if not operands and all(axis is None for axis in axes):
        return ()
    if not all(_divisible(t) for t in operands):
        return ("whole",)
    answer = v.op.batch_rule(v)
    batch_rules = answer if isinstance(answer, tuple) else (answer,) * len(results)
    for t, axis, rule in zip(results, axes, batch_rules, strict=True):
        if (rule == "parallel") != (axis is not None) or (axis is not None and not _divisible(t)):
            return ("whole",)
    return batch_rules


def stage_values(cut: Cut, stage: int) -> list[Value]:
    """Returns the operations of a stage in order; what is made anew for them comes where it is first read."""
    listed: dict[Value, None] = {}
    for v in cut.computed[stage]:
        _add_with_remade(v, cut, listed)
    return list(listed)


def _add_with_remade(v: Value, cut: Cut, listed: dict[Value, None]) -> None:
    for x in read_operands(v):
        if x in cut.tiled and is_remade(x) and x not in listed:
            _add_with_remade(x, cut, listed)
    listed[v] = None


def is_remade(v: Value) -> bool:
    """Tells whether a tiled value is made anew in every stage that reads it.

    A view costs nothing, and patches are larger than what they show.
    """
    return v.op.kind == "view" or isinstance(v.op, Patches)


def live_out_values(cut: Cut, outputs: Iterable[Value]) -> set[Value]:
    """Returns the tiled values that later stages read: they are kept for all samples.

    A stage that reads a view of a value reads the value.
    """
    readers: dict[Value, set[int]] = {}
    for v in cut.order:
        if v not in cut.tiled and not isinstance(v.op, Item):
            _note_readers(cut, read_operands(v), cut.ready[v], readers)
    for stage in range(cut.stages):
        for v in stage_values(cut, stage):
            _note_readers(cut, read_operands(v), stage, readers)
    _note_readers(cut, outputs, cut.stages, readers)
    return {v for v, at in readers.items() if max(at) > cut.tiled[v]}


def _note_readers(cut: Cut, read: Iterable[Value], stage: int, readers: dict[Value, set[int]]) -> None:
    for x in read:
        # A view of all samples shows the memory of a tiled value for as long as anybody reads the view.
        if is_remade(x) if x not in cut.ready else x.op.kind == "view":
            _note_readers(cut, read_operands(x), stage, readers)
        elif x not in cut.ready:
            readers.setdefault(x, set()).add(stage)


def shape_of(t: Type, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Returns a shape with the sizes of all names put in."""
    return tuple(d if isinstance(d, int) else dims.evaluate(d, sizes) for d in t.shape)
