"""What `seqc-runtime score` says of tables, arrays and arguments that are wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from runtime_kit.scored_files import Build, X, said, write_csv

import seqc_runtime
from seqc_runtime.score import score

pytest.importorskip("click", reason="the command reads its options with click")

from onnx import TensorProto, helper

from seqc_runtime.cli.commands import run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c,d\n1,2,3,4\n1,,3,4\n", "in.csv, line 3, column 'b': the value is missing; --missing VALUE"),
        ("a,b,c,d\n1,2,3,4\n\n1,2,3,NA\n", "in.csv, line 4, column 'd': the value is missing"),
        ("1,2,3,4\n1,2,nan,4\n", "in.csv, line 2, column '2': the value is missing"),
        ("a,b,c,d\n1,2,3,4\n1,2,three,4\n", "in.csv, line 3, column 'c': 'three' is no number"),
        ("a,b,c,d\n1,2,3,4\n1,2,3\n", "in.csv, line 3: 3 values; the first line has 4"),
        ("a,b,c,d\n1,2,3,4\n1,2,3,4,5\n", "in.csv, line 3: 5 values; the first line has 4"),
        ("a,b,c\n1,2,3\n", "needs float32[batch, 4], so 4 columns; got 3: 'a', 'b', 'c'"),
        (",a,b,c,d\n0,1,2,3,4\n", "as an index that pandas wrote"),
        ("", "in.csv is empty"),
        ("1.5,z,2,3\n1,2,3,4\n", "'z' may be the name of a column, and '1.5' a value: say --header or --no-header"),
        ("1,2,3,1_000\n", "say --header or --no-header"),
        ("1,2,3,4\n1,2,3,1_000\n", "'1_000' is no number"),
        ("1,2,3,1e999\n", "1e999 is too large"),
        ("bob,ann,red,1\neve,joe,blue,2\n", "say --header or --no-header"),
        ("0,1,2,3\n1,2,3,4\n", "say --header or --no-header"),
        ("a,a,b,c\n1,2,3,4\n", "there are several 'a'"),
        ("a,b,c,d\n1,2,\0,4\n", "in.csv, line 2: there is a zero byte"),
        ('a,b,c,d\n1,2,3,"4\n1,2,3,4\n', "in.csv, line 3: unexpected end of data"),
        ("x_0,x_1,x_2,x_4\n1,2,3,4\n", "leave some out or say some twice: 'x_0', 'x_1', 'x_2', 'x_4'"),
        ("x_0,x_1,x_2,x.2\n1,2,3,4\n", "leave some out or say some twice"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_line(
    gemm_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    (tmp_path / "in.csv").write_text(text)
    assert run(["score", gemm_path, str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")]) == 2
    assert message in said(capsys)
    assert sorted(os.listdir(tmp_path)) == ["gemm.onnx", "in.csv"]


@pytest.mark.parametrize(
    ("dtype", "cell", "message"),
    [
        (TensorProto.INT64, "1.5", "'1.5' is no whole number"),
        (TensorProto.UINT8, "256", "256 is not within 0 to 255"),
        (TensorProto.BOOL, "2", "'2' is neither true nor false"),
    ],
)
def test_whole_numbers_and_truths_are_checked_cell_by_cell(
    identity: Build, tmp_path: Path, dtype: int, cell: str, message: str
) -> None:
    (tmp_path / "in.csv").write_text(f"x\n1\n{cell}\n")
    with pytest.raises(seqc_runtime.RuntimeInputError, match=message):
        score(seqc_runtime.load(identity(dtype)), tmp_path / "in.csv", tmp_path / "out.csv")


def test_an_output_without_a_row_for_each_sample_is_refused(make: Build, tmp_path: Path) -> None:
    model = make(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    np.save(tmp_path / "x.npy", X[:, :2])
    with pytest.raises(seqc_runtime.RuntimeInputError, match="needs one row for each sample"):
        score(seqc_runtime.load(model), tmp_path / "x.npy", tmp_path / "y.npy")


def array_of(shape: str) -> bytes:
    """A .npy file of four numbers that says it has this shape."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(16)


