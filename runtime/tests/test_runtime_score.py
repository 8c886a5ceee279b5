"""`seqc-runtime score`: models over files of samples."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import seqc_runtime
from seqc_runtime.score import Reading, score

pytest.importorskip("typer", reason="the command reads its options with typer")

import onnxruntime as ort
from onnx import TensorProto, helper

from seqc_runtime.cli.commands import run

X = np.random.default_rng(3).standard_normal((2500, 4)).astype(np.float32)
Build = Callable[..., bytes]


def bare(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, feeds)


@pytest.fixture
def gemm_path(gemm: bytes, tmp_path: Path) -> str:
    path = tmp_path / "gemm.onnx"
    path.write_bytes(gemm)
    return str(path)


def table(names: list[str] | None, rows: list[list[object]], mark: str = ",") -> str:
    lines = [names, *rows] if names else rows
    return "".join(mark.join(map(str, line)) + "\n" for line in lines)


def write_csv(path: Path, x: np.ndarray, names: list[str] | None = None) -> str:
    path.write_text(table(names, x.tolist()))
    return str(path)


def read_csv(text: str) -> tuple[list[str], np.ndarray]:
    names, _, rest = text.partition("\n")
    return names.split(","), np.loadtxt(io.StringIO(rest), delimiter=",", ndmin=2)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err
    assert text.startswith("Error: "), text
    assert text.count("\n") == 1
    return text


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


# pyarrow is there when the slow tests run.
KINDS = ["csv", "npy", "npz", pytest.param("parquet", marks=pytest.mark.slow)]


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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing can be tried")
def test_a_strangers_model_goes_through_the_gate(gemm: bytes, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
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
    np.savez(tmp_path / "x.npz", **{"/in": X})
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
    np.save(tmp_path / "x.npy", X[:18, :2])
    with pytest.raises(seqc_runtime.RuntimeInputError, match=r"needs float32\[5, 2\]; got \[3, 2\]"):
        score(model, tmp_path / "x.npy", tmp_path / "y.npy")


def test_an_output_without_a_row_for_each_sample_is_refused(make: Build, tmp_path: Path) -> None:
    model = make(
        [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    np.save(tmp_path / "x.npy", X[:, :2])
    with pytest.raises(seqc_runtime.RuntimeInputError, match="needs one row for each sample"):
        score(seqc_runtime.load(model), tmp_path / "x.npy", tmp_path / "y.npy")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2"])
def test_arrays_of_any_layout_are_read(gemm: bytes, tmp_path: Path, dtype: str, order: str) -> None:
    x = np.asarray(X * 10, dtype=dtype, order=order)
    np.save(tmp_path / "x.npy", x)
    score(seqc_runtime.load(gemm), tmp_path / "x.npy", tmp_path / "y.npy", batch_size=300)
    assert np.allclose(np.load(tmp_path / "y.npy"), bare(gemm, {"x": x.astype(np.float32)})[0], rtol=1e-4, atol=1e-4)


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


def test_a_table_goes_through_a_pipe(gemm_path: str, gemm: bytes) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "seqc_runtime", "score", gemm_path, "-", "-o", "-"],
        input=table(None, X[:9].tolist()),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stderr == ""
    assert np.allclose(read_csv(ended.stdout)[1], bare(gemm, {"x": X[:9]})[0], atol=1e-6)


@pytest.mark.skipif(os.name == "nt", reason="signals of Unix")
@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [
        (signal.SIGINT, 130, "csv"),
        pytest.param(signal.SIGTERM, 143, "csv", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, "npy", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, "npz", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, "parquet", marks=pytest.mark.slow),
    ],
)
def test_a_program_that_is_stopped_leaves_the_old_file_and_no_half_of_a_new_one(
    gemm_path: str, tmp_path: Path, number: int, code: int, kind: str
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet files are written with pyarrow")
    target = tmp_path / f"out.{kind}"
    target.write_text("old")
    child = subprocess.Popen(
        [sys.executable, "-m", "seqc_runtime", "score", gemm_path, "-", "-o", str(target)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    child.stdin.write(table(None, X.tolist()) * 4)
    child.stdin.flush()
    limit = time.monotonic() + 60
    while len(os.listdir(tmp_path)) < 3 and time.monotonic() < limit:
        time.sleep(0.05)
    time.sleep(0.2)
    child.send_signal(number)
    child.wait(60)
    child.stdin.close()
    assert child.returncode == code
    assert child.stderr is not None
    assert "Traceback" not in child.stderr.read()
    child.stderr.close()
    assert sorted(os.listdir(tmp_path)) == ["gemm.onnx", target.name]
    assert target.read_text() == "old"


def test_the_bar_is_on_standard_error_and_only_when_asked_for(
    gemm_path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_csv(tmp_path / "in.csv", X)
    assert run(["score", gemm_path, source, "-o", "-", "--progress", "--batch-size", "100"]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == len(X) + 1
    assert "%" in shown.err
    assert run(["score", gemm_path, source, "-o", "-"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="terminals of Unix")
def test_a_terminal_gets_a_bar_and_a_pipe_gets_none(gemm_path: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    command = [sys.executable, "-m", "seqc_runtime", "score", gemm_path, str(tmp_path / "x.npy"), "-o", "-"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stderr == ""
    ours, theirs = os.openpty()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as child:
        os.close(theirs)
        assert child.stdout is not None
        assert child.stdout.read() == ended.stdout
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # as Linux tells that the other side has gone
            pass
    os.close(ours)
    assert f"{len(X)}/{len(X)}".encode() in shown or b"2500 of 2500 (100%)" in shown


@pytest.mark.skipif(os.name == "nt", reason="users of Unix")
def test_a_folder_that_may_not_be_written_to_is_said_before_anything_runs(
    gemm_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Nothing keeps root, whose tests these may be, from writing.
    monkeypatch.setattr("seqc_runtime.files.places.os.access", lambda path, mode: False)
    source = write_csv(tmp_path / "in.csv", X)
    assert run(["score", gemm_path, source, "-o", str(tmp_path / "out.csv")]) == 2
    assert "may not be written to" in said(capsys)


def test_progress_knows_how_many_samples_a_table_seems_to_have(gemm: bytes, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    source = write_csv(tmp_path / "in.csv", np.tile(X, (20, 1)))
    score(seqc_runtime.load(gemm), source, tmp_path / "y.npy", told=lambda *told: seen.append(told))
    assert [done for done, _ in seen][-1] == 20 * len(X)
    assert all(total is not None and done <= total <= 30 * len(X) for done, total in seen)


def test_memory_does_not_grow_with_the_file(gemm_path: str, tmp_path: Path, run_python: Build) -> None:
    rows = 2_000_000  # 32 MB in, 24 MB out
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (rows, 4))
    ended = run_python(f"""
