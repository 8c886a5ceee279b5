"""Layers that disturb their input in training: what their numbers are like, in training and where models go."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, saving
from seqc.errors import ConfigError

X = np.random.default_rng(3).normal(size=(4000, 5)).astype("float32") + 0.5


def trained_output(layer: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Sequential([keras.Input(x.shape[1:]), layer])(x, training=True))


def test_gaussian_noise_adds_numbers_of_its_deviation() -> None:
    added = trained_output(layers.GaussianNoise(0.3), X) - X
    assert abs(added.mean()) < 0.01
    assert abs(added.std() - 0.3) < 0.01
    # Normal, not merely of that deviation: the share within one deviation.
    assert abs((np.abs(added) < 0.3).mean() - math.erf(math.sqrt(0.5))) < 0.01


def test_gaussian_dropout_multiplies_by_numbers_around_one() -> None:
    ratio = trained_output(layers.GaussianDropout(0.2), X) / X
    assert abs(ratio.mean() - 1) < 0.01
    assert abs(ratio.std() - 0.5) < 0.01  # sqrt(0.2 / 0.8)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    normal = np.random.default_rng(5).normal(size=(20000, 4)).astype("float32")
    y = trained_output(layers.AlphaDropout(0.3), normal)
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02
    least, count = np.unique(y.round(5), return_counts=True)
    assert abs(count.max() / y.size - 0.3) < 0.01  # what was dropped has one value
    a = ((1 - 0.3) * (1 + 0.3 * 1.7580993408473766**2)) ** -0.5
    assert abs(least[count.argmax()] - (-1.7580993408473766 * a + a * 1.7580993408473766 * 0.3)) < 1e-4


def test_alpha_dropout_of_everything_is_a_constant() -> None:
    assert np.ptp(trained_output(layers.AlphaDropout(1.0), X)) == 0


@pytest.mark.parametrize(
    ("make", "shape", "shared"),
    [
        (lambda: layers.SpatialDropout1D(0.5), (64, 6, 8), (1,)),
        (lambda: layers.SpatialDropout2D(0.5), (64, 3, 4, 8), (1, 2)),
        (lambda: layers.SpatialDropout2D(0.5, data_format="channels_first"), (64, 8, 3, 4), (2, 3)),
        (lambda: layers.SpatialDropout3D(0.5), (64, 2, 3, 2, 8), (1, 2, 3)),
        (lambda: layers.AlphaDropout(0.5, noise_shape=(None, 1, None)), (64, 6, 8), (1,)),
    ],
)
def test_elements_that_share_their_fate_are_dropped_together(make: Any, shape: Any, shared: Any) -> None:
    x = np.ones(shape, "float32")
    y = trained_output(make(), x)
    assert np.array_equal(y, np.broadcast_to(y.mean(shared, keepdims=True), y.shape))
    assert len(np.unique(y)) == 2
    assert 0.35 < (y == y.max()).mean() < 0.65


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout1D"])
def test_a_seed_of_its_own_makes_noise_independent_of_the_model(name: str, tmp_path: Path) -> None:
    x = X.reshape(400, 10, 5)

    def model(seed: int | None) -> keras.Sequential:
        keras.utils.set_random_seed(7)
        return keras.Sequential([keras.Input(x.shape[1:]), getattr(layers, name)(0.4, seed=seed), layers.Dense(1)])

    runs = {}
    for seed in (None, 3):
        trained = model(seed)
        trained.compile("sgd", "mse")
        keras.utils.set_random_seed(11)
        losses = trained.fit(x, x[..., :1], epochs=2, verbose=0, shuffle=False).history["loss"]
        again = model(seed)
        again.compile("sgd", "mse")
        keras.utils.set_random_seed(12 if seed else 11)
        assert again.fit(x, x[..., :1], epochs=2, verbose=0, shuffle=False).history["loss"] == losses
        runs[seed] = losses
        trained.save(tmp_path / "m.keras")
        assert saving.load_model(tmp_path / "m.keras").layers[0].seed == seed
        # What acts in training only is not in the file.
        assert [node.op_type for node in _nodes(trained, tmp_path)] == ["MatMul", "Add"]
    assert runs[None] != runs[3]


def _nodes(model: keras.Sequential, folder: Path) -> Any:
    import onnx

    model.export(folder / "m.onnx")
    return onnx.load(folder / "m.onnx").graph.node


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.GaussianNoise(-1.0), "`stddev`. Expected a float value between 0 and 1. Received: stddev=-1.0"),
        (lambda: layers.GaussianDropout(1.0), "numbers of infinite variance"),
        (lambda: layers.GaussianDropout(1.5), "Expected a float value between 0 and 1"),
        (lambda: layers.AlphaDropout("0.5"), "Expected a float value between 0 and 1"),  # type: ignore[arg-type]
        (lambda: layers.SpatialDropout2D(0.5, data_format="last"), "`data_format` argument must be one of"),
    ],
)
def test_arguments_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.slow
def test_noise_is_the_same_on_both_executors(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for executor in ("tiled", "naive"):
        monkeypatch.setenv("SEQC_EXECUTOR", executor)
        keras.utils.set_random_seed(4)
        model = keras.Sequential(
            [
                keras.Input((5,)),
                layers.GaussianNoise(0.2),
                layers.Dense(8, "selu"),
                layers.AlphaDropout(0.1),
                layers.GaussianDropout(0.1),
                layers.Dense(1),
            ]
        )
        model.compile("adam", "mse")
        found.append(model.fit(X, X[:, :1], epochs=2, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(found[0], found[1], rtol=2e-5)


@pytest.mark.parametrize("kind", [layers.Dropout, layers.GaussianDropout, layers.AlphaDropout, layers.GaussianNoise])
def test_a_layer_with_a_seed_draws_anew_at_each_of_its_calls(kind: Any) -> None:
    layer = kind(0.5, seed=1)
    inputs = keras.Input((50,))
    model = keras.Model(inputs, [layer(inputs, training=True), layer(inputs, training=True)])
    x = np.ones((1, 50), "float32")
    first, second = model.predict(x, verbose=0)
    assert not np.array_equal(first, second)
    alone = keras.Model(inputs, kind(0.5, seed=1, name=layer.name)(inputs, training=True))
    np.testing.assert_array_equal(alone.predict(x, verbose=0), first)