def test_damaged_archives_are_refused(gemm: bytes, tmp_path: Path) -> None:
    model, path = seqc_runtime.load(gemm), tmp_path / "x.npz"
    np.savez_compressed(path, x=X)
    whole = path.read_bytes()
    damaged = whole[:2000] + bytes(range(256)) * 4 + whole[3024:]
    directory = whole.index(b"PK\x01\x02")
    encrypted = bytearray(whole)
    encrypted[6] |= 1
    encrypted[directory + 8] |= 1
    unknown = bytearray(whole)
    unknown[8] = unknown[directory + 10] = 99
    for content in (damaged, bytes(encrypted), bytes(unknown), whole[:-10]):
        path.write_bytes(content)
        with pytest.raises(seqc_runtime.RuntimeInputError, match=r"x\.npz"):
            score(model, path, tmp_path / "y.npy")
    assert os.listdir(tmp_path) == ["x.npz"]


def test_damaged_arrays_and_pickles_are_refused(gemm: bytes, tmp_path: Path) -> None:
    model = seqc_runtime.load(gemm)
    path = tmp_path / "x.npy"
    for content, message in (
        (b"", "not an array in NumPy's format"),
        (b"something else", "not an array in NumPy's format"),
        (array_of("(-1, 4)"), "its shape is"),
        (array_of("(4, 1000000000000000)"), "ends early"),
    ):
        path.write_bytes(content)
        with pytest.raises(seqc_runtime.RuntimeInputError, match=message):
            score(model, path, tmp_path / "y.npy")
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(seqc_runtime.RuntimeInputError, match="ends early"):
        score(model, path, tmp_path / "y.npy")
    np.save(path, np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(seqc_runtime.RuntimeInputError, match="which only a pickle could bring"):
        score(model, path, tmp_path / "y.npy")
    assert os.listdir(tmp_path) == ["x.npy"]


def test_wrong_names_of_files_are_found_before_anything_runs(
    gemm_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_csv(tmp_path / "in.csv", X)
    for arguments, message in (
        ([source, "-o", str(tmp_path / "out.txt")], "needs a file that ends in .csv, .npy, .npz, .parquet, or -"),
        ([source, "-o", str(tmp_path / "none" / "out.csv")], "there is no folder"),
        ([source, "-o", source], "is the input: give another name"),
        ([str(tmp_path / "none.csv"), "-o", "-"], "there is no file"),
        ([source, "-o", "-", "--columns", "y=a"], "columns names 'y'; the model's inputs are 'x'"),
        ([source, "-o", "-", "--columns", "a,b"], "there is no 'a', 'b'; there is '0', '1', '2', '3'"),
        ([source, "-o", "-", "--batch-size", "0"], "batch-size"),
        ([source, "-o", "-", "--actors", "2"], "--actors is for --engine ray"),
    ):
        assert run(["score", gemm_path, *arguments]) == 2
        assert message in said(capsys), arguments


@pytest.mark.skipif(os.name == "nt", reason="users of Unix")
def test_a_folder_that_may_not_be_written_to_is_said_before_anything_runs(
    gemm_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing keeps root, whose tests these may be, from writing.
    monkeypatch.setattr("seqc_runtime.files.places.os.access", lambda path, mode: False)
    source = write_csv(tmp_path / "in.csv", X)
    assert run(["score", gemm_path, source, "-o", str(tmp_path / "out.csv")]) == 2
    assert "may not be written to" in said(capsys)


def test_a_line_that_never_ends_is_no_table(gemm_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqc_runtime.files.csv_files._LONGEST", 1000)
    (tmp_path / "in.csv").write_text("a,b,c,d\n" + "1" * 10_000)
    with pytest.raises(seqc_runtime.RuntimeInputError, match="line 2: the line is longer than 1000 characters"):
        score(seqc_runtime.load(gemm_path), tmp_path / "in.csv", tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("package", "arguments", "command"),
    [
        ("ray", ["in.csv", "-o", "out.csv", "--engine", "ray"], 'pip install "seqc-runtime[cpu,ray]"'),
        ("pyarrow", ["in.csv", "-o", "out.parquet"], 'pip install "seqc-runtime[cpu,server,parquet]"'),
        ("pyarrow", ["in.parquet", "-o", "out.csv"], 'pip install "seqc-runtime[cpu,server,parquet]"'),
    ],
)
def test_what_needs_an_extra_says_which(
    gemm_path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    package: str,
    arguments: list[str],
    command: str,
) -> None:
    write_csv(tmp_path / "in.csv", X)
    (tmp_path / "in.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "seqc_runtime.ray", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run(["score", gemm_path, *arguments]) == 2
    assert command in said(capsys)
    assert sorted(os.listdir(tmp_path)) == ["gemm.onnx", "in.csv", "in.parquet"]
