"""Convolutional LSTMs beyond what Keras recorded: in files, with states that are kept, with dropout, and refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ShapeError
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph
from seqc.graph.tracing import Trace, tracing
from seqc.layers._conv_cells import ConvLSTMCell1D


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def body_of(path: Path) -> Counter[str]:
    (scan,) = (node for node in onnx.load(path).graph.node if node.op_type == "Scan")
    (body,) = (a.g for a in scan.attribute if a.name == "body")
    return Counter(node.op_type for node in body.node)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "space"),
    [
        (layers.ConvLSTM1D(3, 2, strides=2, padding="same", return_sequences=True), (5,)),
        (layers.ConvLSTM2D(3, (2, 3), return_sequences=True, go_backwards=True), (4, 5)),
        (layers.ConvLSTM2D(3, 2, data_format="channels_first"), (4, 5)),
        (layers.ConvLSTM3D(2, 2, padding="same", activation="gelu"), (3, 2, 3)),
    ],
)
def test_a_file_runs_any_number_of_steps_and_moves_no_axes_in_them(
    layer: Any, space: tuple[int, ...], tmp_path: Path
) -> None:
    first = layer.data_format == "channels_first"
    sample = (2, *space) if first else (*space, 2)
    model = keras.Sequential([keras.Input((None, *sample)), layer])
    model.export(tmp_path / "m.onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for batch, steps in ((1, 1), (3, 4), (2, 7)):
        x = numbers(batch, steps, *sample)
        (found,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(found, model.predict(x, verbose=0), atol=2e-6)
    body = body_of(tmp_path / "m.onnx")
    assert body["Conv"] == 1
    assert "Transpose" not in body


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_states_that_are_kept_go_on_where_the_batch_before_ended(data_format: str) -> None:
    sample = (4, 3, 2) if data_format == "channels_last" else (2, 4, 3)
    x = numbers(2, 6, *sample)
    whole = keras.Sequential([keras.Input((6, *sample)), layers.ConvLSTM2D(3, 2, data_format=data_format)])
    kept = keras.Sequential(
        [
            keras.Input(batch_shape=(2, 2, *sample)),
            layers.ConvLSTM2D(3, 2, data_format=data_format, stateful=True),
        ]
    )
    kept.set_weights(whole.get_weights())
    wanted = whole.predict(x, verbose=0)
    for _ in range(2):
        found = [kept.predict(x[:, t : t + 2], batch_size=2, verbose=0) for t in (0, 2, 4)]
        np.testing.assert_allclose(found[-1], wanted, atol=1e-6)
        assert kept.layers[0].states[0].shape == wanted.shape
        kept.layers[0].reset_states()


def test_dropout_of_the_input_is_the_gates_own_and_alike_in_all_steps() -> None:
    cell = ConvLSTMCell1D(1, 1, kernel_initializer="ones", use_bias=False, dropout=0.5)
    trace = Trace(training=True)
    with tracing(trace):
        cell.build((None, 50, 1))
        z = cell.gates_of(ops.ones((40, 3, 50, 1)), training=True, learning=True)
    graph = Graph((trace.seed, trace.step, *trace.reads.values()), (z,), ("z",))
    (found,) = Interpreter(graph).run([np.array(3, np.int64), np.array(1, np.int64), *(v.array for v in trace.reads)])
    assert set(np.unique(found)) == {0.0, 2.0}
    assert (found == found[:, :1]).all()
    kept = found[:, 0] > 0
    for i in range(4):
        assert abs(kept[..., i].mean() - 0.5) < 0.05
        for j in range(i):
            assert abs((kept[..., i] == kept[..., j]).mean() - 0.5) < 0.05


@pytest.mark.slow
def test_it_trains_with_dropout_alike_on_every_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    def losses() -> list[float]:
        keras.utils.set_random_seed(4)
        model = keras.Sequential(
            [
                keras.Input((3, 4, 4, 1)),
                layers.ConvLSTM2D(3, 2, dropout=0.2, recurrent_dropout=0.2),
                layers.Flatten(),
                layers.Dense(1),
            ]
        )
        model.compile(keras.optimizers.Adam(0.03), "mse")
        x = numbers(32, 3, 4, 4, 1)
        y = x[:, -1, :2].mean((1, 2)) - x[:, 0].mean((1, 2))
        return list(model.fit(x, y, epochs=10, batch_size=8, verbose=0).history["loss"])

    found = losses()
    assert found[-1] < found[0] / 2
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    np.testing.assert_allclose(losses(), found, rtol=1e-3)


def test_what_keras_takes_without_a_name_is_kept_in_the_configuration() -> None:
    layer = layers.ConvLSTM1D(2, 2, zero_output_for_mask=True, name="q")
    config = layer.get_config()
    assert config["zero_output_for_mask"] is True
    assert layers.ConvLSTM1D.from_config(config).get_config() == config


@pytest.mark.slow
def test_sizes_must_be_known() -> None:
    with pytest.raises(ShapeError, match="only support static input shapes for the spatial dimension"):
        keras.Sequential([keras.Input((3, None, 4, 2)), layers.ConvLSTM2D(3, 2)])
    model = keras.Sequential([keras.Input((None, 4, 4, 2)), layers.ConvLSTM2D(3, 2), layers.GlobalMaxPooling2D()])
    model.compile("sgd", "mse")
    assert model.fit(numbers(4, 3, 4, 4, 2), numbers(4, 3), verbose=0).history["loss"]
