"""`seqc bench`: how fast seqc is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import MOST_THREADS, AsJson, screen

bench = typer.Typer(
    name="bench",
    help="Measure how fast a model of yours is on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@bench.callback()
def _group() -> None:
    pass  # keeps `train` a command of the group, which a group of one would not have


@bench.command()
def train(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The model FILE (.py), as for `seqc train`. It is run.")],
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Instead of FIT's; 32 if neither says.", show_default=False)
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps in an epoch.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs to measure, after one to warm up.")] = 5,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_THREADS, help="Threads to use; all cores by default.", show_default=False),
    ] = None,
    profile: Annotated[bool, typer.Option("--profile", help="Show where in a step the time goes.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Draw the profile into this .png or .svg file.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Time the training steps of a model.

    Trains on the training samples of FILE, repeated if there are few, and shows the time of a step, samples per
    second, and the floating-point operations per second beside what large matrix products reach on this machine.
    Nothing is saved. Of FIT only batch_size counts.

    With --profile every operation of a step is timed: a table by layer and one by operation, and with -o a picture in
    which widths are times (needs matplotlib). Times of threads that work at once are added up.

    \b
    Examples:
      seqc bench train models/digits_cnn.py
      seqc bench train model.py --batch-size 128 --threads 1 --json
      seqc bench train model.py --profile -o profile.svg
    """
    with screen(as_json) as show:
        from seqc.cli._bench import Options, run

        run(show, Options(file, batch_size, steps, epochs, threads, profile, output))
