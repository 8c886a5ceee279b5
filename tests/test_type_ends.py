"""Numbers at the ends of their types, infinities, bits and edges: what Keras 3.15 gives, in NumPy and onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import activations, layers, ops
from seqc.applications.imagenet_utils import preprocess_input
from seqc.graph import ir
from seqc.graph.autodiff import pull_back
from seqc.graph.dims import known
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value

INF, NAN = np.inf, np.nan
ENDS = {d: np.iinfo(d) for d in ("int8", "int16", "int32", "int64")}


THREE = [3, 200, 255]


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


def _turned(dtype: str) -> dict[str, tuple[Any, ...]]:
    """By -1: the smallest number wraps around, as all integers do; the processor's division would end the process."""
    low, divisors = int(ENDS[dtype].min), np.array([-1, 2, -1], dtype)
    a = [low, low, 7]
    return {
        f"// of {dtype} by -1": row(lambda x: x // -1, dtype, a, gives=[low, low, -7]),
        f"// of {dtype} by constants with -1": row(lambda x: x // divisors, dtype, a, gives=[low, low // 2, -7]),
        f"// of {dtype} by inputs of -1": row(lambda x, y: x // y, dtype, a, divisors, gives=[low, low // 2, -7]),
        f"mod of {dtype} by -1": row(lambda x: ops.mod(x, -1), dtype, a, gives=[0, 0, 0]),
        f"mod of {dtype} by inputs of -1": row(ops.mod, dtype, a, divisors, gives=[0, 0, 0]),
    }


PAIRS = [INF, -INF, INF, -INF, 0.0, INF], [INF, -INF, -INF, INF, 0.0, 1.0]

NUMBERS: Mapping[str, tuple[Any, ...]] = {
    **{name: found for dtype in ENDS for name, found in _divisions(dtype).items()},
    **{name: found for dtype in ("int32", "int64") for name, found in _turned(dtype).items()},
    "// of bytes": row(lambda x: x // 2, "uint8", [255, 3, 0], gives=[127, 1, 0]),
    "// by a negative number": row(lambda x: x // -7, "int8", [127, -128, 7], gives=[-19, 18, -1]),
    "logaddexp": row(ops.logaddexp, "float32", *PAIRS, gives=[INF, -INF, INF, INF, np.log(2), INF]),
    "logaddexp2": row(ops.logaddexp2, "float32", *PAIRS, gives=[INF, -INF, INF, INF, 1.0, INF]),
    "einsum of int8": row(
        lambda a, b: ops.einsum("ij,jk->ik", a, b), "int8", [[100, 100]], [[100], [100]], gives=[[20000]], of="int32"),
    "einsum of three of int8": row(
        lambda a: ops.einsum("i,i,i->i", a, a, a), "int8", [100, -100], gives=[1000000, -1000000], of="int32"),
    "einsum of one of int8": row(lambda a: ops.einsum("ij->i", a), "int8", [[100, 100]], gives=[200], of="int32"),
    "einsum of one of uint8": row(lambda a: ops.einsum("ij->i", a), "uint8", [[200, 100]], gives=[44]),
    "einsum of one of int16": row(lambda a: ops.einsum("ij->j", a), "int16", [[200, 100]], gives=[200, 100]),
    "moments of float16": row(lambda x: ops.moments(x, [0])[1], "float16", [300, -300], gives=65504),
    "moments of float16 with infinity": row(lambda x: ops.moments(x, [0])[0], "float16", [INF, 1], gives=65504),
    "nanvar": row(lambda x: ops.nanvar(x, 1), "float32", [[1, NAN, 3], [NAN] * 3], gives=[1, NAN]),
    "nanvar beside infinity": row(
        lambda x: ops.nanvar(x, 1), "float32", [[INF, 2, 1], [NAN, INF, -INF], [NAN, 1, 3]], gives=[NAN, NAN, 1]),
    "nanstd beside infinity": row(ops.nanstd, "float32", [INF, 2, 1], gives=NAN),
    "quantile beside infinity": row(
        lambda x: ops.quantile(x, [0.0, 0.25, 0.5, 0.75, 1.0]), "float32", [-INF, 1, 2, INF],
        gives=[-INF, -INF, 1.5, INF, INF]),
    # Where nothing is taken of the number above, Keras has NaN if that is infinite; NumPy has what is here.
    "quantile at a number beside infinity": row(
        lambda x: ops.quantile(x, [0.0, 0.25, 0.5]), "float32", [1, 2, INF, INF, INF], gives=[1, 2, INF]),
    "nanquantile beside infinity": row(
        lambda x: ops.nanquantile(x, 0.5), "float32", [1, NAN, 2, INF], gives=2),
    "percentile at the end": row(lambda x: ops.percentile(x, 100), "float32", [1, 2, INF], gives=INF),
    "a divisor beyond uint8": row(lambda x: ops.divide(x, 256), "uint8", THREE, gives=[3 / 256, 200 / 256, 255 / 256],
                                  of="float32"),
    "/ by a number beyond uint8": row(lambda x: x / 256, "uint8", [64, 128], gives=[0.25, 0.5], of="float32"),
    "a divisor beyond int8": row(lambda x: ops.divide(x, 128), "int8", [-128, 64], gives=[-1, 0.5], of="float32"),
    "a divisor beyond int16": row(lambda x: x / 32768, "int16", [-32768, 16384], gives=[-1, 0.5], of="float32"),
    "divide_no_nan beyond uint8": row(
        lambda x: ops.divide_no_nan(x, 256), "uint8", [64, 128], gives=[0.25, 0.5], of="float32"),
    "arctan2 of uint8 and -1": row(
        lambda x: ops.arctan2(x, -1), "uint8", THREE, gives=np.arctan2(THREE, -1.0), of="float32"),
    "hypot of uint8 and 300": row(
        lambda x: ops.hypot(x, 300), "uint8", THREE, gives=np.hypot(THREE, 300.0), of="float32"),
    "logaddexp of uint8 and -1": row(
        lambda x: ops.logaddexp(x, -1), "uint8", THREE, gives=np.logaddexp(THREE, -1.0), of="float32"),
    "isclose of uint8 and 259": row(lambda x: ops.isclose(x, 259), "uint8", THREE, gives=[0, 0, 0], of="bool"),
    "less than a number beyond uint8": row(lambda x: x < 256, "uint8", THREE, gives=[1, 1, 1], of="bool"),
    "greater than a number below uint8": row(lambda x: x > -1, "uint8", THREE, gives=[1, 1, 1], of="bool"),
    "equal to a number beyond uint8": row(lambda x: ops.equal(x, 259), "uint8", THREE, gives=[0, 0, 0], of="bool"),
    "not equal to a number beyond int8": row(lambda x: x != 254, "int8", [-2, 2], gives=[1, 1], of="bool"),
    "less than a number beyond int32": row(lambda x: x < 2**31, "int32", [-5, 5], gives=[1, 1], of="bool"),
    "isin of a number beyond uint8": row(lambda x: ops.isin(x, 259), "uint8", THREE, gives=[0, 0, 0], of="bool"),
    # What is added wraps, as in Keras.
    "a sum with a number beyond uint8": row(lambda x: x + 256, "uint8", THREE, gives=THREE),
    "one_hot of uint8 in many": row(
        lambda x: ops.sum(ops.one_hot(x, 1000), -1), "uint8", THREE, gives=[1, 1, 1], of="float32"),
    "one_hot of int8 below zero": row(
        lambda x: ops.sum(ops.one_hot(x, 256), -1), "int8", [-1, 100], gives=[0, 1], of="float32"),
    "one_hot of floats": row(
        lambda x: ops.one_hot(x, 3), "float32", [1.7, -0.5, 3], gives=[[0, 1, 0], [1, 0, 0], [0, 0, 0]]),
    "searchsorted of NaN": row(
        lambda x: ops.searchsorted(np.array([1, 2, 3], "float32"), x), "float32", [NAN, 2, INF, -INF],
        gives=[3, 1, 3, 0], of="int32"),
    "digitize of NaN": row(lambda x: ops.digitize(x, np.array([1, 2, 3], "float32")), "float32", [NAN, 2], gives=[3, 2],
                           of="int32"),
    "relu6 of int32": row(ops.relu6, "int32", [-3, 3, 8], gives=[0, 3, 6]),
    "relu6 of uint8": row(ops.relu6, "uint8", [3, 8], gives=[3, 6]),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_at_the_ends_of_their_types(name: str) -> None:
    function, arrays, wanted = NUMBERS[name]
    inputs = tuple(ir.input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays))
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
    inputs = tuple(ir.input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays))
    graph = Graph(inputs, (function(*inputs),), ("y",))
    got = Session(step_file(graph), threads=1).run({f"x{i}": a for i, a in enumerate(arrays)})["y"]
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def gradients(function: Callable[..., Value], *arrays: Any) -> list[Any]:
    """The gradients of the sum of what a function gives."""
    xs = [ir.input_value(f"x{i}", "float32", np.shape(a)) for i, a in enumerate(arrays)]
    y = function(*xs)
    g = ir.input_value("g", "float32", y.type.shape)
    graph = Graph((*xs, g), tuple(pull_back([y], [g], xs)), tuple(f"d{i}" for i in range(len(xs))))
    given = np.ones(known(y.type.shape), "float32")
    return Interpreter(graph).run([*(np.asarray(a, "float32") for a in arrays), given])


WITH_NAN = [[1.0, NAN, 3.0], [NAN, NAN, NAN], [2.0, 2.0, 2.0]]
BORDERS = [-6.0, -3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 6.0]

SLOPES: Mapping[str, tuple[Callable[..., Value], Sequence[Any], Sequence[Any]]] = {
    # Keras on TensorFlow gives NaN for equal infinities; half each is what equal numbers have.
    "logaddexp": (ops.logaddexp, PAIRS, [[0.5, 0.5, 1, 0, 0.5, 1], [0.5, 0.5, 0, 1, 0.5, 0]]),
    "logaddexp2": (ops.logaddexp2, PAIRS, [[0.5, 0.5, 1, 0, 0.5, 1], [0.5, 0.5, 0, 1, 0.5, 0]]),
    "nanvar": (lambda x: ops.nanvar(x, -1), [WITH_NAN], [[[-1, 0, 1], [0, 0, 0], [0, 0, 0]]]),
    "nanstd": (lambda x: ops.nanstd(x, -1), [WITH_NAN], [[[-0.5, 0, 0.5], [0, 0, 0], [NAN, NAN, NAN]]]),
    "nanmean": (lambda x: ops.nanmean(x, -1), [WITH_NAN], [[[0.5, 0, 0.5], [0, 0, 0], [1 / 3, 1 / 3, 1 / 3]]]),
    "nansum": (lambda x: ops.nansum(x, -1), [WITH_NAN], [[[1, 0, 1], [0, 0, 0], [1, 1, 1]]]),
    "nanprod": (lambda x: ops.nanprod(x, -1), [WITH_NAN], [[[3, 0, 1], [0, 0, 0], [4, 4, 4]]]),
    "nanmax": (lambda x: ops.nanmax(x, -1), [WITH_NAN], [[[0, 0, 1], [0, 0, 0], [1 / 3, 1 / 3, 1 / 3]]]),
    "nanmin": (lambda x: ops.nanmin(x, -1), [WITH_NAN], [[[1, 0, 0], [0, 0, 0], [1 / 3, 1 / 3, 1 / 3]]]),
    "nancumsum": (lambda x: ops.nancumsum(x, -1), [WITH_NAN], [[[3, 0, 1], [0, 0, 0], [3, 2, 1]]]),
    "nancumprod": (lambda x: ops.nancumprod(x, -1), [WITH_NAN], [[[5, 0, 1], [0, 0, 0], [7, 6, 4]]]),
    "relu6": (ops.relu6, [BORDERS], [[0, 0, 0, 0, 1, 1, 1, 0]]),
    "hard_sigmoid": (ops.hard_sigmoid, [BORDERS], [[0, 0, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 0, 0]]),
    "hard_silu": (ops.hard_silu, [BORDERS], [[0, 0, 1 / 6, 0.5, 5 / 6, 7 / 6, 1, 1]]),
    "hard_tanh": (ops.hard_tanh, [BORDERS], [[0, 0, 1, 1, 1, 0, 0, 0]]),
    "sparse_sigmoid": (ops.sparse_sigmoid, [BORDERS], [[0, 0, 0, 0.5, 0, 0, 0, 0]]),
    "sparse_plus": (ops.sparse_plus, [BORDERS], [[0, 0, 0, 0.5, 1, 1, 1, 1]]),
    "clip": (lambda x: ops.clip(x, -3.0, 3.0), [BORDERS], [[0, 1, 1, 1, 1, 1, 1, 0]]),
    "activations.hard_swish": (activations.hard_swish, [BORDERS], [[0, 0, 1 / 6, 0.5, 5 / 6, 7 / 6, 1, 1]]),
    "activations.relu to 6": (
        lambda x: activations.relu(x, max_value=6), [BORDERS], [[0, 0, 0, 0, 1, 1, 1, 0]]),
    "activations.relu to 6 with a slope": (
        lambda x: activations.relu(x, 0.5, 6.0), [BORDERS], [[0.5, 0.5, 0.5, 0, 1, 1, 1, 0]]),
    "activations.relu to 6 from 1 on": (
        lambda x: activations.relu(x, max_value=6.0, threshold=1.0), [BORDERS], [[0, 0, 0, 0, 0, 1, 1, 1]]),
    "activations.relu to 3": (
        lambda x: activations.relu(x, max_value=3.0), [BORDERS], [[0, 0, 0, 0, 1, 1, 1, 0]]),
    "ReLU(6.0)": (layers.ReLU(6.0).call, [BORDERS], [[0, 0, 0, 0, 1, 1, 1, 0]]),
}  # fmt: skip


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


def _as(dtype: str, numbers: Any) -> Value:
    return ops.cast(np.array(numbers, "float32"), dtype)


def _attended(keys: Any) -> Value:
    x = _as("bfloat16", keys)
    return ops.dot_product_attention(x, x, x, is_causal=True)


LOGITS = np.array(
    [[[1, 0, 0], [0, 0, 9], [0, 1, 0], [0, 0, 9]], [[0, 0, 1], [0, 0, 9], [0, 1, 0], [0, 0, 9]]], "float32"
)
KEYS: Any = [[[[1.0, 2.0]], [[3.0, 4.0]]]]
BYTES: Any = np.array([0, 10, 21, 255], "uint8").reshape(1, 2, 2, 1)

EAGERLY: Mapping[str, tuple[Callable[[], Any], Any]] = {
    "bincount of rows of int8": (
        lambda: ops.bincount(np.tile(np.array([[1, 2, 3, 3]], "int8"), (100, 1)))[99], np.array([0, 1, 1, 2], "int32")),
    "bincount of uint8": (
        lambda: ops.bincount(np.array([1, 2, 200], "uint8"))[-1:], np.array([1], "int32")),
    "bincount of weights of uint8": (
        lambda: ops.bincount(np.array([1, 1, 1], "int32"), np.array([100, 100, 100], "uint8")),
        np.array([0, 300], "int32")),
    "bincount of weights of float16": (
        lambda: ops.bincount(np.array([1, 1, 1], "int64"), np.array([0.5, 1, 2], "float16")),
        np.array([0, 3.5], "float16")),
    "segment_sum of uint8": (
        lambda: ops.sum(ops.segment_sum(np.array([1, 2, 3], "float32"), np.array([0, 200, 255], "uint8"), 256)),
        np.array(6, "float32")),
    "segment_max of int8": (
        lambda: ops.segment_max(np.array([1, 2, 3], "float32"), np.array([0, 20, 20], "int8"), 128)[:21:20],
        np.array([1, 3], "float32")),
    "nanmax of nothing": (lambda: ops.nanmax(np.zeros((2, 0), "float32"), 1), np.array([NAN, NAN], "float32")),
    "nanmin of nothing": (lambda: ops.nanmin(np.zeros(0, "float32")), np.array(NAN, "float32")),
    "nanmedian of nothing": (lambda: ops.nanmedian(np.zeros((2, 0), "float32"), 1), np.array([NAN, NAN], "float32")),
    "ctc_decode with the last as no label": (
        lambda: ops.ctc_decode(LOGITS, np.array([4, 2]), mask_index=-1)[0],
        np.array([[[0, 1, -1, -1], [-1, -1, -1, -1]]], "int32")),
    "ctc_decode with the last but one as no label": (
        lambda: ops.ctc_decode(LOGITS, np.array([4, 2]), mask_index=-2)[0],
        np.array([[[0, 2, 2, -1], [2, -1, -1, -1]]], "int32")),
    "ctc_loss with the last as no label": (
        lambda: ops.ctc_loss([[1, 0]], LOGITS[:1, :3], np.array([1]), np.array([3]), mask_index=-1),
        np.array([1.7896278], "float32")),
    "view of float16": (lambda: ops.view(_as("float16", [1, 2]), "int16"), np.array([15360, 16384], "int16")),
    "view of bfloat16": (lambda: ops.view(_as("bfloat16", [1, 2]), "int16"), np.array([16256, 16384], "int16")),
    "view of float16 as bytes": (
        lambda: ops.view(_as("float16", [1, 2]), "uint8"), np.array([0, 60, 0, 64], "uint8")),
    "view of float16 as float32": (
        lambda: ops.view(_as("float16", [1, 2]), "float32"), np.array([2.003662109375], "float32")),
    "nextafter of float16": (
        lambda: ops.nextafter(_as("float16", [1]), _as("float16", [2])), np.array([1.0009765625], "float16")),
    "nextafter of bfloat16": (
        lambda: ops.cast(ops.nextafter(_as("bfloat16", [1]), _as("bfloat16", [2])), "float32"),
        np.array([1.0078125], "float32")),
    "nan_to_num of bfloat16": (
        lambda: ops.cast(ops.nan_to_num(_as("bfloat16", [NAN, INF, -INF, 1])), "float32"),
        np.array([0, 3.3895313892515355e38, -3.3895313892515355e38, 1], "float32")),
    "saturate_cast from bfloat16": (
        lambda: ops.saturate_cast(_as("bfloat16", [300, -300, 1e5]), "uint8"), np.array([255, 0, 255], "uint8")),
    "saturate_cast from bfloat16 to float16": (
        lambda: ops.saturate_cast(_as("bfloat16", [3e9, 1]), "float16"), np.array([65280, 1], "float16")),
    "saturate_cast to bfloat16": (
        lambda: ops.cast(ops.saturate_cast(np.array([1e300, 1.0]), "bfloat16"), "float32"),
        np.array([3.3895313892515355e38, 1], "float32")),
    "rgb_to_hsv of bfloat16": (
        lambda: ops.cast(ops.image.rgb_to_hsv(_as("bfloat16", [[[[0.1, 0.2, 0.3]]]])), "float32"),
        np.array([[[[0.5859375, 0.66796875, 0.30078125]]]], "float32")),
    "attention of bfloat16 that is masked": (
        lambda: ops.cast(_attended(KEYS), "float32")[0, 0, 0],
        np.array([1, 2], "float32")),
    "preprocess_input of bfloat16": (
        lambda: ops.cast(preprocess_input(_as("bfloat16", [[[255, 0, 0]]]), mode="caffe"), "float32"),
        np.array([[[-104, -117, 132]]], "float32"),
    ),
    "UpSampling2D of bytes": (
        lambda: ops.ravel(layers.UpSampling2D(2, interpolation="bilinear")(BYTES)),
        np.array([0, 2, 8, 10, 5, 22, 55, 71, 16, 60, 149, 194, 21, 80, 196, 255], "uint8")),
    "UpSampling2D of bytes beyond their limits": (
        lambda: ops.ravel(layers.UpSampling2D(2, interpolation="bicubic")(BYTES)),
        np.array([0, 0, 0, 0, 0, 16, 49, 66, 0, 56, 165, 221, 0, 75, 224, 255], "uint8")),
    "UpSampling2D of int32": (
        lambda: ops.ravel(layers.UpSampling2D(2, interpolation="bicubic")(BYTES.astype("int32"))),
        np.array([-1, -4, -10, -12, -1, 16, 49, 66, 0, 56, 165, 221, 0, 75, 224, 299], "int32")),
    "Resizing of floats to bytes": (
        lambda: ops.ravel(layers.Resizing(4, 4, dtype="uint8")(BYTES + np.float32(0.7))),
        np.array([0, 2, 8, 10, 5, 22, 55, 71, 16, 60, 149, 194, 21, 80, 196, 255], "uint8")),
    "RandomCrop to bytes": (
        lambda: layers.RandomCrop(1, 1, dtype="uint8")(np.full((1, 2, 2, 1), 7.7, "float32"), training=True),
        np.array([[[[7]]]], "uint8")),
}  # fmt: skip


@pytest.mark.parametrize("name", EAGERLY)
def test_numbers_of_narrow_types(name: str) -> None:
    pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    function, wanted = EAGERLY[name]
    got = np.asarray(function())
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16"])
def test_attention_of_bfloat16_knows_masks(dtype: str) -> None:
    pytest.importorskip("ml_dtypes", reason="needs ml_dtypes")
    x = np.ones((1, 3, 4), "float32")
    y = layers.MultiHeadAttention(2, 2, dtype=dtype)(x, x, use_causal_mask=True)
    assert y.dtype == "bfloat16"
    assert np.isfinite(np.asarray(y, "float32")).all()
