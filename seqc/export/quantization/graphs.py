"""What quantization has to know of an ONNX file: its inputs, and which of its nodes hold weights."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from seqc.backends.onnxruntime_quantizer import prepare
from seqc.errors import DataError, ExportError
from seqc.export.options import LARGEST_FILE
from seqc.graph.ir import Array

# A weight of fewer numbers is not worth an entry in the tables of blocks.
LARGE = 2**12
# The version of the format from which on a weight that is no input cannot be replaced by a caller.
_WEIGHTS_APART = 4
PRODUCTS, CONVOLUTIONS, RECURRENT, TABLES = ("Gemm", "MatMul"), ("Conv",), ("LSTM",), ("Gather",)
# Of any of these, the second operand - of a Gather the first, of a recurrent layer also the third - holds weights.
WEIGHTED = (*PRODUCTS, *CONVOLUTIONS, *RECURRENT, *TABLES, "ConvTranspose", "GRU", "RNN")
# What an output may go through after what makes it.
_SHOWING = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger")
_QUANTIZED_STARTS = ("QLinear", "DynamicQuantize", "MatMulNBits", "MatMulInteger", "GatherBlockQuantized", "QGemm")


@dataclass(frozen=True)
class Port:
    """An input or output.

    Attributes:
        name: in the file. dtype: NumPy's name of its element type. shape: its sizes, None where they are open. classes:
        of an output, how many numbers it says the place of the largest of; None where that is not known.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    classes: int | None = None


class FloatModel:
    """The model to quantize.

    Args:
        content: of an .onnx file, weights included. name: for messages.

    Attributes:
        content: the file as it is. proto: the model as the quantizer wants it, its nodes all with names.

    Raises:
        ExportError: it is quantized already, or cannot be read.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self.content, self.name = content, name
        given = _parsed(content, name)
        _fix_weights(given)
        quantized = sorted({n.op_type for n in given.graph.node if _is_quantized(n.op_type)})
        if quantized:
            raise ExportError(
                f"{name} is quantized already: it has {', '.join(quantized)}. Give the float model that it was made of."
            )
        held = {t.name for t in given.graph.initializer}
        self.inputs = [_port(x, name) for x in given.graph.input if x.name not in held]
        self.proto = _parsed(prepare(given.SerializeToString()), name)
        self.outputs = [replace(_port(y, name), classes=_classes(self.proto.graph, y.name)) for y in given.graph.output]
        _drop_unused_domains(self.proto)
        _name_nodes(self.proto)

    @property
    def fixed_batch(self) -> int | None:
        """How many samples the file takes at a time, None where it takes any number."""
        return next((p.shape[0] for p in self.inputs if p.shape and p.shape[0] is not None), None)

    def nodes(self, kinds: Collection[str], least: int = 1) -> tuple[str, ...]:
        """Returns the names of the nodes of some kinds whose weights are at least so many constant numbers."""
        weights = constants(self.proto)
        return tuple(
            n.name
            for n in self.proto.graph.node
            if n.op_type in kinds and n.domain in ("", "ai.onnx") and _weight_size(n, weights) >= least
        )

    def all_nodes(self, kinds: Collection[str]) -> tuple[str, ...]:
        """Returns the names of all nodes of some kinds."""
        return tuple(n.name for n in self.proto.graph.node if n.op_type in kinds)


def read_float_model(path: str | os.PathLike[str]) -> FloatModel:
    """Returns the model of an .onnx file, with the weights that lie beside it.

    Raises:
        DataError: it is no such file. ExportError: see `FloatModel`.
    """
    if not Path(path).is_file():
        raise DataError(f"There is no file {os.fspath(path)}.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's error types differ between its implementations
        raise DataError(f"{os.fspath(path)} is not an ONNX file, or is damaged: {error}") from error
    _read_weights(model, path)
    if model.ByteSize() > LARGEST_FILE:
        raise ExportError(f"{os.fspath(path)} has more than 2 GiB of weights, too many for onnxruntime's quantizer.")
    return FloatModel(model.SerializeToString(), os.fspath(path))


def _read_weights(model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
    """Reads the weights that lie beside a file."""
    folder = os.path.dirname(path)
    try:
        onnx.load_external_data_for_model(model, folder)
    except Exception as error:  # of several kinds, which differ between versions of onnx
        named = {e.value for t in model.graph.initializer for e in t.external_data if e.key == "location"}
        missing = [name for name in sorted(named) if not os.path.exists(os.path.join(folder, name))]
        if missing:
            raise DataError(
                f"{os.fspath(path)} keeps weights in '{missing[0]}', which is missing: put that file beside the model."
            ) from error
        raise DataError(f"{os.fspath(path)} has weights in other files, which cannot be read: {error}") from error


def constants(model: onnx.ModelProto) -> dict[str, TensorProto]:
    """Returns the float32 weights that no caller can replace, by name."""
    given = {x.name for x in model.graph.input}
    return {t.name: t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and t.name not in given}


def weight_of(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> TensorProto | None:
    """Returns the constant that a node multiplies by or looks up in, None where it has none."""
    at = 0 if node.op_type == "Gather" else 1
    return weights.get(node.input[at]) if len(node.input) > at else None


def array_of(tensor: TensorProto) -> Array:
    """Returns the numbers of a weight."""
    return np.asarray(numpy_helper.to_array(tensor))


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Returns the attributes of a node by name."""
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def layer_of(node: str) -> str:
    """Returns the name of the layer that a node is named after."""
    return node.rpartition("/")[0] or node


