"""What random step graphs are drawn with: values, what is known of them, and ways to pick and to combine some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from seqc.graph import dims
from seqc.graph.batch import BATCH
from seqc.graph.dims import Dim
from seqc.graph.ir import Op, Type, Value, apply, constant, input_value
from seqc.ops.arithmetic import Abs, Add, Clip, Div, Max, Min, Sub
from seqc.ops.elementwise import Equal, Greater, Less, Where

SAMPLES = dims.symbol(BATCH)
MOST_SAMPLES = 7
# What numbers may grow to: far from where float64 leaves whole numbers out.
LIMIT = 1e6


@dataclass(frozen=True, eq=False)
class Made:
    """A value of float64, the largest magnitude of its elements, and whether it is loose."""

    value: Value
    bound: float
    loose: bool = False

    @property
    def type(self) -> Type:
        return self.value.type


@dataclass
class Maker:
    """Draws operations on what was made before.

    Attributes:
        made: what there is to work on. state: the part of it that is state. planned: what is to become new state, by
        its place.
    """

    random: Random
    made: list[Made] = field(default_factory=list)
    state: list[Made] = field(default_factory=list)
    planned: dict[int, Made] = field(default_factory=dict)
    ids: Value = field(default_factory=lambda: input_value("ids", "int64", (SAMPLES, 2)))
    seed: Value = field(default_factory=lambda: input_value("seed", "int64", ()))
    step: Value = field(default_factory=lambda: input_value("step", "int64", ()))

    # -- drawing -----------------------------------------------------------------------------------------------------

    def one_of(self, choices: Sequence[Any]) -> Any:
        return self.random.choice(choices)

    def flag(self) -> bool:
        return self.random.random() < 0.5

    def pick(self, fits: Callable[[Made], bool] = lambda m: True) -> Made | None:
        """Returns something made before, more often than not of the latest, or None where nothing fits."""
        found = [m for m in self.made if fits(m)]
        latest = found[-4:] if self.flag() else found
        return self.random.choice(latest) if found else None

    def data(self, rank: int = 0) -> Made:
        """Returns something of the batch, as often as not, or anything of at least this rank."""
        known = self.flag()
        found = self.pick(lambda m: m.type.rank >= rank and (known or not m.type.is_static))
        if found is None:
            found = self.pick(lambda m: m.type.rank >= rank)
        assert found is not None  # at least the input
        return found

    def add(self, op: Op, *xs: Made | Value, bound: float, loose: bool = False) -> Made:
        """Applies an operation; what is made of something loose is loose."""
        values = [x.value if isinstance(x, Made) else x for x in xs]
        loose = loose or any(x.loose for x in xs if isinstance(x, Made))
        return self.note(apply(op, *values), bound, loose)

    def note(self, value: Value, bound: float, loose: bool) -> Made:
        """Adds a value to what there is, cut where it grew too large."""
        cut = bound > LIMIT
        self.made.append(Made(apply(Clip(-9.0, 9.0), value) if cut else value, 9.0 if cut else bound, loose))
        return self.made[-1]

    def number(self, value: float) -> Value:
        return constant(np.array(value, np.float64))

    def combine(self, op: Op, a: Made, b: Made) -> Made:
        """Applies an operation on two, of which the second broadcasts to the first."""
        pair = (b, a) if not isinstance(op, Div) and a.type != b.type and self.flag() else (a, b)
        if isinstance(op, Where):
            if a.loose or b.loose:
                return self.combine(Add(), a, b)
            asked = apply(self.one_of([Less(), Greater(), Equal()]), a.value, b.value)
            return self.add(Where(), asked, *pair, bound=max(a.bound, b.bound))
        if isinstance(op, Div):
            below = apply(Add(), apply(Abs(), b.value), self.number(1))
            return self.add(op, a, below, bound=a.bound, loose=True)
        if isinstance(op, Max | Min) and (a.loose or b.loose):
            op = Sub()
        bounds = {"Mul": a.bound * b.bound, "Max": max(a.bound, b.bound), "Min": max(a.bound, b.bound)}
        return self.add(op, *pair, bound=bounds.get(op.name, a.bound + b.bound))

    def like(self, t: Type) -> Made:
        """Returns something of a type of which there is something."""
        found = self.pick(lambda m: m.type == t)
        assert found is not None
        return found


def largest_count(sizes: Sequence[Dim]) -> int:
    """Returns the most elements that axes of these sizes can have."""
    return int(np.prod([dims.evaluate(d, {BATCH: MOST_SAMPLES}) for d in sizes]))


def grows_to(a: Type, b: Type) -> bool:
    """Tells whether an array of type a broadcasts to type b."""
    pairs = zip(reversed(a.shape), reversed(b.shape), strict=False)
    return a.rank <= b.rank and all(d in (1, e) for d, e in pairs)


def sums_to(a: Type, b: Type) -> bool:
    return a.rank > 0 and a.shape == (SAMPLES, *b.shape)


def reshapes_to(a: Type, b: Type) -> bool:
    return a.is_static and int(np.prod(dims.known(a.shape))) == int(np.prod(dims.known(b.shape)))
