"""Arrays of every odd kind: the numbers a bare onnxruntime session gives, or an error that says what came."""

from __future__ import annotations

import enum
import re
import string
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime import RunControl, RuntimeInputError, RuntimeInputTypeError, RuntimeStoppedError
from seqc_runtime.empties import blanks_of

ML = "ai.onnx.ml"
X = np.arange(6, dtype=np.float32).reshape(3, 2) - 2.5
MASKED = np.ma.array(X, mask=X < -2)
ODD = np.frombuffer(b"\0" + X.tobytes(), np.float32, offset=1).reshape(3, 2)


class OnlyDlpack:
    """An array of a library that knows NumPy only through DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **named: Any) -> Any:
        return self.array.__dlpack__(**named)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class Colour(str, enum.Enum):  # noqa: UP042
    """Text of which str() makes another text."""

    RED = "red"


class Labelled:
    """Sliced by the labels of its rows, as a Series of pandas is where they are floats; `iloc` goes by position."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape = array, array.shape

    def __getitem__(self, rows: Any) -> np.ndarray:
        result: np.ndarray = self.array[::-1][rows]
        return result

    @property
    def iloc(self) -> np.ndarray:
        return self.array


@pytest.fixture
def echo(make: Callable[..., bytes]) -> Callable[[int], seqc_runtime.Model]:
    """A function that loads a model which gives back its input: rows of two elements of a type."""

    def load(element: int) -> seqc_runtime.Model:
        infos = [[helper.make_tensor_value_info(name, element, ["batch", 2])] for name in "xy"]
        return seqc_runtime.load(make([helper.make_node("Identity", ["x"], ["y"])], *infos), device="cpu", threads=1)

    return load


@pytest.mark.parametrize(
    "x",
    [
        np.asfortranarray(X),
        X[::-1, ::-1][::-1, ::-1],
        X.astype(">f4"),
        X.astype(">f8"),
        X.astype(np.longdouble),
        ODD,
        np.ma.array(X),
        X.view(np.memmap),
        np.lib.stride_tricks.as_strided(X, X.shape, X.strides, writeable=False),
        memoryview(X),  # type: ignore[arg-type]
        OnlyDlpack(X),
        [X.tolist()],
    ],
    ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}",
)
@pytest.mark.parametrize("chunks", [False, True])
def test_the_same_numbers_in_every_layout_give_the_same_answer(
    relu: Callable[..., bytes], x: Any, chunks: bool
) -> None:
    data = relu(["batch", 2], ["batch", 2])
    expected = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": X})[0]
    model = seqc_runtime.load(data, device="cpu", threads=1)
    if chunks and isinstance(x, memoryview | OnlyDlpack):
        x = [x]  # which cannot be cut themselves
    y = np.concatenate(list(model.predict_iter(x, 2))) if chunks else model.predict(x)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("element", "x", "most"),
    [
        (TensorProto.FLOAT, np.array([[1e300, 1]]), "3.403e+38; got 1e+300"),
        (TensorProto.FLOAT, np.array([[-1e39, np.inf]]), "3.403e+38; got 1e+39"),
        (TensorProto.FLOAT16, np.array([[70000, 1]], np.float32), "6.55e+04; got 7e+04"),
        (TensorProto.FLOAT16, np.array([[100000, 1]]), "6.55e+04; got 1e+05"),
        (TensorProto.FLOAT16, np.array([[100000, 1]], np.uint32), "6.55e+04; got 1e+05"),
    ],
)
def test_a_number_too_large_for_the_declared_float_does_not_become_infinite(
    echo: Callable[[int], seqc_runtime.Model], element: Any, x: Any, most: str
) -> None:
    with pytest.raises(RuntimeInputError, match=re.escape(most)):
        echo(element).predict(x)


def test_infinity_nan_and_numbers_that_round_to_zero_are_floats(echo: Callable[[int], seqc_runtime.Model]) -> None:
    y = echo(TensorProto.FLOAT).predict(np.array([[np.inf, np.nan], [1e-300, -np.inf]]))
    np.testing.assert_array_equal(y, np.array([[np.inf, np.nan], [0, -np.inf]], np.float32))


