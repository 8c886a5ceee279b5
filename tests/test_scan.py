"""Recurrent layers whose activations are no part of ONNX's operators: one Scan, whatever the length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit import consumers, onnx_models
from kit.layer_runs import trace_model
from seqc import layers, ops
from seqc.errors import NoGradientError
from seqc.export import compile_graph
from seqc.export.model import inference_graph

KINDS = {"lstm": layers.LSTM, "gru": layers.GRU, "simple_rnn": layers.SimpleRNN}
OPTIONS: dict[str, dict[str, Any]] = {
    "last": {},
    "sequences": {"return_sequences": True},
    "backwards": {"go_backwards": True},
    "backwards_sequences": {"go_backwards": True, "return_sequences": True},
    "zeros": {"return_sequences": True, "zero_output_for_mask": True},
    "zeros_last": {"zero_output_for_mask": True},
}


def samples() -> np.ndarray:
    """Rows without a masked step, with the last ones, the first ones, some between, and all masked."""
    x = np.random.default_rng(2).normal(size=(5, 6, 3)).astype("float32")
    x[1, 3:] = x[2, :2] = x[3, 1:5:2] = x[4] = 0
    return x


def stack(layer: Any, time: int | None, masked: bool) -> keras.Sequential:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((time, 3)), *([layers.Masking()] if masked else []), layer])
    for variable in model.weights:
        if variable.name == "bias":
            variable.assign(np.random.default_rng(4).normal(0, 0.3, variable.shape).astype("float32"))
    return model


@pytest.mark.one_in(5)
@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_computes_what_the_unrolled_steps_do(kind: str, options: str, masked: bool) -> None:
    x = samples()

    def make() -> Any:
        return KINDS[kind](4, activation="silu", **OPTIONS[options])

    unrolled = trace_model(stack(make(), 6, masked), (None, 6, 3), "float32", training=True)
    (expected,) = unrolled.run([unrolled.y], x)
    free = stack(make(), None, masked)
    np.testing.assert_allclose(free.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    for opset in (13, 18, 21):
        model = compile_graph(inference_graph(free), opset=opset)
        np.testing.assert_allclose(consumers.onnxruntime(onnx_models.content(model), x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Bidirectional(layers.GRU(3, activation="gelu", return_sequences=True)),
        lambda: layers.Bidirectional(layers.LSTM(3, activation="mish"), merge_mode="sum"),
        lambda: layers.GRU(3, activation="silu", reset_after=False),
        lambda: layers.LSTM(3, recurrent_activation="hard_silu", use_bias=False),
        lambda: layers.SimpleRNN(3, activation=lambda v: ops.sin(v) * 0.5),
    ],
)
def test_the_file_is_verified_at_any_length(layer: Any, tmp_path: Path) -> None:
    receipt = stack(layer(), None, True).export(tmp_path / "m.onnx")
    assert receipt.report.passed
    assert receipt.nodes["Scan"] in (1, 2)


def test_the_nodes_do_not_grow_with_the_steps() -> None:
    counts = [
        len(compile_graph(inference_graph(stack(layers.LSTM(4, activation="gelu"), n, False))).graph.node)
        for n in (6, 200)
    ]
    assert counts[0] == counts[1] <= 10


def test_a_state_that_is_given_goes_into_the_scan(tmp_path: Path) -> None:
    class Started(layers.Layer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.rnn = layers.GRU(3, activation="silu")

        def call(self, x: Any) -> Any:
            return self.rnn(x, initial_state=ops.tanh(x[:, 0, :]))

    model = stack(Started(), 6, False)
    unrolled = trace_model(model, (None, 6, 3), "float32", training=True)
    (expected,) = unrolled.run([unrolled.y], samples())
    np.testing.assert_allclose(model.predict(samples(), verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.export(tmp_path / "m.onnx")


@pytest.mark.slow
def test_training_needs_the_number_of_steps_and_inference_does_not() -> None:
    free, x = stack(layers.GRU(2, activation="silu"), None, False), samples()
    free.compile("sgd", "mse")
    assert free.predict(x, verbose=0).shape == (5, 2)
    assert np.isfinite(free.evaluate(x, np.zeros((5, 2)), verbose=0))
    fixed = stack(layers.GRU(2, activation="silu"), 6, False)
    fixed.compile("sgd", "mse")
    before = fixed.evaluate(x, np.zeros((5, 2)), verbose=0)
    fixed.fit(x, np.zeros((5, 2)), epochs=3, verbose=0)
    assert fixed.evaluate(x, np.zeros((5, 2)), verbose=0) < before


def test_a_scan_says_that_it_has_no_gradient() -> None:
    from seqc.graph.autodiff import pull_back
    from seqc.graph.ir import input_value

    traced = trace_model(stack(layers.GRU(2, activation="silu"), 6, False), (None, 6, 3), "float32", training=False)
    dy = input_value("dy", "float32", traced.y.type.shape)
    with pytest.raises(NoGradientError, match="run step by step in training"):
        pull_back([traced.y], [dy], [traced.x])


def test_the_operations_of_a_scan_are_counted_once_per_step() -> None:
    from seqc.analysis import describe_layers

    flops: dict[int, Any] = {
        n: describe_layers(stack(layers.LSTM(4, activation="silu"), n, False))[0].flops for n in (6, 12)
    }
    one = describe_layers(stack(layers.LSTM(4), 6, False))[0].flops
    assert flops[12] == 2 * flops[6]
    assert one is not None
    assert 0.8 * one < flops[6] < 1.5 * one


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
def test_outputs_of_a_scan_need_not_be_like_a_state(options: str, tmp_path: Path) -> None:
    class Wide(layers.Layer):
        """A cell whose output is wider than its state."""

        state_size, output_size = 3, 4

        def call(self, x: Any, states: Any) -> tuple[Any, list[Any]]:
            new = ops.tanh(states[0] * 0.5 + x)
            return ops.concatenate([new, x[:, :1]], -1), [new]

    def make() -> Any:
        return layers.RNN(Wide(), **OPTIONS[options])

    unrolled = trace_model(stack(make(), 6, True), (None, 6, 3), "float32", training=True)
    (expected,) = unrolled.run([unrolled.y], samples())
    free = stack(make(), None, True)
    np.testing.assert_allclose(free.predict(samples(), verbose=0), expected, rtol=1e-5, atol=1e-6)
    assert free.export(tmp_path / "m.onnx").report.passed
