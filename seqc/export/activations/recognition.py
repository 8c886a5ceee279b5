"""Activation functions that are written in parts, as the operators that ONNX has for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from seqc.export.activations.forms import GELU, GELU_TANH, Gelu, HardSigmoid, HardSwish
from seqc.export.activations.polynomials import Polynomial, base_of, polynomial, unscaled
from seqc.graph.ir import Graph, Op, Type, Value, build
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Clip, Mul
from seqc.ops.transcendental import Erf, Tanh
from seqc.passes._rewriting import count_uses

Found = tuple[Op, Value]


def recognize_activations(graph: Graph, target: Target) -> Graph:
    """Returns the graph with hard sigmoid, hard swish and gelu as one operation each.

    They are recognized whatever the order they are written in.

    Exactly: max(0, min(1, a x + b)) = hard_sigmoid(x), x * max(0, min(1, x / 6 + 1 / 2)) = hard_swish(x), and x *
    (erf(a x) + 1) / 2 = gelu(x), with tanh of a cubic likewise.

    With constants a, b, c, d, low and high:

    - c * clip(a x + b, low, high) + d is HardSigmoid(x; alpha = c a, beta = c b + d), where c low + d and c high + d
      are 0 and 1 in float32;
    - x * HardSigmoid(x; 1/6, 1/2) is HardSwish(x) (Howard et al., 2019);
    - x * (erf(x / sqrt 2) + 1) / 2 is Gelu(x) (Hendrycks and Gimpel, 2016);
    - x * (tanh(sqrt(2 / pi) * (x + 0.044715 x^3)) + 1) / 2 is its approximation, where the target has Gelu.

    Constants may be off by rounding, which the operations carry with them. Only in float32, which onnxruntime has these
    operators for; what something else reads too stays as it is.
    """
    uses = count_uses(graph)
    done: dict[Value, Value] = {}

    def rule(old: Value, new: Value) -> Value:
        found = _find(old, uses, target) if isinstance(old.result, Type) and old.dtype == "float32" else None
        done[old] = new if found is None else build(found[0], (done[found[1]],), old.scope)
        return done[old]

    return rewrite(graph, rule)


def _find(value: Value, uses: Mapping[Value, int], target: Target) -> Found | None:
    """Returns the activation function that ends in a value, and what it is applied to."""
    *_, (factor, product) = unscaled(value, uses)
    found = None
    if isinstance(product.op, Mul) and (product is value or uses[product] == 1):
        first, second = product.inputs
        found = _gated(first, second, factor, uses) or _gated(second, first, factor, uses)
    found = found or _hard_sigmoid(value, uses)
    if found is None or found[1].type != value.type:
        return None
    tanh = isinstance(found[0], Gelu) and found[0].approximate
    return None if tanh and not target.supports("Gelu", "approximate", dtype=value.dtype) else found


def _gated(scaled: Value, gate: Value, factor: float, uses: Mapping[Value, int]) -> Found | None:
    """Reads factor * scaled * gate, where `scaled` is a number times x and `gate` a function of x."""
    if uses[gate] != 1 or (read := _core(gate, uses)) is None:
        return None
    core, outer = read
    for more, x in unscaled(scaled, uses):
        if x is not scaled and uses[scaled] != 1:
            break
        inner, share = polynomial(core.inputs[0], x, uses), tuple(c * factor * more for c in outer)
        if inner is None or len(inner) == 1:
            continue
        if isinstance(core.op, Clip):
            op = _of_clip(core.op, share, inner)
            if op is not None and _near((op.alpha, op.beta), (1 / 6, 0.5)):
                return HardSwish(op.alpha, op.beta, op.limits), x
        elif share == (0.5, 0.5) and _near(inner, GELU if isinstance(core.op, Erf) else GELU_TANH):
            return Gelu(inner), x
    return None


def _hard_sigmoid(value: Value, uses: Mapping[Value, int]) -> Found | None:
    if (read := _core(value, uses)) is None:
        return None
    core, outer = read
    if not isinstance(core.op, Clip):
        return None
    x = base_of(core.inputs[0], uses) if uses[core.inputs[0]] == 1 else core.inputs[0]
    inner = polynomial(core.inputs[0], x, uses)
    if inner is None or (core is value and x is core.inputs[0]):  # a Clip alone is one operation
        return None
    op = _of_clip(core.op, outer, inner)
    return None if op is None else (op, x)


def _core(value: Value, uses: Mapping[Value, int]) -> tuple[Value, Polynomial] | None:
    """Returns the function that a value is computed of by numbers alone, and as which polynomial of it."""
    core = base_of(value, uses)
    if not isinstance(core.op, Clip | Erf | Tanh) or not (core is value or uses[core] == 1):
        return None
    outer = polynomial(value, core, uses)
    return None if outer is None or len(outer) != 2 else (core, outer)


def _of_clip(op: Clip, outer: Polynomial, inner: Polynomial) -> HardSigmoid | None:
    """Returns outer(clip(inner(x))) as a hard sigmoid."""
    d, c = outer
    low, high = sorted((c * op.low + d, c * op.high + d))
    # Not just about 0 and 1: a logarithm of 1e-7, a limit that keeps it finite, is none of 0.
    if len(inner) != 2 or sorted(_in_single(c, n, d) for n in (op.low, op.high)) != [0, 1]:
        return None
    return HardSigmoid(c * inner[1], c * inner[0] + d, (low, high))


def _in_single(c: float, x: float, d: float) -> float:
    """Returns c * x + d as single precision rounds it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.float32(c * x) + np.float32(d))


def _near(found: Sequence[float], wanted: Sequence[float]) -> bool:
    """Whether numbers are the same but for a rounding or two of float32."""
    pairs = zip(found, wanted, strict=True) if len(found) == len(wanted) else [(0.0, 1.0)]
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in pairs)