def _weight_size(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> int:
    weight = weight_of(node, weights)
    if node.op_type in ("LSTM", "GRU", "RNN") and weight is not None and node.input[2] in weights:
        return int(np.prod(weight.dims) + np.prod(weights[node.input[2]].dims))
    # A product of more than matrices, or a lookup along another axis than the first, is no layer of ours.
    if weight is None or (node.op_type in (*PRODUCTS, *TABLES) and len(weight.dims) != 2):
        return 0
    given = attributes(node)
    if any(given.get(name, usual) != usual for name, usual in (("alpha", 1), ("beta", 1), ("transA", 0))):
        return 0
    if node.op_type == "Gather" and given.get("axis", 0) != 0:
        return 0
    return int(np.prod(weight.dims))


def _parsed(content: bytes, name: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's error types differ between its implementations
        raise DataError(f"{name} is not an ONNX file, or is damaged: {error}") from error
    if not model.graph.output:
        raise DataError(f"{name} is not an ONNX file, or is damaged: it has no outputs.")
    return model


def _fix_weights(model: onnx.ModelProto) -> None:
    """Takes weights off the inputs of an old file, where all had to be among them, meant to be replaced or not."""
    if model.ir_version < _WEIGHTS_APART:
        held = {t.name for t in model.graph.initializer}
        kept = [x for x in model.graph.input if x.name not in held]
        del model.graph.input[:]
        model.graph.input.extend(kept)
        model.ir_version = _WEIGHTS_APART


def _is_quantized(kind: str) -> bool:
    return kind in _QUANTIZED or kind.startswith(_QUANTIZED_STARTS)


def _port(value: onnx.ValueInfoProto, name: str) -> Port:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ExportError(f"{name}: '{value.name}' is no tensor, and only tensors can be quantized.")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    return Port(value.name, dtype, shape)


def _classes(graph: onnx.GraphProto, output: str) -> int | None:
    """Returns how many numbers an output says the place of the largest of, None where it says no such thing."""
    makers = {y: node for node in graph.node for y in node.output}
    node = makers.get(output)
    while node is not None and node.op_type in _SHOWING:
        node = makers.get(node.input[0])
    if node is None or node.op_type != "ArgMax":
        return None
    known = next((v for v in (*graph.value_info, *graph.input) if v.name == node.input[0]), None)
    sizes = [] if known is None else known.type.tensor_type.shape.dim
    axis = attributes(node).get("axis", 0)
    # What is not said reads as zero.
    return (sizes[axis].dim_value or None) if -len(sizes) <= axis < len(sizes) else None


def _drop_unused_domains(model: onnx.ModelProto) -> None:
    """Removes the sets of operators that onnxruntime lists whether a model uses them or not."""
    used = _domains(model.graph) | {n.domain for f in model.functions for n in f.node}
    kept = [x for x in model.opset_import if x.domain in ("", "ai.onnx") or x.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _domains(graph: onnx.GraphProto) -> set[str]:
    found = {n.domain for n in graph.node}
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                found |= _domains(inner)
    return found


def _name_nodes(model: onnx.ModelProto) -> None:
    """Gives every node a name of its own: by them it is said which are quantized."""
    taken: set[str] = set()
    for i, node in enumerate(model.graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.name or node.op_type}_{i}"
        taken.add(node.name)
