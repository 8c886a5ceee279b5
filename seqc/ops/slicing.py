"""Operations that cut tensors apart and join them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph import dims
from seqc.graph.batch import batch_axis
from seqc.graph.dims import Dim
from seqc.graph.equal_sizes import check_equal
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Type, Value, apply
from seqc.graph.layout import Joined, Layout, LayoutRule, Merged, is_natural, natural, position
from seqc.graph.operators import OPERATORS
from seqc.graph.strings import is_text
from seqc.ops._common import as_operands, as_tensor, check_axes, check_same_dtype, normalize_axes, normalize_axis
from seqc.ops._shape_onnx import emit_sizes
from seqc.ops.arithmetic import floor_divide
from seqc.ops.shape import Squeeze, expand_dims, zeros_like
from seqc.ops.sizes import Size, as_size, crop, dim_of, size_of
from seqc.sure import of_kind


@dataclass(frozen=True, repr=False, eq=False)
class Concat(Op):
    """Joins operands along an axis."""

    kind = "move"
    moves_strings = True
    axis: int

    def infer(self, *types: Type) -> Type:
        check_same_dtype(self, *types)
        first = types[0]
        check_axes(self, (self.axis,), first)
        for other in types[1:]:
            message = f"Concat along axis {self.axis} needs equal other axes; got {first} and {other}."
            if other.rank != first.rank:
                raise ShapeError(message)
            one, two = (t.shape[: self.axis] + t.shape[self.axis + 1 :] for t in (first, other))
            check_equal(one, two, message)
        total: Dim = 0
        for t in types:
            total = total + t.shape[self.axis]
        return first.with_shape(total if i == self.axis else d for i, d in enumerate(first.shape))

    def eval(self, *arrays: Array) -> Any:
        return np.concatenate(arrays, self.axis)

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.type) == self.axis else "parallel"

    def vjp(self, g: Value, y: Value, *xs: Value) -> Sequence[Value | None]:
        start: Any = 0
        parts = []
        for x in xs:
            stop = start + size_of(x, self.axis)
            parts.append(slice_axis(g, self.axis, start, stop))
            start = stop
        return parts

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        return e.node("Concat", *names, axis=self.axis)

    def layout_rule(self, y: Value, *layouts: Layout) -> LayoutRule | None:
        layout = next((lay for lay in layouts if not is_natural(lay)), natural(y.type.rank))
        at = position(layout, self.axis)
        if at is None:
            return self._joined(y, layouts)
        return LayoutRule((layout,) * len(layouts), Concat(at), layout)

    def _joined(self, y: Value, layouts: tuple[Layout, ...]) -> LayoutRule | None:
        """Flattened tensors side by side stay as they are: a Dense layer's kernel takes its rows in that order."""
        if y.type.rank != 2 or self.axis != 1 or any(len(lay) != 2 or lay[0] != 0 for lay in layouts):
            return None
        parts: list[tuple[int, Merged | None]] = []
        for x, layout in zip(y.inputs, layouts, strict=True):
            size, entry = x.type.shape[1], layout[1]
            if not isinstance(size, int):
                return None
            parts.append((size, entry if isinstance(entry, Merged) else None))
        return LayoutRule(layouts, self, (0, Joined(1, (), (), tuple(parts))))


