"""`seqc-runtime score`: run a model over a file of samples."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import click

from seqc_runtime.errors import RuntimeArgumentError

if TYPE_CHECKING:
    from seqc_runtime.files.columns import Choice


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("source", metavar="INPUT")
@click.option(
    "--output", "-o", required=True, help="Results: .csv, .npy, .npz or .parquet; - is csv on standard output."
)
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Samples per run; 1024 unless the model is fixed to a number."
)
@click.option(
    "--columns",
    metavar="[INPUT=]A,B,...",
    multiple=True,
    help="Columns that hold an input; repeat it for several inputs.",
)
@click.option("--header/--no-header", default=None, help="Whether the first line of a csv file holds names.")
@click.option("--missing", type=float, help="What to put where a number is missing; else that is an error.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"], case_sensitive=False),
    default="auto",
    help="Where to run; auto is CUDA where it works.",
)
@click.option(
    "--threads", type=click.IntRange(min=1, max=1024), help="CPU threads; by default what this process may use."
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    help="This process, or the actors of a Ray cluster.",
)
@click.option("--actors", type=click.IntRange(min=1), help="With --engine ray: how many; by default one a CPU.")
@click.option("--untrusted", is_flag=True, help="Scan the model and try it in a sandbox before it runs here.")
@click.option(
    "--progress/--no-progress", default=None, help="A progress bar on standard error; by default on a terminal."
)
def score(
    *,
    model: str,
    source: str,
    output: str,
    batch_size: int | None,
    columns: tuple[str, ...],
    header: bool | None,
    missing: float | None,
    device: Literal["auto", "cpu", "cuda"],
    threads: int | None,
    engine: str,
    actors: int | None,
    untrusted: bool,
    progress: bool | None,
) -> None:
    """Run a model over a file of samples, a few at a time, and write the results in the same order.

    MODEL is the .onnx file; INPUT are the samples: .csv, .npy, .npz or .parquet, or - for csv on standard input.

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

    if engine == "local" and actors is not None:
        raise RuntimeArgumentError("--actors is for --engine ray")
    if engine == "ray" and untrusted:
        raise RuntimeArgumentError(
            "--untrusted is for this process: actors of --engine ray run models that are trusted"
        )
    start = time.perf_counter()
    loaded = load(model, device=device, threads=threads, untrusted=untrusted)
    runs = None
    if engine == "ray":
        from seqc_runtime.ray import ordered

        runs = ordered(model, actors=actors, device=device, threads=threads)
    reading = Reading(_choice(columns), header, missing)
    # Rows of results on the same terminal would tear the bar apart.
    room = sys.stderr.isatty() and not (output == STANDARD and sys.stdout.isatty())
    with bar(room if progress is None else progress) as told:
        count = run(loaded, source, output, batch_size, reading, runs, told)
    if output != STANDARD:
        click.echo(f"{count} samples in {time.perf_counter() - start:.2f} s, written to {output}", err=True)


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