@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.predict(MASKED),
        lambda model: model.predict([[MASKED[0], MASKED[1]]]),
        lambda model: model.run({"x": MASKED}),
        lambda model: list(model.predict_iter(MASKED, 2)),
        lambda model: list(model.predict_iter({"x": MASKED})),
        lambda model: list(model.predict_iter(iter([X, MASKED]))),
        lambda model: list(model.predict_iter(iter([[MASKED]]))),
        lambda model: list(model.predict_iter([[MASKED[0], MASKED[1]]])),
    ],
)
def test_masked_values_are_never_taken_for_numbers(
    echo: Callable[[int], seqc_runtime.Model], ask: Callable[..., Any]
) -> None:
    with pytest.raises(RuntimeInputError, match="masked values, which a model cannot see"):
        ask(echo(TensorProto.FLOAT))


def text_of(*values: Any) -> np.ndarray:
    return np.array([values], object)


@pytest.mark.parametrize("missing", [None, 3, 2.5, b"bytes"])
def test_what_is_no_text_never_becomes_text(echo: Callable[[int], seqc_runtime.Model], missing: Any) -> None:
    model, x = echo(TensorProto.STRING), text_of("a", missing)
    for ask in (model.predict, lambda x: model.run({"x": x}), lambda x: list(model.predict_iter(x))):
        with pytest.raises(RuntimeInputTypeError, match=rf"needs text \(str\[batch, 2\]\).*{type(missing).__name__}"):
            ask(x)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy 1 has no such arrays")
@pytest.mark.parametrize("missing", [None, np.nan])
def test_missing_values_of_text_arrays_never_become_text(
    echo: Callable[[int], seqc_runtime.Model], missing: Any
) -> None:
    strings = np.dtypes.StringDType(na_object=missing)
    assert echo(TensorProto.STRING).predict(np.array([["a", "b"]], strings)).tolist() == [["a", "b"]]
    with pytest.raises(RuntimeInputTypeError, match="needs text"):
        echo(TensorProto.STRING).predict(np.array([["a", missing]], strings))


def test_text_arrives_as_it_is_whatever_class_it_is_of(echo: Callable[[int], seqc_runtime.Model]) -> None:
    x = text_of(Colour.RED, np.str_("a\0b"))
    assert echo(TensorProto.STRING).predict(x).tolist() == [["red", "a\0b"]]


def test_half_a_character_is_an_input_error(echo: Callable[[int], seqc_runtime.Model]) -> None:
    for ask in (echo(TensorProto.STRING).predict, lambda x: echo(TensorProto.STRING).run({"x": x})):
        with pytest.raises(RuntimeInputError, match="text that is not Unicode"):
            ask(text_of("\ud800", "b"))


def test_types_numpy_does_not_know_are_called_by_their_name(echo: Callable[[int], seqc_runtime.Model]) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="onnx brings it")
    with pytest.raises(RuntimeInputTypeError, match="got bfloat16: convert it yourself, to float32"):
        echo(TensorProto.FLOAT).predict(np.zeros((1, 2), ml_dtypes.bfloat16))


def test_rows_are_cut_by_position_not_by_label(echo: Callable[[int], seqc_runtime.Model]) -> None:
    parts = list(echo(TensorProto.FLOAT).predict_iter(Labelled(X), 2))
    np.testing.assert_array_equal(np.concatenate(parts), X)


@pytest.mark.parametrize(("x", "message"), [([[[1, 2], [3]]], "lists of different lengths"), ([[[1, 2], 3]], "lists")])
def test_ragged_lists_are_an_input_error_in_chunks_too(
    echo: Callable[[int], seqc_runtime.Model], x: Any, message: str
) -> None:
    with pytest.raises(RuntimeInputError, match=message):
        list(echo(TensorProto.FLOAT).predict_iter(x))


