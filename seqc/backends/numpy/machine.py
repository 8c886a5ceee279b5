"""What is assumed of the machine: sizes of caches, speeds, and what they make worth doing.

Sizes of caches are asked of the system. The rest was measured on common server cores; being wrong costs time, never
numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

# -- caches --

# Bytes of the caches of level 2 and 3 where the system does not tell.
COMMON = {2: 1 << 19, 3: 1 << 24}
# A tile may take so many times the second-level cache: what is written is mostly read next, and a call that handles
# more at once is worth more than that the beginning of a tile is still there at its end.
TILE_SHARE = 8
# Where calls are short - many operations on little data - a tile may take more, so that they are longer: two threads
# hand the interpreter to each other after every call, and wait for each other where calls take no longer than this.
LARGEST_TILE_SHARE, SECONDS_PER_LONG_CALL = 16, 1.5e-4
# Where an operation goes through time by itself, a tile may take so many times more: each step of it is only a part of
# the tile's memory, and the steps are what has to fit.
SEQUENTIAL_SHARE = 16
# A matrix product computed tile by tile reads the matrix, or writes the sum, anew for each tile. Where that is large
# and a tile has fewer rows than this, a product is as slow as reading the matrix: tiles cost more than they save.
FEW_ROWS = 64
# Elements of a piece of arithmetic over many arrays: a few arrays of so many numbers fit the first and second level.
PIECE = 65536
# How many bytes the factors of a recurrent gradient take that are worked out at a time: they are to be in the cache
# when they are used.
FACTOR_BYTES = 1 << 19
# Elements of the innermost loop of an element-wise call on a repeated vector: as many as make the cost of starting the
# loop small, and still fit the first-level cache.
LONG_LOOP = 2048
# How many elements are numbered at a time where rows are added by number: their numbers fit the second-level cache.
NUMBERED_ELEMENTS = 1 << 15
# An innermost loop over fewer numbers than this costs more to start than to run.
SHORT_LOOP = 512
# Along an axis of so few numbers NumPy finds the largest more slowly than after turning the array.
FEW_CLASSES = 32

# -- speeds of one core --

SECONDS_PER_OPERATION = 1 / 80e9
# To read or write one, from the caches and from memory in the usual mixture.
SECONDS_PER_ELEMENT = 0.3e-9
# Of a NumPy function on small arrays, called by Python.
SECONDS_PER_CALL = 0.7e-6
# To wake a thread and wait for it, and what handing the interpreter back and forth costs on the way.
SECONDS_PER_BARRIER = 60e-6
# From so many elements on, threads share the arithmetic of an optimizer: it then takes as long as a few barriers.
SHARED_ELEMENTS = 32768
# Work is cut into more than two pieces only where each takes so many seconds, and all of them together by no larger
# share longer than two; on a processor of two cores, and on one of more, where more threads can use them.
PIECE_LIMITS_OF_TWO, PIECE_LIMITS = (1e-3, 0.02), (2.5e-4, 0.1)
# How often an operation calls NumPy, for each tile or each step through time.
CALLS_PER_OPERATION = 4
# The memory that partial sums may take on two threads.
PARTIAL_BYTES = 1 << 27

# -- convolutions, see `products` --

# Nanoseconds to copy an element of a patch, which runs along memory, and to add one where it came from, which jumps.
NS_PER_COPIED, NS_PER_ADDED = 0.15, 0.2
# Operations in a nanosecond of a large matrix product, and of one with the few columns that a single tap gives it.
OPERATIONS_PER_NS, OPERATIONS_PER_NS_NARROW = 85.0, 70.0


def tile_bytes(share: int) -> int:
    """Returns how much memory a tile's arrays may take where all cores of the processor have their share of its cache.

    How many threads there are does not enter: results depend on the size of tiles, and are not to depend on threads.

    Args:
        share: how many times the second-level cache that is, as long as the third has room for it.
    """
    return max(cache_bytes(2), min(share * cache_bytes(2), cache_bytes(3) // (2 * cores_of_cache(3))))


def large_matrix_bytes() -> int:
    """Returns from what size on a matrix does not stay in the second-level cache beside what it is multiplied with."""
    return cache_bytes(2) // 2


def large_sum_bytes() -> int:
    """Returns the same for a sum, which is read and written for every tile, beside the part that is added to it."""
    return cache_bytes(2) // 4


def piece_limits() -> tuple[float, float]:
    """Returns how many seconds a piece takes at least, and by which share all of them may take longer than two.

    That goes by the cores that there are, not by those that are in use.
    """
    return PIECE_LIMITS if cores_of_cache(3) > 2 else PIECE_LIMITS_OF_TWO


def worth_sharing(seconds: float) -> bool:
    """Tells whether two threads finish such work earlier than one alone."""
    return seconds / 2 > SECONDS_PER_BARRIER


@cache
def cache_bytes(level: int) -> int:
    """Returns the size of the processor's cache of level 2, of one core, or 3; a common one where nobody tells."""
    found = _of_cache(level, "size", _bytes)
    if found is not None:
        return found
    try:
        return os.sysconf(f"SC_LEVEL{level}_CACHE_SIZE") or COMMON[level]
    except (AttributeError, ValueError, OSError):
        return COMMON[level]


@cache
def cores_of_cache(level: int) -> int:
    """Returns how many cores share a cache of the processor; all of them where nobody tells."""
    return _of_cache(level, "shared_cpu_list", _count) or os.cpu_count() or 1


def _of_cache(level: int, name: str, read: Callable[[str], int]) -> int | None:
    """Returns what the system says of a cache of the first core, None if it does not."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            if int((index / "level").read_text()) == level:
                return read((index / name).read_text().strip())
        except (OSError, ValueError):
            continue
    return None


def _count(text: str) -> int:
    """Returns how many numbers a list such as "0-3,8" has."""
    runs = [run.partition("-") for run in text.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in runs)


def _bytes(text: str) -> int:
    factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1], 1)
    return int(text.rstrip("KM")) * factor
