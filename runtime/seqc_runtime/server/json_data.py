"""Between lists of JSON and arrays: exact, and as fast as Python allows."""

from __future__ import annotations

import math
import struct
from itertools import chain
from typing import Any

import numpy as np

from seqc_runtime.inputs import Array
from seqc_runtime.server.infer_request import shown
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.signature import Declared

# Of `struct` in its standard sizes, which takes lists twice as fast as NumPy, and no texts, nothing that is too large,
# and no fractions for integers.
_CODES = {
    "float16": "e",
    "float32": "f",
    "float64": "d",
    **{f"int{size * 8}": code for size, code in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))},
    **{f"uint{size * 8}": code for size, code in ((1, "B"), (2, "H"), (4, "I"), (8, "Q"))},
}
_NEEDS = {"f": "numbers", "i": "integers", "u": "integers", "b": "true or false", "O": "texts"}


def flatten(data: Any, shape: list[int], count: int, declared: Declared) -> list[Any]:
    """The elements in row-major order.

    data: flat, or lists in lists exactly as the shape says. count: product of the shape.

    Raises Refusal (400) when there are more, or fewer.
    """
    if type(data) is not list:
        if shape or isinstance(data, dict):
            raise Refusal(400, f"input {declared.name!r}: data needs a list; got {shown(data)}")
        return [data]
    if not (data and type(data[0]) is list):
        if len(data) != count:
            raise Refusal(
                400, f"input {declared.name!r}: data needs {count} elements for shape {shown(shape)}; got {len(data)}"
            )
        return data
    level = data
    for axis, size in enumerate(shape):
        if axis:
            if set(map(type, level)) - {list}:
                raise _ragged(declared, shape, axis, "lists and other values beside each other")
            lengths = set(map(len, level))
        else:
            lengths = {len(level)}
        if lengths - {size}:
            raise _ragged(declared, shape, axis, f"lists of {_some(lengths - {size})}")
        if axis:
            level = list(chain.from_iterable(level))
    return level


def _ragged(declared: Declared, shape: list[int], axis: int, got: str) -> Refusal:
    return Refusal(
        400,
        f"input {declared.name!r}: data needs lists of {shape[axis]} at depth {axis + 1} for shape {shown(shape)}; "
        f"got {got}",
    )


def _some(lengths: set[int]) -> str:
    return ", ".join(str(length) for length in sorted(lengths)[:5])


def to_array(values: list[Any], shape: list[int], declared: Declared, booleans: bool) -> Array:
    """The elements as an array of the declared dtype.

    values: as many as the shape has. booleans: whether true or false may be among them.

    Floats that JSON lacks are taken as `to_json` gives them. Raises Refusal (400) naming the first element that is of
    another type, too large, or not finite in this precision.
    """
    kind = declared.dtype.kind
    if kind in "bO":
        if set(map(type, values)) - {bool if kind == "b" else str}:
            raise _wrong(values, declared)
        return _objects(values).reshape(shape) if kind == "O" else np.array(values, np.bool_).reshape(shape)
    if booleans and bool in set(map(type, values)):
        raise _wrong(values, declared)
    try:
        return pack(values, declared).reshape(shape)
    except (struct.error, OverflowError) as error:
        if kind == "f" and not _TEXTS.keys().isdisjoint(value for value in values if type(value) is str):
            numbers = [_TEXTS.get(value, value) if type(value) is str else value for value in values]
            try:
                return pack(numbers, declared).reshape(shape)
            except (struct.error, OverflowError):  # said below, of what came
                pass
        raise _wrong(values, declared) from error


def pack(values: list[Any], declared: Declared) -> Array:
    """Numbers as a flat array of the declared dtype, rounded to nearest.

    values: booleans among them are taken for 0 and 1.

    Raises struct.error or OverflowError for what is no number, or does not fit.
    """
    return np.frombuffer(struct.pack(f"={len(values)}{_CODES[declared.info.dtype]}", *values), declared.dtype)


def _objects(values: list[Any]) -> Array:
    objects = np.empty(len(values), object)
    objects[:] = values
    return objects


def _wrong(values: list[Any], declared: Declared) -> Refusal:
    kind = declared.dtype.kind
    types = {"f": (float, int), "i": (int,), "u": (int,), "b": (bool,), "O": (str,)}[kind]
    for place, value in enumerate(values):
        if type(value) not in types and not (kind == "f" and type(value) is str and value in _TEXTS):
            return Refusal(
                400,
                f"input {declared.name!r}: data needs {_NEEDS[kind]} for {declared.datatype}; element {place} is "
                f"{shown(value)}",
            )
        if not _fits(value, declared):
            return Refusal(
                400, f"input {declared.name!r}: data element {place}, {shown(value)}, does not fit {declared.datatype}"
            )
    return Refusal(400, f"input {declared.name!r}: data does not fit {declared.datatype}")


def _fits(value: Any, declared: Declared) -> bool:
    if declared.dtype.kind in "iu":
        limits = np.iinfo(declared.dtype)
        return bool(limits.min <= value <= limits.max)
    if declared.dtype.kind == "f":
        if type(value) is str:
            return True
        with np.errstate(over="ignore"):
            return math.isfinite(np.array(value, np.float64).astype(declared.dtype))
    return True


def to_json(result: Array) -> Any:
    """The elements, flat, as orjson writes them: an array of finite numbers, or a list.

    JSON has no NaN and no infinities; as in protobuf's JSON they become the texts "NaN", "Infinity" and "-Infinity".
    """
    kind = result.dtype.kind
    flat = np.ascontiguousarray(result).reshape(-1)
    if kind == "f" and not np.isfinite(flat).all():
        return [value if math.isfinite(value) else _NOT_FINITE[str(value)] for value in flat.tolist()]
    return flat.tolist() if kind == "O" else flat


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_TEXTS = {text: float(name) for name, text in _NOT_FINITE.items()}


def nested(result: Array) -> Any:
    """Lists in lists as the shape says, as orjson writes them."""
    flat = to_json(result)
    if not result.ndim:
        return flat.item() if isinstance(flat, np.ndarray) else flat[0]
    if isinstance(flat, np.ndarray):
        return flat.reshape(result.shape)
    return _objects(flat).reshape(result.shape).tolist()
