"""Large batches, cut into chunks along axis 0."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, SupportsIndex

import numpy as np

from seqc_runtime.errors import RuntimeExecutionError, RuntimeInputError
from seqc_runtime.inputs import Array
from seqc_runtime.tensors import UNNAMED, TensorInfo, format_shape

Feeds = dict[str, Array]
Run = Callable[[Feeds], list[Array]]


@dataclass(frozen=True)
class Batch:
    """The axis of samples, which is axis 0 of some inputs.

    size: a number where the file fixes it, else its name. inputs: the names of those that have it, in order.
    """

    size: int | str
    inputs: tuple[str, ...]


def find_batch(inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> Batch | None:
    """Where the samples lie; None for inputs that have no axes.

    A file does not say it: it is the first axis that the most outputs have, too, so that a table or a scale among the
    inputs is none. Where outputs have other names, it is one called batch, or else that of the first input.
    """
    sizes = [info.shape[0] for info in inputs if info.shape]
    if not sizes:
        return None
    had = {size: sum(info.shape[:1] == (size,) for info in outputs) for size in sizes}
    size = max(sizes, key=lambda one: (had[one], isinstance(one, str) and "batch" in one.lower()))
    return Batch(size, tuple(info.name for info in inputs if info.shape[:1] == (size,)))


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

    The batch axis must be symbolic; inputs without it go whole into each chunk.
    Raises RuntimeInputError when the model cannot be cut, RuntimeExecutionError when an output does not have one row
    per input row.
    """
    batch = check_dynamic(inputs, outputs)
    total = rows_of(feeds, batch)
    if total <= step:
        return run(feeds)
    joined: list[Array] = []
    for start in range(0, total, step):
        rows = slice(start, min(start + step, total))
        results = run({name: array[rows] if name in batch.inputs else array for name, array in feeds.items()})
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


def check_dynamic(inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> Batch:
    """The batch. Raises RuntimeInputError unless it is symbolic, and so is axis 0 of every output."""
    if not inputs:
        raise RuntimeInputError("batch_size needs an input to cut, and this model has none")
    batch = find_batch(inputs, outputs) or Batch(UNNAMED, (inputs[0].name,))
    cut = next(info for info in inputs if info.name == batch.inputs[0])
    for role, info in [("input", cut), *(("output", info) for info in outputs)]:
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
    return batch


def rows_of(feeds: Mapping[str, Any], batch: Batch) -> int:
    """How many samples there are. Raises RuntimeInputError where inputs that have the batch have other sizes."""
    first, *others = batch.inputs
    total = int(feeds[first].shape[0])
    for name in others:
        # Axes of one name agree already; unnamed ones may not, nor those of files.
        if feeds[name].shape[0] != total:
            raise RuntimeInputError(
                f"input {name!r} has {feeds[name].shape[0]} rows, but input {first!r} has {total}: every input with "
                "the batch needs as many; otherwise call predict without batch_size"
            )
    return total


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
