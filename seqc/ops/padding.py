"""Operations that make tensors larger at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqc.errors import ConfigError, ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Array, BatchRule, Emitter, Op, Type, Value, apply, as_value
from seqc.graph.layout import Layout, LayoutRule, Merged, axis_of
from seqc.graph.target import Target
from seqc.ops.creation import full
from seqc.ops.shape import shape
from seqc.ops.sizes import Size, as_size
from seqc.ops.slicing import Slice, SliceGrad, concatenate, flip, slice_axis

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True, repr=False, eq=False)
class _Padding(Op):
    """What operations share that add (before, after) elements along each axis."""

    kind = "move"
    pads: Pads

    def infer(self, x: Type) -> Type:
        if len(self.pads) != x.rank:
            raise ShapeError(f"{self.name} needs one pair per axis of {x}; got {self.pads}.")
        return x.with_shape(d + (a + b) for d, (a, b) in zip(x.shape, self.pads, strict=True))

    def layout_rule(self, y: Value, layout: Layout) -> LayoutRule | None:
        if any(isinstance(a, Merged) for a in layout):
            return None
        pads = tuple((0, 0) if a is None else self.pads[axis_of(a) or 0] for a in layout)
        return LayoutRule((layout,), replace(self, pads=pads), layout)

    def in_onnx(self) -> Array:
        """Returns the numbers in ONNX's order: all before, then all after."""
        return np.array([[a for a, _ in self.pads], [b for _, b in self.pads]], np.int64).reshape(-1)


@dataclass(frozen=True, repr=False, eq=False)
class Pad(_Padding):
    """Adds (before, after) elements of one constant along each axis, or takes as many away where a number is negative.

    Negative numbers are for what passes write; `pad` and the layers refuse them.
    """

    value: float = 0.0

    def infer(self, x: Type) -> Type:
        y = super().infer(x)
        for size, pair in zip(x.shape, self.pads, strict=True):
            taken = -sum(min(n, 0) for n in pair)
            if isinstance(size, int) and taken > size:
                raise ShapeError(f"{self!r} takes {taken} elements away from an axis of {size}, of {x}.")
        return y

    def batch_rule(self, y: Value) -> BatchRule:
        # As many elements may be taken away as are added: the result has as many samples, and not the same.
        axis = batch_axis(y.inputs[0].type)
        return "whole" if axis is not None and any(self.pads[axis]) else "parallel"

    def eval(self, x: Array) -> Any:
        added = [(max(before, 0), max(after, 0)) for before, after in self.pads]
        kept = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, self.pads, strict=True))]
        return np.pad(kept, added, constant_values=x.dtype.type(self.value))

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        if any(n < 0 for pair in self.pads for n in pair):
            return (apply(Pad(tuple((-before, -after) for before, after in self.pads)), g),)
        return (_without(g, self.pads),)

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        fill = e.constant(np.array(self.value, y.type.dtype))
        return e.node("Pad", x, e.constant(self.in_onnx()), fill)


@dataclass(frozen=True, repr=False, eq=False)
class MirrorPad(_Padding):
    """Adds (before, after) elements along each axis by mirroring, at the last element or, with `edge`, behind it."""

    edge: bool = False

    def infer(self, x: Type) -> Type:
        y = super().infer(x)
        _check_added(self.name, self.pads)
        for size, pair in zip(x.shape, self.pads, strict=True):
            most = size if self.edge else size - 1
            if isinstance(most, int) and max(pair) > max(most, 0):
                raise ShapeError(
                    f"{self!r} of {x}: mirroring an axis of size {size} gives at most {most} elements at each "
                    "end. Pad less, or with a constant."
                )
        return y

    def eval(self, x: Array) -> Any:
        self.infer(Type("", x.shape))
        return np.pad(x, self.pads, mode="symmetric" if self.edge else "reflect")

    def vjp(self, g: Value, y: Value, x: Value) -> Sequence[Value | None]:
        """What was mirrored goes back to where it came from, one axis after the other."""
        skipped = 0 if self.edge else 1
        for axis, (before, after) in enumerate(self.pads):
            if not before and not after:
                continue
            pair = tuple((before, after) if i == axis else (0, 0) for i in range(len(self.pads)))
            middle = total = _without(g, pair)
            if before:
                mirrored = flip(slice_axis(g, axis, 0, before), axis)
                cut = Slice((axis,), (skipped,), (skipped + before,), (1,))
                total = total + apply(SliceGrad(cut), mirrored, middle)
            if after:
                mirrored = flip(slice_axis(g, axis, -after, None), axis)
                cut = Slice((axis,), (-after - skipped,), (-skipped or None,), (1,))
                total = total + apply(SliceGrad(cut), mirrored, middle)
            g = total
        return (g,)

    def decompose(self, target: Target, y: Value, x: Value) -> Value | tuple[Value, ...] | None:
        if not self.edge:
            return None
        for axis, (before, after) in enumerate(self.pads):
            first = [flip(slice_axis(x, axis, 0, before), axis)] if before else []
            last = [flip(slice_axis(x, axis, -after, None), axis)] if after else []
            x = concatenate([*first, x, *last], axis)
        return x

    def lower(self, e: Emitter, y: Value, x: str) -> str | tuple[str, ...]:
        return e.node("Pad", x, e.constant(self.in_onnx()), mode="reflect")


