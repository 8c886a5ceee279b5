"""Datasets of keras.utils, and tf.data.Dataset of scripts, with the methods that scripts call."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers, utils
from seqc._tensorflow import stand_in
from seqc.errors import ArgumentTypeError, ConfigError, DataError
from seqc.utils.dataset import Dataset

X = np.arange(20, dtype="float32").reshape(10, 2)
Y = np.arange(10)


def numbers(data: Any) -> list[Any]:
    return [item.tolist() for item in data.as_numpy_iterator()]


def test_elements_look_like_tensors_and_are_arrays() -> None:
    windows = utils.timeseries_dataset_from_array(X, Y, 3, batch_size=4)
    ((x, y),) = windows.take(1)
    assert type(x[0].numpy()) is np.ndarray
    assert type(y[0].numpy()) is np.int64
    assert "abcdef"[y[1]] == "b"
    assert (int(y[1]), f"{y[1]:.1f}") == (1, "1.0")
    np.testing.assert_array_equal(x[0].numpy(), X[:3])
    assert isinstance(windows, utils.PyDataset)
    assert windows.cardinality() == len(windows) == 2


def test_methods_do_what_those_of_tf_data_do() -> None:
    ten = Dataset.range(10)
    assert numbers(ten.batch(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(ten.batch(4)) == 3
    assert numbers(ten.batch(4, drop_remainder=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(ten.batch(4, drop_remainder=True)) == 2
    assert numbers(ten.batch(4).unbatch().skip(7)) == [7, 8, 9]
    assert numbers(ten.skip(8).concatenate(ten.take(1)).repeat(2)) == [8, 9, 0, 8, 9, 0]
    assert numbers(ten.filter(lambda n: n % 3 == 0).map(lambda n: n * 2)) == [0, 6, 12, 18]
    assert (len(ten.skip(8)), len(ten.take(99)), len(ten.take(-1)), len(ten.skip(-1))) == (2, 10, 10, 0)
    assert numbers(ten.repeat().skip(8).take(4)) == [8, 9, 0, 1]
    assert (ten.repeat().cardinality(), ten.filter(bool).cardinality()) == (-1, -2)
    assert len(ten.repeat().take(5)) == 5
    pairs = Dataset.zip(ten, ten.map(lambda n: n + 1))
    assert [(int(a), int(b)) for a, b in pairs.take(2)] == [(0, 1), (1, 2)]
    assert [(int(i), int(n)) for i, n in ten.skip(7).enumerate()] == [(0, 7), (1, 8), (2, 9)]
    rows = Dataset.from_tensor_slices({"a": X, "b": Y}).batch(3)
    assert [sorted(item) for item in rows] == [["a", "b"]] * 4
    assert numbers(Dataset.from_generator(lambda: iter([1, 2]), args=())) == [1, 2]
    assert len(Dataset.from_tensors((X, Y))) == 1


def test_shuffled_elements_are_all_there() -> None:
    ten = Dataset.range(10)
    mixed = ten.shuffle(4, seed=3)
    orders = [numbers(mixed) for _ in range(3)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert all(order[0] < 4 for order in orders)  # it is one of the first four
    assert numbers(ten.shuffle(4, seed=3)) == orders[0]
    fixed = ten.shuffle(10, seed=1, reshuffle_each_iteration=False)
    assert numbers(fixed) == numbers(fixed) != list(range(10))
    seqc.utils.set_random_seed(4)
    first = numbers(ten.shuffle(10))
    seqc.utils.set_random_seed(4)
    assert numbers(ten.shuffle(10)) == first


def test_a_cache_is_filled_by_a_whole_pass() -> None:
    read = []

    def noted(n: Any) -> Any:
        read.append(int(n))
        return n

    kept = Dataset.range(4).map(noted).cache()
    assert numbers(kept.take(2)) == [0, 1]
    assert numbers(kept) == numbers(kept) == [0, 1, 2, 3]
    assert read == [0, 1, 0, 1, 2, 3]


def test_models_learn_from_them_in_their_order() -> None:
    seen = []

    class Noting(seqc.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    model = seqc.Sequential([seqc.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    scaled = layers.Rescaling(0.1)
    data = Dataset.from_tensor_slices((X, Y)).batch(5).map(lambda x, y: (scaled(x), y)).prefetch(-1)
    model.fit(data, validation_data=data, epochs=2, verbose=0, callbacks=[Noting()])
    assert seen == [0, 1, 0, 1]
    twin = seqc.Sequential([seqc.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
    twin.compile("sgd", "mse")
    twin.fit(X * np.float32(0.1), Y, batch_size=5, shuffle=False, epochs=2, verbose=0)
    np.testing.assert_allclose(model.predict(data.map(lambda x, y: x), verbose=0), twin.predict(X * 0.1, verbose=0))
    model.fit(data.repeat(), steps_per_epoch=3, epochs=1, verbose=0)
    with pytest.raises(DataError, match="never ends"):
        model.fit(data.repeat(), verbose=0)


def test_batches_of_datasets_keep_their_order_where_fit_shuffles() -> None:
    windows = utils.timeseries_dataset_from_array(np.arange(40.0), np.arange(40.0), 1, batch_size=2)
    results = []
    for shuffle in (True, False):
        model = seqc.Sequential([seqc.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
        model.compile(seqc.optimizers.SGD(1e-4), "mse")
        model.fit(windows, epochs=1, verbose=0, shuffle=shuffle)
        results.append(model.get_weights()[0])
    first, second = results
    np.testing.assert_array_equal(first, second)


def test_wrong_uses_are_refused() -> None:
    ten = Dataset.range(10)
    for wrong, kind in (
        (lambda: ten.batch(0), ConfigError),
        (lambda: ten.shuffle(0), ConfigError),
        (lambda: Dataset.from_tensor_slices((X, Y[:3])), DataError),
        (lambda: Dataset.from_tensor_slices(3), ArgumentTypeError),
        (lambda: list(Dataset.from_generator(lambda: iter([X, X[:1]])).batch(2)), DataError),
    ):
        with pytest.raises(kind):
            wrong()
    with pytest.raises(TypeError, match="infinite"):
        len(ten.repeat())


def test_what_stands_for_tensorflow_says_what_to_take_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    tf = stand_in()
    monkeypatch.setitem(sys.modules, "tensorflow", tf)
    assert tf.keras is seqc
    assert tf.data.Dataset is Dataset
    assert tf.function(abs) is abs
    assert tf.function(jit_compile=True)(abs) is abs
    with pytest.raises(AttributeError, match="Take keras.ops.bincount,"):
        _ = tf.bincount
    with pytest.raises(AttributeError, match="TensorFlow is not installed"):
        _ = tf.lite
