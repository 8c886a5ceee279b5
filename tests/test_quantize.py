"""Quantization: numbers beside the float file in onnxruntime, what stays in float, refusals, and the log of trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import seqc as keras
from kit.cli_models import CLASSIFIER, seqc, seqc_json, write
from kit.quantizing import SAMPLES, digits, faster, never, quantize, run, slower
from seqc import layers
from seqc.errors import ConfigError, DataError, ExportError, QuantizationError
from seqc.export.quantization.log import TrialLog
from seqc.export.quantization.samples import read_samples
from seqc.export.quantization.settings import Settings, parse_drop


@pytest.fixture(scope="module")
def trained() -> Any:
    model = keras.Sequential(
        [
            keras.Input((64,), name="image"),
            layers.Dense(96, activation="relu", name="first"),
            layers.Dense(64, activation="relu", name="second"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    keras.utils.set_random_seed(1)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*digits(), epochs=12, verbose=0)
    return model


@pytest.fixture
def float_file(trained: Any, tmp_path: Path) -> Path:
    trained.export(tmp_path / "float.onnx", verify=False)
    return tmp_path / "float.onnx"


@pytest.mark.slow
def test_what_is_reported_is_what_the_file_gives(float_file: Path, tmp_path: Path) -> None:
    x, y = digits()
    result = quantize(float_file, tmp_path / "q.onnx", x, y, purpose="size", max_drop=0.02, latency=faster)
    row = result.chosen
    assert row is not None
    assert {r.recipe for r in result.rows} == {"static", "dynamic", "blocks-8", "blocks-4", "weights-8"}
    assert row.file_bytes is not None
    assert abs((tmp_path / "q.onnx").stat().st_size - row.file_bytes) < 1000  # metadata come on top
    assert row.file_bytes < 0.4 * float_file.stat().st_size
    settings = Settings()
    from seqc.export.quantization.graphs import read_float_model

    samples = read_samples(read_float_model(float_file), x, y, settings)
    (labels,) = samples.labels.values()
    before, after = (run(p, **samples.tested)[0] for p in (float_file, tmp_path / "q.onnx"))
    assert np.mean(before.argmax(-1) == labels) == result.float_scores["digit"] > 0.9
    assert np.mean(after.argmax(-1) == labels) == row.score
    assert 0 < np.linalg.norm(after - before) < 0.2 * np.linalg.norm(before)
    said = json.loads({p.key: p.value for p in onnx.load(tmp_path / "q.onnx").metadata_props}["seqc.quantized"])
    assert said["recipe"] == row.recipe
    assert result.tested + result.calibration == SAMPLES


@pytest.mark.slow
def test_calibration_and_accuracy_see_different_samples(float_file: Path) -> None:
    from seqc.export.quantization.graphs import read_float_model

    x = np.arange(100 * 64, dtype="float32").reshape(100, 64)
    samples = read_samples(read_float_model(float_file), x, np.zeros(100, int), Settings())
    one, other = (set(a["image"][:, 0].tolist()) for a in (samples.calibration, samples.tested))
    assert not one & other
    assert one | other == set(x[:, 0].tolist())
    assert len(one) == 25


@pytest.mark.slow
def test_a_second_run_does_no_trial_and_gives_the_same_file(float_file: Path, tmp_path: Path) -> None:
    x, y = digits()
    log, out = tmp_path / "log.jsonl", tmp_path / "q.onnx"
    first = quantize(float_file, out, x, y, max_drop=0.02, log=log, latency=faster)
    # Four recipes, and four choices of layers of the fastest.
    assert first.trials == 8
    assert first.reused == 0
    content, lines = out.read_bytes(), log.read_text()
    out.unlink()
    again = quantize(float_file, out, x, y, max_drop=0.02, log=log, latency=never)
    assert (again.trials, again.reused) == (0, 8)
    assert out.read_bytes() == content
    assert log.read_text() == lines
    # What is asked of the same trials may change; what they were done on may not.
    assert quantize(float_file, out, x, y, purpose="size", max_drop=0.1, log=log, latency=faster).reused == 4
    assert quantize(float_file, out, x, y[::-1], max_drop=0.9, log=log, latency=faster).reused == 0


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_where_it_was(float_file: Path, tmp_path: Path) -> None:
    x, y = digits()
    log, out = tmp_path / "log.jsonl", tmp_path / "q.onnx"
    out.write_bytes(b"before")
    seen: list[str] = []

    def stop(trial: Any, share: float) -> None:
        assert 0 < share < 1
        seen.append(trial.recipe)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize(float_file, out, x, y, log=log, latency=faster, on_trial=stop)
    assert out.read_bytes() == b"before"
    assert {p.name for p in tmp_path.iterdir()} == {"float.onnx", "q.onnx", "log.jsonl"}
    # The machine failed in the middle of the next line.
    with log.open("ab") as file:
        file.write(b'{"key": "12')
    result = quantize(float_file, out, x, y, max_drop=0.02, log=log, latency=faster)
    assert (result.trials, result.reused) == (6, 2)
    assert quantize(float_file, out, x, y, max_drop=0.02, log=log, latency=never).trials == 0


def test_the_log_passes_over_what_is_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'\xff\xfe\n[]\n{"key": "a", "found": {"x": 1}}\nnull\n{"key": "b", "fo')
    log = TrialLog(path)
    assert log.find("a") == {"x": 1}
    log.add("c", {"y": 2})
    assert TrialLog(path).find("c") == {"y": 2}
    assert TrialLog(path).find("b") is None


@pytest.mark.slow
def test_what_is_not_faster_or_smaller_is_refused_with_the_figures(float_file: Path, tmp_path: Path) -> None:
    x, y = digits()
    out = tmp_path / "q.onnx"
    out.write_bytes(b"before")
    with pytest.raises(QuantizationError, match="faster and loses at most 2.00%. Nothing was written") as raised:
        quantize(float_file, out, x, y, max_drop=0.02, latency=slower)
    assert out.read_bytes() == b"before"
    rows = raised.value.result.rows
    assert all(row.refused == "runs at 0.67 times the speed of float" for row in rows)
    assert raised.value.result.to_dict()["accepted"] is False
    small = keras.Sequential([keras.Input((64,)), layers.Dense(2)])
    with pytest.raises(QuantizationError, match="smaller") as raised:
        quantize(small, out, x, purpose="size", max_drop=0.1, latency=faster)
    assert all("of the bytes" in row.refused for row in raised.value.result.rows)


def test_labels_of_every_kind_are_measured(tmp_path: Path) -> None:
    x, y = digits()
    cases: list[tuple[int, str | None, Any, str]] = [
        (10, "softmax", y, "accuracy on the labels"),
        (10, None, y[:, None].astype(float), "accuracy on the labels"),
        (10, "softmax", np.eye(10)[y], "accuracy on the labels"),
        (1, "sigmoid", y > 4, "accuracy on the labels"),
        (1, None, y + 0.5, "R² on the labels"),
        (3, None, np.stack([y, y + 0.5, -y], -1), "R² on the labels"),
        (10, "softmax", None, "argmax agreement with the float model"),
        (1, "sigmoid", None, "argmax agreement with the float model"),
        (3, None, None, "1 - relative error to the float model"),
    ]
    from seqc.export.quantization.graphs import Port
    from seqc.export.quantization.scores import make_scorers

    for units, activation, labels, wanted in cases:
        model = keras.Sequential([keras.Input((64,)), layers.Dense(units, activation=activation)])
        output = np.asarray(model.predict(x, verbose=0))
        given = {} if labels is None else {"y": np.asarray(labels)}
        (scorer,) = make_scorers([Port("y", "float32", (None, units))], [output], given, Settings())
        assert scorer.kind == wanted
        if labels is None:
            assert scorer(output) == 1.0
            assert scorer(output * np.nan) == -np.inf
        elif wanted.startswith("R²"):
            truth = np.asarray(labels, float)
            assert scorer(truth.reshape(output.shape)) == 1.0
            lost = ((output.reshape(truth.shape) - truth) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum()
            np.testing.assert_allclose(scorer(output), 1 - lost)
        else:
            classes = output.argmax(-1) if units > 1 else output[:, 0] > 0.5
            right = y > 4 if units == 1 else y
            assert scorer(output) == np.mean(classes == right)


ROWS = np.random.default_rng(0).normal(size=(40, 6)).astype("float32")


@pytest.fixture(scope="module")
def with_heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of models with the classes that they give: the larger of the first two numbers, the sign of the first."""
    folder = tmp_path_factory.mktemp("heads")
    both = keras.Sequential([keras.Input((6,)), layers.Dense(2, "softmax", name="y")])
    both.set_weights([np.eye(6, 2), np.zeros(2)])
    cast = keras.Model(both.inputs, keras.ops.cast(keras.ops.argmax(both.outputs[0], -1), "int64"))
    cast.export(folder / "cast_int64.onnx", output_name="y", verify=False)
    one = keras.Sequential([keras.Input((6,)), layers.Dense(1, "sigmoid", name="y")])
    one.set_weights([np.eye(6, 1), np.zeros(1)])
    for functions in (False, True):
        both.export(folder / f"argmax_{functions}.onnx", head="argmax", functions=functions, verify=False)
    one.export(folder / "threshold.onnx", head="threshold:0.5", verify=False)
    return folder