def _check_added(name: str, pads: Sequence[tuple[int, int]]) -> None:
    if any(n < 0 for pair in pads for n in pair):
        raise ShapeError(f"{name} adds elements; got a negative number in {tuple(pads)}. Use a slice to cut.")


def _without(x: Value, pads: Pads) -> Value:
    """Returns x without so many elements at its ends."""
    cut = [(i, a, -b if b else None) for i, (a, b) in enumerate(pads) if a or b]
    axes, starts, stops = zip(*cut, strict=True) if cut else ((), (), ())
    return apply(Slice(axes, starts, stops, (1,) * len(axes)), x)


def _pairs(pad_width: Any, rank: int) -> list[tuple[Size, Size]]:
    """Returns (before, after) for each axis."""
    if not isinstance(pad_width, Sequence | np.ndarray):
        pad_width = (pad_width, pad_width)
    listed = [tuple(p) if isinstance(p, Sequence | np.ndarray) else p for p in pad_width]
    if not any(isinstance(p, tuple) for p in listed):
        listed = [tuple(listed)]
    listed = listed * rank if len(listed) == 1 else listed
    pairs = [tuple(as_size(n, "pad") for n in (p if isinstance(p, tuple) else (p, p))) for p in listed]
    pairs = [p * 2 if len(p) == 1 else p for p in pairs]
    if len(pairs) != rank or any(len(p) != 2 for p in pairs):
        raise ShapeError(f"pad needs one pair (before, after) per axis, of which there are {rank}; got {pad_width}.")
    return [(before, after) for before, after in pairs]


def _padded_by_sizes(x: Value, pairs: Sequence[tuple[Size, Size]], fill: float) -> Value:
    """Returns x with constants added, as many as values say."""
    for axis, pair in enumerate(pairs):
        sizes = list(shape(x))
        ends = []
        for count in pair:
            sizes[axis] = count
            ends.append([] if isinstance(count, int) and not count else [full(sizes, fill, x.dtype)])
        x = concatenate([*ends[0], x, *ends[1]], axis)
    return x


def _fill(number: float | None, dtype: str) -> float:
    """Returns what is added, as a number of the type; one beyond an integer type wraps, as in `full`."""
    found = 0.0 if number is None else number
    return float(found if dtype in FLOATS else np.array(int(found)).astype(dtype))


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float | None = None) -> Value:
    """Returns x with elements added at both ends of axes.

    Args:
        x: a tensor.
        pad_width: (before, after) for each axis, one such pair for all axes, or one number for all; constants may be
            added by sizes that `ops.shape` gives.
        mode: "constant", or "reflect" and "symmetric": the elements mirrored at the last one, or behind it.
        constant_values: what "constant" adds, 0 by default.

    Raises:
        ConfigError: there is no such mode, or `constant_values` says nothing in it. ShapeError: an axis has too few
        elements to mirror.
    """
    value = as_value(x)
    pairs = _pairs(pad_width, value.type.rank)
    pads = tuple((a, b) for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    if len(pads) < len(pairs):
        if mode != "constant":
            raise ConfigError(f"pad in mode {mode!r} needs to know how many elements to add; got a size of an axis.")
        return _padded_by_sizes(value, pairs, _fill(constant_values, value.dtype))
    _check_added("pad", pads)
    if mode == "constant":
        return apply(Pad(pads, _fill(constant_values, value.dtype)), value)
    if mode not in ("reflect", "symmetric"):
        raise ConfigError(f"pad knows the modes 'constant', 'reflect' and 'symmetric'; got {mode!r}.")
    if constant_values is not None:
        raise ConfigError(f"Argument `constant_values` can only be given when mode='constant'; got mode={mode!r}.")
    return apply(MirrorPad(pads, mode == "symmetric"), value)
