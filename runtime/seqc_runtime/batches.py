"""Empty batches, and large ones cut into chunks along axis 0."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import SupportsIndex

import numpy as np

from seqc_runtime.errors import RuntimeExecutionError, RuntimeInputError
from seqc_runtime.inputs import Array, Sizes
from seqc_runtime.tensors import UNNAMED, TensorInfo, format_shape

Feeds = dict[str, Array]
Run = Callable[[Feeds], list[Array]]


def check_batch_size(batch_size: SupportsIndex) -> int:
    """`batch_size` as a positive int, else RuntimeInputError."""
    try:
        step = operator.index(batch_size)
    except TypeError:
        step = 0
    if isinstance(batch_size, bool) or step < 1:
        raise RuntimeInputError(f"batch_size needs a positive integer or None; got {batch_size!r}")
    return step


def empty_outputs(
    feeds: Feeds, sizes: Sizes, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> list[Array]:
    """What the model returns for inputs that hold no element, without running it: outputs that hold none either.

    onnxruntime ends the whole process on an LSTM or GRU with an empty batch, so empty inputs never reach it.
    Raises RuntimeInputError when an output would hold elements, or its shape does not follow from the inputs'.
    """
    results = [np.empty(_empty_shape(info, feeds, sizes, inputs), info.numpy_dtype) for info in outputs]
    for info, result in zip(outputs, results, strict=True):
        if result.size:
            raise RuntimeInputError(
                f"{_what_is_empty(feeds)} holds no elements, but output {info.name!r} {info} would hold "
                f"{result.size}: give every axis except the batch at least one element"
            )
    return results


def _empty_shape(info: TensorInfo, feeds: Feeds, sizes: Sizes, inputs: tuple[TensorInfo, ...]) -> tuple[int, ...]:
    shape: list[int] = []
    for number, axis in enumerate(info.shape):
        if isinstance(axis, int):
            shape.append(axis)
        elif axis in sizes:
            shape.append(sizes[axis])
        elif number == 0 and _batch_size(feeds, inputs) == 0:
            shape.append(0)
        else:
            raise RuntimeInputError(
                f"{_what_is_empty(feeds)} holds no elements, and the size of axis {number} ({axis!r}) of output "
                f"{info.name!r} {info} does not follow from the inputs: pass at least one sample"
            )
    return tuple(shape)


def _what_is_empty(feeds: Feeds) -> str:
    name, array = next((name, array) for name, array in feeds.items() if array.size == 0)
    return f"input {name!r} {format_shape(array.shape)}"


def _batch_size(feeds: Feeds, inputs: tuple[TensorInfo, ...]) -> int | None:
    """Rows along the batch axis, the first input's axis 0; None when that is not symbolic."""
    first = inputs[0]
    return feeds[first.name].shape[0] if first.shape and isinstance(first.shape[0], str) else None


def run_in_chunks(
    feeds: Feeds,
    step: int,
    inputs: tuple[TensorInfo, ...],
    outputs: tuple[TensorInfo, ...],
    run: Run,
) -> list[Array]:
    """Run `step` rows at a time and join the results.

    The batch axis is axis 0 of the first input and must be symbolic; inputs without it go whole into each chunk.
    Raises RuntimeInputError when the model cannot be cut, RuntimeExecutionError when an output does not have one row
    per input row.
    """
    _check_dynamic(inputs, outputs)
    total = feeds[inputs[0].name].shape[0]
    if total <= step:
        return run(feeds)
    batched = _batched_names(feeds, total, inputs)
    joined: list[Array] = []
    for start in range(0, total, step):
        rows = slice(start, min(start + step, total))
        results = run({name: array[rows] if name in batched else array for name, array in feeds.items()})
        _check_rows(results, outputs, rows)
        if not joined:
            joined = [np.empty((total, *result.shape[1:]), result.dtype) for result in results]
        _store(joined, results, outputs, rows)
    return joined


def _check_dynamic(inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> None:
    if not inputs:
        raise RuntimeInputError("batch_size needs an input to cut, and this model has none")
    for role, infos in (("input", inputs[:1]), ("output", outputs)):
        for info in infos:
            if not info.shape or isinstance(info.shape[0], int):
                raise RuntimeInputError(
                    f"batch_size needs a symbolic axis 0, the batch; {role} {info.name!r} has {info}: "
                    "call predict without batch_size"
                )


def _batched_names(feeds: Feeds, total: int, inputs: tuple[TensorInfo, ...]) -> set[str]:
    batch = inputs[0].shape[0]
    names = {info.name for info in inputs if info.shape and info.shape[0] == batch}
    for name in names:
        # Axes of one name agree already; unnamed ones may not.
        if batch == UNNAMED and feeds[name].shape[0] != total:
            raise RuntimeInputError(
                f"batch_size needs every input to have {total} rows, as {inputs[0].name!r} has; "
                f"{name!r} has {feeds[name].shape[0]}: call predict without batch_size"
            )
    return names


def _check_rows(results: list[Array], outputs: tuple[TensorInfo, ...], rows: slice) -> None:
    for info, result in zip(outputs, results, strict=True):
        if result.shape[:1] != (rows.stop - rows.start,):
            raise RuntimeExecutionError(
                f"output {info.name!r} has shape {format_shape(result.shape)} for {rows.stop - rows.start} input rows, "
                "so chunks of it cannot be joined: call predict without batch_size"
            )


def _store(joined: list[Array], results: list[Array], outputs: tuple[TensorInfo, ...], rows: slice) -> None:
    for info, whole, part in zip(outputs, joined, results, strict=True):
        if whole.shape[1:] != part.shape[1:]:
            raise RuntimeExecutionError(
                f"output {info.name!r} changes shape between chunks, {format_shape(whole.shape[1:])} to "
                f"{format_shape(part.shape[1:])} per row: call predict without batch_size"
            )
        whole[rows] = part
