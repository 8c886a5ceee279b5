"""Inputs to compare an exported model on: sizes, and arrays that the model can be expected to meet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from seqc.errors import SeqcError, ShapeError
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


def choose_sizes(graph: Graph, works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    """Returns sizes for the symbolic axes.

    Batches of 1, 2 and 7, each with two lengths of every other axis, and last a batch of two of the shortest there is,
    one if the graph takes it. A first axis of which one element is too few is no batch, but the length of a single
    sample.

    Args:
        graph: its inputs name the axes. works: whether the graph runs at given sizes; lengths grow until it does.

    Raises:
        ShapeError: no length up to 1024 works, or to 8192 where one axis is open.
    """
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
    tried = [dict.fromkeys(others, n) for n in (1, 2, 3)] if others else []
    return next(([length] for length in tried if works(dict.fromkeys(batch, 1) | length)), [])


def _lengths(others: list[str], batch: set[str], works: Callable[[Sizes], bool]) -> list[dict[str, int]]:
    found = _found(others, batch, works)
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
    """Draws inputs for a graph; the same for the same arguments.

    Floating-point rows are in turn standard normal, uniform in [0, 1), and three times as wide; the sixth is zero, or
    what a mask leaves out, throughout, as are the second halves of some others, and the seventh is tiny. Integers stay
    within the table they look up and reach both its ends, with zeros where masks are usually: at the end, at the start,
    in between, everywhere.
    """

    def __init__(self, graph: Graph) -> None:
        self._inputs = graph.inputs
        users = _users(graph)
        self._limits, self._masked = _integer_limits(graph, users), _masked_values(graph, users)
        self._exact = exact_values(graph)
        self._tokens = {x: _tokens_of(x, users) for x in graph.inputs}
        self._split = [_is_split(x, users) for x in graph.inputs]

    def draw(self, sizes: Sizes, seed: int) -> list[Array]:
        """Returns one array per graph input."""
        rng = np.random.default_rng(seed)
        return [self._drawn(rng, x, sizes) for x in self._inputs]

    def _drawn(self, rng: np.random.Generator, x: Value, sizes: Sizes) -> Array:
        tokens = self._tokens[x]
        if x.dtype != STRING and not tokens:
            return _draw(rng, x.type, sizes, self._limits.get(x), self._masked.get(x))
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

        None where none may be so large. Those in half precision are of about 1e3.

        Not even larger ones: their squares and sums would be infinite in one order of adding and finite in another.
        """
        found, some = self.draw(sizes, seed), False
        for i, x in enumerate(self._inputs):
            if x.type.is_float and x not in self._exact:
                largest = 1e3 if x.dtype == "float16" else 1e15
                found[i] = (np.random.default_rng(seed).normal(size=found[i].shape) * largest).astype(x.dtype)
                some = True
            elif np.issubdtype(found[i].dtype, np.integer) and x not in self._limits and found[i].size > 1:
                ends = np.iinfo(found[i].dtype)
                found[i].flat[0], found[i].flat[-1] = ends.min, ends.max
                some = True
        return found if some and runs_on(run, found) else None

    def draw_wordless(self, run: Callable[[list[Array]], object], sizes: Sizes, seed: int) -> list[Array] | None:
        """Returns inputs of which the texts that are split hold no words; None where none is split."""
        if not any(self._split):
            return None
        drawn = self.draw(sizes, seed)
        found = [np.full_like(x, "") if split else x for x, split in zip(drawn, self._split, strict=True)]
        return found if runs_on(run, found) else None


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


def _draw(rng: np.random.Generator, t: Type, sizes: Sizes, limit: int | None, masked: float | None) -> Array:
    shape = tuple(dims.evaluate(d, sizes) for d in t.shape)
    if limit is not None or (not t.is_float and t.dtype not in ("bool", "uint8")):
        return _with_zeros(_with_ends(rng.integers(0, limit or _SOME, shape), (limit or _SOME) - 1)).astype(t.dtype)
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
