"""Graphs run in exact arithmetic: numbers are fractions, functions that give none are symbols.

Every array of floats is one of `Exact`, which NumPy's functions compute with element by element, so that an
operation's own `eval` is what runs. An irrational function of a number is a fraction drawn by the function's name and
that number: the same whenever it is asked for, and related to nothing else. What two graphs give is equal if they are
equal as algebra, or not at all. A float that is as near to a fraction with a small denominator as rounding leaves it
stands for that fraction, 0.16666667 for 1/6: rounding of constants is not what is looked at.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from kit.graph_numbers import SIZES
from seqc.export.activations.forms import Gelu
from seqc.export.samples import draw_inputs
from seqc.graph import dims
from seqc.graph.ir import Array, Constant, Graph, Input, Op, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.ops._windows import Window
from seqc.ops.arithmetic import Div
from seqc.ops.conv import Conv, ConvInputGrad, ConvTranspose
from seqc.ops.elementwise import Cast, Elementwise
from seqc.ops.normalization import BatchNormalization
from seqc.ops.pool import AveragePool
from seqc.ops.random import Dropout
from seqc.ops.steps import Scan
from seqc.ops.transcendental import Erf


class Exact(Fraction):
    """A fraction that stays one: with a float it computes as with the fraction that the float is."""

    def __new__(cls, value: Any = 0, denominator: Any = None) -> Exact:
        made = super().__new__(cls, value, denominator)
        assert isinstance(made, Exact)
        return made

    def __getattr__(self, name: str) -> Any:
        """What NumPy calls on elements: exp, tanh and the like."""
        if name.startswith("_") or name not in FUNCTIONS:
            raise AttributeError(name)
        return lambda: symbol(name, self)

    def sqrt(self) -> Exact:
        """The root where it is a fraction, else a symbol."""
        if self >= 0:
            above, below = math.isqrt(self.numerator), math.isqrt(self.denominator)
            if above * above == self.numerator and below * below == self.denominator:
                return Exact(above, below)
        return symbol("sqrt", self)


# Denominators of fractions that a float may stand for, and how far it may be: two places of single precision; the
# square of that in double precision.
_DENOMINATOR, _ROUNDING = 720, Fraction(1, 2**22)
FUNCTIONS = ("exp", "exp2", "expm1", "log", "log1p", "log2", "tanh", "sin", "cos", "arctan", "sinh", "cosh")


def _closed(name: str) -> Callable[..., Any]:
    plain = getattr(Fraction, name)

    def operation(self: Exact, other: Any) -> Any:
        if isinstance(other, float | np.floating):
            if not math.isfinite(other):
                return getattr(float(self), name)(float(other))
            other = _fraction(other)
        elif isinstance(other, np.integer | np.bool_ | bool):
            other = Fraction(int(other))
        found = plain(self, other)
        return Exact(found) if isinstance(found, Fraction) else found

    return operation


for _name in ("add", "sub", "mul", "truediv"):
    setattr(Exact, f"__{_name}__", _closed(f"__{_name}__"))
    setattr(Exact, f"__r{_name}__", _closed(f"__r{_name}__"))


def _closed_alone(name: str) -> Callable[..., Any]:
    plain = getattr(Fraction, name)
    return lambda self: Exact(plain(self))


for _name in ("neg", "pos", "abs"):
    setattr(Exact, f"__{_name}__", _closed_alone(f"__{_name}__"))


def _power(self: Exact, exponent: Any) -> Exact:
    found = _fraction(exponent)
    return Exact(Fraction(self) ** int(found)) if found.denominator == 1 else symbol(f"power {found}", self)


Exact.__pow__ = _power  # type: ignore[method-assign, assignment]


def symbol(name: str, *numbers: Any) -> Exact:
    """Returns the fraction that stands for a function of some numbers."""
    text = f"{name}{[str(Fraction(n)) if not isinstance(n, float) else str(n) for n in numbers]}"
    drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    return Exact(drawn % 2003 + 1, 1009)


def _exact(array: Any) -> Any:
    """Makes an array of floats, or of a mixture, one of fractions."""
    if isinstance(array, tuple):
        return tuple(map(_exact, array))
    array = np.asarray(array)
    if array.dtype.kind != "f" and array.dtype != object:
        return array
    out = np.empty(array.shape, object)
    rounding = _ROUNDING**2 if array.dtype == np.float64 else _ROUNDING
    for at in np.ndindex(*array.shape):
        v = array[at]
        infinite = isinstance(v, float | np.floating) and not math.isfinite(v)
        out[at] = float(v) if infinite else v if isinstance(v, Exact) else Exact(_fraction(v, rounding))
    return out


def _fraction(v: Any, rounding: Fraction = _ROUNDING) -> Fraction:
    """Returns what a number stands for."""
    if isinstance(v, Fraction):
        return v
    if not isinstance(v, float | np.floating):
        return Fraction(int(v))
    near = Fraction(float(v)).limit_denominator(_DENOMINATOR)
    return near if abs(near - Fraction(float(v))) <= abs(near) * rounding else Fraction(float(v))


def run_exactly(graph: Graph, inputs: Sequence[Array]) -> list[Any]:
    """Returns the outputs of a graph for inputs of fractions (or of integers and booleans, as they are)."""
    known: dict[Value, Any] = dict(zip(graph.inputs, inputs, strict=True))
    for value in graph.walk():
        if isinstance(value.op, Input):
            continue
        if isinstance(value.op, Constant):
            known[value] = _exact(value.op.array)
            continue
        operands = [known[x] for x in value.inputs]
        try:
            known[value] = _exact(_evaluated(value, operands))
        except Exception as error:
            error.add_note(f"in exact arithmetic: {value.op!r} of {[str(x.result) for x in value.inputs]}")
            raise
    return [known[y] for y in graph.outputs]


def _evaluated(value: Value, operands: Sequence[Any]) -> Any:
    op = value.op
    for kind, function in OWN.items():
        if isinstance(op, kind):
            return function(value, *operands)
    mapped = hasattr(op, "operands") and hasattr(op, "op")  # channels first: the operation that it means, on moved axes
    try:
        return _channels_last(value, operands) if mapped else op.eval(*operands)
    except (TypeError, AttributeError, ValueError):
        if not isinstance(op, Elementwise) or not value.type.is_float:
            raise
        return _pointwise(op, operands)


def _pointwise(op: Op, operands: Sequence[Any]) -> Any:
    """An element-wise function that NumPy has no name for, as a symbol."""
    arrays = np.broadcast_arrays(*operands)
    out = np.empty(arrays[0].shape, object)
    for at in np.ndindex(*out.shape):
        out[at] = symbol(repr(op), *(a[at] for a in arrays))
    return out


def _channels_last(value: Value, operands: Sequence[Any]) -> Any:
    """What a channels-first form computes, as `seqc.export.images.form` says."""
    from seqc.export.images.form import _moved, _order_of

    op: Any = value.op
    moved = [_moved(axes, a) for axes, a in zip(op.operands, operands, strict=False)]
    inner = type("Inner", (), {"op": op.op, "type": value.type, "inputs": value.inputs})()
    for kind, function in OWN.items():
        if isinstance(op.op, kind):
            y = function(inner, *moved)
            break
    else:
        y = op.op.eval(*moved)
    return y.transpose(_order_of(op.result, y.ndim))


def _convolved(value: Any, x: Any, kernel: Any, bias: Any = None) -> Any:
    op: Conv = value.op
    window = op.window(kernel.shape)
    y = _slide(window, op.groups, x, kernel)
    return y if bias is None else y + bias


def _slide(window: Window, groups: int, x: Any, kernel: Any) -> Any:
    out = dims.known(window.out_sizes("Conv", x.shape[1:-1]))
    padded = window.padded(x)
    depth, width = kernel.shape[-2], kernel.shape[-1] // groups
    parts = []
    for g in range(groups):
        total: Any = 0
        for offset, cut in window.taps(out):
            rows = padded[cut][..., g * depth : (g + 1) * depth]
            total = total + np.dot(rows, kernel[offset][:, g * width : (g + 1) * width])
        parts.append(total)
    return np.concatenate(parts, -1)


def _spread(window: Window, groups: int, g: Any, kernel: Any, spatial: Sequence[int]) -> Any:
    """The gradient of a convolution with respect to its input: what each pixel of it was multiplied with."""
    pads = window.pads(tuple(spatial))
    sizes = [s + a + b for s, (a, b) in zip(spatial, pads, strict=True)]
    depth, width = kernel.shape[-2], kernel.shape[-1] // groups
    whole = np.full((g.shape[0], *sizes, depth * groups), Exact(0), object)
    for offset, cut in window.taps(g.shape[1:-1]):
        for i in range(groups):
            own = np.dot(g[..., i * width : (i + 1) * width], kernel[offset][:, i * width : (i + 1) * width].T)
            whole[cut][..., i * depth : (i + 1) * depth] += own
    return whole[window.inside(tuple(spatial))]


def _spread_to(value: Any, g: Any, kernel: Any, like: Any) -> Any:
    op: ConvInputGrad = value.op
    return _spread(op.window(kernel.shape), op.groups, g, kernel, like.shape[1:-1])


def _transposed(value: Any, x: Any, kernel: Any, bias: Any = None) -> Any:
    op: ConvTranspose = value.op
    window = op.window(kernel.shape)
    shape = op.infer(*(_type(a) for a in (x, kernel))).shape
    # In ConvTranspose the kernel's last axis but one are the channels that it makes, as those that Conv reads.
    y = _spread(window, op.groups, x, kernel, dims.known(shape[1:-1]))
    return y if bias is None else y + bias


def _type(a: Any) -> Any:
    from seqc.graph.ir import Type

    return Type("float64", a.shape)


def _averaged(value: Any, x: Any) -> Any:
    window = value.op.window
    out = dims.known(window.out_sizes("AveragePool", x.shape[1:-1]))
    ones = np.ones((1, *x.shape[1:-1], 1), np.int64)
    padded, real = window.padded(x), window.padded(ones)
    total: Any = sum(padded[cut] for _, cut in window.taps(out))
    counts = sum(real[cut] for _, cut in window.taps(out))
    return total / counts


def _cast(value: Any, x: Any) -> Any:
    return x if value.op.dtype.startswith(("float", "bfloat")) and x.dtype == object else x.astype(value.op.dtype)


def _divided(value: Any, a: Any, b: Any) -> Any:
    return np.true_divide(a, b) if object in (a.dtype, b.dtype) else value.op.eval(a, b)


def _erf(x: Any) -> Any:
    """Of twelve digits: the square root of two in Gelu is rounded when it is written, and when passes turn it over."""
    return np.frompyfunc(lambda v: symbol("erf", Fraction(f"{float(v):.11e}")), 1, 1)(x)


def _gelu(value: Any, x: Any) -> Any:
    u: Any = 0 * x
    for c in reversed(value.op.inner):
        u = u * x + Exact(_fraction(c))
    return x * ((np.tanh(u) if value.op.approximate else _erf(u)) + 1) / 2


def _scanned(value: Any, *arrays: Any) -> Any:
    """The steps of a Scan one after the other, as `Scan.eval` takes them."""
    op: Scan = value.op
    states, rest = list(arrays[: op.states]), arrays[op.states + op.sequences :]
    sequences = arrays[op.states : op.states + op.sequences]
    steps: list[list[Any]] = []
    for i in range(len(sequences[0])):
        t = -1 - i if op.reverse else i
        results = run_exactly(op.body, [*states, *(s[t] for s in sequences), *rest])
        states = results[: op.states]
        steps.append(results[op.states :])
    return *states, *(np.stack([step[k] for step in steps]) for k in range(len(steps[0])))


OWN: dict[type[Op], Callable[..., Any]] = {
    Div: _divided,
    Dropout: lambda value, x, kept: x,  # as in inference
    Erf: lambda value, x: _erf(x),
    Gelu: _gelu,
    Scan: _scanned,
    Conv: _convolved,
    ConvInputGrad: _spread_to,
    ConvTranspose: _transposed,
    AveragePool: _averaged,
    Cast: _cast,
}


def with_exact_weights(graph: Graph) -> Graph:
    """Returns the graph with weights whose sums, products, quotients and roots, as passes compute them, are exact.

    Powers of two, with either sign; of a BatchNormalization variances that give a square with its epsilon.
    """
    rng = np.random.default_rng(5)
    variances = {v.inputs[4] for v in graph.walk() if isinstance(v.op, BatchNormalization)}

    def rule(old: Value, new: Value) -> Value | None:
        op = new.op
        if isinstance(op, BatchNormalization):
            return build(BatchNormalization(op.axis, 0.125), new.inputs, new.scope)
        if isinstance(op, Gelu) and not op.approximate:
            return build(replace(op, inner=(0.0, 0.5)), new.inputs, new.scope)
        if not isinstance(op, Constant) or not new.type.is_float or (op.array.size == 1 and not op.label):
            return None
        power = rng.integers(-1, 2, op.array.shape)
        made = 4.0**power - 0.125 if old in variances else 2.0**power * np.where(op.array < 0, -1, 1)
        return constant(made.astype(op.array.dtype), op.label)

    return rewrite(graph, rule)


def exact_inputs(graph: Graph, seed: int = 2) -> list[Any]:
    """Returns inputs for a graph: fractions where it takes floats, with rows of zeros where they may be masked."""
    rng, found = np.random.default_rng(seed), []
    batch = 1 if any(x.type.rank > 3 for x in graph.inputs) else 2
    for drawn in draw_inputs(graph, SIZES | {"batch": batch, "time": 3, "height": 4, "width": 3}, seed):
        if drawn.dtype.kind != "f":
            found.append(drawn)
            continue
        out = np.empty(drawn.shape, object)
        for at in np.ndindex(*drawn.shape):
            out[at] = Exact(int(rng.integers(-9, 10)), int(rng.choice([1, 2, 3, 5, 7]))) if drawn[at] else Exact(0)
        found.append(out)
    return found


def assert_equal_exactly(before: Graph, after: Graph) -> None:
    """Fails where two graphs do not give the same fractions for two inputs each."""
    for seed in (2, 3):
        inputs = exact_inputs(before, seed)
        expected, given = ([np.asarray(y) for y in run_exactly(g, inputs)] for g in (before, after))
        for name, a, b in zip(before.output_names, expected, given, strict=True):
            assert a.shape == b.shape, name
            wrong = [at for at in np.ndindex(*a.shape) if a[at] != b[at]]
            assert not wrong, f"{name}: {len(wrong)} of {a.size} differ, first {a[wrong[0]]} and {b[wrong[0]]}"


def depends_on_inputs(graph: Graph) -> bool:
    """Whether some output differs between two inputs."""
    both = [run_exactly(graph, exact_inputs(graph, seed)) for seed in (2, 3)]
    return any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(*both, strict=True))
