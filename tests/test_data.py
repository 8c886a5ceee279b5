"""Data as users have them: arrays of every kind, tables, lists; and data that cannot be used."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.small_data import Foreign, X, Y, model
from seqc import layers
from seqc.errors import DataError


class Table:
    """What seqc needs of a table or column of pandas."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def to_numpy(self) -> Any:
        return self._array


@pytest.mark.parametrize(
    "kind",
    [
        lambda a: a,
        lambda a: a.astype("float64"),
        lambda a: a.tolist(),
        lambda a: tuple(map(tuple, a.tolist())),
        lambda a: [a],
        Table,
        Foreign,
        lambda a: a[::-1][::-1],
        np.asfortranarray,
        lambda a: a.view(np.memmap),
    ],
)
def test_arrays_come_in_many_forms(kind: Any) -> None:
    trained = model()
    expected = trained.evaluate(X, Y, verbose=0)
    assert trained.evaluate(kind(X), kind(Y), verbose=0) == pytest.approx(expected, rel=1e-5)
    assert trained.fit(kind(X), kind(Y), verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(trained.predict(kind(X), verbose=0), trained(X), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "bool"])
def test_whole_numbers_are_taken_as_they_are(dtype: str) -> None:
    images = (np.arange(12 * 16).reshape(12, 4, 4, 1) % 251).astype(dtype)
    looking = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(1)])
    looking.compile("sgd", "mse")
    before = images.copy()
    np.testing.assert_array_equal(
        looking.predict(images, batch_size=5, verbose=0),
        looking.predict(images.astype("float32"), batch_size=5, verbose=0),
    )
    looking.fit(images, np.ones(12), verbose=0)
    np.testing.assert_array_equal(images, before)
    assert images.dtype == dtype


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64", "float32", "float64", "bool"])
@pytest.mark.parametrize("column", [False, True])
def test_labels_come_in_every_dtype_flat_or_as_a_column(dtype: str, column: bool) -> None:
    labels = (np.arange(12) % 2).astype(dtype)
    given = labels[:, None] if column else labels
    sorting = model("sparse_categorical_crossentropy", 2, "softmax")
    each = -np.log(sorting.predict(X, verbose=0)[np.arange(12), labels.astype(int)])
    assert sorting.evaluate(X, given, verbose=0) == pytest.approx(each.mean(), rel=1e-5)
    yes = model("binary_crossentropy", 1, "sigmoid")
    p = yes.predict(X, verbose=0)[:, 0]
    each = -np.log(np.where(labels.astype(bool), p, 1 - p))
    assert yes.evaluate(X, given.tolist(), verbose=0) == pytest.approx(each.mean(), rel=1e-5)
    yes.compile("sgd", "binary_crossentropy", metrics=["accuracy"])
    assert yes.evaluate(X, given, verbose=0)[1] == pytest.approx(np.mean((p > 0.5) == labels.astype(bool)))


def test_a_model_of_integers_takes_integers() -> None:
    reading = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten()])
    words = np.array([[0, 1, 2], [4, 4, 4]])
    for dtype in ("int64", "uint8", "float64"):
        np.testing.assert_array_equal(reading.predict(words.astype(dtype), verbose=0), reading(words))


