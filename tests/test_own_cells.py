"""Cells and recurrent layers that a user changes in a subclass, and cells that are called by hand.

The numbers are those of Keras 3.15, for weights that `waves` gives.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from seqc import layers, ops, random

X = np.sin(np.arange(24)).reshape(2, 4, 3).astype("float32")
ONE, STATE = X[:, 0], np.full((2, 4), 0.3, "float32")


def waves(layer: Any, factor: float = 0.4) -> Any:
    """Gives a layer or model weights that every framework has alike."""
    shaped = [(np.sin(np.arange(w.size) + i + 1) * factor).reshape(w.shape) for i, w in enumerate(layer.get_weights())]
    layer.set_weights(shaped)
    return layer


def of_arrays(layer: Any, *given: Any, **more: Any) -> Any:
    layer(*given, **more)
    return waves(layer)(*given, **more)


def predicted(*stack: Any, time: int | None = 4) -> np.ndarray:
    found: np.ndarray = waves(keras.Sequential([keras.Input((time, 3)), *stack]), 0.5).predict(X, verbose=0)
    return found


class Zoneout(layers.LSTMCell):
    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        _, (h, c) = super().call(inputs, states, training=training)
        h = 0.5 * h + 0.5 * states[0]
        return h, [h, c]


class OwnGRU(layers.GRUCell):
    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        z = ops.tanh(ops.matmul(inputs, self.kernel)[:, : self.units] + states[0])
        return z, [z]


class ReluRNN(layers.SimpleRNNCell):
    def call(self, sequence: Any, states: Any, training: bool = False) -> Any:
        h = ops.matmul(sequence, self.kernel) + ops.matmul(states[0], self.recurrent_kernel) + self.bias
        h = ops.relu(h) - 1.0
        return h, [h]


class Scaled(layers.GRUCell):
    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.extra = self.add_weight((self.units,), "ones", name="extra")

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        y = super().call(inputs, states, training)[0] * self.extra * 2
        return y, [y]


class Residual(layers.StackedRNNCells):
    def call(self, inputs: Any, states: Any, training: bool = False, **more: Any) -> Any:
        new = []
        for cell, state in zip(self.cells, states, strict=True):
            y, after = cell(inputs, list(state), training=training)
            inputs = inputs + y
            new.append(after)
        return inputs, new


class OwnStack(layers.Layer):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.cells = [layers.LSTMCell(3), layers.LSTMCell(3)]
        self.state_size, self.output_size = [3, 3, 3, 3], 3

    def build(self, input_shape: Any) -> None:
        for cell in self.cells:
            cell.build(input_shape)

    def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
        a, (h1, c1) = self.cells[0](inputs, states[:2])
        b, (h2, c2) = self.cells[1](inputs + a, states[2:])
        return a * b + 10, [h1, c1, h2, c2]


class Counted(layers.Layer):
    """Has `cells` that are no cells."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.cells = self.state_size = 3

    def call(self, inputs: Any, states: Any) -> Any:
        return inputs * 2, [inputs + states[0]]


