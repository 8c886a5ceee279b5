"""What `seqc predict` writes: arrays, tables and JSON, of one output and of several."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.cli_models import seqc
from seqc import layers
from seqc.cli._results import check_fits, write_results
from seqc.errors import ConfigError, DataError

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")
from seqc_runtime.tensors import TensorInfo

SCORES = np.array([[0.1, np.nan], [np.inf, 2.0], [3.25, -1.0]], "float32")
RESULTS: dict[str, Any] = {"scores": SCORES, "kind": np.array(["plüm", 'a "fig"', "x,y"], object)}
INFOS = [TensorInfo("scores", "float32", ("batch", 2)), TensorInfo("kind", "str", ("batch",))]


def test_json_holds_lists_by_name_and_null_where_a_number_is_none(tmp_path: Path) -> None:
    write_results(tmp_path / "y.json", RESULTS, INFOS)
    found = json.loads((tmp_path / "y.json").read_text(encoding="utf-8"))
    assert found["kind"] == ["plüm", 'a "fig"', "x,y"]
    assert found["scores"] == [[pytest.approx(0.1), None], [None, 2.0], [3.25, -1.0]]


def test_csv_has_a_row_per_sample_and_the_same_floats(tmp_path: Path) -> None:
    write_results(tmp_path / "y.csv", RESULTS, INFOS)
    with open(tmp_path / "y.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["scores_0", "scores_1", "kind"]
    assert [row[2] for row in rows[1:]] == ["plüm", 'a "fig"', "x,y"]
    np.testing.assert_array_equal(np.array([row[:2] for row in rows[1:]], "float32"), SCORES)


def test_parquet_has_a_column_per_output(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")
    write_results(tmp_path / "y.parquet", RESULTS, INFOS)
    found = parquet.read_table(tmp_path / "y.parquet")
    np.testing.assert_array_equal(np.array(found["scores"].to_pylist(), "float32"), SCORES)
    assert found["kind"].to_pylist() == ["plüm", 'a "fig"', "x,y"]


def test_what_does_not_fit_a_kind_of_file_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    uneven = {"scores": SCORES, "kind": np.array("one", object)}
    for name in ("y.csv", "y.parquet"):
        with pytest.raises(DataError, match=r"one row for each sample; results have the shapes 'scores' \(3, 2\)"):
            write_results(tmp_path / name, uneven, INFOS)
    with pytest.raises(ConfigError, match=r"2 outputs and a .npy file holds one array"):
        check_fits(tmp_path / "y.npy", list(RESULTS), tmp_path / "m.onnx")
    check_fits(tmp_path / "y.csv", list(RESULTS), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_predictions_of_a_file_are_the_same_in_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "softmax", name="kind")])
    x = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    model.export("m.onnx")
    np.save("x.npy", x)
    expected = model.predict(x, verbose=0)
    for kind in ("npy", "csv", "json", "parquet"):
        seqc("predict", "m.onnx", "x.npy", "-o", f"y.{kind}")
    got = [
        np.load("y.npy"),
        np.loadtxt("y.csv", delimiter=",", skiprows=1),
        json.loads(Path("y.json").read_text())["kind"],
    ]
    for one in got:
        np.testing.assert_allclose(one, expected, rtol=1e-5)
    assert "ends in .npy, .npz, .csv" in seqc("predict", "m.onnx", "x.npy", "-o", "y.txt", code=2).stderr
