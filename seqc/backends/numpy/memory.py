"""The memory of programs, and arrays that show it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqc.backends.numpy.lifetimes import ALIGNMENT, aligned
from seqc.graph import dims
from seqc.graph.ir import Array, Type


def bytes_of(t: Type, sizes: Mapping[str, int]) -> int:
    """Returns how much memory a tensor takes for axes of the given sizes."""
    return math.prod(d if isinstance(d, int) else dims.evaluate(d, sizes) for d in t.shape) * np.dtype(t.dtype).itemsize


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Returns an array that starts at an aligned address."""
    kind = np.dtype(dtype)
    return view(block(math.prod(shape) * kind.itemsize), 0, shape, kind)


def block(count: int) -> Array:
    """Returns `count` bytes, aligned."""
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


# Not a number in every floating-point type, and the largest number or close to it in every type of integers.
POISON = np.uint32(0x7FFFFFFF)


class Memory:
    """All memory of a program: parts of blocks that other programs use, too."""

    def __init__(self) -> None:
        self._parts: list[Array] = []

    def hold(self, part: Array) -> None:
        """Counts a part of a block in."""
        self._parts.append(part)

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return sum(held.nbytes for held in self._parts)

    @property
    def blocks(self) -> dict[int, int]:
        """How many bytes each block has that it takes a part of, by a number that only this block has."""
        owners = [held if held.base is None else held.base for held in self._parts]
        return {id(owner): owner.nbytes for owner in owners}

    def poison(self) -> None:
        """Fills all memory with what no result should ever show."""
        for held in self._parts:
            held.view(np.uint32).fill(POISON)


def view(memory: Array, start: int, shape: tuple[int, ...], dtype: Any) -> Array:
    """Returns an array that lies in a block of bytes."""
    kind = np.dtype(dtype)
    count = math.prod(shape) * kind.itemsize
    shown: Array = memory[start : start + count].view(kind).reshape(shape)
    return shown


class ScratchPad:
    """Memory that the kernels of one worker use in turn: see `kernels.Scratch`.

    What a kernel is given lives for one call and the calls of a worker follow each other, so every kernel begins anew
    with all of it. Where it is too little there is a larger block from then on, and what was bound before is to be
    bound again, so that the smaller one can go.

    Args:
        find: gives a block of at least so many bytes.

    Attributes:
        block: the memory. given: what the kernel that is being bound has asked for. most: the bytes that were asked
        for at a time.
    """

    def __init__(self, find: Callable[[int], Array]) -> None:
        self._find = find
        self.block = find(0)
        self.given: list[Array] = []
        self._used = self.most = 0

    def start(self) -> None:
        """Makes all memory free for the next kernel."""
        self.given, self._used = [], 0

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> Array:
        start = self._used
        self._used += aligned(math.prod(shape) * np.dtype(dtype).itemsize)
        self.most = max(self.most, self._used)
        if self._used > self.block.nbytes:
            self.block = self._find(self._used)
        self.given.append(view(self.block, start, shape, dtype))
        return self.given[-1]

    def is_current(self, arrays: Sequence[Array]) -> bool:
        """Tells whether arrays that it gave lie in the block that there is now."""
        return all(np.may_share_memory(array, self.block) for array in arrays if array.size)
