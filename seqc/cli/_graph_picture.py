"""An ONNX graph as a picture: a box for each node, a frame around those of each layer. Needs pydot and Graphviz."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import onnx

from seqc.cli._by_layer import layer_of
from seqc.cli._onnx import Node, list_nodes, ports
from seqc.cli._output import shape_text
from seqc.errors import ConfigError
from seqc.text import shorten
from seqc.utils.model_visualization import drawn, require_pydot

# More than this nobody can read, and dot takes minutes for.
MOST_NODES = 3000
# Letters of a name in a box.
_LONGEST = 40
_COLOURS = (
    ("#c6dbef", "Conv ConvTranspose"),
    ("#c7e9c0", "Gemm MatMul Einsum"),
    ("#fdd0a2", "LSTM GRU RNN Scan Loop If"),
    ("#dadaeb", "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization"),
    ("#fcbba1", "Relu Clip LeakyRelu PRelu Elu Selu Sigmoid Tanh Softmax HardSigmoid HardSwish Gelu Erf Softplus"),
    ("#e5e5e5", "Transpose Reshape Flatten Squeeze Unsqueeze Slice Split Concat Pad Expand Gather Cast Identity"),
)
_COLOUR_OF = {op: colour for colour, ops in _COLOURS for op in ops.split()}
_INSTEAD = "read the table of nodes, which needs no program"
_SHOWN = ("kernel_shape", "strides", "dilations", "group", "pads", "axis", "perm", "direction", "hidden_size", "to")


def picture(model: onnx.ModelProto, sizes: Mapping[str, int], kinds: Mapping[str, str], form: str) -> bytes:
    """Returns the picture of a graph.

    Args:
        model: without its large weights. sizes: of open axes by name, for the shapes in it.
        kinds: the classes of layers by their names, as far as they are known. form: "svg", "png" or "dot".

    Raises:
        ConfigError: it has more nodes than can be read, or dot cannot draw it.
        MissingDependencyError: pydot or Graphviz's dot is not there.
    """
    graph = picture_graph(model, list_nodes(model, sizes), kinds)
    return graph.to_string().encode() if form == "dot" else drawn(graph, form, _INSTEAD)


def frame_id(layer: str) -> str:
    """Returns the id that the frame of a layer has in an .svg file."""
    return "layer_" + "".join(c if c.isalnum() else "_" for c in layer)


def picture_graph(model: onnx.ModelProto, nodes: list[Node], kinds: Mapping[str, str]) -> Any:
    """Returns the graph of pydot; see `picture`."""
    pydot = require_pydot()
    if len(nodes) > MOST_NODES:
        raise ConfigError(f"The file has {len(nodes):,} nodes; more than {MOST_NODES:,} are not drawn.")
    graph = pydot.Dot("model", rankdir="TB", nodesep=0.25, ranksep=0.3, fontname="Helvetica")
    graph.set_node_defaults(shape="box", style="filled,rounded", fontname="Helvetica", fontsize=11, height=0.3)
    graph.set_edge_defaults(fontname="Helvetica", fontsize=9, color="#777777", fontcolor="#777777", arrowsize=0.6)
    _Drawing(pydot, graph, model, kinds).add(nodes)
    return graph


class _Drawing:
    def __init__(self, pydot: Any, graph: Any, model: onnx.ModelProto, kinds: Mapping[str, str]) -> None:
        self._pydot, self._graph, self._onnx, self._kinds = pydot, graph, model.graph, kinds
        self._frames: dict[str, Any] = {}
        self._weights = {t.name for t in model.graph.initializer}
        # Where the tensor of a name comes from: the box, and its shape.
        self._sources: dict[str, tuple[str, str]] = {}

    def add(self, nodes: list[Node]) -> None:
        for i, port in enumerate(ports(self._onnx.input)):
            if port.name not in self._weights:
                self._end(f"in{i}", f"{port.name}\n{port.dtype}{shape_text(port.shape)}")
                self._sources[port.name] = (f"in{i}", shape_text(port.shape))
        for i, (proto, node) in enumerate(zip(self._onnx.node, nodes, strict=True)):
            self._box(f"n{i}", proto, node)
        for frame in self._frames.values():
            self._graph.add_subgraph(frame)
        for i, port in enumerate(ports(self._onnx.output)):
            self._end(f"out{i}", f"{port.name}\n{port.dtype}{shape_text(port.shape)}")
            self._edge(port.name, f"out{i}")

    def _end(self, name: str, text: str) -> None:
        self._graph.add_node(
            self._pydot.Node(name, label=_quoted(text), shape="ellipse", style="filled", fillcolor="#fff7bc")
        )

    def _box(self, name: str, proto: onnx.NodeProto, node: Node) -> None:
        lines = [node.op, *_details(proto, node, self._weights)]
        self._frame(layer_of(node.name)).add_node(
            self._pydot.Node(
                name,
                label=_label(lines),
                tooltip=_quoted(node.name or node.op),
                fillcolor=_COLOUR_OF.get(node.op, "#ffffff"),
            )
        )
        read = [*proto.input, *(x for a in proto.attribute for x in _read_inside(a.g))]
        for x in dict.fromkeys(read):
            self._edge(x, name)
        for y, shape in zip((y for y in proto.output if y), node.outputs, strict=False):
            self._sources[y] = (name, "" if shape is None else shape_text(shape))

    def _edge(self, tensor: str, to: str) -> None:
        if tensor in self._sources:
            source, shape = self._sources[tensor]
            self._graph.add_edge(self._pydot.Edge(source, to, label=_quoted(shape)))

    def _frame(self, layer: str) -> Any:
        """Returns the frame of a layer; nodes of none stand in the picture itself."""
        if not layer:
            return self._graph
        if layer not in self._frames:
            kind = self._kinds.get(layer, "")
            text = f"{shorten(layer, _LONGEST)}{f'  ({kind})' if kind else ''}"
            self._frames[layer] = self._pydot.Cluster(
                f"layer{len(self._frames)}",
                id=_quoted(frame_id(layer)),
                label=_quoted(text),
                labeljust="l",
                style="rounded",
                color="#999999",
                fontname="Helvetica-Bold",
                fontsize=11,
            )
        return self._frames[layer]


def _read_inside(graph: onnx.GraphProto) -> list[str]:
    """Returns what a graph inside a node reads of the tensors around it."""
    own = {x.name for x in graph.input} | {y for node in graph.node for y in node.output}
    own |= {t.name for t in graph.initializer}
    found = [x for node in graph.node for x in node.input]
    found += [x for node in graph.node for a in node.attribute for x in _read_inside(a.g)]
    return [x for x in found if x and x not in own]


def _details(proto: onnx.NodeProto, node: Node, weights: set[str]) -> list[str]:
    """Returns what a box says beside the operator: its weights' shapes, and the attributes that differ from common."""
    given = [x for x in proto.input if x]
    shapes = [
        shape_text(s) for x, s in zip(given, node.inputs, strict=False) if x in weights and s is not None and len(s) > 1
    ]
    found = [" ".join(shapes)] if shapes else []
    for attribute in proto.attribute:
        if attribute.name in _SHOWN and not _is_common(attribute):
            found.append(f"{attribute.name} {_value(attribute)}")
        if attribute.g.node:
            found.append(f"{attribute.name}: {len(attribute.g.node)} nodes")
    return found


def _is_common(attribute: onnx.AttributeProto) -> bool:
    usual = {"strides": 1, "dilations": 1, "pads": 0}.get(attribute.name)
    return (attribute.name == "group" and attribute.i == 1) or (
        usual is not None and all(i == usual for i in attribute.ints)
    )


def _value(attribute: onnx.AttributeProto) -> str:
    if attribute.name == "to":
        return str(onnx.TensorProto.DataType.Name(attribute.i)).lower()
    found = onnx.helper.get_attribute_value(attribute)
    if isinstance(found, bytes):
        return shorten(found.decode(errors="replace"), _LONGEST)
    return shorten("x".join(map(str, found)) if isinstance(found, list | tuple) else str(found), _LONGEST)


def _label(lines: list[str]) -> str:
    first, *others = (escape(line) for line in lines)
    small = "".join(f'<br/><font point-size="9">{line}</font>' for line in others)
    return f"<<b>{first}</b>{small}>"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
