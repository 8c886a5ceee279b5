"""What quantization reads and writes: samples by name, texts, old files, weights beside them, the log, and metadata."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import seqc as keras
from kit.quantizing import digits, faster, quantize, run
from seqc import layers
from seqc.errors import ConfigError, DataError, PathError
from seqc.export.quantization.graphs import read_float_model
from seqc.export.quantization.log import TrialLog
from seqc.export.quantization.samples import read_samples
from seqc.export.quantization.settings import Settings


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A model with its weights beside it, and what it says of its training."""
    model = keras.Sequential([keras.Input((64,)), layers.Dense(96, "relu"), layers.Dense(10, "softmax")])
    model.export(tmp_path / "m.onnx", external_data=True, describe=True, verify=False)
    return tmp_path / "m.onnx"


# -- samples -----------------------------------------------------------------------------------------------------------


def test_texts_are_read_whatever_holds_them(tmp_path: Path) -> None:
    words = keras.Input((3,), dtype="string", name="w")
    numbers = layers.StringLookup(vocabulary=["a", "ü"])(words)
    model = keras.Model(words, layers.Dense(4)(layers.Flatten()(layers.Embedding(4, 8)(numbers))))
    model.export(tmp_path / "m.onnx", verify=False)
    given = np.random.default_rng(0).choice(["a", "ü", "zz"], (40, 3))
    encoded = np.char.encode(given, "utf-8")
    wanted = None
    for x in (given, given.astype(object), encoded, encoded.astype(object)):
        found = read_samples(read_float_model(tmp_path / "m.onnx"), x, None, Settings(max_drop=0.2))
        wanted = found if wanted is None else wanted
        assert found.tested["w"].tolist() == wanted.tested["w"].tolist()
        assert found.digest == wanted.digest
        assert set(found.tested["w"].flat) == {"a", "ü", "zz"}
    for bad, message in ((np.full((40, 3), b"\xff"), "no UTF-8"), (np.full((40, 3), 1.5, object), "something else")):
        with pytest.raises(DataError, match=message):
            read_samples(read_float_model(tmp_path / "m.onnx"), bad, None, Settings(max_drop=0.2))


def test_x_is_the_only_input_also_where_an_output_is_called_so(tmp_path: Path, rng: Any) -> None:
    image = keras.Input((5,), name="image")
    keras.Model(image, layers.Dense(3, name="x")(image)).export(tmp_path / "m.onnx", verify=False)
    model, x, y = read_float_model(tmp_path / "m.onnx"), rng.standard_normal((400, 5)), np.arange(400) % 3
    for given, labels in (({"x": x}, []), ({"x": x, "y": y}, ["x"]), ({"image": x, "x": y}, ["x"])):
        found = read_samples(model, given, None, Settings())
        assert found.tested["image"].shape == (300, 5)
        assert list(found.labels) == labels


# -- files that are read -----------------------------------------------------------------------------------------------


def test_weights_of_an_old_file_are_no_inputs(tmp_path: Path, rng: Any) -> None:
    weight = numpy_helper.from_array(rng.standard_normal((64, 64)).astype("float32"), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 64]) for name in "xy")
    given = helper.make_tensor_value_info("w", TensorProto.FLOAT, [64, 64])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], "d")], "g", [x, given], [y], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=3), tmp_path / "m.onnx")
    data = rng.standard_normal((200, 64)).astype("float32")
    result = quantize(tmp_path / "m.onnx", tmp_path / "q.onnx", data, purpose="size", max_drop=0.1, latency=faster)
    assert result.chosen is not None
    before, after = (run(tmp_path / name, x=data)[0] for name in ("m.onnx", "q.onnx"))
    assert 0 < np.linalg.norm(after - before) < 0.1 * np.linalg.norm(before)


def test_weights_that_are_missing_are_named(pair: Path, tmp_path: Path) -> None:
    (data,) = tmp_path.glob("*.data")
    data.unlink()
    with pytest.raises(DataError, match=rf"keeps weights in '{data.name}', which is missing: put that file beside"):
        quantize(pair, tmp_path / "q.onnx", digits()[0], latency=faster)


# -- files that are written --------------------------------------------------------------------------------------------


def test_the_float_model_keeps_its_weights_and_the_new_file_says_nothing_of_them(pair: Path, tmp_path: Path) -> None:
    shutil.copy(pair, tmp_path / "float.onnx")
    x, _ = digits()
    quantize(tmp_path / "float.onnx", pair, x, purpose="size", max_drop=0.2, latency=faster)
    assert len([*tmp_path.glob("*.data")]) == 1
    onnxruntime.InferenceSession(tmp_path / "float.onnx")
    said = {p.key: p.value for p in onnx.load(pair).metadata_props}
    assert "seqc.quantized" in said
    assert "seqc.data_sha256" not in said
    assert json.loads(said["seqc.training"]) == {"compiled": None, "steps": None}


def test_a_log_that_is_something_else_is_left_alone(pair: Path, tmp_path: Path) -> None:
    before = pair.read_bytes()
    with pytest.raises(ConfigError, match="is the file that is read. Give another name for the log"):
        quantize(pair, tmp_path / "q.onnx", digits()[0], log=pair, latency=faster)
    assert pair.read_bytes() == before
    log = tmp_path / "log"
    for content in (before, b"a note\n", b"{}\n"):
        log.write_bytes(content)
        with pytest.raises(PathError, match="no log of trials"):
            TrialLog(log)
    for content in (b"", b'{"ke', b'{"key": "12'):  # of a run that ended in its first line
        log.write_bytes(content)
        TrialLog(log).add("a", {"x": 1})
        assert TrialLog(log).find("a") == {"x": 1}
