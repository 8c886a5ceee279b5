"""A number for every element of every value: what the plan checker finds in memory tells what was written there.

The elements of a result have numbers of their own, one after the other; a view shows the numbers of its operand. Sums
over some of the samples have numbers as well, others for each set of samples.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc.backends.numpy.calls import Access
from seqc.backends.numpy.cut import shape_of
from seqc.graph.batch import BATCH, batch_axis
from seqc.graph.ir import Array, Value
from seqc.sure import present

Span = tuple[int, int]
# Samples, as spans that do not touch each other.
Spans = tuple[Span, ...]
# What some numbers belong to: a value, "" or "part", and the samples.
Owner = tuple[Value, str, Spans]


class ElementNumbers:
    """Gives out the numbers. None of them is zero or negative.

    Args:
        batch: how many samples there are.
    """

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._sizes = {BATCH: batch}
        self._starts: dict[Owner, int] = {}
        self._owners: list[Owner] = []
        self._ends: list[int] = [1]
        self._shown: dict[Value, Array] = {}

    def of(self, access: Access) -> Array:
        """Returns the numbers that an array should hold, in the order of its elements."""
        x, span = access.values[0], access.span
        if access.kind == "elements":
            return self._side_by_side(access.values, span)
        if access.kind == "part":
            return self._row((x, "part", (span,)), access.array.size)
        if access.kind == "samples" and batch_axis(x.type) is None:
            return self.of_sum(x, (span,))
        return self._whole(x) if access.kind == "whole" else self._samples(x, span)

    def of_sum(self, y: Value, spans: Spans) -> Array:
        """Returns the numbers of a sum over some samples; over all of them it is the value itself."""
        if spans == ((0, self.batch),):
            return self._whole(y)
        shape = shape_of(y.type, self._sizes)
        return self._row((y, "", spans), math.prod(shape)).reshape(shape)

    def owner(self, number: int) -> Owner | None:
        """Returns what a number belongs to, None for those that were not given out."""
        at = bisect_right(self._ends, number) - 1
        return self._owners[at] if number > 0 and at < len(self._owners) else None

    def _row(self, owner: Owner, size: int, start: int = 0, stop: int | None = None) -> Array:
        """Returns elements `start` to `stop` of what has `size` elements."""
        if owner not in self._starts:
            self._starts[owner] = self._ends[-1]
            self._owners.append(owner)
            self._ends.append(self._ends[-1] + max(1, size))
        first = self._starts[owner]
        return np.arange(first + start, first + (size if stop is None else stop))

    def _own(self, x: Value) -> Owner:
        return x, "", ((0, self.batch),)

    def _whole(self, x: Value) -> Array:
        if x.op.kind == "view":
            if x not in self._shown:
                self._shown[x] = np.asarray(x.op.eval(*self._operands(x)))
            return self._shown[x]
        shape = shape_of(x.type, self._sizes)
        return self._row(self._own(x), math.prod(shape)).reshape(shape)

    def _operands(self, x: Value) -> list[Array]:
        hollow = np.zeros((), np.int64)
        return [
            np.broadcast_to(hollow, shape_of(o.type, self._sizes)) if i in x.op.shape_only else self._whole(o)
            for i, o in enumerate(x.inputs)
        ]

    def _samples(self, x: Value, span: Span) -> Array:
        axis = present(batch_axis(x.type))
        shape = shape_of(x.type, self._sizes)
        each = shape[axis] // self.batch
        start, stop = span[0] * each, span[1] * each
        if x.op.kind == "view":
            selected: Any = (*(slice(None),) * axis, slice(start, stop))
            shown: Array = self._whole(x)[selected]
            return shown
        before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        first = self._row(self._own(x), math.prod(shape), 0, 1)
        rows = np.arange(before)[:, None] * (shape[axis] * after) + np.arange(start * after, stop * after)
        numbers: Array = (first + rows).reshape(*shape[:axis], stop - start, *shape[axis + 1 :])
        return numbers

    def _side_by_side(self, values: Sequence[Value], span: Span) -> Array:
        found, at = [], 0
        for x in values:
            size = math.prod(shape_of(x.type, self._sizes))
            start, stop = max(0, span[0] - at), min(size, span[1] - at)
            if start < stop and x.op.kind == "view":
                found.append(self._whole(x).reshape(-1)[start:stop])
            elif start < stop:
                found.append(self._row(self._own(x), size, start, stop))
            at += size
        return np.concatenate(found) if found else np.arange(0)


def united(spans: Sequence[Span]) -> Spans | None:
    """Returns some samples and others together, None where they have one in common."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start < joined[-1][1]:
            return None
        if joined and start == joined[-1][1]:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)
