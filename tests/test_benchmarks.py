"""The benchmark report, from made-up figures, and what is compared."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frameworks
import run
import same_models
import seqc
from frameworks import FRAMEWORKS, PEERS, SEQC
from report import Results, geometric_mean, report, steps
from workloads import WORKLOADS, find_workload


def figures(step: float, memory: float = 100.0) -> dict[str, float]:
    return {"import_s": 0.25, "step_ms": step, "first_step_s": 1.5, "peak_mib": memory}


def made_up() -> Results:
    results = Results(rounds=3, command="benchmarks/run.py --made-up")
    results.versions = {"seqc": {"python": "3.11.7", "seqc": "1.2.3"}, "keras-jax": {"python": "3.12.1", "jax": "0.9"}}
    for name, jax, tensorflow, torch, ours in (("mlp", 8.0, 4.0, 2.0, 2.0), ("cnn", 9.0, 20.0, 30.0, 12.0)):
        results.training |= {
            ("keras-jax", name): figures(jax),
            ("keras-tensorflow", name): figures(tensorflow, 400.0),
            ("torch", name): figures(torch),
            ("seqc", name): figures(ours),
        }
    return results


def row(text: str, name: str) -> list[str]:
    """Returns the cells of the first row of that name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_steps_are_compared_with_the_fastest_keras_and_with_pytorch() -> None:
    text = steps(made_up())
    assert row(text, "mlp") == ["mlp", "128", "4.00", "8.00", "absent", "2.00", "absent", "2.00", "2.00x", "1.00x", "-"]
    assert row(text, "cnn") == [
        "cnn",
        "128",
        "20.00",
        "9.00",
        "absent",
        "30.00",
        "absent",
        "12.00",
        "0.75x",
        "2.50x",
        "-",
    ]
    # Keras on TensorFlow: 2 and 5/3; on JAX: 4 and 3/4; the best of them: 2 and 3/4; PyTorch: 1 and 5/2.
    assert row(text, "geometric mean, to seqc")[2:] == ["1.83x", "1.73x", "-", "1.58x", "-", "", "1.22x", "1.58x", "-"]
    assert "Beside the best Keras, of 2 rows below 1x: 1 (cnn); below 0.8x: 1 (cnn)." in text
    assert "Beside PyTorch, of 2 rows below 1x: none; below 0.8x: none." in text


def test_memory_and_starts_have_their_tables() -> None:
    text = report(made_up())
    assert "`benchmarks/run.py --made-up` on " in text
    assert "| seqc | python 3.11.7, seqc 1.2.3 |" in text
    assert "| PyTorch | absent |" in text
    assert "median over 3 fresh processes" in text
    memory = text.partition("## Peak memory")[2]
    assert row(memory, "mlp") == ["mlp", "400", "100", "absent", "100", "absent", "100", "0.25x"]
    starts = text.partition("## From the start")[2]
    assert row(starts, "mlp") == ["mlp", "1.50", "1.50", "absent", "1.50", "absent", "1.50", "0.25"]
    assert "## How seqc scales" not in text
    assert "## Prediction" not in text
    assert "## Failures" not in text


def test_seqc_alone_makes_a_report_too() -> None:
    results = Results(rounds=1, command="x", training={("seqc", "lstm"): figures(5.0)})
    text = report(results)
    assert row(text, "lstm") == ["lstm", "64", *["absent"] * 5, "5.00", "-", "-", "-"]
    assert "Beside" not in text


def test_a_failure_is_named_and_keeps_its_row() -> None:
    results = made_up()
    results.training["seqc", "gru_text"] = "AttributeError: no GRU"
    results.training["torch", "gru_text"] = figures(3.0)
    results.predict = {"gru_text": "AttributeError: no GRU", "mlp": {"numpy_ms": 3.0, "onnxruntime_ms": 2.0}}
    text = report(results)
    assert row(text, "gru_text") == [
        "gru_text",
        "64",
        "absent",
        "absent",
        "absent",
        "3.00",
        "absent",
        "failed",
        "-",
        "-",
        "-",
    ]
    assert "- seqc on gru_text: AttributeError: no GRU\n- predict on gru_text: AttributeError: no GRU" in text
    predictions = text.partition("## Prediction")[2]
    assert row(predictions, "mlp") == ["mlp", "128", "3.00", "2.00", "1.50x"]
    assert row(predictions, "gru_text") == ["gru_text", "64", "failed", "failed", "-"]


