"""Memory for the arrays of a tile: places that are used again as soon as nobody reads what was there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seqc.graph import dims
from seqc.graph.ir import Array, Type

ALIGNMENT = 64


@dataclass
class Places:
    """Gives out places in one block of memory, the lowest that is free, and takes them back.

    Attributes:
        size: how large the block has to be.
    """

    size: int = 0
    _free: list[tuple[int, int]] = field(default_factory=list)  # (start, end), sorted, apart from each other

    def take(self, count: int) -> int:
        """Returns the start of `count` bytes, aligned for vector instructions."""
        count = aligned(count)
        for i, (start, end) in enumerate(self._free):
            if end - start >= count:
                self._free[i : i + 1] = [(start + count, end)] if end - start > count else []
                return start
        # A free piece at the end grows.
        start = self.size
        if self._free and self._free[-1][1] == self.size:
            start, _ = self._free.pop()
        self.size = start + count
        return start

    def give(self, start: int, count: int) -> None:
        """Takes a place back."""
        merged = (start, start + aligned(count))
        kept = []
        for piece in self._free:
            if piece[1] == merged[0]:
                merged = (piece[0], merged[1])
            elif piece[0] == merged[1]:
                merged = (merged[0], piece[1])
            else:
                kept.append(piece)
        self._free = sorted([*kept, merged])


def aligned(count: int) -> int:
    """Returns a number of bytes rounded up so that what follows is aligned."""
    return -(-count // ALIGNMENT) * ALIGNMENT


def bytes_of(t: Type, sizes: Mapping[str, int]) -> int:
    """Returns how much memory a tensor takes for axes of the given sizes."""
    return math.prod(d if isinstance(d, int) else dims.evaluate(d, sizes) for d in t.shape) * np.dtype(t.dtype).itemsize


def empty(shape: tuple[int, ...], dtype: Any) -> Array:
    """Returns an array that starts at an aligned address."""
    kind = np.dtype(dtype)
    return view(block(int(np.prod(shape)) * kind.itemsize), 0, shape, kind)


def block(count: int) -> Array:
    """Returns `count` bytes, aligned."""
    raw = np.empty(count + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + count]


# Not a number in every floating-point type, and the largest number or close to it in every type of integers.
POISON = np.uint32(0x7FFFFFFF)


class Memory:
    """Gives out the memory of a program, and knows all of it."""

    def __init__(self) -> None:
        self._blocks: list[Array] = []

    def block(self, count: int) -> Array:
        """Returns `count` bytes, aligned."""
        self._blocks.append(block(aligned(count)))
        return self._blocks[-1][:count]

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Returns an array that starts at an aligned address."""
        kind = np.dtype(dtype)
        return view(self.block(int(np.prod(shape)) * kind.itemsize), 0, shape, kind)

    @property
    def size(self) -> int:
        """How many bytes were given out."""
        return sum(held.nbytes for held in self._blocks)

    def poison(self) -> None:
        """Fills all memory with what no result should ever show."""
        for held in self._blocks:
            held.view(np.uint32).fill(POISON)


def view(memory: Array, start: int, shape: tuple[int, ...], dtype: Any) -> Array:
    """Returns an array that lies in a block of bytes."""
    kind = np.dtype(dtype)
    count = int(np.prod(shape)) * kind.itemsize
    shown: Array = memory[start : start + count].view(kind).reshape(shape)
    return shown


class ScratchPad:
    """Memory that the kernels of one worker use in turn: see `kernels.Scratch`.

    Attributes:
        given: what the kernel that is being bound has asked for.
    """

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory or Memory()
        self._blocks: list[Array] = []
        self._used: set[int] = set()
        self.given: list[Array] = []

    def start(self) -> None:
        """Makes all memory free for the next kernel."""
        self._used.clear()
        self.given = []

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> Array:
        count = aligned(int(np.prod(shape)) * np.dtype(dtype).itemsize)
        fitting = [i for i, b in enumerate(self._blocks) if i not in self._used and b.nbytes >= count]
        if fitting:
            at = min(fitting, key=lambda i: self._blocks[i].nbytes)
        else:
            self._blocks.append(self._memory.block(count))
            at = len(self._blocks) - 1
        self._used.add(at)
        self.given.append(view(self._blocks[at], 0, shape, dtype))
        return self.given[-1]
