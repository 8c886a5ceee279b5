"""Rows of the table of operations that sort, and that read and write at places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kit.op_rows import Array, Operand, OpSpec, between, nonzero, real, row, still, whole, with_zeros
from seqc.ops.distinct import Unique
from seqc.ops.gather import GatherElements, GatherElementsGrad
from seqc.ops.scattering import GatherND, Scatter, ScatterAdd, ScatterMax, ScatterMin, ScatterMul
from seqc.ops.sorting import SearchSorted, TopK


def _ascending(rng: np.random.Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return np.sort(rng.normal(size=size))


def _apart(rng: np.random.Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    """Numbers so far from each other that small steps keep their order."""
    return rng.permutation(int(np.prod(size))).reshape(size) / 16


def _places(*limits: int) -> Operand:
    """Places in a tensor of such leading sizes, which may come several times."""

    def draw(rng: np.random.Generator, size: tuple[int, ...], before: list[Array]) -> Array:
        return np.stack([rng.integers(-n, n, size[:-1]) for n in limits], -1)

    return Operand(("batch", "time", len(limits)), draw, "int32")


def _places_once(rng: np.random.Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.permutation(len(before[0]))[: size[0], None]


def sorting_rows() -> Iterator[OpSpec]:
    x = real("batch", 7, "time", draw=_apart)
    yield row(TopK(1, None, largest=False), x, note="all")
    yield row(TopK(2, None, largest=False), x, note="free")
    yield row(TopK(0, None), x, note="over-batch")
    yield row(TopK(1, 3), x, note="largest")
    yield row(TopK(2, 3, largest=False), x, note="smallest")
    yield row(TopK(1, 4), whole("batch", 9), note="ties")
    yield row(TopK(1, 4, largest=False), whole("batch", 9, dtype="uint8", low=0), note="narrow")
    for right in (False, True):
        note = "right" if right else "left"
        yield row(SearchSorted(right), still(6, draw=_ascending), still("batch", "time"), note=note)
        numbers = Operand((8,), lambda rng, size, before: np.sort(rng.integers(-5, 5, size)), "int32")
        yield row(SearchSorted(right), numbers, whole("batch", 3), note=f"int-{note}")
    yield from _along_an_axis()
    yield from _at_places()
    yield row(Unique(4), whole("batch", 6, low=0, high=3), note="few")
    yield row(Unique(2), whole("batch", 6, low=0, high=9, dtype="int64"), note="many")
    yield row(Unique(5, 0, 7.0), still("batch", 2, draw=between(0, 2)), note="rows")
    yield row(Unique(3, 1), whole(2, 5, "batch", low=0, high=2), note="middle")


def _along_an_axis() -> Iterator[OpSpec]:
    for axis, note in ((1, "middle"), (2, "last")):
        x = real("batch", 5, 4)
        shape: list[int | str] = ["batch", 5, 4]
        shape[axis] = 3
        ids = whole(*shape, low=-4, high=4)
        yield row(GatherElements(axis), x, ids, note=note)
        yield row(GatherElementsGrad(axis), real(*shape), ids, replace(x, differentiable=False), note=note)
    free = whole("batch", "time", low=-4, high=4, dtype="int64")
    yield row(GatherElements(1), real("batch", 6), free, note="free")
    first = whole(3, "batch", low=0, high=4, dtype="int64")
    yield row(GatherElements(0), real(4, "batch"), first, note="first")


def _at_places() -> Iterator[OpSpec]:
    x = real(4, 3, 2)
    yield row(GatherND(), x, _places(4), note="rows")
    yield row(GatherND(), x, _places(4, 3), note="two")
    yield row(GatherND(), real(3, "width"), _places(3), note="wide")
    for kind in (ScatterAdd, ScatterMul, ScatterMax, ScatterMin):
        yield row(kind(), real(4, 2, draw=nonzero), _places(4), real("batch", "time", 2, draw=nonzero))
        yield row(kind(), real(4, 3), _places(4, 3), real("batch", "time"), note="two")
        yield row(kind(), whole(3, 2), _places(3), whole("batch", "time", 2, low=-2, high=3), note="int")
    yield row(ScatterMul(), real(2, 4, draw=with_zeros(1)), _places(2), real("batch", "time", 4, draw=with_zeros(1)),
              note="zeros")  # fmt: skip
    once = Operand(("batch", 1), _places_once, "int32")
    yield row(Scatter(), real(9, 2), once, real("batch", 2))
    yield row(Scatter(), whole(9), once, whole("batch"), note="int")
