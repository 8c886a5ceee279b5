"""Taking a tensor from one layout to another with as little work as possible."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from seqc.graph.dims import Dim
from seqc.graph.ir import Shape, Type, Value, build
from seqc.graph.layout import Joined, Layout, Merged, natural
from seqc.ops.shape import Transpose
from seqc.ops.slicing import Concat, Slice
from seqc.passes._views import can_view, view


@dataclass(frozen=True)
class _Part:
    """A natural axis, or one of the parts that a merged axis is made of; axis None is an axis of size one put in."""

    axis: int | None
    index: int
    size: Dim


def arranged_shape(layout: Layout, x: Type) -> Shape:
    """Returns the shape that a tensor of natural type `x` has in `layout`."""
    return tuple(1 if entry is None else x.shape[_axis(entry)] for entry in layout)


def move(value: Value, x: Type, have: Layout, want: Layout) -> Value:
    """Returns a tensor laid out as `have` in the layout `want`; `x` is its natural type.

    A view where the elements keep their order, else one Transpose with views around it.
    """
    if have == want:
        return value
    if _joined(have) is not None or (_joined(want) is not None and have != natural(x.rank)):
        return move(_from_parts(value, x, have), x, natural(x.rank), want)
    if (entry := _joined(want)) is not None:
        return _to_parts(value, x, want, entry)
    if _split_differently(have, want):
        return move(move(value, x, have, natural(x.rank)), x, natural(x.rank), want)
    sizes = _merged_sizes(have, want)
    source, target = _parts(have, x, sizes), _parts(want, x, sizes)
    shape = arranged_shape(want, x)
    moving = [p for p in source if p.size != 1] != [p for p in target if p.size != 1]
    if not moving and can_view(value.type, shape):
        return view(value, shape)
    # Both sides get the axes of size one that the other has, so that one permutation leads across. They stand before
    # the axis they stand before on the other side: onnxruntime then recognizes (0, 3, 1, 2) for sequences, too.
    before, after = _with_units_of(target, source), _with_units_of(source, target)
    split = view(value, tuple(p.size for p in before))
    perm = tuple(before.index(p) for p in after)
    moved = build(Transpose(perm), (split,), value.scope) if perm != tuple(range(len(perm))) else split
    return view(moved, shape)


def _joined(layout: Layout) -> Joined | None:
    return next((entry for entry in layout if isinstance(entry, Joined)), None)


def _from_parts(value: Value, x: Type, have: Layout) -> Value:
    """Returns a tensor in its natural layout, the parts of a joined axis moved one by one."""
    entry = _joined(have)
    if entry is None:
        return move(value, x, have, natural(x.rank))
    pieces = [
        move(piece, part, layout, natural(x.rank))
        for piece, part, layout in _pieces(value, x, have, entry, have.index(entry))
    ]
    return build(Concat(entry.axis), tuple(pieces), value.scope)


def _to_parts(value: Value, x: Type, want: Layout, entry: Joined) -> Value:
    """Returns a natural tensor with the parts of one axis each in a layout of their own."""
    pieces = [
        move(piece, part, natural(x.rank), layout) for piece, part, layout in _pieces(value, x, want, entry, entry.axis)
    ]
    return build(Concat(want.index(entry)), tuple(pieces), value.scope)


def _pieces(value: Value, x: Type, layout: Layout, entry: Joined, at: int) -> Iterator[tuple[Value, Type, Layout]]:
    """Yields the parts of a joined axis, which lies at `at`: each with its natural type and its layout."""
    start = 0
    for size, merged in entry.parts:
        piece = build(Slice((at,), (start,), (start + size,), (1,)), (value,), value.scope)
        shape = tuple(size if axis == entry.axis else d for axis, d in enumerate(x.shape))
        own = entry.axis if merged is None else replace(merged, axis=entry.axis)
        yield piece, x.with_shape(shape), tuple(own if e is entry else e for e in layout)
        start += size


def _axis(entry: int | Merged) -> int:
    return entry.axis if isinstance(entry, Merged) else entry


def _merged_sizes(*layouts: Layout) -> dict[int, tuple[Dim, ...]]:
    return {entry.axis: entry.sizes for layout in layouts for entry in layout if isinstance(entry, Merged)}


def _split_differently(have: Layout, want: Layout) -> bool:
    a, b = _merged_sizes(have), _merged_sizes(want)
    return any(a[axis] != b[axis] for axis in a.keys() & b.keys())


def _parts(layout: Layout, x: Type, sizes: dict[int, tuple[Dim, ...]]) -> list[_Part]:
    parts: list[_Part] = []
    for entry in layout:
        if entry is None:
            parts.append(_Part(None, sum(p.axis is None for p in parts), 1))
            continue
        axis = _axis(entry)
        if axis not in sizes:
            parts.append(_Part(axis, 0, x.shape[axis]))
            continue
        order = entry.order if isinstance(entry, Merged) else range(len(sizes[axis]))
        parts += [_Part(axis, i, sizes[axis][i]) for i in order]
    return parts


def _with_units_of(other: list[_Part], parts: list[_Part]) -> list[_Part]:
    """Returns `parts` with the axes of size one that only `other` has."""
    result = list(parts)
    for i, part in enumerate(other):
        if part.axis is None and part not in result:
            follower = next((p for p in other[i:] if p.axis is not None), None)
            result.insert(len(result) if follower is None else result.index(follower), part)
    return result
