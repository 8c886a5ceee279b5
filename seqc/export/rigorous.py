"""How far outputs of a file can be from the truth at most: a forward error analysis, for some inputs.

Every value x of the graph carries a bound e: |computed - x| <= e, for any computation in which sums are added in any
order, with or without fused multiplication and addition, and each operation rounds to the nearest number of the file's
precision, u = eps / 2. A sum of n products is then off by at most g(n) sum |a_i b_i|, g(n) = n u / (1 - n u) (Higham,
Accuracy and Stability of Numerical Algorithms, 2nd edition, section 3.1 and lemma 8.4), whatever the numbers are.

The bounds hold for onnxruntime's operators of products, sums, pools and pieces of straight lines, which compute no more
than that. Of tanh, exp and their kin no author says how far they are off: there the analysis ends, and the bound is of
what goes into them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from seqc.export.activations.forms import HardSigmoid, PRelu
from seqc.export.images.conv import OnnxConv, OnnxConvTranspose
from seqc.export.images.pool import OnnxAveragePool, OnnxMaxPool
from seqc.export.report import OutputCheck
from seqc.export.rewritten import wide
from seqc.export.splitting import Split
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Constant, Graph, Item, Op, Value
from seqc.ops.arithmetic import Abs, Add, Clip, Div, Max, Min, Mul, Neg, Sub
from seqc.ops.elementwise import Cast, Identity
from seqc.ops.gather import Gather
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.nonlinear import LeakyRelu, Relu, Sigmoid
from seqc.ops.normalization import BatchNormalization
from seqc.ops.padding import Pad
from seqc.ops.reduce import LogSoftmax, ReduceMax, ReduceMean, ReduceMin, ReduceSum, Softmax
from seqc.ops.shape import BroadcastLike, Repeat, Reshape, Squeeze, Transpose, Unsqueeze
from seqc.ops.slicing import Concat, Slice
from seqc.ops.transcendental import Tanh
from seqc.passes.precision import promote_floats
from seqc.sure import of_kind

# Roundings that a sum may have beside those of its terms: of a bias, and of what a runtime folds into the weights.
SPARE = 8
# A bound of more than this share of the largest number says nothing that anybody wants to know.
USEFUL = 1e-3
# What double precision itself may lose in these bounds, which are sums of positive numbers.
SLACK = 1 + 1e-6


@dataclass(frozen=True)
class Near:
    """Numbers in double precision, and how far a computation may be from each; zero where it is exact."""

    x: Array
    e: Array

    @property
    def most(self) -> Array:
        """The largest size that a computed number may have."""
        return np.abs(self.x) + self.e


@dataclass(frozen=True)
class Bound:
    """How far an output can be off at most; or, with the name of an activation, what goes into that, at its end."""

    most: float
    into: str = ""


@dataclass(frozen=True)
class Precision:
    """u: half a place of one, the most that rounding to the nearest is off. tiny: the smallest number there is."""

    u: float
    tiny: float

    @classmethod
    def of(cls, dtype: str) -> Precision:
        info = np.finfo(dtype)
        return cls(float(info.eps) / 2, float(info.smallest_subnormal))

    def many(self, n: int) -> float:
        """What `n` roundings come to at most, as a share."""
        return n * self.u / (1 - n * self.u)

    def rounded(self, x: Array, e: Array, n: int = 1) -> Array:
        """The bound of a result x, of which the operands explain e, after n roundings of the result."""
        return e + self.many(n) * (np.abs(x) + e) + n * self.tiny


Rule = Callable[[Op, Array, Precision, Sequence[Near]], Array]


def with_bounds(
    checks: Sequence[OutputCheck], before: Graph, after: Graph, drawn: Sequence[Sequence[Array]]
) -> tuple[OutputCheck, ...]:
    """Returns checks of outputs with what they can be off at most, where something useful is known of all inputs.

    Args:
        before: the graph, before any pass. after: the graph as the file has it. drawn: inputs that were compared.
    """
    analysis, found = Analysis(before, after), list[Sequence[Bound | None]]()
    for inputs in sorted(drawn, key=lambda arrays: sum(a.size for a in arrays)):
        found.append(analysis.bounds(inputs))
        if not any(found[-1]):
            break  # of a deep model nothing is known, and larger inputs take long
    return tuple(_bounded(check, [bounds[i] for bounds in found]) for i, check in enumerate(checks))


def _bounded(check: OutputCheck, bounds: Sequence[Bound | None]) -> OutputCheck:
    known = [bound for bound in bounds if bound is not None]
    # What went wrong, perhaps on other inputs, is told with its own figures.
    if len(known) < len(bounds) or not check.passed:
        return check
    return replace(check, most=max(bound.most for bound in known), into=known[0].into)


class Analysis:
    """What can be said of a graph's outputs, for any inputs that are given.

    Args:
        before: the graph, before any pass. after: the graph as the file has it; both take the same inputs.
    """

    def __init__(self, before: Graph, after: Graph) -> None:
        before, after = promote_floats(before), promote_floats(after)
        theirs, ours = (list(map(_end, g.outputs)) for g in (before, after))
        # What goes into an activation is compared where both have the same one.
        pairs = [(b, a) if b[1] == a[1] else ((y, ""), (z, "")) for b, a, y, z in
                 zip(theirs, ours, before.outputs, after.outputs, strict=True)]  # fmt: skip
        self._before = Interpreter(Graph(before.inputs, tuple(b for (b, _), _ in pairs), before.output_names))
        self._after = Graph(after.inputs, tuple(a for _, (a, _) in pairs), after.output_names)
        self._into = [name for (_, name), _ in pairs]

    def bounds(self, inputs: Sequence[Array]) -> list[Bound | None]:
        """Returns for each output how far a file in float32 can be from `before` in double precision at most.

        None where nothing useful is known.
        """
        truths = self._before.run([wide(a) for a in inputs])
        return [
            _bound(near, np.asarray(t), into)
            for near, t, into in zip(_propagated(self._after, inputs), truths, self._into, strict=True)
        ]


def _bound(near: Near | None, truth: Array, into: str) -> Bound | None:
    if near is None or near.x.shape != truth.shape or truth.dtype.kind != "f" or not truth.size:
        return None
    most = float((near.e * SLACK + np.abs(near.x - truth)).max())
    return Bound(most, into) if most <= USEFUL * float(np.abs(truth).max()) else None


def _propagated(graph: Graph, inputs: Sequence[Array]) -> list[Near | None]:
    """Returns the outputs of a graph in double precision with their bounds, None where nothing is known."""
    precision = Precision.of("float32")
    known: dict[Value, Any] = dict(zip(graph.inputs, map(_exact, inputs), strict=True))
    order = graph.walk()
    last = {x: value for value in order for x in value.inputs}
    kept = set(graph.outputs)
    with np.errstate(all="ignore"):
        for value in order:
            if value not in known:
                known[value] = _applied(value, [known[x] for x in value.inputs], precision)
            for x in set(value.inputs):
                if last[x] is value and x not in kept:
                    del known[x]
    return [known[y] if isinstance(known[y], Near) else None for y in graph.outputs]


def _end(y: Value) -> tuple[Value, str]:
    """Returns an output, or what goes into the activation that it is of, and the name of that."""
    value = y
    while isinstance(value.op, Identity | Reshape | Transpose | Squeeze | Unsqueeze):
        value = value.inputs[0]
    if len(value.inputs) == 1 and isinstance(value.op, _ENDS):
        return value.inputs[0], value.op.name
    return y, ""


def _applied(value: Value, operands: Sequence[Any], precision: Precision) -> Any:
    """Returns the result of an operation, None where nobody knows how far it is off."""
    op = value.op
    if isinstance(op, Constant):
        return _exact(op.array)
    if any(o is None for o in operands):
        return None
    if isinstance(op, Item):
        return operands[0][op.index]
    x = op.eval(*(o.x for o in operands))
    if isinstance(x, tuple):
        if not isinstance(op, Split):
            return None
        return tuple(map(Near, x, op.eval(*(o.e if o.x.dtype.kind == "f" else o.x for o in operands))))
    x = np.asarray(x)
    if all(not np.any(o.e) for o in operands) and x.dtype.kind != "f":
        return _exact(x)
    rule = _RULES.get(type(op))
    if rule is None:
        return None
    e = np.abs(rule(op, x, precision, operands))
    return Near(x, np.broadcast_to(e, x.shape)) if np.isfinite(e).all() and np.isfinite(x).all() else None


def _exact(array: Array) -> Near:
    array = np.asarray(array)
    wide = array.astype(np.float64) if array.dtype.kind == "f" else array
    return Near(wide, np.zeros(wide.shape))


def _product(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """A sum of products, and a bias: op(|a|, |b|, |c|) is what their sizes add up to."""
    a, b, *rest = operands
    n = _terms(op, a, b) + SPARE
    g = p.many(n)
    own = a.e + g * a.most
    bias = [c.e + g * c.most for c in rest]
    e = op.eval(own, b.most, *bias)
    if np.any(b.e):
        e = e + op.eval(np.abs(a.x), b.e, *(np.zeros_like(c.x) for c in rest))
    return np.asarray(e + n * p.tiny)


def _terms(op: Op, a: Near, b: Near) -> int:
    """How many products are added up for one number, at most."""
    if isinstance(op, OnnxConv):
        return prod(b.x.shape[1:])
    if isinstance(op, OnnxConvTranspose):
        return int(b.x.size // b.x.shape[1])
    terms: int = a.x.shape[-1]
    return terms


def _sum(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """A sum or a mean: linear, and growing with each of its terms."""
    (a,) = operands
    n = (prod(op.op.size) if isinstance(op, OnnxAveragePool) else a.x.size // max(1, x.size)) + SPARE
    return np.asarray(op.eval(a.e + p.many(n) * a.most) + n * p.tiny)


def _moved(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """What only moves numbers moves their bounds; whole numbers among the operands say where to."""
    return np.asarray(op.eval(*(o.e if o.x.dtype.kind == "f" else o.x for o in operands)))


def _same(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """Results are no further apart than operands."""
    return operands[0].e


def _rectified(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """Zero where no number that may come in is positive."""
    (a,) = operands
    return np.asarray(np.where(a.x > 0, a.e, np.maximum(a.x + a.e * SLACK, 0.0)))


def _limited(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """Limits may be rounded in the file."""
    op = of_kind(op, Clip)
    e = _rectified(op, x, p, operands) if op.low == 0 else operands[0].e
    return e + max(abs(float(np.float32(n)) - n) for n in (op.low, op.high, 0.0) if np.isfinite(n))


def _largest(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    return np.maximum(operands[0].e, operands[1].e)


def _reduced(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """The largest or smallest of some numbers is off by as much as the worst of them."""
    worst = ReduceMax(op.axes, op.keepdims) if isinstance(op, ReduceMin) else op
    return np.asarray(worst.eval(operands[0].e))


def _added(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    a, b = operands
    return p.rounded(x, a.e + b.e)


def _multiplied(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    a, b = operands
    return p.rounded(x, a.e * np.abs(b.x) + a.most * b.e)


def _divided(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    a, b = operands
    least = np.abs(b.x) - b.e
    e = np.where(least > 0, (a.e + np.abs(x) * b.e) / np.where(least > 0, least, 1), np.inf)
    return p.rounded(x, e, 2)  # by a constant, a runtime may multiply with its rounded inverse


def _slopes(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """A line with a bend at zero: between two numbers it is no steeper than its steeper half."""
    a = operands[0]
    op = of_kind(op, LeakyRelu, PRelu)
    slope = np.abs(operands[1].x if isinstance(op, PRelu) else np.float64(op.alpha))
    return p.rounded(x, a.e * np.maximum(1.0, slope), 2)


def _hard(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    (a,) = operands
    op = of_kind(op, HardSigmoid)
    steep, limits = abs(op.alpha), np.abs(np.subtract(op.limits, (0.0, 1.0))).max()
    return np.asarray(steep * a.e + p.many(SPARE) * (steep * a.most + abs(op.beta)) + SPARE * p.tiny + limits)


def _normalized(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """Of x f + (offset - mean f), f = scale / sqrt(variance + epsilon), or (x - mean) f + offset; statistics exact."""
    a, scale, offset, mean, variance = operands
    op = of_kind(op, BatchNormalization)
    if any(np.any(o.e) for o in (scale, offset, mean, variance)):
        return np.full(x.shape, np.inf)
    shape = [-1 if i == op.axis else 1 for i in range(x.ndim)]
    f, m, b = (np.abs(v).reshape(shape) for v in (scale.x / np.sqrt(variance.x + op.epsilon), mean.x, offset.x))
    return np.asarray(f * a.e + p.many(SPARE) * (f * (a.most + m) + b) + SPARE * p.tiny)


def _cast(op: Op, x: Array, p: Precision, operands: Sequence[Near]) -> Array:
    """Of numbers that may be too large, or of more places than the file's precision has: doubles and whole numbers."""
    (a,) = operands
    if x.dtype.kind != "f":
        return np.full(x.shape, np.inf)
    return np.asarray(p.rounded(x, a.e))


_RULES: Mapping[type[Op], Rule] = {
    **dict.fromkeys((MatMul, Gemm, OnnxConv, OnnxConvTranspose), _product),
    **dict.fromkeys((ReduceSum, ReduceMean, OnnxAveragePool), _sum),
    **dict.fromkeys((Concat, Gather, OnnxMaxPool, Repeat, Reshape, Slice, Squeeze, Transpose, Unsqueeze), _moved),
    **dict.fromkeys((BroadcastLike, Pad), _moved),
    **dict.fromkeys((Abs, Identity, Neg), _same),
    Relu: _rectified,
    Clip: _limited,
    **dict.fromkeys((Max, Min), _largest),
    **dict.fromkeys((ReduceMax, ReduceMin), _reduced),
    **dict.fromkeys((Add, Sub), _added),
    Mul: _multiplied,
    Div: _divided,
    **dict.fromkeys((LeakyRelu, PRelu), _slopes),
    HardSigmoid: _hard,
    BatchNormalization: _normalized,
    Cast: _cast,
}
# Activations at the end of a model, before which a bound says something, too.
_ENDS = (Softmax, LogSoftmax, Sigmoid, Tanh)