# -- none, and arrays that cannot be used ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((3,), lambda: [layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dense(2, "softmax")]),
        ((8, 8, 3), lambda: [layers.Conv2D(4, 3), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(2)]),
        ((5, 3), lambda: [layers.Bidirectional(layers.LSTM(4)), layers.Dense(2)]),
    ],
)
def test_no_samples_have_no_predictions(shape: tuple[int, ...], parts: Any) -> None:
    made = keras.Sequential([keras.Input(shape), *parts()])
    before = made.predict_on_batch(np.ones((2, *shape)))
    found = made.predict_on_batch(np.zeros((0, *shape)))
    assert (found.shape, found.dtype) == ((0, 2), "float32")
    np.testing.assert_array_equal(made.predict_on_batch(np.ones((2, *shape))), before)
    with pytest.raises(DataError, match="There are no samples"):
        made.predict(np.zeros((0, *shape)))


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        ([X, X], Y, "has one input; got 2 arrays as x. If they are the samples, stack them"),
        (X, [Y, Y], "has one output; got 2 arrays as y"),
        ({"a": X}, Y, "has an input 'input_layer.*'; x is a dictionary with 'a'"),
        ({"a": X, "b": X}, Y, "got a dictionary of 2 arrays as x"),
        (list(X), Y, "got 12 arrays as x. If they are the samples, stack them into one array first"),
        (X, None, "The loss 'mse' needs labels: give y, one row per row of x"),
        (X, Y[:5], "Data cardinality is ambiguous. Make sure .*\n'x' sizes: 12\n'y' sizes: 5"),
        (X[:0], Y[:0], "There are no samples: x has shape \\(0, 2\\)"),
        ([], [], "There are no samples"),
        (3.0, Y, "x is a single number; it needs a first axis of samples"),
        (np.float32(3), Y, "x is a single number"),
        (np.array(3.0), Y, "x is a single number"),
        (X, 1.0, "y is a single number"),
        ([[1.0, 2.0], [3.0]], Y[:2], "x cannot be made into one array: .*inhomogeneous.* Pad the rows"),
        (np.array([[1.0, "a"]], object), Y[:1], "x holds Python objects \\(shape \\(1, 2\\)\\)"),
        (np.array([["1", "2"]]), Y[:1], "The model needs numbers \\(float32\\); got an array of string"),
        (X.astype("complex64"), Y, "The model needs numbers \\(float32\\); got an array of complex64"),
        (X, ["yes"] * 12, "Labels must be numbers; got an array of string .* Number the classes"),
        (X, np.array(["2020-01-01"] * 12, "datetime64[D]"), "Labels must be numbers"),
        (None, Y, "x holds Python objects"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(x: Any, y: Any, text: str) -> None:
    trained = model()
    before = trained.get_weights()
    for use in (trained.fit, trained.evaluate, trained.train_on_batch):
        with pytest.raises(DataError, match=text):
            use(x, y)
    for a, b in zip(before, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("loss", "units", "activation", "labels", "text"),
    [
        ("sparse_categorical_crossentropy", 3, "softmax", np.full(12, 3), "needs labels from 0 to 2, .* got 3"),
        ("sparse_categorical_crossentropy", 3, "softmax", np.full(12, -1), "needs labels from 0 to 2, .* got -1"),
        ("sparse_categorical_crossentropy", 3, "softmax", np.full(12, 0.5), "whole numbers, one class each; got 0.5"),
        ("sparse_categorical_crossentropy", 3, "softmax", np.eye(3)[[0] * 12], "One-hot labels belong to"),
        ("categorical_crossentropy", 3, "softmax", np.zeros(12, int), "use loss='sparse_categorical_crossentropy'"),
        ("mse", 3, None, np.zeros((12, 2)), "needs labels of the output's shape .*; got labels of shape"),
    ],
)
def test_labels_that_do_not_fit_the_loss_are_refused_with_advice(
    loss: str, units: int, activation: Any, labels: Any, text: str
) -> None:
    with pytest.raises(DataError, match=text):
        model(loss, units, activation).fit(X, labels, verbose=0)


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        (["a"] * 12, "sample_weight must be numbers; got an array of string"),
        (1.0, "sample_weight is a single number"),
        (np.ones((12, 5)), "Sample weights of shape .* do not broadcast"),
    ],
)
def test_sample_weights_that_make_no_sense_are_refused(weight: Any, text: str) -> None:
    with pytest.raises(DataError, match=text):
        model(units=1).fit(X, Y, sample_weight=weight, verbose=0)


def test_class_weights_need_labels() -> None:
    alone = keras.Sequential([keras.Input((2,)), layers.Dense(1, activity_regularizer="l2")])
    alone.compile("sgd")
    with pytest.raises(DataError, match="class_weight needs labels y"):
        alone.fit(X, class_weight={0: 1.0}, verbose=0)


def test_class_weights_need_one_label_per_sample() -> None:
    with pytest.raises(DataError, match="works with one label per sample; y has shape \\(12, 2, 2\\)"):
        model().fit(X, np.zeros((12, 2, 2)), class_weight={0: 1.0}, verbose=0)
