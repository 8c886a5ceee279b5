"""Random numbers and dropout: one hash per position, most of it worked out beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, kernel
from seqc.backends.numpy.masks import KeepMask
from seqc.graph.ir import Array
from seqc.ops.random import MULTIPLIER, Dropout, RandomUniform, key_of, mix


@kernel(RandomUniform)
def bind_random_uniform(
    op: RandomUniform, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch, first: int = 0
) -> Call | None:
    """`first` is the position of the first element among all that are drawn."""
    (out,), (_, seed, step) = outs, xs
    if out is None or not out.flags.c_contiguous:
        return None
    numbers, unit = out.reshape(-1), out.dtype.type(2.0**-24)
    bits, hash_ = _bind_hash(op.stream, first, numbers.size, seed, step, scratch)
    signed, low = bits.view(np.int32), np.uint32(8)

    def run() -> None:
        hash_()
        np.right_shift(bits, low, out=bits)
        # Below 2^31, where signed integers are converted faster.
        np.copyto(numbers, signed)
        np.multiply(numbers, unit, out=numbers)

    return run


@kernel(KeepMask)
def bind_keep_mask(
    op: KeepMask, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch, first: int = 0
) -> Call | None:
    """`first` is the position of the first element among all that are drawn."""
    (out,), (_, seed, step) = outs, xs
    if out is None or not out.flags.c_contiguous:
        return None
    if op.limit(out.dtype) >= 1 << 32:
        return partial(out.fill, 0)
    numbers, scale, limit = out.reshape(-1), out.dtype.type(op.scale), np.uint32(op.limit(out.dtype))
    bits, hash_ = _bind_hash(op.stream, first, numbers.size, seed, step, scratch)
    kept = scratch(bits.shape, np.bool_)

    def run() -> None:
        hash_()
        np.greater_equal(bits, limit, out=kept)
        np.copyto(numbers, kept)
        np.multiply(numbers, scale, out=numbers)

    return run


def _bind_hash(stream: int, first: int, size: int, seed: Array, step: Array, scratch: Scratch) -> tuple[Array, Call]:
    """Returns memory for the hashes of `size` positions, and what computes them."""
    positions = mix(np.arange(first, first + size, dtype=np.uint32))
    bits, upper = (scratch((size,), np.uint32) for _ in range(2))
    half, multiplier = np.uint32(16), np.uint32(MULTIPLIER)

    def run() -> None:
        np.bitwise_xor(positions, np.uint32(key_of(stream, int(seed), int(step))), out=bits)
        for _ in range(2):
            np.right_shift(bits, half, out=upper)
            np.bitwise_xor(bits, upper, out=bits)
            np.multiply(bits, multiplier, out=bits)
        np.right_shift(bits, half, out=upper)
        np.bitwise_xor(bits, upper, out=bits)

    return bits, run


@kernel(Dropout)
def bind_dropout(op: Dropout, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """Gives x / (1 - rate) where the number drawn is at least the rate, else 0, as a product with a mask."""
    (out,), (x, uniform) = outs, xs
    if out is None:
        return None
    rate, scale = uniform.dtype.type(op.rate), out.dtype.type(op.scale)
    kept, mask = scratch(uniform.shape, np.bool_), scratch(uniform.shape, out.dtype)

    def run() -> None:
        np.greater_equal(uniform, rate, out=kept)
        np.copyto(mask, kept)
        np.multiply(mask, scale, out=mask)
        np.multiply(x, mask, out=out)

    return run
