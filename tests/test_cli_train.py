"""`seqc train`: what it writes, what it says, and how it fails."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.cli_models import CLASSIFIER, REGRESSION, seqc, seqc_json, write

pytest.importorskip("seqc_runtime", reason="needs seqc-runtime")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_training_writes_the_model_the_verified_file_and_pictures(folder: Path) -> None:
    text = seqc("train", write(folder)).stdout
    out = folder / "out" / "tiny"
    assert {p.name for p in out.iterdir()} == {"tiny.keras", "tiny.onnx", "loss.png", "confusion.png"}
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in ("loss.png", "confusion.png"))
    assert 'Model: "tiny"' in text
    assert "Epoch 8/8" in text
    assert "Test on 48 samples:" in text
    assert "(target at least 0.9000: reached)" in text
    assert "\nverified    largest error" in text
    assert "the same classes for all 48 samples" in text
    assert "median of 5 runs over 48 samples in batches of 128" in text
    assert text.endswith("\nPassed.\n")


@pytest.mark.slow
def test_the_files_hold_the_model_that_was_tested(folder: Path) -> None:
    import seqc as keras
    import seqc_runtime

    result = seqc_json("train", write(folder), "--no-plots")
    model = keras.saving.load_model(result["files"]["keras"])
    x = np.random.default_rng(1).standard_normal((5, 4)).astype("float32")
    theirs = seqc_runtime.load(result["files"]["onnx"]).predict(x)
    np.testing.assert_allclose(model.predict(x, verbose=0), theirs, atol=1e-6)
    assert result["metrics"]["accuracy"] >= 0.9


@pytest.mark.slow
def test_the_result_as_json_has_everything(folder: Path) -> None:
    result = seqc_json("train", write(folder), "--epochs", 8, "-o", folder / "here")
    assert set(result) == {
        "passed", "name", "seed", "metrics", "target", "target_enforced", "history", "files", "receipt", "predictions",
        "speed", "classes",
    }  # fmt: skip
    assert result["passed"] is True
    assert result["name"] == "tiny"
    assert set(result["metrics"]) == {"loss", "accuracy"}
    assert result["target"]["accuracy"] == {"wanted": 0.9, "reached": result["metrics"]["accuracy"], "met": True}
    assert len(result["history"]["loss"]) == 8
    assert result["receipt"]["verification"] is not None
    assert result["predictions"] | {"largest_difference": 0} == {
        "agree": True, "samples": 48, "differing_classes": 0, "largest_difference": 0, "allowed_difference": None,
    }  # fmt: skip
    assert set(result["speed"]) == {
        "samples", "batch_size", "runs", "numpy_seconds", "onnxruntime_seconds", "device", "threads", "ratio",
    }  # fmt: skip
    assert all(Path(p).is_file() for p in [*result["files"]["plots"], result["files"]["onnx"]])


@pytest.mark.slow
def test_the_same_seed_gives_the_same_file_and_another_seed_another(folder: Path) -> None:
    path = write(folder)
    files = []
    for i, seed in enumerate((5, 5, 6)):
        seqc("train", path, "--epochs", 1, "--limit", 32, "--seed", seed, "--no-plots", "-o", folder / str(i))
        files.append((folder / str(i) / "tiny.onnx").read_bytes())
    assert files[0] == files[1] != files[2]


@pytest.mark.slow
def test_training_goes_as_it_would_in_a_script(folder: Path) -> None:
    import seqc as keras

    result = seqc_json("train", write(folder), "--seed", 3, "--no-plots")
    namespace: dict[str, Any] = {"__name__": "script"}
    keras.utils.set_random_seed(3)
    exec(CLASSIFIER, namespace)
    model = namespace["build"]()
    history = model.fit(*namespace["data"]()[0], verbose=0, **namespace["FIT"]).history
    assert result["history"]["loss"] == pytest.approx(history["loss"], rel=1e-6)


@pytest.mark.slow
def test_settings_may_be_numbers_of_numpy(folder: Path) -> None:
    plain = CLASSIFIER.replace('{"accuracy": 0.9}', '{"accuracy": 0.1}')
    numbers = plain.replace("0.1}", "np.float32(0.1)}") + (
        "FIT = {name: np.int64(value) if isinstance(value, int) else value for name, value in FIT.items()}\n"
        "FIT['batch_size'] = np.int64(16)\n"
    )
    plain += "FIT['batch_size'] = 16\n"
    found = [seqc_json("train", write(folder, text), "--seed", 3, "--no-plots")["history"] for text in (plain, numbers)]
    assert found[0]["loss"] == found[1]["loss"]
    assert "16 samples" in seqc("bench", "train", write(folder, numbers), "--epochs", 1).stdout


@pytest.mark.slow
def test_a_missed_target_ends_with_1_and_says_by_how_much(folder: Path) -> None:
    path = write(folder, CLASSIFIER.replace('{"accuracy": 0.9}', '{"accuracy": 0.9, "loss": 0.0}'))
    result = seqc("train", path, "--no-plots", code=1)
    assert "FAILED: loss is " in result.stdout
    assert "target at most 0.0000: MISSED by " in result.stdout
    assert (folder / "out/tiny/tiny.onnx").is_file()


@pytest.mark.slow
def test_a_target_of_any_error_is_a_bound_from_above(folder: Path) -> None:
    text = REGRESSION.replace('{"mae": 0.5}', '{"mape": 0.0, "logcosh": 9.0}')
    path = write(folder, text.replace('metrics=["mae"]', 'metrics=["mape", keras.metrics.LogCoshError()]'))
    said = seqc("train", path, "--no-plots", code=1).stdout
    assert "target at most 9.0000: reached" in said
    assert "FAILED: mape is " in said


@pytest.mark.slow
def test_a_trial_on_few_samples_does_not_enforce_the_target(folder: Path) -> None:
    path = write(folder, CLASSIFIER.replace("0.9}", "1.1}"))
    text = seqc("train", path, "--epochs", 1, "--limit", 20, "--no-plots").stdout
    assert "Test on 20 samples:" in text
    assert "Passed as a trial (--limit): the target was not enforced." in text


@pytest.mark.slow
def test_a_regression_compares_numbers_and_takes_a_global_model_and_a_fit_function(folder: Path) -> None:
    text = seqc("train", write(folder, REGRESSION)).stdout
    assert "(target at most 0.5000: reached)" in text
    assert "allowed, over 20 samples" in text
    assert "Epoch 30/30" in text
    assert not (folder / "out/tiny/confusion.png").exists()


@pytest.mark.slow
def test_predictions_that_differ_end_with_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import seqc_runtime

    honest = seqc_runtime.Model.predict
    monkeypatch.setattr(seqc_runtime.Model, "predict", lambda *a, **k: np.roll(honest(*a, **k), 1, axis=-1))
    result = seqc("train", write(folder), "--no-plots", code=1)
    assert "48 of 48 samples differ in class" in result.stdout
    assert "FAILED: onnxruntime and NumPy predict differently." in result.stdout


@pytest.mark.slow
def test_without_matplotlib_a_note_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    text = seqc("train", write(folder)).stdout
    assert 'No plots: Plots need matplotlib, which is not installed: pip install "seqc[plot]".' in text
    assert not (folder / "out/tiny/loss.png").exists()


def test_without_the_runtime_nothing_is_trained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "seqc_runtime", None)
    result = seqc("train", write(folder), code=2)
    assert 'seqc train needs seqc-runtime, which is not installed: pip install "seqc-runtime[cpu]"' in result.stderr
    assert "Epoch" not in result.stdout


COMPILED = "    model.compile("
WRONG = [
    ("x = 1\n", "has neither a function build() nor a global `model`. Add one of them."),
    ("def build(:\n", "tiny.py:1: invalid syntax."),
    ("import nowhere_to_be_found\n", "tiny.py:1: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    ("import sys\nsys.exit(3)\n", "tiny.py:2: sys.exit() was called"),
    (CLASSIFIER.replace("    return model\n", ""), "build() returned None. Does build() end with `return model`?"),
    ("model = 3\n", "`model` is a builtins.int. It must be a seqc.Model."),
    (
        CLASSIFIER.replace(COMPILED, "    (lambda *a, **k: None)("),
        "the model is not compiled. Call model.compile(optimizer, loss)",
    ),
    (CLASSIFIER.split("def data")[0], "has no function data(). Add one that returns ((x_train, y_train), "),
    (CLASSIFIER.replace("return (x[:96], y[:96]), ", "return x, y, "), "data() must return ((x_train, y_train), "),
    (CLASSIFIER.replace("(x[96:], y[96:])", "(x[:0], y[:0])"), "gives no test samples; x_test has shape (0, 4)."),
    (CLASSIFIER.replace("integers(0, 3", "integers(0, 5").replace("eye(4)[y]", "eye(4)[y % 4]"), "label"),
    (CLASSIFIER.replace('{"accuracy"', '{"precision"'), "TARGET names ['precision']; the model's metrics are ['loss',"),
    (CLASSIFIER.replace('{"accuracy": 0.9}', "0.9"), 'TARGET must be like {"accuracy": 0.98}; got 0.9.'),
    (CLASSIFIER.replace('"epochs"', '"epoch"'), "FIT has ['epoch'], which fit does not take. It takes ["),
    (CLASSIFIER.replace("FIT = {", "FIT = 3\nOTHER = {"), 'FIT must be like {"epochs": 10}, or a function'),
    (CLASSIFIER.replace("np.eye(4)", "np.eye(5)"), "tiny.py:26: ValueError: operands could not be broadcast"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[m[:40] for _, m in WRONG])
def test_a_mistake_in_the_file_is_found_before_training(folder: Path, text: str, message: str) -> None:
    result = seqc("train", write(folder, text), code=2)
    assert message in result.stderr
    assert "Epoch" not in result.stdout
    assert "Traceback" not in result.stderr
    assert not (folder / "out").exists()


def test_a_layer_without_an_onnx_form_is_found_before_training(folder: Path) -> None:
    noisy = """
