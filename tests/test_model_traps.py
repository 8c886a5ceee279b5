"""What broke other exporters, at the level of whole models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seqc as keras
from kit.graph_runs import step_file
from seqc import layers
from seqc.errors import DataError, ExportError
from seqc.training.data import make_data
from seqc.training.step import Signature, train_step

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def twins() -> keras.Sequential:
    """Two nested models whose layers have the same names."""
    parts = [keras.Sequential([layers.Dense(3, "tanh", name="dense")], name=name) for name in ("first", "second")]
    return keras.Sequential([keras.Input((3,)), *parts, layers.Dense(2, name="dense")])


def test_layers_of_one_name_in_nested_models_keep_their_own_weights(tmp_path: Path, rng: np.random.Generator) -> None:
    model = twins()
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    x = rng.normal(size=(5, 3)).astype("float32")
    model.export(tmp_path / "twins.onnx")
    proto = onnx.load(tmp_path / "twins.onnx")
    assert len({tensor.name for tensor in proto.graph.initializer}) == 6
    expected = x
    for kernel, bias in zip(*[iter(model.get_weights())] * 2, strict=True):
        expected = expected @ kernel + bias
        expected = np.tanh(expected) if kernel.shape[1] == 3 else expected
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)


def test_a_training_step_names_each_weight_once() -> None:
    model = twins()
    model.compile("sgd", "mse")
    data = make_data([np.ones((4, 3))], [np.ones((4, 2))], [None])
    assert model.compiled
    step = train_step(model, Signature.of(data.rows(slice(None))))
    assert len(set(step.graph.input_names)) == len(step.graph.input_names)
    assert len(set(step.graph.output_names)) == len(step.graph.output_names)
    step_file(step.graph)


def test_a_stateful_layer_is_not_exported_as_a_stateless_one() -> None:
    model = keras.Sequential([keras.Input((3, 2), batch_size=4), layers.LSTM(2, stateful=True)])
    with pytest.raises(ExportError, match="stateful"):
        model.export("model.onnx")


def test_a_failed_export_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = twins()
    model.export(path)
    before = path.read_bytes()
    with pytest.raises(ExportError):
        model.export(path, opset=99)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    contents = []
    for name in ("a.onnx", "b.onnx"):
        keras.utils.clear_session()
        keras.utils.set_random_seed(5)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "relu"), layers.Dropout(0.5), layers.Dense(2)])
        model.compile("adam", "mse")
        model.fit(np.ones((8, 4)), np.zeros((8, 2)), epochs=2, verbose=0)
        model.export(tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_first_of_equal_maxima_gets_the_gradient() -> None:
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.MaxPooling2D(2)])
    graph, _ = model.graph()
    from seqc.graph.autodiff import pull_back
    from seqc.graph.interpreter import Interpreter
    from seqc.graph.ir import Graph
    from seqc.ops import ones_like

    (y,) = graph.outputs
    (gradient,) = pull_back([y], [ones_like(y)], [graph.inputs[0]])
    (found,) = Interpreter(Graph((graph.inputs[0],), (gradient,), ("g",))).run([np.ones((1, 2, 2, 1), "float32")])
    assert found.ravel().tolist() == [1, 0, 0, 0]


def test_validation_data_is_a_pair() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2))
    with pytest.raises(DataError, match=r"must be a tuple \(x_val, y_val\)"):
        model.fit(x, x[:, :1], validation_data=x, verbose=0)


def test_a_variable_shows_its_numbers() -> None:
    assert "0.01" in repr(keras.optimizers.SGD(0.01).learning_rate)


def test_a_repeated_vector_is_repeated_along_time_at_once(tmp_path: Path) -> None:
    layer = layers.LSTM(3, return_sequences=True)
    model = keras.Sequential([keras.Input((4,)), layers.RepeatVector(5), layer])
    receipt = model.export(tmp_path / "model.onnx")
    assert receipt.nodes.get("Transpose", 0) == 1  # the one that brings the result back to batch first
