from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

import seqc_runtime
from seqc_runtime import RuntimeInputError, RuntimeInputTypeError


def refuses(model: seqc_runtime.Model, x: Any, message: str, kind: type[Exception] = RuntimeInputError) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        model.predict(x)


@pytest.mark.parametrize("dtype", ["float16", "float64", "longdouble", "int8", "int64", "uint16", "bool"])
def test_a_float_input_takes_floats_integers_and_booleans(
    gemm: bytes, gemm_reference: Callable[[np.ndarray], np.ndarray], dtype: str
) -> None:
    x = np.array([[0, 1, 1, 0], [1, 1, 0, 1]]).astype(dtype)
    y = seqc_runtime.load(gemm, device="cpu").predict(x)
    np.testing.assert_allclose(y, gemm_reference(x.astype(np.float32)), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("x", [np.array([1.0]), np.array([1.5], np.float16)])
def test_floats_never_become_integers(identity: Callable[..., bytes], x: Any) -> None:
    model = seqc_runtime.load(identity(TensorProto.INT32), device="cpu")
    message = f"input 'x' needs int32[batch]; got {x.dtype}: round it yourself and pass x.astype('int32')"
    refuses(model, x, message, RuntimeInputTypeError)


@pytest.mark.parametrize("x", [np.array([1j]), np.array(["1"]), np.array([None]), np.array([b"1"])])
def test_other_kinds_never_become_floats(identity: Callable[..., bytes], x: Any) -> None:
    model = seqc_runtime.load(identity(TensorProto.FLOAT), device="cpu")
    refuses(model, x, "input 'x' needs float32[batch]; got ", RuntimeInputTypeError)


def test_a_dtype_error_is_also_the_built_in_type_error(identity: Callable[..., bytes]) -> None:
    with pytest.raises(TypeError):
        seqc_runtime.load(identity(TensorProto.INT64), device="cpu").predict(np.array([0.5]))


def test_integers_become_other_integers_only_when_they_fit(identity: Callable[..., bytes]) -> None:
    model = seqc_runtime.load(identity(TensorProto.UINT8), device="cpu")
    for dtype in ("int64", "int8", "uint32", "bool"):
        assert model.predict(np.array([0, 1]).astype(dtype)).tolist() == [0, 1]
    assert model.predict(np.array([255], np.int64)).tolist() == [255]
    refuses(model, np.array([3, 256]), "needs uint8[batch], so values from 0 to 255; got 3 to 256")
    refuses(model, np.array([-1, 3]), "got -1 to 3")
    refuses(
        seqc_runtime.load(identity(TensorProto.INT64), device="cpu"),
        np.array([2**63], np.uint64),
        f"got {2**63} to {2**63}",
    )


def test_a_boolean_input_takes_only_booleans(identity: Callable[..., bytes]) -> None:
    model = seqc_runtime.load(identity(TensorProto.BOOL), device="cpu")
    assert model.predict(np.array([True, False])).tolist() == [True, False]
    refuses(model, np.array([1, 0]), "needs bool[batch]; got int64", RuntimeInputTypeError)


def test_a_text_input_takes_only_text(identity: Callable[..., bytes]) -> None:
    model = seqc_runtime.load(identity(TensorProto.STRING), device="cpu")
    for x in (np.array([1]), np.array(["a", 1], object), np.array([b"a"])):
        refuses(model, x, "input 'x' needs text (str[batch]); got ", RuntimeInputTypeError)


def test_big_endian_and_strided_arrays_give_the_same_result(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    x = np.random.default_rng(2).normal(size=(6, 4)).astype(np.float32)
    expected = model.predict(x)
    wide = np.empty((12, 8), np.float32)
    wide[::2, ::2] = x
    for same in (x.astype(">f4"), np.asfortranarray(x), wide[::2, ::2], x[::-1].copy()[::-1]):
        np.testing.assert_array_equal(same, x)
        np.testing.assert_array_equal(model.predict(same), expected)


def test_a_scalar_input_stays_a_scalar(identity: Callable[..., bytes]) -> None:
    model = seqc_runtime.load(identity(TensorProto.FLOAT, ()), device="cpu")
    assert model.predict(np.float64(2.5)).shape == ()
    assert model.predict(3) == 3


def test_the_users_array_is_not_changed(gemm: bytes) -> None:
    x = np.ones((2, 4), np.float32)
    seqc_runtime.load(gemm, device="cpu").predict(x)
    assert x.flags.writeable
    np.testing.assert_array_equal(x, np.ones((2, 4)))


def test_a_missing_batch_axis_gets_a_hint(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    refuses(model, np.ones(4), "input 'x' needs float32[batch, 4]; got [4]: add a batch axis: x[None]")


def test_a_wrong_size_and_a_wrong_rank_are_named(gemm: bytes) -> None:
    model = seqc_runtime.load(gemm, device="cpu")
    refuses(model, np.ones((2, 5)), "input 'x' needs float32[batch, 4]; got [2, 5]")
    refuses(model, np.ones((2, 2, 4)), "got [2, 2, 4] (rank 3 instead of 2)")


def test_axes_of_one_name_need_one_size(two_inputs: bytes) -> None:
    refuses(
        seqc_runtime.load(two_inputs, device="cpu"),
        [np.ones((2, 2)), np.ones((3, 2))],
        "input 'b' float32[batch, 2] has batch = 3, but input 'a' has batch = 2",
    )


def test_wrong_numbers_and_names_of_inputs_are_named(two_inputs: bytes, gemm: bytes) -> None:
    model = seqc_runtime.load(two_inputs, device="cpu")
    x = np.ones((1, 2))
    refuses(
        model, x, "the model has 2 inputs ('a', 'b'); got one ndarray: pass a list in that order, or a dict by name"
    )
    refuses(model, [x], "the model has 2 inputs ('a', 'b'); got a list of 1")
    refuses(model, {"a": x, "c": x}, "the model's inputs are 'a', 'b'; the dict has no 'b' and unknown 'c'")
    refuses(model, {"a": x, "b": x, "c": x}, "the dict has unknown 'c'")
    single = seqc_runtime.load(gemm, device="cpu")
    refuses(single, [[1, 2, 3, 4], [1, 2, 3, 4]], "if it is the data itself, pass numpy.asarray(it)")


@pytest.mark.parametrize("ir_version", [3, 8])
def test_an_input_with_a_default_keeps_it(gemm: bytes, ir_version: int) -> None:
    """As old files have all weights."""
    changed, x = ModelProto.FromString(gemm), np.ones((2, 4), np.float32)
    changed.ir_version = ir_version
    for weight in changed.graph.initializer:
        changed.graph.input.insert(0, helper.make_tensor_value_info(weight.name, weight.data_type, weight.dims))
    model = seqc_runtime.load(changed.SerializeToString())
    assert [info.name for info in model.inputs] == ["x"]
    assert np.array_equal(model.predict(x), seqc_runtime.load(gemm).predict(x))
    refuses(model, {"x": x, "b": np.zeros(3, np.float32)}, "the model's inputs are 'x'; the dict has unknown 'b'")


def test_ragged_data_is_refused(gemm: bytes) -> None:
    refuses(seqc_runtime.load(gemm, device="cpu"), [[[1.0], [1.0, 2.0]]], "got lists of different lengths")


class Stubborn:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> None:
        raise RuntimeError("call detach() first")


class Sparse:
    def toarray(self) -> np.ndarray:
        return np.ones((2, 4))


NO_NUMBERS = [
    (None, "got None"),
    (np.array([[1.0, None]] * 2), "got an array of Python objects, of type 'NoneType' among others"),
    (np.array([[1.0, 2.0]], object), "got an array of Python objects: convert it yourself, x.astype('float32')"),
    (np.array([["a", "b"]]), "got text: convert it yourself, to float32"),
    (np.zeros((2, 4), complex), "got complex numbers"),
    (np.zeros((2, 4), "datetime64[s]"), "got dates"),
    (np.zeros(2, [("a", "f4")]), "got records of several fields"),
    ({1, 2}, "got a set, which is no array"),
    (Sparse(), "got a Sparse: pass x.toarray()"),
    (Stubborn(), "got data that is no array: call detach() first"),
    (np.ma.masked_array(np.ones((2, 4)), np.eye(2, 4, dtype=bool)), "got an array with masked values"),
]


@pytest.mark.parametrize(("x", "message"), NO_NUMBERS, ids=[m[4:30] for _, m in NO_NUMBERS])
def test_what_holds_no_numbers_is_named(gemm: bytes, x: Any, message: Any) -> None:
    refuses(seqc_runtime.load(gemm, device="cpu"), x, f"input 'x' needs float32[batch, 4]; {message}")


def test_a_masked_array_without_masked_values_is_an_array(
    gemm: bytes, gemm_reference: Callable[[np.ndarray], np.ndarray]
) -> None:
    x = np.ma.masked_array(np.ones((2, 4), np.float32))
    y = seqc_runtime.load(gemm, device="cpu").predict(x)
    np.testing.assert_allclose(y, gemm_reference(np.ones((2, 4), np.float32)), rtol=1e-6)


SHAPES = [
    (["batch", 8, 8, 1], (10, 8, 8), "add an axis at the end: x[..., None]"),
    (["batch", 8, 8, 1], (8, 8, 1), "add a batch axis: x[None]"),
    (["batch", 8, 8, 3], (10, 3, 8, 8), "move the channels last, np.moveaxis(x, 1, -1)"),
    (["batch", 8, 8, 1], (10, 64), "reshape it: x.reshape(-1, 8, 8, 1)"),
    (["batch", 64], (10, 8, 8), "reshape it: x.reshape(-1, 64)"),
    (["batch", 4], (10, 4, 1), "drop the last axis: x[..., 0]"),
    (["batch", 4], (0,), "an empty batch is np.empty((0, 4))"),
    (["batch", "time", 4], (0,), "an empty batch is np.empty((0, 1, 4))"),
    (["batch", 1, 5], (10, 5), "add an axis: np.expand_dims(x, 1)"),
    (
        ["batch", "time", "features"],
        (10, 5),
        "add an axis at the end: x[..., None] (or for one sample in front: x[None])",
    ),
]


@pytest.mark.parametrize(("declared", "given", "advice"), SHAPES, ids=[f"{s[1]} for {s[0]}" for s in SHAPES])
def test_advice_on_a_shape_makes_it_fit(relu: Callable[..., bytes], declared: Any, given: Any, advice: Any) -> None:
    model = seqc_runtime.load(relu(declared, declared), device="cpu")
    x = np.ones(given, np.float32)
    refuses(model, x, f"got [{', '.join(map(str, given))}]: {advice}")
    expression = re.search(r"(np\.|x[.\[]).*?[\])](?=$| \()", advice)
    assert expression is not None
    model.predict(eval(expression.group(), {"x": x, "np": np}))


@pytest.mark.parametrize("given", [(10, 7), (7,), (10, 8, 8, 2), ()])
def test_a_shape_that_cannot_be_mended_gets_no_advice(relu: Callable[..., bytes], given: Any) -> None:
    model = seqc_runtime.load(relu(["batch", 8, 8, 1], ["batch", 8, 8, 1]), device="cpu")
    with pytest.raises(RuntimeInputError) as caught:
        model.predict(np.ones(given))
    assert re.search(r"; got \[[\d, ]*\]( \(rank \d instead of 4\))?$", str(caught.value))


def test_escape_sequences_in_names_are_shown_not_obeyed(make: Callable[..., bytes]) -> None:
    from onnx import helper

    nasty = "\x1b[2J\u202ex"
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [nasty, 2]) for name in (nasty, "y")]
    model = seqc_runtime.load(make([helper.make_node("Relu", [nasty], ["y"])], value[:1], value[1:]), device="cpu")
    with pytest.raises(RuntimeInputError) as caught:
        model.predict(np.ones((2, 3)))
    for text in (str(caught.value), repr(model), str(model.inputs[0])):
        assert "\\x1b[2J\\u202e" in text
        assert text.isprintable()
