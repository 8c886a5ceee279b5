"""`seqc verify`: what an ONNX file can be checked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, Screen, number, screen
from seqc.cli._runtime import Provider, providers
from seqc.cli._sizes import SizeOptions, parse_sizes
from seqc.errors import ConfigError, ExportError

if TYPE_CHECKING:
    from seqc.export.bisection import LayerError
    from seqc.export.emitter import Emission
    from seqc.export.verify import Report


def verify(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The .onnx file.")],
    against: Annotated[
        Path | None,
        typer.Option(
            help="The model it was exported from: a model file of Keras or a model FILE (.py, which is run). Or an "
            "ONNX file, whose numbers it must have."
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights for --against, from a .weights.h5 or .keras file.", show_default=False)
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="The record of a verification; MODEL.verified.npz by default.", show_default=False),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            help="With --against FILE.onnx: part of an output's largest number that it may be off.", show_default=False
        ),
    ] = None,
    provider: Annotated[Provider, typer.Option(help="What runs the file.")] = Provider.cpu,
    size: SizeOptions = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="With --against: compare what comes out of each layer, too.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Check an ONNX file, alone or against its model.

    With --against, onnxruntime's results are compared with NumPy's in double precision on generated inputs at several
    batch sizes, as an export does: the largest error must stay within what rounding explains. Against another .onnx
    file, both run on the same inputs and may be apart by --budget: of a file in float16 or a quantized one, its
    original. Without --against the file is checked by itself: valid ONNX, loads and runs in onnxruntime, finite
    results, each sample the same alone as in a batch; and where `seqc export --record` left a record beside it, that
    verification is repeated here: the same file, by its hash, the same inputs, the same numbers within the same bounds.
    The exit code is 1 if anything fails.

    \b
    Examples:
      seqc verify digits.onnx --against digits.keras
      seqc verify model.onnx --against model.py --weights trained.weights.h5
      seqc verify digits.onnx --against digits.keras --bisect
      seqc verify from_elsewhere.onnx --size time=50
      seqc verify model.onnx --provider cuda
      seqc verify model_int8.onnx --against model.onnx --budget 0.02
    """
    with screen(as_json) as show:
        _check_options(against, weights, size, record, budget, bisect)
        sizes = parse_sizes(size)
        if against is None:
            passed = _alone(show, model, sizes, record, provider)
        elif against.suffix == ".onnx":
            passed = _against_file(show, model, against, budget, sizes, provider)
        else:
            passed = _against(show, model, against, weights, provider, bisect)
    if not passed:
        raise typer.Exit(1)


def _check_options(
    against: Path | None,
    weights: Path | None,
    size: list[str] | None,
    record: Path | None,
    budget: float | None,
    bisect: bool,
) -> None:
    file = against is not None and against.suffix == ".onnx"
    if bisect and (against is None or file):
        raise ConfigError("--bisect compares a file with the model given with --against, which is missing.")
    if against is None and weights is not None:
        raise ConfigError("--weights are those of the model given with --against, which is missing.")
    if file and weights is not None:
        raise ConfigError("--weights are those of a model; with --against FILE.onnx the file has its own.")
    if against is not None and not file and size:
        raise ConfigError(
            "--size is for checking a file by itself or against a file; with a model, sizes are chosen from it."
        )
    if against is not None and record is not None:
        raise ConfigError("--record is for checking a file by itself; with --against, numbers come from the model.")
    if budget is not None and not file:
        raise ConfigError(
            "--budget is for --against FILE.onnx; of a model, and in a record, bounds follow from rounding."
        )
    if budget is not None and not 0 <= budget <= 1:
        raise ConfigError(f"--budget is a part of the largest number of an output, from 0 to 1; got {budget}.")


def _against(show: Screen, path: Path, against: Path, weights: Path | None, provider: Provider, bisect: bool) -> bool:
    from seqc.cli._onnx import read_model
    from seqc.cli._reference import check_ports, reference_of, written_again
    from seqc.cli._source import load_source
    from seqc.export.nodes import loaded
    from seqc.export.parts import other_part
    from seqc.export.verify import compare
    from seqc.passes.lower_precision import rounded

    file = read_model(path)
    model = load_source(against, weights)
    show.line(f"{path} against {against}, onnxruntime against NumPy in double precision:")
    try:
        reference = reference_of(model, file)
        check_ports(reference, file)
        written = written_again(reference, file)
        single = rounded(written.graph) if written is not None and written.single is not None else None
        report = compare(reference, path, written, single=single, providers=providers(provider))
        if report.fault is None and written is not None:
            report = replace(report, fault=other_part(written, loaded(path)))
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
    from seqc.export.bisection import errors_by_layer

    if written is None:
        raise ExportError("The model cannot be written at the file's opset, so that its layers cannot be compared.")
    return errors_by_layer(written, path)


