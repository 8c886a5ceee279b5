"""Sizes that inputs leave open: each its own, unless a layer needs them to be equal; by numbers, in onnxruntime."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import SeqcError, ShapeError
from seqc.export.model import inference_graph
from seqc.graph import dims
from seqc.graph.equal_sizes import EqualSizes


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype("float32")


def axes(path: Path) -> dict[str, list[Any]]:
    """The sizes of inputs and outputs in a file, by name."""
    graph = onnx.load(path).graph
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*graph.input, *graph.output)
    }


def run(path: Path, fed: dict[str, Any]) -> list[np.ndarray]:
    result: list[np.ndarray] = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, fed)
    return result


def seq2seq() -> Any:
    source, target = keras.Input((None, 3), name="source"), keras.Input((None, 2), name="target")
    _, *states = layers.LSTM(4, return_state=True)(source)
    return keras.Model([source, target], layers.LSTM(4, return_sequences=True)(target, initial_state=states))


def attended(mask: bool) -> Any:
    source, target = keras.Input((None,), dtype="int32", name="source"), keras.Input((None, 4), name="target")
    seen = layers.Embedding(6, 4, mask_zero=mask)(source)
    y = layers.MultiHeadAttention(2, 3)(layers.GRU(4, return_sequences=True)(target), seen)
    return keras.Model([source, target], layers.Concatenate(1)([y, layers.Dense(4)(seen)]))


def masked_by_an_input(first: bool) -> Any:
    x, mask = keras.Input((None, 3), name="x"), keras.Input((None,), dtype="bool", name="mask")
    y = layers.GRU(4, return_sequences=True)(x, mask=mask)
    return keras.Model([mask, x] if first else [x, mask], layers.LSTM(2)(y, mask=mask))


def pairs() -> Any:
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    return keras.Model([a, b], ops.matmul(a, ops.transpose(b, (0, 2, 1))))


def added() -> Any:
    a, b, c = (keras.Input((None, 3), name=name) for name in "abc")
    return keras.Model([a, b, c], [layers.Add()([a, b]), layers.LSTM(2)(c)])


def shifted() -> Any:
    """A size that is one less than another."""
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    return keras.Model([a, b], a[:, 1:] + b)


def joined_and_added() -> Any:
    a, b, c = (keras.Input((None, 3), name=name) for name in "abc")
    return keras.Model([a, b, c], layers.Concatenate(1)([a, b]) * c)


def halves() -> Any:
    """Halves that are equal; wholes may not be, but the file says so."""
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    return keras.Model([a, b], layers.Add()([layers.MaxPooling1D(2)(a), layers.AveragePooling1D(2)(b)]))


def fixed() -> Any:
    a, b = keras.Input((None, 3), name="a"), keras.Input((5, 3), name="b")
    return keras.Model([a, b], layers.Multiply()([a, b]))


def through_a_model() -> Any:
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    return keras.Model([a, b], [larger(a, b), layers.GlobalMaxPooling1D()(a)])


def larger(a: Any, b: Any) -> Any:
    x, y = keras.Input((None, 3), name="x"), keras.Input((None, 3), name="y")
    return keras.Model([x, y], ops.maximum(x, y))([a, b])


def images() -> Any:
    a, b = keras.Input((None, None, 2), name="a"), keras.Input((None, None, 2), name="b")
    return keras.Model([a, b], [layers.Conv2D(3, 2)(a), layers.Conv2D(2, 3, padding="same")(b)])


def square() -> Any:
    a = keras.Input((None, None), name="a")
    return keras.Model(a, a + ops.transpose(a, (0, 2, 1)))


def image_and_text() -> Any:
    a, b = keras.Input((None, None, 2), name="a"), keras.Input((None, 3), name="b")
    pooled = [layers.GlobalAveragePooling2D()(layers.Conv2D(3, 2)(a)), layers.GRU(3)(b)]
    return keras.Model([a, b], layers.Add()(pooled))


def reshaped() -> Any:
    """Sizes of another input among the new ones, with and without one that is left open."""
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    batch, steps, features = ops.shape(b)
    one = ops.reshape(a, (-1, steps, features))
    return keras.Model([a, b], [one, ops.reshape(a, (batch, steps, 3)), ops.reshape(b, (batch, steps * 3))])


def attended_with_a_mask() -> Any:
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    seen = keras.Input((None, None), dtype="bool", name="seen")
    y = layers.MultiHeadAttention(2, 3)(a, b, attention_mask=seen)
    return keras.Model([a, b, seen], layers.Attention()([y, b], use_causal_mask=True))


CASES: dict[str, tuple[Callable[[], Any], dict[str, list[Any]], list[Any]]] = {
    "seq2seq": (
        seq2seq,
        {"source": ["batch", "source_time", 3], "target": ["batch", "target_time", 2]},
        [(2, 5, 3), (2, 9, 2)],
    ),
    "attention": (
        lambda: attended(False),
        {"source": ["batch", "features"], "target": ["batch", "time", 4]},
        [(2, 5), (2, 3, 4)],
    ),
    "attention_masked": (
        lambda: attended(True),
        {"source": ["batch", "features"], "target": ["batch", "time", 4]},
        [(2, 3), (2, 7, 4)],
    ),
    "mask": (
        lambda: masked_by_an_input(False),
        {"x": ["batch", "time", 3], "mask": ["batch", "time"]},
        [(3, 5, 3), (3, 5)],
    ),
    "mask_first": (
        lambda: masked_by_an_input(True),
        {"x": ["batch", "time", 3], "mask": ["batch", "time"]},
        [(3, 5), (3, 5, 3)],
    ),
    "pairs": (pairs, {"a": ["batch", "a_time", 3], "b": ["batch", "b_time", 3]}, [(2, 4, 3), (2, 7, 3)]),
    "added": (
        added,
        {"a": ["batch", "a_time", 3], "b": ["batch", "a_time", 3], "c": ["batch", "c_time", 3]},
        [(2, 4, 3), (2, 4, 3), (2, 7, 3)],
    ),
    "shifted": (shifted, {"a": ["batch", "time + 1", 3], "b": ["batch", "time", 3]}, [(2, 4, 3), (2, 3, 3)]),
    "joined": (joined_and_added, {}, [(2, 4, 3), (2, 3, 3), (2, 7, 3)]),
    "halves": (halves, {"a": ["batch", "time", 3], "b": ["batch", "time", 3]}, [(2, 7, 3), (2, 7, 3)]),
    "fixed": (fixed, {"a": ["batch", 5, 3], "b": ["batch", 5, 3]}, [(2, 5, 3), (2, 5, 3)]),
    "through_a_model": (
        through_a_model,
        {"a": ["batch", "time", 3], "b": ["batch", "time", 3]},
        [(2, 4, 3), (2, 4, 3)],
    ),
    "images": (
        images,
        {"a": ["batch", "a_height", "a_width", 2], "b": ["batch", "b_height", "b_width", 2]},
        [(2, 4, 5, 2), (2, 6, 3, 2)],
    ),
    "reshaped": (
        reshaped,
        {"a": ["batch", "time", 3], "b": ["batch", "time", 3]},
        [(2, 4, 3), (2, 4, 3)],
    ),
    "attention_mask": (
        attended_with_a_mask,
        {"a": ["batch", "a_time", 3], "b": ["batch", "b_time", 3], "seen": ["batch", "a_time", "b_time"]},
        [(2, 4, 3), (2, 6, 3), (2, 4, 6)],
    ),
    "square": (square, {"a": ["batch", "time", "time"]}, [(2, 4, 4)]),
    "image_and_text": (
        image_and_text,
        {"a": ["batch", "height", "width", 2], "b": ["batch", "time", 3]},
        [(2, 4, 5, 2), (2, 6, 3)],
    ),
}


def fill(symbol: Any, shape: tuple[int, ...]) -> np.ndarray:
    a = numbers(*shape)
    if symbol.dtype == "int32":
        result: np.ndarray = np.abs(a * 3).astype("int32") % 6
        return result
    return a > -0.5 if symbol.dtype == "bool" else a


@pytest.mark.parametrize("case", CASES)
def test_files_take_the_lengths_that_the_model_takes(case: str, tmp_path: Path) -> None:
    make, named, shapes = CASES[case]
    model, path = make(), tmp_path / "m.onnx"
    model.export(path)
    found = axes(path)
    assert {name: found[name] for name in named} == named
    fed = {x.op.label: fill(x, shape) for x, shape in zip(model.inputs, shapes, strict=True)}
    wanted = model.predict(fed, verbose=0)
    for got, want in zip(run(path, fed), wanted if isinstance(wanted, list) else [wanted], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_predictions_at_different_lengths_are_those_of_the_naive_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fed = attended(True), [np.array([[1, 2, 0], [3, 0, 0]], "int32"), numbers(2, 7, 4)]
    tiled = model.predict(fed, verbose=0)
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    again = keras.Model(model.inputs, model.outputs[0])
    np.testing.assert_allclose(tiled, again.predict(fed, verbose=0), rtol=1e-5, atol=1e-6)


def test_a_size_that_depends_on_two_inputs_is_said_in_the_file(tmp_path: Path) -> None:
    joined_and_added().export(tmp_path / "m.onnx")
    found = axes(tmp_path / "m.onnx")
    # Whichever of the three is said in terms of the others, the sum is right.
    a, b, c = (str(found[name][1]) for name in "abc")
    sizes = dict(zip(("a_time", "b_time", "c_time"), (4, 3, 7), strict=True))
    assert [eval(text, {}, sizes) for text in (a, b, c)] == [4, 3, 7]


def test_the_verifier_runs_the_file_at_lengths_that_differ(tmp_path: Path) -> None:
    receipt = seq2seq().export(tmp_path / "m.onnx")
    assert any(sizes["source_time"] != sizes["target_time"] for sizes in receipt.report.sizes)


def test_a_model_of_one_input_names_its_axes_as_a_stack_does() -> None:
    x = keras.Input((None, 3), name="x")
    layer = layers.Conv1D(2, 3)
    functional = inference_graph(keras.Model(x, layer(x)))
    stack = inference_graph(keras.Sequential([keras.Input((None, 3)), layers.Conv1D(2, 3)]))
    for one, other in zip((*functional.inputs, *functional.outputs), (*stack.inputs, *stack.outputs), strict=True):
        assert one.type == other.type


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda a, b: a + a[:, 1:], "a.time"),
        (lambda a, b: layers.LSTM(2)(a, mask=ops.ones_like(a[:, 1:, 0], "bool")), "needs a mask"),
    ],
)
def test_what_can_never_be_equal_is_refused_at_once(make: Any, message: str) -> None:
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    with pytest.raises(ShapeError, match=message):
        make(a, b)


def test_sizes_that_cannot_all_be_equal_are_refused_at_export(tmp_path: Path) -> None:
    a, b = (keras.Input((None, 3), name=name) for name in "ab")
    model = keras.Model([a, b], [a + b, a[:, 1:] + b])
    with pytest.raises(ShapeError, match="time"):
        model.export(tmp_path / "m.onnx")


def test_the_batch_is_equal_to_nothing_else() -> None:
    a, b = keras.Input((None,), name="a"), keras.Input((), name="b")
    with pytest.raises(SeqcError, match=re.escape("batch")):
        a + b


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ("t", "u", {"t": "u"}),
        ("2*t", "2*u + 4", {"t": "u + 2"}),
        ("t + u", "v", {"t": "-u + v"}),
        ("t", "5", {"t": "5"}),
        ("t", "t + 1", None),
        ("t + 3", "2", None),
        ("t", "batch", None),
        ("t*u", "v*w", {"v": "t", "w": "u"}),
        ("batch*t", "batch*u", {"u": "t"}),
    ],
)
def test_equations(one: str, other: str, found: dict[str, str] | None) -> None:
    names = {name: dims.symbol(name) for name in ("t", "u", "v", "w", "batch")}
    equal = EqualSizes(free="tuvw")
    left, right = eval(one, {}, names), eval(other, {}, names)
    assert equal.require(left, right) == (found is not None)
    assert {name: str(dim) for name, dim in equal.found.items()} == (found or {})
    if found is not None:
        assert equal.applied(left) == equal.applied(right)
