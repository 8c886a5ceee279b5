"""Pictures of a training."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from seqc.backends.numpy.profile import Timing
from seqc.errors import DataError, MissingDependencyError
from seqc.plots import confusion_matrix, count_confusions, loss_curve, step_profile

HISTORY = {"loss": [1.0, 0.5], "accuracy": [0.5, 0.9], "val_loss": [1.1, 0.7], "val_accuracy": [0.4, 0.8]}


def size(path: Path) -> tuple[int, int]:
    """Returns width and height as a PNG's header gives them."""
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


@pytest.mark.slow
def test_a_loss_curve_is_drawn_and_taller_with_metrics(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    loss_curve(HISTORY, tmp_path / "both.png", title="both")
    loss_curve({"loss": [1.0]}, tmp_path / "loss.png")
    assert size(tmp_path / "both.png")[1] > size(tmp_path / "loss.png")[1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["both.png", "loss.png"]


@pytest.mark.slow
def test_a_history_without_epochs_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is nothing to draw: the history has no epochs."):
        loss_curve({}, tmp_path / "a.png")


@pytest.mark.slow
def test_a_confusion_matrix_is_drawn_and_grows_with_its_classes(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    confusion_matrix(np.array([0, 1]), np.array([1, 1]), tmp_path / "two.png", names=["cat", "dog"])
    confusion_matrix(np.arange(30), np.arange(30), tmp_path / "thirty.png")
    assert size(tmp_path / "two.png") < size(tmp_path / "thirty.png")


@pytest.mark.slow
def test_drawing_chooses_no_window_system(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    loss_curve(HISTORY, tmp_path / "a.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_confusions_are_counted_by_true_row_and_predicted_column() -> None:
    counts = count_confusions(np.array([0, 0, 2, 1]), np.array([0, 1, 2, 1]))
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        ([0, 1], [0], "A confusion matrix needs a prediction per sample; got 1 for 2 samples."),
        ([], [], "got 0 for 0 samples."),
        ([0, -1], [0, 1], "Class numbers cannot be negative."),
    ],
)
def test_labels_that_are_no_classes_are_refused(truth: list[int], predicted: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        count_confusions(np.array(truth), np.array(predicted))


def test_a_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        MissingDependencyError, match='Plots need matplotlib, which is not installed: pip install "seqc'
    ):
        loss_curve(HISTORY, tmp_path / "a.png")


PROFILE = [
    Timing("a/b", "MatMul", 4, 0.2, "forward"),
    Timing("a/b", "MatMul", 4, 0.4, "backward"),
    Timing("a", "AnOperationWithALongName", 4, 0.02, "backward"),
    Timing("", "Sub", 9, 0.0001, "update"),
]


@pytest.mark.slow
def test_a_profile_is_drawn_with_layers_inside_parts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    step_profile(PROFILE, 2, tmp_path / "p.svg", title="a title")
    text = (tmp_path / "p.svg").read_text(encoding="utf-8")
    assert "<svg" in text
    # 620.1 ms in 2 steps.
    assert all(f">{label}<" in text for label in ("a title", "step", "310 ms", "forward", "backward", "200 ms", "b"))
    assert ">AnOperationWithALongName<" in text
    assert ">Sub<" not in text


def test_a_profile_without_parts_is_drawn_too_and_an_empty_one_is_not(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    step_profile([Timing("a", "MatMul", 1, 0.1), Timing("", "Sub", 1, 0.1)], 1, tmp_path / "p.png")
    assert size(tmp_path / "p.png")[0] > 1000
    with pytest.raises(DataError, match="There is nothing to draw: the profile is empty."):
        step_profile([], 1, tmp_path / "q.png")
