"""How commands fail: a table of arguments, exit codes and messages, with and without --json."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import seqc as keras
from kit.cli_models import CLASSIFIER, seqc, write
from seqc.cli import app

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")

PREDICT = ["predict", "tiny.onnx"]
TO = ["-o", "y.npy"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad files."""
    folder = tmp_path_factory.mktemp("made")
    write(folder)
    write(folder, "def build():\n    raise SystemExit('no')\n", "quits.py")
    write(folder, CLASSIFIER + "\n\ndef build():\n    return [][0]\n", "breaks.py")
    model = keras.Sequential([keras.Input((8, 8, 1), name="image"), keras.layers.Flatten(), keras.layers.Dense(2)])
    model.save(folder / "tiny.keras")
    model.export(folder / "tiny.onnx", verbose=False)
    (folder / "tiny.keras").rename(folder / "ünï cödé.keras")
    np.save(folder / "flat.npy", np.zeros((10, 8, 8)))
    np.save(folder / "x.npy", np.zeros((3, 8, 8, 1)))
    np.savez(folder / "several.npz", a=np.zeros(2))
    (folder / "empty.onnx").touch()
    (folder / "empty.npy").touch()
    (folder / "table.csv").write_text("1,2,3\n")
    (folder / "pk.npy").write_bytes(b"PK\x03\x04 and so on")
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s, 4), }"
    for name, size in (("huge.npy", 10**12), ("absurd.npy", 10**30), ("cut.npy", 9)):
        text = (header % size).ljust(117) + "\n"
        (folder / name).write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + b"\0" * 64)
    (folder / "header.npy").write_bytes((folder / "cut.npy").read_bytes().replace(b"'shape':", b"'shape:  "))
    (folder / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    return folder


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


# What was asked, the exit code, and what is said.
FAILURES: list[tuple[list[str], int, str]] = [
    (["inspect", "absent.onnx"], 2, "There is no file absent.onnx."),
    (["inspect", "empty.onnx"], 2, "empty.onnx is empty; an ONNX model was expected."),
    (["inspect", "table.csv"], 2, "table.csv is not an ONNX file, or is damaged"),
    (["inspect", "m.h5"], 2, "'m.h5' is not an HDF5 file: "),
    (
        ["inspect", "tiny.onnx", "--size", "time=3"],
        2,
        "--size time=3: no axis is called 'time'; the open axes are batch.",
    ),
    (["inspect", "tiny.onnx", "--size", "batch=" + "9" * 30], 2, "--size takes sizes of at most 1,000,000,000; got"),
    (["inspect", "tiny.py", "--size", "time=3"], 2, "no axis is called 'time'; only the batch is open, and stays so."),
    (["inspect", "absent.keras"], 2, "absent.keras"),
    (["inspect", "quits.py"], 2, "quits.py:2: sys.exit() was called"),
    (["inspect", "breaks.py"], 2, "breaks.py:31: IndexError: list index out of range"),
    (["verify", "absent.onnx"], 2, "There is no file absent.onnx."),
    (["verify", "x.npy"], 2, "x.npy is a NumPy array; an ONNX model was expected."),
    (
        ["verify", "tiny.onnx", "--size", "time=3"],
        2,
        "--size time=3: no axis is called 'time'; only the batch is open, and stays so.",
    ),
    (["export", "tiny.py", "-o", "m.txt"], 2, "The file to write must have a name that ends in .onnx; got m.txt."),
    (["export", "tiny.py", "tiny.keras", "-o", "out", "--weights", "w"], 2, "--weights belongs to one model"),
    (["export", "tiny.py", "-o", "no/m.onnx"], 2, "there is no folder 'no'"),
    (["export", "tiny.onnx", "-o", "m.onnx"], 2, "A model comes from a FILE (.py), or from a model file"),
    (["export", "tiny.py", "-o", "m.onnx", "--opset", "9" * 40], 2, "seqc writes opset 13 to 28; got 999"),
    ([*PREDICT, "x.npy", "-o", "y.txt"], 2, ".npy, .npz, .csv, .parquet or .json; got y.txt."),
    (
        [*PREDICT, "flat.npy", *TO],
        2,
        "needs float32[batch, 8, 8, 1]; got [10, 8, 8]: add an axis at the end: x[..., None]",
    ),
    ([*PREDICT, "empty.npy", *TO], 2, "empty.npy is empty; a NumPy array was expected."),
    ([*PREDICT, "table.csv", *TO], 2, "needs float32[batch, 8, 8, 1], so 64 columns; got 3: '0', '1', '2'."),
    ([*PREDICT, "pk.npy", *TO], 2, "pk.npy is a damaged zip archive (.keras, .npz); a NumPy array was expected."),
    (
        [*PREDICT, "several.npz", *TO],
        2,
        "tiny.onnx takes 'image'; several.npz holds 'a': 'image' missing, 'a' no input of it.",
    ),
    ([*PREDICT, "huge.npy", *TO], 2, "huge.npy is damaged: it ends before its last number."),
    ([*PREDICT, "absurd.npy", *TO], 2, "absurd.npy is damaged: it ends before its last number."),
    ([*PREDICT, "header.npy", *TO], 2, "header.npy is damaged: its header makes no sense."),
    ([*PREDICT, "cut.npy", *TO], 2, "cut.npy is damaged: it ends before its last number."),
    ([*PREDICT, ".", *TO], 2, ". is a folder, not a file."),
    (["predict", ".", "x.npy", *TO], 2, ". is a folder, not a file."),
    (["predict", "absent.onnx", "x.npy", *TO], 2, "There is no file absent.onnx."),
    ([*PREDICT, "x.npy", *TO, "--threads", "100000"], 2, "--threads needs a whole number of at most 1024; got 100000."),
    ([*PREDICT, "x.npy", *TO, "--device", "gpu"], 2, "'gpu' is not one of 'auto', 'cpu', 'cuda'."),
    (
        ["predict", "ünï cödé.keras", "x.npy", *TO],
        2,
        "is a .keras file; an ONNX model was expected. Make one from it: seqc",
    ),
    (
        ["predict", "tiny.py", "x.npy", *TO],
        2,
        "tiny.py is a Python file; an ONNX model was expected. Make one from it:",
    ),
    (
        ["bench", "train", "tiny.py", "--steps", "9" * 12, "--batch-size", "9" * 12],
        2,
        "samples in memory; at most 100,000,000",
    ),
    (["bench", "train", "tiny.py", "--threads", "100000"], 2, "--threads needs a whole number of at most 1024"),
    (["bench", "train", "tiny.onnx"], 2, "A model FILE ends in .py; got tiny.onnx."),
    (["train", "absent.py"], 2, "There is no file absent.py."),
    (["train", "tiny.py", "--epochs", "0"], 2, "--epochs needs a whole number of at least 1; got 0."),
    (["train", "tiny.py", "--epochs", "1e3"], 2, "--epochs needs a whole number; got '1e3'."),
    (["train", "tiny.py", "--bach-size", "1"], 2, "No such option: --bach-size"),
    (["train"], 2, "Missing argument 'FILE'."),
    (["doctor", "now"], 2, "unexpected extra argument"),
]


@pytest.mark.one_in(3)
@pytest.mark.parametrize(("arguments", "code", "message"), FAILURES, ids=[" ".join(f[0])[:60] for f in FAILURES])
def test_a_failure_is_one_message_and_with_json_one_object(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    plain = seqc(*arguments, code=code)
    assert message in plain.stderr
    assert plain.stdout == ""
    assert "mistake in seqc" not in plain.stderr
    assert "Traceback" not in plain.stderr
    told = json.loads(seqc(*arguments, "--json", code=code).stdout)
    assert list(told) == ["error"]
    assert message in told["error"]
    assert not told["error"].startswith(("Error", "Usage"))
    assert not Path("y.npy").exists()


def test_a_file_that_fails_verification_is_an_error_object_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seqc.backends.onnxruntime import Session

    honest = Session.run
    monkeypatch.setattr(Session, "run", lambda *a: {k: v + 1 for k, v in honest(*a).items()})
    told = json.loads(seqc("export", "tiny.py", "-o", "new.onnx", "--json", code=1).stdout)
    assert "computes other numbers in onnxruntime than in NumPy" in told["error"]


def test_debug_shows_seqc_alone(folder: Path) -> None:
    text = seqc("inspect", "absent.onnx", "--debug", code=2).stderr
    lines = text.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'seqc/cli/inspect.py"' in lines[1]
    assert "typer" not in text
    assert lines[-2:] == [
        "seqc.errors.DataError: There is no file absent.onnx.",
        "Error: There is no file absent.onnx.",
    ]


def test_an_error_in_the_authors_own_code_is_not_called_ours(folder: Path) -> None:
    callback = """
class Broken(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        {}["loss"]


FIT = {"epochs": 1, "callbacks": [Broken()]}
"""
    path = write(folder, CLASSIFIER + callback, "own.py")
    text = seqc("train", path, "--limit", 8, "--no-plots", "-o", folder / "own", code=2).stderr
    assert text == f"Error: {path}:31: KeyError: 'loss'\n"


def test_too_little_memory_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr("seqc.cli._onnx.read_model", full)
    text = seqc("inspect", "tiny.onnx", code=2).stderr
    assert text == "Error: there is not enough memory: Unable to allocate 9 TiB.\n"


def test_an_endless_message_is_cut(folder: Path) -> None:
    assert len(seqc("inspect", "x" * 100_000 + ".py", code=2).stderr) < 5000


def test_devices_may_be_written_in_capitals(folder: Path, tmp_path: Path) -> None:
    assert "device  cpu" in seqc(*PREDICT, "x.npy", "-o", tmp_path / "y.npy", "--device", "CPU").stdout


def test_names_with_spaces_and_accents_work(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "ä b.onnx"
    assert f"file        {out} (" in seqc("export", "ünï cödé.keras", "-o", out).stdout
    assert seqc("verify", out).stdout.endswith("use --against.\n")


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_has_a_short_option(option: str) -> None:
    assert seqc(option).stdout == f"seqc {keras.__version__}\n"


def test_shells_can_complete_commands() -> None:
    asked = {"_SEQC_COMPLETE": "complete_bash", "COMP_WORDS": "seqc tr", "COMP_CWORD": "1"}
    result = CliRunner().invoke(app, [], prog_name="seqc", env=asked)
    assert result.stdout.split() == ["train"]
    assert "--install-completion" in seqc("--help").stdout


def test_the_help_lists_the_exit_codes() -> None:
    text = " ".join(seqc("--help").stdout.split())
    for code in ("0 all is well", "1 a target or check failed", "2 the command could not", "130 stopped (Ctrl-C)"):
        assert code in text


# -- as processes ------------------------------------------------------------------------------------------------------


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "seqc", *arguments], text=True, stderr=subprocess.PIPE, **options)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_stops_any_command_with_130_and_a_word(folder: Path) -> None:
    write(folder, "import time\nprint('here', flush=True)\ntime.sleep(60)\n", "sleeps.py")
    for arguments in (["inspect", "sleeps.py", "--json"], ["export", "sleeps.py", "-o", "s.onnx"]):
        json_too = "--json" in arguments
        process = start(*arguments, stdout=subprocess.PIPE)
        heard = process.stderr if json_too else process.stdout
        assert heard is not None
        assert heard.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, err) == (130, "Stopped.\n")
        assert out == ('{\n  "error": "Stopped."\n}\n' if json_too else "")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_output_that_nobody_reads_is_no_error(folder: Path) -> None:
    with start("inspect", "tiny.onnx", stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(20) == 141


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output_is_said(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        process = start("inspect", "tiny.onnx", stdout=full)
        assert process.communicate(timeout=20)[1] == "Error: No space left on device\n"
    assert process.returncode == 2


@pytest.mark.slow
def test_closed_streams_and_odd_encodings_are_no_obstacle(folder: Path) -> None:
    Path("漢.onnx").write_bytes(Path("tiny.onnx").read_bytes())
    for shell in ("inspect tiny.onnx >&- 2>&-", "inspect 漢.onnx | cat"):
        command = f"{sys.executable} -m seqc {shell}"
        variables = os.environ | {"PYTHONIOENCODING": "latin-1", "NO_COLOR": "1", "COLUMNS": "20", "TERM": "dumb"}
        done = subprocess.run(["bash", "-c", command], env=variables, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, ""), shell
    assert done.stdout.startswith("\\u6f22.onnx (")
