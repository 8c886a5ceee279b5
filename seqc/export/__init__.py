"""Export to ONNX: passes, emission, verification against NumPy, and a file that is either whole or not there.

Importing this package imports neither onnx nor onnxruntime; its functions do.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.errors import ExportError, NoLoweringError
from seqc.export import layouts
from seqc.export.options import (
    check_external_data,
    check_flags,
    check_ir_version,
    check_metadata,
    check_names,
    check_precision,
    check_record,
)
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.places import Place, check_emission, check_graph, check_place_opset, find_place
from seqc.export.quantization import quantize as quantize
from seqc.export.target import onnx_target
from seqc.graph.ir import Constant, Graph, Input, Type, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.passes.lower_precision import HALF, lower_precision, precision_texts, rounded
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats
from seqc.utils.files import check_room, check_target
from seqc.utils.working import working

if TYPE_CHECKING:
    import onnx

    from seqc.export.emitter import Emission
    from seqc.export.receipt import Port, Receipt
    from seqc.export.report import Report

# Bytes up to which a verification looks inside every file, which takes some ten times their memory. Of larger ones the
# outputs alone are compared, within a few times the memory of the weights, unless they hardly depend on the input.
INSIDE_LIMIT = 2**26
# The name of a graph whose model has none.
MODEL = "model"


def export_graph(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    verify: bool = True,
    target: str | None = None,
    min_ort: str | None = None,
    opset: int | None = None,
    ir_version: int | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    channels_first_input: bool | str | Sequence[str] = False,
    channels_first_output: bool | str | Sequence[str] = False,
    precision: str = "float32",
    float32_layers: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
    layers: int | None = None,
    parameters: int | None = None,
    model_name: str | None = None,
    ends: str = "",
    about: Mapping[str, str] | None = None,
    external_data: bool | int | None = None,
    allow_nonfinite: bool = False,
    record: bool = False,
    functions: bool = False,
) -> Receipt:
    """Writes an inference graph as an .onnx file and returns what was done.

    Args:
        graph: its weights are constants. path: the file; it is replaced only when everything went well.
        verify: whether to compare the file with NumPy in onnxruntime before it is written.
        target: where the file is to run, a name among `places.PLACES`: what cannot run there is refused.
        min_ort: the oldest onnxruntime that is to load it, as "1.16".
        opset: version of the ONNX operators, 13 to 28; by default 18, or what `target` and `min_ort` have. ir_version:
        of the file format; the lowest possible by default.
        input_names, output_names: names in the file instead of the graph's own, in order.
        channels_first_input, channels_first_output: take inputs, give outputs of rank 3 or more as
        (batch, channels, ...): all of them, or those of some names.
        precision: "float32"; "float16", in which products and convolutions are then, between ends of float32; or
        "float64", ends included. float32_layers: names of layers that float16 leaves alone.
        metadata: further texts to keep in the file. layers, parameters: counts for the receipt. model_name: the name of
        the file's graph. ends, about: what the file says of its ends and of the model, see the modules of these names.
        external_data: whether the weights lie in a file beside the model; a number of bytes says so of that many and
        more. By default they do where one file cannot hold them, from 2 GiB on.
        allow_nonfinite: whether weights, and with them all outputs, may be NaN or infinite.
        record: whether to write what the verification compared beside the file, see `seqc.export.record`; `seqc verify`
        repeats it from there on any machine. functions: whether the nodes of each layer are a function of the file's
        own with the layer's name.

    Raises:
        ExportError: the graph cannot be written as asked, or a weight is not finite. NoLoweringError: an op has no ONNX
        form.
        VerificationError: the file computes other numbers. MissingDependencyError: a package is needed.
    """
    start = time.perf_counter()
    check_flags(verify=verify, allow_nonfinite=allow_nonfinite, record=record, functions=functions)
    beside = check_record(path, verify) if record else None
    check_precision(precision, float32_layers, {v.scope.split("/")[0] for v in graph.walk()})
    place = find_place(target, min_ort)
    number = check_place_opset(place, opset)
    if ir_version is not None:
        check_ir_version(ir_version, number, place)
    given = check_metadata(metadata)
    size = _count_bytes(graph) * (2 if precision == "float64" else 1)
    least = check_external_data(external_data, size)
    from seqc.export import disk  # it needs onnx

    check_target(path)
    if beside or size >= least:
        disk.check_beside(path)
    check_room(path, size)
    nonfinite = nonfinite_weights(graph)
    if nonfinite and not allow_nonfinite:
        raise ExportError(
            f"{' '.join(nonfinite)} Such a model answers nothing but NaN or infinity, so nothing can be verified. "
            "Train it again with a smaller learning rate, or export it as it is with allow_nonfinite=True."
        )
    reference = rename(graph if precision != "float64" else promote_floats(graph), input_names, output_names)
    check_names(reference.input_names, reference.output_names)
    texts = {}
    half = precision == HALF
    for key, kind, asked, values, names, own in (
        (layouts.INPUT, "input", channels_first_input, reference.inputs, reference.input_names, graph.input_names),
        (
            layouts.OUTPUT,
            "output",
            channels_first_output,
            reference.outputs,
            reference.output_names,
            graph.output_names,
        ),
    ):
        texts[key] = layouts.described(layouts.chosen(asked, kind, values, names, own), values, names)
    reference = layouts.as_in_file(reference, texts)
    own_texts = {
        "seqc.ends": ends,
        "seqc.target": target,
        **(about or {}),
        **precision_texts(precision, float32_layers),
    }
    texts |= {key: text for key, text in own_texts.items() if text} | given
    options: dict[str, Any] = {
        "ir_version": ir_version,
        "metadata": texts,
        "kept_single": float32_layers if half else None,
        "name": model_name or MODEL,
    }
    emission, elsewhere = compile_for(place, reference, number, fixed=opset is not None, **options)
    aim = emission.target

    def compiled() -> Emission:
        return compile_with_names(reference, aim, **options)

    nodes = dict(sorted(Counter(node.op_type for node in emission.frame.graph.node).items()))
    large, outside = emission.size > INSIDE_LIMIT, emission.size >= least
    if outside:
        disk.check_beside(path)
    check_room(path, emission.size)
    with working("Export") as tell, disk.new_files(path) as files:
        files.write(emission.in_layers() if functions else emission, outside, tell)
        inside = None if large else emission
        single = rounded(emission.graph) if half else None
        del emission  # its arrays are another copy of the weights
        if large:
            gc.collect()  # passes leave functions that call themselves, and hold what they have seen
        report: Report | None = None
        if verify:
            from seqc.export.verify import verify as verify_model

            def checked(model: bytes | os.PathLike[str], emission: Emission | None) -> Report:
                blind = compiled if large else None
                return verify_model(
                    reference,
                    model,
                    emission,
                    if_blind=blind,
                    single=single,
                    allow_nonfinite=allow_nonfinite,
                    reorder=not large,
                    tell=tell,
                )

            if functions and inside is not None:
                # Single operations are compared in the same file without functions.
                report = replace(checked(files.model, None), values=checked(inside.content, inside).values)
            else:
                report = checked(files.model, inside)
        if beside and report:
            from seqc.export.record import make_record

            files.add(beside, make_record(reference, single, report, files.hash))
    from seqc.export.receipt import Receipt

    return Receipt(
        path=os.fspath(path),
        layers=layers,
        parameters=_count_parameters(graph) if parameters is None else parameters,
        nodes=nodes,
        opset=aim.opset,
        ir_version=check_ir_version(ir_version, aim.opset),
        inputs=_ports(reference.inputs, reference.input_names),
        outputs=_ports(reference.outputs, reference.output_names),
        file_bytes=files.sizes[files.target.name],
        data_file=files.data,
        data_bytes=files.sizes[files.data] if files.data else 0,
        seconds=time.perf_counter() - start,
        report=report,
        nonfinite=nonfinite,
        record=beside,
        place="" if place is None else place.title,
        elsewhere=elsewhere,
    )


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
        a layer needs and the place reads. options: see `compile_with_names`.

    Raises:
        ExportError: a layer cannot run there. NoLoweringError: an op has no ONNX form.
    """
    if place is not None:
        check_graph(place, graph)
    try:
        emission = compile_with_names(graph, onnx_target(opset, place=place), **options)
    except NoLoweringError as error:
        if place is None or fixed or error.opset is None or error.opset <= opset:
            raise
        if error.opset > place.newest:
            raise NoLoweringError(
                f"{error} But {place.title} reads opset {place.newest} at most.", error.opset
            ) from error
        return compile_for(place, graph, error.opset, fixed=False, **options)
    return emission, () if place is None else check_emission(place, emission)


