"""Quantization: numbers beside the float file in onnxruntime, what stays in float, refusals, and the log of trials."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import seqc as keras
from kit.cli_models import CLASSIFIER, seqc, seqc_json, write
from seqc import layers
from seqc.backends.onnxruntime import Session
from seqc.errors import ConfigError, DataError, ExportError, QuantizationError
from seqc.export import quantize as quantize_on_any
from seqc.export.quantization.blocks import block_for, quantize_blocks, rounded
from seqc.export.quantization.log import TrialLog
from seqc.export.quantization.samples import read_samples
from seqc.export.quantization.settings import Settings, parse_drop

SAMPLES = 400
# Threads that wait busily for the next run would take longer than all else here.
quantize = partial(quantize_on_any, threads=1)


def faster(first: Session, second: Session, feeds: dict[str, Any]) -> tuple[float, float]:
    """Takes the place of the clock: every quantized model is twice as fast."""
    return 2.0, 1.0


def slower(first: Session, second: Session, feeds: dict[str, Any]) -> tuple[float, float]:
    """Takes the place of the clock: no quantized model is fast."""
    return 1.0, 1.5


def never(*_: Any) -> tuple[float, float]:
    """Takes the place of the clock where nothing may be timed."""
    raise AssertionError("timed")


def digits() -> tuple[Any, Any]:
    (x, y), _ = keras.datasets.digits.load_data()
    return x[:SAMPLES].reshape(-1, 64).astype("float32") / 16, y[:SAMPLES].astype("int64")


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


def run(path: Path, **arrays: Any) -> list[Any]:
    return list(Session(path.read_bytes()).run(arrays).values())


def kinds(path: Path) -> set[str]:
    return {n.op_type for n in onnx.load(path).graph.node}


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


def test_calibration_and_accuracy_see_different_samples(float_file: Path) -> None:
    from seqc.export.quantization.graphs import read_float_model

    x = np.arange(100 * 64, dtype="float32").reshape(100, 64)
    samples = read_samples(read_float_model(float_file), x, np.zeros(100, int), Settings())
    one, other = (set(a["image"][:, 0].tolist()) for a in (samples.calibration, samples.tested))
    assert not one & other
    assert one | other == set(x[:, 0].tolist())
    assert len(one) == 25


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize(("width", "block"), [(64, 32), (64, 128), (40, 32), (300, 128)])
def test_blocks_give_what_their_whole_numbers_say(bits: int, width: int, block: int, rng: Any) -> None:
    table, kernel = (rng.standard_normal(s).astype("float32") for s in ((50, width), (width, 24)))
    bias = rng.standard_normal(24).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "i"], ["found"], name="look/Gather"),
            helper.make_node("Gemm", ["found", "kernel", "bias"], ["y"], name="dense/Gemm", transB=1),
        ],
        "g",
        [helper.make_tensor_value_info("i", TensorProto.INT32, ["n"])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", s]) for n, s in (("y", 24), ("found", width))],
        [numpy_helper.from_array(a, n) for n, a in (("table", table), ("kernel", kernel.T.copy()), ("bias", bias))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content = quantize_blocks(model, ["look/Gather", "dense/Gemm"], bits, block)
    i = rng.integers(0, 50, 6).astype("int32")
    got = Session(content).run({"i": i})

    def back(rows: Any) -> Any:
        whole, scales = rounded(rows, bits, block_for(width, block))
        numbers = (whole.astype(np.float64) - 2 ** (bits - 1)) * scales[..., None]
        return numbers.reshape(len(rows), -1)[:, : rows.shape[1]]

    np.testing.assert_allclose(got["found"], back(table)[i], rtol=1e-6)
    assert np.linalg.norm(back(table) - table) < (0.01 if bits == 8 else 0.13) * np.linalg.norm(table)
    # onnxruntime rounds what it multiplies by to eight bits, in blocks, too.
    truth = got["found"] @ back(kernel.T).T + bias
    assert np.linalg.norm(got["y"] - truth) < 0.01 * np.linalg.norm(truth)
    assert {t.name for t in onnx.load_from_string(content).graph.initializer}.isdisjoint({"table", "kernel"})


def test_blocks_of_zeros_and_of_one_number_stay_what_they_are() -> None:
    rows = np.zeros((2, 32), np.float32)
    rows[1, 3] = -2.5
    for bits in (8, 4):
        whole, scales = rounded(rows, bits, 32)
        assert (((whole.astype("float32") - 2 ** (bits - 1)) * scales[..., None])[:, 0] == rows).all()


def with_outliers(seed: int = 0) -> Any:
    """Returns a model whose layer 'bad' has a huge weight in every block and column, for an input that is always zero.

    In float that changes nothing; in whole numbers it leaves nothing of the other weights.
    """
    model = keras.Sequential(
        [
            keras.Input((64,), name="image"),
            layers.Dense(128, activation="relu", name="good"),
            layers.Dense(96, activation="relu", name="bad"),
            layers.Dense(96, activation="relu", name="fine"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    keras.utils.set_random_seed(seed)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*digits(), epochs=6, verbose=0)
    dead = np.arange(0, 128, 16)
    kernel, bias = model.get_layer("good").get_weights()
    bias[dead] = -1000.0  # after relu these are always zero
    model.get_layer("good").set_weights([kernel, bias])
    kernel, bias = model.get_layer("bad").get_weights()
    kernel[dead] = 1e5
    model.get_layer("bad").set_weights([kernel, bias])
    return model


def test_a_layer_that_hurts_stays_in_float_and_the_others_do_not(tmp_path: Path) -> None:
    model = with_outliers()
    x, y = digits()
    result = quantize(model, tmp_path / "q.onnx", x, y, max_drop=0.02, latency=faster)
    by_name = {row.recipe: row for row in result.rows}
    for name in ("static", "dynamic", "blocks-8", "blocks-4"):
        assert by_name[name].in_float == ("bad",), name
        assert by_name[name].drop is not None
        assert by_name[name].drop <= 0.02
    kernels = [t.dims for t in onnx.load(tmp_path / "q.onnx").graph.initializer if t.data_type == TensorProto.FLOAT]
    assert [128, 96] in [list(d) for d in kernels]
    assert [96, 96] not in [list(d) for d in kernels]
    assert result.chosen is not None
    assert "In float: bad." in str(result)


def test_a_layer_alone_that_hurts_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64,)), layers.Dense(64)])
    kernel, bias = model.layers[0].get_weights()
    kernel[::16] = 1e5
    model.layers[0].set_weights([kernel, bias])
    x = digits()[0].copy()
    x[:, ::16] = 0
    with pytest.raises(QuantizationError, match="no recipe gives a file that is faster") as raised:
        quantize(model, tmp_path / "q.onnx", x, latency=never)
    assert all("allowed" in row.refused for row in raised.value.result.rows)
    assert not (tmp_path / "q.onnx").exists()


def test_layers_that_hurt_only_together_lose_the_one_that_moves_most(tmp_path: Path) -> None:
    # Each of them alone is within what is allowed, and all of them are not: the most sensitive goes back to float.
    model = keras.Sequential([keras.Input((64,)), *(layers.Dense(64, name=f"d{i}") for i in range(4))])
    x = digits()[0]
    with pytest.raises(QuantizationError) as raised:
        quantize(model, tmp_path / "q.onnx", x, max_drop=0.5, latency=slower)
    alone = {r.recipe: r.drop for r in raised.value.result.rows}["blocks-4"]
    result = quantize(model, tmp_path / "q.onnx", x, purpose="size", max_drop=0.8 * alone, latency=slower)
    row = next(r for r in result.rows if r.recipe == "blocks-4")
    assert 0 < len(row.in_float) < 4
    assert row.drop is not None
    assert row.drop <= 0.8 * alone


def test_convolutions_are_static_and_per_channel(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 3, activation="relu", name="more"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    x = digits()[0].reshape(-1, 8, 8, 1)
    quantize(model, tmp_path / "q.onnx", x, max_drop=0.1, latency=faster, purpose="speed")
    model.export(tmp_path / "f.onnx", verify=False)
    proto = onnx.load(tmp_path / "q.onnx")
    stored = {t.name: t for t in proto.graph.initializer}
    convolutions = [n for n in proto.graph.node if n.op_type == "Conv"]
    made = {n.output[0]: n for n in proto.graph.node}
    for node, channels in zip(convolutions, (8, 16), strict=True):
        weights = made[node.input[1]]
        assert weights.op_type == "DequantizeLinear"
        assert stored[weights.input[0]].data_type == TensorProto.INT8
        assert list(stored[weights.input[1]].dims) == [channels]
    before, after = (run(tmp_path / f, image=x)[0] for f in ("f.onnx", "q.onnx"))
    assert 0 < np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)


def test_lstm_and_embedding_are_dynamic_and_others_are_kept_small(tmp_path: Path, rng: Any) -> None:
    x = rng.integers(0, 200, (80, 6)).astype("int32")

    def made(layer: Any) -> Any:
        model = keras.Sequential([keras.Input((6,), dtype="int32", name="t"), layers.Embedding(200, 32), layer])
        model.add(layers.Dense(4))
        model.export(tmp_path / "f.onnx", verify=False)
        return model

    for layer, purpose, wanted in (
        (layers.LSTM(24), "speed", {"DynamicQuantizeLSTM", "MatMulInteger", "DequantizeLinear"}),
        (layers.GRU(48), "size", {"DequantizeLinear", "GRU"}),
    ):
        result = quantize(made(layer), tmp_path / "q.onnx", x, purpose=purpose, max_drop=0.1, latency=faster)
        assert list(result.measured.values()) == ["1 - relative error to the float model"]
        assert wanted <= kinds(tmp_path / "q.onnx")
        before, after = (run(tmp_path / f, t=x)[0] for f in ("f.onnx", "q.onnx"))
        assert 0 < np.linalg.norm(after - before) < 0.1 * np.linalg.norm(before)


def test_a_second_run_does_no_trial_and_gives_the_same_file(float_file: Path, tmp_path: Path) -> None:
    x, y = digits()
    log, out = tmp_path / "log.jsonl", tmp_path / "q.onnx"
    first = quantize(float_file, out, x, y, max_drop=0.02, log=log, latency=faster)
    assert first.trials == 4
    assert first.reused == 0
    content, lines = out.read_bytes(), log.read_text()
    out.unlink()
    again = quantize(float_file, out, x, y, max_drop=0.02, log=log, latency=never)
    assert (again.trials, again.reused) == (0, 4)
    assert out.read_bytes() == content
    assert log.read_text() == lines
    # What is asked of the same trials may change; what they were done on may not.
    assert quantize(float_file, out, x, y, purpose="size", max_drop=0.1, log=log, latency=faster).reused == 4
    assert quantize(float_file, out, x, y[::-1], max_drop=0.9, log=log, latency=faster).reused == 0


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
    assert (result.trials, result.reused) == (2, 2)
    assert quantize(float_file, out, x, y, max_drop=0.02, log=log, latency=never).trials == 0


def test_the_log_passes_over_what_is_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'\xff\xfe\n[]\n{"key": "a", "found": {"x": 1}}\nnull\n{"key": "b", "fo')
    log = TrialLog(path)
    assert log.find("a") == {"x": 1}
    log.add("c", {"y": 2})
    assert TrialLog(path).find("c") == {"y": 2}
    assert TrialLog(path).find("b") is None


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


@pytest.mark.parametrize("middle", ["Conv", "Gemm"])
def test_a_layer_left_in_float_is_not_quantized_by_onnxruntime_itself(middle: str, tmp_path: Path) -> None:
    from seqc.export.quantization.graphs import read_float_model
    from seqc.export.quantization.recipes import recipes_for

    x = digits()[0]
    if middle == "Conv":
        x = x.reshape(-1, 8, 8, 1)
        stack: list[Any] = [layers.Conv2D(16, 3, activation="relu", name=n) for n in ("first", "bad", "last")]
    else:
        stack = [layers.Dense(48, activation="relu", name=n) for n in ("first", "bad", "last")]
    model = keras.Sequential([keras.Input(x.shape[1:]), *stack])
    kernel, bias = model.get_layer("first").get_weights()
    bias[0] = -1000.0
    model.get_layer("first").set_weights([kernel, bias])
    kernel, bias = model.get_layer("bad").get_weights()
    kernel[..., 0, :] = 1e5
    model.get_layer("bad").set_weights([kernel, bias])
    model.export(tmp_path / "f.onnx", verify=False)
    loaded = read_float_model(tmp_path / "f.onnx")
    recipe = recipes_for(loaded, read_samples(loaded, x, None, Settings()), Settings())[0]
    assert recipe.name == "static"
    content = recipe.build([n for n in recipe.nodes if not n.startswith("bad")])
    name = loaded.inputs[0].name
    (before,), (after,) = (Session(c).run({name: x}).values() for c in (loaded.content, content))
    assert 0 < np.linalg.norm(after - before) < 0.05 * np.linalg.norm(before)


@pytest.mark.slow
def test_mnist_in_eight_bits_loses_next_to_nothing(shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip("needs the files of MNIST in ../shared/data/mnist")
    (x, y), (x_test, y_test) = keras.datasets.mnist.load_data(folder)
    x, x_test = (a[..., None].astype("float32") / 255 for a in (x[:20000], x_test))
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y[:20000], batch_size=64, epochs=2, verbose=0)
    result = quantize(model, tmp_path / "q.onnx", x_test, y_test, purpose="size", latency=faster)
    assert result.tested == 9744
    assert result.float_scores["digit"] > 0.97
    for row in result.rows:
        assert row.in_float == ()
        assert row.drop is not None
        assert row.drop <= 0.002
    assert (tmp_path / "q.onnx").stat().st_size < 0.3 * result.float_bytes
    after = run(tmp_path / "q.onnx", image=x_test)[0]
    assert np.mean(after.argmax(-1) == y_test) > result.float_scores["digit"] - 0.004


def test_convolutions_before_an_lstm_are_static_and_it_is_dynamic(tmp_path: Path, rng: Any) -> None:
    model = keras.Sequential(
        [
            keras.Input((4, 8, 8, 1), name="film"),
            layers.TimeDistributed(layers.Conv2D(8, 3, activation="relu")),
            layers.TimeDistributed(layers.Flatten()),
            layers.LSTM(16),
        ]
    )
    model.export(tmp_path / "f.onnx", verify=False)
    x = rng.standard_normal((64, 4, 8, 8, 1)).astype("float32")
    result = quantize(tmp_path / "f.onnx", tmp_path / "q.onnx", x, max_drop=0.2, latency=faster, purpose="size")
    assert "static-dynamic" in {row.recipe for row in result.rows if not row.refused}
    from seqc.export.quantization.graphs import read_float_model
    from seqc.export.quantization.recipes import recipes_for

    loaded = read_float_model(tmp_path / "f.onnx")
    recipes = recipes_for(loaded, read_samples(loaded, x, None, Settings()), Settings())
    mixed = next(r for r in recipes if r.name == "static-dynamic")
    content = mixed.build(mixed.nodes)
    assert {"DynamicQuantizeLSTM", "QuantizeLinear"} <= {n.op_type for n in onnx.load_from_string(content).graph.node}
    (before,), (after,) = (Session(c).run({"film": x}).values() for c in (loaded.content, content))
    assert 0 < np.linalg.norm(after - before) < 0.1 * np.linalg.norm(before)


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


def test_a_recipe_that_cannot_be_done_costs_few_trials(float_file: Path, tmp_path: Path, monkeypatch: Any) -> None:
    def fails(*_: Any) -> bytes:
        raise ExportError("onnxruntime's quantizer fails: no such thing")

    monkeypatch.setattr("seqc.backends.onnxruntime_quantizer.quantize_static", fails)
    x, y = digits()
    result = quantize(float_file, tmp_path / "q.onnx", x, y, max_drop=0.02, latency=faster)
    assert [r.recipe for r in result.rows if "no such thing" in r.refused] == ["static", "static-percentile"]
    assert result.trials == 3 * 2 + 3
    assert result.chosen is not None


def test_plain_files_have_operators_of_onnx_alone(tmp_path: Path, rng: Any) -> None:
    x = rng.integers(0, 200, (80, 6)).astype("int32")
    model = keras.Sequential([keras.Input((6,), dtype="int32"), layers.Embedding(200, 32), layers.LSTM(48)])
    model.add(layers.Dense(64))
    for purpose in ("speed", "size"):
        result = quantize(model, tmp_path / "q.onnx", x, purpose=purpose, max_drop=0.1, plain=True, latency=faster)
        assert {r.recipe for r in result.rows} <= {"static", "dynamic", "weights-8"}
        made = onnx.load(tmp_path / "q.onnx")
        assert {o.domain for o in made.opset_import} == {""}
        assert {n.domain for n in made.graph.node} <= {"", "ai.onnx"}


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

    monkeypatch.setattr(module.platform, "machine", lambda: machine)
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