@pytest.mark.parametrize("name", ["argmax_False", "argmax_True", "cast_int64", "threshold"])
def test_labels_of_classes_that_the_file_gives_are_measured(with_heads: Path, name: str) -> None:
    from seqc.export.quantization.graphs import read_float_model
    from seqc.export.quantization.scores import make_scorers

    (port,) = (model := read_float_model(with_heads / f"{name}.onnx")).outputs
    right = ROWS[:, 0] > 0 if name == "threshold" else ROWS[:, 1] > ROWS[:, 0]
    (output,) = run(with_heads / f"{name}.onnx", **{model.inputs[0].name: ROWS})
    np.testing.assert_array_equal(output.reshape(-1), right)
    labels = np.where(np.arange(40) < 30, right, ~right)

    def scored(given: Any) -> float:
        (scorer,) = make_scorers([port], [output], {port.name: np.asarray(given)}, Settings(max_drop=0.1))
        assert scorer.kind == "accuracy on the labels"
        return scorer(output)

    kinds = [labels, labels.astype(int), labels.astype("float32"), labels.astype("uint8")]
    for given in (*kinds, *(k[:, None] for k in kinds)):
        assert scored(given) == 0.75
    if name != "threshold":
        assert scored(np.eye(2)[labels.astype(int)]) == 0.75
    for strange, wrong in ((labels * 2 - 1.0, "-1.0"), (labels + 1, "2"), (labels * 0.5, "0.5")):
        with pytest.raises(DataError, match=rf"no classes: {wrong} is among them, and the output has classes 0 to 1"):
            scored(strange)
    with pytest.raises(DataError, match="give a class for each number of it"):
        scored(np.zeros((40, 3)))


