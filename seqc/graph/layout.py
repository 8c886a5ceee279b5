"""How an op's operands and results lie in memory once axes are re-ordered for ONNX.

The IR is channels-last. The layout plan (passes/layout_plan.py) rebuilds a graph for ONNX, which wants channels first;
each value then has a *layout*: what each axis of the rebuilt ("arranged") tensor holds of the original ("natural") one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqc.graph.dims import Dim
    from seqc.graph.ir import Op, Type


@dataclass(frozen=True)
class Merged:
    """A flattened natural axis whose parts (`sizes`, natural order) lie in memory in another `order`."""

    axis: int
    order: tuple[int, ...]
    sizes: tuple[Dim, ...]


@dataclass(frozen=True)
class Joined(Merged):
    """A natural axis of several flattened ones, one after the other: how many elements each has, and how they lie.

    None in place of a merged axis is for elements in their natural order.
    """

    parts: tuple[tuple[int, Merged | None], ...] = ()


# One entry per arranged axis: a natural axis, None for an axis of size one that was put in, or a merged axis.
Layout = tuple[int | Merged | None, ...]


@dataclass(frozen=True)
class LayoutRule:
    """How an op works in another layout: the layouts it wants, the op to apply then, and the layouts it gives.

    None in place of the op says that nothing has to be done: the operand is the result, its axes read as others.
    """

    wants: tuple[Layout, ...]
    op: Op | None
    gives: Layout | tuple[Layout, ...]


def natural(rank: int) -> Layout:
    """The layout of a tensor that was not re-ordered."""
    return tuple(range(rank))


def is_natural(layout: Layout) -> bool:
    """Whether a tensor was not re-ordered."""
    return layout == natural(len(layout))


def axis_of(entry: int | Merged | None) -> int | None:
    """The natural axis an entry holds."""
    return entry.axis if isinstance(entry, Merged) else entry


def position(layout: Layout, axis: int) -> int | None:
    """Where a natural axis lies; None where it is merged and so cannot be addressed by parts."""
    return layout.index(axis) if axis in layout else None


def positions(layout: Layout, axes: tuple[int, ...]) -> tuple[int, ...] | None:
    """Where several natural axes lie, or None if one cannot be addressed."""
    found = [position(layout, axis) for axis in axes]
    return None if None in found else tuple(p for p in found if p is not None)


def channels_first(rank: int) -> Layout:
    """(batch, ..., channels) as (batch, channels, ...); sequences get a height of one, as 4-D kernels are faster."""
    return (0, 2, None, 1) if rank == 3 else (0, rank - 1, *range(1, rank - 1))


def broadcast_layout(result: Layout, operand: Type, result_rank: int) -> Layout:
    """The layout an operand needs to broadcast against a result laid out as `result`."""
    shift = result_rank - operand.rank
    wanted: list[int | Merged | None] = []
    for entry in result:
        axis = axis_of(entry)
        if axis is None or axis < shift:
            wanted.append(None)
        elif isinstance(entry, Merged) and operand.shape[axis - shift] != 1:
            wanted.append(replace(entry, axis=axis - shift))
        else:
            wanted.append(axis - shift)
    while wanted and wanted[0] is None:
        wanted.pop(0)
    return tuple(wanted)


def elementwise_layout_rule(
    op: Op, result: Type, operands: tuple[Type, ...], layouts: tuple[Layout, ...]
) -> LayoutRule:
    """Element-wise ops take any layout: the operand that spans the result decides."""
    chosen = natural(result.rank)
    for operand, layout in zip(operands, layouts, strict=True):
        if operand.rank == result.rank and not is_natural(layout) and operand.shape == result.shape:
            chosen = layout
            break
    wants = tuple(chosen if t.shape == result.shape else broadcast_layout(chosen, t, result.rank) for t in operands)
    return LayoutRule(wants, op, chosen)
