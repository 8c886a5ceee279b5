"""Files in float16 and float64: what they compute, against NumPy in double precision, and what they leave alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from kit import golden_models
from kit.cli_models import seqc_json
from seqc import Input, Model, Sequential, layers, ops, utils
from seqc.errors import ArgumentTypeError, ConfigError, ExportError, VerificationError
from seqc.export.model import inference_graph
from seqc.graph.interpreter import Interpreter
from seqc.passes.lower_precision import rounded
from seqc.passes.precision import promote_floats

SOME = ("mlp", "lenet", "mobile", "gru", "masked_lstm", "embedding", "conv_lstm1d", "prelu", "layer_norm", "resizing")


def truth(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(Interpreter(promote_floats(inference_graph(model))).run([x])[0])


def run(path: Path, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {session.get_inputs()[0].name: x})[0]
    return result


def halves(path: Path) -> dict[str, np.ndarray]:
    weights = onnx.load(path).graph.initializer
    return {t.name: numpy_helper.to_array(t) for t in weights if t.data_type == TensorProto.FLOAT16}


@pytest.mark.parametrize(
    "golden",
    [
        pytest.param(g, id=g.name, marks=[] if g.name in SOME else [pytest.mark.slow])
        for g in golden_models.ALL
    ],
)  # fmt: skip
def test_every_model_goes_to_half_precision_between_ends_of_float32(golden: Any, tmp_path: Path) -> None:
    model = golden.model()
    receipt = model.export(tmp_path / "m.onnx", precision="float16", opset=20)
    assert "float16" not in {port.dtype for port in (*receipt.inputs, *receipt.outputs)}
    worst = receipt.report.worst
    # 2**-11 is one rounding of float16; a model of a few layers makes some tens of it.
    assert worst.error <= worst.budget <= 0.06 * max(worst.scale, 1e-3)


def test_half_precision_takes_half_the_bytes_and_is_as_near_as_it_can_be(tmp_path: Path) -> None:
    utils.set_random_seed(1)
    model = Sequential([Input((12, 16)), layers.Conv1D(64, 3, activation="relu"), layers.LSTM(48), layers.Dense(10)])
    sizes = {p: model.export(tmp_path / f"{p}.onnx", precision=p).file_bytes for p in ("float32", "float16")}
    assert sizes["float16"] < 0.56 * sizes["float32"]
    x = np.random.default_rng(0).normal(size=(32, 12, 16)).astype("f")
    want = truth(model, x.astype("d"))
    error = {p: np.abs(run(tmp_path / f"{p}.onnx", x) - want).max() / np.abs(want).max() for p in sizes}
    assert error["float32"] < 1e-6 < error["float16"] < 4e-3


def test_a_rounded_graph_computes_what_the_file_does(tmp_path: Path) -> None:
    from seqc.export import compile_with_names
    from seqc.export.target import onnx_target

    utils.set_random_seed(1)
    model = Sequential([Input((9,)), layers.Dense(16, "relu"), layers.Dense(16, "tanh"), layers.Dense(4, "softmax")])
    emission = compile_with_names(inference_graph(model), onnx_target(18), kept_single=())
    x = np.random.default_rng(0).normal(size=(64, 9)).astype("f")
    simulated = Interpreter(rounded(emission.graph)).run([x])[0]
    exact = Interpreter(emission.graph).run([x])[0]
    want = truth(model, x.astype("d"))
    loss = np.abs(exact - want).max()
    # The errors are those of half precision, made at the same places.
    assert 1e-5 < loss < 3e-3
    assert np.abs(simulated - exact).max() < 0.6 * loss


def test_layers_stay_in_float32_where_that_is_asked(tmp_path: Path) -> None:
    x = Input((6,))
    h = layers.Dense(7, name="first")(x)
    model = Model(x, layers.Dense(8, name="second")(h))
    model.export(tmp_path / "m.onnx", precision="float16", float32_layers=["second"])
    assert {name.split("/")[0] for name in halves(tmp_path / "m.onnx")} == {"first"}
    model.save(tmp_path / "m.keras")
    told = seqc_json("verify", tmp_path / "m.onnx", "--against", tmp_path / "m.keras")
    assert told["passed"]


def test_weights_and_numbers_that_float16_does_not_hold(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layers.Dense(3, "relu", name="huge"), layers.Dense(2, name="small")])
    model.layers[1].kernel.assign(np.full((3, 2), 1e-5, "f"))
    model.layers[0].kernel.assign(np.full((4, 3), 1e5, "f"))
    model.export(tmp_path / "m.onnx", precision="float16", float32_layers=["small"])
    assert "huge/kernel" not in halves(tmp_path / "m.onnx")
    model.layers[0].kernel.assign(np.full((4, 3), 6e4, "f"))
    with pytest.raises(VerificationError, match=r"Layer 'huge' has numbers beyond 65504.*float32_layers=\['huge'"):
        model.export(tmp_path / "n.onnx", precision="float16")
    assert not (tmp_path / "n.onnx").exists()
    model.export(tmp_path / "n.onnx", precision="float16", float32_layers=["huge", "small"])


def scaled(factor: float) -> Model:
    """A model whose last kernel is so small."""
    model = Sequential([Input((4,)), layers.Dense(8, "tanh"), layers.Dense(3, use_bias=False, name="last")])
    last = model.layers[1].kernel
    last.assign(last.numpy() * np.float32(factor))
    return model


TINY: dict[str, Callable[[], Model]] = {
    "kernel": lambda: scaled(1e-9),
    "less than its smallest": lambda: scaled(1e-6),
    "factor": lambda: Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Dense(3), layers.Rescaling(1e-9)]),
    "factor behind what is no product": lambda: Sequential(
        [Input((4,)), layers.Dense(8), layers.Activation("relu"), layers.Rescaling(1e-8)]
    ),
    "factor and back": lambda: Sequential(
        [Input((4,)), layers.Dense(8), layers.Rescaling(1e-8), layers.Activation("relu"), layers.Rescaling(1e8)]
    ),
    "addend": lambda: Sequential([Input((4,)), layers.Dense(8, "relu"), layers.Lambda(lambda x: ops.log(x + 1e-8))]),
    "limit": lambda: Sequential(
        [Input((4,)), layers.Dense(8, "relu"), layers.Lambda(lambda x: ops.log(ops.maximum(x, 1e-8)))]
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_numbers_too_small_for_float16_stay_in_float32(name: str, tmp_path: Path) -> None:
    utils.set_random_seed(1)
    model = TINY[name]()
    model.export(tmp_path / "m.onnx", precision="float16")
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("f")
    want = truth(model, x.astype("d"))
    assert np.abs(run(tmp_path / "m.onnx", x) - want).max() < 4e-3 * np.abs(want).max()


def test_some_tiny_weights_and_biases_beside_large_ones_are_no_loss(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layers.Dense(8, name="one"), layers.Dense(3, name="two")])
    kernel = model.layers[0].kernel.numpy()
    kernel[:2] = 1e-9
    model.layers[0].kernel.assign(kernel)
    model.layers[0].bias.assign(np.full(8, 1e-7, "f"))
    model.export(tmp_path / "m.onnx", precision="float16")
    assert {"one/kernel", "two/kernel"} <= set(halves(tmp_path / "m.onnx"))


def test_an_output_of_which_float16_leaves_nothing_is_refused(tmp_path: Path) -> None:
    utils.set_random_seed(1)
    model = Sequential([Input((4,)), layers.Dense(8), layers.Activation("softsign", name="softsign"), layers.Dense(3)])
    model.layers[0].kernel.assign(model.layers[0].kernel.numpy() * np.float32(1e-9))
    with pytest.raises(
        VerificationError, match=r"may be off by .*Layer 'softsign' has numbers so small.*\['softsign', "
    ):
        model.export(tmp_path / "m.onnx", precision="float16")
    assert not (tmp_path / "m.onnx").exists()
    model.export(tmp_path / "m.onnx", precision="float16", float32_layers=[layer.name for layer in model.layers])


DECISIONS: dict[str, Callable[[Any], Any]] = {
    "one_hot of argmax": lambda y: ops.one_hot(ops.argmax(y, -1), 16),
    "sign": ops.sign,
    "where": lambda y: ops.where(y > 0, 1.0, 0.0),
    "is largest": lambda y: ops.cast(ops.equal(y, ops.max(y, -1, keepdims=True)), "float32"),
}


@pytest.mark.parametrize("name", DECISIONS)
def test_decisions_that_fall_otherwise_in_float16_here_and_there_are_no_loss(name: str, tmp_path: Path) -> None:
    utils.set_random_seed(4)
    x = Input((64,))
    model = Model(x, DECISIONS[name](layers.Dense(16)(x)))
    model.export(tmp_path / "m.onnx", precision="float16")


def test_half_precision_meets_heads_types_and_layouts(tmp_path: Path) -> None:
    utils.set_random_seed(2)
    model = Sequential([Input((6, 6, 3)), layers.Conv2D(8, 3), layers.GlobalMaxPooling2D(), layers.Dense(4, "softmax")])
    receipt = model.export(
        tmp_path / "m.onnx",
        precision="float16",
        head="top_k:2",
        input_dtype="uint8",
        rescale=1 / 255,
        channels_first_input=True,
        sizes={"batch": 5},
    )
    assert [port.dtype for port in (*receipt.inputs, *receipt.outputs)] == ["uint8", "float32", "int64"]
    x = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)
    scores = np.sort(truth(model, x / 255.0), -1)[:, :-3:-1]
    np.testing.assert_allclose(run(tmp_path / "m.onnx", np.moveaxis(x, -1, 1)), scores, atol=2e-3)


def test_double_precision_is_double_throughout(tmp_path: Path) -> None:
    utils.set_random_seed(2)
    model = Sequential([Input((5,)), layers.Dense(6, "tanh"), layers.BatchNormalization(), layers.Dense(3, "softmax")])
    receipt = model.export(tmp_path / "m.onnx", precision="float64")
    assert {port.dtype for port in (*receipt.inputs, *receipt.outputs)} == {"float64"}
    x = np.random.default_rng(0).normal(size=(7, 5))
    np.testing.assert_allclose(run(tmp_path / "m.onnx", x), truth(model, x), rtol=0, atol=1e-15)
    model.save(tmp_path / "m.keras")
    assert seqc_json("verify", tmp_path / "m.onnx", "--against", tmp_path / "m.keras")["passed"]
    with pytest.raises(ExportError, match=r"Conv.*conv"):
        Sequential([Input((5, 2)), layers.Conv1D(3, 2, name="conv")]).export(tmp_path / "n.onnx", precision="float64")
    assert not (tmp_path / "n.onnx").exists()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"precision": "bfloat16"}, ExportError, "nothing could be verified"),
        ({"precision": "half"}, ConfigError, "'float32', 'float16' or 'float64'"),
        ({"float32_layers": ["dense"]}, ConfigError, "nothing by itself"),
        ({"precision": "float16", "float32_layers": "dense"}, ArgumentTypeError, "in a list"),
        ({"precision": "float16", "float32_layers": ["no"]}, ConfigError, "the model has only"),
    ],
)
def test_precisions_that_there_are_not(tmp_path: Path, options: dict[str, Any], error: type, words: str) -> None:
    model = Sequential([Input((4,)), layers.Dense(3, name="only")])
    with pytest.raises(error, match=words):
        model.export(tmp_path / "m.onnx", **options)
