"""Inputs to compare an exported model on: sizes, and arrays that the model can be expected to meet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from seqc import dims
from seqc.errors import SeqcError, ShapeError
from seqc.ir import Array, Constant, Graph, Type, Value
from seqc.ops.elementwise import Cast, Equal, Identity, StopGradient
from seqc.ops.gather import Gather, GatherGrad
from seqc.ops.padding import MirrorPad, Pad
from seqc.ops.shape import BroadcastLike, Reshape, ReshapeLike, Squeeze, Transpose, Unsqueeze
from seqc.ops.slicing import Concat, Slice

Sizes = Mapping[str, int]

BATCHES = (1, 2, 7)
# Where nothing says how many different integers there are.
_SOME = 10
_SAME_NUMBERS = (
    BroadcastLike, Cast, Concat, Identity, MirrorPad, Pad, Reshape, ReshapeLike, Slice, Squeeze, StopGradient,
    Transpose, Unsqueeze,
)  # fmt: skip


def choose_sizes(graph: Graph, works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    """Returns sizes for the symbolic axes: batches of 1, 2 and 7, each with two lengths of every other axis.

    Args:
        graph: its inputs name the axes. works: whether the graph runs at given sizes; lengths grow until it does.

    Raises:
        ShapeError: no length up to 1024 works.
    """
    names = sorted({n for x in graph.inputs for d in x.type.shape for n in dims.names(d)})
    batch = {n for x in graph.inputs for d in x.type.shape[:1] for n in dims.names(d)}
    others = [n for n in names if n not in batch]
    lengths = _lengths(others, batch, works) if others else [{}]
    if not batch:
        return [dict(length) for length in lengths]
    return [dict.fromkeys(sorted(batch), b) | length for b, length in itertools.product(BATCHES, lengths)]


def _lengths(others: list[str], batch: set[str], works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    for start in (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024):
        # An odd second length shows what the parity of an axis changes; different ones show axes mixed up.
        for length in (dict.fromkeys(others, start), {n: start + 3 + 2 * i for i, n in enumerate(others)}):
            if length not in found and works(dict.fromkeys(batch, 1) | length):
                found.append(length)
        if len(found) >= 2:
            return found[:2]
    if not found:
        raise ShapeError(f"The graph runs at no size of {', '.join(others)} between 4 and 1024.")
    return found


def runs_at(run: Callable[[list[Array]], object], graph: Graph) -> Callable[[Sizes], bool]:
    """Returns a test of sizes: whether `run` takes inputs of them."""

    def works(sizes: Sizes) -> bool:
        try:
            run(draw_inputs(graph, sizes, seed=0))
        except (SeqcError, ValueError, IndexError):
            return False
        return True

    return works


def draw_inputs(graph: Graph, sizes: Sizes, seed: int) -> list[Array]:
    """Returns one array per graph input; the same for the same arguments.

    Floating-point rows are in turn standard normal, uniform in [0, 1), and three times as wide. Integers stay within
    the table they look up, with zeros where masks are usually: at the end, at the start, in between, everywhere.
    """
    limits = integer_limits(graph)
    rng = np.random.default_rng(seed)
    return [_draw(rng, x.type, sizes, limits.get(x)) for x in graph.inputs]


def integer_limits(graph: Graph) -> dict[Value, int]:
    """Returns, for inputs used as row numbers or classes, how many rows or classes there are."""
    users: dict[Value, list[Value]] = {}
    for value in graph.walk():
        for x in value.inputs:
            users.setdefault(x, []).append(value)
    limits = {x: min(found) for x in graph.inputs if (found := list(_limits(x, users)))}
    return limits


def _limits(source: Value, users: Mapping[Value, list[Value]]) -> Iterator[int]:
    stack, seen = [source], {source}
    while stack:
        value = stack.pop()
        for user in users.get(value, ()):
            if isinstance(user.op, _SAME_NUMBERS) and user not in seen:
                seen.add(user)
                stack.append(user)
            yield from _limit_at(user, value)


def _limit_at(user: Value, value: Value) -> Iterator[int]:
    if isinstance(user.op, Gather | GatherGrad) and user.inputs[1] is value:
        rows = user.inputs[0 if isinstance(user.op, Gather) else 2].type.shape[0]
        if isinstance(rows, int):
            yield rows
    elif isinstance(user.op, Equal):
        for other in user.inputs:
            if isinstance(other.op, Constant) and other.op.array.size > 1:
                yield int(other.op.array.max()) + 1


def _draw(rng: np.random.Generator, t: Type, sizes: Sizes, limit: int | None) -> Array:
    shape = tuple(dims.evaluate(d, sizes) for d in t.shape)
    if limit is not None or (not t.is_float and t.dtype not in ("bool", "uint8")):
        return _with_zeros(rng.integers(0, limit or _SOME, shape)).astype(t.dtype)
    if t.dtype == "uint8":
        return rng.integers(0, 256, shape).astype(t.dtype)
    if t.dtype == "bool":
        return _with_zeros(rng.random(shape) < 0.7).astype(bool)
    normal, uniform = rng.normal(size=shape), rng.random(shape)
    if not shape:
        return np.asarray(normal, t.dtype)
    row = (np.arange(shape[0]) % 3).reshape(-1, *[1] * (len(shape) - 1))
    return np.select([row == 0, row == 1], [normal, uniform], 3 * normal).astype(t.dtype)


def _with_zeros(x: Array) -> Array:
    """Zeroes the second half of every fourth row, the first half of the next, and the whole of every seventh."""
    if x.ndim < 2:
        return x
    half = x.shape[1] // 2
    x[1::4, half:] = 0
    x[2::4, :half] = 0
    x[6::7] = 0
    return x
