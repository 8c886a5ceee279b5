"""`seqc train --resume`, `--tensorboard` and `--plot`: a run that was stopped ends as one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.cli_models import CLASSIFIER, seqc, seqc_json, write

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")

# With everything that a run remembers: an optimizer's slots, random numbers, and the order of the samples.
DROPPING = CLASSIFIER.replace('name="hidden"),', 'name="hidden"),\n            layers.Dropout(0.3),').replace(
    "TARGET = ", "NO_TARGET = "
)
STOPPING = """

class Press(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations.numpy()) == 20:
            import signal
            signal.raise_signal(signal.SIGINT)


FIT["callbacks"] = Press()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def weights(path: Any) -> list[Any]:
    import seqc as keras

    model = keras.saving.load_model(path)
    return [*model.get_weights(), *(v.numpy() for v in model.optimizer.variables)]


def check_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["history"] == other["history"]
    assert one["metrics"] == other["metrics"]
    for a, b in zip(weights(one["files"]["keras"]), weights(other["files"]["keras"]), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_stopped_run_goes_on_after_its_last_epoch_with_the_same_numbers(folder: Path) -> None:
    whole = seqc_json("train", write(folder, DROPPING), "--no-plot", "-o", "whole")
    stopped = seqc("train", write(folder, DROPPING + STOPPING), "--no-plot", code=130).stderr
    assert stopped.startswith("Stopped in epoch 4 of 8, after step 2 of 6.")
    assert stopped.endswith("--resume goes on after epoch 3.\n")
    wrong = seqc("train", write(folder, DROPPING), "--resume", "--seed", 1, code=2).stderr
    assert "had seed 0; now it is 1. Give the same, or train without --resume." in wrong
    resumed = seqc_json("train", write(folder, DROPPING), "--no-plot", "--resume")
    check_same(whole, resumed)
    assert {p.name for p in (folder / "out/tiny").iterdir()} == {"tiny.keras", "tiny.onnx", "tiny.stopped.keras"}


@pytest.mark.slow
def test_without_anything_to_go_on_with_a_run_begins_and_one_without_resume_begins_anew(folder: Path) -> None:
    text = seqc("train", write(folder, DROPPING), "--resume").stdout
    assert f"There is nothing to go on with in {Path('out/tiny/tiny.backup')}." in text
    seqc("train", write(folder, DROPPING + STOPPING), code=130)
    assert "Epoch 1/8" in seqc("train", write(folder, DROPPING)).stdout
    seqc("train", write(folder, DROPPING + STOPPING), code=130)
    text = seqc("train", write(folder, DROPPING), "--resume", "--plot").stdout
    assert "Going on after epoch 3." in text
    assert "Epoch 3/8" not in text
    assert "Epoch 4/8" in text
    (folder / "out/tiny/tiny.backup").mkdir()
    for name in ("run.json", "training_metadata.json"):
        (folder / "out/tiny/tiny.backup" / name).write_text("{")
    assert "is damaged" in seqc("train", write(folder, DROPPING), "--resume", code=2).stderr


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(folder: Path) -> None:
    text = DROPPING.replace('"epochs": 8', '"epochs": 40')
    whole = seqc_json("train", write(folder, text), "--no-plot", "-o", "whole")
    command = [sys.executable, "-m", "seqc", "train", str(write(folder, text)), "--json", "--no-plot", "--resume"]
    notes, killed = folder / "out/tiny/tiny.backup/run.json", 0
    for at in (3, 11, 24):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                if notes.exists() and len(json.loads(notes.read_text())["rows"]) >= at:
                    os.kill(process.pid, signal.SIGKILL)
                    killed += 1
                    break
                time.sleep(0.002)
    assert killed
    done = subprocess.run(command, capture_output=True, text=True)
    check_same(whole, json.loads(done.stdout))


@pytest.mark.slow
def test_tensorboard_gets_the_run_and_the_output_stays_clean(folder: Path) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    plain = seqc("train", write(folder), "--no-plot").stdout
    text = seqc("train", write(folder), "--no-plot", "--tensorboard", "logs").stdout
    (file,) = (folder / "logs/train").glob("events*")
    found = file.read_bytes()
    assert b"epoch_loss" in found
    assert b"hidden/kernel/histogram" in found
    assert b"output/kind" in found

    def kept(shown: str) -> list[str]:
        return [
            line if line.startswith(("Epoch", "Test", "Saved", "Passed")) else line[:3] for line in shown.splitlines()
        ]

    assert kept(text) == kept(plain)


def test_without_its_package_tensorboard_is_refused_before_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert "pip install 'seqc[tensorboard]'" in seqc("train", write(folder), "--tensorboard", "logs", code=2).stderr


@pytest.mark.slow
def test_the_picture_grows_while_the_training_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from seqc import plots
    from seqc.cli import _resume

    drawn: list[int] = []
    draw = plots.loss_curve
    monkeypatch.setattr(_resume, "DRAW_SECONDS", 0.0)

    def drawing(history: dict[str, list[float]], path: Path, title: str = "") -> None:
        drawn.append(len(history["loss"]))
        draw(history, path)

    monkeypatch.setattr(plots, "loss_curve", drawing)
    seqc("train", write(folder, DROPPING), "--epochs", 3)
    assert drawn == [1, 2, 3, 3]
