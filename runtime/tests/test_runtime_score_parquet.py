"""`seqc-runtime score` with Parquet files: missing values, types, lists, and memory."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import seqc_runtime
from seqc_runtime.score import Reading, score

pytestmark = pytest.mark.slow  # where pyarrow is installed
pa: Any = pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow")
pytest.importorskip("pyarrow.parquet", reason="Parquet files are read with pyarrow")

X = np.random.default_rng(3).standard_normal((2500, 4)).astype(np.float32)
Build = Callable[..., bytes]


def scored(model: bytes, table: Any, folder: Path, **reading: Any) -> list[Any]:
    pa.parquet.write_table(table, folder / "x.parquet")
    score(seqc_runtime.load(model), folder / "x.parquet", folder / "y.parquet", reading=Reading(**reading))
    found: list[Any] = pa.parquet.read_table(folder / "y.parquet")["y"].to_pylist()
    return found


def test_missing_values_and_nan_are_filled_as_in_a_table_of_text(identity: Build, tmp_path: Path) -> None:
    floats, whole = identity(TensorProto.FLOAT), identity(TensorProto.INT64)
    column = pa.table({"x": [1.0, None, float("nan")]})
    assert scored(floats, column, tmp_path, missing=9.0) == [1, 9, 9]
    with pytest.raises(seqc_runtime.RuntimeInputError, match=r"x\.parquet, row 1, column 'x': the value is missing"):
        scored(floats, column, tmp_path)
    numbers = scored(floats, pa.table({"x": [1.0, float("nan")]}), tmp_path)
    assert numbers[0] == 1
    assert np.isnan(numbers[1])
    big = pa.table({"x": pa.array([2**53 + 1, None, -(2**63)], pa.int64())})
    assert scored(whole, big, tmp_path, missing=7) == [2**53 + 1, 7, -(2**63)]


NUMBERS = [
    (pa.array([1, None, 3], pa.int64()), 0.5, [1, 0.5, 3]),
    (pa.array([1, None], pa.uint8()), -1.0, [1, -1]),
    (pa.array([True, None]), 0.5, [1, 0.5]),
    (pa.array(np.array([1, np.nan], np.float16)), 0.1, [1, np.float32(0.1)]),
    (pa.array([5, None, 5]).dictionary_encode(), 0.25, [5, 0.25, 5]),
    (pa.nulls(2), 1.5, [1.5, 1.5]),
]


@pytest.mark.parametrize(("column", "fill", "expected"), NUMBERS, ids=lambda one: str(getattr(one, "type", "")))
def test_a_fill_needs_not_fit_the_type_of_its_column(
    identity: Build, tmp_path: Path, column: Any, fill: float, expected: list[float]
) -> None:
    assert scored(identity(TensorProto.FLOAT), pa.table({"x": column}), tmp_path, missing=fill) == expected


@pytest.mark.parametrize(
    ("kind", "column", "fill", "message"),
    [
        (TensorProto.INT64, pa.array([1, None]), 0.5, "--missing 0.5 cannot be put into input 'x', which needs int64"),
        (TensorProto.UINT8, pa.array([1, None]), -1.0, "values from 0 to 255; got -1"),
        (TensorProto.BOOL, pa.array([True, None]), 2.0, "--missing 2 cannot be put into input 'x', which needs bool"),
        (
            TensorProto.FLOAT,
            pa.array(["1", None]),
            0.0,
            "needs float32.*, of type 'str'",
        ),
        (TensorProto.STRING, pa.array(["a", None]), 0.0, "row 1, column 'x': the value is missing$"),
    ],
)
def test_a_fill_that_the_input_cannot_hold_is_refused(
    identity: Build, tmp_path: Path, kind: int, column: Any, fill: float, message: str
) -> None:
    with pytest.raises(seqc_runtime.RuntimeInputError, match=message):
        scored(identity(kind), pa.table({"x": column}), tmp_path, missing=fill)


def test_columns_of_several_integers_stay_integers(identity: Build, tmp_path: Path) -> None:
    table = pa.table({"x_0": pa.array([1, -2]), "x_1": pa.array([2**53 + 1, 2], pa.uint64())})
    assert scored(identity(TensorProto.INT64, ("batch", 2)), table, tmp_path) == [[1, 2**53 + 1], [-2, 2]]


def test_texts_and_truths_go_through_whatever_way_they_are_stored(identity: Build, tmp_path: Path) -> None:
    texts = ["a", "é", "", "a"]
    text = identity(TensorProto.STRING)
    for column in (pa.array(texts), pa.array(texts, pa.large_string()), pa.array(texts).dictionary_encode()):
        assert scored(text, pa.table({"x": column}), tmp_path) == texts
    assert scored(identity(TensorProto.BOOL), pa.table({"x": [True, False]}), tmp_path) == [True, False]


def test_lists_are_rows_and_no_lists_are_no_rows(gemm: bytes, tmp_path: Path) -> None:
    expected = seqc_runtime.load(gemm).predict(X)
    for kind in (pa.list_(pa.float32()), pa.list_(pa.float32(), 4), pa.large_list(pa.float64())):
        assert np.allclose(scored(gemm, pa.table({"x": pa.array(list(X), kind)}), tmp_path), expected, atol=1e-6)
        assert scored(gemm, pa.table({"x": pa.array([], kind)}), tmp_path) == []


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([[1.0, 2.0, None, 4.0]], "row 0, column 'x': the value is missing"),
        ([[1.0, 2.0, 3.0, 4.0], None], "row 1, column 'x': the value is missing"),
        ([[1.0, 2.0, 3.0, 4.0], [1.0]], "lists of different lengths"),
        ([[1.0, 2.0, 3.0]], r"needs float32\[batch, 4\]; got \[1, 3\]"),
        ([{"a": 1.0}], "numbers or lists were expected"),
        ([[datetime.date(2020, 1, 1)] * 4], "got dates"),
    ],
)
def test_columns_that_are_no_numbers_are_refused(gemm: bytes, tmp_path: Path, column: list[Any], message: str) -> None:
    with pytest.raises(seqc_runtime.RuntimeInputError, match=message):
        scored(gemm, pa.table({"x": column}), tmp_path)


def test_maps_are_refused(gemm: bytes, tmp_path: Path) -> None:
    column = pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32()))
    with pytest.raises(seqc_runtime.RuntimeInputError, match="holds map<"):
        scored(gemm, pa.table({"x": column}), tmp_path)


def test_a_damaged_page_is_found_where_the_file_has_checksums(gemm: bytes, tmp_path: Path) -> None:
    table = pa.table({f"x_{i}": X[:, i] for i in range(4)})
    pa.parquet.write_table(table, tmp_path / "x.parquet", write_page_checksum=True, compression="none")
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    content[500:600] = bytes(100)
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(seqc_runtime.RuntimeInputError, match=r"x\.parquet is damaged"):
        score(seqc_runtime.load(gemm), tmp_path / "x.parquet", tmp_path / "y.npy")
    assert not (tmp_path / "y.npy").exists()


def test_rows_are_written_in_groups_worth_reading(gemm: bytes, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.tile(X, (80, 1)))
    model = seqc_runtime.load(gemm)
    assert score(model, tmp_path / "x.npy", tmp_path / "y.parquet", batch_size=1000) == 200_000
    about = pa.parquet.read_metadata(tmp_path / "y.parquet")
    assert (about.num_rows, about.num_row_groups) == (200_000, 2)
    y = np.stack(pa.parquet.read_table(tmp_path / "y.parquet")["y"].to_numpy())
    assert np.allclose(y, np.tile(model.predict(X), (80, 1)), atol=1e-6)


def test_memory_does_not_grow_with_the_groups_of_a_file(
    gemm: bytes, tmp_path: Path, run_python: Callable[..., Any]
) -> None:
    """pyarrow, left alone, holds a whole group of rows: of the whole file, here."""
    (tmp_path / "m.onnx").write_bytes(gemm)
    table = {f"x_{i}": np.random.default_rng(i).random(4_000_000, np.float32) for i in range(4)}
    pa.parquet.write_table(pa.table(table), tmp_path / "x.parquet", row_group_size=4_000_000)
    small = pa.table({name: values[:40_000] for name, values in table.items()})
    pa.parquet.write_table(small, tmp_path / "small.parquet")
    assert (tmp_path / "x.parquet").stat().st_size > 56 << 20
    ended = run_python(f"""