def test_a_single_number_is_a_logit_where_it_is_no_probability() -> None:
    from seqc.export.quantization.graphs import Port
    from seqc.export.quantization.scores import make_scorers

    def score(output: Any, labels: Any, measure: str = "auto") -> float:
        given = {} if labels is None else {"y": np.asarray(labels)}
        settings = Settings(max_drop=0.1, measure=measure)
        (scorer,) = make_scorers([Port("y", "float32", (None, 1))], [output], given, settings)
        return scorer(output + np.float32(0.3) if labels is None else output)

    logits = np.linspace(-1, 1, 40, dtype="float32")[:, None]
    assert score(logits, logits[:, 0] > 0) == score(np.float32(0.4) * logits, logits > 0) == 1
    # A model that was fitted to the numbers 0 and 1 gives them nearly.
    assert score(np.float32(1.2) * logits + np.float32(0.5), logits > 0) == 1
    probabilities = (logits + 1) / 2
    assert score(probabilities, probabilities > 0.5) == 1
    assert score(probabilities, probabilities > 0.2) == 0.7
    # Without labels, shifting by 0.3 takes those along that are so near to the limit.
    assert score(logits, None, "argmax") == 1 - np.mean((logits > -0.3) & (logits <= 0))


def changed(change: Callable[[Any, Any], tuple[Any, Any]]) -> tuple[Any, Any]:
    return change(*digits())