@dataclass(frozen=True, repr=False, eq=False)
class Slice(Op):
    """Takes elements start, start + step, ... before stop along each of `axes`; negative numbers count from the end.

    Where the size of an axis is symbolic, bounds are taken to lie within it; see `seqc.ops._bounds`.
    """

    kind = "view"
    axes: tuple[int, ...]
    starts: tuple[int, ...]
    stops: tuple[int | None, ...]
    steps: tuple[int, ...]

    def slices(self, rank: int) -> tuple[slice, ...]:
        """Returns the index that NumPy would use."""
        taken = [slice(None)] * rank
        for axis, start, stop, step in zip(self.axes, self.starts, self.stops, self.steps, strict=True):
            taken[axis] = slice(start, stop, step)
        return tuple(taken)

    def infer(self, x: Type) -> Type:
        shape = list(x.shape)
        check_axes(self, self.axes, x)
        for axis, start, stop, step in zip(self.axes, self.starts, self.stops, self.steps, strict=True):
            shape[axis] = self._length(shape[axis], start, stop, step)
        return x.with_shape(shape)

    def _length(self, size: Dim, start: int, stop: int | None, step: int) -> Dim:
        if isinstance(size, int):
            return len(range(size)[slice(start, stop, step)])
        if step < 0:
            if start == -1 and stop is None:
                return dims.ceil_div(size, -step)
            raise ShapeError(f"{self!r}: a partial backwards slice needs a known size, the axis has {size}.")
        if start < 0 and (stop is None or stop < 0):
            return dims.ceil_div(-start + (0 if stop is None else stop), step)
        if start >= 0 and (stop is None or stop < 0):
            return dims.ceil_div(size + ((stop or 0) - start), step)
        if start >= 0 and stop is not None and stop >= start:
            return dims.ceil_div(stop - start, step)
        raise ShapeError(f"{self!r}: the length along an axis of size {size} cannot be told.")

    def eval(self, x: Array) -> Any:
        return x[self.slices(x.ndim)]

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.inputs[0].type) in self.axes else "parallel"

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        return (apply(SliceGrad(self), g, x),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        ends = [
            stop if stop is not None else (np.iinfo(np.int64).max if step > 0 else np.iinfo(np.int64).min + 1)
            for stop, step in zip(self.stops, self.steps, strict=True)
        ]
        parts = (self.starts, ends, self.axes, self.steps)
        return e.node("Slice", x, *(e.constant(np.array(p, np.int64)) for p in parts))

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        at = [position(layout, a) for a in self.axes]
        if any(a is None for a in at):
            return None
        return LayoutRule((layout,), replace(self, axes=tuple(a for a in at if a is not None)), layout)


@dataclass(frozen=True, repr=False, eq=False)
class SliceGrad(Op):
    """Zeros of the shape of the second operand, with the first written where `sliced` reads."""

    kind = "move"
    shape_only = (1,)

    sliced: Slice

    def infer(self, g: Type, x: Type) -> Type:
        return x.with_dtype(g.dtype)

    def eval(self, g: Array, x: Array) -> Any:
        result = np.zeros(x.shape, g.dtype)
        result[self.sliced.slices(x.ndim)] = g
        return result

    def batch_rule(self, y: Value) -> BatchRule:
        return "whole" if batch_axis(y.type) in self.sliced.axes else "parallel"

    def vjp(self, g: Value, y: Value, upstream: Value, x: Value) -> Sequence[Value | None]:
        return apply(self.sliced, g), None

    def lower(self, e: Emitter, y: Value, g: str, x: str) -> str | tuple[str, ...]:
        s = self.sliced
        result = g
        for axis, start, stop, step in zip(s.axes, s.starts, s.stops, s.steps, strict=True):
            size = emit_sizes(e, x, start=axis, end=axis + 1)
            limits = [np.array([start], np.int64), np.array([stop if stop is not None else _end(step)], np.int64)]
            every = e.node("Range", e.constant(np.int64(0)), e.node("Squeeze", size), e.constant(np.int64(1)))
            zero, one = e.constant(np.array([0], np.int64)), e.constant(np.array([step], np.int64))
            index = e.node("Slice", every, *(e.constant(v) for v in limits), zero, one)
            # Positions along the axis become rows, so that ScatterND can write whole sub-tensors.
            perm = [axis, *(i for i in range(y.type.rank) if i != axis)]
            rows = result if axis == 0 else e.node("Transpose", result, perm=perm)
            shape = e.node("Concat", size, emit_sizes(e, rows, start=1), axis=0)
            blank = e.node("Expand", e.constant(np.zeros((), y.type.dtype)), shape)
            index = e.node("Unsqueeze", index, e.constant(np.array([1], np.int64)))
            rows = e.node("ScatterND", blank, index, rows)
            back = [perm.index(i) for i in range(y.type.rank)]
            result = rows if axis == 0 else e.node("Transpose", rows, perm=back)
        return result


def joined_slices(parts: Sequence[Value]) -> list[Value]:
    """Returns tensors of the same sum, in which slices of one axis that do not overlap lie side by side in one tensor.

    The slices that a loop over steps takes would each have zeros as large as all steps together otherwise.
    """
    groups: dict[object, list[Value]] = {}
    for part in parts:
        groups.setdefault(_side_by_side(part), []).append(part)
    joined = list(groups.pop(None, ()))
    for group in groups.values():
        joined += [_joined(row) for row in _rows(group)]
    # What lies side by side along the last axis of a slice may do so along the one before.
    return joined_slices(joined) if len(joined) < len(parts) else list(parts)


def _side_by_side(part: Value) -> object:
    """Returns what slices have in common that can lie side by side along the last of their axes; None for others."""
    if not isinstance(part.op, SliceGrad):
        return None
    s, x = part.op.sliced, part.inputs[1]
    known = isinstance(x.type.shape[s.axes[-1]], int) and s.steps[-1] == 1 and len(set(s.axes)) == len(s.axes)
    return (x, s.axes, s.starts[:-1], s.stops[:-1], s.steps[:-1]) if known else None


def _rows(parts: Sequence[Value]) -> list[list[Value]]:
    """Returns the slices in order of their places, in as few rows without overlaps as these allow."""
    rows: list[list[Value]] = []
    ends: list[tuple[int, int]] = []  # where each row ends: a heap
    for part in sorted(parts, key=_span):
        start, stop = _span(part)
        at = heappop(ends)[1] if ends and ends[0][0] <= start else len(rows)
        if at == len(rows):
            rows.append([])
        rows[at].append(part)
        heappush(ends, (stop, at))
    return rows


def _span(part: Value) -> tuple[int, int]:
    """Returns where a slice starts and stops along the last of its axes, counted from the front."""
    s = of_kind(part.op, SliceGrad).sliced
    start, stop, _ = slice(s.starts[-1], s.stops[-1]).indices(of_kind(part.inputs[1].type.shape[s.axes[-1]], int))
    return start, max(start, stop)


def _joined(row: Sequence[Value]) -> Value:
    """Returns the sum of slices that do not overlap, in the order of their places."""
    if len(row) == 1:
        return row[0]
    s, x = of_kind(row[0].op, SliceGrad).sliced, row[0].inputs[1]
    dtype = row[0].type.dtype
    pieces: list[Value] = []
    reached = 0
    for part in row:
        start, stop = _span(part)
        pieces += [_blank(x, s, reached, start, dtype), part.inputs[0]] if start > reached else [part.inputs[0]]
        reached = stop
    size = of_kind(x.type.shape[s.axes[-1]], int)
    pieces += [_blank(x, s, reached, size, dtype)] if size > reached else []
    whole = concatenate(pieces, s.axes[-1])
    rest = replace(s, axes=s.axes[:-1], starts=s.starts[:-1], stops=s.stops[:-1], steps=s.steps[:-1])
    return apply(SliceGrad(rest), whole, x) if rest.axes else whole


def _blank(x: Value, sliced: Slice, start: int, stop: int, dtype: str) -> Value:
    """Returns zeros for a place between slices."""
    place = replace(sliced, starts=(*sliced.starts[:-1], start), stops=(*sliced.stops[:-1], stop))
    return zeros_like(apply(place, x), dtype)


def _end(step: int) -> int:
    return int(np.iinfo(np.int64).max if step > 0 else np.iinfo(np.int64).min + 1)


def concatenate(xs: Sequence[Any], axis: int = 0) -> Value:
    """Returns tensors joined along an axis."""
    values = as_operands(*(as_tensor(x) if is_text(x) else x for x in xs))
    if not values:
        raise ConfigError("concatenate needs at least one tensor; got none.")
    at = normalize_axis("concatenate", axis, values[0].type.rank)
    return values[0] if len(values) == 1 else apply(Concat(at), *values)


def stack(x: Sequence[Any], axis: int = 0) -> Value:
    """Returns tensors of one shape joined along a new axis."""
    return concatenate([expand_dims(one, axis) for one in x], axis)


OPERATORS["stack"] = stack


def slice_axis(x: Any, axis: int, start: Size, stop: Size | None, step: int = 1) -> Value:
    """Returns elements start, start + step, ... before stop along one axis."""
    value = as_tensor(x)
    axis = normalize_axis("slice_axis", axis, value.type.rank)
    if isinstance(start, Value) or isinstance(stop, Value):
        behind = None if stop is None else dim_of(stop) - value.type.shape[axis]
        # A bound that is a known number of elements before the end counts from there.
        if not isinstance(start, Value) and isinstance(behind, int) and behind <= 0:
            stop = behind or None
        else:
            value = crop(value, axis, start, stop)
            start, stop = 0, None
            if step == 1:
                return value
    first = of_kind(start, int)
    last = None if stop is None else of_kind(stop, int)
    return apply(Slice((axis,), (first,), (last,), (step,)), value)


def split(x: Any, indices_or_sections: int | Sequence[Any], axis: int = 0) -> list[Value]:
    """Returns x cut into equal sections, or at the given positions, along `axis`.

    Args:
        x: a tensor.
        indices_or_sections: the number of sections, or positions as numbers or as sizes that `ops.shape` gives.
        axis: where to cut.
    """
    value = as_tensor(x)
    axis = normalize_axis("split", axis, value.type.rank)
    size = value.type.shape[axis]
    cuts: list[Size]
    if isinstance(indices_or_sections, int):
        step = dims.exact_quotient(size, indices_or_sections)
        if step is None:
            raise ShapeError(f"split cannot cut {value.type} into {indices_or_sections} equal parts on axis {axis}.")
        one = step if isinstance(step, int) else floor_divide(size_of(value, axis), indices_or_sections)
        cuts = [one * i for i in range(1, indices_or_sections)]
    else:
        cuts = [as_size(cut, "split") for cut in indices_or_sections]
    starts: list[Size] = [0, *cuts]
    stops: list[Size | None] = [*cuts, None]
    return [slice_axis(value, axis, a, b) for a, b in zip(starts, stops, strict=True)]


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Value]:
    """Returns the sub-tensors along an axis of known size, without that axis."""
    value = as_tensor(x)
    at = normalize_axis("unstack", axis, value.type.rank)
    size = value.type.shape[at]
    if not isinstance(size, int) or num not in (None, size):
        raise ShapeError(f"unstack needs {'a known' if num is None else num} size of axis {at}; got {value.type}.")
    return [apply(Squeeze((at,)), slice_axis(value, at, i, i + 1)) for i in range(size)]


def flip(x: Any, axis: int | Sequence[int] | None = None) -> Value:
    """Returns x with the order of elements reversed along `axis` (one, several, or None for all)."""
    value = as_tensor(x)
    axes = normalize_axes("flip", axis, value.type.rank)
    return apply(Slice(axes, (-1,) * len(axes), (None,) * len(axes), (-1,) * len(axes)), value)
