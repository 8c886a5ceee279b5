"""`seqc predict`: run an ONNX file on arrays."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import MOST_THREADS, AsJson, check_output, count, duration, keep_apart, screen, shape_text
from seqc.text import label

if TYPE_CHECKING:
    from seqc.graph.ir import Array


class Device(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The .onnx file (see `seqc export`).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .npy, .npz, .csv, .parquet or .json.")
    ],
    x: Annotated[
        Path | None,
        typer.Argument(
            metavar="X",
            help="The input: a .npy file, samples first; .npz for several; or a table, .csv or .parquet.",
            show_default=False,
        ),
    ] = None,
    named: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="NAME=FILE", help="A .npy file for an input; repeatable.", show_default=False),
    ] = None,
    missing: Annotated[
        float | None,
        typer.Option(help="What to put where a table has no number; else it is refused.", show_default=False),
    ] = None,
    device: Annotated[
        Device, typer.Option(case_sensitive=False, help="Where to run; auto is CUDA where it works.")
    ] = Device.AUTO,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Samples per run; all at once by default. A file with a fixed batch takes whole ones.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_THREADS, help="CPU threads; by default what this process may use.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run an ONNX file on the samples of NumPy's files, or of a table.

    One input is a .npy file. Several are the arrays of a .npz file, under the inputs' names, or --input NAME=FILE.npy
    for each. One output is written as .npy; several are arrays of a .npz file, under the outputs' names. A table, .csv
    or .parquet, has a row per sample; .json is an object of lists by the outputs' names.

    The columns of a table are told by the names of inputs: x, or x_0, x_1 and so on; the only input of a model takes
    all columns where none has its name. `seqc-runtime score` reads and writes tables of any length.

    Numbers of another type are converted where that keeps their meaning. Text that a model gives is written as NumPy's
    text of fixed width. A .keras file has to be exported first.

    \b
    Examples:
      seqc predict digits.onnx x.npy -o y.npy
      seqc predict digits.onnx x.npy -o y.npy --device cuda --batch-size 256
      seqc predict two.onnx both.npz -o y.npz
      seqc predict iris.onnx flowers.csv -o kinds.csv
      seqc predict two.onnx --input image=i.npy --input text=t.npy -o y.npz
    """
    with screen(as_json) as show:
        from seqc.cli._arrays import read_inputs
        from seqc.cli._kinds import ONNX, refuse_other_kinds, require_file
        from seqc.cli._results import ENDINGS, check_fits, write_results
        from seqc.cli._runtime import load_runtime, ports_of

        runtime = load_runtime("seqc predict")
        check_output(output, *ENDINGS)
        require_file(model)
        refuse_other_kinds(model, ONNX)
        keep_apart(output, model, *([] if x is None else [x]), *(Path(text.partition("=")[2]) for text in named or ()))
        start = time.perf_counter()
        loaded = runtime.load(model, device=device.value, threads=threads)
        load_seconds = time.perf_counter() - start
        names = [y.name for y in loaded.outputs]
        check_fits(output, names, model)
        samples = read_inputs(x, named or (), ports_of(loaded), model, missing)
        start = time.perf_counter()
        found = loaded.predict(samples, batch_size=batch_size)
        seconds = time.perf_counter() - start
        results = dict(zip(names, found if isinstance(found, list) else [found], strict=True))
        write_results(output, results, loaded.outputs)
        sources = _sources(x, named or (), samples)
        where = loaded.device if loaded.device != "cpu" else f"cpu, {count(loaded.threads, 'thread')}"
        show.rows(
            [
                *(("input", _text(sources[name], name, array, len(samples))) for name, array in samples.items()),
                *(("output", _text(output, name, array, len(results))) for name, array in results.items()),
                ("device", where),
                ("time", f"{duration(seconds)} (and {duration(load_seconds)} to load the model)"),
            ]
        )
        inputs = [_described(sources[name], name, array) for name, array in samples.items()]
        outputs = [_described(output, name, array) for name, array in results.items()]
        show.result(
            {
                "model": str(model),
                "inputs": inputs,
                "outputs": outputs,
                "device": loaded.device,
                "threads": loaded.threads,
                "batch_size": batch_size,
                "seconds": seconds,
                "load_seconds": load_seconds,
            }
        )


def _sources(x: Path | None, named: Sequence[str], names: Iterable[str]) -> dict[str, Path]:
    """Returns the file of each input."""
    if x is not None:
        return dict.fromkeys(names, x)
    return {name: Path(next(text[len(name) + 1 :] for text in named if text.startswith(f"{name}="))) for name in names}


def _text(path: Path, name: str, array: Array, of: int) -> str:
    which = f" {label(name)}" if of > 1 else ""
    return f"{path}{which} {array.dtype.name}{shape_text(array.shape)}"


def _described(path: Path, name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "path": str(path), "dtype": array.dtype.name, "shape": array.shape}
