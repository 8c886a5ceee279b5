"""Reading ONNX files: nodes with their shapes, parameters and arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
from onnx import TensorProto

from seqc.cli._kinds import ONNX, refuse_other_kinds, require_file
from seqc.cli._onnx_checks import MOST_NODES, check_texts, inlined_nodes
from seqc.cli._onnx_flops import count_flops, only_moves
from seqc.errors import DataError

Shape = tuple[int | str | None, ...]

# Tensors of these types say how to compute (shapes, axes, indices); they are not weights.
_NOT_WEIGHTS = (TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING)

# Of a weight; where shapes and axes are kept, there are fewer.
MOST_NUMBERS_KEPT = 1024
_NUMBERS = ("raw_data", "float_data", "int32_data", "int64_data", "uint64_data", "double_data", "string_data")


@dataclass(frozen=True)
class Node:
    """One node. A shape is None where it cannot be inferred; `flops` is None where no rule or a size is missing.

    `weight_bytes` are those of the weights it is the first to read, `result_bytes` those of its results.
    """

    name: str
    op: str
    inputs: tuple[Shape | None, ...]
    outputs: tuple[Shape | None, ...]
    parameters: int
    flops: int | None
    weight_bytes: int = 0
    result_bytes: int | None = None


@dataclass(frozen=True)
class Port:
    """An input or output of the file; its shape is None where the file says none, not even how many axes it has."""

    name: str
    dtype: str
    shape: Shape | None


def read_bytes(path: Path) -> bytes:
    """Returns the content of a file.

    Raises:
        DataError: it is not there, or something else than a file.
    """
    require_file(path)
    return path.read_bytes()


def read_model(path: Path) -> onnx.ModelProto:
    """Returns an ONNX file without the numbers of its weights, which nothing here needs and which may be most of it.

    Raises:
        DataError: it is not there, not ONNX, damaged, or its functions call each other without end.
    """
    model, content = onnx.ModelProto(), read_bytes(path)
    refuse_other_kinds(path, ONNX)
    try:
        model.ParseFromString(content)
        drop_numbers(model.graph)
        check_texts(model)
    except Exception as error:  # protobuf's error types differ between its implementations
        raise DataError(f"{path} is not an ONNX file, or is damaged: {error}") from error
    if not model.HasField("graph"):
        raise DataError(f"{path} is not an ONNX file, or is damaged: it has no graph.")
    if inlined_nodes(model) > MOST_NODES:
        raise DataError(
            f"{path} has functions that call each other so often that it holds more than {MOST_NODES:,} nodes once "
            "they stand where they are called."
        )
    return model


def drop_numbers(graph: onnx.GraphProto) -> None:
    """Empties large weights: their shapes stay, and every copy of the model is small. Small ones may be shapes."""
    for weight in graph.initializer:
        if prod(weight.dims) > MOST_NUMBERS_KEPT:
            for field in _NUMBERS:
                weight.ClearField(field)


def check_model(path: Path) -> str:
    """Runs onnx's full check and returns what it found the file to be.

    Raises:
        DataError: the file is not valid.
    """
    model = read_model(path)
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # besides its own errors, onnx lets ValueError, RuntimeError and others through
        raise DataError(" ".join(str(error).split())) from error
    return f"{opsets(model)}, IR version {model.ir_version}, {len(model.graph.node)} nodes"


def metadata(model: onnx.ModelProto) -> dict[str, str]:
    """Returns the texts kept in a file."""
    return {entry.key: entry.value for entry in model.metadata_props}


def opsets(model: onnx.ModelProto) -> str:
    """Returns the operator sets a file uses, "opset 18" for ONNX's own."""
    return ", ".join(f"{x.domain} {x.version}" if x.domain else f"opset {x.version}" for x in model.opset_import)


def ports(values: Iterable[onnx.ValueInfoProto]) -> list[Port]:
    """Returns the inputs or outputs of a graph."""
    return [
        Port(x.name, _dtype(x.type), None if x.type.HasField("tensor_type") and not _has(x) else _shape(x))
        for x in values
    ]


