"""What a model declares about its inputs and outputs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from seqc_runtime.errors import RuntimeModelError, printable

UNNAMED = "?"
# What exporters write for an axis they know nothing of; two such axes have nothing to do with each other.
_NO_NAMES = frozenset({"", "?", "-1", "*", "none", "unk", "unknown"})

# ONNX's element types, as onnxruntime writes them, by which of NumPy's hold them.
_NUMPY_NAMES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bool": "bool",
    "string": "str",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}

Kind = Literal["tensor", "sequence", "optional", "optional sequence", "map", "sequence of maps"]
_FORMS: dict[str, Kind] = {
    "tensor(@)": "tensor",
    "seq(tensor(@))": "sequence",
    "optional(tensor(@))": "optional",
    "optional(seq(tensor(@)))": "optional sequence",
    "map(int64,tensor(@))": "map",
    "map(string,tensor(@))": "map",
    "seq(map(int64,tensor(@)))": "sequence of maps",
    "seq(map(string,tensor(@)))": "sequence of maps",
}
_INNERMOST = re.compile(r"tensor\((\w+)\)")


@dataclass(frozen=True)
class TensorInfo:
    """One declared input or output.

    name: its ONNX name. dtype: NumPy's name of its dtype ("str" for text, which predict returns as object arrays).
    shape: an int for a fixed axis, a name for a symbolic one; axes of the same name have the same size, except
    "?", the name given to every axis that the file leaves unnamed, or gives a name that only says so.
    kind: "tensor" is an array, "sequence" a list of arrays, "map" a dict, "optional" one of them or None. All but
    tensors have no declared shape, and `dtype` is that of the innermost values.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    kind: Kind = "tensor"

    @cached_property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype of arrays passed to and returned by onnxruntime."""
        return np.dtype(object if self.dtype == "str" else self.dtype)

    def __str__(self) -> str:
        if self.kind != "tensor":
            return printable(f"{self.kind} of {self.dtype}")
        return printable(f"{self.dtype}{format_shape(self.shape)}")


def format_shape(shape: tuple[int | str, ...]) -> str:
    """(batch, 784) as "[batch, 784]"."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def read_info(argument: Any, role: str) -> TensorInfo:
    """The TensorInfo of an onnxruntime NodeArg; RuntimeModelError for a type NumPy cannot hold."""
    innermost = _INNERMOST.search(argument.type)
    dtype = _NUMPY_NAMES.get(innermost[1]) if innermost else None
    kind = _FORMS.get(_INNERMOST.sub("tensor(@)", argument.type))
    if dtype is None or kind is None:
        raise RuntimeModelError(
            f"{role} {argument.name!r} has type {argument.type}, which NumPy cannot hold: let the model "
            f"{'begin' if role == 'input' else 'end'} with a Cast, so that it is a tensor of one of "
            f"{', '.join(sorted(set(_NUMPY_NAMES.values())))}"
        )
    if role == "input" and kind in ("map", "sequence of maps"):
        raise RuntimeModelError(
            f"input {argument.name!r} has type {argument.type}: inputs are arrays or lists of them, not dicts"
        )
    shape = tuple(_axis(size) for size in argument.shape) if kind == "tensor" else ()
    return TensorInfo(argument.name, dtype, shape, kind)


def _axis(size: int | str | None) -> int | str:
    if isinstance(size, int) and size >= 0:
        return size
    return size if isinstance(size, str) and size.lower() not in _NO_NAMES else UNNAMED
