"""Exporting a Sequential model: its inference graph with the weights in it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqc.errors import ConfigError, ExportError, NotBuiltError
from seqc.export import export_graph
from seqc.export.about import texts_about
from seqc.export.axes import each as files_of
from seqc.export.axes import fixed_shapes, read_axis_names, read_sizes, with_axis_names
from seqc.export.ends import read_ends, read_layer_outputs, with_layer_outputs
from seqc.export.options import check_flags, check_format, check_known, check_path, read_signature, signature_tree
from seqc.export.preparing import without_unused
from seqc.graph.ir import Graph, Value
from seqc.graph.tracing import Variable
from seqc.layers._common import KerasShape
from seqc.passes.binding import bind_constants
from seqc.passes.half_precision import forget_halves

if TYPE_CHECKING:
    from seqc.export.receipt import Receipt
    from seqc.layers.input_spec import InputSpec
    from seqc.model import Model


def inference_graph(model: Model, batch_shape: Any = None, borrowed: bool = False) -> Graph:
    """Returns the model's inference graph; its weights are constants that carry their names.

    Args:
        model: a built model. batch_shape: of the input, where it is to fix more sizes than the model's own; of several
        inputs a list.
        borrowed: whether the graph may use the model's own arrays, as it is dropped before the model changes.

    Raises:
        NotBuiltError: the model does not know its input shape yet. ExportError: it keeps states between predictions.
    """
    graph, trace = model.graph(batch_shape)
    refuse_memory(model.name, graph, trace.reads, trace.updates)
    arrays = {leaf: variable.array for variable, leaf in trace.reads.items()}
    bound = bind_constants(graph, arrays, borrowed)
    # A file computes in float32 what the policies of layers round to half precision: any runtime can, and more exactly.
    return forget_halves(without_unused(bound, len(model._ports())))


def refuse_memory(model: str, graph: Graph, reads: Mapping[Variable, Value], updates: Iterable[Variable]) -> None:
    """Refuses a model that remembers something from one prediction to the next.

    Args:
        model: its name. graph: what it computes. reads: the input standing for each variable. updates: what it changes.

    Raises:
        ExportError: it does.
    """
    used = set(graph.walk())
    remembered = [v.path for v in updates if v in reads and reads[v] in used]
    if remembered:
        raise ExportError(
            f"Model '{model}' changes {', '.join(remembered)} in a prediction, on which the next one depends; an "
            "ONNX file keeps nothing from one run to the next. Let the model take and give the states instead of "
            "stateful=True: h = Input((units,)); y, new = GRU(units, return_state=True)(x, initial_state=h); "
            "Model([x, h], [y, new])."
        )


def export_model(
    model: Model,
    path: str | os.PathLike[str],
    *,
    format: str = "onnx",
    input_signature: Any = None,
    opset_version: int | None = None,
    sizes: Any = None,
    **options: Any,
) -> Any:
    """Writes a model as a verified ONNX file for inference.

    Args:
        model: a built model, or one that `input_signature` builds. path: the file.
        format: "onnx"; Keras's others are refused.
        input_signature: Keras's way to fix sizes that the model leaves open, and to name the input:
        [seqc.InputSpec(shape=(1, 28, 28), dtype="float32", name="image")]; of several inputs one for each, in a list or
        by name. opset_version: Keras's name of `opset`.
        sizes: of axes that the model leaves open, by the names that the receipt and the file have for them:
        {"batch": 1, "time": 50}. Of several sizes, {"batch": [1, 8]}, every combination is a file, `m_batch8.onnx`, and
        a list of receipts comes back.
        input_name, output_name: names in the file, of several a list or a dictionary by the model's own names; by
        default those of the inputs and of the layers that give the outputs.
        axis_names: other names for open axes, by those they have: {"time": "words"}.
        layer_outputs: names of layers whose outputs the file gives, after the model's own.
        describe, classes, units: what the file says of the model; see `texts_about`.
        head, input_dtype, rescale: what the file makes of an output, and takes in place of the model's input; see
        `read_ends`.
        options: see `export_graph` (verify, opset, ir_version, channels_first_input, metadata, ...).

    Raises:
        NotBuiltError: the model has not been built. ConfigError and its kin: an argument makes no sense.
        ExportError and its kin: see `export_graph`.
    """
    check_path(path)
    check_format(format)
    check_known(options, _OPTIONS)
    if opset_version is not None and options.setdefault("opset", opset_version) != opset_version:
        raise ConfigError(f"opset={options['opset']} and opset_version={opset_version} say the same thing; give one.")
    if not model.layers:
        raise NotBuiltError(f"Model '{model.name}' has no layers to export. Add some first: model.add(layer).")
    called = model
    if input_signature is not None and (model.shaped_by_call or not model.built):
        called = model.called_on(signature_tree(input_signature))
    specs = [] if input_signature is None else read_signature(called, input_signature)
    chosen = read_sizes(sizes)
    receipts = [_export_one(called, file, specs, each, **options) for file, each in files_of(path, chosen)]
    return receipts[0] if all(len(numbers) == 1 for numbers in chosen.values()) else receipts


def _export_one(
    model: Model,
    path: str | os.PathLike[str],
    specs: Sequence[InputSpec],
    sizes: Mapping[str, int],
    *,
    input_name: Any = None,
    output_name: Any = None,
    axis_names: Any = None,
    layer_outputs: Any = None,
    head: Any = None,
    input_dtype: Any = None,
    rescale: Any = None,
    describe: bool = False,
    classes: Any = None,
    units: Any = None,
    **options: Any,
) -> Receipt:
    layers, names = read_layer_outputs(layer_outputs), read_axis_names(axis_names)
    called = with_layer_outputs(model, layers)
    shapes = [_merged(port.shape, spec.shape) for port, spec in zip(called._ports(), specs, strict=bool(specs))]
    if sizes:
        shapes = fixed_shapes(_own_inputs(called, shapes), sizes)
    graph = inference_graph(called, shapes[0] if len(shapes) == 1 else shapes or None, borrowed=True)
    if names:
        graph = with_axis_names(graph, names)
    own = len(called._ports())
    ends = read_ends(
        graph.input_names[:own],
        graph.output_names[: len(graph.output_names) - len(layers)],
        layers=layers,
        head=head,
        input_dtype=input_dtype,
        rescale=rescale,
    )
    check_flags(describe=describe)
    own_graph, graph = graph, ends.of_graph(graph)
    if input_name is None and any(spec.name is not None for spec in specs):
        input_name = [spec.name or name for spec, name in zip(specs, graph.input_names, strict=False)]
    inputs = (*_named("input_name", input_name, graph.input_names[:own]), *graph.input_names[own:])
    outputs = (
        _free(graph.output_names, inputs)
        if output_name is None
        else _named("output_name", output_name, graph.output_names)
    )
    # A head may make several outputs of one, which then go by the model's name.
    same = own_graph.output_names == graph.output_names
    in_file = dict(zip(own_graph.output_names, outputs if same else own_graph.output_names, strict=True))
    in_file |= dict(zip(own_graph.input_names[:own], inputs[:own], strict=True))
    about = texts_about(model, own_graph, in_file, describe=describe, classes=classes, units=units)
    return export_graph(
        graph,
        path,
        about=about,
        input_names=inputs,
        output_names=outputs,
        layers=len(model.layers),
        parameters=model.count_params(),
        model_name=model.name,
        ends=ends.text,
        **options,
    )


def _own_inputs(model: Model, shapes: Sequence[KerasShape]) -> Graph:
    """Returns a model's graph, for the names of its axes, with its own inputs alone."""
    wanted: Any = shapes[0] if len(shapes) == 1 else list(shapes) or None
    graph, _ = model.graph(wanted)
    return Graph(graph.inputs[: len(model._ports())], graph.outputs, graph.output_names)