class Noise(layers.Layer):
    def call(self, x):
        from seqc.graph.tracing import require_trace

        return x + require_trace("Noise").random_uniform(x)


def build():
"""
    text = CLASSIFIER.replace("\ndef build():\n", noisy).replace('name="hidden"),', 'name="hidden"), Noise(),')
    result = seqc("train", write(folder, text), code=2)
    assert "draws random numbers at inference" in result.stderr
    assert "Epoch" not in result.stdout


def test_what_is_not_python_is_refused(folder: Path) -> None:
    assert "A model FILE ends in .py; got model.keras." in seqc("train", "model.keras", code=2).stderr
    assert "There is no file absent.py." in seqc("train", "absent.py", code=2).stderr


def test_a_model_of_keras_gets_advice(folder: Path) -> None:
    text = "class Model: ...\nModel.__module__ = 'keras.src.models'\nmodel = Model()\n"
    assert "Write `import seqc as keras` instead" in seqc("train", write(folder, text), code=2).stderr


@pytest.mark.slow
def test_a_file_may_import_what_lies_beside_it(folder: Path) -> None:
    write(folder, "EPOCHS = 2\n", "neighbour.py")
    path = write(folder, "import neighbour\n" + CLASSIFIER.replace('"epochs": 8', '"epochs": neighbour.EPOCHS'))
    assert len(seqc_json("train", path, "--limit", 20, "--no-plots")["history"]["loss"]) == 2


STOPPED_AT = """

