"""What a model declares about its inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from seqc_runtime.errors import RuntimeModelError, printable

UNNAMED = "?"

_NUMPY_NAMES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


@dataclass(frozen=True)
class TensorInfo:
    """One declared input or output.

    name: its ONNX name. dtype: NumPy's name of its dtype ("str" for text, which predict returns as object arrays).
    shape: an int for a fixed axis, a name for a symbolic one; axes of the same name have the same size, except
    "?", the name given to every axis the file leaves unnamed.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    @cached_property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype of arrays passed to and returned by onnxruntime."""
        return np.dtype(object if self.dtype == "str" else self.dtype)

    def __str__(self) -> str:
        return printable(f"{self.dtype}{format_shape(self.shape)}")


def format_shape(shape: tuple[int | str, ...]) -> str:
    """(batch, 784) as "[batch, 784]"."""
    return "[" + ", ".join(str(size) for size in shape) + "]"


def read_info(argument: Any, role: str) -> TensorInfo:
    """The TensorInfo of an onnxruntime NodeArg; RuntimeModelError for a type NumPy cannot hold."""
    dtype = _NUMPY_NAMES.get(argument.type)
    if dtype is None:
        raise RuntimeModelError(
            f"{role} {argument.name!r} has type {argument.type}, which NumPy cannot hold: "
            f"end the model in one of {', '.join(sorted(set(_NUMPY_NAMES.values())))} tensors"
        )
    return TensorInfo(argument.name, dtype, tuple(_axis(size) for size in argument.shape))


def _axis(size: int | str | None) -> int | str:
    if isinstance(size, int) and size >= 0:
        return size
    return size if isinstance(size, str) and size else UNNAMED
