"""`seqc quantize`: a smaller or faster model, or the reason why there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import MOST_THREADS, AsJson, Screen, check_output, count, keep_apart, screen
from seqc.errors import ConfigError, QuantizationError

if TYPE_CHECKING:
    from seqc.export.quantization.report import Quantization
    from seqc.export.quantization.trials import Trial


class Purpose(StrEnum):
    """What a quantized file has to be."""

    SPEED = "speed"
    SIZE = "size"


class MeasureKind(StrEnum):
    """How outputs without labels are compared."""

    AUTO = "auto"
    ARGMAX = "argmax"
    ERROR = "error"


def quantize(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="The .onnx file, or a model file of Keras or a FILE (.py), exported first."
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Samples: a .npz file of arrays by names of inputs, 'y' the labels; a .npy file; or a table, .csv or "
            ".parquet."
        ),
    ],
    labels: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="COLUMN", help="The table's column of labels.", show_default=False),
    ] = None,
    missing: Annotated[
        float | None, typer.Option(help="What to put where a table has no number.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; MODEL.quantized.onnx by default.", show_default=False),
    ] = None,
    purpose: Annotated[
        Purpose, typer.Option("--for", case_sensitive=False, help="What the result has to be: faster, or smaller.")
    ] = Purpose.SPEED,
    max_drop: Annotated[str, typer.Option(help="How much of the score may be lost, as 0.5% or 0.005.")] = "0.5%",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per run.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_THREADS, help="CPU threads; by default onnxruntime's choice.", show_default=False),
    ] = None,
    measure: Annotated[
        MeasureKind,
        typer.Option(case_sensitive=False, help="How outputs without labels are compared; auto tells by their look."),
    ] = MeasureKind.AUTO,
    calibration: Annotated[
        int, typer.Option(min=1, help="Samples to take ranges from, at most a quarter of all.")
    ] = 256,
    plain: Annotated[
        bool, typer.Option("--plain", help="Use operators of ONNX itself only, for other programs than onnxruntime.")
    ] = False,
    log: Annotated[
        Path | None,
        typer.Option(help="The log of trials; OUTPUT.trials.jsonl by default.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Quantize a model where that makes it faster, or smaller, and hardly less accurate on your data and this machine.

    Every way is measured: 8 bits by ranges from samples or found in each run, and large weights alone in 8 or 4 bits.
    Layers that lose too much stay in float, found by bisection. The score is the accuracy on the labels (array 'y', or
    one by the name of an output), or without labels the agreement with the float model, and measured on other samples
    than those that calibrate. If nothing is as good as asked, nothing is written and the exit code is 1.

    Labels of a table that are texts are the classes that the file names (`seqc train` and --classes of `seqc export`
    put them there); without them, labels are class numbers.

    Every trial is kept in a log beside the output, so that a run that was stopped goes on where it was, and one that
    asks for something else starts with what is known. It holds for the same model, data, processor and onnxruntime.

    \b
    Examples:
      seqc quantize digits.onnx --data test.npz
      seqc quantize digits.keras --data test.npz -o small.onnx --for size --max-drop 1%
      seqc quantize text.onnx --data samples.npz --batch-size 32 --threads 4
      seqc quantize iris.onnx --data flowers.csv --target kind
    """
    with screen(as_json) as show:
        from seqc.export.quantization import quantize as run
        from seqc.export.quantization.settings import parse_drop

        target = output or model.with_suffix(".quantized.onnx")
        check_output(target, ".onnx")
        trials = log or target.with_suffix(".trials.jsonl")
        keep_apart(trials, model, data)
        keep_apart(target, data)
        drop = parse_drop(max_drop)
        source = _source(model)
        x, y = _samples(data, source, labels or [], missing)
        with _bar() as on_trial, _told_when_stopped(on_trial, trials):
            try:
                result = run(
                    source,
                    target,
                    x,
                    y,
                    purpose=purpose.value,
                    max_drop=drop,
                    batch_size=batch_size,
                    threads=threads,
                    measure=measure.value,
                    calibration=calibration,
                    plain=plain,
                    log=trials,
                    on_trial=on_trial,
                )
            except QuantizationError as error:
                if error.result is None:
                    raise
                result = error.result
        _show(show, result)
    if result.path is None:
        raise typer.Exit(1)


