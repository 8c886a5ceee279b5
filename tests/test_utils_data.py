"""Windows of series, and objects as plain data, under the names of `keras.utils`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc
from seqc import layers, utils
from seqc.errors import ConfigError, SavingError

SERIES = np.arange(20, dtype="float32") ** 2
# What Keras 3.15.1 gives for these arguments: the first windows and targets, and how many windows there are in all.
CASES: list[tuple[dict[str, Any], list[list[float]], list[float], int]] = [
    ({"sequence_length": 3}, [[0, 1, 4], [1, 4, 9]], [0, 1], 18),
    ({"sequence_length": 3, "sequence_stride": 4, "sampling_rate": 2}, [[0, 4, 16], [16, 36, 64]], [0, 4], 4),
    ({"sequence_length": 2, "start_index": 3, "end_index": 8, "sampling_rate": 3}, [[9, 36], [16, 49]], [3, 4], 2),
]


@pytest.mark.parametrize(("arguments", "windows", "targets", "count"), CASES)
def test_windows_are_those_of_keras(
    arguments: dict[str, Any], windows: list[list[float]], targets: list[float], count: int
) -> None:
    made = utils.timeseries_dataset_from_array(SERIES, np.arange(20), **arguments, batch_size=3)
    batches = [made[i] for i in range(len(made))]
    assert sum(len(x) for x, _ in batches) == count
    np.testing.assert_array_equal(batches[0][0][:2], windows)
    np.testing.assert_array_equal(batches[0][1][:2], targets)
    alone = utils.timeseries_dataset_from_array(SERIES, None, **arguments, batch_size=None)
    np.testing.assert_array_equal(list(alone)[1], windows[1])


def test_shuffled_windows_are_all_there_in_another_order_each_epoch() -> None:
    made = utils.timeseries_dataset_from_array(SERIES, SERIES, 3, shuffle=True, seed=1, batch_size=5)
    orders = []
    for _ in range(2):
        x, y = (np.concatenate(parts) for parts in zip(*list(made), strict=True))
        np.testing.assert_array_equal(x[:, 0], y)
        orders.append(y)
        made.on_epoch_end()
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(SERIES[:18])
    assert list(orders[0]) != list(orders[1])


def test_models_are_trained_on_windows() -> None:
    series = np.sin(np.arange(60, dtype="float32"))
    made = utils.timeseries_dataset_from_array(series[:-3], series[3:, None], 3, batch_size=8)
    model = seqc.Sequential([layers.Input((3,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile(seqc.optimizers.SGD(0.3), "mse")
    model.fit(made, epochs=30, verbose=0)
    assert model.evaluate(made, verbose=0) < 1e-3


@pytest.mark.parametrize(
    "wrong",
    [{"start_index": -1}, {"end_index": 20}, {"start_index": 5, "end_index": 5}, {"sampling_rate": 0},
     {"sequence_stride": 20}, {"format": "list"}],
)  # fmt: skip
def test_numbers_out_of_their_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(reversed(wrong))):
        utils.timeseries_dataset_from_array(SERIES, None, 3, **wrong)


def test_objects_become_plain_data_and_objects_again() -> None:
    class Own(layers.Dense):
        pass

    described = utils.serialize_keras_object({"a": [layers.Dense(3), 1.5], "b": Own(2)})
    assert described["a"][0]["class_name"] == "Dense"
    with pytest.raises(SavingError, match="Own"):
        utils.deserialize_keras_object(described)
    with utils.CustomObjectScope({"Own": Own}):
        inside = utils.deserialize_keras_object(described)
    given = utils.deserialize_keras_object(described, custom_objects={"Own": Own})
    for found in (inside, given):
        assert (type(found["b"]), found["b"].units, found["a"][0].units, found["a"][1]) == (Own, 2, 3, 1.5)


def test_a_vector_is_normalized_as_a_row() -> None:
    np.testing.assert_allclose(utils.normalize(np.array([3.0, 4.0, 0.0])), [[0.6, 0.8, 0.0]])
    np.testing.assert_allclose(utils.normalize(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0.0, 0.0]])


def test_symbols_and_element_types_are_told() -> None:
    symbol = seqc.Input((3,))
    assert utils.is_keras_tensor(layers.Dense(2)(symbol))
    assert not utils.is_keras_tensor(seqc.ops.ones(3))
    assert not utils.is_keras_tensor(np.ones(3))
    given = (None, "int", int, float, bool, np.float16, "int64", np.dtype("uint8"))
    wanted = ["float32", "int32", "int32", "float32", "bool", "float16", "int64", "uint8"]
    assert [utils.standardize_dtype(d) for d in given] == wanted


def test_many_classes_take_the_memory_of_their_rows() -> None:
    assert utils.to_categorical([5, 7], 1_000_000).argmax(-1).tolist() == [5, 7]
    assert utils.normalize([3.0, 4.0]).dtype == "float32"
    assert utils.normalize([3, 4]).shape == (2,)
    with pytest.raises(ValueError, match="cannot fill up int32 with value='x'"):
        utils.pad_sequences([[1, 2], [3]], value="x")
