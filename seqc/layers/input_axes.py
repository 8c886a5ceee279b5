"""Names for the sizes of a model's inputs that are not known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from seqc.graph import dims
from seqc.graph.batch import BATCH
from seqc.graph.dims import Dim, Sym
from seqc.graph.equal_sizes import EqualSizes, collecting
from seqc.graph.ir import Shape
from seqc.layers._common import KerasShape, symbolic_shape

R = TypeVar("R")


def shape_of_input(name: str, shape: KerasShape, over_time: bool = False) -> Shape:
    """Returns an input's shape with names of its own for the unknown sizes, such as `tokens.time`; the batch is shared.

    Args:
        name: of the input. shape: with the batch first. over_time: whether the second axis is time at any rank.
    """
    return tuple(
        dims.symbol(f"{name}.{d}") if isinstance(d, Sym) and d != dims.symbol(BATCH) else d
        for d in symbolic_shape(shape, over_time)
    )


def settle_axes(
    names: Sequence[str], shapes: Sequence[KerasShape], over_time: Sequence[bool], trace: Callable[[list[Shape]], R]
) -> R:
    """Returns what `trace` makes of inputs' shapes in which those sizes are equal that must be, and no others.

    A size is called `time`, say, where no other is, and else `tokens_time`.

    Args:
        names, shapes: of the inputs, with the batch first. over_time: of which the second axis is time at any rank.
        trace: builds the graph; again, when it is found there what must be equal.

    Raises:
        ShapeError: sizes must be equal that cannot be.
    """
    own = [shape_of_input(*each) for each in zip(names, shapes, over_time, strict=True)]
    settled = own
    while True:
        called = _short_names(names, own, settled)
        settled = [tuple(dims.substitute(d, called) for d in shape) for shape in settled]
        equal = EqualSizes(free={n for d in called.values() for n in dims.names(d)})
        with collecting(equal):
            result = trace(settled)
        if not equal.found:
            return result
        settled = [tuple(map(equal.applied, shape)) for shape in settled]


def _short_names(names: Sequence[str], own: Sequence[Shape], settled: Sequence[Shape]) -> dict[str, Dim]:
    """Returns what to call each free size: like the axis of the input with most axes that is just so large."""
    places = sorted(
        ((i, a) for i, shape in enumerate(settled) for a, d in enumerate(shape) if isinstance(d, Sym)),
        key=lambda place: (-len(settled[place[0]]), place),
    )
    chosen: dict[str, tuple[str, str]] = {}
    for i, a in places:
        size = settled[i][a]
        if size != dims.symbol(BATCH) and size == dims.symbol(str(size)):
            chosen.setdefault(str(size), (names[i], str(own[i][a]).removeprefix(f"{names[i]}.")))
    axes = [axis for _, axis in chosen.values()]
    return {
        old: dims.symbol(axis if axes.count(axis) == 1 else f"{name}_{axis}") for old, (name, axis) in chosen.items()
    }
