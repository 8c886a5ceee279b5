"""Rescaling and Normalization beyond the recorded cases: statistics that are found in data, where they act, errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.oracle import Case, cases, parameters
from seqc import layers
from seqc.errors import DataError, SeqcError, ShapeError

DATA = np.random.default_rng(3).normal(5, 3, (20, 4, 3)).astype("float32")
ADAPTED = [case for case in cases("layers") if case.facts.get("adapted") and case.facts["class"] == "Normalization"]


@pytest.mark.parametrize("case", parameters(ADAPTED))
def test_adapt_finds_what_keras_found(case: Case) -> None:
    layer = layers.Normalization(case.facts["layers"][0]["config"]["axis"])
    layer.adapt(case.arrays["adapt_x"])
    case.check("s0", layer.adapt_mean.numpy())
    case.check("s1", layer.adapt_variance.numpy())


class Batches(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Any:
        return DATA[[slice(0, 7), slice(7, 9), slice(9, 20)][number]], None


@pytest.mark.parametrize(
    "data",
    [DATA, list(np.split(DATA, [7, 9])), Batches(), keras.ops.convert_to_tensor(DATA)],
    ids=["array", "list", "dataset", "tensor"],
)
@pytest.mark.parametrize("axis", [-1, None, (2, 1)])
def test_adapt_finds_mean_and_variance_of_all_data(data: Any, axis: Any) -> None:
    layer = layers.Normalization(axis)
    layer.adapt(data)
    others = {-1: (0, 1), None: (0, 1, 2), (2, 1): (0,)}[axis]
    exact = DATA.astype("float64")
    assert layer.mean is not None
    assert layer.variance is not None
    np.testing.assert_allclose(layer.mean, exact.mean(others, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(layer.variance, exact.var(others, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(
        layer(DATA), (exact - exact.mean(others, keepdims=True)) / exact.std(others, keepdims=True), atol=1e-5
    )


def test_what_was_adapted_acts_in_training_files_and_exports(tmp_path: Path) -> None:
    layer = layers.Normalization()
    layer.adapt(DATA)
    assert layer.mean is not None
    assert layer.variance is not None
    back = layers.Normalization(mean=layer.mean.ravel(), variance=layer.variance.ravel(), invert=True)
    model = keras.Sequential([keras.Input((4, 3)), layer, back, layers.Rescaling([1.0, 2.0, 3.0], 1.0)])
    np.testing.assert_allclose(model.predict(DATA, verbose=0), DATA * [1.0, 2.0, 3.0] + 1, rtol=1e-5)
    model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.warns(UserWarning, match="nothing to train"):
        model.fit(DATA, DATA, epochs=1, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(DATA, verbose=0), model.predict(DATA, verbose=0))
    model.export(tmp_path / "model.onnx")  # verified
    answers = model.predict(DATA, verbose=0)
    layer.adapt(2 * DATA)  # normalized by the new numbers, and brought back by the old ones
    np.testing.assert_allclose(model.predict(2 * DATA, verbose=0), answers, rtol=1e-4, atol=1e-4)


def test_images_of_bytes_are_scaled_in_the_file(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((6, 6, 3), dtype="uint8"), layers.Rescaling(1 / 127.5, -1), layers.Conv2D(4, 3, padding="same")]
    )
    model.export(tmp_path / "model.onnx")
    runtime = pytest.importorskip("onnxruntime")
    x = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3)).astype("uint8")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(
        session.run(None, {session.get_inputs()[0].name: x})[0], model.predict(x, verbose=0), atol=1e-5
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: layers.Normalization(mean=1.0), "both `mean` and `variance` must be set"),
        (lambda: layers.Normalization(mean=[1.0], variance=1.0), "must have the same shape"),
        (lambda: layers.Normalization(None, mean=[1.0], variance=[1.0]), "less than or equal to the number of axes"),
        (lambda: layers.Normalization(3)(DATA), r"must be in the range \[-ndim, ndim\)"),
        (lambda: layers.Normalization(mean=[1, 2], variance=[1, 2])(DATA), r"do not broadcast to the sizes \(3,\)"),
        (lambda: layers.Normalization(mean=1, variance=1).adapt(DATA), "there is nothing to adapt"),
        (lambda: layers.Normalization().adapt([]), "received no data"),
        (lambda: layers.Normalization().adapt([1.0, 2.0]), "batches that are arrays. Received: float"),
        (lambda: layers.Normalization().adapt(3), "takes an array or batches"),
        (lambda: layers.Normalization().adapt(np.array(["a"])), "takes numbers"),
        (lambda: layers.Normalization().adapt([DATA, DATA[..., :2]]), r"received data of shape \(20, 4, 2\)"),
        (lambda: keras.Sequential([keras.Input((None,)), layers.Normalization()]), "must have a known shape"),
        (lambda: layers.Rescaling("big"), "needs numbers as `scale`"),
        (lambda: layers.StochasticDepth(1.0), "drop_path_rate is a number from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, text: str) -> None:
    with pytest.raises(SeqcError, match=text):
        make()


def test_errors_are_those_of_their_kind() -> None:
    with pytest.raises(DataError):
        layers.Normalization().adapt([])
    with pytest.raises(ShapeError):
        layers.Normalization(2).build((None, 3, None))


def test_stochastic_depth_drops_whole_samples_and_keeps_the_expected_sum() -> None:
    keras.utils.set_random_seed(0)
    x = np.ones((4000, 2, 2), "float32")
    y = np.asarray(layers.StochasticDepth(0.25)(x, training=True))
    kept = y[:, 0, 0] != 0
    assert abs(kept.mean() - 0.75) < 0.03
    np.testing.assert_allclose(y[kept], 1 / 0.75, rtol=1e-6)
    assert not y[~kept].any()


@pytest.mark.parametrize("axis", [-1, 1, (1,), None])
def test_statistics_of_rows_are_those_of_the_rows_of_sequences(axis: Any, tmp_path: Path) -> None:
    """As in Keras 3.15.1, in a file too, where the axis counts from the start of what was adapted."""
    rows = np.random.default_rng(0).normal(3, 2, (100, 4)).astype("float32")
    layer = layers.Normalization(axis)
    layer.adapt(rows)
    model = keras.Sequential([keras.Input((4, 4)), layer])
    x = np.random.default_rng(1).normal(3, 2, (2, 4, 4)).astype("float32")
    each = None if axis is None else 0
    truth = (x - rows.mean(each, dtype="float64")) / rows.std(each, dtype="float64")
    np.testing.assert_allclose(model.predict(x, verbose=0), truth, atol=1e-5)
    np.testing.assert_allclose(layer(x[:, None]), truth[:, None], atol=1e-5)
    model.save(tmp_path / "model.keras")
    np.testing.assert_allclose(keras.saving.load_model(tmp_path / "model.keras")(x), truth, atol=1e-5)
    model.export(tmp_path / "model.onnx")
    session = pytest.importorskip("onnxruntime").InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], truth, atol=1e-5)
    if axis is not None:
        with pytest.raises(ShapeError, match="made for axis -1 of size 4, but received input with shape"):
            layer(np.zeros((2, 4, 3), "float32"))
        with pytest.raises(ShapeError, match="expected min_ndim=2, found ndim=1"):
            layer(np.zeros(4, "float32"))