def broken(x: Any) -> Any:
    x = x.copy()
    x[7, 3] = np.nan
    return x


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda x, y: ({"picture": x}, y), {}, "takes 'image'; the data have 'picture': 'image' missing, 'picture' no"),
        (lambda x, y: (x[:, :60], y), {}, r"input 'image' is float32\[\?, 64\].*the data have shape \(400, 60\)"),
        (lambda x, y: (x[:10], y[:10]), {}, "at least 16 samples; the data have 10"),
        (lambda x, y: (x[:40], y[:40]), {}, "measured on 30 samples, where a single one is 3.33%: too few"),
        (lambda x, y: (x, y + 1), {}, "are no classes: 10 is among them, and the output has classes 0 to 9"),
        (lambda x, y: (x, y - 1), {}, "are no classes: -1 is among them"),
        (lambda x, y: (x, y + 0.5), {}, "are no classes: "),
        (lambda x, y: (x, y[:50]), {}, "as many samples; 'image' has 400, 'digit' has 50"),
        (lambda x, y: (x, {"kind": y}), {}, "gives 'digit'; there are labels for 'kind'"),
        (lambda x, y: (broken(x), y), {}, "1 numbers that are NaN or infinite, the first in sample 7"),
        (lambda x, y: (x, y[:, None, None] + np.zeros((1, 4, 4))), {}, "labels of 'digit' have shape"),
        (lambda x, y: (x.astype(str), y), {}, "the data are <U"),
        (lambda x, y: (x, y), {"max_drop": 1.5}, "max_drop must be at least 0 and below 1"),
        (lambda x, y: (x, y), {"max_drop": "0.5%"}, "max_drop must be a number"),
        (lambda x, y: (x, y), {"purpose": "fun"}, "purpose must be one of speed, size; got 'fun'"),
        (lambda x, y: (x, y), {"batch_size": 0}, "batch_size must be at least 1"),
        (lambda x, y: (x, y), {"batch_size": 1000, "max_drop": 0.1}, "A batch of 1000 needs more samples"),
    ],
)
def test_bad_input_gets_a_clear_error(
    change: Any, options: dict[str, Any], message: str, float_file: Path, tmp_path: Path
) -> None:
    x, y = changed(change)
    with pytest.raises((DataError, ConfigError), match=message):
        quantize(float_file, tmp_path / "q.onnx", x, y, latency=faster, **options)
    assert not (tmp_path / "q.onnx").exists()


@pytest.mark.slow
def test_models_that_cannot_be_quantized_say_why(float_file: Path, tmp_path: Path) -> None:
    x, y = digits()
    out = tmp_path / "q.onnx"
    quantize(float_file, out, x, y, max_drop=0.1, latency=faster)
    with pytest.raises(ExportError, match="q.onnx is quantized already: it has "):
        quantize(out, tmp_path / "again.onnx", x, y, latency=faster)
    with pytest.raises(ConfigError, match="is the file that is read"):
        quantize(float_file, float_file, x, y)
    with pytest.raises(ExportError, match="has nothing to quantize: .*its nodes are Relu"):
        quantize(keras.Sequential([keras.Input((64,)), layers.ReLU()]), tmp_path / "r.onnx", x)
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(DataError, match="is not an ONNX file, or is damaged"):
        quantize(tmp_path / "text.onnx", out, x)


