"""`seqc-runtime score` as a program: pipes, terminals, signals, memory, and a full disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime_kit.scored_files import KINDS, X, bare, read_csv, table, write_csv

import seqc_runtime
from seqc_runtime.score import score

pytest.importorskip("click", reason="the command reads its options with click")

from seqc_runtime.cli.commands import run


@pytest.mark.slow
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


@pytest.mark.slow
def test_progress_knows_how_many_samples_a_table_seems_to_have(gemm: bytes, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    source = write_csv(tmp_path / "in.csv", np.tile(X, (20, 1)))
    score(seqc_runtime.load(gemm), source, tmp_path / "y.npy", told=lambda *told: seen.append(told))
    assert [done for done, _ in seen][-1] == 20 * len(X)
    assert all(total is not None and done <= total <= 30 * len(X) for done, total in seen)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(gemm_path: str, tmp_path: Path, run_python: Callable[..., Any]) -> None:
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


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="limits of Unix")
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_said_with_the_files_name_and_leaves_nothing(
    gemm_path: str, tmp_path: Path, run_python: Callable[..., Any], kind: str
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
def test_files_bigger_than_memory_are_scored(
    gemm_path: str, tmp_path: Path, run_python: Callable[..., Any], order: str
) -> None:
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


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="descriptors of Unix")
def test_a_closed_standard_output_is_said(gemm_path: str, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", X[:3])
    command = [sys.executable, "-m", "seqc_runtime", "score", gemm_path, source, "-o", "-"]
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert "--output is -, and this process was started with that closed" in ended.stderr
