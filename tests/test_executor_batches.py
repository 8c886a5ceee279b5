"""Models whose layers see a batch as something else than samples, in the tiled and in the naive executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.executor_runs import Conditions, assert_same, twin
from seqc import layers, ops

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
