"""Half precision on machines that compute in single precision.

A graph may hold float16 and bfloat16, as a dtype policy such as "mixed_float16" makes them. No processor that NumPy
runs on multiplies matrices of these, and operation by operation NumPy is hundreds of times slower at them than at
float32. So such a graph is run as XLA runs it on processors, by default with `xla_allow_excess_precision`: everything
between two conversions is computed in float32, and the conversions round. Inputs, weights and results keep their types.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.graph.element_types import HALVES
from seqc.graph.ir import Array, Constant, Emitter, Graph, Input, Op, Type, Value, build
from seqc.ops.elementwise import Cast, Elementwise, Equal, cast
from seqc.sure import of_kind


@dataclass(frozen=True, repr=False, eq=False)
class RoundTo(Elementwise):
    """Rounds float32 to the nearest number of half precision, infinity beyond the largest, and keeps it in float32."""

    dtype_name: str

    def infer(self, x: Type) -> Type:
        return x

    def eval(self, x: Array) -> Array:
        if self.dtype_name == "float16" and x.dtype == np.float32:
            return rounded_to_float16(x)
        with np.errstate(over="ignore"):
            return x.astype(self.dtype_name).astype(x.dtype)

    def lower(self, e: Emitter, y: Value, x: str) -> str:
        return e.node("Cast", e.node("Cast", x, to=self.dtype_name), to=y.dtype)


def rounded_to_float16(x: Array) -> Array:
    """Returns float32 rounded to the nearest numbers of float16, ties to even.

    The same as converting there and back, which NumPy does number by number: this takes a fifth of its time.
    """
    x = np.asarray(x)
    bits = x.view(np.uint32)
    # 13 bits fewer; a carry raises the exponent, as it should.
    kept = bits >> np.uint32(13)
    kept &= np.uint32(1)
    kept += np.uint32(0xFFF)
    kept += bits
    kept &= np.uint32(0xFFFFE000)
    y: Array = np.asarray(kept).view(np.float32)
    size = np.abs(x)
    # Below the smallest normal number steps stay as they are there: those of float32 from 0.5 to 1.
    small = size < np.float32(2**-14)
    if small.any():
        y[small] = np.copysign((x[small] + np.float32(0.75)) - np.float32(0.75), x[small])
    beyond = ~(size < np.float32(65520))
    if beyond.any():
        y[beyond] = np.where(np.isnan(x[beyond]), np.float32(np.nan), np.copysign(np.float32(np.inf), x[beyond]))
    return y


def has_halves(graph: Graph) -> bool:
    """Tells whether any value of a graph is of half precision."""
    return any(is_half(v) for v in (*graph.inputs, *graph.walk()))


def is_half(value: Value) -> bool:
    """Tells whether a value, or one result of several, is of half precision."""
    results = value.result if isinstance(value.result, tuple) else (value.result,)
    return any(t.dtype in HALVES for t in results)


def compute_halves_in_single(graph: Graph) -> Graph:
    """Returns a graph that computes in float32 what another computes in half precision; see the module."""
    if not has_halves(graph):
        return graph
    done = _rewritten(graph, True, {x: cast(x, "float32") if is_half(x) else x for x in graph.inputs})
    outputs = tuple(cast(done[y], y.dtype) if is_half(y) else done[y] for y in graph.outputs)
    return Graph(graph.inputs, outputs, graph.output_names)


def forget_halves(graph: Graph) -> Graph:
    """Returns a graph that computes in float32, without rounding, what another computes in half precision.

    For files, which any runtime is to run. Inputs and outputs of float16 stay what they are; those of bfloat16, which
    NumPy and with it most runtimes cannot hand over, become float32. What is compared for equality stays rounded: a
    number that half precision does not hold, such as the -9999 of a mask, equals what it was given as only then.
    """
    if not has_halves(graph):
        return graph
    inputs = tuple(build(_bordering(x.op), (), x.scope) if is_half(x) else x for x in graph.inputs)
    starts = {old: cast(new, "float32") if is_half(old) else new for old, new in zip(graph.inputs, inputs, strict=True)}
    done = _rewritten(graph, False, starts)
    outputs = tuple(cast(done[y], y.dtype) if y.dtype == "float16" else done[y] for y in graph.outputs)
    return Graph(inputs, outputs, graph.output_names)


def _bordering(op: Op) -> Op:
    given = of_kind(op, Input)
    return Input(given.label, "float32", given.shape) if given.dtype == "bfloat16" else op


def _rewritten(graph: Graph, rounding: bool, done: dict[Value, Value]) -> dict[Value, Value]:
    """Returns what stands for each value of a graph, given what stands for its inputs."""
    for old in graph.walk():
        if old not in done:
            done[old] = _single(old, tuple(done[x] for x in old.inputs), rounding)
    return done


def _single(old: Value, inputs: tuple[Value, ...], rounding: bool) -> Value:
    """Returns a value on operands of float32 where there were halves."""
    op = old.op
    if isinstance(op, Cast):
        source = old.inputs[0].dtype
        half = op.dtype if op.dtype in HALVES else source if source in HALVES else None
        if half is not None:
            wide = cast(inputs[0], "float32") if op.dtype in HALVES else inputs[0]
            rounded = _rounded(wide, half) if rounding else wide
            return rounded if op.dtype in HALVES else cast(rounded, op.dtype)
    if isinstance(op, Equal) and not rounding:
        inputs = tuple(_as_converted(*pair) for pair in zip(old.inputs, inputs, strict=True))
    same = all(a is b for a, b in zip(inputs, old.inputs, strict=True))
    changed = in_single(op, rounding)
    return old if same and changed is op else build(changed, inputs, old.scope)


def _as_converted(old: Value, new: Value) -> Value:
    """Returns a value rounded if it holds nothing but numbers that were converted to half precision."""
    source = old
    while source.op.kind in ("view", "move") and source.inputs and not isinstance(source.op, Cast):
        source = source.inputs[0]
    converted = isinstance(source.op, Cast | Input) and old.dtype in HALVES and source.dtype in HALVES
    return _rounded(new, old.dtype) if converted else new


def _rounded(x: Value, half: str) -> Value:
    rounded_before = isinstance(x.op, RoundTo) and x.op.dtype_name == half
    widened = isinstance(x.op, Cast) and x.inputs[0].dtype == half
    return x if rounded_before or widened else build(RoundTo(half), (x,), x.scope)


def in_single(op: Op, rounding: bool) -> Op:
    """Returns an operation with float32 in the place of half precision, in its attributes and in graphs inside it."""
    if isinstance(op, Constant):
        half = op.array.dtype.name in HALVES
        return Constant(op.array.astype(np.float32), op.label) if half else op
    if isinstance(op, Input):
        return Input(op.label, "float32", op.shape) if op.dtype in HALVES else op
    fields = {f.name: getattr(op, f.name) for f in dataclasses.fields(op)}
    changed: dict[str, Any] = {
        name: _inside(value, rounding) for name, value in fields.items() if isinstance(value, Op | Graph)
    }
    if fields.get("dtype") in HALVES:
        changed["dtype"] = "float32"
    kept = all(changed[name] is fields[name] for name in changed)
    return op if kept else dataclasses.replace(op, **changed)


def _inside(value: Op | Graph, rounding: bool) -> Op | Graph:
    if isinstance(value, Op):
        return in_single(value, rounding)
    if not has_halves(value):
        return value
    starts = {x: build(in_single(x.op, rounding), (), x.scope) for x in value.inputs}
    done = _rewritten(value, rounding, dict(starts))
    inputs = tuple(starts[x] for x in value.inputs)
    return Graph(inputs, tuple(done[y] for y in value.outputs), value.output_names)
