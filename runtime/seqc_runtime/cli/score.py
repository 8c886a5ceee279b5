"""`seqc-runtime score`: run a model over a file of samples."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from seqc_runtime.cli.serve import DeviceName
from seqc_runtime.errors import RuntimeArgumentError

if TYPE_CHECKING:
    from seqc_runtime.files.columns import Choice


class EngineName(StrEnum):
    """What runs the chunks."""

    LOCAL = "local"
    RAY = "ray"


def score(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The .onnx file.")],
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Samples: .csv, .npy, .npz or .parquet; - is csv on standard input.")
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", help="Results: .csv, .npy, .npz or .parquet; - is csv on standard output.")
    ],
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Samples per run; 1024 unless the model is fixed to a number.", show_default=False),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[INPUT=]A,B,...",
            help="Columns that hold an input; repeat it for several inputs.",
            show_default=False,
        ),
    ] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header", help="Whether the first line of a csv file holds names.", show_default=False
        ),
    ] = None,
    missing: Annotated[
        float | None,
        typer.Option(help="What to put where a number is missing; else that is an error.", show_default=False),
    ] = None,
    device: Annotated[
        DeviceName, typer.Option(case_sensitive=False, help="Where to run; auto is CUDA where it works.")
    ] = DeviceName.auto,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="CPU threads; by default what this process may use.", show_default=False),
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="This process, or the actors of a Ray cluster.")
    ] = EngineName.LOCAL,
    actors: Annotated[
        int | None, typer.Option(min=1, help="With --engine ray: how many; by default one a CPU.", show_default=False)
    ] = None,
    untrusted: Annotated[
        bool, typer.Option("--untrusted", help="Scan the model and try it in a sandbox before it runs here.")
    ] = False,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="A progress bar on standard error; by default on a terminal.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a model over a file of samples, a few at a time, and write the results in the same order.

    A table's columns are found by an input's name (x), by its name with numbers (x_0, x_1, ...), or are all columns
    there are when the model has one input. The output appears when it is whole.

    \b
    Examples:
      seqc-runtime score iris.onnx flowers.csv -o classes.csv
      seqc-runtime score digits.onnx images.npy -o scores.npy --batch-size 256
      seqc-runtime score two.onnx table.parquet -o out.parquet --columns a=age,height --columns b=weight
    """
    from seqc_runtime.model import load
    from seqc_runtime.progress import bar
    from seqc_runtime.score import STANDARD, Reading
    from seqc_runtime.score import score as run

    if engine is EngineName.LOCAL and actors is not None:
        raise RuntimeArgumentError("--actors is for --engine ray")
    if engine is EngineName.RAY and untrusted:
        raise RuntimeArgumentError(
            "--untrusted is for this process: actors of --engine ray run models that are trusted"
        )
    start = time.perf_counter()
    loaded = load(model, device=device.value, threads=threads, untrusted=untrusted)
    runs = None
    if engine is EngineName.RAY:
        from seqc_runtime.ray import ordered

        runs = ordered(model, actors=actors, device=device.value, threads=threads)
    reading = Reading(_choice(columns), header, missing)
    # Rows of results on the same terminal would tear the bar apart.
    room = sys.stderr.isatty() and not (output == STANDARD and sys.stdout.isatty())
    with bar(room if progress is None else progress) as told:
        count = run(loaded, source, output, batch_size, reading, runs, told)
    if output != STANDARD:
        typer.echo(f"{count} samples in {time.perf_counter() - start:.2f} s, written to {output}", err=True)


def _choice(columns: Sequence[str] | None) -> Choice | None:
    if not columns:
        return None
    named: dict[str, list[str]] = {}
    for entry in columns:
        name, equals, names = entry.rpartition("=")
        if not equals and len(columns) == 1:
            return names.split(",")
        if not equals or not name or name in named:
            raise RuntimeArgumentError(
                f"--columns needs INPUT=A,B,... once for each input, or A,B,... for the only one; got {entry!r}"
            )
        named[name] = names.split(",")
    return named
