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
from seqc.utils.elements import TensorSpec

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
        (lambda: list(Dataset.from_generator(given, ("float32", "float32"))), DataError),
        (lambda: list(Dataset.from_generator(named, output_signature=TensorSpec((), "float32"))), DataError),
        (lambda: list(Dataset.from_generator(lambda: iter([X]), output_signature=TensorSpec((3,)))), DataError),
        (lambda: list(Dataset.from_generator(lambda: iter(["a"]), "float32")), DataError),
        (lambda: list(Dataset.from_generator(lambda: iter([300]), "uint8")), DataError),
        (lambda: list(ten.flat_map(lambda n: n)), ArgumentTypeError),
        (lambda: list(RAGGED.padded_batch(4, padded_shapes=[2])), DataError),
        (lambda: ten.filter(lambda n: False).map(abs).element_spec, DataError),
        (lambda: ten.window(0), ConfigError),
        (lambda: ten.shard(2, 2), ConfigError),
        (lambda: ten.interleave(Dataset.range, cycle_length=0), ConfigError),
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
    assert tf.TensorSpec(tf.TensorShape([None, 4]), tf.float32) == TensorSpec((None, 4))
    options = tf.data.Options()
    options.deterministic = options.threading.private_threadpool_size = 1
    assert len(Dataset.range(3).with_options(options)) == 3
    with pytest.raises(AttributeError, match="A dataset has no 'shuffel'. Did you mean shuffle?"):
        Dataset.range(3).shuffel(2)
    with pytest.raises(AttributeError, match=r"has no 'list_files'. dir\(tf.data.Dataset\) lists what it has"):
        Dataset.list_files("*")
    with pytest.raises(AttributeError, match="tf.data.TFRecordDataset is not there. Take tf.data.Dataset"):
        _ = tf.data.TFRecordDataset
    with pytest.raises(AttributeError, match="Take keras.ops.bincount,"):
        _ = tf.bincount
    with pytest.raises(AttributeError, match="TensorFlow is not installed"):
        _ = tf.lite


def given() -> Any:
    for i in range(3):
        yield np.full((2,), 100 * i, "uint8"), i, float(i)


def named() -> Any:
    for i in range(2):
        yield {"a": [i] * (i + 1), "b": "t" * i}


TEN = Dataset.range(10)
TWO = Dataset.from_tensor_slices((np.arange(6), np.arange(6) / 2))
RAGGED = Dataset.range(1, 5).map(lambda n: np.full(n, n))


def numbers_of(x: Any) -> Any:
    """Returns the numbers of an element, or of the elements of a dataset."""
    if isinstance(x, Dataset):
        return [numbers_of(item) for item in x]
    return seqc.tree.map_structure(lambda part: numbers_of(part) if isinstance(part, Dataset) else part.tolist(), x)


def types_of(x: Any) -> str:
    """Returns the types of the parts of an element, or of the first one of a dataset."""
    while isinstance(x, Dataset):
        x = next(iter(x))
    if any(isinstance(part, Dataset) for part in seqc.tree.flatten(x)):
        return " ".join(map(types_of, x))
    kinds = [part.dtype for part in seqc.tree.flatten(x)]
    return " ".join(dict.fromkeys("text" if kind.kind == "U" else kind.name for kind in kinds))