@pytest.mark.parametrize("threshold", [np.float32(1), 1.0, np.array(1.0)])
def test_a_single_value_beside_the_samples_goes_into_each_chunk(make: Callable[..., bytes], threshold: Any) -> None:
    infos = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2]),
        helper.make_tensor_value_info("t", TensorProto.FLOAT, []),
    ]
    data = make(
        [helper.make_node("Add", ["x", "t"], ["y"])],
        infos,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 2])],
    )
    model = seqc_runtime.load(data, device="cpu", threads=1)
    np.testing.assert_array_equal(model.predict([X, threshold], batch_size=2), X + 1)
    np.testing.assert_array_equal(np.concatenate(list(model.predict_iter([X, threshold], 2))), X + 1)


def test_stopping_one_of_eight_threads_leaves_the_others_their_numbers(make: Callable[..., bytes]) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["v", "one"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, ["n"]),
        ],
        [
            helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, ["n"]),
        ],
    )
    data = make(
        [
            helper.make_node("Constant", [], ["one"], value_float=1.0),
            helper.make_node("Loop", ["times", "", "x"], ["y"], body=body),
        ],
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("times", TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    model = seqc_runtime.load(data, device="cpu", threads=1)
    control, stopped, wrong = RunControl(), threading.Event(), []

    def endless() -> None:
        try:
            model.run({"x": np.zeros(1, np.float32), "times": np.array(2**60)}, control=control)
        except RuntimeStoppedError:
            stopped.set()

    def finite(number: int) -> None:
        for times in range(20, 60):
            y = model.predict([np.array([number], np.float32), times])
            if y.tolist() != [number + times]:
                wrong.append((number, times, y))
        control.stop()

    threads = [threading.Thread(target=endless), *(threading.Thread(target=finite, args=(n,)) for n in range(7))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert stopped.is_set()
    assert not wrong


def words_model() -> bytes:
    """A GRU over the numbers of words, as seqc wrote it at first."""
    floats, width = TensorProto.FLOAT, 2
    tensors = [
        helper.make_tensor("w", floats, [1, 3 * width, 1], np.ones(3 * width, np.float32)),
        helper.make_tensor("r", floats, [1, 3 * width, width], np.ones(3 * width * width, np.float32)),
        helper.make_tensor("last", TensorProto.INT64, [1], [2]),
    ]
    nodes = [
        helper.make_node("StringSplit", ["x"], ["words", "n"]),
        helper.make_node("LabelEncoder", ["words"], ["ids"], "", keys_strings=["a"], values_floats=[1.0], domain=ML),
        helper.make_node("Transpose", ["ids"], ["turned"]),
        helper.make_node("Unsqueeze", ["turned", "last"], ["steps"]),
        helper.make_node("GRU", ["steps", "w", "r"], ["", "y"], hidden_size=width),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["batch"])],
        [helper.make_tensor_value_info("y", floats, [1, "batch", width])],
        tensors,
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(ML, 2)]
    result: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return result


def test_texts_without_words_do_not_end_the_process() -> None:
    """GRU of onnxruntime does so over no steps."""
    model = seqc_runtime.load(words_model(), device="cpu", warm_up=True)
    assert model.predict(np.array(["a b", ""], object)).shape == (1, 2, 2)
    uses: list[Callable[[Any], Any]] = [model.predict, lambda x: model.run({"x": x})]
    for texts in ([""], [" \t\n"], ["", " "]):
        for use in uses:
            with pytest.raises(RuntimeInputError, match="no text in input 'x' has a word"):
                use(np.array(texts, object))
    assert model.predict(np.array(["!"], object)).shape == (1, 1, 2)


def test_files_that_have_one_word_at_least_take_texts_without_words() -> None:
    operators = {"StringSplit", "GRU", "Loop"}
    assert blanks_of(operators) == string.whitespace + string.punctuation
    assert blanks_of(operators | {"Max"}) == blanks_of({"StringSplit", "Gemm"}) == blanks_of({"GRU"}) == ""
