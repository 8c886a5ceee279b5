"""What files say of the tensors inside them, beside what onnx infers and what onnxruntime computes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper

from seqc.backends.onnxruntime import Session

Array = np.ndarray


def sizes_of(found: onnx.ValueInfoProto) -> list[str | int | None]:
    """Returns the sizes of a tensor, None for those that are not known, which its type and rank must be."""
    tensor = found.type.tensor_type
    assert tensor.elem_type, f"{found.name} has no type"
    assert tensor.HasField("shape"), f"{found.name} has no shape"
    return [d.dim_param or (d.dim_value if d.HasField("dim_value") else None) for d in tensor.shape.dim]


def check_complete(model: onnx.ModelProto) -> None:
    """Every tensor inside is described once, in the order of computing, with all its sizes."""
    for graph in _graphs(model.graph):
        assert [v.name for v in graph.value_info] == _inside(graph)
        for found in graph.value_info:
            assert None not in sizes_of(found), f"{found.name} has sizes {sizes_of(found)}"


def check_inferred(model: onnx.ModelProto) -> None:
    """onnx, which is told nothing, infers nothing else."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for graph in _graphs(bare.graph):
        del graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(bare, check_type=True, strict_mode=True, data_prop=True)
    for graph, known in zip(_graphs(model.graph), _graphs(inferred.graph), strict=True):
        said = {v.name: v for v in graph.value_info}
        for found in known.value_info:
            if not found.type.tensor_type.HasField("shape"):
                continue
            assert found.type.tensor_type.elem_type == said[found.name].type.tensor_type.elem_type
            for mine, theirs in zip(sizes_of(said[found.name]), sizes_of(found), strict=True):
                assert mine == theirs or not isinstance(theirs, int), f"{found.name}: {mine} is {theirs} to onnx"


def check_all(model: onnx.ModelProto, inputs: list[Array]) -> None:
    """All of the checks; `inputs` are arrays for the one input of the file."""
    check_complete(model)
    check_inferred(model)
    check_computed(model, inputs)


def check_computed(model: onnx.ModelProto, inputs: list[Array]) -> None:
    """onnxruntime computes tensors of the types and sizes that the file, which has one input, says."""
    said = {v.name: v for v in model.graph.value_info}
    opened, steps = _opened(model)
    session = Session(opened.SerializeToString(), threads=1, optimize=False)
    (source,) = model.graph.input
    for x in inputs:
        sizes = {str(name): n for name, n in zip(sizes_of(source), x.shape, strict=True)}
        got = session.run({source.name: x})
        for name, found in (said | steps).items():
            y = got[name]
            expected = [eval(str(n), {"floor": math.floor}, dict(sizes)) for n in sizes_of(found)]
            actual = list(y.shape[1:] if name in steps else y.shape)
            assert actual == expected, f"{name} has shape {actual}, not {sizes_of(found)}"
            dtype = helper.tensor_dtype_to_np_dtype(found.type.tensor_type.elem_type)
            assert y.dtype == dtype, f"{name} is {y.dtype}, not {dtype}"


def _opened(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, onnx.ValueInfoProto]]:
    """Returns the model with all tensors as outputs, those inside Scans for all steps; and which those are."""
    opened, steps = onnx.ModelProto(), {}
    opened.CopyFrom(model)
    for node in opened.graph.node:
        for body in (a.g for a in node.attribute if a.HasField("g")):
            assert node.op_type == "Scan"
            for found in body.value_info:
                body.output.append(found)
                node.output.append(found.name)
                steps[found.name] = found
    every = [helper.make_tensor_value_info(n, v.type.tensor_type.elem_type, None) for n, v in steps.items()]
    opened.graph.output.extend([*opened.graph.value_info, *every])
    del opened.graph.value_info[:]
    return opened, steps


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yields a graph and those inside its nodes."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _inside(graph: onnx.GraphProto) -> list[str]:
    outputs = {y.name for y in graph.output}
    return [name for node in graph.node for name in node.output if name and name not in outputs]
