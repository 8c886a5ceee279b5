"""What is assumed of the machine: sizes of caches, speeds, and what they make worth doing.

Sizes of caches are asked of the system. The rest was measured on common server cores; being wrong costs time, never
numbers.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

# -- caches --

# Bytes of the caches of level 2 and 3 where the system does not tell.
COMMON = {2: 1 << 19, 3: 1 << 24}
# A tile may take so many times the second-level cache: what is written is mostly read next, and a call that handles
# more at once is worth more than that the beginning of a tile is still there at its end.
TILE_SHARE = 8
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

# -- convolutions, see `products` --

# Nanoseconds to copy an element of a patch, which runs along memory, and to add one where it came from, which jumps.
NS_PER_COPIED, NS_PER_ADDED = 0.15, 0.2
# Operations in a nanosecond of a large matrix product, and of one with the few columns that a single tap gives it.
OPERATIONS_PER_NS, OPERATIONS_PER_NS_NARROW = 85.0, 70.0


def tile_bytes(workers: int) -> int:
    """Returns how much memory a tile's arrays may take where so many threads share the last level of the cache."""
    return max(cache_bytes(2), min(TILE_SHARE * cache_bytes(2), cache_bytes(3) // (2 * workers)))


def large_matrix_bytes() -> int:
    """Returns from what size on a matrix does not stay in the second-level cache beside what it is multiplied with."""
    return cache_bytes(2) // 2


def large_sum_bytes() -> int:
    """Returns the same for a sum, which is read and written for every tile, beside the part that is added to it."""
    return cache_bytes(2) // 4


def worth_sharing(seconds: float, workers: int) -> bool:
    """Tells whether threads finish such work earlier than one alone."""
    return workers > 1 and seconds * (1 - 1 / workers) > SECONDS_PER_BARRIER


@cache
def cache_bytes(level: int) -> int:
    """Returns the size of the processor's cache of level 2, of one core, or 3; a common one where nobody tells."""
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            if int((index / "level").read_text()) == level:
                return _bytes((index / "size").read_text().strip())
        except (OSError, ValueError):
            continue
    try:
        return os.sysconf(f"SC_LEVEL{level}_CACHE_SIZE") or COMMON[level]
    except (AttributeError, ValueError, OSError):
        return COMMON[level]


def _bytes(text: str) -> int:
    factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1], 1)
    return int(text.rstrip("KM")) * factor
