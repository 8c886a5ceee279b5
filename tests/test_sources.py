"""Data of other libraries, known by what they can do: each trains as its arrays do; see also test_libraries.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError, DataError

rng = np.random.default_rng(3)
N, SIZE = 21, 4
A, B = rng.normal(size=(N, 3)).astype("float32"), rng.normal(size=N).astype("float32")
KIND = rng.integers(0, 2, N)
COLUMNS = {"a": A, "b": B, "kind": KIND}


def one() -> keras.Sequential:
    keras.utils.set_random_seed(5)
    made = keras.Sequential([keras.Input((3,), name="a"), layers.Dense(2, "softmax", name="sort")])
    made.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return made


def two() -> keras.Model:
    keras.utils.set_random_seed(5)
    a, b = keras.Input((3,), name="a"), keras.Input((1,), name="b")
    made = keras.Model([a, b], layers.Dense(2, "softmax", name="sort")(layers.Concatenate()([a, b])))
    made.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return made


def losses(model: Any, x: Any, y: Any = None, **how: Any) -> list[float]:
    settings = {"batch_size": SIZE, "epochs": 2, "verbose": 0} | how
    return list(model.fit(x, y, **settings).history["loss"])


def parts(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: a[i : i + SIZE] for name, a in data.items()} for i in range(0, N, SIZE)]


class File:
    """As a dataset of h5py or zarr: has a shape, and gives the rows of slices."""

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values)
        self.shape, self.dtype, self.most = self._values.shape, self._values.dtype, 0

    def __getitem__(self, take: Any) -> Any:
        assert isinstance(take, slice)
        found = self._values[take]
        self.most = max(self.most, len(found))
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise AssertionError("read whole")


class Rows:
    """As a Dataset of Hugging Face."""

    def __init__(self, data: dict[str, Any], log: list[Any] | None = None) -> None:
        self._data, self.column_names, self.log = data, list(data), [] if log is None else log

    def __len__(self) -> int:
        return len(next(iter(self._data.values())))

    def select_columns(self, names: list[str]) -> Rows:
        return Rows({name: self._data[name] for name in names}, self.log)

    def with_format(self, kind: str) -> Rows:
        assert kind == "numpy"
        return self

    def __getitem__(self, take: Any) -> Any:
        found = {name: np.asarray(a)[take] for name, a in self._data.items()}
        self.log += [(name, len(a)) for name, a in found.items()]
        return found

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("row by row")


class Stream:
    """As an IterableDataset of Hugging Face."""

    column_names = None

    def with_format(self, kind: str) -> Stream:
        return self

    def iter(self, size: int) -> Iterator[Any]:
        return iter({name: a[i : i + size] for name, a in COLUMNS.items()} for i in range(0, N, size))

    def __iter__(self) -> Iterator[Any]:
        return iter({name: a[i] for name, a in COLUMNS.items()} for i in range(N))


class Frame:
    """As a table of pandas or polars."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data, self.columns = {name: np.asarray(a) for name, a in data.items()}, list(data)
        self.shape = (len(next(iter(self._data.values()))), len(data))

    def __getitem__(self, name: str) -> Any:
        return Column(self._data[name])

    def to_numpy(self) -> Any:
        kinds = {a.dtype.kind for a in self._data.values()}
        return np.stack([a if len(kinds) == 1 else a.astype(object) for a in self._data.values()], 1)


class Column:
    def __init__(self, values: Any) -> None:
        self._values = values
        self.shape, self.dtype = values.shape, values.dtype

    def to_numpy(self) -> Any:
        return self._values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self._values, dtype)


class Exchanged:
    """A tensor that knows only the protocol of DLPack."""

    def __init__(self, values: Any) -> None:
        self._values, self.shape, self.dtype = values, values.shape, "theirs"

    def __dlpack__(self, **how: Any) -> Any:
        return self._values.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self._values.__dlpack_device__()


@pytest.mark.parametrize("shuffle", [pytest.param(False, marks=pytest.mark.slow), True])
def test_what_lies_in_a_file_trains_as_the_arrays_do_and_is_read_by_the_batch(shuffle: bool) -> None:
    x, y, weight = File(A.astype("float64")), File(KIND.astype("uint8")), File(np.arange(N) / N)
    how: dict[str, Any] = {"shuffle": shuffle, "validation_split": 0.3}
    expected = losses(one(), A, KIND, sample_weight=np.arange(N) / N, **how)
    assert losses(one(), x, y, sample_weight=weight, **how) == expected
    assert x.most <= SIZE
    trained = one()
    np.testing.assert_array_equal(trained.predict(x, SIZE, verbose=0), trained.predict(A, SIZE, verbose=0))
    assert trained.evaluate(x, y, SIZE, verbose=0) == trained.evaluate(A, KIND, SIZE, verbose=0)
    both = {"a": File(A), "b": File(B)}  # one number a sample, for an input of shape (1,)
    assert losses(two(), both, File(KIND), shuffle=shuffle) == losses(two(), {"a": A, "b": B}, KIND, shuffle=shuffle)
    assert both["b"].most <= SIZE


