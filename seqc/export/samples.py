"""Inputs to compare an exported model on: sizes, and arrays that the model can be expected to meet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqc.errors import SeqcError, ShapeError
from seqc.export.demands import Demands
from seqc.graph import dims
from seqc.graph.element_types import FLOATS, float_info
from seqc.graph.ir import Array, Constant, Graph, Type, Value
from seqc.graph.strings import STRING
from seqc.ops.elementwise import Equal
from seqc.ops.gather import Gather, GatherGrad
from seqc.ops.strings import LookUp, SplitText
from seqc.passes.half_precision import RoundTo

Sizes = Mapping[str, int]
Users = Mapping[Value, list[Value]]

BATCHES = (1, 2, 7)
# Shortest lengths that are tried: powers of two, and between them.
_STARTS = [n for i in range(2, 13) for n in (1 << i, 3 << (i - 1))] + [8192]
# Where nothing says how many different integers there are.
_SOME = 10
# Where what is made of integers asks for others than that: what they begin with, see `Sampler._fitting`.
_LOWS = (0, 1, 2)
# How often more integers than those are tried, over all draws: each runs the part of the graph that they lead to.
_TRIES = 40
# Ends of integers, where those of their type lead to numbers that are too large.
_LARGE = (1 << 52, 1 << 30, 1 << 20, 1 << 10)


@dataclass(frozen=True)
class Room:
    """So many integers, from the lowest on."""

    low: int
    count: int


Rooms = dict[Value, Room]


def choose_sizes(graph: Graph, works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    """Returns sizes for the symbolic axes, at which no value of the graph is empty if there are such.

    Batches of 1, 2 and 7, each with two lengths of every other axis, and last a batch of two of the shortest there is,
    one if the graph takes it. A first axis of which one element is too few is no batch, but the length of a single
    sample.

    Args:
        graph: its inputs name the axes. works: whether the graph runs at given sizes; lengths grow until it does.

    Raises:
        ShapeError: no length up to 1024 works, or to 8192 where one axis is open.
    """
    try:
        return _choose_sizes(graph, lambda sizes: not _leaves_nothing(graph, sizes) and works(sizes))
    except ShapeError:
        return _choose_sizes(graph, works)


def _leaves_nothing(graph: Graph, sizes: Sizes) -> bool:
    """Returns whether some value has no element.

    What a mean over an axis without any element is differs from one program to the next, and few expect one.
    """
    results = (t for v in graph.walk() for t in (v.result if isinstance(v.result, tuple) else (v.result,)))
    return any(
        dims.evaluate(d, sizes) <= 0
        for t in results
        for d in t.shape
        if not isinstance(d, int) and set(dims.names(d)) <= set(sizes)
    )


def _choose_sizes(graph: Graph, works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    names = sorted({n for x in graph.inputs for d in x.type.shape for n in dims.names(d)})
    batch = {n for x in graph.inputs for d in x.type.shape[:1] for n in dims.names(d)}
    if names and batch == set(names) and not works(dict.fromkeys(names, 1)):
        found = _found(names, set(), works)
        if found:
            return found
    others = [n for n in names if n not in batch]
    lengths = _lengths(others, batch, works) if others else [{}]
    shortest = [s for s in _shortest(others, batch, works) if s not in lengths]
    if not batch:
        return [dict(length) for length in (*lengths, *shortest)]
    sizes = [*itertools.product(BATCHES, lengths), *((2, length) for length in shortest)]
    return [dict.fromkeys(sorted(batch), b) | length for b, length in sizes]


def _shortest(others: list[str], batch: set[str], works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    """Returns the first of some short lengths at which the graph runs, if there is one."""
    return [dict.fromkeys(others, n) for n in _short(others, batch, works)][:1]


def _short(others: list[str], batch: set[str], works: Callable[[Sizes], bool]) -> Iterator[int]:
    """Yields short lengths at which the graph runs."""
    return (n for n in (1, 2, 3) if others and works(dict.fromkeys(batch, 1) | dict.fromkeys(others, n)))


def _lengths(others: list[str], batch: set[str], works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    # Of some models a table of places, say, ends all lengths: the shortest are tried at last.
    found = _found(others, batch, works) or [dict.fromkeys(others, n) for n in _short(others, batch, works)][-2:]
    if not found:
        last = _tried(others)[-1]
        raise ShapeError(f"The graph runs at no size of {', '.join(others)} between {_STARTS[0]} and {last}.")
    return found


def _tried(others: list[str]) -> list[int]:
    """Returns what is tried: of a sound, but not of images, long axes, too."""
    return [start for start in _STARTS if start <= 1024 or len(others) == 1]


def _found(others: list[str], batch: set[str], works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    """Returns two lengths at which the graph runs, or as many as there are."""
    found: list[dict[str, int]] = []
    for start in _tried(others):
        # An odd second length shows what the parity of an axis changes; different ones show axes mixed up.
        for length in (dict.fromkeys(others, start), {n: start + 3 + 2 * i for i, n in enumerate(others)}):
            if length not in found and works(dict.fromkeys(batch, 1) | length):
                found.append(length)
        if len(found) >= 2:
            return found[:2]
    return found


def runs_on(run: Callable[[list[Array]], object], arrays: list[Array]) -> bool:
    """Returns whether `run` takes inputs."""
    try:
        run(arrays)
    except (SeqcError, ValueError, IndexError):
        return False
    return True


class Sampler:
    """Draws inputs for a graph; the same for the same calls.

    Floating-point rows are in turn standard normal, uniform in [0, 1), and three times as wide; the sixth is zero, or
    what a mask leaves out, throughout, as are the second halves of some others, and the seventh is tiny. Integers stay
    within the table they look up and reach both its ends, with zeros where masks are usually: at the end, at the start,
    in between, everywhere. What is computed of integers may be looked up, too, or divide: they are as few as they must
    be for that.
    """

    def __init__(self, graph: Graph) -> None:
        self._inputs = graph.inputs
        self._demands = Demands(graph)
        users = _users(graph)
        self._limits, self._masked = _integer_limits(graph, users), _masked_values(graph, users)
        self._exact = exact_values(graph)
        self._tokens = {x: _tokens_of(x, users) for x in graph.inputs}
        self._split = [_is_split(x, users) for x in graph.inputs]
        self._rooms = {x: Room(0, limit) for x, limit in self._limits.items()}
        # What fitted at the last sizes, before and after it was widened, and at all sizes: it mostly fits again.
        self._narrow: Rooms = {}
        self._wide: Rooms = {}
        self._known: dict[frozenset[tuple[str, int]], Rooms] = {}
        self._tries = _TRIES

    def draw(self, sizes: Sizes, seed: int) -> list[Array]:
        """Returns one array per graph input."""
        found = self._drawn_in(self._rooms, sizes, seed)
        if self._demands.are_met(found, sizes):
            return found
        fitting = self._fitting(sizes, seed)
        return found if fitting is None else self._drawn_in(self._rooms | fitting, sizes, seed)

    def _fitting(self, sizes: Sizes, seed: int) -> Rooms | None:
        """Returns, for integers of which something is made that must stay within limits, which ones to draw.

        As many as all of them can have, from 0 on if there are some, and then as many more as each can have alone.
        """
        free = [x for x in self._inputs if x in self._demands.reached and self._is_whole(x)]

        def fit(rooms: Rooms) -> bool:
            return self._demands.are_met(self._drawn_in(self._rooms | rooms, sizes, seed), sizes)

        known = self._known.get(frozenset(sizes.items()), {} if self._tries else self._wide)
        if known and fit(known):
            return known
        most = {x: self._limits.get(x, _SOME) for x in free}
        some = ({x: Room(low, min(n, most[x])) for x in free} for low in _LOWS for n in range(_SOME, 0, -1))
        tried = itertools.chain([self._narrow] if self._narrow else [], some)
        rooms = next(filter(fit, tried), None) if free else None
        # A single number is not at the end of its room, and does not show how many fit.
        if rooms is None or any(_count(x, sizes) < 2 for x in free):
            return rooms
        self._narrow = rooms
        for x in free:
            rooms = self._widened(fit, rooms, x, most[x])
        self._wide = self._known[frozenset(sizes.items())] = rooms
        return rooms

    def _widened(self, fit: Callable[[Rooms], bool], rooms: Rooms, x: Value, most: int) -> Rooms:
        """Returns the rooms with as many integers for one input as fit, found by bisection while tries are left."""

        def with_count(n: int) -> Rooms:
            return rooms | {x: replace(rooms[x], count=n)}

        # So many fit, and more than `most` do not. Where as many as at the last sizes fit, mostly not one more does.
        least, last = rooms[x].count, self._wide[x].count if x in self._wide else 0
        first = iter((last, last + 1) if last else (most,))
        while least < most and self._tries:
            n = next(first, (least + most + 1) // 2)
            if not least < n <= most:
                continue
            self._tries -= 1
            least, most = (n, most) if fit(with_count(n)) else (least, n - 1)
        return with_count(least)

    def _is_whole(self, x: Value) -> bool:
        """Whether an input has numbers that are whole, in floats, too."""
        return not self._tokens[x] and x.dtype not in ("bool", STRING) and (not x.type.is_float or x in self._exact)

    def _drawn_in(self, rooms: Rooms, sizes: Sizes, seed: int) -> list[Array]:
        rng = np.random.default_rng(seed)
        return [self._drawn(rng, x, sizes, rooms.get(x)) for x in self._inputs]

    def _drawn(self, rng: np.random.Generator, x: Value, sizes: Sizes, room: Room | None) -> Array:
        tokens = self._tokens[x]
        if x.dtype != STRING and not tokens:
            return _draw(rng, x.type, sizes, room, self._masked.get(x))
        shape = tuple(dims.evaluate(d, sizes) for d in x.type.shape)
        found = np.empty(shape, object if x.dtype == STRING else x.dtype)
        for i in range(found.size):
            found.flat[i] = _token(rng, tokens or ("", "A", "b c", "é"))
        return found

    def works(self, run: Callable[[list[Array]], object]) -> Callable[[Sizes], bool]:
        """Returns a test of sizes: whether `run` takes inputs of them."""
        return lambda sizes: runs_on(run, self.draw(sizes, seed=0))

    def draw_large(self, run: Callable[[list[Array]], object], sizes: Sizes, seed: int) -> list[Array] | None:
        """Returns inputs of about 1e15, and integers at both ends of their type.

        None where none may be so large. Those in half precision are of about 1e3, and integers smaller where numbers
        made of them would be too large.

        Not even larger ones: their squares and sums would be infinite in one order of adding and finite in another.
        """
        found, some = self.draw(sizes, seed), False
        for i, x in enumerate(self._inputs):
            if x.type.is_float and x not in self._exact:
                largest = 1e3 if x.dtype == "float16" else 1e15
                found[i] = (np.random.default_rng(seed).normal(size=found[i].shape) * largest).astype(x.dtype)
                some = True
            elif np.issubdtype(found[i].dtype, np.integer) and x not in self._limits and found[i].size > 1:
                large = ([*found[:i], a, *found[i + 1 :]] for a in _with_large_ends(found[i]))
                fitting = next((a for a in large if self._demands.are_met(a, sizes)), None)
                found, some = fitting or found, some or fitting is not None
        return found if some and runs_on(run, found) else None

    def draw_wordless(self, run: Callable[[list[Array]], object], sizes: Sizes, seed: int) -> list[Array] | None:
        """Returns inputs of which the texts that are split hold no words; None where none is split."""
        if not any(self._split):
            return None
        drawn = self.draw(sizes, seed)
        found = [np.full_like(x, "") if split else x for x, split in zip(drawn, self._split, strict=True)]
        return found if runs_on(run, found) else None


def _count(x: Value, sizes: Sizes) -> int:
    return math.prod(dims.evaluate(d, sizes) for d in x.type.shape)


def _with_large_ends(x: Array) -> Iterator[Array]:
    """Yields copies of integers whose first and last ones are the ends of their type, and then less large ones."""
    ends = np.iinfo(x.dtype)
    for most in (int(ends.max), *(n for n in _LARGE if n < ends.max)):
        large = x.copy()
        large.flat[0], large.flat[-1] = max(-most - (most == ends.max), int(ends.min)), most
        yield large


def _token(rng: np.random.Generator, tokens: Sequence[object]) -> object:
    return tokens[int(rng.integers(len(tokens)))]


def _tokens_of(source: Value, users: Users) -> tuple[object, ...]:
    """Returns what an input that is looked up in vocabularies may hold: their tokens, unknown ones, and texts of them.

    An integer may be another one nearby, a string another one, or none.
    """
    tokens: dict[object, None] = {}
    known = True
    for user in _readers(source, users):
        if isinstance(user.op, LookUp):
            tokens |= dict.fromkeys(user.op.keys[:_SOME] + user.op.keys[-_SOME:])
            known = known and user.op.default is not None
    if tokens and known:
        tokens |= dict.fromkeys(("", "no such token", "É") if source.dtype == STRING else (-1, 0, 7))
    words = [str(token) for token in tokens]
    if _is_split(source, users):
        tokens |= dict.fromkeys((" ".join(words), "  ".join(words[:3]) + " ", " ".join(words[-2:]).upper()))
    return tuple(token for token in tokens if source.dtype == STRING or _holds(source.dtype, token))


def _holds(dtype: str, token: Any) -> bool:
    """Returns whether an integer is a number of a type."""
    if dtype == "bool":
        return token in (0, 1)
    ends = float_info(dtype) if dtype in FLOATS else np.iinfo(dtype)
    return bool(float(ends.min) <= token <= float(ends.max))


def _is_split(source: Value, users: Users) -> bool:
    return any(isinstance(user.op, SplitText) for user in _readers(source, users))


def _readers(source: Value, users: Users) -> Iterator[Value]:
    """Yields what is made of the strings or integers of an input, up to what looks them up."""
    stack, seen = [source], {source}
    while stack:
        for user in users.get(stack.pop(), ()):
            if user in seen:
                continue
            seen.add(user)
            if not isinstance(user.op, LookUp) and (user.op.strings or user.op.kind in ("view", "move")):
                stack.append(user)
            yield user


def draw_inputs(graph: Graph, sizes: Sizes, seed: int) -> list[Array]:
    """Returns one array per graph input, see `Sampler`."""
    return Sampler(graph).draw(sizes, seed)


def exact_values(graph: Graph) -> set[Value]:
    """Returns the floating-point values from which integers are computed: those may be row numbers, or lengths."""
    found: set[Value] = set()
    for value in reversed(graph.walk()):
        results = value.result if isinstance(value.result, tuple) else (value.result,)
        if value in found or any(t.dtype not in ("bool", "uint8") and not t.is_float for t in results):
            found |= set(value.inputs)
    return found


def _masked_values(graph: Graph, users: Users) -> dict[Value, float]:
    """Returns, for inputs that are compared with one number, that number: steps that equal it are left out.

    Where only the rounded input equals it, a number beside it: files must round, too.
    """
    found: dict[Value, float] = {}
    for x in graph.inputs:
        for value, user in _reached(x, users):
            if x.type.is_float and isinstance(user.op, Equal):
                others = [o.op.array for o in user.inputs if isinstance(o.op, Constant)]
                if len(others) == 1 and others[0].size == 1 and np.isfinite(others[0]).all():
                    beside = 1 + 1e-5 if isinstance(value.op, RoundTo) else 1.0
                    found[x] = float(others[0].item()) * beside
    return found


def integer_limits(graph: Graph) -> dict[Value, int]:
    """Returns, for inputs used as row numbers or classes, how many rows or classes there are."""
    return _integer_limits(graph, _users(graph))


def _integer_limits(graph: Graph, users: Users) -> dict[Value, int]:
    limits = {x: [n for value, user in _reached(x, users) for n in _limit_at(user, value)] for x in graph.inputs}
    return {x: min(found) for x, found in limits.items() if found}


def _users(graph: Graph) -> Users:
    users: dict[Value, list[Value]] = {}
    for value in graph.walk():
        for i, x in enumerate(value.inputs):
            if i not in value.op.shape_only:
                users.setdefault(x, []).append(value)
    return users


def _reached(source: Value, users: Users) -> Iterator[tuple[Value, Value]]:
    """Yields what has the numbers of `source`, and who reads it."""
    stack, seen = [source], {source}
    while stack:
        value = stack.pop()
        for user in users.get(value, ()):
            if (user.op.kind in ("view", "move") or isinstance(user.op, RoundTo)) and user not in seen:
                seen.add(user)
                stack.append(user)
            yield value, user


def _limit_at(user: Value, value: Value) -> Iterator[int]:
    if isinstance(user.op, Gather | GatherGrad) and user.inputs[1] is value:
        rows = user.inputs[0 if isinstance(user.op, Gather) else 2].type.shape[0]
        if isinstance(rows, int):
            yield rows
    elif isinstance(user.op, Equal):
        for other in user.inputs:
            if isinstance(other.op, Constant) and other.op.array.size > 1:
                yield int(other.op.array.max()) + 1


def _draw(rng: np.random.Generator, t: Type, sizes: Sizes, room: Room | None, masked: float | None) -> Array:
    shape = tuple(dims.evaluate(d, sizes) for d in t.shape)
    if room is not None or (not t.is_float and t.dtype not in ("bool", "uint8")):
        low, count = (room.low, room.count) if room else (0, _SOME)
        return (_with_zeros(_with_ends(rng.integers(0, count, shape), count - 1)) + low).astype(t.dtype)
    if t.dtype == "uint8":
        return _with_ends(rng.integers(0, 256, shape), 255).astype(t.dtype)
    if t.dtype == "bool":
        return _with_zeros(rng.random(shape) < 0.7).astype(bool)
    normal, uniform = rng.normal(size=shape), rng.random(shape)
    if not shape:
        return np.asarray(normal, t.dtype)
    row = (np.arange(shape[0]) % 3).reshape(-1, *[1] * (len(shape) - 1))
    x = np.select([row == 0, row == 1], [normal, uniform], 3 * normal)
    if masked is not None and len(shape) > 1:
        x[1::3, shape[1] // 2 :] = masked
    x[5::7] = masked or 0.0
    x[6::7] = 1e-20 * normal[6::7]
    return np.asarray(x.astype(t.dtype))


def _with_ends(x: Array, largest: int) -> Array:
    if x.size > 1:
        x.flat[0], x.flat[-1] = largest, 0
    return x


def _with_zeros(x: Array) -> Array:
    """Zeroes the second half of every fourth row, the first half of the next, and the whole of every seventh."""
    if x.ndim < 2:
        return x
    half = x.shape[1] // 2
    x[1::4, half:] = 0
    x[2::4, :half] = 0
    x[6::7] = 0
    return x