import resource, seqc_runtime
from seqc_runtime.score import score
model = seqc_runtime.load({str(tmp_path / "m.onnx")!r}, threads=1)
score(model, {str(tmp_path / "small.parquet")!r}, {str(tmp_path / "y.npy")!r}, batch_size=20_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
score(model, {str(tmp_path / "x.parquet")!r}, {str(tmp_path / "y.npy")!r}, batch_size=20_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
""")
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 32 * 1024
    assert np.load(tmp_path / "y.npy", mmap_mode="r").shape == (4_000_000, 3)


@pytest.mark.parametrize("permutation", [None, [1, 0], [0, 1]])
@pytest.mark.parametrize("missing", [None, 0.0])
def test_tensors_of_arrow_have_their_shape(
    make: Build, tmp_path: Path, permutation: list[int] | None, missing: float | None
) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape]) for name, shape in SHAPES.items()]
    model = make([helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 1])], ends[:1], ends[1:])
    kind = pa.fixed_shape_tensor(pa.float32(), [2, 3] if permutation != [1, 0] else [3, 2], permutation=permutation)
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    column = pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(values.reshape(-1), 6))
    found = scored(model, pa.table({"x": column}), tmp_path, missing=missing)
    assert np.array_equal(np.array(found), column.to_numpy_ndarray().swapaxes(1, 2))


SHAPES = {"x": (2, 3), "y": (3, 2)}
