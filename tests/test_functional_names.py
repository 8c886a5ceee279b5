"""Functional models of one's own class, and what their inputs and outputs are called in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import VerificationError

A, B = np.zeros((4, 3), "float32"), np.zeros((4, 2), "float32")
P, Q = np.zeros((4, 1), "float32"), np.zeros((4, 2), "float32")


def test_an_input_that_nothing_reads_is_no_error_and_stays_in_the_file(tmp_path: Path) -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    model = keras.Model([a, b], layers.Dense(1, name="end")(a))
    model.compile("sgd", "mse")
    model.fit([A, B], P, verbose=0)
    given = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    expected = model.predict([given, B], verbose=0)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == ["a", "b"]
    np.testing.assert_allclose(session.run(None, {"a": given, "b": B})[0], expected, atol=1e-6)


def names_in_file(model: Any, path: Path) -> tuple[list[str], list[str]]:
    model.export(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [i.name for i in session.get_inputs()], [o.name for o in session.get_outputs()]


def test_outputs_called_like_inputs_get_names_of_their_own(tmp_path: Path) -> None:
    a, b = keras.Input((3,), name="x"), keras.Input((3,), name="x_output")
    total = layers.Add(name="x_output_1")([a, b])
    cases: list[tuple[Any, list[str]]] = [
        (keras.Model([a, b], [a, total]), ["x_output_2", "x_output_1"]),
        (keras.Model({"x": a, "y": b}, {"x": total, "x_output": a, "y": b}), ["x_output_1", "x_output", "y_output"]),
    ]
    for model, names in cases:
        found = names_in_file(model, tmp_path / "m.onnx")
        assert found == (model.input_names, names)


class Headed(keras.Model):
    """A subclass that is a graph, with a constructor and methods of its own."""

    def __init__(self, units: int = 2, **options: Any) -> None:
        a = keras.Input((3,), name="a")
        super().__init__(inputs=a, outputs=layers.Dense(units, name="end")(a), **options)
        self.units = units

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        return super().call(inputs, training, mask) + 100


class Louder(keras.Model):
    def compute_loss(self, x: Any, y: Any, y_pred: Any, *others: Any, **options: Any) -> Any:  # type: ignore[override]
        return ops.mean(y_pred) * 0 + 7


class Quiet(Louder):
    def __init__(self) -> None:
        super().__init__()
        self.end = layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        return self.end(inputs)


def test_a_subclass_that_gives_inputs_and_outputs_is_a_functional_model(tmp_path: Path) -> None:
    model, given = Headed(4, name="headed"), np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    assert isinstance(model, keras.Model)
    assert type(model) is Headed
    assert [layer.name for layer in model.layers] == ["a", "end"]
    kernel, bias = model.get_weights()
    expected = given.astype("float64") @ kernel + bias + 100
    np.testing.assert_allclose(model.predict(given, verbose=0), expected, rtol=1e-6)
    model.compile("sgd", "mse")
    model.fit(given, np.zeros((4, 4)), verbose=0)
    expected = model.predict(given, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded: Any = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Headed": Headed})
    assert (type(loaded), loaded.units, loaded.name) == (Headed, 4, "headed")
    np.testing.assert_array_equal(loaded.predict(given, verbose=0), expected)
    assert Headed.from_config(model.get_config()).output_shape == (None, 4)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"a": given})[0], expected, rtol=1e-6)


def test_a_subclass_without_a_constructor_takes_inputs_and_outputs(tmp_path: Path) -> None:
    class Graph(Louder):
        pass

    x = keras.Input((3,))
    model = Graph(x, layers.Dense(2)(x), name="graph")
    model.compile("sgd", "mse")
    assert model.train_on_batch(A, Q) == 7.0
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", custom_objects={"Graph": Graph})
    assert type(loaded) is Graph
    np.testing.assert_array_equal(loaded.predict(A + 1, verbose=0), model.predict(A + 1, verbose=0))
    # Its base is what it was: other subclasses write `call`.
    assert Quiet().predict(A, verbose=0).shape == (4, 2)


def test_an_input_in_a_signature_names_the_input_of_the_file(tmp_path: Path) -> None:
    x = keras.Input((None, 4), name="own")
    model = keras.Model(x, layers.GRU(2)(x))
    receipt = model.export(tmp_path / "m.onnx", input_signature=[keras.Input((3, 4), name="steps")])
    assert [(port.name, port.shape) for port in receipt.inputs] == [("steps", ("batch", 3, 4))]


def test_what_keras_has_no_more_is_said_as_there() -> None:
    with pytest.raises(NotImplementedError, match=r"add_metric.*compile\(metrics"):
        layers.Dense(2).add_metric(1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: layers.Dense(3)(x * 2.0 + 1.0),
        lambda x: layers.Dense(6, name="multiply")(x * 2.0) * 3.0,
        lambda x: ops.softmax(ops.reshape(layers.Dense(6)(x), (-1, 2, 3)), (1, 2)),
        lambda x: ops.concatenate([part * 2.0 for part in ops.split(layers.Dense(6)(x), 2, -1)], -1),
        lambda x: keras.Model(inner := keras.Input((6,)), inner * 2.0 + 1.0, name="inside")(x * 3.0),
        lambda x: {"a": x * 2.0, "b": ops.exp(x) * 3.0},
        lambda x: [x * 2.0 + 1.0, ops.gelu(x) + 2.0],
    ],
)
def test_operations_have_the_names_that_a_file_gives_them(make: Any, tmp_path: Path) -> None:
    x = keras.Input((6,), name="x")
    model: Any = keras.Model(x, make(x), name="made")
    model.save(tmp_path / "m.keras")
    loaded: Any = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.output_names == model.output_names
    model.export(tmp_path / "a.onnx")
    loaded.export(tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_message_names_the_operation_between_layers(tmp_path: Path) -> None:
    x = keras.Input((6,))
    model = keras.Model(x, layers.Dense(3, name="end")(ops.matmul(x * 5e4, np.ones((6, 6), "float32"))))
    with pytest.raises(VerificationError, match="Layer 'matmul' has numbers beyond 65504"):
        model.export(tmp_path / "m.onnx", precision="float16")
    model.export(tmp_path / "m.onnx", precision="float16", float32_layers=["multiply", "matmul", "end"])
