"""Where a file leaves its model: the results of each layer, as they come out of the file, against double precision.

A verification looks at every operation by itself, on operands of its own. Here errors add up as they do when the model
runs, so that one can see which layer makes them, and by how much those behind it make them larger.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from seqc.backends.onnxruntime import Session
from seqc.errors import ExportError
from seqc.export._schema import element_type
from seqc.export.compare import ERROR_FACTOR, LAST_PLACES, compare_arrays, distance, scale_of
from seqc.export.emitter import Emission
from seqc.export.nodes import loaded
from seqc.export.report import OutputCheck
from seqc.export.rewritten import wide
from seqc.export.samples import Sampler, choose_sizes
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Constant, Graph, Input, Value
from seqc.passes.precision import promote_floats


@dataclass(frozen=True)
class LayerError:
    """What comes out of one layer.

    Attributes:
        layer: its name. tensor: the last of its results that others read, by its name in the file.
        numpy_error: what NumPy loses there in the file's own precision. check: of onnxruntime's result.
    """

    layer: str
    tensor: str
    numpy_error: float
    check: OutputCheck


def errors_by_layer(emission: Emission, model: bytes | os.PathLike[str], seed: int = 0) -> list[LayerError]:
    """Returns how far the results of each layer are off, in the order of computing.

    Args:
        emission: the model as it would be written now. model: the file. seed: of the inputs, a batch of two.

    Raises:
        ExportError: the file has other values inside, or does not run.
    """
    graph, names = emission.graph, emission.names
    results = _last_results(graph)
    file = loaded(model)
    made = {y for node in file.graph.node for y in node.output}
    missing = [names[v][0] for v in results if names[v][0] not in made]
    if missing:
        raise ExportError(
            f"The file has no '{missing[0]}' inside: it was written by another version, or changed since, so that its "
            "layers cannot be compared one by one. Export the model again."
        )
    session = Session(_with_outputs(file, {names[v][0]: v for v in results}), threads=1, optimize=False)
    inner = Graph(graph.inputs, tuple(results), tuple(names[v][0] for v in results))
    single, double = Interpreter(inner), Interpreter(promote_floats(inner))
    sampler = Sampler(graph)
    sizes = choose_sizes(graph, sampler.works(single.run))
    arrays = sampler.draw(next((s for s in sizes if s.get("batch", 2) == 2), sizes[0]), seed)
    got = session.run(dict(zip(graph.input_names, arrays, strict=True)))
    truths, singles = double.run([wide(a) for a in arrays]), single.run(list(arrays))
    return [
        _error(v.scope, names[v][0], got[names[v][0]], np.asarray(t), np.asarray(s))
        for v, t, s in zip(results, truths, singles, strict=True)
    ]


def first_wrong(found: Sequence[LayerError]) -> LayerError | None:
    """Returns the first layer that is further off than rounding explains."""
    return next((one for one in found if not one.check.passed), None)


def _error(layer: str, name: str, got: Array, truth: Array, single: Array) -> LayerError:
    eps = float(np.finfo(single.dtype).eps) if single.dtype.kind == "f" else 0.0
    loss, scale = distance(single, truth), scale_of(truth, single)
    check = OutputCheck(name, budget=ERROR_FACTOR * loss + LAST_PLACES * eps * scale)
    return LayerError(layer, name, loss, compare_arrays(check, got, truth, single))


def _last_results(graph: Graph) -> list[Value]:
    """Returns the last value of each layer that another one, or the caller, reads."""
    read = set(graph.outputs)
    for value in graph.walk():
        read |= {x for x in value.inputs if x.scope != value.scope}
    last: dict[str, Value] = {}
    order = [v for v in graph.walk() if not isinstance(v.op, Input | Constant) and not isinstance(v.result, tuple)]
    for value in order:
        if value in read and value.scope:
            last[value.scope] = value
    chosen = set(last.values())
    return [v for v in order if v in chosen]


def _with_outputs(file: onnx.ModelProto, values: Mapping[str, Value]) -> bytes:
    there = {y.name for y in file.graph.output}
    for name, value in values.items():
        if name not in there:
            rank = [None] * value.type.rank
            file.graph.output.append(helper.make_tensor_value_info(name, element_type(value.dtype), rank))
    content: bytes = file.SerializeToString()
    return content
