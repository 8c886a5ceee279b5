"""Bidirectional beyond the recorded cases: what it is made of, how it merges, what it is given and gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seqc import Input, Sequential, layers
from seqc.errors import ConfigError, LayerError
from seqc.serialization import deserialize, serialize_object

CELLS = [layers.LSTM, layers.GRU, layers.SimpleRNN]


def both_outputs(layer: layers.Bidirectional, x: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    forward, back = (np.asarray(one(x, **options)) for one in (layer.forward_layer, layer.backward_layer))
    return forward, back[:, ::-1] if layer.return_sequences else back


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_are_merged(cell: Any, sequences: bool, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    merged: dict[str, Callable[..., np.ndarray]] = {
        "concat": lambda a, b: np.concatenate([a, b], -1),
        "sum": np.add,
        "mul": np.multiply,
        "ave": lambda a, b: (a + b) / 2,
    }
    for mode, function in merged.items():
        layer = layers.Bidirectional(cell(5, return_sequences=sequences), merge_mode=mode)
        y = np.asarray(layer(x))
        np.testing.assert_allclose(y, function(*both_outputs(layer, x)), atol=1e-6)
    layer = layers.Bidirectional(cell(5, return_sequences=sequences), merge_mode=None)
    for got, wanted in zip(layer(x), both_outputs(layer, x), strict=True):
        np.testing.assert_allclose(np.asarray(got), wanted, atol=1e-6)


def test_the_two_layers_are_copies_with_names_and_weights_of_their_own() -> None:
    given = layers.GRU(4, name="memory", kernel_regularizer="l2")
    layer = layers.Bidirectional(given)
    layer.build((None, 5, 3))
    assert not given.built
    assert (layer.forward_layer.name, layer.backward_layer.name) == ("forward_memory", "backward_memory")
    assert (layer.forward_layer.go_backwards, layer.backward_layer.go_backwards) == (False, True)
    assert len(layer.weights) == 6
    assert len(layer.losses) == 2
    forward, backward = (w.numpy() for w in layer.weights if w.name == "kernel")
    assert not np.array_equal(forward, backward)


def test_a_name_with_the_prefix_already_keeps_one() -> None:
    assert layers.Bidirectional(layers.LSTM(2, name="forward_lstm")).forward_layer.name == "forward_lstm"


def test_the_layer_of_the_other_direction_may_be_another_one(rng: np.random.Generator) -> None:
    back = layers.GRU(3, go_backwards=True)
    layer = layers.Bidirectional(layers.LSTM(3), backward_layer=back)
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    y = np.asarray(layer(x))
    assert layer.backward_layer is back
    copy = deserialize(serialize_object(layer))
    copy(x)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(copy(x)), y)


def test_a_layer_that_runs_backwards_already_needs_one_for_the_other_direction() -> None:
    with pytest.raises(ConfigError, match="should have different `go_backwards` value"):
        layers.Bidirectional(layers.LSTM(3, go_backwards=True))


def test_states_are_given_and_taken_forwards_first(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 4, 3)).astype("float32")
    states = [rng.normal(size=(2, 5)).astype("float32") for _ in range(4)]
    layer = layers.Bidirectional(layers.LSTM(5, return_state=True))
    y, *last = layer(x, initial_state=states)
    assert len(last) == 4
    forward = layer.forward_layer(x, initial_state=states[:2])
    back = layer.backward_layer(x, initial_state=states[2:])
    np.testing.assert_allclose(np.asarray(y), np.concatenate([forward[0], back[0]], -1), atol=1e-6)
    for got, wanted in zip(last, [*forward[1:], *back[1:]], strict=True):
        np.testing.assert_allclose(np.asarray(got), np.asarray(wanted), atol=1e-6)


def test_masked_steps_are_zero_in_both_directions(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 4, 3)).astype("float32")
    mask = np.array([[True, False, True, False]])
    y = np.asarray(layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True))(x, mask=mask))
    np.testing.assert_array_equal(y[0, [1, 3]], 0)
    assert (y[0, [0, 2]] != 0).all()


def test_weights_to_start_with() -> None:
    first = layers.Bidirectional(layers.GRU(2))
    first.build((None, 4, 3))
    second = layers.Bidirectional(layers.GRU(2), weights=first.get_weights())
    second.build((None, 4, 3))
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert "weights" not in second.get_config()


def test_both_outputs_apart_do_not_fit_into_a_stack() -> None:
    with pytest.raises(LayerError, match="Layers with several outputs do not fit into a stack"):
        Sequential([Input((4, 3)), layers.Bidirectional(layers.LSTM(2), merge_mode=None)])
