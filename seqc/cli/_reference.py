"""The graph that a file is compared with: a model's, with what the file says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqc.cli._output import shape_text
from seqc.errors import ExportError, SeqcError

if TYPE_CHECKING:
    import onnx

    from seqc.cli._onnx import Port
    from seqc.export.emitter import Emission
    from seqc.graph.ir import Graph
    from seqc.model import Model


def reference_of(model: Model, file: onnx.ModelProto) -> Graph:
    """Returns the model's graph with the ends, names, layouts and sizes that the file has."""
    from seqc.cli._onnx import metadata
    from seqc.export.axes import fixed_shapes
    from seqc.export.ends import ends_in, with_layer_outputs
    from seqc.export.model import inference_graph

    ends = ends_in(metadata(file))
    whole = with_layer_outputs(model, ends.layers)
    open_graph = inference_graph(whole)
    found = _as_in_file(ends.of_graph(open_graph), file)
    sizes = _fixed_sizes(found, file)
    if not sizes:
        return found
    shapes = fixed_shapes(open_graph, sizes)[: len(whole._ports())]
    fixed = inference_graph(whole, shapes[0] if len(shapes) == 1 else shapes)
    return _as_in_file(ends.of_graph(fixed), file)


def _as_in_file(graph: Graph, file: onnx.ModelProto) -> Graph:
    from seqc.cli._onnx import metadata
    from seqc.export import rename
    from seqc.export.layouts import as_in_file
    from seqc.passes.lower_precision import PRECISION
    from seqc.passes.precision import promote_floats

    if metadata(file).get(PRECISION) == "float64":
        graph = promote_floats(graph)
    graph = rename(graph, [x.name for x in file.graph.input], [y.name for y in file.graph.output])
    return as_in_file(graph, metadata(file))


def _fixed_sizes(graph: Graph, file: onnx.ModelProto) -> dict[str, int]:
    """Returns the axes that the model leaves open and the file does not."""
    from seqc.cli._onnx import ports

    pairs = (
        (str(ours), theirs)
        for value, port in zip(graph.inputs, ports(file.graph.input), strict=True)
        for ours, theirs in zip(value.type.shape, port.shape or (), strict=False)
        if not isinstance(ours, int) and isinstance(theirs, int)
    )
    return {name: size for name, size in pairs if name.isidentifier()}


def check_ports(graph: Graph, file: onnx.ModelProto) -> None:
    """Raises ExportError where an input or output of the file is another than the model's, naming both."""
    from seqc.cli._onnx import Port, ports

    sides = (("input", file.graph.input, graph.inputs), ("output", file.graph.output, graph.outputs))
    wrong = []
    for kind, theirs, ours in sides:
        for found, value in zip(ports(theirs), ours, strict=True):
            shape = tuple(d if isinstance(d, int) else str(d) for d in value.type.shape)
            wanted = Port(found.name, value.dtype, shape)
            if found.dtype != wanted.dtype or not _may_be_same(found.shape, shape):
                wrong.append(f"{kind} '{found.name}' is {_shown(found)} in the file and {_shown(wanted)} in the model")
    if wrong:
        raise ExportError(f"They are different models: {'; '.join(wrong)}.")


def _may_be_same(theirs: tuple[Any, ...] | None, ours: tuple[Any, ...]) -> bool:
    if theirs is None:
        return True
    pairs = zip(theirs, ours, strict=False)
    return len(theirs) == len(ours) and all(a == b for a, b in pairs if isinstance(a, int) and isinstance(b, int))


def _shown(port: Port) -> str:
    return f"{port.dtype}{shape_text(port.shape)}"


def written_again(reference: Graph, file: onnx.ModelProto) -> Emission | None:
    """Returns the model as it would be written now at the file's opset, None where it cannot be.

    Where the names inside are the same, every value of the file is compared.
    """
    from seqc.cli._onnx import metadata
    from seqc.export import compile_with_names
    from seqc.export.places import find_place
    from seqc.export.target import onnx_target
    from seqc.passes.lower_precision import kept_layers

    kept = kept_layers(metadata(file))
    opset = next((x.version for x in file.opset_import if x.domain in ("", "ai.onnx")), 0)
    try:
        target = onnx_target(opset, place=find_place(metadata(file).get("seqc.target")))
        return compile_with_names(reference, target, kept_single=kept)
    except SeqcError:
        return None
