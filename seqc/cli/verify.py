"""`seqc verify`: what can be proved about an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, Screen, number, screen
from seqc.cli._sizes import SizeOptions, parse_sizes
from seqc.errors import ConfigError, ExportError, SeqcError

if TYPE_CHECKING:
    import onnx

    from seqc.cli._onnx import Port
    from seqc.export.bisection import LayerError
    from seqc.export.emitter import Emission
    from seqc.export.verify import Report
    from seqc.graph.ir import Graph
    from seqc.model import Model


def verify(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The .onnx file.")],
    against: Annotated[
        Path | None,
        typer.Option(help="The model it was exported from: a model file of Keras or a model FILE (.py, which is run)."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights for --against, from a .weights.h5 or .keras file.", show_default=False)
    ] = None,
    size: SizeOptions = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="With --against: compare what comes out of each layer, too.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check an ONNX file, alone or against its model.

    With --against, onnxruntime's results are compared with NumPy's in double precision on generated inputs at several
    batch sizes, as an export does: the largest error must stay within what rounding explains. Without it the file is
    checked by itself: valid ONNX, loads and runs in onnxruntime, finite results, each sample the same alone as in a
    batch. The exit code is 1 if anything fails.

    \b
    Examples:
      seqc verify digits.onnx --against digits.keras
      seqc verify model.onnx --against model.py --weights trained.weights.h5
      seqc verify digits.onnx --against digits.keras --bisect
      seqc verify from_elsewhere.onnx --size time=50
    """
    with screen(as_json) as show:
        _check_options(against, weights, size, bisect)
        sizes = parse_sizes(size)
        passed = _against(show, model, against, weights, bisect) if against else _alone(show, model, sizes)
    if not passed:
        raise typer.Exit(1)


def _check_options(against: Path | None, weights: Path | None, size: list[str] | None, bisect: bool) -> None:
    if bisect and against is None:
        raise ConfigError("--bisect compares a file with the model given with --against, which is missing.")
    if against is None and weights is not None:
        raise ConfigError("--weights are those of the model given with --against, which is missing.")
    if against is not None and size:
        raise ConfigError("--size is for checking a file by itself; with --against, sizes are chosen from the model.")


def _against(show: Screen, path: Path, against: Path, weights: Path | None, bisect: bool) -> bool:
    from seqc.cli._onnx import read_bytes, read_model
    from seqc.cli._source import load_source
    from seqc.export.verify import compare
    from seqc.passes.lower_precision import rounded

    file = read_model(path)
    model = load_source(against, weights)
    show.line(f"{path} against {against}, onnxruntime against NumPy in double precision:")
    try:
        reference = _reference(model, file)
        _check_ports(reference, file)
        written = _written_again(reference, file)
        single = rounded(written.graph) if written is not None and written.single is not None else None
        report = compare(reference, read_bytes(path), written, single=single)
        layers = _errors_by_layer(written, path) if bisect else []
    except ExportError as error:
        show.line(f"FAILED: they cannot be compared. {error}")
        show.result({"model": str(path), "against": str(against), "passed": False, "error": str(error), "parity": None})
        return False
    show.rows(_parity_rows(report))
    show.line()
    if bisect:
        _show_layers(show, layers)
    if report.passed:
        show.line("Passed: the file computes what the model computes, on the inputs tried.")
    else:
        show.line("FAILED: the file does not compute what the model computes.")
        if against.suffix == ".py" and weights is None:
            show.line(f"The model's weights are those that {against} makes; give --weights to compare trained ones.")
    result: dict[str, Any] = {"passed": report.passed, "error": None, "parity": report.to_dict()}
    if bisect:
        result["layers"] = [{"layer": one.layer, **one.check.to_dict(), "wrong": one.check.wrong} for one in layers]
    show.result({"model": str(path), "against": str(against), **result})
    return report.passed


