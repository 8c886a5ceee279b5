"""The same graph with rounding errors put in by hand: what a model makes of errors that are right to make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from seqc.graph.ir import Array, Constant, Graph, Input, Item, Op, Type, Value, build
from seqc.ops._gates import disturbed_gates
from seqc.ops.arithmetic import Add, Div, Mul, Sub
from seqc.ops.conv import Conv, ConvTranspose
from seqc.ops.elementwise import Cast
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.normalization import BatchNormalization
from seqc.ops.resize import disturbed_places
from seqc.ops.slicing import Concat
from seqc.passes.precision import promoted, promoted_constant

_ARITHMETIC = Add | Sub | Mul | Div
_WEIGHTED = Conv | ConvTranspose | Gemm | MatMul
# What may go into the weights of products.
_AFFINE = _ARITHMETIC | BatchNormalization | Cast | Concat
# The kind of an operation, the name of a number that it has, and the number.
_Attribute = tuple[type[Op], str, float]


@dataclass(frozen=True, eq=False)
class Noise:
    """Draws rounding errors of a float type, of a random sign each."""

    dtype: str
    rng: np.random.Generator

    @property
    def eps(self) -> float:
        return float(np.finfo(self.dtype).eps)

    def __call__(self, y: Array, places: float) -> Array:
        """Returns numbers off by one rounding and by `places` last places of one.

        Numbers that the float type holds exactly are left alone where no such places are lost, zeros and whole numbers
        for instance: computing them takes no rounding, and a comparison may depend on them.
        """
        if places:
            return self.everywhere(y) + places * self.eps * self._signs(y.shape)
        with np.errstate(all="ignore"):
            exact = y.astype(self.dtype) == y if self.dtype != y.dtype.name else np.zeros(y.shape, bool)
            return np.asarray(np.where(exact, y, self.everywhere(y)))

    def everywhere(self, y: Array) -> Array:
        """Returns numbers off by one rounding, exact ones too."""
        return y * (1 + self.eps * self._signs(y.shape))

    def gate(self, y: Array) -> Array:
        """Disturbs what an activation of a recurrent cell gives, which onnxruntime computes to a place of one."""
        return self(y, 1.0)

    def place(self, at: Array) -> Array:
        """Disturbs places among the middles of elements, which are computed from the edge in single precision."""
        return self.everywhere(at + 0.5) - 0.5

    def _signs(self, shape: Sequence[int]) -> Array:
        return self.rng.integers(0, 2, shape, np.int8) * np.int8(2) - np.int8(1)


@dataclass(frozen=True, repr=False, eq=False)
class Disturbed(Op):
    """An operation with rounding errors in its results."""

    op: Op
    noise: Noise

    def infer(self, *types: Any) -> Any:
        return self.op.infer(*types)

    def eval(self, *arrays: Any) -> Any:
        with disturbed_gates(self.noise.gate), disturbed_places(self.noise.place):
            results = self.op.eval(*arrays)
        return tuple(map(self._with_errors, results)) if isinstance(results, tuple) else self._with_errors(results)

    @property
    def strings(self) -> bool:  # type: ignore[override]
        """Whether the operation takes strings, as one that shows its operand does."""
        return self.op.strings or self.op.kind == "view"

    def _with_errors(self, y: Any) -> Array:
        array = np.asarray(y)
        floating = np.issubdtype(array.dtype, np.floating)
        return self.noise(array, self.op.places_of_one()) if floating else array


def disturbed(value: Value, rng: np.random.Generator) -> Disturbed:
    """Returns a value's operation in double precision with the rounding errors of its own, in steps inside as well."""
    op = promoted(value.op)
    inner = {name: with_rounding(part, rng) for name, part in _parts(value.op)}
    op = replace(op, **inner) if inner else op
    return Disturbed(op, Noise(float_type(value), rng))


def with_rounding(graph: Graph, rng: np.random.Generator) -> Graph:
    """Returns the graph in double precision with the rounding errors of its own precision in every result."""
    done: dict[Value, Value] = {}
    for old in graph.walk():
        known = promoted_constant(old)
        if known is None:
            op = promoted(old.op) if isinstance(old.op, Input | Constant | Item) else disturbed(old, rng)
            known = build(op, tuple(done[x] for x in old.inputs), old.scope)
        done[old] = known
    return _rebuilt(graph, done)


