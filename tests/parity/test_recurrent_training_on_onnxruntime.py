"""Training steps of recurrent models: ONNX has no gradient of its recurrent operators, and computes it all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.graph_runs import step_file
from kit.step_runs import Row, check_steps, classes, traced
from seqc import layers
from seqc.model import Model

STEPS, FEATURES = 6, 3


def masked_data(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows without a masked step, with the last ones, the first ones, some between, and all masked."""
    x, y = classes((STEPS, FEATURES))(rng, n)
    assert isinstance(x, np.ndarray)
    x[1::5, 3:] = x[2::5, :2] = x[3::5, 1:5:2] = x[4::5] = 0
    return x, y


def tokens(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 9, (n, STEPS)).astype("int32"), rng.integers(0, 3, n)


def with_state(rng: np.random.Generator, n: int) -> tuple[list[np.ndarray], np.ndarray]:
    x, y = masked_data(rng, n)
    return [x, rng.normal(size=(n, 4)).astype("float32")], y


def stack(*inner: Callable[[], Any], masked: bool = False, time: int | None = STEPS) -> Callable[[], Model]:
    def build() -> Model:
        first = [layers.Masking()] if masked else []
        made = [layer() for layer in inner]
        return keras.Sequential([keras.Input((time, FEATURES)), *first, *made, layers.Dense(3, activation="softmax")])

    return build


def of_tokens(*inner: Callable[[], Any]) -> Callable[[], Model]:
    return lambda: keras.Sequential(
        [
            keras.Input((STEPS,), dtype="int32"),
            layers.Embedding(9, 4, mask_zero=True),
            *(layer() for layer in inner),
            layers.Dense(3, activation="softmax"),
        ]
    )


def started(kind: Callable[..., Any], masked: bool) -> Callable[[], Model]:
    """A model with states that come from outside and go on from one layer to the next."""

    def build() -> Model:
        x, h = keras.Input((STEPS, FEATURES)), keras.Input((4,))
        seen = layers.Masking()(x) if masked else x
        start = [layers.Dense(4, activation="tanh")(h) for _ in range(2 if kind is layers.LSTM else 1)]
        y, *states = kind(4, return_sequences=True, return_state=True)(seen, initial_state=start)
        last = kind(4, go_backwards=True)(y, initial_state=states)
        return keras.Model([x, h], layers.Dense(3, activation="softmax")(layers.Concatenate()([last, *states])))

    return build


def sgd() -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(0.2, momentum=0.9)


def adam() -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(0.01)


KINDS: dict[str, Callable[..., Any]] = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}
CROSS = "sparse_categorical_crossentropy"


def rows() -> list[Row]:
    plain, found = classes((STEPS, FEATURES)), []
    for name, kind in KINDS.items():

        def make(kind: Any = kind, **options: Any) -> Callable[[], Any]:
            return lambda: kind(4, **options)

        def both(kind: Any = kind, **options: Any) -> Callable[[], Any]:
            return lambda: layers.Bidirectional(kind(3, **options))

        whole = {"return_sequences": True}
        found += [
            Row(f"{name}-last", stack(make()), plain, sgd, CROSS),
            Row(f"{name}-any-length", stack(make(**whole), make(), time=None), plain, adam, CROSS, weighted=True),
            Row(f"{name}-stacked", stack(make(**whole), both(**whole), layers.GlobalMaxPooling1D), plain, adam, CROSS),
            Row(f"{name}-masked", stack(make(**whole), make(go_backwards=True), masked=True), masked_data, sgd, CROSS),
            Row(f"{name}-tokens", of_tokens(both(**whole), both()), tokens, adam, CROSS),
            Row(f"{name}-state", started(kind, False), with_state, sgd, CROSS),
            Row(f"{name}-masked-state", started(kind, True), with_state, adam, CROSS),
        ]
    zeros = {"return_sequences": True, "zero_output_for_mask": True}
    others: dict[str, Callable[[], Any]] = {
        "gru-before": lambda: layers.GRU(4, reset_after=False, activation="softsign", return_sequences=True),
        "lstm-hard": lambda: layers.LSTM(
            4, recurrent_activation="hard_sigmoid", activation="relu", use_bias=False, return_sequences=True
        ),
        "gru-zeros": lambda: layers.GRU(4, **zeros),
        "lstm-zeros": lambda: layers.LSTM(4, go_backwards=True, dropout=0.3, kernel_regularizer="l2", **zeros),
        "lstm-steps": lambda: layers.LSTM(4, activation="silu", recurrent_dropout=0.2, return_sequences=True),
    }
    for name, layer in others.items():
        found.append(Row(name, stack(layer, lambda: layers.SimpleRNN(3), masked=True), masked_data, sgd, CROSS))
    return found


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.slow] * (i % 4 > 0), id=row.name) for i, row in enumerate(rows())]
)
def test_twenty_steps_on_onnxruntime_equal_twenty_on_numpy(row: Row, rng: np.random.Generator) -> None:
    check_steps(row, rng)


@pytest.mark.slow
def test_the_file_does_not_grow_with_the_steps(rng: np.random.Generator) -> None:
    onnx = pytest.importorskip("onnx")
    counts = []
    for steps in (6, 200):
        build = stack(lambda: layers.LSTM(4), time=steps)
        step, _ = traced(Row("", build, classes((steps, FEATURES)), sgd, CROSS), rng)
        nodes = onnx.load_from_string(step_file(step.graph)).graph.node
        assert [n.op_type for n in nodes if n.op_type in ("LSTM", "Scan")].count("Scan") == 2
        counts.append(len(nodes))
    assert counts[0] == counts[1]
