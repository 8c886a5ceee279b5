"""Half precision for files: most of a graph in float16, what would lose too much in float32, and float32 at the ends.

Products and convolutions, which have nearly all the weights and work, are in float16, and so is what only passes their
numbers on. Sums over many numbers, exponentials, normalizations, recurrent layers and whatever is not known to be
harmless stay in float32, between conversions. This is no pass that means the same: `rounded` says what it loses.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

import numpy as np

from seqc.errors import ExportError
from seqc.graph.ir import Array, Constant, Graph, Item, Type, Value, build
from seqc.ops.arithmetic import Add, Clip, Max, Min, Sub
from seqc.ops.elementwise import Cast
from seqc.passes.half_precision import RoundTo, in_single, is_half
from seqc.text import shorten

HALF = "float16"
# Under these names a file says in which precision it was written.
PRECISION, KEPT = "seqc.precision", "seqc.float32_layers"
# By name: those of the forms for ONNX are not known here.
_STARTING = frozenset({"Gemm", "MatMul", "OnnxConv", "OnnxConvTranspose", "Gather"})
_FOLLOWING = frozenset(
    (
        "Abs", "Add", "BroadcastLike", "Clip", "Concat", "Elu", "HardSigmoid", "HardSwish", "Item", "LeakyRelu", "Max",
        "Min", "Mul", "Neg", "OnnxAveragePool", "OnnxMaxPool", "PRelu", "Pad", "Relu", "Reshape", "ReshapeLike",
        "Sigmoid", "Slice", "Softsign", "Split", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
    )
)  # fmt: skip
# Numbers in a weight from which on half the bytes are worth a node.
_WORTH = 1024
_LARGEST = float(np.finfo(np.float16).max)
# Below, float16 has ever fewer digits.
_SMALLEST = float(np.finfo(np.float16).smallest_normal)


def lower_precision(graph: Graph, kept: Collection[str] = ()) -> Graph:
    """Returns a graph that computes in float16 what may be, from and to float32.

    Args:
        graph: after all passes, in float32. kept: names of layers that stay in float32.
    """
    return _Lowering(graph, kept).result


def rounded(graph: Graph) -> Graph:
    """Returns a graph that computes in float32 what another computes in float16, and rounds every result as that does.

    NumPy multiplies matrices of float32 hundreds of times as fast.
    """
    done: dict[Value, Value] = {}
    for old in (*graph.inputs, *graph.walk()):
        if old in done:
            continue
        if isinstance(old.op, Cast) and old.op.dtype == HALF:
            done[old] = build(RoundTo(HALF), (done[old.inputs[0]],), old.scope)
            continue
        new = build(in_single(old.op, rounding=True), tuple(done[x] for x in old.inputs), old.scope)
        inexact = is_half(old) and old.inputs and old.op.kind == "arithmetic" and not isinstance(old.result, tuple)
        done[old] = build(RoundTo(HALF), (new,), old.scope) if inexact else new
    return Graph(tuple(done[x] for x in graph.inputs), tuple(done[y] for y in graph.outputs), graph.output_names)


def precision_texts(precision: str, kept: Collection[str]) -> dict[str, str]:
    """Returns what a file says of its precision, where it is not float32."""
    said = {PRECISION: precision} if precision != "float32" else {}
    return said | ({KEPT: json.dumps(list(kept))} if kept else {})


def kept_layers(said: Mapping[str, str]) -> list[str] | None:
    """Returns the layers that a file of float16 keeps in float32, None where it is no such file.

    Raises:
        ExportError: what the file says makes no sense.
    """
    if said.get(PRECISION) != HALF:
        return None
    try:
        return [str(name) for name in json.loads(said.get(KEPT, "[]"))]
    except (ValueError, TypeError):
        raise ExportError(f"The file says in {KEPT} what makes no sense: {shorten(said[KEPT], 80)}.") from None


class _Lowering:
    def __init__(self, graph: Graph, kept: Collection[str]) -> None:
        self._kept = kept
        self._made: dict[Value, Value] = {}
        self._casts: dict[tuple[Value, str], Value] = {}
        for old in (*graph.inputs, *graph.walk()):
            if old not in self._made:
                self._made[old] = self._rebuilt(old)
        outputs = tuple(self._as(y, y.dtype) for y in graph.outputs)
        self.result = Graph(tuple(self._made[x] for x in graph.inputs), outputs, graph.output_names)

    def _rebuilt(self, old: Value) -> Value:
        if not old.inputs:
            return old
        if isinstance(old.op, Item):
            return build(old.op, (self._made[old.inputs[0]],), old.scope)
        wanted = HALF if self._goes(old) else "float32"
        stored = wanted == "float32" and not self._is_kept(old)
        inputs = tuple(self._operand(x, wanted, stored) for x in old.inputs)
        same = all(a is b for a, b in zip(inputs, old.inputs, strict=True))
        return old if same else build(old.op, inputs, old.scope)

    def _goes(self, old: Value) -> bool:
        """Tells whether an operation is to be in float16."""
        name = type(old.op).__name__
        floats = [x for x in old.inputs if _is_single(x)]
        others = [x for x in old.inputs if x.type.is_float and not _is_single(x)]
        if others or not floats or self._is_kept(old) or not _fit(old):
            return False
        computed = [x for x in floats if not isinstance(x.op, Constant)]
        return name in _STARTING or (
            name in _FOLLOWING and bool(computed) and all(is_half(self._made[x]) for x in computed)
        )

    def _operand(self, x: Value, wanted: str, stored: bool) -> Value:
        if not _is_single(x):
            return self._made[x]
        return self._as(self._stored(x) if stored and _is_large(x) else x, wanted)

    def _is_kept(self, old: Value) -> bool:
        return old.scope in self._kept or old.scope.split("/")[0] in self._kept

    def _stored(self, x: Value) -> Value:
        """Returns a weight that is stored in half precision and read in single."""
        key = (x, "stored")
        if key not in self._casts:
            self._casts[key] = build(Cast("float32"), (self._as(x, HALF),), x.scope)
            self._made[self._casts[key]] = self._casts[key]
        return self._casts[key]

    def _as(self, old: Value, dtype: str) -> Value:
        """Returns what stands for a value, in a type: a constant anew, others behind a conversion, once for all."""
        made = self._made[old]
        if not made.type.is_float or made.dtype == dtype:
            return made
        key = (made, dtype)
        if key not in self._casts:
            if isinstance(made.op, Constant):
                constant = Constant(made.op.array.astype(dtype), made.op.label)
                self._casts[key] = Value(constant, (), Type(dtype, made.type.shape), made.scope)
            else:
                self._casts[key] = build(Cast(dtype), (made,), old.scope)
        return self._casts[key]


def _is_single(x: Value) -> bool:
    return not isinstance(x.result, tuple) and x.dtype == "float32"


def _is_large(x: Value) -> bool:
    """Tells whether it pays to store a weight in half precision where it is read in single."""
    return isinstance(x.op, Constant) and bool(x.op.label) and x.op.array.size >= _WORTH and _fits(x.op.array)


def _fit(value: Value) -> bool:
    """Tells whether float16 holds the constants that an operation has."""
    op, numbers = value.op, list[Array]()
    for i, x in enumerate(value.inputs):
        if isinstance(x.op, Constant) and _is_single(x):
            # Beside what it is added to, a small bias is one of few digits.
            bias = x.op.array.size > 1 and (isinstance(op, Add | Sub) or i > 1)
            if not (_is_held(x.op.array) if bias else _fits(x.op.array)):
                return False
            numbers.append(x.op.array)
    if isinstance(op, Clip):
        numbers = [np.array([n]) for n in (op.low, op.high)]
    return not isinstance(op, Clip | Max | Min) or all(_limits(a) for a in numbers if a.size == 1)


def _limits(array: Array) -> bool:
    """Tells whether float16 holds a limit: one that keeps from 0, as in front of a logarithm, has to go on doing so."""
    return not _is_held(array) or bool(np.all(array.astype(HALF) == array))


def _fits(array: Array) -> bool:
    """Tells whether float16 holds numbers that others are multiplied with: most of them with all their digits.

    Some tiny ones beside larger ones are no loss.
    """
    size = np.abs(array)
    tiny, zero = np.count_nonzero(size < _SMALLEST), np.count_nonzero(size == 0)
    return _is_held(array) and bool(2 * (tiny - zero) <= array.size - zero)


def _is_held(array: Array) -> bool:
    return bool(np.all(np.abs(array) <= _LARGEST)) if array.size else True
