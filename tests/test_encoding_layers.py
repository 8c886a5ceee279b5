"""Layers of categories: what Keras 3.15.1 gives for the same numbers, in NumPy and in exported files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
import seqc_runtime
from seqc import layers, saving
from seqc.errors import ArgumentTypeError, ConfigError, DataError, NoLoweringError

VECTOR, MATRIX = np.array([0, 1, 1]), np.array([[0, 1, 1], [3, 3, 2]])
COLUMN, CUBE = np.array([[2], [3]]), np.array([[[0, 1], [1, 2]], [[3, 3], [0, 0]]])


@pytest.mark.parametrize(
    ("mode", "given", "expected"),
    [
        ("multi_hot", VECTOR, [1, 1, 0, 0]),
        ("multi_hot", MATRIX, [[1, 1, 0, 0], [0, 0, 1, 1]]),
        ("multi_hot", COLUMN, [[0, 0, 1, 0], [0, 0, 0, 1]]),
        ("multi_hot", CUBE, [[[1, 1, 0, 0], [0, 1, 1, 0]], [[1, 0, 0, 1], [1, 0, 0, 1]]]),
        ("multi_hot", VECTOR[:0], [0, 0, 0, 0]),
        ("multi_hot", MATRIX[:, :0], [[0, 0, 0, 0], [0, 0, 0, 0]]),
        ("binary", MATRIX, [[1, 1, 0, 0], [0, 0, 1, 1]]),
        ("count", VECTOR, [1, 2, 0, 0]),
        ("count", MATRIX, [[1, 2, 0, 0], [0, 0, 1, 2]]),
        ("count", CUBE, [[[1, 1, 0, 0], [0, 1, 1, 0]], [[1, 0, 0, 1], [1, 0, 0, 1]]]),
        ("one_hot", VECTOR, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]),
        ("one_hot", COLUMN, [[0, 0, 1, 0], [0, 0, 0, 1]]),
        ("one_hot", np.array([[7, -1]]), [[[0, 0, 0, 0], [0, 0, 0, 0]]]),
    ],
)
def test_categories_become_vectors(mode: str, given: Any, expected: Any) -> None:
    np.testing.assert_array_equal(layers.CategoryEncoding(4, output_mode=mode)(given), expected)


def test_counts_may_be_weighed() -> None:
    weights = np.array([[0.1, 0.2, 0.3], [1, 2, 0.5]])
    found = layers.CategoryEncoding(4, output_mode="count")(MATRIX, count_weights=weights)
    np.testing.assert_allclose(found, [[0.1, 0.5, 0, 0], [0, 0, 0.5, 3]], rtol=1e-6)
    with pytest.raises(ConfigError, match="`count_weights` is not used when"):
        layers.CategoryEncoding(4)(MATRIX, count_weights=weights)


def test_bins_begin_at_their_boundaries() -> None:
    layer = layers.Discretization([0.0, 1.0])
    np.testing.assert_array_equal(layer(np.array([[np.nan, np.inf, -np.inf, 0.0, 1.0]])), [[2, 2, 0, 1, 2]])
    same = np.random.default_rng(2).normal(size=(50, 3)).astype("float32")
    np.testing.assert_array_equal(layer(same), np.digitize(same, [0.0, 1.0]))


# Of x below; with all of it at once, and in three batches.
QUANTILES = {
    (4, 0.01): ([1.0484162569, 1.7922446727, 2.7878403663], [1.0510599613, 1.7937642335, 2.7927911281]),
    (3, 0.2): ([1.2893122434, 2.4041125774], [1.6201959848, 2.9970352650]),
    (7, 0.05): (
        [0.7361798882, 1.1388219594, 1.5540368556, 1.9782408475, 2.5812125206, 3.4926702976],
        [0.7886965870, 1.1424161195, 1.5517586469, 2.0281729698, 2.5876727104, 3.5709636211],
    ),
}


@pytest.mark.parametrize("settings", sorted(QUANTILES))
def test_adapt_finds_the_boundaries_that_keras_finds(settings: tuple[int, float]) -> None:
    x = np.random.default_rng(5).gamma(2.0, size=1000).astype("float32")
    for data, expected in zip((x, [x[:300], x[300:310], x[310:]]), QUANTILES[settings], strict=True):
        layer = layers.Discretization(num_bins=settings[0], epsilon=settings[1])
        layer.adapt(data)
        assert layer.bin_boundaries is not None
        np.testing.assert_allclose(layer.bin_boundaries, np.asarray(expected), rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "boundaries"),
    [
        ([1.0, 2.0, 3.0, 4.0], [1.3333333730697632, 2.6666667461395264]),
        ([[1.0, 2.0], [3.0, 4.0]], [1.3333333730697632, 2.6666667461395264]),
        ((1, 2, 3), [1.0, 2.0]),
        ([np.arange(3.0), np.arange(3.0)], [0.0, 1.0]),
    ],
)
def test_adapt_takes_lists_as_keras_does(data: Any, boundaries: list[float]) -> None:
    layer = layers.Discretization(num_bins=3)
    layer.adapt(data)
    np.testing.assert_allclose(np.asarray(layer.bin_boundaries), boundaries, rtol=1e-6)


def test_bins_are_learned_batch_by_batch() -> None:
    layer = layers.Discretization(num_bins=3)
    layer.update_state(np.arange(5.0))
    layer.update_state([7.0, 8.0, 9.0])
    assert layer.bin_boundaries is None
    layer.finalize_state()
    np.testing.assert_allclose(np.asarray(layer.bin_boundaries), [1.6666666269302368, 5.0], rtol=1e-6)  # of Keras
    layer.reset_state()
    layer.update_state([1.0, 2.0, 3.0])
    layer.finalize_state()
    np.testing.assert_array_equal(layer(np.array([1.0, 2.5])), [1, 2])


def test_what_adapt_found_goes_into_files(tmp_path: Path) -> None:
    x = np.random.default_rng(5).normal(size=(200, 1)).astype("float32")
    layer = layers.Discretization(num_bins=5, output_mode="one_hot")
    layer.adapt(x)
    model = keras.Sequential([keras.Input((1,)), layer, layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(x, x.repeat(2, 1), verbose=0)
    expected = model.predict(x, verbose=0)
    assert len({tuple(row) for row in expected.tolist()}) == 5
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(saving.load_model(tmp_path / "m.keras").predict(x, verbose=0), expected)
    model.export(tmp_path / "m.onnx")
    np.testing.assert_allclose(seqc_runtime.load(tmp_path / "m.onnx").predict(x), expected, rtol=1e-5)


@pytest.mark.parametrize(("mode", "shape"), [("int", (None, 2)), ("one_hot", (None, 2, 3)), ("count", (None, 3))])
def test_bins_may_be_learned_when_the_model_is_there(mode: str, shape: Any, tmp_path: Path) -> None:
    data = np.arange(10.0)
    ready = layers.Discretization(num_bins=3, output_mode=mode)
    ready.adapt(data)
    x = np.array([[1.0, 5.0], [9.0, 3.0]], "float32")
    made = keras.Sequential([keras.Input((2,)), layers.Discretization(num_bins=3, output_mode=mode)])
    symbol = keras.Input((2,))
    called = keras.Model(symbol, layers.Discretization(num_bins=3, output_mode=mode)(symbol))
    made.save(tmp_path / "m.keras")
    for model in (made, called, saving.load_model(tmp_path / "m.keras")):
        assert model.output_shape == shape
        with pytest.raises(DataError, match="does not know its bins yet: call adapt"):
            model.predict(x, verbose=0)
        with pytest.raises(NoLoweringError, match="does not know its bins yet: call adapt"):
            model.export(tmp_path / "m.onnx", verbose=False)
        model.layers[-1].adapt(data)
        np.testing.assert_array_equal(model.predict(x, verbose=0), ready(x))
        model.export(tmp_path / "m.onnx", verbose=False)
        np.testing.assert_array_equal(seqc_runtime.load(tmp_path / "m.onnx").predict(x), ready(x))


@pytest.mark.parametrize("mode", ["multi_hot", "count", "one_hot"])
def test_categories_train_and_export(mode: str, tmp_path: Path) -> None:
    ids = np.random.default_rng(1).integers(0, 6, (40, 3)).astype("int32")
    y = (ids == 2).any(1, keepdims=True).astype("float32")
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            layers.CategoryEncoding(6, output_mode=mode),
            layers.Flatten(),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    losses = model.fit(ids, y, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.export(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: layers.CategoryEncoding(), ConfigError, "num_tokens must be set"),
        (lambda: layers.CategoryEncoding(0), ConfigError, "`num_tokens` must be >= 1"),
        (lambda: layers.CategoryEncoding(3, "hot"), ConfigError, "Unknown arg for output_mode: hot"),
        (lambda: layers.CategoryEncoding(3, sparse=True), ArgumentTypeError, "tensors are dense"),
        (lambda: layers.Discretization(), ConfigError, "either `num_bins` or `bin_boundaries`"),
        (lambda: layers.Discretization([1.0, 0.0]), ConfigError, "a list of numbers in order"),
        (lambda: layers.Discretization(num_bins=-1), ConfigError, "greater than or equal to 0"),
        (lambda: layers.Discretization([0.0], output_mode="x"), ConfigError, "Unknown arg for output_mode: x"),
        (lambda: layers.Discretization([0.0]).adapt(np.ones(3)), ConfigError, "use `num_bins` instead"),
        (lambda: layers.Discretization(num_bins=3).adapt(np.ones(0)), DataError, "received no data"),
        (lambda: layers.Discretization(num_bins=3).adapt(np.array([1.0, np.nan])), DataError, "NaN has no place"),
        (lambda: layers.Discretization(num_bins=3).adapt([[1.0], [1.0, 2.0]]), DataError, "lists that make an array"),
        (lambda: layers.Discretization(num_bins=3).finalize_state(), DataError, "received no data"),
        (lambda: layers.Discretization([0.0]).update_state(np.ones(3)), ConfigError, "use `num_bins` instead"),
        (lambda: layers.Discretization(num_bins=3)(np.ones((2, 2))), DataError, "does not know its bins yet"),
    ],
)
def test_what_does_not_fit_is_said(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