def _source(path: Path) -> Any:
    """Returns what to quantize: the path of an ONNX file, or a model."""
    from seqc.cli._kinds import ONNX, kind_of, require_file
    from seqc.cli._source import load_source

    require_file(path)
    return path if path.suffix == ".onnx" or kind_of(path) == ONNX else load_source(path)


def _samples(path: Path, model: Any, labels: Sequence[str], missing: float | None) -> tuple[Any, Any]:
    """Returns samples, and labels where they are apart from them."""
    from seqc.cli._arrays import read_archive, read_array
    from seqc.cli._runtime import load_runtime, ports_of
    from seqc.cli._tables import is_table, read_table

    if is_table(path):
        loaded = load_runtime("seqc quantize").load(model) if isinstance(model, Path) else None
        ports = model._ports() if loaded is None else ports_of(loaded)
        outputs = len(model.outputs if loaded is None else loaded.outputs)
        classes = {} if loaded is None else _class_names(loaded.metadata, labels)
        found = read_table(path, ports, labels, missing, classes, numbers=True)
        # The column of labels for a single output may have any name.
        return found.x, found.y[labels[0]] if outputs == len(labels) == 1 else found.y or None
    if labels or missing is not None:
        raise ConfigError("--target and --missing are for tables, .csv and .parquet; arrays have names.")
    if path.suffix not in (".npz", ".npy"):
        raise ConfigError(f"--data takes a .npz or .npy file of NumPy, or a .csv or .parquet table; got {path}.")
    return (read_array(path) if path.suffix == ".npy" else read_archive(path)), None


def _class_names(metadata: Mapping[str, str], labels: Sequence[str]) -> dict[str, list[str]]:
    """Returns what a file says that its classes are called, by the columns of their labels."""
    from seqc.export.about import CLASSES

    try:
        said = json.loads(metadata.get(CLASSES, "{}"))
    except (ValueError, RecursionError):
        return {}
    named = {name: [str(c) for c in said[name]] for name in said} if isinstance(said, dict) else {}
    if len(labels) == 1 and len(named) == 1:
        return {labels[0]: next(iter(named.values()))}
    return {name: named[name] for name in labels if name in named}


class _OnTrial:
    """Counts trials, and moves the bar."""

    def __init__(self, move: Callable[[str, float], None]) -> None:
        self.done = 0
        self._move = move

    def __call__(self, trial: Trial, share: float) -> None:
        self.done += 1
        kept = f", {count(len(trial.in_float), 'node')} in float" if trial.in_float else ""
        self._move(f"{trial.recipe}{kept}: " + ("fails" if trial.wrong else f"drop {trial.drop:.2%}"), share)


@contextmanager
def _bar() -> Iterator[_OnTrial]:
    """Yields what moves a bar on a terminal, and moves nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(file=sys.stderr)
    columns = (SpinnerColumn(), BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("the first trial", total=1.0)
        yield _OnTrial(lambda text, share: bar.update(task, description=text, completed=share))


@contextmanager
def _told_when_stopped(on_trial: _OnTrial, log: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"Stopped after {count(on_trial.done, 'trial')}; nothing was written but {log}, from which the same "
            "command goes on."
        ) from error


def _show(show: Screen, result: Quantization) -> None:
    from seqc.export.quantization.report import HEADER, RIGHT

    show.rows(result.summary())
    show.line()
    show.table(HEADER, result.table(), RIGHT)
    show.line()
    show.line(result.verdict())
    show.result(result.to_dict())