def with_rounded_weights(graph: Graph, after: Graph, seed: int) -> Graph:
    """Returns the graph in double precision with rounding errors in its weights, and in what follows from them alone.

    Those are the numbers that passes compute and a file holds. Attributes are among them, such as an epsilon: what an
    operation is made of has them as constants. Weights and attributes that the graph after the passes has as they are
    stay exact. A single number that a product with weights is shifted or scaled by may be put into each number of its
    bias: it is rounded in each.
    """
    kept = {v.op for v in after.walk() if isinstance(v.op, Constant)}
    said = {number for op in _operations(after) for number in _attributes(op)}
    compared = {x for v in graph.walk() if not isinstance(v.op, _ARITHMETIC) for x in v.inputs}
    counted, still, products = _counted_with(graph), _counted_with(after), _products(graph)
    rng = np.random.default_rng(seed)
    done: dict[Value, Value] = {}
    known: set[Value] = set()
    for old in graph.walk():
        op, inputs = promoted(old.op), tuple(done[x] for x in old.inputs)
        if isinstance(op, Constant):
            known.add(old)
            # A single number without a name may be what something is compared with, unless it is counted with.
            if old.type.is_float and old.op not in kept and (op.label or op.array.size > 1 or old not in compared):
                op = Constant(Noise(float_type(old), rng).everywhere(op.array), op.label)
        elif old.inputs and all(x in known for x in old.inputs) and not isinstance(op, Item):
            known.add(old)
            op = disturbed(old, rng)
        else:
            noise = Noise(float_type(old), rng)
            op = _with_rounded_attributes(op, said, noise)
            if isinstance(op, _ARITHMETIC) and any(x in products for x in old.inputs):
                inputs = tuple(
                    _rounded_in_each(x, old.type, noise) if still[x.op] < counted[x.op] else done[x] for x in old.inputs
                )
        done[old] = build(op, inputs, old.scope)
    return _rebuilt(graph, done)


def _products(graph: Graph) -> set[Value]:
    """Returns the products with weights, also shifted, scaled, joined or seen in another shape."""
    found: set[Value] = set()
    known: set[Value] = set()
    for v in graph.walk():
        rest = [x for x in v.inputs if x not in known]
        if not rest:
            known |= {v} if v.inputs or isinstance(v.op, Constant) else set()
        elif isinstance(v.op, _WEIGHTED):
            found |= {v} if len(rest) < len(v.inputs) else set()
        elif isinstance(v.op, _AFFINE) or v.op.kind == "view":
            found |= {v} if all(x in found for x in rest) else set()
    return found


def _counted_with(graph: Graph) -> Counter[Op]:
    """Returns how often arithmetic has each single number."""
    return Counter(
        x.op
        for v in graph.walk()
        if isinstance(v.op, _ARITHMETIC)
        for x in v.inputs
        if isinstance(x.op, Constant) and x.op.array.size == 1 and x.type.is_float
    )


def _rounded_in_each(number: Value, result: Type, noise: Noise) -> Value:
    """Returns a single number with a rounding error of its own for each element of the last axis of a result."""
    array = promoted(number.op).eval()
    if result.rank and isinstance(result.shape[-1], int):
        array = np.broadcast_to(array, (*array.shape[:-1], result.shape[-1]))
    return build(Constant(noise.everywhere(array)), (), number.scope)


def _with_rounded_attributes(op: Op, said: set[_Attribute], noise: Noise) -> Op:
    """Returns an operation with rounding errors in the numbers it has that its float type cannot hold."""
    changed: dict[str, Any] = {
        name: float(noise(np.asarray(number), 0.0))
        for kind, name, number in _attributes(op)
        if (kind, name, number) not in said
    }
    for name, part in _parts(op):
        done: dict[Value, Value] = {}
        for old in part.walk():
            inner = _with_rounded_attributes(old.op, said, noise)
            done[old] = build(inner, tuple(done[x] for x in old.inputs), old.scope)
        changed[name] = _rebuilt(part, done)
    return replace(op, **changed) if changed else op


def _operations(graph: Graph) -> Iterator[Op]:
    """Yields the operations of a graph, and those of graphs inside them."""
    for value in graph.walk():
        yield value.op
        for _, part in _parts(value.op):
            yield from _operations(part)


def _attributes(op: Op) -> Iterator[_Attribute]:
    for f in fields(op):
        if isinstance(number := getattr(op, f.name), float):
            yield type(op), f.name, number


def _parts(op: Op) -> Iterator[tuple[str, Graph]]:
    for f in fields(op):
        if isinstance(part := getattr(op, f.name), Graph):
            yield f.name, part


def float_type(value: Value) -> str:
    """Returns the float type that a value is computed in; float32 for values of other kinds."""
    results = value.result if isinstance(value.result, tuple) else (value.result,)
    return next((t.dtype for t in (*results, *(x.type for x in value.inputs if not isinstance(x.result, tuple)))
                 if t.is_float), "float32")  # fmt: skip


def _rebuilt(graph: Graph, done: dict[Value, Value]) -> Graph:
    inputs = tuple(done[x] if x in done else build(promoted(x.op), (), x.scope) for x in graph.inputs)
    return Graph(inputs, tuple(done[y] for y in graph.outputs), graph.output_names)
