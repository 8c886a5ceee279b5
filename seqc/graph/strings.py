"""Tensors of strings: what their arrays are.

An array of strings is one of Python objects, each a `str`, as onnxruntime takes and gives it: NumPy's own strings have
a length that is a part of the array's type, cut off what is longer, and lose zeros at their end.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRING = "string"
Array = NDArray[Any]


def type_name(array: Array) -> str:
    """Returns the element type of an array, as `Type.dtype` has it."""
    return name_of(array.dtype)


@cache
def name_of(dtype: np.dtype[Any]) -> str:
    """Returns the name of an element type, which NumPy puts together anew each time it is asked."""
    return STRING if dtype.kind in "OUS" else dtype.name


def is_text(x: Any) -> bool:
    """Tells whether something is a text, an array of texts, or a list of such."""
    if isinstance(x, str | bytes):
        return True
    if isinstance(x, np.ndarray):
        return x.dtype.kind in "US" or (x.dtype == object and x.size > 0 and all(map(_is_one, x.flat)))
    return isinstance(x, list | tuple) and len(x) > 0 and all(map(is_text, x))


def _is_one(x: Any) -> bool:
    return isinstance(x, str | bytes)


def as_strings(x: Any) -> Array:
    """Returns texts, of whatever kind, as an array of `str`; bytes are UTF-8.

    Raises:
        ValueError: lists differ in length, or bytes are no UTF-8.
    """
    array = np.asarray(x, object)
    if any(isinstance(one, list | tuple) for one in array.flat):
        raise ValueError("the lists in it differ in length")
    found = [one.decode() if isinstance(one, bytes) else str(one) for one in array.flat]
    made = np.empty(array.size, object)
    made[:] = found
    return made.reshape(array.shape)