import signal


class Press(keras.callbacks.Callback):
    seen = 0

    def on_train_batch_begin(self, batch, logs=None):
        Press.seen += 1
        if Press.seen == 9:
            signal.raise_signal(signal.SIGINT)


FIT = lambda: {"epochs": 8, "batch_size": 16, "callbacks": Press()}
"""


@pytest.mark.slow
def test_ctrl_c_saves_the_model_and_says_how_far_it_is(folder: Path) -> None:
    import seqc as keras

    result = seqc("train", write(folder, CLASSIFIER + STOPPED_AT), code=130)
    kept = folder / "out" / "tiny" / "tiny.stopped.keras"
    assert result.stderr == (
        "Stopped in epoch 2 of 8, after step 2 of 6. The model as of then was saved to out/tiny/tiny.stopped.keras. "
        "--resume goes on after epoch 1.\n"
    )
    assert {p.name for p in kept.parent.iterdir()} == {"tiny.stopped.keras", "tiny.backup"}
    model = keras.saving.load_model(kept)
    assert int(model.optimizer.iterations.numpy()) == 8
    assert np.isfinite(model.fit(np.ones((4, 4)), np.ones(4), verbose=0).history["loss"][0])


@pytest.mark.slow
def test_ctrl_c_after_the_training_does_not_lose_what_was_trained(folder: Path) -> None:
    text = CLASSIFIER + STOPPED_AT.replace("on_train_batch_begin", "on_test_batch_begin").replace("== 9", "== 1")
    text = text.replace('"callbacks": Press()', '"callbacks": None').replace(
        "def build():", "def build():\n    keras.Sequential.evaluate = press"
    )
    text += "\n\ndef press(*arguments, **named):\n    signal.raise_signal(signal.SIGINT)\n"
    import seqc as keras

    before = keras.Sequential.evaluate
    try:
        shown = seqc("train", write(folder, text), code=130).stderr
    finally:
        keras.Sequential.evaluate = before  # type: ignore[method-assign]
    assert shown.startswith("Stopped after the training. The model as of then was saved to ")
    assert keras.saving.load_model(folder / "out/tiny/tiny.stopped.keras").built


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_half_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    from seqc.utils import files

    replace = files.os.replace  # type: ignore[attr-defined]

    def press(source: Any, target: Any) -> None:
        if "stopped" in str(target):
            monkeypatch.setattr(files.os, "replace", replace)  # type: ignore[attr-defined]
            signal.raise_signal(signal.SIGINT)
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", press)  # type: ignore[attr-defined]
    shown = seqc("train", write(folder, CLASSIFIER + STOPPED_AT), code=130).stderr
    assert shown == (
        "Stopped in epoch 2 of 8, after step 2 of 6, and again while the model was being saved: nothing was saved.\n"
    )
    assert [p.name for p in (folder / "out" / "tiny").iterdir()] == ["tiny.backup"]


@pytest.mark.slow
def test_ctrl_c_from_outside_is_heard_with_json_too(folder: Path) -> None:
    import json
    import signal
    import subprocess

    text = CLASSIFIER.replace('"epochs": 8', '"epochs": 1000000') + (
        "\nclass Tell(keras.callbacks.Callback):\n"
        "    def on_epoch_begin(self, epoch, logs=None):\n"
        "        if epoch == 3:\n"
        "            print('here', flush=True)\n\n"
        "FIT['callbacks'] = [Tell()]\n"
    )
    command = [sys.executable, "-m", "seqc", "train", str(write(folder, text)), "--json"]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while process.stderr.readline() != "here\n":
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "was saved to out/tiny/tiny.stopped.keras." in json.loads(out)["error"]
    assert (folder / "out/tiny/tiny.stopped.keras").is_file()
