"""What a row of the table of operations is, and how its operands are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from seqc.graph import dims, ir
from seqc.graph.dims import Dim

Array = NDArray[Any]
Draw = Callable[[Generator, tuple[int, ...], list[Array]], Any]

# What the names of symbolic axes stand for, run by run.
SIZES: tuple[dict[str, int], ...] = (
    {"batch": 1, "time": 4, "height": 7, "width": 6},
    {"batch": 3, "time": 5, "height": 6, "width": 9},
)


@dataclass(frozen=True)
class Operand:
    """One operand: its shape (strings name symbolic axes), how to draw it, and whether the op is smooth in it.

    `dtype` is "float" where the row runs in several precisions, else a NumPy name. `draw` gets a generator, the actual
    shape and the operands before it.
    """

    shape: tuple[Dim | str, ...]
    draw: Draw
    dtype: str = "float"
    differentiable: bool = False

    @property
    def dims(self) -> tuple[Dim, ...]:
        return tuple(dims.symbol(d) if isinstance(d, str) else d for d in self.shape)


@dataclass(frozen=True)
class OpSpec:
    """One row.

    Attributes:
        id: names the row. op: the operation with its attributes. inputs: its operands. results: how many of its
        results have a gradient (the others are inner values). tolerance: of the finite differences, relative.
    """

    id: str
    op: ir.Op
    inputs: tuple[Operand, ...]
    results: int = 1
    tolerance: float = 1e-6

    def __str__(self) -> str:
        return self.id

    @property
    def differentiable(self) -> tuple[bool, ...]:
        return tuple(x.differentiable for x in self.inputs)

    def types(self, dtype: str = "float64") -> tuple[ir.Type, ...]:
        """The operands' types, symbolic axes and all."""
        return tuple(ir.Type(dtype if x.dtype == "float" else x.dtype, x.dims) for x in self.inputs)

    def arrays(self, rng: Generator, sizes: Mapping[str, int], dtype: str = "float64") -> list[Array]:
        """Operands for actual sizes; the same generator state gives the same numbers in every float dtype."""
        drawn: list[Array] = []
        for x in self.inputs:
            actual = tuple(dims.evaluate(d, sizes) for d in x.dims)
            drawn.append(np.asarray(x.draw(rng, actual, drawn)))
        named = [dtype if x.dtype == "float" else x.dtype for x in self.inputs]
        return [np.asarray(a, d) for a, d in zip(drawn, named, strict=True)]

    def values(self, dtype: str = "float64") -> list[ir.Value]:
        """The operands as graph inputs x0, x1, ..."""
        return [ir.input_value(f"x{i}", t.dtype, t.shape) for i, t in enumerate(self.types(dtype))]

    def results_of(self, values: Sequence[ir.Value]) -> tuple[ir.Value, ...]:
        """The op applied: all its results, also where it has one."""
        value = ir.build(self.op, tuple(values), "")
        return ir.items(value) if isinstance(value.result, tuple) else (value,)


def normal(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.normal(size=size)


def spread(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    """Numbers on both sides of where activations bend."""
    return rng.uniform(-5, 5, size)


def positive(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.uniform(0.5, 2, size)


def unit(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.uniform(0, 1, size)


def inside_one(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.uniform(-0.8, 0.8, size)


def nonzero(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    result: Array = rng.uniform(0.2, 2, size) * rng.choice([-1.0, 1.0], size)
    return result


def with_zeros(count: int) -> Draw:
    """So many zeros in each row, none elsewhere."""

    def draw(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
        numbers = nonzero(rng, size, before)
        numbers[..., :count] = 0
        return rng.permuted(numbers, axis=-1)

    return draw


def coin(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return rng.random(size) < 0.6


def some_nan(rng: Generator, size: tuple[int, ...], before: list[Array]) -> Array:
    return np.where(rng.random(size) < 0.5, np.nan, 1.0)


def between(low: int, high: int) -> Draw:
    """Whole numbers in [low, high)."""
    return lambda rng, size, before: rng.integers(low, high, size)


def computed(function: Callable[..., Any]) -> Draw:
    """An operand that follows from those before it."""
    return lambda rng, size, before: function(*before)


def real(*shape: Dim | str, draw: Draw = normal) -> Operand:
    """Floating-point numbers in which the operation is smooth."""
    return Operand(shape, draw, differentiable=True)


def still(*shape: Dim | str, draw: Draw = normal) -> Operand:
    """Floating-point numbers without a gradient."""
    return Operand(shape, draw)


def whole(*shape: Dim | str, low: int = -5, high: int = 6, dtype: str = "int32") -> Operand:
    return Operand(shape, between(low, high), dtype)


def truth(*shape: Dim | str) -> Operand:
    return Operand(shape, coin, "bool")


def row(op: ir.Op, *inputs: Operand, note: str = "", **options: Any) -> OpSpec:
    return OpSpec(op.name + (f"-{note}" if note else ""), op, inputs, **options)
