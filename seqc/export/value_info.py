"""What a file says of the tensors inside it: element type and sizes, free ones by the names that its inputs have.

Viewers show them, and programs that quantize, differentiate or split a model need them. A value of the graph has its
type; of a tensor that only a lowering knows, the lowering may say it, and onnx works out the others from those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import onnx
from onnx import helper

from seqc.export._schema import element_type
from seqc.graph.ir import Type


def describe(t: Type, label: str) -> onnx.ValueInfoProto:
    """Returns what a file says of a tensor."""
    shape = [d if isinstance(d, int) else str(d) for d in t.shape]
    return helper.make_tensor_value_info(label, element_type(t.dtype), shape)


def add_known(graph: onnx.GraphProto, types: Mapping[str, Type]) -> None:
    """Adds the types of tensors inside a graph, and inside graphs of its nodes, in the order of computing.

    Args:
        graph: without any. Its inputs and outputs are described already. types: by names that are unique in the file.
    """
    for name in _inside(graph):
        if name in types:
            graph.value_info.append(describe(types[name], name))
    for inner in _inner_graphs(graph):
        add_known(inner, types)


def add_inferred(graph: onnx.GraphProto, inferred: onnx.GraphProto, names: frozenset[str]) -> None:
    """Adds what onnx has inferred of the tensors of which nothing is said.

    Args:
        graph: with what is known. inferred: the same graph after onnx's inference. names: of sizes; under others onnx
        means sizes that it does not know.
    """
    said = {v.name: v for v in graph.value_info}
    found = {v.name: v for v in inferred.value_info}
    ordered = [said.get(name) or _with_names(found[name], names) for name in _inside(graph) if name in said | found]
    del graph.value_info[:]
    graph.value_info.extend(ordered)
    for mine, theirs in zip(_inner_graphs(graph), _inner_graphs(inferred), strict=True):
        add_inferred(mine, theirs, names)


def size_names(types: Iterable[Type]) -> frozenset[str]:
    """Returns how sizes that are not known are written, in all of some types."""
    return frozenset(str(d) for t in types for d in t.shape if not isinstance(d, int))


def _inside(graph: onnx.GraphProto) -> Iterator[str]:
    """Yields the tensors that nodes of a graph make and that are not its outputs."""
    outputs = {y.name for y in graph.output}
    for node in graph.node:
        yield from (name for name in node.output if name and name not in outputs)


def _inner_graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        yield from (attribute.g for attribute in node.attribute if attribute.HasField("g"))


def _with_names(found: onnx.ValueInfoProto, names: frozenset[str]) -> onnx.ValueInfoProto:
    for dim in found.type.tensor_type.shape.dim:
        if dim.dim_param and dim.dim_param not in names:
            dim.Clear()
    return found
