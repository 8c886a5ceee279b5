"""Exporting a Sequential model: its inference graph with the weights in it."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

from seqc.errors import ConfigError, NotBuiltError
from seqc.export import export_graph
from seqc.export.options import check_format, check_known, read_signature
from seqc.ir import Graph
from seqc.layers._common import KerasShape
from seqc.passes import bind_constants

if TYPE_CHECKING:
    from seqc.export.receipt import Receipt
    from seqc.model import Model


def inference_graph(model: Model, batch_shape: KerasShape | None = None, borrowed: bool = False) -> Graph:
    """Returns the model's inference graph; its weights are constants that carry their names.

    Args:
        model: a built model. batch_shape: of the input, where it is to fix more sizes than the model's own.
        borrowed: whether the graph may use the model's own arrays, as it is dropped before the model changes.

    Raises:
        NotBuiltError: the model does not know its input shape yet.
    """
    graph, trace = model.graph(batch_shape)
    arrays = {leaf: variable.array for variable, leaf in trace.reads.items()}
    bound = bind_constants(graph, arrays, borrowed)
    # Seed and step stay only where a layer draws random numbers at inference, which the passes remove or refuse.
    used = set(bound.walk())
    first, *rest = bound.inputs
    kept = (first, *(x for x in rest if x in used))
    return Graph(kept, bound.outputs, bound.output_names)


def export_model(
    model: Model,
    path: str | os.PathLike[str],
    *,
    format: str = "onnx",
    input_signature: Any = None,
    opset_version: int | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    **options: Any,
) -> Receipt:
    """Writes a model as a verified ONNX file for inference.

    Args:
        model: a built model, or one that `input_signature` builds. path: the file.
        format: "onnx"; Keras's others are refused.
        input_signature: Keras's way to fix sizes that the model leaves open, and to name the input:
        [seqc.InputSpec(shape=(1, 28, 28), dtype="float32", name="image")]. opset_version: Keras's name of `opset`.
        input_name, output_name: names in the file; by default those of the input and of the last layer.
        options: see `export_graph` (verify, opset, ir_version, channels_first_input, metadata, ...).

    Raises:
        NotBuiltError: the model has not been built. ConfigError and its kin: an argument makes no sense.
        ExportError and its kin: see `export_graph`.
    """
    check_format(format)
    check_known(options, _OPTIONS)
    if opset_version is not None and options.setdefault("opset", opset_version) != opset_version:
        raise ConfigError(f"opset={options['opset']} and opset_version={opset_version} say the same thing; give one.")
    if not model.layers:
        raise NotBuiltError(f"Model '{model.name}' has no layers to export. Add some first: model.add(layer).")
    spec = None if input_signature is None else read_signature(model, input_signature)
    if spec is not None and not model.built:
        model.build(spec.shape)
    shape = None if spec is None else _merged(model.input_shape, spec.shape)
    graph = inference_graph(model, shape, borrowed=True)
    if input_name is None and spec is not None:
        input_name = spec.name
    inputs = graph.input_names if input_name is None else (input_name, *graph.input_names[1:])
    (last,) = graph.output_names
    if output_name is None:
        output_name = f"{last}_output" if last in inputs else last
    return export_graph(
        graph,
        path,
        input_names=inputs,
        output_names=[output_name],
        layers=len(model.layers),
        parameters=model.count_params(),
        model_name=model.name,
        **options,
    )


def _merged(shape: KerasShape, wanted: KerasShape | None) -> KerasShape:
    """Returns a model's input shape with the sizes that only a signature says."""
    return tuple(b if a is None else a for a, b in zip(shape, wanted or (), strict=True))


# What a caller may say; the rest of `export_graph`'s arguments follows from the model.
_FOLLOWS = {"model", "graph", "path", "options", "input_names", "output_names", "layers", "parameters", "model_name"}
_OPTIONS = tuple(
    name
    for function in (export_model, export_graph)
    for name in inspect.signature(function).parameters
    if name not in _FOLLOWS
)
