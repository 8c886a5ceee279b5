"""Which layers and operations of a functional model lead to which, for tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seqc.functional import Functional
from seqc.graph.ir import Type, Value
from seqc.layer_order import call_of, calls_in_order, makers_in_order, result_of, results_of
from seqc.layers import InputLayer
from seqc.layers.base import Layer
from seqc.layers.calls import LayerCall, is_symbolic, put_tensors
from seqc.operations import operations
from seqc.utils.naming import free_name, snake_case


@dataclass(frozen=True)
class Source:
    """Where a tensor comes from: the result `result` of call `call` of step `step`."""

    step: int
    call: int
    result: int


@dataclass(frozen=True)
class Step:
    """A layer with all of its calls in the model, or an operation between layers.

    Attributes:
        name: of the layer; of an operation, one that no other step has. kind: its class. layer: None of an operation.
        calls: for each call, where its tensors come from. inputs, outputs: what the last call took and gave.
    """

    name: str
    kind: str
    layer: Layer | None
    calls: tuple[tuple[Source, ...], ...]
    inputs: tuple[Type, ...]
    outputs: tuple[Type, ...]


@dataclass(frozen=True)
class Connections:
    """A model as its steps, in the order of its layers, and where it begins and ends.

    Attributes:
        inputs: the step of each input. outputs: where each output comes from.
    """

    steps: list[Step]
    inputs: list[int]
    outputs: list[Source]


def steps_of(model: Functional) -> list[Step]:
    """Returns the steps of a model in the order of its layers."""
    return connections_of(model).steps


def connections_of(model: Functional) -> Connections:
    """Returns which steps of a model lead to which."""
    entries = dict(zip(model._symbols, model._entries, strict=True))
    makers = makers_in_order(model._output_tree, entries)
    number = {id(maker): i for i, maker in enumerate(makers)}
    sources, made = _made(model, entries, number)

    def source_of(x: Value) -> Source:
        return sources[x] if x in entries else replace(sources[call_of(x)], result=result_of(x))

    names = {maker.name: 0 for maker in makers if isinstance(maker, Layer)}
    found, symbolic = [], set[Value]()
    for maker in makers:
        values = made.get(id(maker), [])
        taken = [[] if v in entries else [x for x in _operands(v) if is_symbolic(x, symbolic)] for v in values]
        last = values[-1]
        layer = maker if isinstance(maker, Layer) else None
        kind = type(layer).__name__ if layer is not None else _kind(last)
        name = layer.name if layer is not None else free_name(snake_case(kind), names)
        calls = tuple(tuple(source_of(x) for x in each) for each in taken)
        found.append(Step(name, kind, layer, calls, tuple(x.type for x in taken[-1]), results_of(last)))
    return Connections(found, [sources[x].step for x in entries], [source_of(y) for y in model._results])


def _kind(v: Value) -> str:
    """Returns what Keras calls an operation between layers, or else seqc."""
    known = operations().get(v.origin.function) if v.origin is not None else None
    return v.op.name if known is None else known.class_name


def _operands(v: Value) -> list[Value]:
    """Returns what a call or operation takes; a functional model, in the order of its inputs."""
    if isinstance(v.op, LayerCall) and isinstance(v.op.layer, Functional):
        given = put_tensors(v.op.given, list(v.inputs))
        return v.op.layer._in_order(next(iter(given.values())))
    return list(v.inputs) if v.origin is None else v.origin.tensors()


def _made(
    model: Functional, entries: Mapping[Value, InputLayer], number: Mapping[int, int]
) -> tuple[dict[Value, Source], dict[int, list[Value]]]:
    """Returns where the first result of each call comes from, and by `id` those that each layer or operation made."""
    sources: dict[Value, Source] = {}
    made: dict[int, list[Value]] = {}
    for x, entry in entries.items():
        sources[x] = Source(number[id(entry)], 0, 0)
        made[id(entry)] = [x]
    for v in calls_in_order(model._output_tree, entries):
        maker = v.op.layer if isinstance(v.op, LayerCall) else v
        values = made.setdefault(id(maker), [])
        sources[v] = Source(number[id(maker)], len(values), 0)
        values.append(v)
    return sources, made


def is_chain(steps: list[Step]) -> bool:
    """Tells whether each step takes one tensor, from the step before it."""
    return all(
        [source.step for call in step.calls for source in call] == ([i - 1] if i else [])
        for i, step in enumerate(steps)
    )


def shape_of(types: tuple[Type, ...]) -> Any:
    """Returns a shape, or a list of them, with None for what is not known."""
    shapes = [tuple(size if isinstance(size, int) else None for size in one.shape) for one in types]
    return shapes[0] if len(shapes) == 1 else shapes