def test_a_mapped_array_is_neither_copied_nor_changed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", A.astype("float64"))
    np.save(tmp_path / "y.npy", KIND.astype("int8"))
    x, y = (np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "y.npy"))
    used = one()
    data = used._trainer.labelled_data(x, y, None)
    assert np.shares_memory(data.x[0], x)
    assert np.shares_memory(data.y[0], y)
    assert losses(one(), x, y) == losses(one(), A, KIND)
    assert losses(one(), x, y, class_weight={1: 3.0}) == losses(one(), A, KIND, class_weight={1: 3.0})


def test_texts_in_a_file_are_strings() -> None:
    words = np.array([b"red", b"blue"] * 10 + [b"green"], object)
    looked = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup(vocabulary=["blue", "red"])])
    expected = looked.predict(np.array([w.decode() for w in words]), verbose=0)
    np.testing.assert_array_equal(looked.predict(File(words), batch_size=SIZE, verbose=0), expected)


@pytest.mark.parametrize("shuffle", [pytest.param(False, marks=pytest.mark.slow), True])
def test_columns_of_a_dataset_are_told_by_the_names_of_inputs_and_read_by_the_batch(shuffle: bool) -> None:
    expected = losses(two(), {"a": A, "b": B}, KIND, shuffle=shuffle)
    rows = Rows(COLUMNS)
    assert losses(two(), rows, shuffle=shuffle) == expected
    assert max(size for name, size in rows.log if name != "kind") <= SIZE
    assert losses(two(), Rows({"a": A, "b": B}), KIND, shuffle=shuffle) == expected
    named = {"sort": KIND, "id": np.arange(N), **COLUMNS}
    del named["kind"]
    assert losses(two(), Rows(named), shuffle=shuffle) == expected  # labels under the name of the output
    trained = two()
    np.testing.assert_array_equal(trained.predict(rows, verbose=0), trained.predict({"a": A, "b": B}, verbose=0))
    run = trained.fit({"a": A, "b": B}, KIND, validation_data=rows, epochs=2, verbose=0)
    assert run.history["val_loss"][1] == trained.evaluate({"a": A, "b": B}, KIND, verbose=0)


@pytest.mark.slow
def test_batches_that_are_dictionaries_with_labels_in_them_train() -> None:
    expected = losses(two(), {"a": A, "b": B}, KIND, shuffle=False)

    class Loader:
        def __iter__(self) -> Iterator[Any]:
            return iter(parts(COLUMNS))

    assert losses(two(), Loader()) == expected
    assert losses(two(), Stream()) == expected
    assert losses(two(), COLUMNS, shuffle=False) == expected


@pytest.mark.slow
def test_tables_are_one_input_or_one_for_each_column() -> None:
    expected = losses(one(), A, KIND, shuffle=False)
    flat = Frame({"p": A[:, 0], "q": A[:, 1], "r": A[:, 2]})
    assert losses(one(), flat, Column(KIND), shuffle=False) == expected
    named = Frame({"a": A[:, 0], "q": A[:, 1], "r": A[:, 2]})  # a column as the input is called, and yet one of three
    assert losses(one(), named, Column(KIND), shuffle=False) == expected
    mixed = Frame({"p": A[:, 0], "q": A[:, 1] > 0, "r": A[:, 2]})
    whole = np.stack([A[:, 0], A[:, 1] > 0, A[:, 2]], 1)
    assert losses(one(), mixed, KIND, shuffle=False) == losses(one(), whole, KIND, shuffle=False)
    p, q = keras.Input((1,), name="p"), keras.Input((1,), name="word", dtype="string")
    looked = layers.StringLookup(vocabulary=["x", "y"], output_mode="one_hot")(q)
    made = keras.Model([p, q], layers.Dense(2, "softmax")(layers.Concatenate()([p, looked])))
    made.compile("sgd", "sparse_categorical_crossentropy")
    words = np.where(A[:, 1] > 0, "x", "y")
    table = Frame({"word": words, "kind": KIND, "p": A[:, 0]})
    assert made.evaluate(table, verbose=0) == made.evaluate({"p": A[:, 0], "word": words}, KIND, verbose=0)


@pytest.mark.slow
def test_a_tensor_of_dlpack_is_an_array() -> None:
    assert losses(one(), Exchanged(A), Exchanged(KIND)) == losses(one(), A, KIND)


class Kept:
    """Gives the same generator each time it is asked."""

    def __init__(self) -> None:
        self._batches = ((p["a"], p["kind"]) for p in parts(COLUMNS))

    def __iter__(self) -> Any:
        return self._batches


class Single:
    """Samples, one at a time, as a dataset of tf.data before it is batched."""

    def __init__(self, *samples: Any) -> None:
        self._samples = samples

    def __iter__(self) -> Any:
        return iter(self._samples)