def test_scaling_shows_threads_the_naive_executor_and_curves() -> None:
    results = made_up()
    results.training |= {("seqc-1", "cnn"): figures(18.0), ("seqc-naive", "cnn"): figures(60.0)}
    results.training |= {("seqc", "cnn@16"): figures(2.0), ("seqc", "cnn@32"): figures(4.0)}
    results.training |= {("seqc", "depth@2"): figures(3.0)}
    scaling = report(results).partition("## How seqc scales")[2]
    assert row(scaling, "cnn") == ["cnn", "12.00", "18.00", "60.00", "1.50x", "5.00x"]
    assert "| mlp |" not in scaling
    assert row(scaling, "16") == ["16", "2.00", "125.00"]
    assert row(scaling, "32") == ["32", "4.00", "125.00"]
    assert row(scaling, "2") == ["2", "3.00", "1.50"]
    assert "| cnn@16 |" not in report(results)


def test_every_row_of_a_table_has_as_many_cells_as_its_heading() -> None:
    results = made_up()
    results.training["seqc-1", "mlp"] = figures(1.0)
    for block in re.findall(r"(?:^\|.*\n?)+", report(results), re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_a_geometric_mean_multiplies() -> None:
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4)
    assert geometric_mean([]) is None


def test_a_median_is_taken_figure_by_figure_and_one_failure_is_all() -> None:
    assert run.median([{"a": 1.0, "b": 9.0}, {"a": 2.0, "b": 7.0}, {"a": 9.0, "b": 8.0}]) == {"a": 2.0, "b": 8.0}
    assert run.median([{"a": 1.0}, "broken"]) == "broken"


def test_notes_are_kept_when_the_report_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    run.write(path, "first")
    assert path.read_text() == "first\n"
    path.write_text("first\n\n## Notes\n\nKept.\n")
    run.write(path, "second")
    assert path.read_text() == "second\n\n## Notes\n\nKept.\n"


def test_a_peer_whose_interpreter_is_not_there_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for peer in PEERS:
        monkeypatch.delenv(peer.variable, raising=False)
        assert peer.interpreter is None
        assert peer.versions() is None
        monkeypatch.setenv(peer.variable, "/no/such/python")
        assert peer.versions() is None


def test_a_peer_whose_interpreter_lacks_the_framework_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = frameworks.Framework("x", "X", "keras", "SEQC_PEER_X", distributions=("no-such-distribution",))
    monkeypatch.setenv("SEQC_PEER_X", sys.executable)
    assert absent.versions() is None


@pytest.mark.slow
def test_a_worker_measures_seqc_and_a_failure_says_why() -> None:
    found: Any = frameworks.train(SEQC, "mlp_tiny", ["--steps", "2", "--epochs", "2"])
    assert set(found) == {"import_s", "step_ms", "first_step_s", "peak_mib"}
    assert all(value > 0 for value in found.values())
    assert found["import_s"] < found["first_step_s"]
    assert frameworks.train(SEQC, "no_such_workload") == "KeyError: 'no_such_workload'"


def test_variants_of_seqc_are_given_their_environment() -> None:
    assert FRAMEWORKS["seqc-1"].environment_of_run()["SEQC_NUM_THREADS"] == "1"
    assert FRAMEWORKS["seqc-naive"].environment_of_run()["SEQC_EXECUTOR"] == "naive"
    assert not {"SEQC_NUM_THREADS", "SEQC_EXECUTOR"} & set(SEQC.environment_of_run())


def test_a_number_behind_a_name_changes_batch_or_depth() -> None:
    assert (find_workload("cnn@32").batch, find_workload("cnn@32").steps) == (32, 64)
    assert len(find_workload("depth@4").build(seqc).layers) == 5
    assert find_workload("lstm") is WORKLOADS["lstm"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_data_fit_the_workload(name: str) -> None:
    workload = WORKLOADS[name]
    x, y = workload.data(steps=2)
    assert x.shape == (2 * workload.batch, *workload.sample)
    assert len(y) == len(x)
    again, _ = workload.data(steps=2)
    np.testing.assert_array_equal(x, again)
    assert x.dtype == ("int32" if workload.vocabulary else "float32")


@pytest.mark.parametrize(("name", "count"), [("residual", 65), ("transformer", 18), ("embedding", 5)])
def test_weights_that_all_start_from_are_told_by_layer(name: str, count: int) -> None:
    model = find_workload(name).build(seqc)
    named = same_models.by_layer(model)
    assert len(named) == len(model.trainable_weights) == count
    assert {value.shape for value in named.values()} == {w.shape for w in model.trainable_weights}


def test_only_frameworks_that_were_asked_for_have_columns() -> None:
    results = made_up()
    results.asked = ["torch", "seqc"]
    text = report(results)
    assert "TensorFlow |" not in text.partition("## Peak")[0]
    assert row(text, "mlp")[:4] == ["mlp", "128", "2.00", "2.00"]