# What tf.data of TensorFlow gives for the same.
AS_TENSORFLOW: list[tuple[Any, str, Any]] = [
    (
        lambda: Dataset.from_generator(
            given, output_types=("float32", "int64", "float16"), output_shapes=((2,), (), ())
        ),
        "float32 int64 float16",
        [([0.0, 0.0], 0, 0.0), ([100.0, 100.0], 1, 1.0), ([200.0, 200.0], 2, 2.0)],
    ),
    (
        lambda: Dataset.from_generator(
            named, output_signature={"a": TensorSpec((None,), "int32"), "b": TensorSpec((), "string")}
        ),
        "int32 text",
        [{"a": [0], "b": ""}, {"a": [1, 1], "b": "t"}],
    ),
    (
        lambda: Dataset.from_generator(lambda n: iter([n, n]), args=(3,), output_signature=TensorSpec((), "int64")),
        "int64",
        [3, 3],
    ),
    (lambda: Dataset.from_tensor_slices([1, 2]), "int32", [1, 2]),
    (lambda: Dataset.from_tensor_slices([1.5, 2]), "float32", [1.5, 2.0]),
    (lambda: Dataset.from_tensor_slices([np.arange(2.0), np.arange(2.0)]), "float64", [[0.0, 1.0], [0.0, 1.0]]),
    (lambda: Dataset.from_tensors((1, 2.5, "x")), "int32 float32 text", [(1, 2.5, "x")]),
    (lambda: Dataset.range(2), "int64", [0, 1]),
    (lambda: Dataset.range(2, output_type="float32"), "float32", [0.0, 1.0]),
    (lambda: Dataset.range(2).map(lambda n: (n, 1, 2.5)), "int64 int32 float32", [(0, 1, 2.5), (1, 1, 2.5)]),
    (lambda: Dataset.range(2).map(lambda n: n / 2), "float64", [0.0, 0.5]),
    (lambda: Dataset.range(2).enumerate(), "int64", [(0, 0), (1, 1)]),
    (lambda: TEN.window(3), "int64", [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]),
    (lambda: TEN.window(3, drop_remainder=True), "int64", [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
    (lambda: TEN.window(3, 2, 2), "int64", [[0, 2, 4], [2, 4, 6], [4, 6, 8], [6, 8], [8]]),
    (lambda: TEN.window(4, 7, 2), "int64", [[0, 2, 4, 6], [7, 9]]),
    (
        lambda: TWO.window(2, 1, drop_remainder=True),
        "int64 float64",
        [([0, 1], [0.0, 0.5]), ([1, 2], [0.5, 1.0]), ([2, 3], [1.0, 1.5]), ([3, 4], [1.5, 2.0]), ([4, 5], [2.0, 2.5])],
    ),
    (
        lambda: TEN.window(3, shift=1, drop_remainder=True).flat_map(lambda w: w.batch(3)),
        "int64",
        [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 6], [5, 6, 7], [6, 7, 8], [7, 8, 9]],
    ),
    (
        lambda: TWO.window(3, shift=2, drop_remainder=True).flat_map(
            lambda a, b: Dataset.zip((a.batch(3), b.batch(3)))
        ),
        "int64 float64",
        [([0, 1, 2], [0.0, 0.5, 1.0]), ([2, 3, 4], [1.0, 1.5, 2.0])],
    ),
    (
        lambda: TEN.flat_map(lambda n: Dataset.range(n)),
        "int64",
        [
            0,
            0,
            1,
            0,
            1,
            2,
            0,
            1,
            2,
            3,
            0,
            1,
            2,
            3,
            4,
            0,
            1,
            2,
            3,
            4,
            5,
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            0,
            1,
            2,
            3,
            4,
            5,
            6,
            7,
            8,
        ],
    ),
    (
        lambda: TEN.interleave(lambda n: Dataset.range(n), cycle_length=3, block_length=2).take(14),
        "int64",
        [0, 0, 1, 0, 1, 0, 1, 2, 2, 3, 0, 1, 0, 1],
    ),
    (
        lambda: (
            Dataset.range(1, 6)
            .interleave(lambda n: Dataset.from_tensors(n).repeat(6), cycle_length=2, block_length=4)
            .take(14)
        ),
        "int64",
        [1, 1, 1, 1, 2, 2, 2, 2, 1, 1, 2, 2, 3, 3],
    ),
    (lambda: TEN.shard(3, 1), "int64", [1, 4, 7]),
    (lambda: TEN.shard(3, 2).cardinality(), "int64", 3),
    (lambda: TEN.window(3, 2, 2, True).cardinality(), "int64", 3),
    (lambda: TEN.window(3, 2).cardinality(), "int64", 5),
    (lambda: TEN.reduce(np.int64(0), lambda a, b: a + b), "int64", 45),
    (
        lambda: TWO.reduce((np.int64(0), np.float64(0)), lambda s, e: (s[0] + e[0], s[1] + e[1])),
        "int64 float64",
        (15, 7.5),
    ),
    (lambda: TEN.apply(lambda d: d.take(2)), "int64", [0, 1]),
    (lambda: RAGGED.padded_batch(3), "int64", [[[1, 0, 0], [2, 2, 0], [3, 3, 3]], [[4, 4, 4, 4]]]),
    (
        lambda: RAGGED.padded_batch(2, padded_shapes=[6], padding_values=np.int64(-1)),
        "int64",
        [[[1, -1, -1, -1, -1, -1], [2, 2, -1, -1, -1, -1]], [[3, 3, 3, -1, -1, -1], [4, 4, 4, 4, -1, -1]]],
    ),
    (
        lambda: Dataset.zip((RAGGED, RAGGED)).padded_batch(
            2, padded_shapes=([5], [None]), padding_values=(np.int64(7), np.int64(8))
        ),
        "int64",
        [
            ([[1, 7, 7, 7, 7], [2, 2, 7, 7, 7]], [[1, 8], [2, 2]]),
            ([[3, 3, 3, 7, 7], [4, 4, 4, 4, 7]], [[3, 3, 3, 8], [4, 4, 4, 4]]),
        ],
    ),
    (
        lambda: Dataset.from_generator(
            named, output_signature={"a": TensorSpec((None,), "int32"), "b": TensorSpec((), "string")}
        ).padded_batch(2),
        "int32 text",
        [{"a": [[0, 0], [1, 1]], "b": ["", "t"]}],
    ),
    (
        lambda: Dataset.zip((RAGGED, Dataset.range(4))).padded_batch(2, padded_shapes=([None], [])),
        "int64",
        [([[1, 0], [2, 2]], [0, 1]), ([[3, 3, 3, 0], [4, 4, 4, 4]], [2, 3])],
    ),
]


@pytest.mark.parametrize(("make", "types", "expected"), AS_TENSORFLOW)
def test_numbers_and_their_types_are_those_of_tf_data(make: Any, types: str, expected: Any) -> None:
    assert (types_of(make()), numbers_of(make())) == (types, expected)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (TEN, TensorSpec((), "int64")),
        (TEN.batch(3), TensorSpec((None,), "int64")),
        (TEN.filter(lambda n: False).take(2), TensorSpec((), "int64")),
        (TEN.batch(3, drop_remainder=True).map(lambda n: n / 2), TensorSpec((3,), "float64")),
        (TWO.batch(2).shuffle(3).repeat(2).take(1), (TensorSpec((None,), "int64"), TensorSpec((None,), "float64"))),
        (Dataset.from_tensor_slices(X).batch(2).unbatch(), TensorSpec((2,), "float32")),
        (Dataset.from_generator(named, {"a": "int32"}, {"a": [None]}), {"a": TensorSpec([None], "int32")}),
        (Dataset.from_tensor_slices(["a"]), TensorSpec((), "string")),
        (utils.timeseries_dataset_from_array(X, None, 3, batch_size=4), TensorSpec((None, 3, 2), "float32")),
    ],
)
def test_shapes_and_types_of_elements_are_told(data: Any, expected: Any) -> None:
    assert data.element_spec == expected