def nonfinite_weights(graph: Graph) -> tuple[str, ...]:
    """Returns a sentence for each weight with numbers that are not finite, naming its layer."""
    found = []
    for value in graph.walk():
        op = value.op
        if isinstance(op, Constant) and op.label and value.type.is_float and not np.isfinite(op.array).all():
            layer, _, name = op.label.rpartition("/")
            what = "NaN" if np.isnan(op.array).any() else "infinity"
            count = int(np.sum(~np.isfinite(op.array)))
            who = f"Layer '{layer}'" if layer else "The model"
            found.append(f"{who} has {what} in {name} ({count:,} of {op.array.size:,} numbers).")
    return tuple(found)


def rename(graph: Graph, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Graph:
    """Returns the graph under other names of its inputs and outputs.

    Raises:
        ExportError: the number of names differs.
    """
    for kind, given, own in (("input", inputs, graph.input_names), ("output", outputs, graph.output_names)):
        if given is not None and len(given) != len(own):
            raise ExportError(f"The model has {len(own)} {kind}(s) {list(own)}; got {len(given)} names {list(given)}.")
    named: dict[Value, Value] = {}
    for x, name in zip(graph.inputs, graph.input_names if inputs is None else inputs, strict=True):
        assert isinstance(x.op, Input)
        named[x] = x if x.op.label == name else build(Input(name, x.op.dtype, x.op.shape), (), x.scope)
    renamed = rewrite(graph, lambda old, _: named.get(old))
    names = graph.output_names if outputs is None else tuple(outputs)
    return Graph(tuple(named[x] for x in graph.inputs), renamed.outputs, names)


def _count_bytes(graph: Graph) -> int:
    """Returns how many bytes the constants of a graph have, each array counted once."""
    arrays = (v.op.array for v in graph.walk() if isinstance(v.op, Constant))
    return sum({a.__array_interface__["data"][0]: a.nbytes for a in arrays}.values())


def _count_parameters(graph: Graph) -> int:
    return sum(v.op.array.size for v in graph.walk() if isinstance(v.op, Constant) and v.op.label)


def _ports(values: Sequence[Value], names: Sequence[str]) -> tuple[Port, ...]:
    from seqc.export.receipt import Port

    def shape(t: Type) -> tuple[int | str, ...]:
        return tuple(d if isinstance(d, int) else str(d) for d in t.shape)

    return tuple(Port(name, v.type.dtype, shape(v.type)) for v, name in zip(values, names, strict=True))
