"""A file whose layers are functions of its own, so that viewers show a model as its layers.

One of the modules that import onnx; import it late. A function holds no numbers: weights are inputs of its call.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import groupby

import onnx

# Of the functions: they mean something in their file only.
DOMAIN = "seqc.layers"
# The first file format in which functions say the types of the tensors inside.
_TYPED_SINCE = 10


def with_functions(frame: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model in which the nodes of each layer are one call of a function with the layer's name.

    A layer that is called twice, or between whose nodes others must run, has several functions, told apart by a number.
    Nodes of no layer stay where they are.

    Args:
        frame: a model without its initializers; names of nodes begin with their layer's.
    """
    made = onnx.ModelProto()
    made.CopyFrom(frame)
    graph = made.graph
    read_later = {y.name for y in graph.output}
    nodes = _by_layer(frame.graph.node)
    del graph.node[:]
    said = {v.name: v for v in graph.value_info}
    del graph.value_info[:]
    runs = [(layer, list(run)) for layer, run in groupby(nodes, _layer_of)]
    taken: set[str] = set()
    for (layer, run), read in zip(runs, _read_after([run for _, run in runs], read_later), strict=True):
        if not layer:
            graph.node.extend(run)
            continue
        function = _function(_free_name(layer, taken), run, read)
        function.opset_import.extend(frame.opset_import)
        if made.ir_version >= _TYPED_SINCE:
            inside = (name for node in run for name in node.output if name in said and name not in function.output)
            function.value_info.extend(said[name] for name in inside)
        made.functions.append(function)
        graph.node.add(
            op_type=function.name, domain=DOMAIN, name=function.name, input=function.input, output=function.output
        )
    graph.value_info.extend(said[name] for node in graph.node for name in node.output if name in said)
    if made.functions:
        made.opset_import.add(domain=DOMAIN, version=1)
    return made


def _function(name: str, nodes: Sequence[onnx.NodeProto], read: set[str]) -> onnx.FunctionProto:
    """Returns a function of some nodes; `read` are the tensors that anything behind them reads."""
    made = [name for node in nodes for name in node.output if name]
    inputs = dict.fromkeys(x for node in nodes for x in _reads(node) if x not in set(made))
    outputs = [x for x in made if x in read]
    return onnx.FunctionProto(name=name, domain=DOMAIN, input=inputs, output=outputs, node=nodes)


def _free_name(layer: str, taken: set[str]) -> str:
    name, number = layer, 1
    while name in taken:
        number += 1
        name = f"{layer}_{number}"
    taken.add(name)
    return name


def _layer_of(node: onnx.NodeProto) -> str:
    """Returns the layer of the model that a node is of, "" for none."""
    return str(node.name.partition("/")[0]) if "/" in node.name else ""


def _read_after(runs: Sequence[Sequence[onnx.NodeProto]], read_later: set[str]) -> list[set[str]]:
    """Returns, for each run, which of its tensors anything behind it reads."""
    read, found = set(read_later), []
    for run in reversed(runs):
        found.append({name for node in run for name in node.output if name in read})
        read.update(name for node in run for name in _reads(node))
    return found[::-1]


def _by_layer(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """Returns nodes in an order in which they can run, as many of one layer after each other as possible."""
    made = {name for node in nodes for name in node.output if name}
    missing = [made.intersection(_reads(node)) for node in nodes]
    readers: dict[str, list[int]] = {}
    for i, names in enumerate(missing):
        for name in names:
            readers.setdefault(name, []).append(i)
    ready: dict[str, list[int]] = {}
    for i in (i for i, names in enumerate(missing) if not names):
        heapq.heappush(ready.setdefault(_layer_of(nodes[i]), []), i)
    found: list[onnx.NodeProto] = []
    layer = ""
    while ready:
        layer = layer if layer in ready else min(ready, key=lambda name: ready[name][0])
        node = nodes[heapq.heappop(ready[layer])]
        if not ready[layer]:
            del ready[layer]
        found.append(node)
        # A node may read several results of another.
        for i in dict.fromkeys(i for name in node.output for i in readers.get(name, ())):
            missing[i].difference_update(node.output)
            if not missing[i]:
                heapq.heappush(ready.setdefault(_layer_of(nodes[i]), []), i)
    return found


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yields what a node reads, and what graphs inside it read of the tensors around it."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            inner = attribute.g
            own = {x.name for x in (*inner.input, *inner.initializer)} | {n for m in inner.node for n in m.output}
            yield from (name for m in inner.node for name in _reads(m) if name not in own)
