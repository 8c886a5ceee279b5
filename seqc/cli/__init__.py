"""The `seqc` command: train, export, quantize, convert, verify, inspect, diff, predict, passes, doctor, bench.

Nothing else of seqc imports this package. Each command imports what it needs when it runs, so that help comes at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from seqc._version import __version__
from seqc.cli import bench, convert, diff, doctor, export, inspect, passes, predict, quantize, train, verify
from seqc.cli._errors import Commands

EXIT_CODES = (
    "Exit codes: 0 all is well, 1 a target or check failed, 2 the command could not be carried out, 130 stopped "
    "(Ctrl-C), 141 whoever reads the output is gone. With --json an error is printed as one object, too: "
    '{"error": "..."}.'
)

app = typer.Typer(
    name="seqc",
    cls=Commands,
    help="Train Keras-style Sequential models, export them to verified ONNX files, and look into those files.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    train.train,
    export.export,
    quantize.quantize,
    convert.convert,
    verify.verify,
    inspect.inspect,
    diff.diff,
    predict.predict,
    passes.passes,
    doctor.doctor,
):
    app.command()(command)
app.add_typer(bench.bench)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"seqc {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command line."""
    app(prog_name="seqc")
