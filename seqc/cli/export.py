"""`seqc export`: a model as a verified ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, check_output, screen
from seqc.errors import ConfigError


def export(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A model FILE (.py, which is run) or a .keras file (only read).")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="Take the weights from this .weights.h5 or .keras file.", show_default=False)
    ] = None,
    opset: Annotated[int, typer.Option(help="Version of the ONNX operators, 13 to 21.")] = 18,
    input_name: Annotated[
        list[str] | None,
        typer.Option(help="Name of the input in the file; of several MODELS=FILES for each.", show_default=False),
    ] = None,
    output_name: Annotated[
        list[str] | None,
        typer.Option(help="Name of the output in the file; of several MODELS=FILES for each.", show_default=False),
    ] = None,
    channels_first_input: Annotated[
        bool, typer.Option("--channels-first-input", help="Take inputs as (batch, channels, ...).")
    ] = False,
    channels_first: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Take this input so, others as they are; repeatable.", show_default=False),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the file with NumPy before it is written.")
    ] = True,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Export a model to a verified ONNX file.

    The file is written only if onnxruntime computes what NumPy computes in double precision, at several batch sizes;
    otherwise nothing is written and the exit code is 1. A FILE gives the weights that its build() makes: to export
    trained ones, name the .keras file that `seqc train` wrote, or use --weights.

    \b
    Examples:
      seqc export out/digits_cnn/digits_cnn.keras -o digits.onnx
      seqc export model.py --weights trained.weights.h5 -o model.onnx
      seqc export model.keras -o model.onnx --opset 15 --channels-first-input
      seqc export two.keras -o two.onnx --input-name image=x --output-name kind=class
      seqc export two.keras -o two.onnx --channels-first image
    """
    with screen(as_json) as show:
        from seqc.cli._source import load_source
        from seqc.export.model import export_model

        check_output(output, ".onnx")
        model = load_source(source, weights)
        receipt = export_model(
            model,
            output,
            input_name=_names(input_name, "--input-name"),
            output_name=_names(output_name, "--output-name"),
            opset=opset,
            channels_first_input=channels_first_input or channels_first or False,
            verify=verify,
        )
        show.line(str(receipt))
        show.result(receipt.to_dict())
        if source.suffix == ".py" and weights is None:
            typer.echo(f"Note: the weights are those that {source} makes, trained or not.", err=True)


def _names(given: list[str] | None, option: str) -> Any:
    """Returns names for the file: one, a list in the model's order, or by the model's own names."""
    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    if all(equals for _, equals, _ in pairs):
        return {name: new for name, _, new in pairs}
    if any(equals for _, equals, _ in pairs):
        raise ConfigError(
            f"{option} takes names in the model's order, or MODELS=FILES for each; got {' '.join(given)}."
        )
    return given