def _dtype(kind: onnx.TypeProto) -> str:
    if not kind.HasField("tensor_type"):
        return str(kind.WhichOneof("value") or "undefined").removesuffix("_type")
    number = kind.tensor_type.elem_type
    if number not in TensorProto.DataType.values():
        return f"<unknown type {number}>"
    name = str(TensorProto.DataType.Name(number)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def list_nodes(model: onnx.ModelProto, sizes: Mapping[str, int]) -> list[Node]:
    """Returns the nodes of a model for one sample.

    Args:
        sizes: of symbolic axes by name; the first axis of an input is 1 where it has none.
    """
    inferred = _infer(model, sizes)
    graph = inferred.graph
    weights: dict[str, TensorProto] = {t.name: t for t in graph.initializer} | _constants(graph)
    shapes: dict[str, Shape] = {v.name: _shape(v) for v in (*graph.input, *graph.value_info, *graph.output) if _has(v)}
    shapes |= {name: tuple(t.dims) for name, t in weights.items()}
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    nodes: list[Node] = []
    counted: set[str] = set()
    for node in graph.node:
        own = {x for x in node.input if x in weights and weights[x].data_type not in _NOT_WEIGHTS} - counted
        counted |= own
        given = tuple(shapes.get(x) for x in node.input if x)
        made = tuple(shapes.get(y) for y in node.output if y)
        parameters = sum(prod(weights[x].dims) for x in own)
        stored = sum(_bytes(weights[x].data_type, tuple(weights[x].dims)) or 0 for x in own)
        results = [_bytes(types.get(y, 0), shapes.get(y)) for y in node.output if y]
        moved = None if None in results else sum(b for b in results if b is not None)
        nodes.append(Node(node.name, node.op_type, given, made, parameters, _flops(node, given, made), stored, moved))
    return nodes


def captured(node: onnx.NodeProto) -> list[str]:
    """Returns what the graphs inside a node read of those around it."""
    found: dict[str, None] = {}
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            inside = {x.name for x in graph.input} | {t.name for t in graph.initializer}
            for each in graph.node:
                found |= dict.fromkeys(x for x in (*each.input, *captured(each)) if x and x not in inside)
                inside |= set(each.output)
            found |= dict.fromkeys(y.name for y in graph.output if y.name not in inside)
    return list(found)


def _constants(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """Returns the tensors of Constant nodes, which some programs write in the place of initializers."""
    nodes = [node for node in graph.node if node.op_type == "Constant" and node.output]
    return {node.output[0]: a.t for node in nodes for a in node.attribute if a.HasField("t")}


# So many nodes may stand for each that is written in the file, where functions are put in the place of their calls.
NODES_PER_NODE = 100


def with_functions_in_place(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a model with the nodes of its functions where they are called, unless the file would grow too much."""
    written = len(model.graph.node) + sum(len(one.node) for one in model.functions)
    if not model.functions or inlined_nodes(model) > NODES_PER_NODE * written:
        return model
    from onnx.inliner import inline_local_functions

    return inline_local_functions(model)


def _infer(model: onnx.ModelProto, sizes: Mapping[str, int]) -> onnx.ModelProto:
    """Returns a copy of a model with all shapes that follow from one sample."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    for value in copy.graph.input:
        for i, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.HasField("dim_value"):
                continue
            if dim.dim_param in sizes or i == 0:
                dim.dim_value = sizes.get(dim.dim_param, 1)
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        # Strictly where the user says what sizes there are: an error is about them then.
        return onnx.shape_inference.infer_shapes(copy, data_prop=True, strict_mode=bool(sizes))
    except Exception as error:  # besides its own errors, onnx lets ValueError, RuntimeError and others through
        shown = ", ".join(f"{name}={size}" for name, size in sizes.items())
        what = f"The model does not work at these sizes ({shown})" if sizes else "The model's shapes cannot be inferred"
        raise DataError(f"{what}: {' '.join(str(error).split())}") from error


def _has(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape"))


def _shape(value: onnx.ValueInfoProto) -> Shape:
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in dims)


def _flops(node: onnx.NodeProto, inputs: tuple[Shape | None, ...], outputs: tuple[Shape | None, ...]) -> int | None:
    if node.domain not in ("", "ai.onnx"):
        return None
    if only_moves(node.op_type):
        return 0
    known_inputs = [s for s in map(_known, inputs) if s is not None]
    known_outputs = [s for s in map(_known, outputs) if s is not None]
    if len(known_inputs) < len(inputs) or len(known_outputs) < len(outputs):
        return None
    window = prod(next((a.ints for a in node.attribute if a.name == "kernel_shape"), (1,)))
    try:
        return count_flops(node.op_type, known_inputs, known_outputs, window=window)
    except (ArithmeticError, LookupError):  # a node without operands or results, or with axes that make no sense
        return None


def _bytes(element: int, shape: Shape | None) -> int | None:
    """Returns the bytes of a tensor, None where they are not known."""
    sizes = _known(shape)
    try:
        width = onnx.helper.tensor_dtype_to_np_dtype(element).itemsize
    except (KeyError, TypeError, ValueError):
        return None
    return None if sizes is None else prod(sizes) * width


def _known(shape: Shape | None) -> tuple[int, ...] | None:
    if shape is None or not all(isinstance(d, int) for d in shape):
        return None
    return tuple(d for d in shape if isinstance(d, int))
