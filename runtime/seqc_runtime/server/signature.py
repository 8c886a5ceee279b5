"""What a model declares, in the protocol's words, prepared once for all requests to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc_runtime.errors import RuntimeModelError
from seqc_runtime.server.datatypes import datatype
from seqc_runtime.tensors import UNNAMED, TensorInfo, format_shape


class Declared:
    """One declared input or output.

    dtype: of arrays in memory. wire: of binary tensors, little-endian; None for BYTES, whose elements differ in size.
    any_shape: whether the file leaves the shape open, which onnxruntime shows as ().
    free: the symbolic axes as (axis, name), name None for those without.
    """

    __slots__ = ("any_shape", "datatype", "dtype", "free", "info", "name", "shape", "wire")

    def __init__(self, info: TensorInfo) -> None:
        if info.kind != "tensor":
            raise RuntimeModelError(
                f"{info.name!r} is a {info}; a server has tensors only: export the model without it "
                "(for a classifier of scikit-learn, with zipmap=False)"
            )
        self.info = info
        self.name = info.name
        self.shape = info.shape
        self.datatype = datatype(info)
        self.dtype: np.dtype[Any] = info.numpy_dtype
        self.wire: np.dtype[Any] | None = None if info.dtype == "str" else self.dtype.newbyteorder("<")
        self.any_shape = not info.shape
        self.free = tuple(
            (axis, None if size == UNNAMED else size) for axis, size in enumerate(info.shape) if isinstance(size, str)
        )

    def __str__(self) -> str:
        return self.datatype + ("" if self.any_shape else format_shape(self.shape))


class Signature:
    """The inputs and outputs of a model, by name and in order.

    batched: whether axis 0 is the batch, which it is when every input has a symbolic axis 0 of the same name.
    """

    __slots__ = ("batched", "input_names", "inputs", "output_names", "outputs", "several_axes")

    def __init__(self, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> None:
        self.inputs = {info.name: Declared(info) for info in inputs}
        self.outputs = {info.name: Declared(info) for info in outputs}
        self.input_names = list(self.inputs)
        self.output_names = list(self.outputs)
        first = {info.shape[0] if info.shape else 0 for info in inputs}
        self.batched = len(first) == 1 and isinstance(first.pop(), str)
        names = [name for declared in self.inputs.values() for _, name in declared.free if name is not None]
        self.several_axes = len(set(names)) < len(names)
