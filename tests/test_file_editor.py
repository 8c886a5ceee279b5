"""`seqc.saving.KerasFileEditor`: weights of files, shown, compared, changed and written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc
from kit.oracle import KEPT
from seqc import layers
from seqc.errors import SavingError
from seqc.saving import KerasFileEditor

h5py = pytest.importorskip("h5py")


def small(*units: int) -> seqc.Sequential:
    dense = [layers.Dense(n, name=f"part_{i}") for i, n in enumerate(units)]
    return seqc.Sequential([seqc.Input((4,)), *dense, layers.Dense(2)])


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, seqc.Sequential]:
    model = small(3)
    model.save_weights(tmp_path / "m.weights.h5")
    return tmp_path / "m.weights.h5", model


def test_a_file_of_keras_is_shown_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    editor = KerasFileEditor(KEPT / "keras_mlp_adam.keras")
    model = seqc.models.load_model(KEPT / "keras_mlp_adam.keras")
    assert editor.compare(model) == {
        "status": "success",
        "error_count": 0,
        "match_count": len(model.weights) + len(model.optimizer.variables),
    }
    for i, weight in enumerate(model.layers[0].get_weights()):
        np.testing.assert_array_equal(editor.weights_dict["layers"]["dense"][str(i)], weight)
    assert editor.config is not None
    assert editor.metadata is not None
    assert editor.config["class_name"] == "Sequential"
    assert editor.metadata["keras_version"].startswith("3.")
    capsys.readouterr()
    editor.summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Weights structure"
    kernel = model.layers[0].kernel
    assert f"  │  │  ├─ 0: shape={kernel.shape}, dtype=float32" in lines
    order = [line.split(":")[0].split()[-1] for line in lines if line.startswith("     ")]
    assert order == sorted(order, key=int)  # the optimizer's, "10" behind "9"
    assert len(order) == len(model.optimizer.variables)


def test_weights_move_into_a_model_that_has_changed(saved: tuple[Path, seqc.Sequential], tmp_path: Path) -> None:
    path, old = saved
    editor = KerasFileEditor(path)
    editor.rename_object("dense_1", "dense_2")
    editor.add_object("layers/dense_1", {"0": np.eye(3, 5), "1": np.zeros(5)})
    editor.delete_object("layers/dense_2")
    editor.add_object("layers/dense_2", weights={"0": [[1, 2]] * 5})
    editor.add_weights("layers/dense_2", {"1": [3, 4], "9": 0})
    editor.delete_weight("dense_2", "9")
    new = small(3, 5)
    assert editor.compare(new)["status"] == "success"
    editor.save(tmp_path / "new.weights.h5")
    new.load_weights(tmp_path / "new.weights.h5")
    np.testing.assert_array_equal(new.layers[0].get_weights()[0], old.layers[0].get_weights()[0])
    np.testing.assert_array_equal(new.layers[1].get_weights()[0], np.eye(3, 5))
    np.testing.assert_array_equal(new.layers[2].get_weights()[1], [3, 4])
    editor.resave_weights(tmp_path / "again.weights.h5")
    assert KerasFileEditor(tmp_path / "again.weights.h5").compare(new)["error_count"] == 0


def test_what_differs_from_a_model_is_counted_once(
    saved: tuple[Path, seqc.Sequential], capsys: pytest.CaptureFixture[str]
) -> None:
    editor = KerasFileEditor(saved[0])
    editor.add_object("extra", {"0": np.zeros(1)})
    assert editor.compare(small(7)) == {"status": "error", "error_count": 4, "match_count": 1}
    said = capsys.readouterr().out
    assert "shape mismatch for /layers/dense/0: (4, 7) in reference model, (4, 3) in saved file" in said
    assert "Object /extra with ['0'] present in saved file, missing from reference model" in said
    assert "Found 4 errors: saved file is not compatible" in said


def test_layers_inside_layers_and_their_names_stay(tmp_path: Path) -> None:
    inner = layers.Bidirectional(layers.LSTM(2, name="there"), name="both")
    model = seqc.Sequential([seqc.Input((3, 2)), inner, seqc.Sequential([layers.Dense(1, name="last")])])
    model.save_weights(tmp_path / "m.weights.h5")
    editor = KerasFileEditor(tmp_path / "m.weights.h5")
    assert editor.compare(model)["match_count"] == len(model.weights)
    editor.rename_object("sequential", "network")
    editor.rename_object("network", "sequential")
    editor.save(tmp_path / "n.weights.h5")
    with h5py.File(tmp_path / "m.weights.h5") as before, h5py.File(tmp_path / "n.weights.h5") as after:
        kept = [path for path in _groups(before) if len(before[path])]
        assert kept
        assert kept == _groups(after)
        assert all(after[path].attrs.get("name") == before[path].attrs.get("name") for path in kept)


def _groups(file: Any) -> list[str]:
    found: list[str] = []
    file.visititems(lambda path, item: found.append(path) if path.endswith("vars") and len(item) else None)
    return found


def test_bfloat16_stays_bfloat16(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")
    model = seqc.Sequential([seqc.Input((2,)), layers.Dense(1, dtype="bfloat16")])
    model.save_weights(tmp_path / "m.weights.h5")
    KerasFileEditor(tmp_path / "m.weights.h5").save(tmp_path / "n.weights.h5")
    other = seqc.Sequential([seqc.Input((2,)), layers.Dense(1, dtype="bfloat16")])
    other.load_weights(tmp_path / "n.weights.h5")
    assert np.array_equal(other.get_weights()[0].astype("float32"), model.get_weights()[0].astype("float32"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda e: e.rename_object("nothing", "x"),
            "'nothing' not found .* It holds layers, layers/dense, l",
        ),
        (lambda e: e.delete_object("layers/x"), "'layers/x' not found"),
        (lambda e: e.rename_object("layers/dense", "dense_1"), "beside 'layers/dense' already"),
        (lambda e: e.rename_object("dense", "a/b"), "must be a name, not a path"),
        (lambda e: e.add_object("nowhere/dense", {"0": 1}), "Path 'nowhere' not found"),
        (lambda e: e.add_object("layers/x", [1]), "must be a dictionary of arrays"),
        (lambda e: e.add_object("layers/x", {"0": "text"}), "Weight '0' of 'layers/x' must be an array of numbers"),
        (lambda e: e.add_weights("dense", {"a/b": 1}), "texts without slashes"),
        (lambda e: e.add_weights("dense", {"0": object()}), "array of numbers"),
        (lambda e: e.delete_weight("dense", "7"), r"Weights found: \['0', '1'\]"),
        (lambda e: e.delete_object(""), "path such as"),
        (lambda e: e.save("m.keras"), "must end in `.weights.h5`"),
        (lambda e: e.compare("model"), "got str"),
        (lambda e: (e.add_object("dense", {"0": 1}), e.delete_object("dense")), "more than once.*layers/dense, dense"),
    ],
)
def test_what_cannot_be_done_is_said(saved: tuple[Path, seqc.Sequential], change: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        change(KerasFileEditor(saved[0]))


def test_a_file_that_is_there_stays_when_writing_fails(saved: tuple[Path, seqc.Sequential]) -> None:
    before = saved[0].read_bytes()
    editor = KerasFileEditor(saved[0])
    editor.weights_dict["layers"]["dense"]["0"] = object()
    with pytest.raises(Exception):  # noqa: B017, PT011  # whatever h5py makes of it
        editor.save(saved[0])
    assert saved[0].read_bytes() == before
    assert list(saved[0].parent.iterdir()) == [saved[0]]


def test_only_files_with_paths_of_layers_are_edited(tmp_path: Path) -> None:
    model = small(3)
    model.save_weights(tmp_path / "m.npz")
    with pytest.raises(SavingError, match="NumPy arrays .* load this one into its model and save it"):
        KerasFileEditor(tmp_path / "m.npz")


def test_hostile_files_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "deep.weights.h5", "w") as file:
        file["layers/" + "a/" * 300 + "vars/0"] = np.zeros(1)
    with pytest.raises(SavingError, match="deeper than"):
        KerasFileEditor(tmp_path / "deep.weights.h5")
    with h5py.File(tmp_path / "link.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(SavingError, match="ExternalLink"):
        KerasFileEditor(tmp_path / "link.weights.h5")
    with h5py.File(tmp_path / "name.weights.h5", "w") as file:
        file["layers/de\x1b[31m/vars/0"] = np.zeros(1)
    lines: list[str] = []
    KerasFileEditor(tmp_path / "name.weights.h5").summary(lines.append)
    assert "\x1b" not in lines[0]