def _free(names: Sequence[str], taken: Sequence[str]) -> tuple[str, ...]:
    """Returns names of outputs, with others for those that inputs have: in a file every name is there once."""
    found: list[str] = []
    own = {name for name in names if name not in taken}
    for name in names:
        free, number = name, 0
        while free in taken or free in found or (free != name and free in own):
            free, number = f"{name}_output{f'_{number}' if number else ''}", number + 1
        found.append(free)
    return tuple(found)


def _named(argument: str, given: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names in the file for inputs or outputs that the model calls `names`.

    Raises:
        ConfigError: they are not as many, or name what is not there.
    """
    if given is None:
        return tuple(names)
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in names]
        if unknown:
            raise ConfigError(f"{argument} names {unknown}; the model has {list(names)}.")
        return tuple(given.get(name, name) for name in names)
    listed = tuple(given) if isinstance(given, list | tuple) else (given,)
    if len(listed) != len(names):
        raise ConfigError(f"{argument} needs {len(names)} names, for {list(names)}; got {list(listed)}.")
    return listed


def _merged(shape: KerasShape | None, wanted: KerasShape | None) -> KerasShape:
    """Returns a model's input shape with the sizes that only a signature says."""
    return tuple(b if a is None else a for a, b in zip(shape or (), wanted or (), strict=True))


# What a caller may say; the rest of `export_graph`'s arguments follows from the model.
_FOLLOWS = {
    *("model", "graph", "path", "specs", "options", "input_names", "output_names", "layers", "parameters"),
    *("model_name", "ends", "about"),
}
_OPTIONS = tuple(
    dict.fromkeys(
        name
        for function in (export_model, _export_one, export_graph)
        for name in inspect.signature(function).parameters
        if name not in _FOLLOWS
    )
)
