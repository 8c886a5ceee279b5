"""Numbers at the ends of their types, infinities and bits: eagerly, in graphs and in onnxruntime what Keras 3.15 gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers, ops
from seqc.graph import ir
from seqc.graph.autodiff import pull_back
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value

INF, NAN = np.inf, np.nan
ENDS = {d: np.iinfo(d) for d in ("int8", "int16", "int32", "int64")}


def row(function: Callable[..., Any], dtype: str, *lists: Any, gives: Any, of: str | None = None) -> tuple[Any, ...]:
    """A function, its operands of one dtype, what it gives, and the dtype of that where it is another one."""
    return function, [np.array(x, dtype) for x in lists], np.array(gives, of or dtype)


def _dividends(dtype: str) -> tuple[list[int], list[int], list[int], list[int]]:
    low, high = int(ENDS[dtype].min), int(ENDS[dtype].max)
    a, b = [high, high - 1, -high, low, low, 100, low, high], [-3, -5, 5, 3, 1, -7, low, low]
    return a, b, [x // y for x, y in zip(a, b, strict=True)], [x % y for x, y in zip(a, b, strict=True)]


def _divisions(dtype: str) -> dict[str, tuple[Any, ...]]:
    a, b, quotients, rests = _dividends(dtype)
    return {
        f"floor_divide of {dtype}": row(ops.floor_divide, dtype, a, b, gives=quotients),
        f"// of {dtype}": row(lambda x, y: x // y, dtype, a, b, gives=quotients),
        f"mod of {dtype}": row(ops.mod, dtype, a, b, gives=rests),
    }


PAIRS = [INF, -INF, INF, -INF, 0.0, INF], [INF, -INF, -INF, INF, 0.0, 1.0]

NUMBERS: Mapping[str, tuple[Any, ...]] = {
    **{name: found for dtype in ENDS for name, found in _divisions(dtype).items()},
    "// of bytes": row(lambda x: x // 2, "uint8", [255, 3, 0], gives=[127, 1, 0]),
    "// by a negative number": row(lambda x: x // -7, "int8", [127, -128, 7], gives=[-19, 18, -1]),
    "logaddexp": row(ops.logaddexp, "float32", *PAIRS, gives=[INF, -INF, INF, INF, np.log(2), INF]),
    "logaddexp2": row(ops.logaddexp2, "float32", *PAIRS, gives=[INF, -INF, INF, INF, 1.0, INF]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_at_the_ends_of_their_types(name: str) -> None:
    function, arrays, wanted = NUMBERS[name]
    inputs = [ir.input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays)]
    y = function(*inputs)
    for got in (
        np.asarray(function(*map(ir.constant, arrays))),
        Interpreter(Graph(inputs, (y,), ("y",))).run(arrays)[0],
    ):
        assert got.dtype == wanted.dtype == np.dtype(y.dtype)
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_at_the_ends_of_their_types_in_onnxruntime(name: str) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    from kit.graph_runs import step_file
    from seqc.backends.onnxruntime import Session

    function, arrays, wanted = NUMBERS[name]
    inputs = [ir.input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays)]
    graph = Graph(inputs, (function(*inputs),), ("y",))
    got = Session(step_file(graph), threads=1).run({f"x{i}": a for i, a in enumerate(arrays)})["y"]
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def gradients(function: Callable[..., Value], *arrays: Any, upstream: Any = None) -> list[Any]:
    """The gradients of the sum of what a function gives, or of it with other factors."""
    xs = [ir.input_value(f"x{i}", "float32", np.shape(a)) for i, a in enumerate(arrays)]
    y = function(*xs)
    g = ir.input_value("g", "float32", y.type.shape)
    graph = Graph((*xs, g), pull_back([y], [g], xs), tuple(f"d{i}" for i in range(len(xs))))
    given = np.ones(y.shape, "float32") if upstream is None else np.full(y.shape, upstream, "float32")
    return Interpreter(graph).run([*(np.asarray(a, "float32") for a in arrays), given])


SLOPES: Mapping[str, tuple[Callable[..., Value], Sequence[Any], Sequence[Any]]] = {
    # Keras on TensorFlow gives NaN for equal infinities; half each is what equal numbers have.
    "logaddexp": (ops.logaddexp, PAIRS, [[0.5, 0.5, 1, 0, 0.5, 1], [0.5, 0.5, 0, 1, 0.5, 0]]),
    "logaddexp2": (ops.logaddexp2, PAIRS, [[0.5, 0.5, 1, 0, 0.5, 1], [0.5, 0.5, 0, 1, 0.5, 0]]),
}


@pytest.mark.parametrize("name", SLOPES)
def test_gradients_at_edges(name: str) -> None:
    function, arrays, wanted = SLOPES[name]
    for got, expected in zip(gradients(function, *arrays), wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_linspace_of_bfloat16_has_fractions() -> None:
    pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    got = np.asarray(ops.linspace(0, 1, 5, dtype="bfloat16"))
    assert got.dtype.name == "bfloat16"
    np.testing.assert_array_equal(got.astype("float32"), [0, 0.25, 0.5, 0.75, 1])


class Masked(layers.Layer):
    """Bits of integers inside a layer, where Keras has tensors and no symbols."""

    def call(self, x: Any) -> Any:
        return (x & 6) + (x | 1) + (x ^ 3) + ~x


def _masked(x: Any) -> Any:
    return (x & 6) + (x | 1) + (x ^ 3) + ~x


def test_operators_of_integers_mean_their_bits() -> None:
    x = np.array([[6, 7, 0, -5]], "int32")
    inputs = seqc.Input((4,), dtype="int32")
    model = seqc.Model(inputs, Masked()(inputs))
    for got in (_masked(ops.convert_to_tensor(x)), Masked()(x), model(x), model.predict(x, verbose=0)):
        assert str(got.dtype) == "int32"
        np.testing.assert_array_equal(np.asarray(got), _masked(x))


BITS: Mapping[str, tuple[Callable[[], Any], Any]] = {
    "and": (lambda: _of([6]) & _of([3]), np.array([2], "int32")),
    "and of a number": (lambda: _of([6]) & 3, np.array([2], "int32")),
    "and to a number": (lambda: 3 & _of([6]), np.array([2], "int32")),
    "and of an array": (lambda: np.array([3], "int32") & _of([6]), np.array([2], "int32")),
    "or": (lambda: _of([6]) | _of([3]), np.array([7], "int32")),
    "xor": (lambda: _of([6]) ^ _of([3]), np.array([5], "int32")),
    "not": (lambda: ~_of([1, 2]), np.array([-2, -3], "int32")),
    "not of bytes": (lambda: ~_of([0, 1], "uint8"), np.array([255, 254], "uint8")),
    "np.invert": (lambda: np.invert(_of([1, 2])), np.array([-2, -3], "int32")),
    "booleans": (lambda: _of([1, 0], "bool") & True, np.array([True, False])),
    "a boolean and an integer": (lambda: _of([1, 0], "bool") | _of([0, 4]), np.array([True, True])),
    "not of booleans": (lambda: ~_of([1, 0], "bool"), np.array([False, True])),
    "floats": (lambda: _of([0.5, 0.0], "float32") & _of([1, 1]), np.array([True, False])),
    # As Keras has it: its variables, and its symbols, ask for truth.
    "a variable": (lambda: seqc.Variable(np.array([6, 0], "int32")) & 3, np.array([True, False])),
    "not of a variable": (lambda: ~seqc.Variable(np.array([6, 0], "int32")), np.array([-7, -1], "int32")),
}


def _of(numbers: Any, dtype: str = "int32") -> Value:
    return ops.convert_to_tensor(np.array(numbers, dtype))


@pytest.mark.parametrize("name", BITS)
def test_what_an_operator_gives(name: str) -> None:
    function, wanted = BITS[name]
    got = np.asarray(function())
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


def test_operators_of_symbols_ask_for_truth() -> None:
    x = seqc.Input((2,), dtype="int32")
    for y, wanted in ((x & 3, [[True, False]]), (~x, [[False, True]])):
        assert y.dtype == "bool"
        np.testing.assert_array_equal(np.asarray(seqc.Model(x, y)(np.array([[6, 0]], "int32"))), wanted)