def _show_layers(show: Screen, layers: list[LayerError]) -> None:
    """Shows how far what comes out of each layer is off, and the first that is too far."""
    from seqc.export.bisection import first_wrong

    rows = [
        (
            one.layer,
            number(one.check.scale),
            one.check.wrong or number(one.check.error),
            number(one.numpy_error),
            number(one.check.allowed),
            "ok" if one.check.passed else "FAILED",
        )
        for one in layers
    ]
    header = ("layer", "numbers up to", "onnxruntime's error", "NumPy's", "allowed", "")
    show.table(header, rows, right=(1, 2, 3, 4))
    wrong = first_wrong(layers)
    who = "No layer is further off than rounding explains." if wrong is None else f"The first is '{wrong.layer}'."
    show.line(f"\n{who}\n")


def _parity_rows(report: Report) -> list[tuple[str, str]]:
    from seqc.cli._repeat import verdict

    sizes = "; ".join(" ".join(f"{n}={v}" for n, v in s.items()) for s in report.sizes) or "those of the file"
    rows = [("sizes", sizes)]
    rows += [(check.name, verdict(check)) for check in report.outputs]
    inside = (
        f"{report.values:,} values compared one by one" if report.values else "not compared: written in another way"
    )
    return [*rows, ("inside", inside if report.fault is None else str(report.fault))]


def _against_file(
    show: Screen, path: Path, against: Path, budget: float | None, sizes: dict[str, int], provider: Provider
) -> bool:
    from seqc.cli._repeat import compare_files, verdict

    show.line(f"{path} against {against}, both in onnxruntime, {provider}:")
    told: dict[str, Any] = {"model": str(path), "against": str(against)}
    try:
        checks, allowed, inputs = compare_files(path, against, budget, sizes, provider)
    except ExportError as error:
        show.line(f"FAILED: they cannot be compared. {error}")
        show.result({**told, "passed": False, "error": str(error), "outputs": []})
        return False
    passed = all(check.passed for check in checks)
    stated = "as stated" if budget is not None else "by default; state another with --budget"
    show.rows([("inputs", inputs), ("budget", f"{allowed:g} of the largest number, {stated}")])
    show.rows([(f"  {_mark(check.passed)}", f"{check.name}: {verdict(check)}") for check in checks])
    show.line()
    show.line("Passed: within the budget." if passed else "FAILED: they are further apart than the budget.")
    outputs = [{**check.to_dict(), "passed": check.passed, "wrong": check.wrong} for check in checks]
    show.result({**told, "passed": passed, "error": None, "budget": allowed, "inputs": inputs, "outputs": outputs})
    return passed


def _alone(show: Screen, path: Path, sizes: dict[str, int], record: Path | None, provider: Provider) -> bool:
    from seqc.cli._onnx import metadata, read_model
    from seqc.cli._repeat import check_record
    from seqc.cli._self_check import check_alone

    file = read_model(path)
    texts = metadata(file)
    providers(provider)
    checks = check_alone(path, sizes, provider.value)
    recorded = check_record(path, record, provider)
    checks += recorded
    passed = all(c.passed for c in checks)
    show.line(f"{path}, {_origin(texts, file.graph.name)}:")
    show.rows([(f"  {_mark(c.passed)}", f"{c.what}: {c.detail}") for c in checks])
    show.line()
    show.line("Passed: every check above." if passed else "FAILED: see above.")
    if recorded:
        show.line("The record holds what the model computes in float64, on some inputs. For others, use --against.")
    else:
        show.line("Not checked: whether its numbers are those of the model it was made from. For that, use --against.")
    show.result(
        {
            "model": str(path),
            "against": None,
            "passed": passed,
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks],
            "name": file.graph.name,
            "metadata": texts,
        }
    )
    return passed


def _origin(texts: dict[str, Any], graph: str) -> str:
    from seqc.export import MODEL

    version = texts.get("seqc.version")
    if version is None:
        return "not written by seqc"
    # Older files have their model's name among the texts.
    name = texts.get("seqc.model", graph)
    name = "" if name == MODEL else f" from the model '{name}'"
    return f"written by seqc {version}{name}, inputs {texts.get('seqc.input_layout', 'as they are')}"


def _mark(passed: bool) -> str:
    return "ok" if passed else "FAILED"
