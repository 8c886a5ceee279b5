"""Our files in other programs: simplifiers, quantizers, converters to half precision, OpenVINO, OpenCV, old runtimes.

Each must take a file as it is and compute the truth. What a program lacks is listed here, by the words it refuses with.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from kit import consumers, merge_runs, old_runtime, onnx_models
from kit.effort import turn
from kit.golden_models import ALL, Golden
from seqc import Input, Sequential, layers, ops
from seqc.export import compile_graph
from seqc.export.model import inference_graph
from seqc.graph.ir import Value
from seqc.known_classes import classes

NAMED = {g.name: g for g in ALL}
# What each needs beside onnxruntime.
PACKAGES = {
    "openvino": "openvino", "opencv": "cv2", "quant_pre_process": "sympy", "quantize_dynamic": "sympy",
    "onnxsim": "onnxsim", "onnxslim": "onnxslim", "float16_common": "onnxconverter_common",
}  # fmt: skip
# How far from the truth a program may be that rounds on purpose.
TOLERANCE = {"float16": 0.01, "float16_common": 0.01, "quantize_dynamic": 0.15}
_NO_RNN = {name: r"[Cc]an't create layer|Axis must be 0" for name in NAMED if "simple_rnn" in name}
_NO_SCAN = dict.fromkeys(("lstm_gelu", "lstm_gelu_free", "masked_gru_silu", "masked_both_mish"), r"parse error")
# Nor does OpenCV know every layer of volumes.
_NO_VOLUMES = {
    "volumes_free": r"pads_begin", "transposed3d": r"resize2_layer", "adaptive3d": r"Sizes of input arguments",
    "conv_lstm1d": r"parse error", "conv_lstm2d": r"parse error", "conv_lstm3d": r"parse error",
}  # fmt: skip
_NO_SHAPES = {
    "colors": "'NoneType' object is not iterable",
    **dict.fromkeys(("sounds", "tiles"), "type 'NoneType' has no len"),
}
UNNEEDED = ("quant_pre_process", "quantize_dynamic")
LACKING: dict[str, dict[str, str]] = {
    "openvino": {"lstm_relu": "Unsupported activation function", "tokens": r"ai\.onnx\.ml\.LabelEncoder"},
    "opencv": {
        "tokens": r"ai\.onnx\.ml\.LabelEncoder",
        "sounds": r"buf\.shape\(\) == m\.shape\(\)",
        "lstm_relu": r"Activation function \[HardSigmoid\]",
        **_NO_RNN,
        **_NO_SCAN,
        **_NO_VOLUMES,
    },
    # onnxruntime adds no numbers of half precision at places.
    "float16": {"tiles": "MLFloat16 data type is not supported"},
    # Of integers it makes the output of a Cast half precision, and leaves what the Cast says.
    "float16_common": {"tiles": "MLFloat16 data type is not supported", "integers": "does not match expected type"},
    # Their symbolic inference of shapes hands constants to onnx for an Unsqueeze alone, so that of a ReduceMax or
    # ReduceMin whose axes are an input no shape is left, and does not read it from the file; without it
    # (skip_symbolic_shape=True) they run.
    "quant_pre_process": _NO_SHAPES,
    "quantize_dynamic": _NO_SHAPES,
}
# Each program reads a quarter of the models and those that it lacks something for; each model goes to some programs.
MET = [
    pytest.param(name, golden, id=f"{name}-{golden.name}")
    for number, name in enumerate(consumers.CONSUMERS)
    for golden in ALL
    if golden in turn(ALL, number, 4) or golden.name in LACKING.get(name, {})
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "golden"), MET)
def test_other_programs_compute_the_truth(name: str, golden: Golden, capfd: pytest.CaptureFixture[str]) -> None:
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    # Quantized numbers have no NaN, which the mean of no steps is.
    x, lacking = golden.samples(4 if name == "quantize_dynamic" else 5), LACKING.get(name, {})
    content = golden.portable if name in ("openvino", "opencv") else golden.content
    if name in UNNEEDED and golden.name in _NO_SHAPES:
        # A file that says all shapes needs no inference of them.
        golden.check(x, consumers.CONSUMERS[name](golden.content, x, symbolic=False), TOLERANCE.get(name, 1e-5))
    if golden.name in lacking:
        with pytest.raises(Exception, match=lacking[golden.name]):
            consumers.CONSUMERS[name](content, x)
        return
    golden.check(x, consumers.CONSUMERS[name](content, x), TOLERANCE.get(name, 1e-5))


@pytest.mark.slow
def test_every_layer_is_among_the_golden_models() -> None:
    inside = {"InputLayer", "Sequential", "GRUCell", "LSTMCell", "SimpleRNNCell"}
    used = {type(layer).__name__ for g in ALL for layer in _all_layers(g.model().layers)}
    # Those of strings are in test_string_layers.py: few other programs take any.
    of_strings = {"Hashing", "StringLookup", "TextVectorization"}
    # The golden models are Sequential. What a Lambda does is what its function does.
    others = inside | merge_runs.CLASSES | of_strings | {"Lambda"}
    assert {name for name in classes("layers") if name not in others} - used == set()


def _all_layers(found: list[Any]) -> Iterator[Any]:
    for layer in found:
        yield layer
        inside = [getattr(layer, name) for name in ("layer", "cell") if hasattr(layer, name)]
        yield from _all_layers([*inside, *getattr(layer, "layers", [])])


@pytest.mark.slow
@pytest.mark.parametrize("version", old_runtime.VERSIONS)
def test_old_runtimes_load_golden_models_and_agree(version: str, tmp_path: Path) -> None:
    python = old_runtime.install(version)
    if isinstance(python, str):
        pytest.skip(python)
    chosen = turn(ALL, list(old_runtime.VERSIONS).index(version), 3)
    inputs = {g.name: g.samples() for g in chosen}
    for golden in chosen:
        (tmp_path / f"{golden.name}.onnx").write_bytes(golden.content)
        np.save(tmp_path / f"{golden.name}.x.npy", inputs[golden.name])
    assert old_runtime.run(python, tmp_path) == version
    for golden in chosen:
        golden.check(inputs[golden.name], np.load(tmp_path / f"{golden.name}.y.npy"))


@pytest.mark.parametrize("golden", [g for g in ALL if "masked" in g.name], ids=lambda g: g.name)
def test_a_program_that_does_not_look_at_lengths_computes_masked_models_right(golden: Golden) -> None:
    model = onnx.load_from_string(golden.portable)
    recurrent = [node for node in model.graph.node if node.op_type in ("GRU", "LSTM", "RNN")]
    for node in recurrent:
        node.input[4] = ""
    read = {name for node in model.graph.node for name in node.input} | {y.name for y in model.graph.output}
    assert not any(name in read for node in recurrent for name in node.output[1:])
    x = golden.samples()
    golden.check(x, consumers.onnxruntime(onnx_models.content(model), x))


class Attended(layers.Layer):
    """Reduces along an axis by what takes axes as an input since opset 18."""

    def call(self, x: Value) -> Value:
        e = ops.exp(x - ops.max(x, axis=1, keepdims=True))
        return ops.prod(e / ops.sum(e, axis=1, keepdims=True) + 1.0, axis=2)


@pytest.mark.slow
def test_a_maximum_of_the_authors_passes_the_quantizer_at_opset_17() -> None:
    importlib.import_module("onnxruntime")
    pytest.importorskip("sympy")
    graph = inference_graph(Sequential([Input((4, 3)), Attended()]))
    x = np.linspace(-1, 1, 24, dtype="float32").reshape(2, 4, 3)
    content = onnx_models.content(compile_graph(graph, opset=17))
    expected = consumers.onnxruntime(content, x)
    np.testing.assert_allclose(consumers.quant_pre_process(content, x), expected, rtol=1e-6)
