"""Hashes of strings and integers, as bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import DTypeError, NoLoweringError
from seqc.graph.ir import Array, Emitter, Type, Value
from seqc.ops._hashes import crossed, fingerprint, sip_hash
from seqc.ops.strings import OnStrings


@dataclass(frozen=True, repr=False, eq=False)
class HashText(OnStrings):
    """The bin, of so many, of each string, or of each integer as a decimal number.

    Attributes:
        bins: how many there are. salt: two numbers for SipHash-2-4; without them it is FarmHash's Fingerprint64.
    """

    bins: int
    salt: tuple[int, int] | None = None

    def infer(self, x: Type) -> Type:
        if x.is_float:
            raise DTypeError(f"HashText takes strings or integers; got {x}.")
        return x.with_dtype("int64")

    def eval(self, x: Array) -> Any:
        names = {True: "true", False: "false"} if x.dtype == bool else {}
        bins, salt = self.bins, self.salt

        def bin_of(one: Any) -> int:
            text = str(names.get(one, one)).encode()
            return (fingerprint(text) if salt is None else sip_hash(text, salt)) % bins

        return self.each(bin_of, x, np.int64)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        raise NoLoweringError(
            "ONNX has no operator that hashes strings or numbers as Keras does. Apply the layer to the data beforehand "
            "and export the model behind it, or look words up in a vocabulary with one out-of-vocabulary index."
        )


@dataclass(frozen=True, repr=False, eq=False)
class CrossHash(OnStrings):
    """The bin, of so many, of each combination of elements at the same place of several tensors."""

    bins: int

    def infer(self, *xs: Type) -> Type:
        return xs[0].with_dtype("int64")

    def eval(self, *xs: Array) -> Any:
        rows = zip(*(x.ravel().tolist() for x in xs), strict=True)
        made = [crossed(map(_number_of, row)) % self.bins for row in rows]
        return np.array(made, np.int64).reshape(xs[0].shape)

    def lower(self, e: Emitter, y: Value, *xs: str) -> str | tuple[str, ...]:
        raise NoLoweringError(
            "ONNX has no operator that hashes combinations as Keras does. Apply the layer to the data beforehand and "
            "export the model behind it."
        )


def _number_of(x: Any) -> int:
    return fingerprint(x.encode()) if isinstance(x, str) else int(x) & (1 << 64) - 1
