"""`seqc-runtime score`: models over files of samples."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from runtime_kit.scored_files import KINDS, Build, X, bare, read_csv, table, write_csv

import seqc_runtime
from seqc_runtime.score import Reading, score

pytest.importorskip("click", reason="the command reads its options with click")

from onnx import TensorProto, helper

from seqc_runtime.cli.commands import run


def test_a_csv_file_gives_the_models_numbers_in_order(gemm: bytes, gemm_path: str, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", X, ["a", "b", "c", "d"])
    target = tmp_path / "out.csv"
    assert run(["score", gemm_path, source, "-o", str(target)]) == 0
    names, y = read_csv(target.read_text())
    (expected,) = bare(gemm, {"x": X})
    assert names == ["y_0", "y_1", "y_2"]
    # Text holds the float32 itself: the fewest digits that give it back.
    assert np.array_equal(y.astype(np.float32), seqc_runtime.load(gemm).predict(X))
    assert np.allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source_kind", KINDS)
def test_every_kind_of_file_gives_the_same_numbers(
    gemm: bytes, gemm_path: str, tmp_path: Path, source_kind: str, kind: str
) -> None:
    if "parquet" in (kind, source_kind):
        arrow = pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow")
    source, target = tmp_path / f"in.{source_kind}", tmp_path / f"out.{kind}"
    if source_kind == "csv":
        write_csv(source, X)
    elif source_kind == "parquet":
        columns = {f"x_{i}": X[:, i] for i in (2, 0, 3, 1)}
        arrow.parquet.write_table(arrow.table(columns), source, row_group_size=700)
    else:
        (np.save if source_kind == "npy" else np.savez_compressed)(source, X)
    assert score(seqc_runtime.load(gemm), source, target, batch_size=999) == len(X)
    if kind == "csv":
        y = read_csv(target.read_text())[1]
    elif kind == "parquet":
        y = np.stack(arrow.parquet.read_table(target)["y"].to_numpy())
    else:
        loaded = np.load(target)
        y = loaded if kind == "npy" else loaded["y"]
    assert y.shape == (len(X), 3)
    assert np.allclose(y, bare(gemm, {"x": X})[0], atol=1e-6)


def test_several_inputs_come_from_columns_by_name_number_or_choice(two_inputs: bytes, tmp_path: Path) -> None:
    model = seqc_runtime.load(two_inputs)
    a, b = X[:50, :2], X[:50, 2:]
    (expected,) = bare(two_inputs, {"a": a, "b": b})
    mixed = np.hstack([b[:, 1:], a, b[:, :1]])
    source = write_csv(tmp_path / "in.csv", mixed, ["b_1", "a_0", "a_1", "b_0"])
    score(model, source, tmp_path / "numbered.npy")
    source = write_csv(tmp_path / "in.csv", mixed, ["w", "p", "q", "v"])
    score(model, source, tmp_path / "chosen.npy", reading=Reading({"a": ["p", "q"], "b": ["v", "w"]}))
    np.savez(tmp_path / "in.npz", a=a, b=b)
    score(model, tmp_path / "in.npz", tmp_path / "named.npy", batch_size=7)
    for name in ("numbered", "chosen", "named"):
        assert np.array_equal(np.load(tmp_path / f"{name}.npy"), expected), name


def test_columns_are_given_on_the_command_line(two_inputs: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(two_inputs)
    source = write_csv(tmp_path / "in.csv", X[:, [2, 3, 0, 1]], ["p", "q", "r", "s"])
    chosen = ["--columns", "a=r,s", "--columns", "b=p,q"]
    assert run(["score", str(tmp_path / "m.onnx"), source, "-o", str(tmp_path / "y.npy"), *chosen]) == 0
    assert np.allclose(np.load(tmp_path / "y.npy"), X[:, :2] - X[:, 2:], atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing can be tried")
def test_a_strangers_model_goes_through_the_gate(
    gemm: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = write_csv(tmp_path / "in.csv", X[:, :4], list("abcd")), str(tmp_path / "y.npy")
    (tmp_path / "m.onnx").write_bytes(gemm)
    assert run(["score", str(tmp_path / "m.onnx"), source, "-o", output, "--untrusted"]) == 0
    assert np.load(output).tobytes() == bare(gemm, {"x": X[:, :4]})[0].tobytes()
    (tmp_path / "m.onnx").write_bytes(gemm.replace(b"Relu", b"PyOp"))
    assert run(["score", str(tmp_path / "m.onnx"), source, "-o", output, "--untrusted"]) != 0
    assert "is not let in" in capsys.readouterr().err
    assert run(["score", str(tmp_path / "m.onnx"), source, "-o", output, "--untrusted", "--engine", "ray"]) != 0
    assert "--untrusted is for this process" in capsys.readouterr().err


def test_two_outputs_become_columns_and_arrays(two_outputs: bytes, tmp_path: Path) -> None:
    model = seqc_runtime.load(two_outputs)
    np.save(tmp_path / "x.npy", X[:, :2])
    score(model, tmp_path / "x.npy", tmp_path / "y.csv", batch_size=100)
    names, y = read_csv((tmp_path / "y.csv").read_text())
    assert names == ["negative_0", "negative_1", "total"]
    assert np.allclose(y[:, 2], X[:, :2].sum(1), atol=1e-6)
    score(model, tmp_path / "x.npy", tmp_path / "y.npz", batch_size=100)
    assert np.array_equal(np.load(tmp_path / "y.npz")["negative"], -X[:, :2])
    assert sorted(os.listdir(tmp_path)) == ["x.npy", "y.csv", "y.npz"]


def test_archives_keep_names_as_they_are_and_are_the_same_at_any_time(make: Build, tmp_path: Path) -> None:
    model = make(
        [helper.make_node("Neg", ["/in"], ["/fc/out"])],
        [helper.make_tensor_value_info("/in", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("/fc/out", TensorProto.FLOAT, ["n", 4])],
    )
    np.savez(tmp_path / "x.npz", **{"/in": X})  # type: ignore[arg-type]
    contents = []
    for name in ("a.npz", "b.npz"):
        score(seqc_runtime.load(model), tmp_path / "x.npz", tmp_path / name)
        assert np.array_equal(np.load(tmp_path / name)["/fc/out"], -X)
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert [entry.date_time for entry in archive.infolist()] == [(1980, 1, 1, 0, 0, 0)]
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_images_fill_their_axes_from_columns_in_order(relu: Build, tmp_path: Path) -> None:
    model = relu(["n", 2, 3, 1], ["n", 2, 3, 1])
    x = np.arange(-12, 12, dtype=np.float32).reshape(4, 6)
    score(seqc_runtime.load(model), write_csv(tmp_path / "in.csv", x), tmp_path / "y.npy")
    assert np.array_equal(np.load(tmp_path / "y.npy"), np.maximum(x, 0).reshape(4, 2, 3, 1))
    score(seqc_runtime.load(model), tmp_path / "in.csv", tmp_path / "y.csv")
    assert (tmp_path / "y.csv").read_text().startswith("y_0_0_0,y_0_1_0,y_0_2_0,y_1_0_0")


def test_whole_numbers_keep_all_their_digits(identity: Build, tmp_path: Path) -> None:
    numbers = [2**63 - 1, -(2**63), 2**53 + 1]
    (tmp_path / "in.csv").write_text(table(["x"], [[n] for n in numbers]))
    score(seqc_runtime.load(identity(TensorProto.INT64)), tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == table(["y"], [[n] for n in numbers])


def test_texts_go_in_and_out_quoted(identity: Build, tmp_path: Path) -> None:
    texts = '"a, b"\n"say ""hi"""\n"two\nlines"\nplain\n'
    (tmp_path / "in.csv").write_text("x\n" + texts)
    score(seqc_runtime.load(identity(TensorProto.STRING)), tmp_path / "in.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "y\n" + texts
    with pytest.raises(seqc_runtime.RuntimeInputError, match="is text, which a .npy file"):
        score(seqc_runtime.load(identity(TensorProto.STRING)), tmp_path / "in.csv", tmp_path / "out.npy")


def test_missing_numbers_are_filled_when_told(gemm: bytes, gemm_path: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a;b;c;d\n1;NA;3;4\n1;2;nan;\n")
    arguments = ["score", gemm_path, str(tmp_path / "in.csv"), "-o", str(tmp_path / "y.npy"), "--missing", "-1"]
    assert run(arguments) == 0
    x = np.array([[1, -1, 3, 4], [1, 2, -1, -1]], np.float32)
    assert np.allclose(np.load(tmp_path / "y.npy"), bare(gemm, {"x": x})[0])


def test_a_table_from_a_spreadsheet_has_a_mark_and_windows_lines(gemm: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"\xef\xbb\xbfa\tb\tc\td\r\n1\t2\t3\t4\r\n")
    score(seqc_runtime.load(gemm), tmp_path / "in.csv", tmp_path / "y.npy")
    assert np.load(tmp_path / "y.npy").shape == (1, 3)


@pytest.mark.parametrize("kind", ["csv", "npy", "npz"])
def test_no_samples_give_a_file_without_rows(gemm: bytes, tmp_path: Path, kind: str) -> None:
    (tmp_path / "in.csv").write_text("a,b,c,d\n")
    target = tmp_path / f"y.{kind}"
    assert score(seqc_runtime.load(gemm), tmp_path / "in.csv", target) == 0
    if kind == "csv":
        assert target.read_text() == "y_0,y_1,y_2\n"
    else:
        loaded = np.load(target)
        assert (loaded if kind == "npy" else loaded["y"]).shape == (0, 3)


def test_a_model_of_a_fixed_batch_runs_that_many_at_a_time(relu: Build, tmp_path: Path) -> None:
    model = seqc_runtime.load(relu([5, 2], [5, 2]))
    np.save(tmp_path / "x.npy", X[:20, :2])
    score(model, tmp_path / "x.npy", tmp_path / "y.npy")
    assert np.array_equal(np.load(tmp_path / "y.npy"), np.maximum(X[:20, :2], 0))
    with pytest.raises(seqc_runtime.RuntimeArgumentError, match="runs on 5 samples at a time"):
        score(model, tmp_path / "x.npy", tmp_path / "y.npy", batch_size=4)
    for count in (18, 3):  # the last are filled up
        np.save(tmp_path / "x.npy", X[:count, :2])
        assert score(model, tmp_path / "x.npy", tmp_path / "y.npy") == count
        assert np.array_equal(np.load(tmp_path / "y.npy"), np.maximum(X[:count, :2], 0))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2"])
def test_arrays_of_any_layout_are_read(gemm: bytes, tmp_path: Path, dtype: str, order: Literal["C", "F"]) -> None:
    x = np.asarray(X * 10, dtype=dtype, order=order)
    np.save(tmp_path / "x.npy", x)
    score(seqc_runtime.load(gemm), tmp_path / "x.npy", tmp_path / "y.npy", batch_size=300)
    assert np.allclose(np.load(tmp_path / "y.npy"), bare(gemm, {"x": x.astype(np.float32)})[0], rtol=1e-4, atol=1e-4)
