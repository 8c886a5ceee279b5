"""Strings and integers as the numbers of bins, by hashes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import ConfigError, DTypeError, ShapeError
from seqc.graph.ir import Value, apply, as_value, constant
from seqc.graph.strings import STRING
from seqc.known_classes import known
from seqc.layers._arguments import keep_arguments
from seqc.layers.base import Layer
from seqc.layers.encoding import MODES, encode, refuse_sparse
from seqc.layers.index_lookup import checked_salt
from seqc.ops.strings import LookUp
from seqc.ops.text_hashes import CrossHash, HashText


@known("layers")
class Hashing(Layer):
    """Strings or numbers as bins: FarmHash's Fingerprint64 of their text, or SipHash-2-4 with a salt.

    Args:
        num_bins: how many there are. mask_value: what gets bin 0, in which nothing else is then.
        salt: one or two integers. output_mode: "int", or "one_hot", "multi_hot" and "count" as in `CategoryEncoding`.

    Shapes: strings, integers or floats of any shape, integers from these cut off; the result of that shape, or vectors.
    """

    num_bins: int
    mask_value: Any
    output_mode: str
    not_kept = ("salt", "sparse")

    @keep_arguments
    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: int | Sequence[int] | None = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("dtype") is None:
            kwargs["dtype"] = "int64" if output_mode == "int" else "float32"
        super().__init__(**kwargs)
        if not isinstance(num_bins, int) or num_bins <= 0:
            raise ConfigError(
                f"The `num_bins` for `Hashing` cannot be `None` or non-positive values. Received: num_bins={num_bins}."
            )
        if output_mode not in ("int", *MODES):
            raise ConfigError(
                f"Invalid value for argument `output_mode`. Expected one of {('int', *MODES)}. Received: "
                f"output_mode={output_mode}"
            )
        if output_mode == "int" and self.dtype not in ("int32", "int64"):
            raise ConfigError(
                "When `output_mode=\"int\"`, `dtype` should be an integer type, 'int32' or 'int64'. Received: "
                f"dtype={self.dtype}"
            )
        if mask_value is not None and not isinstance(mask_value, str | int | float | np.generic):
            raise ConfigError(
                f"The `mask_value` of Hashing is a string, a number or None. Received: mask_value={mask_value!r}"
            )
        refuse_sparse(self, sparse)
        self.salt = checked_salt(salt, "Hashing")
        self.built = True

    def _cast_input(self, x: Value) -> Value:
        return x

    def call(self, inputs: Any) -> Value:
        x = as_value(inputs)
        if self.mask_value is not None and isinstance(self.mask_value, str) != (x.type.dtype == STRING):
            raise DTypeError(
                f"The mask_value {self.mask_value!r} of Hashing is never among inputs of {x.type.dtype}. Give one of "
                "their kind, or none."
            )
        whole = ops.cast(x, "int64") if x.type.is_float else x
        if self.mask_value is None or self.num_bins == 1:
            bins = apply(HashText(self.num_bins, self.salt), whole)
        else:
            hashed = apply(HashText(self.num_bins - 1, self.salt), whole) + constant(np.int64(1))
            bins = ops.where(self._is_masked(x), constant(np.int64(0)), hashed)
        return encode(bins, self.output_mode, self.num_bins, self.dtype)

    def _is_masked(self, x: Value) -> Value:
        if x.type.dtype != STRING:
            return ops.equal(x, constant(np.asarray(self.mask_value, x.dtype)))
        return apply(LookUp((str(self.mask_value),), (1,), 0, STRING), x) == constant(np.int64(1))

    def _default_input_dtype(self) -> str:
        return STRING

    def get_config(self) -> dict[str, Any]:
        salt = None if self.salt is None else list(self.salt)
        return super().get_config() | {"salt": salt, "sparse": False}


@known("layers")
class HashedCrossing(Layer):
    """Combinations of what several tensors hold at one place as bins, by hashes.

    Args:
        num_bins: how many there are. output_mode: "int", or "one_hot" for a vector each.

    Shapes: a list of strings or integers, all (batch,) or all (batch, 1), to that shape, or (batch, num_bins).
    """

    num_bins: int
    output_mode: str
    takes_several = takes_lists = True
    not_kept = ("sparse", "name", "dtype")

    @keep_arguments
    def __init__(
        self,
        num_bins: int,
        output_mode: str = "int",
        sparse: bool = False,
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, dtype="int64" if output_mode == "int" and dtype is None else dtype, **kwargs)
        if not isinstance(num_bins, int) or num_bins <= 0:
            raise ConfigError(f"`num_bins` of HashedCrossing must be a positive integer. Received: num_bins={num_bins}")
        if output_mode not in ("int", "one_hot"):
            raise ConfigError(
                f"Unknown value for `output_mode` of HashedCrossing: {output_mode!r}. It is 'int' or 'one_hot'."
            )
        refuse_sparse(self, sparse)
        self.built = True

    def _cast_input(self, x: Value) -> Value:
        return x

    def call(self, inputs: Any) -> Value:
        if not isinstance(inputs, list | tuple) or len(inputs) < 2:
            raise ShapeError(
                "`HashedCrossing` should be called on a list or tuple of at least two inputs: layer([a, b])."
            )
        xs = [as_value(x) for x in inputs]
        shown = [x.shape for x in xs]
        first = xs[0].type
        if first.rank > 2 or (first.rank == 2 and first.shape[-1] != 1):
            raise ShapeError(
                "All `HashedCrossing` inputs should have shape `()`, `(batch_size)` or `(batch_size, 1)`. Received "
                f"shapes: {shown}"
            )
        if any(x.type.shape != first.shape for x in xs):
            raise ShapeError(f"All `HashedCrossing` inputs should have equal shape. Received shapes: {shown}")
        if any(x.dtype != STRING and not x.dtype.startswith(("int", "uint")) for x in xs):
            raise DTypeError(
                f"All `HashedCrossing` inputs should have an integer or string dtype. Received: {[x.dtype for x in xs]}"
            )
        return encode(apply(CrossHash(self.num_bins), *xs), self.output_mode, self.num_bins, self.dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"num_bins": self.num_bins, "output_mode": self.output_mode, "sparse": False}
        return own | {"name": self.name, "dtype": self.dtype}