def test_a_model_learns_from_windows_and_generators_as_from_arrays() -> None:
    series = np.sin(np.arange(20.0))
    windows = Dataset.from_tensor_slices(series).window(4, shift=1, drop_remainder=True).flat_map(lambda w: w.batch(4))
    spec = (TensorSpec((3,), "float32"), TensorSpec((), "float32"))
    pairs = Dataset.from_generator(lambda: ((w[:3], w[3]) for w in windows), output_signature=spec)
    rows = np.lib.stride_tricks.sliding_window_view(series.astype("float32"), 4)
    arrays = Dataset.from_tensor_slices((rows[:, :3], rows[:, 3]))
    results = []
    for data in (windows.map(lambda w: (w[:3], w[3])), pairs, arrays):
        model = seqc.Sequential([seqc.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile("sgd", "mse")
        model.fit(data.batch(5), epochs=2, verbose=0)
        results.append(model.get_weights()[0])
    np.testing.assert_allclose(results[0], results[2], rtol=1e-6)
    np.testing.assert_allclose(results[1], results[2], rtol=1e-6)


def _in_step(make: Any) -> None:
    first, second = make(), make()
    next(iter(first)), next(iter(second.take(1)))
    both = Dataset.zip((first, second))
    passes = [[np.asarray(part).tolist() for pair in both for part in pair] for _ in range(3)]
    assert all(one[::2] == one[1::2] for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_datasets_of_one_seed_stay_in_step() -> None:
    _in_step(lambda: Dataset.range(30).shuffle(7, seed=1).batch(4))
    series = np.arange(40.0)
    _in_step(lambda: utils.timeseries_dataset_from_array(series, None, 4, batch_size=8, shuffle=True, seed=3))
    twice = utils.timeseries_dataset_from_array(series, None, 4, batch_size=8, shuffle=True, seed=3)
    seen = [np.concatenate([pair[i][:, 0] for pair in Dataset.zip((twice, twice))]) for i in range(2)]
    assert [sorted(one) for one in seen] == [list(range(37))] * 2
    assert twice.element_spec.shape == (None, 4)


def test_repeating_nothing_ends() -> None:
    empty = Dataset.range(5).batch(8, drop_remainder=True)
    assert list(empty.repeat()) == list(Dataset.range(5).filter(lambda i: i > 9).repeat()) == []
    assert int(empty.repeat().cardinality()) == 0


def test_datasets_are_taken_together_in_any_form() -> None:
    a, b, c = (Dataset.from_tensor_slices(np.arange(3) + i) for i in (0, 10, 20))
    assert list(Dataset.zip(((a, b), c)))[1] == ((1, 11), 21)
    assert list(Dataset.zip({"a": a, "b": b}, c, name="z"))[2] == ({"a": 2, "b": 12}, 22)
    assert next(iter(Dataset.zip({"b": b, "a": a}))) == {"a": 0, "b": 10}
    with pytest.raises(TypeError, match="must be datasets"):
        Dataset.zip(a, [1, 2, 3])
    made = next(iter(Dataset.zip(a, b).map(lambda x, y: [x, y])))
    assert isinstance(made, tuple)
    assert made == (0, 10)


def test_datasets_are_true_and_more_of_their_methods() -> None:
    numbers = Dataset.range(6)
    assert numbers.take(0, name="none")
    assert numbers.repeat()
    assert numbers.filter(lambda i: i > 1, name="some")
    assert [int(i) for i in numbers.take_while(lambda i: i < 3)] == [0, 1, 2]
    assert [int(i) for i in numbers.map(lambda i: i % 2).unique()] == [0, 1]
    assert [batch.tolist() for batch in numbers.batch(2).rebatch(4)] == [[0, 1, 2, 3], [4, 5]]