class Matrix(layers.Layer):
    """Has a matrix for a state."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.state_size, self.output_size = [3, 6], 3

    def get_initial_state(self, batch_size: Any = None) -> Any:
        return [ops.zeros((batch_size, 3)), ops.zeros((batch_size, 3, 2))]

    def call(self, inputs: Any, states: Any) -> Any:
        h, m = states
        m = m * 0.9 + inputs[:, :, None] * ops.convert_to_tensor([1.0, 2.0])
        return ops.sum(m, -1) + h, [inputs, m]


class FromOnes(layers.Layer):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.state_size = 3

    def get_initial_state(self, batch_size: Any = None) -> Any:
        return [ops.ones((batch_size, self.state_size))]

    def call(self, inputs: Any, states: Any) -> Any:
        h = 0.5 * states[0] + inputs
        return h, [h]


class LearnedCell(layers.GRUCell):
    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.start = self.add_weight((1, self.units), "ones", name="start")

    def get_initial_state(self, batch_size: Any = None) -> Any:
        return [ops.ones((batch_size, 1)) * self.start]


class LearnedLayer(layers.GRU):
    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.start = self.add_weight((1, self.units), "ones", name="start")

    def get_initial_state(self, batch_size: Any) -> Any:
        return [ops.ones((batch_size, 1)) * self.start]


class Doubled(layers.LSTM):
    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool = False) -> Any:
        return super().inner_loop(sequences * 2.0, initial_state, mask, training)


RUNS: dict[str, tuple[Any, list[float]]] = {
    "lstm": (lambda: layers.RNN(Zoneout(4)),
             [-0.15971, -0.058856, 0.049647, 0.1054, -0.15824, -0.056698, 0.048937, 0.10338]),
    "gru": (lambda: layers.RNN(OwnGRU(4)),
            [0.12751, 0.062656, -0.045866, -0.11171, 0.11211, 0.1991, 0.073569, -0.090334]),
    "simple": (lambda: layers.RNN(ReluRNN(4), return_sequences=True),
               [-1, -1, -1, -0.97392, -1, -1, -0.95716, -0.82299, -1, -1, -1, -0.60519, -1, -0.95108, -0.91198, -0.9538,
                -1, -1, -1, -0.99567, -1, -1, -0.8017, -0.78266, -1, -1, -1, -0.63609, -1, -0.89798, -0.80532,
                -0.89165]),
    "in a stack": (lambda: layers.RNN([layers.LSTMCell(4), ReluRNN(4)]),
                   [-0.69535, -0.55329, -0.82194, -1, -0.69537, -0.55441, -0.82313, -1]),
    "weights of its own": (lambda: layers.RNN(Scaled(4)),
                           [0.23094, 0.34943, -0.057318, 0.26114, 0.12841, 0.31823, 0.012387, 0.23401]),
    "stack": (lambda: layers.RNN(Residual([layers.LSTMCell(3), layers.LSTMCell(3)])),
              [0.3296, -0.5169, -0.98703, 0.78351, -0.067869, -0.87399]),
    "cells": (lambda: layers.RNN(OwnStack()), [9.9841, 9.9921, 9.9787, 9.9854, 9.9974, 9.9699]),
    "cells that are none": (lambda: layers.RNN(Counted()), [0.82424, -1.088, -2, 1.6733, -0.017703, -1.6924]),
}  # fmt: skip


@pytest.mark.parametrize("case", RUNS)
def test_a_cell_runs_as_its_author_says(case: str) -> None:
    make, expected = RUNS[case]
    np.testing.assert_allclose(np.ravel(of_arrays(make(), X)), expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("time", [4, None], ids=["known", "free"])
def test_what_a_subclass_says_is_trained_and_exported(time: int | None, tmp_path: Path) -> None:
    model = waves(keras.Sequential([keras.Input((time, 3)), layers.RNN(Zoneout(4)), layers.Dense(1)]), 0.5)
    before = model.predict(X, verbose=0)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: X})[0], before, rtol=1e-5, atol=1e-6)
    if time is not None:
        model.compile(keras.optimizers.SGD(0.1), "mse")
        first, last = model.fit(X, np.ones((2, 1)), epochs=2, verbose=0).history["loss"]
        assert last < first


def test_all_steps_of_a_subclass_drop_alike() -> None:
    class Shown(layers.SimpleRNNCell):
        def call(self, inputs: Any, states: Any, training: bool = False) -> Any:
            y, new = super().call(inputs, states, training=training)
            return y * 1.0, new

    layer = layers.RNN(Shown(4, activation="linear", dropout=0.5), return_sequences=True)
    x = np.ones((1, 5, 40), "float32")
    layer(x)
    layer.set_weights([np.eye(40, 4), np.zeros((4, 4)), np.zeros(4)])
    y = layer(x, training=True).numpy()[0]
    np.testing.assert_array_equal(y, np.broadcast_to(y[0], y.shape))
    assert set(np.unique(layer(np.ones((50, 2, 40), "float32"), training=True))) == {0, 2}


def test_a_cell_called_on_symbols_is_a_layer_of_the_model(tmp_path: Path) -> None:
    x, h, c = keras.Input((3,)), keras.Input((4,)), keras.Input((4,))
    y, (_, last) = layers.LSTMCell(4)(x, [h, c])
    model = waves(keras.Model([x, h, c], [y, last]), 0.5)
    given = [ONE, STATE, np.full((2, 4), 0.2, "float32")]
    found = model.predict(given, verbose=0)
    np.testing.assert_allclose(
        found[0].ravel(),
        [-0.10409, -0.012591, 0.062371, 0.11319, -0.1268, -0.01589, 0.06245, 0.11497],
        rtol=2e-4,
    )
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert [w.shape for w in again.weights] == [(3, 16), (4, 16), (16,)]
    np.testing.assert_array_equal(again.predict(given, verbose=0)[1], found[1])
    learned = keras.Model([x, h, c], y)
    learned.compile(keras.optimizers.SGD(0.5), "mse")
    learned.fit(given, np.ones((2, 4)), epochs=3, verbose=0)
    np.testing.assert_allclose(
        learned.predict(given, verbose=0).ravel(),
        [0.066941, 0.053424, 0.095214, 0.14757, 0.039126, 0.044682, 0.091413, 0.1462],
        rtol=3e-4,
    )


@pytest.mark.parametrize(
    ("make", "name", "expected"),
    [
        (layers.GRUCell, "inputs", [0.038361, -0.097736, -0.1624, -0.056984, -0.059513, -0.052402, 0.023866, 0.062175]),
        (layers.SimpleRNNCell, "sequence",
         [-0.1159, -0.53322, -0.48243, 0.026073, -0.12142, -0.64132, -0.60416, 0.0043307]),
        (layers.LSTMCell, None,
         [-0.13966, -0.054398, 0.026952, 0.083267, -0.15936, -0.059199, 0.028115, 0.088504]),
    ],
)  # fmt: skip
def test_a_cell_is_called_as_a_layer_is(make: Any, name: str | None, expected: list[float]) -> None:
    cell, zeros = make(4), np.zeros((2, 4), "float32")
    cell.build((None, 3))
    waves(cell)
    states = [zeros] * (2 if make is layers.LSTMCell else 1)
    y, _ = cell.call(ONE, states) if name is None else cell(**{name: ONE, "states": states})
    np.testing.assert_allclose(np.ravel(y), expected, rtol=2e-4)


@pytest.mark.parametrize("make", [layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell])
@pytest.mark.parametrize(("policy", "dtype"), [("mixed_float16", "float16"), ("float64", "float64"), (None, "float32")])
def test_a_cell_computes_as_its_policy_says(make: Any, policy: Any, dtype: str) -> None:
    cell = make(4, dtype=policy)
    y, new = cell(ONE.astype("float64"), [np.zeros((2, 4))] * (2 if make is layers.LSTMCell else 1))
    assert {str(t.dtype) for t in (y, *new)} == {dtype}


def test_a_cell_in_a_layer_is_in_training_as_the_layer_is() -> None:
    class Own(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.cell = layers.GRUCell(4, dropout=0.9, seed=1)

        def call(self, x: Any) -> Any:
            return self.cell(x[:, 0], [ops.zeros((2, 4))])[0]

    layer = Own()
    layer(X)
    waves(layer)
    assert not np.allclose(layer(X, training=True), layer(X, training=False))


# -- where states begin, and what they are ----------------------------------------------------------------------------

STARTS: dict[str, tuple[Any, list[float]]] = {
    "layer": (lambda: [LearnedLayer(4), layers.Dense(1)], [0.45383, 0.53389]),
    "cell": (lambda: [layers.RNN(LearnedCell(4)), layers.Dense(1)], [0.55894, 0.36768]),
    "inner loop": (lambda: [Doubled(4)],
                   [-0.12945, -0.016537, 0.075764, 0.099003, -0.10802, 0.0020104, 0.070511, 0.078617]),
    "matrix, masked": (lambda: [layers.Masking(0.5), layers.RNN(Matrix(), return_sequences=True)],
                       [0, 2.5244, 2.7279, 0.42336, 0.84304, 0.48763, -0.3161, 1.2156, 1.6296, 0.54544, 0.80005, 0.3191,
                        -1.6097, 1.2605, 2.9718, -0.034456, 0.69091, 0.78105, -1.1508, 0.4054, 1.5888, 0.13803, 0.74729,
                        0.6695]),
}  # fmt: skip


@pytest.mark.parametrize("time", [4, None], ids=["known", "free"])
@pytest.mark.parametrize("case", STARTS)
def test_states_start_as_their_author_says(case: str, time: int | None) -> None:
    make, expected = STARTS[case]
    np.testing.assert_allclose(predicted(*make(), time=time).ravel(), expected, rtol=3e-4, atol=1e-6)


def test_a_state_that_is_a_matrix_is_learned_through() -> None:
    model = waves(keras.Sequential([keras.Input((4, 3)), layers.RNN(Matrix()), layers.Dense(1)]), 0.5)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    found = model.fit(X, np.ones((2, 1)), epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(found, [0.007506, 0.0071572], rtol=1e-4)


@pytest.mark.parametrize(
    ("cell", "first", "second"),
    [
        (FromOnes, [0.37019, -0.23704, -0.56888, 0.61916, 0.10913, -0.44377],
         [0.33083, -0.31436, -0.66693, 0.59536, 0.053453, -0.53401]),
        (lambda: [FromOnes(), layers.GRUCell(4)],
         [-0.36286, -0.52269, 0.2124, 0.48761, -0.32502, -0.448, -0.044914, 0.44702],
         [-0.46511, -0.50532, 0.25828, 0.54784, -0.41895, -0.43336, -0.004714, 0.49667]),
    ],
    ids=["alone", "in a stack"],
)  # fmt: skip
def test_what_a_stateful_layer_keeps_starts_as_the_cell_says(cell: Any, first: Any, second: Any) -> None:
    layer = layers.RNN(cell(), stateful=True)
    model = waves(keras.Sequential([keras.Input(batch_shape=(2, 4, 3)), layer]), 0.5)
    for expected in (first, second):
        np.testing.assert_allclose(model.predict(X, verbose=0).ravel(), expected, rtol=2e-4)


def test_a_layer_of_masked_steps_only_gives_zeros_wherever_it_starts() -> None:
    layer = layers.RNN(LearnedCell(4))
    np.testing.assert_array_equal(layer(X, mask=np.zeros((2, 4), bool)), 0)


def test_one_step_of_a_convolutional_cell_is_that_of_its_layer() -> None:
    x = np.random.default_rng(0).normal(size=(2, 1, 5, 3)).astype("float32")
    layer = layers.ConvLSTM1D(2, 3)
    y = of_arrays(layer, x)
    found, (h, _) = layer.cell(x[:, 0], layer.get_initial_state(2))
    for one in (found, h):
        np.testing.assert_allclose(one, y, rtol=1e-5, atol=1e-6)


def test_layers_and_stacks_say_what_they_start_with() -> None:
    def shapes(states: Any) -> Any:
        return keras.tree.map_structure(lambda s: "x".join(map(str, s.shape)), states)

    stack = [layers.GRUCell(2), layers.LSTMCell(3)]
    assert shapes(layers.LSTM(4).get_initial_state(2)) == ["2x4", "2x4"]
    assert shapes(layers.SimpleRNN(4).get_initial_state(batch_size=2)) == ["2x4"]
    assert shapes(layers.RNN(stack).get_initial_state(2)) == [["2x2"], ["2x3", "2x3"]]
    assert shapes(layers.StackedRNNCells(stack).get_initial_state(batch_size=2)) == [["2x2"], ["2x3", "2x3"]]
    images = layers.ConvLSTM1D(2, 3)
    images.build((None, 4, 5, 3))
    assert shapes(images.get_initial_state(2)) == ["2x3x2", "2x3x2"]


def test_one_state_is_one_for_all_sequences_and_a_mask_may_have_an_axis_more() -> None:
    layer, mask = layers.GRU(4), np.array([[0, 1, 1, 0], [0, 0, 0, 1]], bool)
    y = of_arrays(layer, X, initial_state=STATE)
    np.testing.assert_array_equal(layer(X, initial_state=STATE[:1]), y)
    np.testing.assert_array_equal(layer(X, mask=mask[..., None]), layer(X, mask=mask))


def test_layers_around_others_give_what_their_own_policy_says() -> None:
    half: dict[str, Any] = {"dtype": "float16"}
    made: list[tuple[Any, str]] = [
        (layers.RNN(layers.LSTMCell(3, **half)), "float32"),
        (layers.RNN(layers.LSTMCell(3), **half), "float16"),
        (layers.RNN([layers.GRUCell(3, **half), layers.LSTMCell(3)]), "float32"),
        (layers.Bidirectional(layers.LSTM(3, **half)), "float32"),
        (layers.TimeDistributed(layers.Dense(3, **half)), "float32"),
    ]
    for layer, dtype in made:
        y = of_arrays(layer, X)
        assert y.dtype == dtype, layer
        alike = type(layer).from_config(layer.get_config() | half)
        np.testing.assert_allclose(of_arrays(alike, X), y, atol=2e-3)


# -- what a step sees beside its input --------------------------------------------------------------------------------


class Attending(layers.Layer):
    """A cell that looks at a memory from outside."""

    def __init__(self, units: int, **more: Any) -> None:
        super().__init__(**more)
        self.state_size, self.memory = units, None
        self.gru, self.q = layers.GRUCell(units), layers.Dense(3)

    def build(self, input_shape: Any) -> None:
        self.gru.build((input_shape[0], input_shape[-1] + 3))
        self.q.build((None, self.state_size))

    def call(self, inputs: Any, states: Any) -> Any:
        weights = ops.softmax(ops.sum(self.memory * self.q(states[0])[:, None], -1))
        context = ops.sum(self.memory * weights[..., None], 1)
        return self.gru(ops.concatenate([inputs, context], -1), [states[0]])


class Decoder(layers.Layer):
    def __init__(self, units: int, **more: Any) -> None:
        super().__init__(**more)
        self.cell = Attending(units)
        self.rnn = layers.RNN(self.cell, return_sequences=True)

    def call(self, inputs: Any) -> Any:
        x, self.cell.memory = inputs
        return self.rnn(x)


@pytest.mark.parametrize("time", [4, None], ids=["known", "free"])
def test_a_cell_may_look_at_a_tensor_from_outside(time: int | None, tmp_path: Path) -> None:
    a, b = keras.Input((time, 3), name="a"), keras.Input((5, 3), name="b")
    model = waves(keras.Model([a, b], layers.Dense(1)(Decoder(4)([a, b]))), 0.5)
    memory = np.cos(np.arange(30)).reshape(2, 5, 3).astype("float32")
    expected = np.reshape([0.13183, 0.53495, 0.28139, 0.47616, 0.24072, 0.33017, 0.45125, 0.27306], (2, 4, 1))
    np.testing.assert_allclose(model.predict([X, memory], verbose=0), expected, rtol=1e-4)
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"a": X, "b": memory})[0], expected, rtol=1e-4)
    if time is not None:
        model.compile(keras.optimizers.SGD(0.1), "mse")
        found = model.fit([X, memory], np.ones((2, 4, 1)), epochs=2, verbose=0).history["loss"]
        np.testing.assert_allclose(found, [0.45194, 0.20991], rtol=1e-4)


class Noisy(layers.Layer):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.state_size = 3

    def call(self, inputs: Any, states: Any) -> Any:
        y = random.normal(ops.shape(inputs))
        return y, [y]


class Centred(layers.Layer):
    """Goes by the whole batch."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.state_size = 3

    def call(self, inputs: Any, states: Any) -> Any:
        y = inputs - ops.mean(inputs, 0)
        return y, [y]