def test_a_file_of_a_fixed_batch_and_two_inputs_is_measured_in_such_batches(tmp_path: Path, rng: Any) -> None:
    a, b = keras.Input((40,), batch_size=5, name="a"), keras.Input((24,), batch_size=5, name="b")
    joined = layers.Dense(64, activation="relu")(layers.Concatenate()([a, b]))
    model = keras.Model([a, b], [layers.Dense(3, activation="softmax", name="k")(joined), layers.Dense(2)(joined)])
    data = {"a": rng.standard_normal((103, 40)), "b": rng.standard_normal((103, 24)), "k": rng.integers(0, 3, 103)}
    result = quantize(model, tmp_path / "q.onnx", data, max_drop=0.1, latency=faster, purpose="size")
    assert result.batch_size == 5
    assert (result.calibration, result.tested) == (25, 75)
    first, second = result.measured.values()
    assert first == "accuracy on the labels"
    assert second == "1 - relative error to the float model"


def test_shares_are_read_as_people_write_them() -> None:
    assert [parse_drop(t) for t in ("0.5%", "0.005", " 1 % ", "0", ".5%", "1e-3")] == [
        0.005,
        0.005,
        0.01,
        0,
        0.005,
        1e-3,
    ]
    for text in ("", "half", "-1%", "nan", "1,5%"):
        with pytest.raises(ConfigError, match="--max-drop takes a share"):
            parse_drop(text)
    with pytest.raises(ConfigError, match="write 2%"):
        parse_drop("2")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Sets what the command line measures latency with."""
    return lambda measure: monkeypatch.setattr("seqc.export.quantization.latency.measure_latency", measure)


@pytest.mark.slow
def test_the_command_writes_a_file_and_refuses_with_1(
    float_file: Path, tmp_path: Path, clock: Callable[[Any], None]
) -> None:
    x, y = digits()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    clock(faster)
    asked = ("quantize", float_file, "--data", tmp_path / "d.npz", "--max-drop", "2%", "--threads", 1)
    text = seqc(*asked).stdout
    assert "accuracy on the labels" in text
    assert "taken" in text
    assert f"Wrote {tmp_path / 'float.quantized.onnx'}" in text
    assert (tmp_path / "float.quantized.trials.jsonl").exists()
    found = seqc_json(*asked, "--for", "size")
    assert found["accepted"] is True
    assert found["reused"] == 4
    assert found["rows"][0]["drop"] <= 0.02
    clock(slower)
    other = tmp_path / "other.onnx"
    refused = seqc(*asked, "-o", other, code=1)
    assert "REFUSED: no recipe gives a file that is faster" in refused.stdout
    assert not other.exists()
    assert seqc_json(*asked, "-o", other, code=1)["accepted"] is False


@pytest.mark.slow
def test_the_command_says_what_ctrl_c_left(trained: Any, tmp_path: Path, clock: Callable[[Any], None]) -> None:
    x, y = digits()
    trained.save(tmp_path / "m.keras")
    np.savez(tmp_path / "d.npz", image=x, digit=y)

    def stop(*_: Any) -> tuple[float, float]:
        raise KeyboardInterrupt

    clock(stop)
    result = seqc("quantize", tmp_path / "m.keras", "--data", tmp_path / "d.npz", "--max-drop", "2%", code=130)
    assert "Stopped after 1 trial; nothing was written but" in result.stderr
    assert not (tmp_path / "m.quantized.onnx").exists()


@pytest.mark.slow
def test_the_command_refuses_other_files(tmp_path: Path) -> None:
    file = write(tmp_path, CLASSIFIER)
    np.save(tmp_path / "x.npy", np.zeros((40, 4), "float32"))
    for arguments, message in (
        (("--data", tmp_path / "x.txt"), "--data takes a .npz or .npy file"),
        (("--data", tmp_path / "gone.npz"), "There is no file"),
        (("--data", tmp_path / "x.npy", "-o", tmp_path / "q.keras"), "must have a name that ends in .onnx"),
        (("--data", tmp_path / "x.npy", "--max-drop", "much"), "--max-drop takes a share, such as 0.5% or 0.005"),
        (("--data", tmp_path / "x.npy"), "too few to see a drop of 0.50%"),
    ):
        assert message in seqc("quantize", file, *arguments, code=2).stderr


@pytest.mark.slow
def test_weights_beside_the_file_and_an_open_archive_are_read(float_file: Path, tmp_path: Path) -> None:
    x, y = digits()
    np.savez(tmp_path / "d.npz", x=x, y=y)
    onnx.save_model(
        onnx.load(float_file), tmp_path / "e.onnx", save_as_external_data=True, location="e.data", size_threshold=0
    )
    with np.load(tmp_path / "d.npz") as data:
        result = quantize(tmp_path / "e.onnx", tmp_path / "q.onnx", data, max_drop=0.02, latency=faster)
    assert result.float_bytes > 4 * 64 * 96
    assert result.measured == {"digit": "accuracy on the labels"}


@pytest.mark.slow
def test_a_file_that_gives_classes_is_measured_on_labels(trained: Any, tmp_path: Path) -> None:
    x, y = digits()
    trained.export(tmp_path / "f.onnx", verify=False)
    model = onnx.load(tmp_path / "f.onnx")
    model.graph.node.append(helper.make_node("ArgMax", ["digit"], ["class"], axis=1, keepdims=0))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("class", TensorProto.INT64, ["batch"]))
    onnx.save(model, tmp_path / "c.onnx")
    for labels, wanted in ((y, "accuracy on the labels"), (None, "share of elements as in the float model")):
        result = quantize(tmp_path / "c.onnx", tmp_path / "q.onnx", x, labels, max_drop=0.02, latency=faster)
        assert result.measured == {"class": wanted}
        assert result.float_scores["class"] > 0.9


@pytest.mark.slow
def test_a_recipe_that_cannot_be_done_costs_few_trials(float_file: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def fails(*_: Any) -> bytes:
        raise ExportError("onnxruntime's quantizer fails: no such thing")

    monkeypatch.setattr("seqc.backends.onnxruntime_quantizer.quantize_static", fails)
    x, y = digits()
    result = quantize(float_file, tmp_path / "q.onnx", x, y, max_drop=0.02, latency=faster)
    assert [r.recipe for r in result.rows if "no such thing" in r.refused] == ["static", "static-percentile"]
    assert result.trials == 3 * 2 + 3 + 4  # the last are choices of layers of the fastest
    assert result.chosen is not None


@pytest.mark.parametrize(
    ("machine", "flags", "seven"),
    [
        ("x86_64", "sse avx2", True),
        ("x86_64", "avx2 avx512_vnni", False),
        ("x86_64", "avx2 avx_vnni", False),
        ("x86_64", "", False),
        ("aarch64", "asimd", False),
    ],
)
def test_weights_have_seven_bits_where_sums_would_saturate(
    machine: str, flags: str, seven: bool, float_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqc.backends.onnxruntime_quantizer import quantize_dynamic
    from seqc.export.quantization import machine as module
    from seqc.export.quantization.graphs import read_float_model

    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(module, "_cpu_info", lambda: {"flags": flags})
    assert module.needs_seven_bits.__wrapped__() == seven
    content = quantize_dynamic(read_float_model(float_file).proto.SerializeToString(), ["MatMul"], [], seven)
    whole = [
        numpy_helper.to_array(t)
        for t in onnx.load_from_string(content).graph.initializer
        if t.data_type == TensorProto.INT8 and len(t.dims) == 2
    ]
    assert len(whole) == 3
    assert max(np.abs(w.astype(int)).max() for w in whole) == (64 if seven else 127)
