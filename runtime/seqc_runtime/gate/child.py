"""What runs in the process that tries a model: it answers in two lines of JSON, how it is protected and how it went."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from seqc_runtime.errors import RuntimeExecutionError, SeqcRuntimeError
from seqc_runtime.model import Model, open_model
from seqc_runtime.sandbox import restrict
from seqc_runtime.source import open_source

# Sizes to try for axes the model leaves open, until it runs: a convolution may need more than one step.
_SIZES = (1, 16, 64)
_MOST_SAID = 4000


def main(job: dict[str, Any]) -> None:
    """Do a job of `try_model`, and end this process."""
    protection = restrict(
        [Path(path) for path in job["readable"]],
        [Path(path) for path in job["listable"]],
        job["memory"],
        job["cpu"],
    )
    _say({"protection": protection})
    if set(job["require"]) <= set(protection):
        _say(_tried(job))
    # Libraries' threads and destructors have nothing to add.
    os._exit(0)


def _tried(job: dict[str, Any]) -> dict[str, Any]:
    try:
        source = dataclasses.replace(open_source(job["target"]), name=job["name"], config=job["config"])
        return {"loaded": True, "ran": _warmed(open_model(source, "cpu", 1))[:_MOST_SAID]}
    except MemoryError:
        return {"error": "it needs more memory than it may use"}
    except SeqcRuntimeError as error:
        return {"error": str(error)[:_MOST_SAID]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:_MOST_SAID]}


def _warmed(model: Model) -> str:
    """Run the model on zeros. What onnxruntime refuses to run may be a guess that is wrong; no memory is no guess."""
    said = ""
    for size in _SIZES:
        try:
            model.predict({info.name: _zeros(info.shape, info.numpy_dtype, size) for info in model.inputs})
            return ""
        except (RuntimeExecutionError, ValueError) as error:
            said = str(error)
            if size == _SIZES[0] and any(
                word in said for word in ("bad_alloc", "Failed to allocate", "bad allocation")
            ):
                raise
    return said


def _zeros(shape: tuple[int | str, ...], dtype: np.dtype[Any], size: int) -> np.ndarray[Any, Any]:
    array = np.zeros([n if isinstance(n, int) else size for n in shape], dtype)
    if dtype.kind == "O":
        array[...] = ""
    return array


def _say(answer: dict[str, Any]) -> None:
    os.write(1, json.dumps(answer).encode() + b"\n")
