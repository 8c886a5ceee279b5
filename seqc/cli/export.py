"""`seqc export`: a model as a verified ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._ends import (
    AxisNameOptions,
    FixedSizeOptions,
    Float32LayerOptions,
    HeadOptions,
    InputTypeOptions,
    LayerOutputOptions,
    PrecisionOption,
    RescaleOptions,
    apart,
    described,
    end_options,
)
from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, check_output, screen
from seqc.errors import ConfigError

if TYPE_CHECKING:
    from seqc.export.receipt import Receipt


def export(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Model files of Keras (only read), folders of them, or a FILE (.py, which is run).",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write; of several, a folder.")],
    weights: Annotated[Path | None, typer.Option(help="Take the weights from this file.", show_default=False)] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Where the file is to run: ort-cpu, ort-cuda, ort-web, tensorrt, openvino, opencv, unity, coreml, or "
            "min for what all of them take.",
            show_default=False,
        ),
    ] = None,
    min_ort: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="The oldest onnxruntime that is to load it.", show_default=False),
    ] = None,
    opset: Annotated[
        int | None,
        typer.Option(
            help="Version of the ONNX operators, 13 to 28; 18 unless --target or --min-ort say other.",
            show_default=False,
        ),
    ] = None,
    input_name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of the input in the file; of several MODELS=FILES for each, with commas or repeated.",
            show_default=False,
        ),
    ] = None,
    output_name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of the output in the file; of several MODELS=FILES for each, with commas or repeated.",
            show_default=False,
        ),
    ] = None,
    size: FixedSizeOptions = None,
    axis_name: AxisNameOptions = None,
    precision: PrecisionOption = "float32",
    float32_layer: Float32LayerOptions = None,
    head: HeadOptions = None,
    layer_output: LayerOutputOptions = None,
    input_dtype: InputTypeOptions = None,
    rescale: RescaleOptions = None,
    channels_first_input: Annotated[
        bool, typer.Option("--channels-first-input", help="Take inputs as (batch, channels, ...).")
    ] = False,
    channels_first_output: Annotated[
        bool, typer.Option("--channels-first-output", help="Give outputs as (batch, channels, ...).")
    ] = False,
    channels_first: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Take this input so, others as they are; repeatable.", show_default=False),
    ] = None,
    external_data: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Put weights of this many bytes and more (0, 500MB) into a file beside the model; 2 GiB always are.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the file with NumPy before it is written.")
    ] = True,
    describe: Annotated[
        bool, typer.Option("--describe", help="Keep Keras's configuration and how the model was trained in the file.")
    ] = False,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[OUTPUT=]A,B,...",
            help="Names of the classes, kept in the file; of several outputs each.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=UNIT", help="Unit of an input or output, kept in the file; repeatable.", show_default=False
        ),
    ] = None,
    functions: Annotated[
        bool, typer.Option("--functions", help="Make the nodes of each layer a function with the layer's name.")
    ] = False,
    record: Annotated[
        bool,
        typer.Option("--record", help="Keep what was compared in FILE.onnx.verified.npz: `seqc verify` repeats it."),
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Export a model to a verified ONNX file.

    The file is written only if onnxruntime computes what NumPy computes in double precision, at several batch sizes;
    otherwise nothing is written and the exit code is 1. Model files are those of all versions of Keras, told by their
    content: .keras, .h5, TensorFlow.js; of several, a table says what came of each. A FILE gives the weights that its
    build() makes: to export trained ones, name the .keras file that `seqc train` wrote, or use --weights.

    \b
    Examples:
      seqc export out/digits_cnn/digits_cnn.keras -o digits.onnx
      seqc export models/*.h5 -o out/
      seqc export model.py --weights trained.weights.h5 -o model.onnx
      seqc export model.keras -o model.onnx --opset 15 --channels-first-input
      seqc export two.keras -o two.onnx --input-name image=x --output-name kind=class
      seqc export two.keras -o two.onnx --channels-first image
      seqc export digits.keras -o digits.onnx --target opencv --size batch=1
      seqc export digits.keras -o digits.onnx --min-ort 1.16
      seqc export photos.keras -o photos.onnx --input-dtype uint8 --rescale 1/255 --head argmax
      seqc export digits.keras -o digits.onnx --record
      seqc export speech.keras -o speech.onnx --size batch=1,8 --size time=100
    """
    with screen(as_json) as show:
        from seqc.cli._beside import parse_bytes
        from seqc.cli._several import each, expanded, finish, targets

        options = {
            "input_name": _names(input_name, "--input-name"),
            "output_name": _names(output_name, "--output-name"),
            "target": target,
            "min_ort": min_ort,
            "opset": opset,
            "channels_first_input": channels_first_input or channels_first or False,
            "channels_first_output": channels_first_output,
            **end_options(head, layer_output, input_dtype, rescale, size, axis_name),
            "external_data": parse_bytes(external_data),
            "verify": verify,
            "record": record,
            "functions": functions,
            **described(describe, classes, unit),
            "precision": precision,
            "float32_layers": float32_layer or (),
        }
        files = expanded(sources)
        if len(files) == 1 and not sources[0].is_dir() and not output.is_dir() and output.suffix:
            receipts = _exported(files[0], output, weights, options)
            show.line("\n\n".join(map(str, receipts)))
            told = [receipt.to_dict() for receipt in receipts]
            show.result(told[0] if len(told) == 1 else {"files": told})
            return
        if weights is not None:
            raise ConfigError("--weights belongs to one model; several files bring weights of their own.")
        places = dict(zip(files, targets(files, output, ".onnx"), strict=True))
        output.mkdir(parents=True, exist_ok=True)

        def work(file: Path) -> tuple[str, Any]:
            receipts = _exported(file, places[file], None, options)
            told = [receipt.to_dict() for receipt in receipts]
            names = ", ".join(receipt.path for receipt in receipts)
            return f"{names}, {sum(receipts[0].nodes.values())} nodes", told[0] if len(told) == 1 else told

        results, failed = each(show, files, work)
        show.result({"files": results, "failed": failed})
    finish(failed)


def _exported(source: Path, output: Path, weights: Path | None, options: dict[str, Any]) -> list[Receipt]:
    """Returns the receipts of one model's export, one for each file."""
    from seqc.cli._source import load_source
    from seqc.export.model import export_model

    check_output(output, ".onnx")
    found = export_model(load_source(source, weights, options["describe"]), output, **options)
    if source.suffix == ".py" and weights is None:
        typer.echo(f"Note: the weights are those that {source} makes, trained or not.", err=True)
    return found if isinstance(found, list) else [found]


def _names(given: list[str] | None, option: str) -> Any:
    """Returns names for the file: one, a list in the model's order, or by the model's own names."""
    if not given:
        return None
    given = apart(given)
    pairs = [text.partition("=") for text in given]
    if all(equals for _, equals, _ in pairs):
        return {name: new for name, _, new in pairs}
    if any(equals for _, equals, _ in pairs):
        raise ConfigError(
            f"{option} takes names in the model's order, or MODELS=FILES for each; got {' '.join(given)}."
        )
    return given
