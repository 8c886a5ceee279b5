"""Checking the passes: NumPy on the graph before them against NumPy on the graph after them, both in double precision.

The two differ only by the rounding of the numbers that passes compute for the file. That is so little that mistakes
show in models whose outputs hardly move: a millionth part of a place of single precision is enough.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from seqc.export.compare import ERROR_FACTOR, compare_arrays, distance, scale_of
from seqc.export.noise import with_rounded_weights
from seqc.export.pipelines import FOR_INFERENCE
from seqc.export.report import Fault, OutputCheck
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Constant, Graph, Value
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.passes.pipeline import run_passes
from seqc.passes.precision import promote_floats

# Roundings of the largest number that double precision itself may lose.
PLACES = 256.0
# How often rounding errors are drawn, before something counts as more than they are: of a single weight, one of them
# may take away what another one adds.
DRAWS = 6
WHERE = "after the rewriting for ONNX than before it"


Truth = Callable[[Sequence[Array]], list[Array]]


def check_passes(
    before: Graph, after: Graph, samples: Sequence[Sequence[Array]], truth: Truth | None = None
) -> Fault | None:
    """Returns the first output that the passes have changed, by name; `truth` runs `before` in double precision."""
    run, rewritten = truth or Interpreter(promote_floats(before)).run, Interpreter(promote_floats(after))
    for inputs in samples:
        arrays = [wide(a) for a in inputs]
        exact = [np.asarray(y) for y in run(inputs if truth else arrays)]
        got = [np.asarray(y) for y in rewritten.run(arrays)]
        moved: list[Array] = exact
        checks = _checks(before.output_names, got, exact, moved)
        for seed in range(DRAWS):
            if all(c.passed for c in checks):
                break
            moved = [np.asarray(y) for y in Interpreter(with_rounded_weights(before, after, seed)).run(arrays)]
            checks = _checks(before.output_names, got, exact, moved)
        for check in checks:
            if not check.passed:
                return Fault(f"Output '{check.name}'", check, WHERE)
    return None


def _checks(
    names: Sequence[str], got: Sequence[Array], exact: Sequence[Array], moved: Sequence[Array]
) -> list[OutputCheck]:
    """Compares outputs; `moved` are those of the graph with rounding errors in its weights."""
    found = []
    for name, g, t, m in zip(names, got, exact, moved, strict=True):
        budget = PLACES * float(np.finfo(np.float64).eps) * scale_of(t, m) if t.dtype.kind == "f" else 0.0
        check = OutputCheck(name, budget=budget + ERROR_FACTOR * distance(m, t))
        found.append(compare_arrays(check, g, t, m))
    return found


def first_rewritten(
    before: Graph, target: Target, boundaries: Sequence[Value], samples: Sequence[Sequence[Array]]
) -> Fault | None:
    """Returns the first of some values that the passes for a target change when it is an output."""
    for value in boundaries:
        part = Graph(before.inputs, (value,), ("output",))
        fault = check_passes(part, run_passes(part, FOR_INFERENCE, target), samples)
        if fault is not None:
            who = f"Layer '{value.scope}'" if value.scope else f"{value.op!r}"
            return dataclasses.replace(fault, who=who)
    return None


def with_lively_weights(graph: Graph, seed: int) -> Graph:
    """Returns the graph with other weights, of which outputs depend on inputs: none zero, none saturating.

    Weights that are nowhere negative, such as variances, stay positive; vectors of zeros may be variances, too.
    """
    rng = np.random.default_rng(seed)

    def lively(_: Value, value: Value) -> Value | None:
        op = value.op
        if not isinstance(op, Constant) or not op.label or not value.type.is_float:
            return None
        array = op.array
        if np.all(array >= 0) and (np.any(array) or array.ndim < 2):
            drawn = rng.uniform(0.5, 1.5, array.shape)
        else:
            drawn = rng.normal(size=array.shape) / np.sqrt(
                max(1, array.size // max(1, array.shape[-1] if array.ndim else 1))
            )
        return Value(Constant(drawn.astype(array.dtype), op.label), (), value.result, value.scope)

    return rewrite(graph, lively)


def wide(array: Array) -> Array:
    """Returns floats in double precision, other numbers as they are."""
    return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array
