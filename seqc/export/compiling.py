"""A graph as an ONNX model: its passes, half precision where asked for, the emitter, and the rules of a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seqc.errors import NoLoweringError
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.places import Place, check_emission, check_graph
from seqc.export.target import onnx_target
from seqc.graph.ir import Graph
from seqc.graph.target import Target
from seqc.passes.lower_precision import lower_precision
from seqc.passes.pipeline import run_passes

if TYPE_CHECKING:
    import onnx

    from seqc.export.emitter import Emission

# The name of a graph whose model has none.
MODEL = "model"


def compile_graph(
    graph: Graph, *, opset: int = 18, ir_version: int | None = None, metadata: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """Returns an inference graph as a checked ONNX model, after the passes of `FOR_INFERENCE`."""
    return compile_with_names(graph, onnx_target(opset), ir_version=ir_version, metadata=metadata).model


def compile_with_names(
    graph: Graph,
    target: Target,
    *,
    ir_version: int | None = None,
    metadata: Mapping[str, str] | None = None,
    kept_single: Sequence[str] | None = None,
    name: str = MODEL,
) -> Emission:
    """Returns an inference graph after its passes, as a checked ONNX model, and the names of its values there.

    Args:
        kept_single: names of layers that stay in float32 where others go to half precision; None where none do.
        name: of the file's graph.
    """
    from seqc._version import __version__
    from seqc.export.emitter import write

    texts = {"seqc.version": __version__, **(metadata or {})}
    made = run_passes(graph, FOR_INFERENCE, target)
    if kept_single is None:
        return write(made, target, ir_version=ir_version, metadata=texts, name=name)
    half = lower_precision(made, kept_single)
    return replace(write(half, target, ir_version=ir_version, metadata=texts, name=name), single=made)


def compile_for(
    place: Place | None,
    graph: Graph,
    opset: int,
    *,
    fixed: bool,
    **options: Any,
) -> tuple[Emission, tuple[str, ...]]:
    """Returns an inference graph as a model for where it is to run, and what of it runs elsewhere than it should.

    Args:
        place: where; None says nothing. opset: of the file. fixed: whether it is to be this one, and not the first that
        a layer needs, where the place reads it. options: see `compile_with_names`.

    Raises:
        ExportError: a layer cannot run there. NoLoweringError: an op has no ONNX form.
    """
    if place is not None:
        check_graph(place, graph)
    try:
        emission = compile_with_names(graph, onnx_target(opset, place=place), **options)
    except NoLoweringError as error:
        if fixed or error.opset is None or error.opset <= opset:
            raise
        if place is not None and error.opset > place.newest:
            raise NoLoweringError(
                f"{error} But {place.title} reads opset {place.newest} at most.", error.opset
            ) from error
        return compile_for(place, graph, error.opset, fixed=False, **options)
    return emission, () if place is None else check_emission(place, emission)
