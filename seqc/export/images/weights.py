"""The weights of interpolation, computed by the file where sizes are known only when the model runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seqc.graph.dims import Dim
from seqc.graph.ir import Emitter, Type
from seqc.ops._shape_onnx import emit_sizes

# Writes the weights of distances, in elements of a type.
Kernel = Callable[[Emitter, str, str], str]
# Of what sine gives in single precision, several numbers beside a zero are left with few digits.
_WIDE = "float64"


@dataclass(frozen=True)
class Axis:
    """How an axis of a file's image changes its size; sizes are names of whole numbers in the file.

    Attributes:
        before, after: how many elements there are. across, down: the same divided by what they share, as far as that is
        known: after / before is `across` / `down` too. dims: `before` and `after` as the graph has them.
    """

    before: str
    after: str
    across: str
    down: str
    dims: tuple[Dim, Dim]

    @classmethod
    def to_size(cls, e: Emitter, x: str, axis: int, wanted: int, dim: Dim) -> Axis:
        """An axis of x that gets a size."""
        before, after = _size(e, x, axis), _whole(e, wanted)
        return cls(before, after, after, before, (dim, wanted))

    @classmethod
    def by_factor(cls, e: Emitter, x: str, axis: int, factor: int, dim: Dim) -> Axis:
        """An axis of x that becomes `factor` times as large."""
        before = _size(e, x, axis)
        times = _whole(e, factor)
        return cls(before, e.node("Mul", before, times), times, "", (dim, dim * factor))

    @classmethod
    def made_by_factor(cls, e: Emitter, x: str, axis: int, factor: int, dim: Dim) -> Axis:
        """What made an axis of x `factor` times as large."""
        after, times = _size(e, x, axis), _whole(e, factor)
        return cls(e.node("Div", after, times), after, times, "", (dim, dim * factor))


def emit_weights(e: Emitter, axis: Axis, kind: str, dtype: str, antialias: bool = False) -> str:
    """Writes the matrix (after, before) of an interpolation, as `seqc.ops.resize.weights` has it.

    Element r of the result lies ((2r + 1) down - (2c + 1) across) / (2 across) elements beside element c: a quotient of
    whole numbers, so that its rounding does not grow with the size. Rows are divided by their sums, as at the borders
    only some elements are there.

    Args:
        axis: how it changes. kind: "bilinear", "bicubic", "lanczos3" or "lanczos5". dtype: of the matrix. antialias:
        whether each element takes from all those that it covers where there are fewer than before.
    """
    inner = _WIDE if kind.startswith("lanczos") else dtype
    before, after = axis.dims
    rows, columns = _odd_numbers(e, axis.after, after), _odd_numbers(e, axis.before, before)
    # A difference of one column and one row of numbers has all pairs.
    column = e.node("Unsqueeze", rows, e.constant(np.array([1], np.int64)))
    scaled = e.node("Mul", column, axis.down) if axis.down else column
    apart = e.node("Abs", e.node("Sub", scaled, e.node("Mul", columns, axis.across)))
    wide = e.node("Max", axis.after, axis.before) if antialias else axis.across
    unit = e.node("Cast", e.node("Mul", wide, _whole(e, 2)), to=inner)
    d = e.node("Div", e.node("Cast", apart, to=inner), unit)
    found = _KERNELS[kind](e, d, inner)
    total = e.node("ReduceSum", found, e.constant(np.array([1], np.int64)), keepdims=1)
    weights = e.node("Div", found, total)
    return weights if inner == dtype else e.node("Cast", weights, to=dtype)


def _whole(e: Emitter, n: int) -> str:
    return e.constant(np.array(n, np.int64))


def _size(e: Emitter, x: str, axis: int) -> str:
    return e.node("Squeeze", emit_sizes(e, x, start=axis, end=axis + 1))


def _odd_numbers(e: Emitter, count: str, dim: Dim) -> str:
    listed = e.node("Range", _whole(e, 1), e.node("Mul", count, _whole(e, 2)), _whole(e, 2))
    return e.typed(listed, Type("int64", (dim,)))


def _number(e: Emitter, n: float, dtype: str) -> str:
    return e.constant(np.array(n, dtype))


def _triangle(e: Emitter, d: str, dtype: str) -> str:
    return e.node("Max", e.node("Sub", _number(e, 1, dtype), d), _number(e, 0, dtype))


def _keys(e: Emitter, d: str, dtype: str) -> str:
    near = _polynomial(e, d, dtype, (1.5, -2.5, 0.0, 1.0))
    far = _polynomial(e, d, dtype, (-0.5, 2.5, -4.0, 2.0))
    beyond = e.node("Where", e.node("Less", d, _number(e, 2, dtype)), far, _number(e, 0, dtype))
    return e.node("Where", e.node("Less", d, _number(e, 1, dtype)), near, beyond)


def _lanczos(radius: int) -> Kernel:
    def kernel(e: Emitter, d: str, dtype: str) -> str:
        def sinc(x: str) -> str:
            # So near to zero it is one.
            turn = e.node("Mul", e.node("Max", x, _number(e, 1e-9, dtype)), _number(e, np.pi, dtype))
            return e.node("Div", e.node("Sin", turn), turn)

        inside = e.node("Less", d, _number(e, radius, dtype))
        product = e.node("Mul", sinc(d), sinc(e.node("Div", d, _number(e, radius, dtype))))
        return e.node("Where", inside, product, _number(e, 0, dtype))

    return kernel


_KERNELS: dict[str, Kernel] = {
    "bilinear": _triangle,
    "bicubic": _keys,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}


def _polynomial(e: Emitter, x: str, dtype: str, coefficients: tuple[float, ...]) -> str:
    """Writes a polynomial by Horner's rule, the highest power first."""
    first, *rest = (_number(e, c, dtype) for c in coefficients)
    found = first
    for coefficient in rest:
        found = e.node("Add", e.node("Mul", found, x), coefficient)
    return found
