"""The record of a verification: what it holds, what repeats it, and what it notices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import seqc as keras
from kit import old_runtime
from kit.cli_models import seqc, seqc_json
from seqc import layers, ops
from seqc.errors import ConfigError, DataError, PathError
from seqc.export import record as records
from seqc.export.model import inference_graph
from seqc.graph.interpreter import Interpreter
from seqc.passes.precision import promote_floats

CPU = ["CPUExecutionProvider"]


def classifier() -> keras.Sequential:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [layers.Input((6,), name="x"), layers.Dense(8, "tanh", name="a"), layers.Dense(3, name="b")], name="flowers"
    )


def words() -> keras.Sequential:
    looked = layers.StringLookup(vocabulary=["a", "bc", "é"], output_mode="multi_hot", name="found")
    return keras.Sequential(
        [layers.Input((4,), dtype="string", name="x"), looked, layers.Dense(2, name="y")], name="words"
    )


def with_other_weights(path: Path, factor: float) -> None:
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.raw_data = (array * np.float32(factor)).tobytes()
    onnx.save(model, path)


def repeated(path: Path) -> list[Any]:
    return records.repeat(records.read_record(records.record_path(path)), path.read_bytes(), CPU)


@pytest.mark.parametrize("write", ["export", "quantize"])
@pytest.mark.parametrize("link", [False, True])
def test_the_record_of_a_file_goes_with_it(tmp_path: Path, write: str, link: bool) -> None:
    path = tmp_path / "m.onnx"
    if link:
        (tmp_path / "real.onnx").write_bytes(b"")
        path.symlink_to("real.onnx")
    record = Path(records.record_path(path))
    classifier().export(path, record=True)
    classifier().export(path)
    assert record.exists()  # it is of the very same file
    other = keras.Sequential([layers.Input((6,), name="x"), layers.Dense(2, "softmax", name="c")])
    if write == "export":
        other.export(path)
        seqc("verify", path)
    else:
        keras.export.quantize(other, path, np.eye(40, 6, dtype="f"), max_drop=0.9, latency=lambda *_: (2.0, 1.0))
    assert not record.exists()
    record.write_bytes(b"somebody's")
    classifier().export(path)
    assert record.read_bytes() == b"somebody's"
    assert path.is_symlink() == link


@pytest.mark.parametrize("make", [classifier, words])
def test_a_record_holds_what_the_model_computes_and_repeats(make: Any, tmp_path: Path) -> None:
    model, path = make(), tmp_path / "m.onnx"
    receipt = model.export(path, record=True)
    assert receipt.record == str(path) + ".verified.npz"
    held = records.read_record(receipt.record)
    truth = Interpreter(promote_floats(inference_graph(model)))
    assert [len(case.inputs[0]) for case in held.cases] == [1, 2, 7]
    for case in held.cases:
        (x,) = case.inputs
        exact = x.astype(np.float64) if x.dtype == np.float32 else x
        np.testing.assert_array_equal(case.truth[0], truth.run([exact])[0])
    (check,) = repeated(path)
    assert check.passed
    assert check.error == pytest.approx(receipt.report.outputs[0].error)
    assert check.budget == receipt.report.outputs[0].budget
    assert check.bound == "statistical"


@pytest.mark.slow
def test_numbers_that_differ_fail_with_figures_and_so_does_another_file(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    classifier().export(path, record=True)
    assert "Passed" in seqc("verify", path).stdout
    with_other_weights(path, 1.001)
    (check,) = repeated(path)
    assert not check.passed
    assert check.error > 10 * check.budget > 0
    failed = seqc("verify", path, code=1)
    assert "FAILED  the file that was verified: SHA-256" in failed.stdout
    assert "; the record is of" in failed.stdout
    assert f"largest error {check.error:.3g}, {check.budget:.3g} allowed" in failed.stdout
    told = seqc_json("verify", path, code=1)
    assert {c["name"]: c["passed"] for c in told["checks"]}["hash"] is False


def test_heads_have_bounds_of_their_own(tmp_path: Path) -> None:
    model, path = classifier(), tmp_path / "m.onnx"
    receipt = model.export(path, record=True, head="argmax")
    assert [check.bound for check in receipt.report.outputs] == ["exact"]
    assert "exact, against float64: nothing may differ" in str(receipt)
    assert all(check.passed for check in repeated(path))


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    beside = classifier().export(path, record=True).record
    with np.load(beside) as held:
        arrays = {name: held[name] for name in held.files}
    said = json.loads(str(arrays["record"]))
    changes: list[tuple[str, dict[str, Any]]] = [
        ("its arrays are not those", {"0/float64/0": arrays["0/float64/0"] + 1}),
        ("reads 1", {"record": np.array(json.dumps(said | {"format": 2}))}),
        ("or is damaged", {"record": np.array(json.dumps({"format": 1}))}),
        ("or is damaged", {"record": np.array([{}], dtype=object)}),
    ]
    for words, change in changes:
        with open(beside, "wb") as file:
            np.savez(file, **(arrays | change))
        with pytest.raises(DataError, match=words):
            records.read_record(beside)
    for content in (b"", b"PK\3\4" + b"\0" * 40, path.read_bytes()):
        Path(beside).write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            records.read_record(beside)
    with pytest.raises(DataError, match="no record"):
        records.read_record(tmp_path / "none.npz")


def test_a_record_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = classifier().export(tmp_path / "m.onnx", record=True).record
    monkeypatch.setattr(records, "MOST_READ", 100)
    with pytest.raises(DataError, match="too large"):
        records.read_record(beside)


def test_a_record_is_small_and_never_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MOST_BYTES", 0)
    beside = classifier().export(tmp_path / "m.onnx", record=True).record
    assert [len(case.inputs[0]) for case in records.read_record(beside).cases] == [1]


def test_a_record_needs_a_verification_and_a_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="verify=False"):
        classifier().export(tmp_path / "m.onnx", record=True, verify=False)
    (tmp_path / "m.onnx.verified.npz").mkdir()
    with pytest.raises(PathError, match="a folder"):
        classifier().export(tmp_path / "m.onnx", record=True)
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx.verified.npz"]


def test_a_file_and_its_record_are_both_new_or_both_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    classifier().export(path, record=True)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    real, written = os.fsync, []

    def full(handle: int) -> None:
        real(handle)
        written.append(handle)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    model = classifier()
    model.layers[-1].kernel.assign(model.layers[-1].kernel * 2)
    with pytest.raises(PathError, match="No space left"):
        model.export(path, record=True)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.slow
def test_the_same_model_gives_the_same_record_in_another_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from test_export_record import words\nimport seqc\nseqc.utils.set_random_seed(4)\n"
        "words().export(sys.argv[1], record=True)"
    )
    here = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.onnx"), *here], check=True, env=environment)
    keras.utils.set_random_seed(4)
    words().export(tmp_path / "b.onnx", record=True)
    for ending in ("onnx", "onnx.verified.npz"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()


def test_whole_numbers_that_rounding_decides_may_come_out_either_way(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    images = layers.Input((32, 32, 3), dtype="uint8", name="x")
    keras.Model(images, layers.Resizing(24, 24, name="y")(images)).export(path, record=True)
    assert all(check.passed for check in repeated(path))
    record = records.read_record(records.record_path(path))
    lowest, highest = record.cases[0].near[0]
    assert set(np.unique(highest - lowest)) == {0, 1}
    assert np.mean(highest > lowest) < 0.2
    strict = replace(record, cases=tuple(replace(case, near={}) for case in record.cases))
    assert not all(check.passed for check in records.repeat(strict, path.read_bytes(), CPU))


def limited() -> keras.Model:
    x = layers.Input((16,), name="x")
    y = layers.Dense(8, kernel_initializer=keras.initializers.RandomNormal(stddev=3.0), bias_initializer="ones")(x)
    return keras.Model(x, ops.cast(ops.round(ops.clip(y, 0, 5)), "int32"))


def pixels(layer: Any) -> keras.Model:
    x = layers.Input((20, 20, 3), dtype="uint8", name="x")
    return keras.Model(x, ops.cast(ops.clip(ops.round(ops.cast(layer(x), "float32")), 0, 255), "uint8"))


HALF_WHOLE: dict[str, Callable[[], keras.Model]] = {
    "limited": limited,
    "resized": lambda: pixels(layers.Resizing(16, 16)),
    "convolved": lambda: pixels(layers.Conv2D(3, 1, kernel_initializer=keras.initializers.Constant(0.25))),
}


@pytest.mark.parametrize("name", HALF_WHOLE)
@pytest.mark.parametrize("kind", ["Ceil", "Floor", "zeros"])
def test_whole_numbers_of_a_half_precision_file_are_checked(tmp_path: Path, name: str, kind: str) -> None:
    keras.utils.set_random_seed(3)
    model, path = HALF_WHOLE[name](), tmp_path / "m.onnx"
    model.export(path, precision="float16")
    model.export(path, precision="float16", record=True)
    assert all(check.passed for check in repeated(path))
    file = onnx.load(path)
    first = next(node for node in file.graph.node if node.op_type == "Round")
    if kind == "zeros":
        first.op_type = "Sub"
        first.input.append(first.input[0])
    else:
        first.op_type = kind
    record = records.read_record(records.record_path(path))
    (check,) = records.repeat(record, file.SerializeToString(), CPU)
    assert check.wrong.endswith("whole numbers")


@pytest.mark.slow
@pytest.mark.parametrize("version", old_runtime.VERSIONS)
def test_an_old_runtime_repeats_a_verification(version: str, tmp_path: Path) -> None:
    python = old_runtime.install(version)
    if isinstance(python, str):
        pytest.skip(python)
    path = tmp_path / "m.onnx"
    classifier().export(path, record=True)
    code = (
        "import sys\nfrom pathlib import Path\nfrom seqc.export.record import read_record, record_path, repeat\n"
        "path = Path(sys.argv[1])\n"
        "print([c.passed for c in repeat(read_record(record_path(path)), path.read_bytes(), ['CPUExecutionProvider'])])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([python, "-c", code, path], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[True]", done.stderr


# -- two files --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_file_in_half_precision_is_held_to_its_original(tmp_path: Path) -> None:
    original, half = tmp_path / "m.onnx", tmp_path / "half.onnx"
    classifier().export(original, record=True)
    classifier().export(half, precision="float16")
    told = seqc_json("verify", half, "--against", original)
    assert (told["passed"], told["budget"]) == (True, 0.01)
    assert told["inputs"] == "3 inputs of the record and 3 generated ones"
    assert 0 < told["outputs"][0]["error"] < 0.01 * told["outputs"][0]["scale"]
    strict = seqc("verify", half, "--against", original, "--budget", "1e-6", code=1)
    assert "FAILED: they are further apart than the budget." in strict.stdout
    with_other_weights(original, 1.5)
    seqc("verify", half, "--against", original, code=1)


@pytest.mark.slow
def test_a_quantized_file_is_held_to_its_original(tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    original, small = tmp_path / "m.onnx", tmp_path / "int8.onnx"
    classifier().export(original, record=True)
    quantize_dynamic(original, small, reduce_range=True)  # or sums of products overflow on processors without VNNI
    assert seqc_json("verify", small, "--against", original, "--budget", "0.05")["passed"]
    strict = seqc_json("verify", small, "--against", original, "--budget", "1e-5", code=1)
    assert not strict["passed"]
    assert strict["outputs"][0]["error"] > strict["outputs"][0]["budget"]


@pytest.mark.slow
def test_ends_are_paired_by_name_or_else_by_order(tmp_path: Path) -> None:
    a, b, other = (tmp_path / f"{name}.onnx" for name in ("a", "b", "other"))
    classifier().export(a)
    classifier().export(b, input_name="p", output_name="q")
    assert seqc_json("verify", b, "--against", a)["outputs"][0]["error"] == 0
    keras.Sequential([layers.Input((6,)), layers.Dense(4)]).export(other, output_name="y")
    failed = seqc("verify", other, "--against", a, code=1)
    assert "They have other outputs: y float32[batch, 4]; and b float32[batch, 3]." in failed.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--against", "x.keras", "--budget", "0.1"), "--budget is for --against FILE.onnx"),
        (("--against", "x.onnx", "--budget", "7"), "from 0 to 1"),
        (("--against", "x.onnx", "--weights", "w.keras"), "--weights are those of a model"),
        (("--against", "x.onnx", "--record", "r.npz"), "--record is for"),
    ],
)
def test_options_that_make_no_sense_together_are_refused(options: tuple[str, ...], words: str) -> None:
    failed = seqc("verify", "m.onnx", *options, code=2)
    assert words in " ".join(failed.stderr.split())


def test_cuda_is_asked_for_without_tf32_and_refused_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from seqc.backends import onnxruntime as backend
    from seqc.cli._runtime import Provider, providers

    monkeypatch.setattr(backend, "available_providers", lambda: CPU)
    classifier().export(tmp_path / "m.onnx")
    refused = seqc("verify", tmp_path / "m.onnx", "--provider", "cuda", code=2)
    assert "has CPUExecutionProvider only" in " ".join(refused.stderr.split())
    monkeypatch.setattr(backend, "available_providers", lambda: ["CUDAExecutionProvider", *CPU])
    assert providers(Provider.cuda) == [("CUDAExecutionProvider", {"use_tf32": "0"}), *CPU]
