"""Datasets that take elements together by key or length, choose among several, and carry a state, as in tf.data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seqc._tensorflow import stand_in
from seqc.errors import ArgumentTypeError, ConfigError, DataError
from seqc.utils.dataset import Dataset
from seqc.utils.elements import TensorSpec

LOW, HIGH = Dataset.range(4), Dataset.range(10, 12)
ROWS = [[0], [1, 2, 3, 4], [5, 6, 7], [7, 8, 9, 10, 11], [13, 14, 15, 16, 19, 20], [21, 22]]
RAGGED = Dataset.from_generator(lambda: iter(ROWS), output_signature=TensorSpec([None], "int64"))
PAIRS = Dataset.from_generator(
    lambda: ((row, i) for i, row in enumerate(ROWS)),
    output_signature=(TensorSpec([None], "int64"), TensorSpec([], "float32")),
)


def buckets(data: Any, **options: Any) -> Any:
    return data.bucket_by_sequence_length(lambda row, *rest: len(row), [3, 5], [2, 2, 2], **options)


def numbered(*numbers: int) -> Dataset:
    return Dataset.from_tensor_slices(np.array(numbers))


def plain(item: Any) -> Any:
    return tuple(map(plain, item)) if isinstance(item, tuple) else item.tolist()


# What tf.data of TensorFlow gives for the same.
AS_TENSORFLOW: list[tuple[Any, Any, int]] = [
    (lambda: LOW.scan(np.int64(0), lambda s, x: (s + x, (s, x * 2))), [(0, 0), (0, 2), (1, 4), (3, 6)], 4),
    (lambda: LOW.scan({"a": np.int64(0)}, lambda s, x: ({"a": s["a"] + x}, s["a"])), [0, 0, 1, 3], 4),
    (lambda: Dataset.zip(LOW, LOW).scan(np.int64(5), lambda s, x: (s + x[0], s)).repeat(2), [5, 5, 6, 8] * 2, 8),
    (lambda: Dataset.choose_from_datasets([LOW, HIGH], numbered(0, 1, 1, 1, 0, 0)), [0, 10, 11], -2),
    (lambda: Dataset.choose_from_datasets([LOW, HIGH], numbered(0, 1, 1, 1, 0, 0), False), [0, 10, 11, 1, 2], -2),
    (lambda: Dataset.sample_from_datasets([LOW, HIGH], [1.0, 0.0]), [0, 1, 2, 3], 4),
    (lambda: Dataset.sample_from_datasets([Dataset.range(0), HIGH], [1.0, 1e-9], 1, True), [], -2),
    (lambda: Dataset.counter(3, 2).take(3), [3, 5, 7], 3),
    (lambda: Dataset.counter(0.5, dtype="float32").take(2), [0.5, 1.5], 2),
    (
        lambda: Dataset.range(10).group_by_window(lambda x: x % 2, lambda key, some: some.batch(4), 4),
        [[0, 2, 4, 6], [1, 3, 5, 7], [8], [9]],
        -2,
    ),
    (
        lambda: Dataset.range(10).group_by_window(
            lambda x: x % 2, lambda key, some: some.batch(10), window_size_func=lambda key: key + 2
        ),
        [[0, 2], [1, 3, 5], [4, 6], [8], [7, 9]],
        -2,
    ),
    (
        lambda: Dataset.range(5).map(lambda x: 5 - x).group_by_window(lambda x: x, lambda key, some: some, 3),
        [1, 2, 3, 4, 5],
        -2,
    ),
    (
        lambda: buckets(RAGGED, padding_values=np.int64(-1)),
        [[[1, 2, 3, 4], [5, 6, 7, -1]], [[7, 8, 9, 10, 11, -1], [13, 14, 15, 16, 19, 20]], [[0, -1], [21, 22]]],
        -2,
    ),
    (lambda: buckets(RAGGED.take(3), padded_shapes=[5]), [[[1, 2, 3, 4, 0], [5, 6, 7, 0, 0]], [[0, 0, 0, 0, 0]]], -2),
    (lambda: buckets(RAGGED.take(3), drop_remainder=True), [[[1, 2, 3, 4], [5, 6, 7, 0]]], -2),
    (lambda: buckets(RAGGED.take(2), pad_to_bucket_boundary=True), [[[0, 0]], [[1, 2, 3, 4]]], -2),
    (lambda: buckets(RAGGED.take(2), no_padding=True), [[[0]], [[1, 2, 3, 4]]], -2),
    (
        lambda: buckets(PAIRS.take(3), pad_to_bucket_boundary=True),
        [([[1, 2, 3, 4], [5, 6, 7, 0]], [1.0, 2.0]), ([[0, 0]], [0.0])],
        -2,
    ),
]


@pytest.mark.parametrize(("make", "expected", "cardinality"), AS_TENSORFLOW)
def test_elements_and_how_many_are_those_of_tf_data(make: Any, expected: Any, cardinality: int) -> None:
    made = make()
    assert int(made.cardinality()) == cardinality
    assert [[plain(item) for item in made] for _ in range(2)] == [expected] * 2


def test_types_of_filled_batches_are_those_of_their_elements() -> None:
    rows, numbers = next(iter(buckets(PAIRS)))
    assert (rows.dtype, numbers.dtype) == ("int64", "float32")
    assert buckets(RAGGED, padded_shapes=[8]).element_spec == TensorSpec([None, 8], "int64")


def test_datasets_are_drawn_as_often_as_their_weights_say() -> None:
    few, many = Dataset.from_tensors(np.int64(0)).repeat(), Dataset.from_tensors(np.int64(1)).repeat()
    drawn = Dataset.sample_from_datasets([few, many], [1, 3], seed=2)
    assert int(drawn.cardinality()) == -1
    assert abs(sum(int(x) for x in drawn.take(2000)) / 2000 - 0.75) < 0.04
    assert sorted(int(x) for x in Dataset.sample_from_datasets([LOW, HIGH])) == [0, 1, 2, 3, 10, 11]


@pytest.mark.parametrize(("again", "passes"), [(None, 1), (False, 1), (True, 3)])
def test_draws_differ_between_passes_where_they_shall(again: bool | None, passes: int) -> None:
    parts = [Dataset.range(20), Dataset.range(20, 40)]
    for made in (
        Dataset.sample_from_datasets(parts, seed=5, rerandomize_each_iteration=again),
        Dataset.random(seed=5, rerandomize_each_iteration=again).take(4),
    ):
        assert len({tuple(int(x) for x in made) for _ in range(3)}) == passes


def test_the_single_element_of_a_dataset_is_given() -> None:
    assert Dataset.range(7).batch(7).get_single_element().tolist() == list(range(7))
    for none in (Dataset.range(0), Dataset.range(2)):
        with pytest.raises(DataError, match="one was asked for"):
            none.get_single_element()


def test_what_was_experimental_is_there() -> None:
    experimental = stand_in().data.experimental
    assert int(experimental.cardinality(LOW.repeat())) == experimental.INFINITE_CARDINALITY
    assert len(list(experimental.sample_from_datasets([LOW, HIGH]))) == 6


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: list(LOW.scan(0, lambda s, x: s)), ArgumentTypeError),
        (lambda: Dataset.sample_from_datasets([]), ConfigError),
        (lambda: Dataset.sample_from_datasets([LOW, HIGH], [1.0]), ConfigError),
        (lambda: Dataset.sample_from_datasets([LOW, HIGH], [-1.0, 1.0]), ConfigError),
        (lambda: Dataset.choose_from_datasets([LOW], [0]), ArgumentTypeError),
        (lambda: Dataset.choose_from_datasets([LOW, 3], LOW), ArgumentTypeError),
        (lambda: list(Dataset.choose_from_datasets([LOW, HIGH], LOW)), DataError),
        (lambda: LOW.group_by_window(lambda x: x, lambda k, d: d), ConfigError),
        (lambda: list(LOW.group_by_window(lambda x: x, lambda k, d: d, 0)), ConfigError),
        (lambda: list(LOW.group_by_window(lambda x: x, lambda k, d: k, 1)), ArgumentTypeError),
        (lambda: RAGGED.bucket_by_sequence_length(len, [3, 5], [2, 2]), ConfigError),
        (lambda: list(buckets(RAGGED, pad_to_bucket_boundary=True)), DataError),
        (lambda: buckets(RAGGED.map(lambda x: x), pad_to_bucket_boundary=True), ConfigError),
        (lambda: list(buckets(RAGGED, no_padding=True)), DataError),
    ],
)
def test_wrong_uses_are_refused(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        wrong()
