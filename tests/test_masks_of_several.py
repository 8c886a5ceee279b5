"""Masks of layers that are called with several tensors: the numbers are those of Keras 3.15.1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 3)).astype("float32")
X[0, 2:] = 0
X[1, 1] = 0
STATES = [RNG.standard_normal((2, 2)).astype("float32") for _ in range(2)]
SEEN = np.any(X != 0, -1)


def weighted(layer: Any) -> Any:
    """Gives a built layer the weights that Keras's had."""
    drawn = np.random.default_rng(1)
    layer.set_weights([drawn.standard_normal(w.shape).astype("float32") * 0.5 for w in layer.get_weights()])
    return layer


# What the first sample gives in masked steps, and the mean over the steps that are not masked.
RECURRENT: dict[str, tuple[int, list[float], list[float]]] = {
    "LSTM": (2, [-0.01356, 0.01209, -0.01619, 0.01139], [-0.07387, 0.0223, -0.08646, 0.03181]),
    "GRU": (1, [0.36823, 0.25559, 0.27973, 0.23736], [0.5724, 0.22759, -0.57775, -0.26873]),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_initial_states_make_a_recurrent_layer_run_over_masked_steps(name: str) -> None:
    count, over, pooled = RECURRENT[name]
    x, states = keras.Input((4, 3)), [keras.Input((2,)) for _ in range(count)]
    layer = getattr(layers, name)(2, return_sequences=True)
    y = layer(layers.Masking()(x), initial_state=states)
    mean = layers.GlobalAveragePooling1D()(y)  # the mask goes on
    weighted(layer)
    found = keras.Model([x, *states], [y, mean]).predict([X, *STATES[:count]], verbose=0)
    np.testing.assert_allclose(found[0][0, 2:].ravel(), over, atol=1e-5)
    np.testing.assert_allclose(found[1].ravel(), pooled, atol=1e-5)
    np.testing.assert_allclose(layer(layers.Masking()(X), initial_state=STATES[:count]), found[0], atol=1e-6)
    said = np.asarray(layer(X, initial_state=STATES[:count], mask=SEEN))
    np.testing.assert_allclose(said[0, 2:], said[0, [1, 1]], atol=1e-6)
    without = np.asarray(layer(layers.Masking()(X)))  # its own mask alone
    np.testing.assert_allclose(without[0, 2:], without[0, [1, 1]], atol=1e-6)


def test_both_directions_do_so_too() -> None:
    layer = layers.Bidirectional(layers.GRU(2, return_sequences=True))
    x, states = keras.Input((4, 3)), [keras.Input((2,)), keras.Input((2,))]
    model = keras.Model([x, *states], layer(layers.Masking()(x), initial_state=states))
    weighted(layer)
    expected = [0.65348, 0.27444, -0.88628, -0.74575, 0.49132, 0.18074, -0.81409, -0.6649]
    found = model.predict([X, *STATES], verbose=0)
    np.testing.assert_allclose(found.ravel()[:8], expected, atol=1e-5)
    np.testing.assert_allclose(found.ravel()[8:12], [0.36823, 0.25559, -0.64618, -0.5146], atol=1e-5)
    said = np.asarray(layer(X, initial_state=STATES, mask=SEEN))
    np.testing.assert_allclose(said.ravel()[:4], [0.65348, 0.27444, -0.8001, -0.64326], atol=1e-5)


class One(layers.Layer):
    """Adds 1 where it was given a mask."""

    supports_masking = True

    def call(self, a: Any, b: Any = None, mask: Any = None) -> Any:
        return (a[0] if isinstance(a, list) else a) * 0.0 + (0.0 if mask is None else 1.0)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None


class Each(layers.Layer):
    """Adds 1, 10 and 100 for the masks that it was given."""

    supports_masking = True

    def call(self, a: Any, b: Any = None, a_mask: Any = None, b_mask: Any = None, mask: Any = None) -> Any:
        return a * 0.0 + sum(n for n, m in ((1.0, a_mask), (10.0, b_mask), (100.0, mask)) if m is not None)


def test_layers_of_ones_own_get_the_masks_that_keras_gives_them() -> None:
    masked, plain = layers.Masking()(X), ops.convert_to_tensor(X)
    cases: list[tuple[Any, float]] = [
        (One()(masked), 1),
        (One()(masked, 2.0), 1),
        (One()(masked, plain), 0),
        (One()(masked, b=np.ones(3, "float32")), 0),
        (One()(masked, b=[plain, plain]), 0),
        (One()(masked, plain, mask=SEEN), 1),
        (One()([masked, masked]), 1),
        (One()([masked, masked], plain), 0),
        (Each()(masked), 100),
        (Each()(masked, masked), 11),
        (Each()(masked, plain), 1),
    ]
    assert [float(np.max(np.asarray(found))) for found, _ in cases] == [expected for _, expected in cases]
