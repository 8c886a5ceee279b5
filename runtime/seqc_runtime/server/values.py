"""Values without a shape of their own: rows of numbers as people write them, to arrays of the declared shape."""

from __future__ import annotations

import math
from typing import Any

from seqc_runtime.inputs import Array
from seqc_runtime.server import json_data
from seqc_runtime.server.infer_request import check_shape
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Refusal
from seqc_runtime.server.signature import Declared


def from_lists(data: Any, declared: Declared, booleans: bool, limits: Limits, rows: bool = False) -> tuple[Array, bool]:
    """Lists in lists as an array of the declared shape, and whether they are one sample without the batch axis.

    rows: whether the data is known to be a list of samples.

    Raises Refusal (400).
    """
    nested = shape_of(data)
    count = math.prod(nested)
    values = json_data.flatten(data, nested, count, declared)
    shape, alone = fit(declared, nested, rows)
    check_shape(declared, shape, limits)
    return json_data.to_array(values, shape, declared, booleans), alone


def shape_of(data: Any) -> list[int]:
    """The sizes along the first elements; whether all others have the same is for `flatten` to see."""
    shape: list[int] = []
    while type(data) is list:
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    return shape


def fit(declared: Declared, shape: list[int], rows: bool = False) -> tuple[list[int], bool]:
    """The declared shape that so many values have, and whether they are one sample that gets a batch axis.

    shape: as it came. It fits as it is, without the batch axis, or with samples that are written flat, which those of
    one number are as that number. An empty list is no sample. rows: whether the first axis is that of the batch.

    Raises Refusal (400) when it does not.
    """
    wanted = declared.shape
    if declared.any_shape or _fits(shape, wanted):
        return shape, False
    batched = bool(wanted) and isinstance(wanted[0], str)
    if batched and shape == [0]:
        return [0, *(size if isinstance(size, int) else 0 for size in wanted[1:])], False
    if batched and not rows and _fits([1, *shape], wanted):
        return [1, *shape], True
    rest = [size for size in wanted[1:] if isinstance(size, int)]
    if len(rest) == len(wanted) - 1 >= 0:
        one = math.prod(rest)
        if not rows and (shape == [one] or (not shape and one == 1)) and _fits([1, *rest], wanted):
            return [1, *rest], True
        flat = (len(shape) == 2 and shape[1] == one) or (len(shape) == 1 and one == 1)
        if flat and _fits([shape[0], *rest], wanted):
            return [shape[0], *rest], False
    raise Refusal(400, f"input {declared.name!r}: the data needs to fit {declared}; got shape {shape}")


def _fits(shape: list[int], declared: tuple[int | str, ...]) -> bool:
    return len(shape) == len(declared) and all(
        isinstance(size, str) or size == given for size, given in zip(declared, shape, strict=True)
    )
