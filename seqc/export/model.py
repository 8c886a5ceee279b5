"""Exporting a Sequential model: its inference graph with the weights in it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from seqc.export import export_graph
from seqc.ir import Graph
from seqc.passes import bind_constants

if TYPE_CHECKING:
    from seqc.export.receipt import Receipt
    from seqc.sequential import Sequential


def inference_graph(model: Sequential) -> Graph:
    """Returns the model's inference graph; its weights are constants that carry their names.

    Raises:
        NotBuiltError: the model does not know its input shape yet.
    """
    graph, trace = model.graph()
    bound = bind_constants(graph, {leaf: variable.array for variable, leaf in trace.reads.items()})
    # Seed and step stay only where a layer draws random numbers at inference, which the passes remove or refuse.
    used = set(bound.walk())
    first, *rest = bound.inputs
    kept = (first, *(x for x in rest if x in used))
    return Graph(kept, bound.outputs, bound.output_names)


def export_model(
    model: Sequential,
    path: str | os.PathLike[str],
    *,
    input_name: str | None = None,
    output_name: str | None = None,
    **options: Any,
) -> Receipt:
    """Writes a model as a verified ONNX file for inference.

    Args:
        model: a built model. path: the file. input_name, output_name: names in the file; by default those of the input
        and of the last layer. options: see `export_graph` (verify, opset, ir_version, channels_first_input, ...).

    Raises:
        NotBuiltError: the model has not been built. ExportError and its kin: see `export_graph`.
    """
    graph = inference_graph(model)
    return export_graph(
        graph,
        path,
        input_names=None if input_name is None else [input_name, *graph.input_names[1:]],
        output_names=None if output_name is None else [output_name],
        layers=len(model.layers),
        parameters=model.count_params(),
        metadata={"seqc.model": model.name, **options.pop("metadata", {})},
        **options,
    )
