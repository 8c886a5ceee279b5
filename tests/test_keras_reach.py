"""Arguments that functions and layers of Keras 3.15 take beyond the usual ones, and the types of what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers, ops
from seqc.errors import ConfigError, DTypeError, ShapeError, TraceError
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value

INF, NAN = np.inf, np.nan
BYTES = np.array([0, 5, 200], "uint8")
SQUARE = np.array([[7, 1, -3, 2], [5, 3, -9, -4]], "int32").reshape(1, 2, 4, 1)
SCORES = np.array([[0.1, 0.5, 0.4]] * 4, "float32")
# Few and simple numbers, of four heads of queries and two of keys and values.
Q = (np.arange(24).reshape(1, 3, 4, 2) % 5 - 2).astype("float32")
K = (np.arange(20).reshape(1, 5, 2, 2) % 7 - 3).astype("float32")
V = (np.arange(20).reshape(1, 5, 2, 2) % 3).astype("float32")
BIAS = (np.arange(60).reshape(1, 4, 3, 5) % 4).astype("float32")


def row(function: Callable[..., Any], *arrays: Any, gives: Any) -> tuple[Any, ...]:
    """A function, its operands, and what it gives."""
    return function, list(arrays), np.asarray(gives)


def _bytes(*numbers: int) -> Any:
    return np.array(numbers, "uint8")


COMPUTED: Mapping[str, tuple[Any, ...]] = {
    "clip beyond both ends": row(lambda x: ops.clip(x, -1, 300), BYTES, gives=BYTES),
    "clip below": row(lambda x: ops.clip(x, -1, 100), BYTES, gives=_bytes(0, 5, 100)),
    "clip above": row(lambda x: ops.clip(x, 10, 300), BYTES, gives=_bytes(10, 10, 200)),
    "clip to what is below all": row(lambda x: ops.clip(x, -5, -1), BYTES, gives=_bytes(0, 0, 0)),
    "clip from below only": row(lambda x: ops.clip(x, -1, None), BYTES, gives=BYTES),
    "clip from above only": row(lambda x: ops.clip(x, None, 300), BYTES, gives=BYTES),
    "clip of int8": row(
        lambda x: ops.clip(x, -1000, 1000), np.array([-128, 127], "int8"), gives=np.array([-128, 127], "int8")),
    "clip of int64 to its ends": row(
        lambda x: ops.clip(x, 0, 2**63 - 1), np.array([-5, 2**62 + 1], "int64"), gives=np.array([0, 2**62 + 1])),
    "pad with -1": row(lambda x: ops.pad(x, 1, constant_values=-1), BYTES, gives=_bytes(255, 0, 5, 200, 255)),
    "pad with 300": row(lambda x: ops.pad(x, 1, constant_values=300), BYTES, gives=_bytes(44, 0, 5, 200, 44)),
    "pad of int8 with 200": row(
        lambda x: ops.pad(x, 1, constant_values=200), np.array([1], "int8"), gives=np.array([-56, 1, -56], "int8")),
    "round of float16": row(
        lambda x: ops.round(x, 1), np.array([60000, 1.26], "float16"), gives=np.array([60000, 1.3], "float16")),
    "saturate_cast of infinities": row(
        lambda x: ops.saturate_cast(x, "int8"), np.array([INF, -INF, 1], "float32"),
        gives=np.array([127, -128, 1], "int8")),
    "saturate_cast of float16": row(
        lambda x: ops.saturate_cast(x, "int32"), np.array([INF, -2], "float16"), gives=np.array([65504, -2], "int32")),
    "in_top_k": row(
        lambda t, p: ops.in_top_k(t, p, 2), np.array([-1, 3, 1, 7], "int32"), SCORES,
        gives=[False, False, True, False]),
    "in_top_k of more than there are": row(
        lambda t, p: ops.in_top_k(t, p, 9), np.array([-1, 3, 0, 2], "int64"), SCORES, gives=[False, False, True, True]),
    "repeat by a tensor": row(
        lambda x: ops.repeat(x, ops.convert_to_tensor([1, 0, 2]), 0), np.array([1, 2, 3]), gives=[1, 3, 3]),
    "repeat of all by a tensor": row(
        lambda x: ops.repeat(x, ops.convert_to_tensor([1, 0, 2, 1])), np.array([[1, 2], [3, 4]]), gives=[1, 3, 3, 4]),
    "repeat by a tensor of one": row(
        lambda x: ops.repeat(x, ops.convert_to_tensor([2])), np.array([1, 2]), gives=[1, 1, 2, 2]),
    "repeat along the last axis": row(
        lambda x: ops.repeat(x, ops.convert_to_tensor([1, 2]), -1), np.array([[1, 2], [3, 4]]),
        gives=[[1, 2, 2], [3, 4, 4]]),
    "repeat of a number": row(lambda x: ops.repeat(x, 2, axis=-1), np.array(3), gives=[3, 3]),
    "repeat of a number along the first axis": row(lambda x: ops.repeat(x, [2], axis=0), np.array(3), gives=[3, 3]),
    "max_pool": row(lambda x: ops.max_pool(x, 2), SQUARE, gives=np.array([7, 2], "int32").reshape(1, 1, 2, 1)),
    "max_pool of bytes": row(
        lambda x: ops.max_pool(x, 2), SQUARE.astype("uint8"), gives=_bytes(7, 253).reshape(1, 1, 2, 1)),
    "max_pool of large numbers": row(
        lambda x: ops.max_pool(x, 2, padding="same"), np.array([[2**31 - 1, 5, -7]], "int32").reshape(1, 1, 3, 1),
        gives=np.array([2**31 - 1, -7], "int32").reshape(1, 1, 2, 1)),
    "adaptive_max_pool": row(
        lambda x: ops.adaptive_max_pool(x, (1, 3)), SQUARE, gives=np.array([7, 3, 2], "int32").reshape(1, 1, 3, 1)),
    "attention of grouped heads": row(
        ops.dot_product_attention, Q, K, V, gives=np.reshape(
            [0.224177, 0.907184, 0.429789, 1.325558, 0.000251, 0.99995, 1.81425, 0.21805, 0.108759, 1.108207, 0.224177,
             0.907184, 0.601564, 1.104606, 0.000251, 0.99995, 0.70617, 0.895394, 0.108759, 1.108207, 1.997076, 0.004003,
             0.601564, 1.104606], (1, 3, 4, 2)).astype("float32")),
    "attention of grouped heads with a bias": row(
        lambda q, k, v, b: ops.dot_product_attention(q, k, v, bias=b), Q, K, V, BIAS, gives=np.reshape(
            [0.939644, 0.541958, 0.291968, 1.248292, 0.000053, 0.999977, 1.321541, 1.172269, 0.474351, 1.467784,
             0.939644, 0.541958, 0.447436, 0.851369, 0.000053, 0.999977, 0.362699, 1.227549, 0.474351, 1.467784,
             1.999234, 0.001332, 0.447436, 0.851369], (1, 3, 4, 2)).astype("float32")),
    **{
        f"attention of grouped heads, {name}": row(
            lambda q, k, v, more=more: ops.dot_product_attention(q, k, v, **more), Q, K, V, gives=np.reshape(
                [0, 1, 0, 1, 2, 0, 2, 0, 0.999794, 1.999794, 0.000206, 1.000206, 1.785916, 0.107042, 0.0001, 0.99995,
                 0.673406, 0.720416, 1.001513, 1.996356, 1.844946, 0.234017, 1.279584, 1.326594],
                (1, 3, 4, 2)).astype("float32"))
        for name, more in {
            "causal": {"is_causal": True, "flash_attention": False}, "masked": {"mask": np.tri(3, 5, dtype=bool)},
        }.items()
    },
}  # fmt: skip


def _graph(function: Callable[..., Value], arrays: list[Any]) -> Graph:
    inputs = tuple(ir.input_value(f"x{i}", a.dtype.name, a.shape) for i, a in enumerate(arrays))
    return Graph(inputs, (function(*inputs),), ("y",))


def _check(got: Any, wanted: Any) -> None:
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-3 if wanted.dtype == "float16" else 1e-5, atol=2e-6)


@pytest.mark.parametrize("name", COMPUTED)
def test_what_keras_computes(name: str) -> None:
    function, arrays, wanted = COMPUTED[name]
    _check(np.asarray(function(*map(ir.constant, arrays))), wanted)
    _check(Interpreter(_graph(function, arrays)).run(arrays)[0], wanted)


@pytest.mark.parametrize("name", COMPUTED)
def test_what_keras_computes_in_onnxruntime(name: str) -> None:
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    from kit.graph_runs import step_file
    from seqc.backends.onnxruntime import Session

    function, arrays, wanted = COMPUTED[name]
    session = Session(step_file(_graph(function, arrays)), threads=1)
    _check(session.run({f"x{i}": a for i, a in enumerate(arrays)})["y"], wanted)


REFUSED: Mapping[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "heads that cannot be shared": (
        lambda: ops.dot_product_attention(Q[:, :, :3], K, V), ShapeError, "3 heads of queries are no multiple of 2"),
    "repeats that are no whole numbers": (
        lambda: ops.repeat(BYTES, np.array([1.0, 2.0, 0.0])), DTypeError, "repeat needs whole numbers; got float64"),
    "too few repeats": (lambda: ops.repeat(BYTES, [1, 2]), ShapeError, "one for each of 3 elements; got 2"),
    "repeats that are not known": (
        lambda: ops.repeat(BYTES, seqc.Input((3,), batch_size=3, dtype="int32")[0]), TraceError, "not known"),
    "a mask of another shape": (
        lambda: ops.convert_to_tensor(BYTES)[np.array([True, False])], ShapeError, "one per element"),
    "a mask that is not known": (lambda: (x := seqc.Input((3,)))[x > 0], ConfigError, "ops.where"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_said(name: str) -> None:
    function, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        function()


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
@pytest.mark.parametrize("given", [2, np.array(2), ops.convert_to_tensor(2)], ids=["int", "array", "tensor"])
def test_category_encoding_of_one_number(mode: str, given: Any) -> None:
    wanted = np.array([0, 0, 1, 0], "float32")
    got = np.asarray(layers.CategoryEncoding(4, output_mode=mode)(given))
    np.testing.assert_array_equal(got, wanted[None] if mode == "one_hot" else wanted)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64"])
def test_max_pooling_keeps_integers(dtype: str) -> None:
    x = np.arange(16).reshape(1, 4, 4, 1).astype(dtype)
    inputs = seqc.Input((4, 4, 1), dtype=dtype)
    model = seqc.Model(inputs, layers.MaxPooling2D(2)(inputs))
    for got in (layers.MaxPooling2D(2)(x), model(x), model.predict(x, verbose=0)):
        _check(np.asarray(got), np.array([5, 7, 13, 15], dtype).reshape(1, 2, 2, 1))


# What layers of integers make of floats: they are cut first.
CUT: Mapping[str, tuple[Any, Any]] = {
    "Identity": (layers.Identity(dtype="int32"), [0, 10, 21, 255]),
    "Resizing": (layers.Resizing(3, 3, dtype="int32"), [0, 5, 10, 10, 72, 132, 21, 138, 255]),
    "UpSampling2D": (layers.UpSampling2D((2, 1), dtype="uint8"), [0, 10, 0, 10, 21, 255, 21, 255]),
    "MaxPooling2D": (layers.MaxPooling2D(2, dtype="int32"), [255]),
    "ZeroPadding2D": (layers.ZeroPadding2D(((0, 1), (0, 0)), dtype="uint8"), [0, 10, 21, 255, 0, 0]),
    "CenterCrop": (layers.CenterCrop(1, 2, dtype="uint8"), [0, 10]),
    "Flatten": (layers.Flatten(dtype="uint8"), [0, 10, 21, 255]),
    "Rescaling": (layers.Rescaling(2.0, dtype="int32"), [0, 20, 42, 510]),
    "ReLU": (layers.ReLU(dtype="int32"), [0, 10, 21, 255]),
    # It looks at the floats, whatever the type of its own.
    "Discretization": (layers.Discretization([0.5, 21.5], dtype="int32"), [1, 1, 2, 2]),
    "CategoryEncoding": (layers.CategoryEncoding(300, "one_hot", dtype="int32"), np.eye(300)[[0, 10, 21, 255]].ravel()),
}


@pytest.mark.parametrize("name", CUT)
def test_layers_of_integers_cut_floats(name: str) -> None:
    layer, wanted = CUT[name]
    x = np.array([0.7, 10.7, 21.7, 255.0], "float32").reshape(1, 2, 2, 1)
    got = np.asarray(layer(x))
    assert got.dtype == layer.compute_dtype
    np.testing.assert_array_equal(got.ravel(), wanted)


def test_round_of_half_precision_is_the_same_in_a_model() -> None:
    x = np.array([[60000.0, 1.26]], "float16")
    inputs = seqc.Input((2,), dtype="float16")
    model = seqc.Model(inputs, ops.round(inputs, 1))
    for got in (ops.round(x, 1), model(x), model.predict(x, verbose=0)):
        _check(np.asarray(got), np.array([[60000, 1.3]], "float16"))


MASKED: Mapping[str, tuple[Any, Any]] = {
    "elements": ([-1.0, 2.0, 3.0], [2.0, 3.0]),
    "elements of a matrix": ([[1.0, -2.0], [-3.0, 4.0]], [1.0, 4.0]),
    "none": ([-1.0], []),
}


@pytest.mark.parametrize("name", MASKED)
def test_a_condition_chooses_elements_that_are_known(name: str) -> None:
    x, wanted = (np.array(a, "float32") for a in MASKED[name])
    tensor = ops.convert_to_tensor(x)
    _check(np.asarray(tensor[tensor > 0]), wanted)
    _check(np.asarray(tensor[x > 0]), wanted)


def test_a_condition_chooses_rows() -> None:
    x = np.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(np.asarray(ops.convert_to_tensor(x)[np.array([True, False, True])]), x[[0, 2]])


@pytest.mark.parametrize("given", [[0, 1], (0, 1), np.array([0, 1]), np.array([0, 1], "float32"), [False, True]])
def test_to_categorical_has_the_type_of_keras(given: Any) -> None:
    got = seqc.utils.to_categorical(given, 3)
    _check(got, np.eye(3)[:2])


def test_to_categorical_of_a_tensor_is_float32() -> None:
    _check(seqc.utils.to_categorical(ops.convert_to_tensor([0, 1]), 3), np.eye(3, dtype="float32")[:2])
