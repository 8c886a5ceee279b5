"""Samples that need not fit in memory, chunk after chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seqc_runtime.batches import Batch, check_dynamic, rows_of
from seqc_runtime.errors import RuntimeInputError
from seqc_runtime.inputs import as_array, match
from seqc_runtime.tensors import TensorInfo, format_shape

# A chunk as `predict` takes it, how many samples it has, and how many there are in all, None when nothing tells.
Chunk = tuple[dict[str, Any], int, int | None]


def chunks(x: object, step: int, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> Iterator[Chunk]:
    """Chunks of up to `step` samples, each read when it is asked for; at least one, which may be empty.

    x: what `Model.predict_iter` takes. Raises RuntimeInputError, at once for what can be told without reading.
    """
    batch = check_dynamic(inputs, outputs)
    if _is_array(x) or isinstance(x, Mapping | list | tuple):
        return _sliced(_columns(x, inputs, batch), step, inputs, batch)
    if not isinstance(x, Iterable) or isinstance(x, str | bytes):
        raise RuntimeInputError(
            f"predict_iter needs an array, or something with a shape that can be sliced, or an iterable of arrays, "
            f"lists or dicts; got {type(x).__name__}"
        )
    return _each(x, step, inputs, batch)


def _is_array(x: object) -> bool:
    return hasattr(x, "shape") and hasattr(x, "__getitem__")


def _columns(x: object, inputs: tuple[TensorInfo, ...], batch: Batch) -> dict[str, Any]:
    """By name: what can be sliced for the inputs that have rows, and what came for the others."""
    found: dict[str, Any] = {}
    for info, value in zip(inputs, match(x, inputs), strict=True):
        if info.name not in batch.inputs:
            found[info.name] = value
            continue
        column: Any = value if _is_array(value) else as_array(value, info)
        if not column.shape:
            raise RuntimeInputError(f"input {info.name!r} needs {info}; got a single value, which has no rows")
        found[info.name] = column
    return found


def _sliced(columns: dict[str, Any], step: int, inputs: tuple[TensorInfo, ...], batch: Batch) -> Iterator[Chunk]:
    return _slices(columns, batch.inputs, step, rows_of(columns, batch), inputs)


def _slices(
    columns: dict[str, Any], cut: tuple[str, ...], step: int, total: int, inputs: tuple[TensorInfo, ...]
) -> Iterator[Chunk]:
    whole = {info.name: _whole(info, columns[info.name]) for info in inputs if info.name not in cut}
    for start in range(0, max(total, 1), step):
        rows = slice(start, min(start + step, total))
        parts = {info.name: _read(info, columns[info.name], rows) for info in inputs if info.name in cut}
        yield {**whole, **parts}, rows.stop - rows.start, total


def _whole(info: TensorInfo, value: Any) -> Any:
    return _part(info, value, slice(None)) if _is_array(value) and value.shape else value


def _part(info: TensorInfo, column: Any, rows: slice) -> Any:
    try:
        # Those of pandas go by labels otherwise, where the labels are floats.
        part = getattr(column, "iloc", column)[rows]
    except Exception as error:  # files and stores fail in their own ways
        raise RuntimeInputError(
            f"rows {rows.start or 0} to {rows.stop or 'the last'} of input {info.name!r} cannot be read: {error}"
        ) from error
    return part if hasattr(part, "shape") else as_array(part, info)


def _read(info: TensorInfo, column: Any, rows: slice) -> Any:
    part, count = _part(info, column, rows), rows.stop - rows.start
    if tuple(part.shape[:1]) != (count,):
        raise RuntimeInputError(
            f"rows {rows.start} to {rows.stop} of input {info.name!r} came as {format_shape(part.shape)}, "
            f"not as {count} rows"
        )
    return part


def _each(items: Iterable[object], step: int, inputs: tuple[TensorInfo, ...], batch: Batch) -> Iterator[Chunk]:
    for item in items:
        for chunk, count, _ in _sliced(_columns(item, inputs, batch), step, inputs, batch):
            yield chunk, count, None
