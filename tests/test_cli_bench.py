"""`seqc bench train`: what it measures, what it says, what it draws, and how it fails."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kit.cli_models import CLASSIFIER, REGRESSION, seqc, seqc_json, write

FEW = ("--steps", 2, "--epochs", 2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; what commands change in the environment is put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEQC_NUM_THREADS", "1")
    return tmp_path


def test_a_benchmark_says_how_long_a_step_takes_and_what_it_is_worth(folder: Path) -> None:
    text = seqc("bench", "train", write(folder), *FEW).stdout
    assert "Training steps of tiny (" in text
    assert "batch       16 samples\n" in text
    assert "measured    2 epochs of 2 steps, after one to warm up\n" in text
    assert "(median of epochs; fastest " in text
    assert " per second\n" in text
    assert "% of what products reach\n" in text
    assert "GFLOP/s on one thread" in text
    assert "(512 x 512 float32 matrices)\n" in text
    assert "Time by layer" not in text


def test_the_result_as_json_has_everything(folder: Path) -> None:
    result = seqc_json("bench", "train", write(folder), *FEW, "--batch-size", 24, "--threads", 1)
    assert set(result) == {
        "name", "file", "batch_size", "steps", "epochs", "threads", "seconds_per_step", "fastest_seconds_per_step",
        "epoch_seconds_per_step", "samples_per_second", "flops_per_step", "flops_per_second", "gemm", "share_of_gemm",
    }  # fmt: skip
    assert (result["name"], result["batch_size"], result["steps"], result["epochs"]) == ("tiny", 24, 2, 2)
    assert result["threads"] == 1
    assert len(result["epoch_seconds_per_step"]) == 2
    assert result["fastest_seconds_per_step"] <= result["seconds_per_step"]
    assert result["samples_per_second"] == pytest.approx(24 / result["seconds_per_step"])
    assert result["flops_per_step"] > 3 * 2 * 24 * (4 * 8 + 8 * 3) - 2 * 24 * 4 * 8
    assert 0 < result["share_of_gemm"] < 1
    assert result["gemm"]["flops_per_second"] == result["gemm"]["one_thread_flops_per_second"] > 0


def test_few_samples_are_repeated_and_a_fit_function_and_callbacks_do_not_matter(folder: Path) -> None:
    result = seqc_json("bench", "train", write(folder, REGRESSION), *FEW, "--batch-size", 50)
    assert result["batch_size"] == 50


@pytest.mark.slow
def test_a_profile_names_layers_parts_and_operations(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")  # which runs operations as they stand in the graph
    text = seqc("bench", "train", write(folder), *FEW, "--profile").stdout
    assert "Time by layer, in the model's order, of " in text
    assert "layer" in text
    assert "forward, ms  backward, ms  update, ms  ms per step  share" in text
    assert "Time by operation, the longest first:" in text
    assert "\nhidden " in text
    result = seqc_json("bench", "train", write(folder), *FEW, "--profile")
    profile = result["profile"]
    assert set(profile[0]) == {"layer", "part", "op", "calls_per_step", "seconds_per_step", "share"}
    assert sum(p["share"] for p in profile) == pytest.approx(1)
    assert [p["share"] for p in profile] == sorted((p["share"] for p in profile), reverse=True)
    products = {(p["layer"], p["part"]): p["calls_per_step"] for p in profile if p["op"] == "MatMul"}
    assert products == {
        ("hidden", "forward"): 1, ("kind", "forward"): 1, ("hidden", "backward"): 1, ("kind", "backward"): 2,
    }  # fmt: skip
    assert any(p["layer"] == "" and p["part"] == "update" for p in profile)


@pytest.mark.slow
def test_a_profile_is_drawn_as_png_or_svg(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    result = seqc_json("bench", "train", write(folder), *FEW, "--profile", "-o", "p.svg")
    assert result["picture"] == "p.svg"
    drawn = ElementTree.parse(folder / "p.svg").getroot()
    assert drawn.tag.endswith("svg")
    text = seqc("bench", "train", write(folder), *FEW, "--profile", "-o", "p.PNG").stdout
    assert "Drawn: p.PNG" in text
    assert (folder / "p.PNG").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_nothing_is_timed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = seqc("bench", "train", write(folder), *FEW, "--profile", "-o", "p.png", code=2)
    assert 'Plots need matplotlib, which is not installed: pip install "seqc[plot]".' in result.stderr
    assert result.stdout == ""


WRONG = [
    (("-o", "p.png"), CLASSIFIER, "-o draws a profile: give --profile with it."),
    (("--profile", "-o", "p.jpg"), CLASSIFIER, "must have a name that ends in .png or .svg; got p.jpg."),
    (("--profile", "-o", "no/p.png"), CLASSIFIER, "there is no folder 'no'. Make it first."),
    ((), "x = 1\n", "has neither a function build() nor a global `model`. Add one of them."),
    (
        (),
        CLASSIFIER.replace("    model.compile(", "    (lambda *a, **k: None)("),
        "the model is not compiled. Call model.compile(",
    ),
    ((), CLASSIFIER.split("def data")[0], "has no function data()."),
    ((), CLASSIFIER.replace("x[:96], y[:96]", "x[:0], y[:0]"), "gives no training samples; x_train has shape (0, 4)."),
    ((), CLASSIFIER.replace("x[:96], y[:96]", "x[:96], y[:95]"), "gives 96 training samples, and y_train has shape"),
    ((), CLASSIFIER.replace("16}", "'many'}"), "batch_size in FIT must be a whole number; got 'many'."),
]


@pytest.mark.parametrize(("options", "text", "message"), WRONG, ids=[m[:40] for _, _, m in WRONG])
def test_a_mistake_is_named_before_anything_is_timed(
    folder: Path, options: tuple[str, ...], text: str, message: str
) -> None:
    result = seqc("bench", "train", write(folder, text), *FEW, *options, code=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_what_is_not_a_model_file_is_refused(folder: Path) -> None:
    assert "There is no file absent.py." in seqc("bench", "train", "absent.py", code=2).stderr
    assert "A model FILE ends in .py; got m.onnx." in seqc("bench", "train", "m.onnx", code=2).stderr


def test_the_group_lists_its_commands(folder: Path) -> None:
    assert "Time the training steps of a model." in seqc("bench", "--help").stdout