def _errors_by_layer(written: Emission | None, path: Path) -> list[LayerError]:
    from seqc.cli._onnx import read_bytes
    from seqc.export.bisection import errors_by_layer

    if written is None:
        raise ExportError("The model cannot be written at the file's opset, so that its layers cannot be compared.")
    return errors_by_layer(written, read_bytes(path))


def _show_layers(show: Screen, layers: list[LayerError]) -> None:
    """Shows how far what comes out of each layer is off, and the first that is too far."""
    from seqc.export.bisection import first_wrong

    rows = [
        (
            one.layer,
            number(one.check.scale),
            one.check.wrong or number(one.check.error),
            number(one.numpy_error),
            number(one.check.budget),
            "ok" if one.check.passed else "FAILED",
        )
        for one in layers
    ]
    header = ("layer", "numbers up to", "onnxruntime's error", "NumPy's", "allowed", "")
    show.table(header, rows, right=(1, 2, 3, 4))
    wrong = first_wrong(layers)
    who = "No layer is further off than rounding explains." if wrong is None else f"The first is '{wrong.layer}'."
    show.line(f"\n{who}\n")


def _reference(model: Model, file: onnx.ModelProto) -> Graph:
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


def _check_ports(graph: Graph, file: onnx.ModelProto) -> None:
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
    return f"{port.dtype}[{', '.join(map(str, port.shape or ()))}]"


def _written_again(reference: Graph, file: onnx.ModelProto) -> Emission | None:
    """Returns the model as it would be written now at the file's opset, None where it cannot be.

    Where the names inside are the same, every value of the file is compared.
    """
    from seqc.cli._onnx import metadata
    from seqc.export import compile_with_names
    from seqc.export.target import onnx_target
    from seqc.passes.lower_precision import kept_layers

    kept = kept_layers(metadata(file))
    opset = next((x.version for x in file.opset_import if x.domain in ("", "ai.onnx")), 0)
    try:
        return compile_with_names(reference, onnx_target(opset), kept_single=kept)
    except SeqcError:
        return None


def _parity_rows(report: Report) -> list[tuple[str, str]]:
    sizes = "; ".join(" ".join(f"{n}={v}" for n, v in s.items()) for s in report.sizes) or "those of the file"
    rows = [("sizes", sizes)]
    for check in report.outputs:
        verdict = check.wrong or f"largest error {check.error:.3g}, {check.budget:.3g} allowed"
        agreement = check.argmax_agreement
        same = "" if agreement is None else f", largest element at the same place in {agreement:.1%} of rows"
        rows.append((check.name, f"{verdict} (numbers up to {number(check.scale)}){same}"))
    inside = (
        f"{report.values:,} values compared one by one" if report.values else "not compared: written in another way"
    )
    return [*rows, ("inside", inside if report.fault is None else str(report.fault))]


def _alone(show: Screen, path: Path, sizes: dict[str, int]) -> bool:
    from seqc.cli._onnx import metadata, read_model
    from seqc.cli._self_check import check_alone

    texts = metadata(read_model(path))
    checks = check_alone(path, sizes)
    passed = all(c.passed for c in checks)
    show.line(f"{path}, {_origin(texts)}:")
    show.rows([(f"  {_mark(c.passed)}", f"{c.what}: {c.detail}") for c in checks])
    show.line()
    show.line("Passed: every check above." if passed else "FAILED: see above.")
    show.line("Not checked: whether its numbers are those of the model it was made from. For that, use --against.")
    show.result(
        {
            "model": str(path),
            "against": None,
            "passed": passed,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks],
            "metadata": texts,
        }
    )
    return passed


def _origin(texts: dict[str, Any]) -> str:
    version = texts.get("seqc.version")
    if version is None:
        return "not written by seqc"
    name = f" from the model '{texts['seqc.model']}'" if "seqc.model" in texts else ""
    return f"written by seqc {version}{name}, inputs {texts.get('seqc.input_layout', 'as they are')}"


def _mark(passed: bool) -> str:
    return "ok" if passed else "FAILED"
