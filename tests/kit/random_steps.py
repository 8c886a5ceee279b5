"""Random step graphs: operations on inputs and state, drawn one by one, and what becomes the new state.

Most numbers are whole, whatever is added up in whatever order, so that two executors have to agree to the last bit.
What rounds (a mean, an exponential, a quotient) is *loose*: it is compared with a tolerance, decides nothing (no
comparison, no maximum of equals), and becomes whole again before it is kept as state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

from kit.random_operations import ROWS, SHAPES, binary, chains, leaf_like, odd, product, reduction, several, unary, view
from kit.random_values import SAMPLES, Made, Maker, largest_count
from seqc.graph import dims
from seqc.graph.dims import Dim
from seqc.graph.ir import Array, Graph, Type, Value, apply, constant, input_value
from seqc.ops.arithmetic import Clip, Round
from seqc.ops.elementwise import Cast

STATE_LIMIT = 1000.0  # the largest element of state
GIVEN = 4  # inputs before the state: x, ids, seed and step


@dataclass(eq=False)
class RandomStep:
    """A step graph with the types of its state.

    Attributes:
        graph: inputs are x, ids, seed and step, then the state; outputs the result, then new state. state: the start.
        written: which element of the state each new one replaces; numbers beyond are arrays that nothing reads.
        loose: whether the result is.
    """

    graph: Graph
    state: list[Array]
    written: list[int]
    loose: bool

    def __repr__(self) -> str:
        return f"{self.graph}\n  new state of {self.written}, result {'loose' if self.loose else 'exact'}"


def new_state(m: Maker, i: int, reads: Sequence[Value], t: Type) -> Value:
    """Returns what becomes state: now and then other state as it is, or a constant."""
    kind = 1.0 if i in m.planned else m.random.random()
    if kind < 0.1:
        return constant(np.arange(largest_count(t.shape)).reshape(dims.known(t.shape)).astype(t.dtype))
    same = [s for s in reads if s.type == t]
    if kind < 0.25 and same:
        result: Value = m.one_of(same)
        return result
    whole = t.with_dtype("float64")
    x = m.planned.get(i) or m.pick(lambda v: v.type == whole)
    x = leaf_like(m, whole) if x is None or 0.8 < kind < 1 else x
    value = x.value
    if x.loose:
        # Something and a half is not to be met by chance.
        value = apply(Round(), value * m.number(0.7310585786) + m.number(0.1234567))
    if x.bound > STATE_LIMIT:
        value = apply(Clip(-9.0, 9.0), value)
    return value if t.dtype == "float64" else apply(Cast(t.dtype), value)


# What is drawn first works on the batch, what comes next adds it up, and then comes anything.
WORK = (unary, binary, view, product)
SUMS = (reduction, product, several)
ALL = (unary, binary, binary, view, view, reduction, product, several, odd, chains, chains)
INPUTS: tuple[tuple[Dim, ...], ...] = ((SAMPLES, 3), (SAMPLES, 2, 3), (SAMPLES, 2), (SAMPLES,))


@st.composite
def steps(draw: st.DrawFn, most: int = 15) -> RandomStep:
    """Step graphs of up to `most` draws of operations and up to six arrays of state.

    Hypothesis draws how many operations there are, which it can make less; the rest comes from a generator, as
    hypothesis's own choices would repeat themselves too often.
    """
    maker = Maker(draw(st.randoms(use_true_random=True)))
    counts = [draw(st.integers(1, n)) for n in (3, 3, most)]
    shapes = maker.random.sample(SHAPES, 2)
    maker.made.append(Made(constant(np.array(2.0)), 2.0))
    types = [
        Type(maker.one_of(["float64"] * 5 + ["int64"]), maker.one_of(shapes)) for _ in range(maker.random.randint(1, 6))
    ]
    reads = [input_value(f"state{i}", t.dtype, t.shape) for i, t in enumerate(types)]
    for s in reads:
        maker.made.append(Made(s if s.dtype == "float64" else apply(Cast("float64"), s), STATE_LIMIT))
    maker.state = maker.made[1:]
    x = input_value("x", "float64", maker.one_of(INPUTS))
    maker.made.append(Made(x, 2.0))
    for count, kinds in zip(counts, (WORK, SUMS, ALL), strict=True):
        for _ in range(count):
            maker.one_of(kinds)(maker)
    news = {i: new_state(maker, i, reads, t) for i, t in enumerate(types) if maker.random.random() < 0.85}
    if maker.flag():  # new state that nothing reads
        types.append(maker.one_of(types))
        news[len(types) - 1] = new_state(maker, len(types) - 1, reads, types[-1])
    result = maker.pick()
    assert result is not None
    names = ("result", *(f"new{i}" for i in news))
    graph = Graph((x, maker.ids, maker.seed, maker.step, *reads), (result.value, *news.values()), names)
    of_state: list[Any] = [t.shape for t in types]
    start = [(np.arange(prod(s)) % 5 - 2).reshape(s).astype(t.dtype) for s, t in zip(of_state, types, strict=True)]
    return RandomStep(graph, start, list(news), result.loose)


def batches(step: RandomStep, sizes: Sequence[int]) -> list[list[Array]]:
    """Returns what is given at each run, for batches of these sizes."""
    rng = np.random.default_rng(sum(sizes))
    (x,) = step.graph.inputs[:1]
    known: Any = x.type.shape[1:]
    return [
        [
            rng.integers(-2, 3, [n, *known]).astype(np.float64),
            rng.integers(0, ROWS, (n, 2)),
            np.array(5, np.int64),
            np.array(number, np.int64),
        ]
        for number, n in enumerate(sizes)
    ]