import numpy as np, resource, seqc_runtime
from seqc_runtime.score import score
import seqc_runtime.files.arrays
model = seqc_runtime.load({gemm_path!r}, threads=1)
model.predict(np.zeros((20_000, 4)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
score(model, {str(tmp_path / "x.npy")!r}, {str(tmp_path / "y.npy")!r}, batch_size=20_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
""")
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 8 * 1024
    assert np.load(tmp_path / "y.npy", mmap_mode="r").shape == (rows, 3)


@pytest.mark.skipif(os.name == "nt", reason="limits of Unix")
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_said_with_the_files_name_and_leaves_nothing(
    gemm_path: str, tmp_path: Path, run_python: Build, kind: str
) -> None:
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet files need pyarrow")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((50_000, 4)).astype(np.float32))
    target = str(tmp_path / f"y.{kind}")
    ended = run_python(f"""
import resource, sys
from seqc_runtime.cli.commands import run
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.exit(run(["score", {gemm_path!r}, {str(tmp_path / "x.npy")!r}, "-o", {target!r}]))
""")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"Error: {target}: "), ended.stderr
    assert "File too large" in ended.stderr
    assert sorted(os.listdir(tmp_path)) == ["gemm.onnx", "x.npy"]


@pytest.mark.skipif(os.name == "nt", reason="limits of Unix")
@pytest.mark.slow
@pytest.mark.parametrize("order", ["C", "F"])
def test_files_bigger_than_memory_are_scored(gemm_path: str, tmp_path: Path, run_python: Build, order: str) -> None:
    rows = 8_000_000  # 128 MB in, 96 MB out
    source = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (rows, 4), fortran_order=order == "F")
    source[-1] = 1
    ended = run_python(f"""
import resource, seqc_runtime, sys
from seqc_runtime.score import score
import numpy as np, seqc_runtime.files.arrays
model = seqc_runtime.load({gemm_path!r}, threads=1)
model.predict(np.zeros((100_000, 4)))
used = int(open("/proc/self/statm").read().split()[5]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_DATA, (used + (64 << 20),) * 2)
score(model, {str(tmp_path / "x.npy")!r}, {str(tmp_path / "y.npy")!r}, batch_size=100_000)
""")
    assert ended.returncode == 0, ended.stderr
    y = np.load(tmp_path / "y.npy", mmap_mode="r")
    assert y.shape == (rows, 3)
    assert np.array_equal(y[[0, -1]], seqc_runtime.load(gemm_path).predict(np.array([[0] * 4, [1] * 4])))


def test_a_line_that_never_ends_is_no_table(gemm_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqc_runtime.files.csv_files._LONGEST", 1000)
    (tmp_path / "in.csv").write_text("a,b,c,d\n" + "1" * 10_000)
    with pytest.raises(seqc_runtime.RuntimeInputError, match="line 2: the line is longer than 1000 characters"):
        score(seqc_runtime.load(gemm_path), tmp_path / "in.csv", tmp_path / "out.csv")


@pytest.mark.skipif(os.name == "nt", reason="descriptors of Unix")
def test_a_closed_standard_output_is_said(gemm_path: str, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", X[:3])
    command = [sys.executable, "-m", "seqc_runtime", "score", gemm_path, source, "-o", "-"]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "--output is -, and this process was started with that closed" in ended.stderr


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
