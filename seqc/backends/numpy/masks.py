"""Drawing what dropout keeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.graph.ir import Array, Emitter, Op, Value
from seqc.ops.random import RandomUniform, hashes


@dataclass(frozen=True, repr=False, eq=False)
class KeepMask(RandomUniform):
    """What Dropout multiplies with, by the numbers that RandomUniform draws.

    It is 0, or 1 / (1 - rate) where those are at least `rate` (see `Dropout`).

    The comparison is one of integers, so that the numbers themselves need not be made.
    """

    rate: float

    @property
    def scale(self) -> float:
        return 1 / (1 - self.rate)

    def limit(self, dtype: np.dtype[Any]) -> int:
        """Returns the smallest hash that is kept; 2^32 where a rate near 1 is rounded to 1."""
        return math.ceil(float(dtype.type(self.rate)) * (1 << 24)) << 8

    def eval_from(self, first: int, like: Array, seed: Array, step: Array) -> Any:
        kept = hashes(self.stream, first, like.size, seed, step) >= self.limit(like.dtype)
        return (kept.astype(like.dtype) * like.dtype.type(self.scale)).reshape(like.shape)

    def lower(self, e: Emitter, y: Value, like: str, seed: str, step: str) -> str | tuple[str, ...]:
        return Op.lower(self, e, y)  # refuses: ONNX draws the numbers
