"""Names of datatypes in the Open Inference Protocol."""

from __future__ import annotations

from seqc_runtime.tensors import TensorInfo

# By NumPy's name, as TensorInfo.dtype has it.
DATATYPES = {
    "bool": "BOOL",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "str": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def datatype(info: TensorInfo) -> str:
    """The protocol's name of a tensor's type."""
    return DATATYPES[info.dtype]
