"""`seqc predict`: run an ONNX file on an array."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqc.cli._errors import Debug
from seqc.cli._output import AsJson, duration, screen, shape_text

if TYPE_CHECKING:
    from seqc.ir import Array


class Device(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The .onnx file.")],
    x: Annotated[Path, typer.Argument(metavar="X", help="The input: a .npy file, samples first.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npy file to write.")],
    device: Annotated[Device, typer.Option(help="Where to run; auto is CUDA where it works.")] = Device.AUTO,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples per run; all at once by default.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; by default what this process may use.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Run an ONNX file on the samples of a .npy file.

    \b
    Examples:
      seqc predict digits.onnx x.npy -o y.npy
      seqc predict digits.onnx x.npy -o y.npy --device cuda --batch-size 256
    """
    with screen(as_json) as show:
        from seqc.cli._runtime import load_runtime
        from seqc.utils.files import check_target

        runtime = load_runtime("seqc predict")
        check_target(output)
        samples = read_array(x)
        start = time.perf_counter()
        loaded = runtime.load(model, device=device.value, threads=threads)
        load_seconds = time.perf_counter() - start
        _check_outputs(loaded, model)
        start = time.perf_counter()
        result = loaded.predict(samples, batch_size=batch_size)
        seconds = time.perf_counter() - start
        _write(output, result)
        where = loaded.device if loaded.device != "cpu" else f"cpu, {_threads(loaded.threads)}"
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
    """Returns the array of a .npy file.

    Raises:
        DataError: it is not there, not a .npy file, or holds Python objects, which are never loaded.
    """
    import numpy as np

    from seqc.errors import DataError

    if not path.is_file():
        raise DataError(f"There is no file {path}.")
    try:
        array: Any = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is not a .npy file of numbers: {error}") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} holds several arrays; save the one to predict from with np.save.")
    return array


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


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"
