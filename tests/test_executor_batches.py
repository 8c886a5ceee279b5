"""Models whose layers see a batch as something else than samples, in the tiled and in the naive executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.executor_runs import Conditions, assert_same, twin
from seqc import layers, ops
from seqc.errors import ShapeError
from seqc.ops.nonlinear import Softsign
from seqc.ops.normalization import LayerNormalization
from seqc.ops.steps import Scan

Made = Callable[[Any], Any]
SMALL_TILES = (Conditions(1, 300), Conditions(3, 1, tiny=True))


def model_of(function: Made, shape: tuple[int, ...] = (5,)) -> keras.Model:
    inputs = keras.Input(shape)
    return keras.Model(inputs, function(inputs))


def as_one_sequence(layer: Any) -> Made:
    return lambda x: layers.Dense(1)(ops.squeeze(layer(ops.expand_dims(x, 0)), 0))


def as_one_image(layer: Any) -> Made:
    return lambda x: layers.Dense(1)(ops.squeeze(layer(ops.reshape(x, (1, -1, 5, 1))), 0)[:, 0])


ACROSS_SAMPLES: dict[str, Made] = {
    "conv": as_one_sequence(layers.Conv1D(4, 5, padding="same")),
    "depthwise": as_one_sequence(layers.DepthwiseConv1D(3, padding="same")),
    "transposed": as_one_sequence(layers.Conv1DTranspose(4, 5, padding="same")),
    "max": as_one_sequence(layers.MaxPooling1D(5, strides=1, padding="same")),
    "mean": as_one_sequence(layers.AveragePooling1D(5, strides=1, padding="same")),
    "image": as_one_image(layers.Conv2D(2, 3, padding="same")),
    "lstm": as_one_sequence(layers.LSTM(3, return_sequences=True)),
    "gru": as_one_sequence(layers.GRU(3, return_sequences=True)),
    "rnn": as_one_sequence(layers.SimpleRNN(3, return_sequences=True)),
}


# Views of all samples, of which a tile's part does not lie as it would in memory of its own.
TURNED: dict[str, Made] = {
    "merged": lambda x: layers.Dense(1)(ops.reshape(ops.tanh(ops.reshape(ops.flip(x, 0), (-1, 4))), (-1, 12)) * 2.0),
    "sliced": lambda x: layers.Dense(1)(ops.reshape(ops.reshape(x[::-1], (-1, 2)), (-1, 12))),
    "distributed": lambda x: layers.Dense(1)(layers.Flatten()(layers.TimeDistributed(layers.Dense(3))(ops.flip(x, 0)))),
    "mixed": lambda x: layers.Dense(1)(ops.reshape(0.5 * x + 0.5 * ops.flip(x, 0), (-1, 12))),
}


@pytest.mark.parametrize("name", TURNED)
def test_samples_the_other_way_round_are_joined_with_other_axes(name: str, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(23, 3, 4)).astype("float32"), rng.normal(size=(23, 1)).astype("float32")
    both = twin(model_of(TURNED[name], (3, 4)), [x, y], "adam", "mse")
    for conditions in SMALL_TILES:
        assert_same(both, [[x, y], [x[:1], y[:1]]], conditions)


@pytest.mark.parametrize("name", ACROSS_SAMPLES)
def test_samples_that_are_steps_of_one_sequence_are_not_cut_apart(name: str, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(23, 5)).astype("float32"), rng.normal(size=(23, 1)).astype("float32")
    both = twin(model_of(ACROSS_SAMPLES[name]), [x, y], "adam", "mse")
    for conditions in SMALL_TILES:
        assert_same(both, [[x, y], [x[:4], y[:4]]], conditions)


class Applied(keras.layers.Layer):
    """A layer that applies a function."""

    def __init__(self, function: Made) -> None:
        super().__init__()
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


# By NumPy's rules, on the batch that there is.
SLICED: dict[str, tuple[Made, Callable[[np.ndarray], Any]]] = {
    "first": (lambda x: x[:4] + 1.0, lambda x: x[:4] + 1),
    "last": (lambda x: x[-3:] * 2.0, lambda x: x[-3:] * 2),
    "middle": (lambda x: x[1:3] * 2.0, lambda x: x[1:3] * 2),
    "rest": (lambda x: x[2:] * 2.0, lambda x: x[2:] * 2),
    "every other": (lambda x: x[:5:2] * 2.0, lambda x: x[:5:2] * 2),
    "many": (lambda x: x[:1000] * 2.0, lambda x: x[:1000] * 2),
    "product": (lambda x: x @ ops.transpose(x[:4]), lambda x: x @ x[:4].T),
    "mean": (lambda x: x - ops.mean(x[:4], 0), lambda x: x - x[:4].mean(0)),
    "half": (lambda x: x[: ops.shape(x)[0] // 2 + 2] + 1.0, lambda x: x[: len(x) // 2 + 2] + 1),
}


@pytest.mark.parametrize("name", SLICED)
def test_slices_that_reach_beyond_a_batch_give_the_rows_there_are(name: str, rng: np.random.Generator) -> None:
    function, plain = SLICED[name]
    model = model_of(Applied(function), (3,))
    x = rng.normal(size=(9, 3)).astype("float32")
    for rows in (9, 2, 1, 7):
        np.testing.assert_allclose(model.predict_on_batch(x[:rows]), plain(x[:rows]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("naive", [False, True])
def test_a_loss_of_the_first_rows_learns_of_a_batch_with_fewer(naive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if naive:
        monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    x = np.sin(np.arange(27) * 0.37).reshape(9, 3).astype("float32")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.01), lambda y, p: ops.mean(ops.square(p[:4] + 1.0)))
    model.fit(x, x[:, :1], batch_size=8, shuffle=False, verbose=0)
    w, b = np.ones((3, 1)), np.zeros(1)
    for rows in (x[:4], x[8:]):
        error = 2 * (rows @ w + b + 1) / len(rows)
        w, b = w - 0.01 * rows.T @ error, b - 0.01 * error.sum(0)
    for got, wanted in zip(model.get_weights(), (w, b), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5)


def test_a_loss_may_join_the_rows_of_a_batch_two_by_two(rng: np.random.Generator) -> None:
    def loss(y: Any, z: Any) -> Any:
        pairs = ops.reshape(z, (-1, 2, 4))
        return ops.mean(ops.square(pairs[:, 0] - pairs[:, 1]))

    x = rng.normal(size=(10, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4)])
    model.compile(keras.optimizers.SGD(0.0), loss)
    z = model.predict(x, verbose=0)
    wanted = np.mean(np.square(z[::2] - z[1::2]))
    history = model.fit(x, x, batch_size=6, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(history, [wanted], rtol=1e-5)
    with pytest.raises(ShapeError, match="evenly"):
        model.train_on_batch(x[:3], x[:3])


@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_what_numpy_refuses_says_in_which_layer(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("operands could not be broadcast")

    model = model_of(layers.Activation("softsign", name="bent"), (3,))
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    monkeypatch.setattr(Softsign, "eval", broken)
    with pytest.raises(ValueError, match="broadcast") as caught:
        model.predict_on_batch(np.ones((2, 3), "float32"))
    assert caught.value.__notes__ == ["This happened in layer 'bent'."]


SCANNED: dict[str, Callable[[], Any]] = {
    "ConvLSTM1D": lambda: layers.ConvLSTM1D(2, 3),
    "GRU with an activation of no kernel": lambda: layers.GRU(2, activation="mish"),
    "cells in a stack": lambda: layers.RNN([layers.GRUCell(2, activation="mish"), layers.LSTMCell(3)]),
}


@pytest.mark.parametrize("name", SCANNED)
def test_layers_that_go_step_by_step_are_cut_into_samples(name: str) -> None:
    x = keras.Input((None, 6, 2) if name == "ConvLSTM1D" else (None, 4))
    graph, _ = keras.Model(x, SCANNED[name]()(x)).graph()
    scans = [v for v in graph.walk() if isinstance(v.op, Scan)]
    assert scans
    assert {v.op.batch_rule(v) for v in scans} == {"parallel"}


def test_normalization_of_a_time_major_model_is_cut_into_samples() -> None:
    x = keras.Input((5, 4))
    steps_first = ops.transpose(x, (1, 0, 2))
    graph, _ = keras.Model(x, ops.transpose(layers.LayerNormalization()(steps_first), (1, 0, 2))).graph()
    (normal,) = [v for v in graph.walk() if isinstance(v.op, LayerNormalization)]
    assert normal.op.batch_rule(normal) == "parallel"
