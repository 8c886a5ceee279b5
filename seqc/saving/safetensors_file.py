"""Weights as safetensors, read and written by the package of that name, which checks what it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from seqc.errors import MissingDependencyError, SavingError
from seqc.graph.element_types import need_bfloat16
from seqc.graph.ir import Array
from seqc.saving.arrays import StoredArray
from seqc.saving.flat import FlatWeights
from seqc.saving.limits import MOST_CONFIG_BYTES
from seqc.saving.model_file import ModelFile, OpenFile

SAFETENSORS = "weights as safetensors"
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8",
    "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64", "BOOL": "bool", "BF16": "bfloat16",
}  # fmt: skip


def is_safetensors(start: bytes) -> bool:
    """Tells whether a file begins like safetensors: the length of its header, and the JSON of that."""
    length = int.from_bytes(start[:8], "little")
    return len(start) > 8 and start[8:9] == b"{" and 2 <= length <= MOST_CONFIG_BYTES


@contextmanager
def read_safetensors(opened: OpenFile) -> Iterator[ModelFile]:
    """Reads a file of safetensors.

    Raises:
        SavingError: it is damaged. MissingDependencyError: the package is not installed.
    """
    opened.file.seek(0)
    try:
        content = require_safetensors().deserialize(opened.file.read())
    except Exception as error:
        if isinstance(error, MissingDependencyError):
            raise
        raise SavingError(f"'{opened.path}' is no whole file of safetensors: {error}.") from error
    arrays = []
    for name, facts in content:
        if facts["dtype"] not in _DTYPES:
            raise SavingError(f"Array '{name}' in '{opened.path}' holds {facts['dtype']}, which NumPy does not have.")
        if facts["dtype"] == "BF16":
            need_bfloat16(f"Array '{name}' in '{opened.path}'")
        shape, dtype = tuple(facts["shape"]), _DTYPES[facts["dtype"]]
        arrays.append(StoredArray(name, shape, dtype, partial(_read, facts["data"], shape, dtype)))
    yield ModelFile(SAFETENSORS, opened.path, weights=FlatWeights(opened.path, arrays))


def _read(content: bytes, shape: tuple[int, ...], dtype: str) -> Array:
    return np.frombuffer(content, dtype).reshape(shape).copy()


def pack_safetensors(arrays: Mapping[str, Array], facts: Mapping[str, str]) -> bytes:
    """Returns the content of a file of safetensors.

    Args:
        arrays: by name. facts: what the file says of itself.
    """
    require_safetensors()
    from safetensors.numpy import save

    return bytes(save({name: np.require(array, requirements="C") for name, array in arrays.items()}, dict(facts)))


def require_safetensors() -> Any:
    """Returns the package's module.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import safetensors
    except ImportError as error:
        raise MissingDependencyError(
            "Files of safetensors are read and written with the package of that name. Install it: "
            "pip install 'seqc[safetensors]'"
        ) from error
    return safetensors
