"""Whole numbers that rounding decides: which ones a file may give, and that it may give no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.cli_models import seqc
from kit.small_graphs import BATCH, graph
from seqc import Input, Model, layers, ops, utils
from seqc.errors import VerificationError
from seqc.export import compile_graph, compile_with_names
from seqc.export.target import onnx_target
from seqc.export.ties import Ties
from seqc.graph import ir
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph
from seqc.passes.precision import promote_floats
from seqc.sure import present

onnx_models = pytest.importorskip("kit.onnx_models", reason="needs onnx")
records: Any = pytest.importorskip("seqc.export.record")
verification: Any = pytest.importorskip("seqc.export.verify")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")


def content(g: Graph) -> bytes:
    shown: bytes = onnx_models.content(compile_graph(g))
    return shown


def verify(g: Graph) -> Any:
    emission = compile_with_names(g, onnx_target())
    return verification.verify(g, onnx_models.content(emission.model), emission, threads=1)


def eight_bits(*axes: Any) -> ir.Value:
    return ir.input_value("x", "uint8", (BATCH, *axes))


@pytest.mark.parametrize("size", [(24, 24), (40, 28)])
@pytest.mark.parametrize("how", ["bilinear", "bicubic"])
def test_whole_numbers_may_be_rounded_either_way_near_a_border(size: tuple[int, int], how: str) -> None:
    x = eight_bits(32, 32, 3)
    g = graph(x, ops.image.resize(x, size, how))
    assert verify(g).passed
    lifted = graph(x, ops.minimum(ops.image.resize(x, size, how), 254))
    with pytest.raises(VerificationError, match="whole numbers"):
        verification.verify(lifted, content(g), threads=1)
    cut = graph(x, ops.cast(ops.floor(ops.image.resize(ops.cast(x, "float32"), size, how)), "uint8"))
    with pytest.raises(VerificationError, match="whole numbers"):
        verification.verify(g, content(cut), threads=1)


def near_each_other(rows: int) -> np.ndarray:
    """Returns weights for scores of which the second and fourth differ by rounding errors at most, and far others."""
    w = np.random.default_rng(0).normal(size=(rows, 5)).astype("f")
    w[:, 3] = w[::-1, 1]
    return w


PLACES: dict[str, Callable[[Any], Any]] = {
    "argmax": lambda y: ops.argmax(y, -1),
    "argmin": lambda y: ops.cast(ops.argmin(y, -1), "uint8"),
    "top_k": lambda y: ops.transpose(ops.top_k(y, 3)[1], (1, 0)),
    "argsort": lambda y: ops.argsort(y, -1),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_may_be_those_of_numbers_that_rounding_makes_equal(name: str) -> None:
    x = ir.input_value("x", "float32", (40, 64))
    w = near_each_other(64)
    # Added up from the other end, the same numbers are rounded otherwise.
    one, other = (ops.matmul(x + ops.flip(x, 1), ops.array(a)) for a in (w, w[::-1].copy()))
    g, turned = (graph(x, PLACES[name](y)) for y in (one, other))
    array = np.random.default_rng(1).normal(size=(40, 64)).astype("f")
    low, high = present(Ties(g).near(0, [array]))
    (got,) = Interpreter(turned).run([array])
    assert np.all((low <= got) & (got <= high))
    # One of five is decided by others than the two, and what is far is decided.
    assert 0.2 < np.mean(high > low) < 0.9
    assert set(np.unique(low[high > low])) == {1}
    assert set(np.unique(high[high > low])) == {3}
    exact = Interpreter(promote_floats(g)).run([array.astype("d")])[0]
    np.testing.assert_array_equal(np.where(high > low, exact, low), exact)
    wrong = graph(x, PLACES[name](one * np.array([1, 1, 2, 1, 1], "f")))
    with pytest.raises(VerificationError, match="whole numbers"):
        verification.verify(g, content(wrong), threads=1)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("mask", [-1e9, 1e9])
def test_one_number_with_a_large_error_leaves_the_others_their_places(name: str, mask: float) -> None:
    x = ir.input_value("x", "float32", (40, 64))
    w = np.random.default_rng(0).normal(size=(64, 5)).astype("f")
    far = np.array([0, 0, mask, 0, 0], "f")
    scores = ops.matmul(x, ops.array(w))
    g = graph(x, PLACES[name](scores + far))
    array = np.random.default_rng(1).normal(size=(40, 64)).astype("f")
    low, high = present(Ties(g).near(0, [array]))
    np.testing.assert_array_equal(low, high)
    np.testing.assert_array_equal(low, Interpreter(promote_floats(g)).run([array.astype("d")])[0])
    wrong = graph(x, PLACES[name](scores * np.array([1, 3, 1, 1, 1], "f") + far))
    if not np.array_equal(Interpreter(wrong).run([array])[0], Interpreter(g).run([array])[0]):
        with pytest.raises(VerificationError, match="whole numbers"):
            verification.verify(g, content(wrong), threads=1)


def test_a_number_with_errors_beyond_its_borders_is_near_none() -> None:
    x = ir.input_value("x", "float32", (64,))
    g = graph(x, ops.cast(ops.round((x * 10.0 + 1e8) - 1e8), "int32"))
    ends = Ties(g).near(0, [np.linspace(0, 9, 64, dtype=np.float32)])
    assert ends is not None
    low, high = ends
    assert np.max(high - low) <= 1
    assert np.unique(low).size > 50


@pytest.mark.parametrize("head", ["argmax", "top_k:5"])
def test_classes_of_cells_that_are_full_export_with_a_record(head: str, tmp_path: Path) -> None:
    utils.set_random_seed(11)
    x = Input((None, 6), name="x")
    y = layers.Dense(7, activation="softmax")(layers.LSTM(5, return_sequences=True)(x))
    Model(x, y).export(tmp_path / "m.onnx", input_dtype="uint8", head=head, record=True)
    seqc("verify", tmp_path / "m.onnx")


@pytest.mark.parametrize("head", ["argmax", "top_k:3"])
def test_classes_of_pixels_in_half_precision_export_with_a_record(head: str, tmp_path: Path) -> None:
    utils.set_random_seed(1)
    x = Input((24, 24, 3), name="x")
    y = layers.Conv2D(30, 1, activation="softmax")(layers.Conv2D(4, 3, activation="relu")(x))
    Model(x, y).export(tmp_path / "m.onnx", precision="float16", head=head, record=True)
    seqc("verify", tmp_path / "m.onnx")
    case = records.read_record(records.record_path(tmp_path / "m.onnx")).cases[-1]
    classes = max(case.near)
    low, high = case.near[classes]
    assert np.all((low <= case.truth[classes]) & (case.truth[classes] <= high))
    assert np.mean(low == high) > 0.75
