"""An ONNX model of skl2onnx's without what does nothing, under the names that its user knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from seqc._version import __version__
from seqc.errors import ExportError
from seqc.export.options import check_ir_version

_BATCH = "batch"
_STRING, _FLOAT = onnx.TensorProto.STRING, onnx.TensorProto.FLOAT


def cleaned(
    model: onnx.ModelProto,
    inputs: Sequence[str],
    outputs: Sequence[str],
    texts: Mapping[str, str],
    ir_version: int | None = None,
) -> onnx.ModelProto:
    """Returns a model of skl2onnx's with fewer nodes, as seqc writes files.

    Args:
        inputs, outputs: names of its inputs and outputs, in their order; inputs that nothing reads are left out.
        texts: metadata. ir_version: of the file format, the oldest that fits where it is None.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    types = {port.name: port.type.tensor_type.elem_type for port in graph.input}
    for node in graph.node:
        _in_common_words(node, types)
    while _without_idle(made):
        pass
    for ports, names in ((graph.input, inputs), (graph.output, outputs)):
        _rename(graph, {port.name: name for port, name in zip(ports, names, strict=True)})
    read = {name for node in _all_nodes(graph) for name in node.input} | {port.name for port in graph.output}
    for found in (graph.input, graph.initializer):
        unread = [one for one in found if one.name not in read]
        for one in unread:
            found.remove(one)
    del graph.value_info[:]
    for port in (*graph.input, *graph.output):
        if port.type.HasField("tensor_type") and port.type.tensor_type.shape.dim:
            port.type.tensor_type.shape.dim[0].dim_param = _BATCH
    versions = {entry.domain: entry.version for entry in made.opset_import}
    used = {node.domain for node in _all_nodes(graph)} | {""}
    del made.opset_import[:]
    made.opset_import.extend(onnx.helper.make_opsetid(d, v) for d, v in sorted(versions.items()) if d in used)
    made.producer_name, made.producer_version, made.domain, made.model_version = "seqc", __version__, "", 0
    made.ir_version = check_ir_version(ir_version, versions[""])
    del made.metadata_props[:]
    for key, value in {"seqc.version": __version__, **texts}.items():
        made.metadata_props.add(key=key, value=value)
    try:
        onnx.checker.check_model(made, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"skl2onnx wrote a model that is none: {error}") from error
    return made


def _in_common_words(node: onnx.NodeProto, types: Mapping[str, int]) -> None:
    """Joins columns of any type as others do, and lowers letters where the container has no languages installed.

    Args:
        types: element types of the model's inputs.
    """
    if node.op_type == "FeatureVectorizer" and {types.get(name) for name in node.input} <= {_STRING, _FLOAT}:
        node.op_type, node.domain = "Concat", ""
        del node.attribute[:]
        node.attribute.append(onnx.helper.make_attribute("axis", 1))
    if node.op_type == "StringNormalizer" and all(attribute.name != "locale" for attribute in node.attribute):
        node.attribute.append(onnx.helper.make_attribute("locale", "C"))


def _without_idle(model: onnx.ModelProto) -> bool:
    """Takes out nodes that hand on what they get, and nodes that nobody reads; says whether there were any."""
    graph = model.graph
    shown = onnx.shape_inference.infer_shapes(model).graph
    types = {v.name: v.type.tensor_type for v in (*shown.input, *shown.value_info, *shown.output)}
    arrays = {array.name: array for array in graph.initializer}
    ends = {port.name for port in graph.output}
    read = {name for node in _all_nodes(graph) for name in node.input} | ends
    gone: dict[str, str] = {}
    for node in list(graph.node):
        if not any(name in read for name in node.output):
            graph.node.remove(node)
            return True
        if node.output[0] not in ends and node.input and _is_idle(node, types, arrays):
            gone[node.output[0]] = node.input[0]
            graph.node.remove(node)
            break
    for node in _all_nodes(graph):
        for i, name in enumerate(node.input):
            node.input[i] = gone.get(name, name)
    return bool(gone)


def _is_idle(
    node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto.Tensor], arrays: Mapping[str, onnx.TensorProto]
) -> bool:
    source = types.get(node.input[0])
    said = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Identity" or (node.op_type == "Concat" and len(node.input) == 1):
        return True
    if source is None:
        return False
    if node.op_type == "Cast":
        return bool(said["to"].i == source.elem_type)
    if node.op_type not in ("Gather", "ArrayFeatureExtractor") or node.input[1] not in arrays:
        return False
    # All columns, in their order.
    axis = said["axis"].i if "axis" in said else (1 if node.op_type == "ArrayFeatureExtractor" else 0)
    columns = source.shape.dim[1].dim_value if len(source.shape.dim) == 2 else 0
    picked = numpy_helper.to_array(arrays[node.input[1]])
    return axis == 1 and picked.ndim > 0 and columns > 0 and np.array_equal(picked.ravel(), np.arange(columns))


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Gives tensors other names; what has one of these already gets another one."""
    taken = {name for node in _all_nodes(graph) for name in (*node.input, *node.output)}
    new = {old: name for old, name in names.items() if old != name}
    for name in list(new.values()):
        if name in taken and name not in new:
            free = f"{name}_1"
            while free in taken:
                free += "_1"
            new[name] = free
    for node in _all_nodes(graph):
        for listed in (node.input, node.output):
            for i, name in enumerate(listed):
                listed[i] = new.get(name, name)
    for one in (*graph.initializer, *graph.input, *graph.output):
        one.name = new.get(one.name, one.name)


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Returns the nodes of a graph and those of the graphs inside them."""
    found = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found += _all_nodes(inner)
    return found
