"""Counter-based random numbers: a pure function of (seed, step, stream, position), the same in NumPy and ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DTypeError, ShapeError
from seqc.graph import dims
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Type, Value, apply
from seqc.graph.target import Target
from seqc.ops._common import broadcast_shapes, check_float, check_same_dtype, scalar
from seqc.ops._parts import Positional
from seqc.ops.elementwise import cast

# The multiplier of T. Mueller's 32-bit integer hash. It is below 2^31, so that a product with a 32-bit number fits the
# int64 that ONNX computes in.
MULTIPLIER = 0x45D9F3B
_WORD = 1 << 32
_STREAM_STEP = 0x9E3779B1


def mix(x: Array) -> Array:
    """Hashes uint32 numbers."""
    for _ in range(2):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(MULTIPLIER)
    hashed: Array = x ^ (x >> np.uint32(16))
    return hashed


def key_of(stream: int, seed: int, step: int) -> int:
    """Returns the 32-bit number that tells apart the sequences of all streams, seeds and steps."""
    # Multiplied, so that neither seeds and steps that swap places nor neighbouring seeds share a key.
    key = _mix_one((seed * MULTIPLIER + step) % _WORD)
    return _mix_one(key ^ stream * _STREAM_STEP % _WORD)


def _mix_one(x: int) -> int:
    """Hashes one number as `mix` does."""
    for _ in range(2):
        x = (x ^ x >> 16) * MULTIPLIER % _WORD
    return x ^ x >> 16


def hashes(stream: int, first: int, size: int, seed: Array, step: Array) -> Array:
    """Returns the uint32 hashes of `size` positions from `first` on."""
    key = np.uint32(key_of(stream, int(seed), int(step)))
    # Two rounds with the key between them: neighbouring keys do not give shifted copies of one sequence.
    return mix(mix(np.arange(first, first + size, dtype=np.uint32)) ^ key)


@dataclass(frozen=True, repr=False, eq=False)
class RandomUniform(Positional):
    """Uniform numbers in [0, 1) of the shape of the first operand; seed and step are int64 scalars.

    `stream` tells apart the generators of one graph. Each number is a 24-bit hash of its position, exact in float32. As
    the batch is the first axis, a sample's numbers depend on its place in the batch and not on how many come after it.
    """

    stream: int
    shape_only = (0,)

    def infer(self, like: Type, seed: Type, step: Type) -> Type:
        check_float(self, like)  # half precision, too, which is computed in float32
        if any(key != Type("int64", ()) for key in (seed, step)):
            raise DTypeError(f"RandomUniform needs seed and step as int64 scalars; got {seed}, {step}.")
        return like

    def batch_rule(self, y: Value) -> BatchRule:
        # A part of the batch is a run of positions only where the batch comes first.
        return "parallel" if batch_axis(y.type) == 0 else "whole"

    def eval(self, like: Array, seed: Array, step: Array) -> Any:
        return self.eval_from(0, like, seed, step)

    def eval_from(self, first: int, like: Array, seed: Array, step: Array) -> Any:
        """Returns the numbers at the positions from `first` on, as many as the first operand has elements."""
        bits = hashes(self.stream, first, like.size, seed, step)
        return ((bits >> np.uint32(8)).astype(like.dtype) * like.dtype.type(2.0**-24)).reshape(like.shape)

    def vjp(self, g: Value, y: Value, like: Value, seed: Value, step: Value) -> Sequence[Value | None]:
        return None, None, None

    def lower(self, e: Emitter, y: Value, like: str, seed: str, step: str) -> str | tuple[str, ...]:
        integer = {k: e.constant(np.array(v, np.int64)) for k, v in _NUMBERS.items()}

        def mix(x: str) -> str:
            for _ in range(2):
                x = e.node("BitwiseXor", x, e.node("Div", x, integer["half"]))
                x = e.node("Mod", e.node("Mul", x, integer["multiplier"]), integer["word"])
            return e.node("BitwiseXor", x, e.node("Div", x, integer["half"]))

        key = e.node("Mul", e.node("Mod", seed, integer["word"]), integer["multiplier"])
        key = mix(e.node("Mod", e.node("Add", key, step), integer["word"]))
        stream = e.constant(np.array(self.stream * _STREAM_STEP % _WORD, np.int64))
        key = mix(e.node("BitwiseXor", key, stream))
        shape = e.node("Shape", like)
        total = e.node("Size", like)
        index = e.node("Range", integer["zero"], total, integer["one"])
        e.typed(index, Type("int64", (dims.product(y.type.shape),)))
        bits = e.node("Div", mix(e.node("BitwiseXor", mix(index), key)), integer["low"])
        unit = e.constant(np.array(2.0**-24, y.type.dtype))
        return e.node("Reshape", e.node("Mul", e.node("Cast", bits, to=y.type.dtype), unit), shape)


_NUMBERS = {"half": 1 << 16, "multiplier": MULTIPLIER, "word": _WORD, "low": 1 << 8, "zero": 0, "one": 1}


@dataclass(frozen=True, repr=False, eq=False)
class Dropout(Op):
    """Zeroes each element with probability `rate` and scales the others by 1 / (1 - rate).

    Operands: x, uniform numbers in [0, 1) that broadcast to its shape.
    """

    rate: float

    @property
    def scale(self) -> float:
        """What the elements that stay are multiplied with."""
        return 1 / (1 - self.rate)

    def infer(self, x: Type, uniform: Type) -> Type:
        if not 0 <= self.rate < 1:
            raise ConfigError(f"Dropout needs a rate in [0, 1); got {self.rate}.")
        check_float(self, x, uniform)
        check_same_dtype(self, x, uniform)
        if broadcast_shapes(self, x.shape, uniform.shape) != x.shape:
            raise ShapeError(f"Dropout of {x} needs uniform numbers that broadcast to it; got {uniform}.")
        return x

    def eval(self, x: Array, uniform: Array) -> Any:
        kind = x.dtype.type
        return x * ((uniform >= kind(self.rate)).astype(x.dtype) * kind(self.scale))

    def vjp(self, g: Value, y: Value, x: Value, uniform: Value) -> Sequence[Value | None]:
        return apply(self, g, uniform), None

    def decompose(self, target: Target, y: Value, x: Value, uniform: Value) -> Value | tuple[Value, ...] | None:
        kept = cast(uniform >= scalar(self.rate, x), x.dtype)
        return x * (kept * scalar(self.scale, x))
