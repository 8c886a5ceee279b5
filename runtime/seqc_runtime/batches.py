"""Large batches, cut into chunks along axis 0."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import replace
from typing import SupportsIndex

import numpy as np

from seqc_runtime.errors import RuntimeExecutionError, RuntimeInputError
from seqc_runtime.inputs import Array
from seqc_runtime.tensors import UNNAMED, TensorInfo, format_shape

Feeds = dict[str, Array]
Run = Callable[[Feeds], list[Array]]


def check_batch_size(batch_size: SupportsIndex, name: str = "batch_size") -> int:
    """`batch_size`, which errors call `name`, as a positive int, else RuntimeInputError."""
    try:
        step = operator.index(batch_size)
    except TypeError:
        step = 0
    if isinstance(batch_size, bool) or step < 1:
        raise RuntimeInputError(f"{name} needs a positive integer; got {batch_size!r}")
    return step


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
    check_dynamic(inputs, outputs)
    total = feeds[inputs[0].name].shape[0]
    if total <= step:
        return run(feeds)
    batched = batched_names(feeds, total, inputs)
    joined: list[Array] = []
    for start in range(0, total, step):
        rows = slice(start, min(start + step, total))
        results = run({name: array[rows] if name in batched else array for name, array in feeds.items()})
        check_rows(results, outputs, rows.stop - rows.start)
        if not joined:
            joined = [np.empty((total, *result.shape[1:]), result.dtype) for result in results]
        _store(joined, results, outputs, rows)
    return joined


def cut_open(step: int, infos: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
    """`infos` with an open first axis in place of one that the file fixes at `step`, the batch asked for."""
    return tuple(
        replace(info, shape=(f"rows by {step}", *info.shape[1:])) if info.shape[:1] == (step,) else info
        for info in infos
    )


def check_whole(total: int, step: int) -> None:
    """Raise RuntimeInputError unless `total` rows are whole batches: a file's rows may depend on each other."""
    if total % step or not total:
        missing = step - total % step
        raise RuntimeInputError(
            f"the file takes {step} rows at a time, and {total} are no multiple of that: add {missing} more, such as "
            "copies of the last, and leave out as many results"
        )


def check_dynamic(inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> None:
    """Raise RuntimeInputError unless the first input and every output have a symbolic axis 0, the batch."""
    if not inputs:
        raise RuntimeInputError("batch_size needs an input to cut, and this model has none")
    for role, infos in (("input", inputs[:1]), ("output", outputs)):
        for info in infos:
            if not info.shape or isinstance(info.shape[0], int):
                raise RuntimeInputError(
                    f"batch_size needs a symbolic axis 0, the batch; {role} {info.name!r} has {info}: "
                    "call predict without batch_size"
                )
            named = [axis for axis in info.shape if isinstance(axis, str) and "batch" in axis.lower()]
            if named and info.shape[0] != named[0]:
                raise RuntimeInputError(
                    f"batch_size cuts along axis 0, and the batch of {role} {info.name!r} {info} is another one: "
                    "call predict without batch_size"
                )


def batched_names(feeds: Feeds, total: int, inputs: tuple[TensorInfo, ...]) -> set[str]:
    """The inputs that have the batch axis. Raises RuntimeInputError where unnamed ones have other sizes."""
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


def check_rows(results: list[Array], outputs: tuple[TensorInfo, ...], rows: int) -> None:
    """Raise RuntimeExecutionError unless every output has one row per input row."""
    for info, result in zip(outputs, results, strict=True):
        if result.shape[:1] != (rows,):
            raise RuntimeExecutionError(
                f"output {info.name!r} has shape {format_shape(result.shape)} for {rows} input rows, "
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
