"""`seqc train`: from a model FILE to a trained, saved, exported and compared model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, screen
from seqc.errors import ConfigError


def train(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The model FILE (.py). It is run.")],
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of FIT's; 1 if neither says.", show_default=False)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Instead of FIT's; 32 if neither says.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of initial weights, shuffling and dropout.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the results; out/NAME by default.", show_default=False),
    ] = None,
    plots: Annotated[
        bool,
        typer.Option(
            "--plot/--no-plot",
            "--plots/--no-plots",
            help="Draw loss curve, every few seconds while it grows, and confusion matrix.",
        ),
    ] = True,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write metrics, weights and graph there for TensorBoard.", show_default=False),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last whole epoch of a run that was stopped.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Instead of data(): a table, .csv or .parquet, or a .npz file of arrays by name.", show_default=False
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(help="To test on; every fifth row of --data by default.", show_default=False),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="The column of labels in --data; of several outputs one each.", show_default=False
        ),
    ] = None,
    missing: Annotated[
        float | None,
        typer.Option(help="What to put where a table has no number; else it is refused.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="A trial on the first N samples of each set; TARGET is not enforced.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train, test, save, export and compare a model.

    Writes NAME.keras (Keras opens it), NAME.onnx (verified before it is written) and, with matplotlib, pictures of
    the training. The exit code is 1 if a metric of TARGET is missed, or if onnxruntime and NumPy predict different
    classes (for a regression: different numbers). Ctrl-C ends with 130 and saves the model as it is then to
    NAME.stopped.keras.

    After every epoch the state of the training is kept in NAME.backup. However it ends, the same command with --resume
    goes on after the last whole epoch, with the numbers that it would have had; only callbacks of your own begin anew.

    \b
    A model FILE is Python. It has
      build()  returns a compiled model; or a global `model` instead
      data()   returns ((x_train, y_train), (x_test, y_test)): arrays, or the
               paths of .npy files; of several inputs or outputs lists of
               arrays, dictionaries by name, or paths of .npz files
      TARGET   optional: test metrics to reach, {"accuracy": 0.98}; less is
               better of losses and errors, more of any other metric
      FIT      optional: arguments of fit, {"epochs": 10, "batch_size": 64}, or
               a function that returns them (for callbacks)

    Without data(), --data names a table: columns called as the inputs are theirs (x, or x_0, x_1 and so on), and a
    single input takes all but --target where none has its name. Labels that are texts are numbered in their order.

    The file is run as your own code, with all your rights: use only files that you trust. A .keras or .onnx file is
    only read; nothing in it is ever run as code.

    \b
    Examples:
      seqc train models/digits_cnn.py
      seqc train model.py --epochs 3 --limit 500 --no-plots
      seqc train model.py --seed 1 -o out/second --json > result.json
      seqc train model.py --tensorboard logs --resume
      seqc train model.py --data train.csv --target label --test test.csv
    """
    with screen(as_json) as show:
        from seqc.cli._data import Given
        from seqc.cli._training import Options, run

        folder = output or Path("out", file.stem)
        given = None if data is None else Given(data, test, tuple(target or ()), missing)
        if given is None and (test or target or missing is not None):
            raise ConfigError("--test, --target and --missing are for --data, which is missing.")
        passed = run(show, Options(file, epochs, batch_size, seed, folder, plots, limit, tensorboard, resume, given))
    if not passed:
        raise typer.Exit(1)
