"""The command line as a whole: help, versions, exit codes, and what is printed where."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import seqc as package
from kit.cli_models import seqc, seqc_json, write
from seqc.cli import app

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = [name for name in get_command(app).commands if name != "bench"]  # type: ignore[attr-defined]


def run(*arguments: Any, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m seqc` as a user would."""
    paths = os.pathsep.join([str(ROOT), str(ROOT / "runtime"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "seqc", *map(str, arguments)]
    variables = os.environ | {"PYTHONPATH": paths} | environment
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=120)


FOR_KERAS = """
import keras
from tensorflow.keras import layers

def build():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, trainable=False)])
    model.compile("sgd", "mse")
    return model

def data():
    return ([[1.0, 2.0]] * 4, [1.0] * 4), ([[1.0, 2.0]] * 4, [1.0] * 4)
"""


@pytest.mark.skipif(any(map(find_spec, ("keras", "tensorflow"))), reason="means Keras where that is installed")
def test_a_file_written_for_keras_is_taken_as_it_is_and_warnings_are_lines(tmp_path: Path) -> None:
    file = write(tmp_path, FOR_KERAS, "old.py")
    found = run("train", file, "--no-plots", "-o", tmp_path / "out", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert found.stderr == "Warning: Model 'sequential' has nothing to train: no layer with trainable weights.\n"


def test_version_is_that_of_the_package() -> None:
    assert seqc("--version").stdout == f"seqc {package.__version__}\n"


def test_help_names_every_command_and_the_exit_codes() -> None:
    text = seqc("--help").stdout
    assert all(f"\n  {name} " in text for name in COMMANDS)
    assert "1 a target or check failed" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_examples_and_no_decoration(command: str) -> None:
    text = seqc(command, "--help").stdout
    assert f"Examples:\n    seqc {command}" in text
    assert "--json" in text
    assert "--debug" in text
    assert not set(text) & set("╭│─\x1b")


def test_the_help_of_train_explains_model_files_and_warns_that_they_are_run() -> None:
    text = " ".join(seqc("train", "--help").stdout.split())
    for word in ("build()", "data()", "TARGET", "FIT", "`model`"):
        assert word in text
    assert "The file is run as your own code" in text


def test_passes_shows_the_graph_after_each_pass_that_changes_it(tmp_path: Path) -> None:
    file = write(tmp_path)
    text = seqc("passes", file).stdout
    assert "-- 0 start\ngraph(point: float32[batch, 4])" in text
    assert "-- 1 remove_dropout: no change" in text
    shown = seqc("passes", file, "--pass", "fuse_bias").stdout
    assert shown.count("\n-- ") == 0
    assert "Gemm" in shown
    found = seqc_json("passes", file)["passes"]
    assert found[0]["pass"] == "start"
    assert any(one["changed"] for one in found[1:])
    assert "--pass needs one of start, remove_dropout" in seqc("passes", file, "--pass", "nothing", code=2).stderr
    assert "seqc writes opset 13 to 28; got 12" in seqc("passes", file, "--opset", 12, code=2).stderr


@pytest.mark.parametrize("opset", [16, 17])
def test_passes_shows_what_an_opset_has(opset: int, tmp_path: Path) -> None:
    layers = "seqc.Input((4,)), seqc.layers.LayerNormalization(name='norm')"
    file = write(tmp_path, f"import seqc\nmodel = seqc.Sequential([{layers}])\n")
    shown = seqc("passes", file, "--pass", "decompose_ops", "--opset", opset).stdout
    assert ("Sqrt" in shown) == (opset < 17)
    assert ("no change" in shown) == (opset >= 17)


def test_without_a_command_the_help_is_shown() -> None:
    result = seqc(code=2)
    assert "Commands:" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit"], "No such command 'fit'"),
        (["train"], "Missing argument 'FILE'"),
        (["train", "x.py", "--epochs", "0"], "--epochs needs a whole number of at least 1; got 0."),
        (["train", "x.py", "--epochs", "many"], "--epochs needs a whole number; got 'many'."),
        (["train", "x.py", "--epochs", "1.5"], "--epochs needs a whole number; got '1.5'."),
        (
            ["predict", "m.onnx", "x.npy", "-o", "y.npy", "--threads", "5000"],
            "--threads needs a whole number of at most",
        ),
        (["trian", "x.py"], "Did you mean 'train'?"),
        (["export", "x.py"], "Missing option '--output'"),
        (["predict", "m.onnx", "x.npy", "-o", "y.npy", "--device", "tpu"], "'tpu' is not one of"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(arguments: list[str], message: str) -> None:
    assert message in seqc(*arguments, code=2).stderr


def test_python_dash_m_seqc_runs_and_reports_errors_without_a_traceback(tmp_path: Path) -> None:
    done = run("inspect", "absent.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "Error: There is no file absent.onnx.\n"


def test_an_error_of_the_system_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    folder = tmp_path / "taken"
    folder.write_text("a file where the folder should be")
    assert f"Error: Cannot make folder '{folder}': File exists." in seqc("train", path, "-o", folder, code=2).stderr


def test_an_unexpected_error_is_one_line_that_asks_for_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("by nothing")

    # What takes the function's name when it is loaded is loaded before, or it would keep the broken one.
    importlib.import_module("seqc.cli._self_check")
    monkeypatch.setattr("seqc.cli._onnx.read_model", broken)
    text = seqc("inspect", tmp_path / "m.onnx", code=2).stderr
    assert text.startswith("Error: an unexpected ZeroDivisionError: by nothing\nThis is probably a mistake in seqc.")


@pytest.mark.slow
def test_json_stays_alone_on_standard_output_when_the_file_prints(tmp_path: Path) -> None:
    path = write(tmp_path, "print('hello from the file')\n" + (tmp_path / write(tmp_path)).read_text())
    done = run("inspect", path, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("{\n")
    assert done.stdout.endswith("}\n")
    assert "hello from the file" in done.stderr


@pytest.mark.slow
def test_help_comes_at_once(tmp_path: Path) -> None:
    # As once installed: with compiled modules, which the first run makes.
    compiled: dict[str, Any] = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    libraries = [sys.executable, "-c", "import numpy, typer"]
    ours, theirs = [], []
    for _ in range(3):  # processor time beside that of the libraries it needs, the best of several: machines differ
        ours.append(children_seconds(lambda: run("--help", **compiled)))
        theirs.append(children_seconds(lambda: subprocess.run(libraries, env={**os.environ, **compiled}, check=True)))
    assert min(ours) < 4 * min(theirs)  # between two and three


def children_seconds(call: Callable[[], subprocess.CompletedProcess[Any]]) -> float:
    """The processor time of a process that must end well."""
    before = os.times()
    assert call().returncode == 0
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


@pytest.mark.slow
def test_the_command_line_loads_heavy_packages_only_when_they_are_needed() -> None:
    code = "import sys, seqc.cli; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {"onnx", "onnxruntime", "h5py", "matplotlib", "seqc_runtime"}
    assert not set(loaded.stdout.split()) & heavy


@pytest.mark.slow
def test_import_seqc_does_not_import_the_command_line() -> None:
    code = "import sys, seqc; print('seqc.cli' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"
