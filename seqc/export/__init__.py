"""Export to ONNX: passes, emission, verification against NumPy, and a file that is either whole or not there.

Importing this package imports neither onnx nor onnxruntime; its functions do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqc.export.compiling import MODEL as MODEL
from seqc.export.compiling import compile_for as compile_for
from seqc.export.compiling import compile_graph as compile_graph
from seqc.export.compiling import compile_with_names as compile_with_names
from seqc.export.options import (
    check_external_data,
    check_flags,
    check_ir_version,
    check_metadata,
    check_precision,
    check_record,
)
from seqc.export.places import check_place_opset, find_place, not_fit_for
from seqc.export.places.rules import nodes_of
from seqc.export.preparing import as_in_file, check_finite, count_bytes, count_parameters
from seqc.export.preparing import rename as rename
from seqc.export.quantization import quantize as quantize
from seqc.passes.lower_precision import HALF, precision_texts
from seqc.utils.absent import absent
from seqc.utils.files import check_room, check_target

if TYPE_CHECKING:
    from seqc.export.receipt import Receipt
    from seqc.graph.ir import Graph


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
        opset: version of the ONNX operators, 13 to 28; by default 18, what `target` and `min_ort` have, or the first
        that a layer needs. ir_version: of the file format; the lowest possible by default.
        input_names, output_names: names in the file instead of the graph's own, in order.
        channels_first_input, channels_first_output: take inputs, give outputs of rank 3 or more as
        (batch, channels, ...): all that have channels, or those of some names.
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
    size = count_bytes(graph) * (2 if precision == "float64" else 1)
    least = check_external_data(external_data, size)
    from seqc.export.disk import check_beside  # it needs onnx

    check_target(path)
    if beside or size >= least:
        check_beside(path)
    check_room(path, size)
    nonfinite = check_finite(graph, allow_nonfinite)
    names, channels_first = (input_names, output_names), (channels_first_input, channels_first_output)
    reference, texts = as_in_file(graph, precision=precision, names=names, channels_first=channels_first)
    own = {"seqc.ends": ends, "seqc.target": target, **(about or {}), **precision_texts(precision, float32_layers)}
    options: dict[str, Any] = {
        "ir_version": ir_version,
        "metadata": texts | {key: text for key, text in own.items() if text} | given,
        "kept_single": float32_layers if precision == HALF else None,
        "name": model_name or MODEL,
    }
    emission, elsewhere = compile_for(place, reference, number, fixed=opset is not None, **options)
    not_for = not_fit_for(nodes_of(emission)) if target is None else ()
    aim, first = emission.target, [emission]
    del emission  # `first` is emptied where the copy of the weights is no longer needed
    from seqc.export.receipt import Receipt, ports
    from seqc.export.writing import Manner, write_model

    manner = Manner(verify, functions, beside, least, allow_nonfinite)
    written = write_model(path, reference, first, lambda: compile_with_names(reference, aim, **options), manner)
    files = written.files
    return Receipt(
        path=os.fspath(path),
        layers=layers,
        parameters=count_parameters(graph) if parameters is None else parameters,
        nodes=written.nodes,
        opset=aim.opset,
        ir_version=check_ir_version(ir_version, aim.opset),
        inputs=ports(reference.inputs, reference.input_names),
        outputs=ports(reference.outputs, reference.output_names),
        file_bytes=files.sizes[files.target.name],
        data_file=files.data,
        data_bytes=files.sizes[files.data] if files.data else 0,
        seconds=time.perf_counter() - start,
        report=written.report,
        nonfinite=nonfinite,
        record=beside,
        place="" if place is None else place.title,
        elsewhere=elsewhere,
        not_for=not_for,
    )


__getattr__ = absent(__name__, ("export_graph", "quantize"))