def test_each_step_draws_random_numbers_of_its_own() -> None:
    for time in (4, None):
        model = keras.Sequential([keras.Input((time, 3)), layers.RNN(Noisy(), return_sequences=True)])
        y = model.predict(np.zeros((64, 4, 3)), batch_size=64, verbose=0)
        assert len(np.unique(y)) > 0.99 * y.size
        np.testing.assert_allclose([y.mean(), y.std()], [0, 1], atol=0.2)
    assert len(np.unique(layers.RNN(Noisy(), return_sequences=True)(X))) == X.size


def test_a_step_that_goes_by_the_whole_batch_gets_it_whole() -> None:
    x = np.random.default_rng(0).normal(size=(512, 4, 64)).astype("float32")
    cell = Centred()
    cell.state_size = 64
    model = keras.Sequential([keras.Input((None, 64)), layers.RNN(cell, return_sequences=True)])
    np.testing.assert_allclose(model.predict(x, batch_size=512, verbose=0), x - x.mean(0), atol=1e-5)


@pytest.mark.parametrize("make", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_softplus_is_exported(make: Any, tmp_path: Path) -> None:
    model = waves(keras.Sequential([keras.Input((None, 3)), make(4, activation="softplus")]))
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: X})[0]
    np.testing.assert_allclose(found, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
