"""Inputs made up from what a model declares, to run it once before anybody waits for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from seqc_runtime.errors import RuntimeExecutionError, RuntimeInputError, RuntimeStoppedError
from seqc_runtime.tensors import TensorInfo

# Sizes for symbolic axes that are not the batch: a time step, short texts, windows of convolutions, images.
_SIZES = (1, 2, 8, 32, 128, 224)
_MOST_BYTES = 1 << 30


def warm_up(
    inputs: tuple[TensorInfo, ...], batched: Collection[str], rows: int, run: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Call `run` with zeros (text: "0") until a size of the free axes suits the model, and return those inputs.

    batched: the inputs that have the batch axis, which gets `rows`.

    Raises RuntimeExecutionError with the first reason when none does.
    """
    first: Exception | None = None
    sizes = _SIZES if _has_free_axes(inputs, batched) else _SIZES[:1]
    for size in sizes:
        try:
            feeds = {info.name: _made_up(info, rows if info.name in batched else size, size) for info in inputs}
            run(feeds)
        except RuntimeStoppedError:
            raise
        except (RuntimeExecutionError, RuntimeInputError) as error:
            first = first or error
        else:
            return feeds
    tried = f", with free axes of {', '.join(map(str, sizes))}" if len(sizes) > 1 else ""
    raise RuntimeExecutionError(
        f"the model could not be warmed up with made-up inputs of {rows} rows{tried}: {first}"
    ) from first


def _has_free_axes(inputs: tuple[TensorInfo, ...], batched: Collection[str]) -> bool:
    return any(
        isinstance(axis, str) and not (number == 0 and info.name in batched)
        for info in inputs
        for number, axis in enumerate(info.shape)
    )


def _made_up(info: TensorInfo, rows: int, size: int) -> Any:
    if info.kind.startswith("optional"):
        return None
    if info.kind != "tensor":
        return [np.full((size,), _zero(info), info.numpy_dtype)]
    shape = tuple(axis if isinstance(axis, int) else size if number else rows for number, axis in enumerate(info.shape))
    if math.prod(shape) * info.numpy_dtype.itemsize > _MOST_BYTES:
        raise RuntimeInputError(f"input {info.name!r} {info} would take more than {_MOST_BYTES} bytes")
    return np.full(shape, _zero(info), info.numpy_dtype)


def _zero(info: TensorInfo) -> Any:
    # An empty text has no words, and over none some operators of onnxruntime end the process.
    return "0" if info.dtype == "str" else 0
