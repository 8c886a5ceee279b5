"""`seqc predict`: run an ONNX file on an array."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import MOST_THREADS, AsJson, check_output, count, duration, screen, shape_text

if TYPE_CHECKING:
    from seqc.ir import Array


class Device(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The .onnx file (see `seqc export`).")],
    x: Annotated[Path, typer.Argument(metavar="X", help="The input: a .npy file, samples first.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npy file to write.")],
    device: Annotated[
        Device, typer.Option(case_sensitive=False, help="Where to run; auto is CUDA where it works.")
    ] = Device.AUTO,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples per run; all at once by default.", show_default=False)
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
    """Run an ONNX file on the samples of a .npy file.

    Numbers of another type are converted where that keeps their meaning. Text that a model gives is written as NumPy's
    text of fixed width. A .keras file has to be exported first.

    \b
    Examples:
      seqc predict digits.onnx x.npy -o y.npy
      seqc predict digits.onnx x.npy -o y.npy --device cuda --batch-size 256
    """
    with screen(as_json) as show:
        from seqc.cli._kinds import ONNX, refuse_other_kinds, require_file
        from seqc.cli._runtime import load_runtime

        runtime = load_runtime("seqc predict")
        check_output(output, ".npy")
        require_file(model)
        refuse_other_kinds(model, ONNX)
        samples = read_array(x)
        start = time.perf_counter()
        loaded = runtime.load(model, device=device.value, threads=threads)
        load_seconds = time.perf_counter() - start
        _check_outputs(loaded, model)
        start = time.perf_counter()
        result = loaded.predict(samples, batch_size=batch_size)
        seconds = time.perf_counter() - start
        if result.dtype == object:
            result = result.astype(str)
        _write(output, result)
        where = loaded.device if loaded.device != "cpu" else f"cpu, {count(loaded.threads, 'thread')}"
        show.rows(
            [
                ("input", f"{x} {samples.dtype.name}{shape_text(samples.shape)}"),
                ("output", f"{output} {result.dtype.name}{shape_text(result.shape)}"),
                ("device", where),
                ("time", f"{duration(seconds)} (and {duration(load_seconds)} to load the model)"),
            ]
        )
        show.result(
            {
                "model": str(model),
                "input": {"path": str(x), "dtype": samples.dtype.name, "shape": samples.shape},
                "output": {"path": str(output), "dtype": result.dtype.name, "shape": result.shape},
                "device": loaded.device,
                "threads": loaded.threads,
                "batch_size": batch_size,
                "seconds": seconds,
                "load_seconds": load_seconds,
            }
        )


def read_array(path: Path) -> Array:
    """Returns the array of a .npy file; its elements are read when they are needed.

    Raises:
        DataError: it is not there, not a .npy file, cut off, or holds Python objects, which are never loaded.
    """
    import numpy as np

    from seqc.cli._kinds import NUMPY, refuse_other_kinds, require_file
    from seqc.errors import DataError

    require_file(path)
    refuse_other_kinds(path, NUMPY)
    with path.open("rb") as file:
        if file.read(6) != np.lib.format.MAGIC_PREFIX:
            raise DataError(f'{path} is not a .npy file. Write one with numpy.save("x.npy", x).')
    try:
        # Mapped, a file that promises more elements than it has is refused before any memory is taken for them.
        array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a damaged header ends in errors of many kinds, SyntaxError among them
        if "Python objects" in str(error):
            raise DataError(
                f"{path} holds Python objects, which are never loaded; save an array of numbers."
            ) from error
        early = "mmap length" in str(error) or isinstance(error, ArithmeticError)
        what = "it ends before its last number" if early else "its header makes no sense"
        raise DataError(f"{path} is damaged: {what}.") from error
    return np.asarray(array)


def _check_outputs(loaded: Any, path: Path) -> None:
    from seqc.errors import ConfigError

    if len(loaded.outputs) != 1:
        raise ConfigError(
            f"{path} has {len(loaded.outputs)} outputs and a .npy file holds one array. Use "
            "seqc_runtime.load(...).predict(x) from Python."
        )


def _write(path: Path, result: Array) -> None:
    import io

    import numpy as np

    from seqc.utils.files import write_file

    content = io.BytesIO()
    np.save(content, result, allow_pickle=False)
    write_file(path, content.getvalue())