class Endless:
    """Has no end, as grain says it."""

    def __len__(self) -> int:
        return 2**63 - 1

    def __getitem__(self, i: int) -> Any:
        return A[:4], KIND[:4]


def _ragged(kind: str) -> Any:
    class Odd:
        def __array__(self) -> Any:
            raise AssertionError(kind)

    setattr(Odd, kind, None)
    return Odd()


GAPS = Frame({"p": np.array([1.0] * 20 + [None], object), "q": A[:, 0], "r": A[:, 1]})


TWICE = Frame({"p": A[:, 0] > 0, "q": A[:, 1], "r": A[:, 2]})
TWICE.columns = ["p", "p", "r"]


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (
            lambda: one().fit(A, KIND, validation_data=Kept(), epochs=2),
            ConfigError,
            r"\(Kept\) can be gone through once",
        ),
        (lambda: one().fit(Single((A[0], KIND[0]))), DataError, r"x \(Single\) gives single samples; it must give"),
        (lambda: two().fit(Single(({"a": A[0], "b": B[0]}, KIND[0]))), DataError, "gives single samples"),
        (lambda: two().fit(Stream()), DataError, r"fit\(stream, batch_size=32\)"),
        (lambda: one().fit(Endless()), DataError, r"x \(Endless\) never ends"),
        (lambda: one().fit(_ragged("row_splits"), KIND), DataError, r"x \(.*Odd\) is ragged: .* Pad them"),
        (lambda: one().fit(_ragged("dense_shape"), KIND), DataError, "is sparse, and layers take arrays"),
        (lambda: one().predict(_ragged("tocsr")), DataError, "is sparse"),
        (lambda: one().predict(_ragged("collect_schema")), DataError, r"x.collect\(\) makes it one"),
        (lambda: one().fit(GAPS, KIND), DataError, r"x\['p'\] has no value in 1 of 21 places, the first at row 20"),
        (
            lambda: one().fit(Frame({"p": A[:, 0], "t": ["a"] * N}), KIND),
            DataError,
            r"columns 't' \(string\) are no num",
        ),
        (lambda: two().fit(Rows({"a": A, "kind": KIND})), DataError, "the columns are 'a', 'kind': 'b' missing"),
        (
            lambda: two().fit(Rows(COLUMNS | {"c": B})),
            DataError,
            "Which column holds the labels. 'kind', 'c' are no in",
        ),
        (
            lambda: two().fit({"train": Rows(COLUMNS)}),
            DataError,
            r"dictionary of tables: 'train'. Choose .* x\['train'\]",
        ),
        (
            lambda: keras.Sequential([layers.Dense(2)]).predict(Rows(COLUMNS)),
            DataError,
            r"Begin it with Input\(shape, name=",
        ),
        (lambda: one().fit("x.npy", KIND), DataError, "x is one text or path, 'x.npy'; it must be samples"),
        (lambda: one().fit(Path("x.npy"), KIND), DataError, "x is one text or path"),
        (lambda: one().fit(np.ma.masked_greater(A, 0), KIND), DataError, r"x has masked elements .* x.filled\(0\)"),
        (lambda: one().fit(TWICE, KIND), DataError, "x has several columns 'p'; give each a name of its own"),
        (lambda: two().predict(Rows(COLUMNS | {"b": [object()] * N})), DataError, r"x\['b'\] holds object"),
    ],
)
def test_what_cannot_be_batches_is_refused_before_training(use: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        use()


def test_rows_that_differ_in_shape_are_said_where_they_are_met() -> None:
    class Ragged(Rows):
        def __getitem__(self, take: Any) -> Any:
            found = super().__getitem__(take)
            return {name: a if len(a) == 1 else a[:, :2] for name, a in found.items()}

        def select_columns(self, names: list[str]) -> Rows:
            return Ragged({name: self._data[name] for name in names})

    with pytest.raises(DataError, match=r"Rows of x\['a'\] differ in shape; the first is \(3,\)"):
        one().fit(Ragged({"a": A}), KIND, verbose=0)


@pytest.mark.slow
def test_layers_adapt_to_what_lies_in_files_and_to_batches_of_others() -> None:
    known = layers.Normalization()
    known.adapt(A)

    class Loader:
        def __iter__(self) -> Iterator[Any]:
            return iter([[p["a"], p["kind"]] for p in parts(COLUMNS)])

    for data in (File(A), Loader()):
        found = layers.Normalization()
        found.adapt(data)
        np.testing.assert_allclose(np.asarray(found.mean), np.asarray(known.mean), atol=1e-6)
        np.testing.assert_allclose(np.asarray(found.variance), np.asarray(known.variance), rtol=1e-6)
    words = layers.StringLookup()
    words.adapt(File(np.array([b"b", b"a", b"b"], object)))
    assert words.get_vocabulary() == ["[UNK]", "b", "a"]
