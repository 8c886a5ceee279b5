"""Functions as layers, and layers around one layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ArgumentTypeError, ConfigError, SavingError
from seqc.graph.ir import Value

X = np.random.default_rng(3).normal(size=(24, 5)).astype("float32")


def test_spectral_normalization_makes_the_largest_singular_value_one() -> None:
    model = keras.Sequential([keras.Input((5,)), layers.SpectralNormalization(layers.Dense(4), power_iterations=60)])
    model(X, training=True)
    kernel = model.layers[0].layer.kernel.numpy()
    assert abs(np.linalg.svd(kernel, compute_uv=False)[0] - 1) < 1e-4
    before = [w.numpy().copy() for w in model.weights]
    model(X)  # acts in training only
    assert all(np.array_equal(a, w.numpy()) for a, w in zip(before, model.weights, strict=True))


def test_a_kernel_of_zeros_stays_what_it_is() -> None:
    wrapped = layers.SpectralNormalization(layers.Dense(4, kernel_initializer="zeros"))
    model = keras.Sequential([keras.Input((5,)), wrapped])
    start = wrapped.vector_u.numpy().copy()
    assert np.array_equal(model(X, training=True), np.zeros((24, 4)))
    assert np.array_equal(wrapped.vector_u.numpy(), start)


@pytest.mark.parametrize("executor", ["tiled", "naive"])
def test_spectral_normalization_trains_and_exports(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [keras.Input((5,)), layers.SpectralNormalization(layers.Dense(4, "tanh")), layers.PReLU(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    losses = model.fit(X, X[:, :1], epochs=3, batch_size=8, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert np.array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    again.fit(X, X[:, :1], epochs=1, verbose=0)
    model.export(tmp_path / "m.onnx")


def test_what_has_no_kernel_cannot_be_normalized() -> None:
    with pytest.raises(ConfigError, match="Flatten object has no attribute 'kernel' nor 'embeddings'"):
        keras.Sequential([keras.Input((5,)), layers.SpectralNormalization(layers.Flatten())])
    with pytest.raises(ConfigError, match="`power_iterations` should be greater than zero"):
        layers.SpectralNormalization(layers.Dense(2), power_iterations=0)
    with pytest.raises(ArgumentTypeError, match="isn't a supported layer type"):
        layers.SpectralNormalization("dense")  # type: ignore[arg-type]


def test_a_lambda_trains_exports_and_says_why_it_is_not_saved(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Lambda(lambda x, factor: ops.abs(x) * factor, arguments={"factor": 2.0}),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    kernel, bias = (w.numpy() for w in model.weights)
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * np.abs(X) @ kernel + bias, rtol=1e-5, atol=1e-6)
    model.export(tmp_path / "m.onnx")
    with pytest.raises((ConfigError, SavingError), match="is a Lambda, whose function no file can hold"):
        model.save(tmp_path / "m.keras")
    assert not (tmp_path / "m.keras").exists()


def test_a_lambda_is_told_of_training_and_masks() -> None:
    seen: list[Any] = []

    def function(x: Value, mask: Any = None, training: bool = False) -> Value:
        seen.append((mask is not None, training))
        return x * (2.0 if training else 1.0)

    ids = np.array([[1, 2, 0]])
    model = keras.Sequential([keras.Input((3,)), layers.Embedding(5, 2, mask_zero=True), layers.Lambda(function)])
    still, moving = np.asarray(model(ids)), np.asarray(model(ids, training=True))
    np.testing.assert_allclose(moving, 2 * still)
    assert {(True, False), (True, True)} <= set(seen)


def test_a_lambda_works_between_symbols_of_several_inputs(tmp_path: Path) -> None:
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    model = keras.Model([a, b], layers.Lambda(lambda pair: pair[0] - 3.0 * pair[1])([a, b]))
    np.testing.assert_allclose(model.predict([X, X + 1], verbose=0), X - 3 * (X + 1), rtol=1e-5)
    model.export(tmp_path / "m.onnx")


def test_a_wrapper_of_ones_own_builds_the_layer_inside() -> None:
    class Twice(layers.Wrapper):
        def call(self, x: Any) -> Any:
            return self.layer(self.layer(x))

    model = keras.Sequential([keras.Input((5,)), Twice(layers.Dense(5))])
    kernel, bias = (w.numpy() for w in model.weights)
    np.testing.assert_allclose(model.predict(X, verbose=0), (X @ kernel + bias) @ kernel + bias, rtol=1e-5, atol=1e-6)


def test_identity_gives_trees_back_as_they_are() -> None:
    a, b = keras.Input((2,)), keras.Input((3,))
    found = layers.Identity()({"a": a, "b": [b]})
    assert [found["a"].shape, found["b"][0].shape] == [(None, 2), (None, 3)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([keras.Input((None, 3)), layers.PReLU()]), "leaves a size open"),
        (lambda: keras.Sequential([keras.Input((4, 3)), layers.PReLU(shared_axes=[3])]), "axes from 1 to 2"),
        (lambda: keras.Sequential([keras.Input((6,)), layers.GroupNormalization(4)]), "must divide"),
        (lambda: keras.Sequential([keras.Input((6, None)), layers.GroupNormalization(4)]), "defined dimension"),
        (lambda: keras.Sequential([keras.Input((6,)), layers.RMSNormalization(axis=3)]), "Axis 3 is out of bounds"),
        (lambda: keras.Sequential([keras.Input((6,)), layers.UnitNormalization(axis=-4)]), "Axis -4 is out of bounds"),
        (lambda: layers.UnitNormalization(axis="last"), "expected an int or a list/tuple of ints"),  # type: ignore[arg-type]
        (lambda: layers.Lambda(3), "Lambda needs a function; got 3"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_fit_is_said(make: Any, message: str) -> None:
    with pytest.raises(Exception, match=message):
        make()


class Sums(layers.Dense):
    def call(self, x: Any, training: Any = None) -> Any:
        return ops.cumsum(super().call(x), axis=1)


# What Keras 3.15 gives for the third step of the second sample.
@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (lambda: layers.Dense(5, activation="softmax"), [0.16423, 0.15914, 0.1894, 0.23592, 0.25131]),
        (lambda: layers.Dense(5, activation=lambda z: ops.softmax(z, 1)), [0.16423, 0.15914, 0.1894, 0.23592, 0.25131]),
        (lambda: Sums(5), [-0.19211, -0.4157, -0.46519, -0.29508, -0.06178]),
    ],
    ids=["softmax", "own activation", "own layer"],
)
def test_a_dense_that_does_something_else_sees_single_steps(layer: Any, expected: list[float]) -> None:
    x = np.sin(np.arange(24)).reshape(2, 4, 3).astype("float32")
    steps = layers.TimeDistributed(layer())
    steps(x)
    steps.set_weights([np.sin(np.arange(w.size)).reshape(w.shape) * 0.3 for w in steps.get_weights()])
    np.testing.assert_allclose(steps(x)[1, 2], expected, atol=2e-5)
