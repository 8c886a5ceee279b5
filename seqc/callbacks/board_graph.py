"""A model's graph as TensorBoard takes it: nodes whose names put the operations of a layer into one box."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from tensorboardX.proto.attr_value_pb2 import AttrValue
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.graph_pb2 import GraphDef
from tensorboardX.proto.node_def_pb2 import NodeDef
from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboardX.proto.versions_pb2 import VersionDef

from seqc.graph.ir import Constant, Graph, Input, Item, Type, Value

# TensorFlow's numbers for element types (types.proto).
_TYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "string": 7,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}
# Letters of an attribute that are shown.
_LONGEST = 200


def graph_event(model: Any) -> Event:
    """Returns the event that tells TensorBoard of a model's inference graph.

    Args:
        model: a built model.

    Raises:
        SeqcError: it cannot be traced.
    """
    graph, trace = model.graph()
    weights = {leaf: variable.path for variable, leaf in trace.reads.items()}
    made = _Nodes(weights)
    definition = GraphDef(node=made.of(graph), versions=VersionDef(producer=22))
    return Event(graph_def=definition.SerializeToString())


class _Nodes:
    """Nodes of a graph, each with a name of its own.

    Args:
        weights: the paths of variables by the inputs that stand for them.
    """

    def __init__(self, weights: dict[Value, str]) -> None:
        self._weights = weights
        self._names: dict[Value, str] = {}
        self._taken: Counter[str] = Counter()

    def of(self, graph: Graph) -> list[NodeDef]:
        """Returns the nodes, inputs first."""
        values = [v for v in graph.walk() if not isinstance(v.op, Item)]
        values.sort(key=lambda v: not isinstance(v.op, Input))  # nodes are named before others take them
        nodes = [self._node(v) for v in values]
        for name, y in zip(graph.output_names, graph.outputs, strict=True):
            shown = self._unique(f"output/{name}")
            nodes.append(NodeDef(name=shown, op="Identity", input=[self._reference(y)]))
        return nodes

    def _node(self, value: Value) -> NodeDef:
        op = value.op
        kind = type(op).__name__
        if isinstance(op, Input):
            name, kind = self._weights.get(value, op.label), "Variable" if value in self._weights else "Placeholder"
        elif isinstance(op, Constant):
            name, kind = f"{value.scope}/{op.label or 'constant'}".lstrip("/"), "Const"
        else:
            name = f"{value.scope}/{kind}".lstrip("/")
        self._names[value] = self._unique(name)
        results = value.result if isinstance(value.result, tuple) else (value.result,)
        attributes = {"dtype": AttrValue(type=_TYPES.get(results[0].dtype, 0)), "_output_shapes": _shapes(results)}
        for field in dataclasses.fields(op):
            given = getattr(op, field.name)
            if not isinstance(op, Input | Constant) and not isinstance(given, Graph):
                attributes[field.name] = AttrValue(s=repr(given)[:_LONGEST].encode())
        return NodeDef(
            name=self._names[value], op=kind, input=[self._reference(x) for x in value.inputs], attr=attributes
        )

    def _reference(self, value: Value) -> str:
        """Returns how a node says that it takes a value."""
        if isinstance(value.op, Item):
            return f"{self._names[value.inputs[0]]}:{value.op.index}"
        return self._names[value]

    def _unique(self, name: str) -> str:
        self._taken[name] += 1
        count = self._taken[name]
        return name if count == 1 else self._unique(f"{name}_{count - 1}")


def _shapes(results: tuple[Type, ...]) -> AttrValue:
    shapes = [
        TensorShapeProto(dim=[TensorShapeProto.Dim(size=d if isinstance(d, int) else -1) for d in result.shape])
        for result in results
    ]
    return AttrValue(list=AttrValue.ListValue(shape=shapes))
