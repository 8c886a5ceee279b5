"""Models whose own step takes data in a form that the model does not take, or calls the model on something else.

The numbers are those of Keras 3.15.1 on TensorFlow, of the same models on the same data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import DataError, ShapeError

X = (np.arange(48).reshape(16, 3) / 10).astype("float32")


class Batches(keras.utils.PyDataset):
    """Gives tuples of arrays, as a dataset of several parts does."""

    def __init__(self, *parts: Any) -> None:
        super().__init__()
        self.parts = parts

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        take = slice(8 * index, 8 * index + 8)
        return tuple(keras.tree.map_structure(lambda x: x[take], part) for part in self.parts)


class Stepping(keras.Model):
    """Trains on what `measure` makes of the data."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.dense, self.total = layers.Dense(3, kernel_initializer="ones"), keras.metrics.Mean(name="loss")

    def measure(self, data: Any) -> Any:
        return ops.mean(self(data) ** 2)

    def train_step(self, data: Any) -> Any:
        with keras.GradientTape() as tape:
            loss = self.measure(data)
        grads = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(grads, self.trainable_weights, strict=True))
        self.total.update_state(loss)
        return {"loss": self.total.result()}

    def test_step(self, data: Any) -> Any:
        self.total.update_state(self.measure(data))
        return {"loss": self.total.result()}

    @property
    def metrics(self) -> list[Any]:
        return [self.total]


class Pair(Stepping):
    def call(self, pair: Any) -> Any:
        a, b = pair
        return self.dense(a) - self.dense(b * 0.5)


class Triplet(Stepping):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2, kernel_initializer="ones")

    def call(self, three: Any) -> Any:
        anchor, near, far = map(self.dense, three)
        return ops.sum((anchor - near) ** 2, -1), ops.sum((anchor - far) ** 2, -1)

    def measure(self, data: Any) -> Any:
        near, far = self(data)
        return ops.mean(ops.maximum(near - far + 0.5, 0.0))


class Around(Stepping):
    """Has another model that does all, as Keras's example of a Siamese network has it."""

    def __init__(self) -> None:
        super().__init__()
        ends = [keras.Input((3,)) for _ in range(3)]
        shared = layers.Dense(2, kernel_initializer="ones")
        anchor, near, far = map(shared, ends)
        self.net = keras.Model(ends, [ops.sum((anchor - near) ** 2, -1), ops.sum((anchor - far) ** 2, -1)])

    def call(self, three: Any) -> Any:
        return self.net(three)

    def measure(self, data: Any) -> Any:
        near, far = self.net(data)
        return ops.mean(ops.maximum(near - far + 0.5, 0.0))


class Keyed(Pair):
    def measure(self, data: Any) -> Any:
        x, more = data
        return ops.mean(self((x["a"], x["b"])) ** 2 * more["k"])


class Deeper(Stepping):
    """Calls itself on what its first layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.last = layers.Dense(1, kernel_initializer="ones")

    def call(self, x: Any) -> Any:
        return self.last(x)

    def measure(self, data: Any) -> Any:
        x, y = data
        return ops.mean((self(self.dense(x)) - y) ** 2)


class OnGraph(Stepping):
    """Given inputs and outputs."""


THREE = Batches(X, X * 0.9, X + 0.3)
PAIRED = [16.70233, 16.45492], [16.48095, 16.23682]
APART = [0.61675, 0.61657], [0.61657, 0.61639]
CASES: dict[str, tuple[Any, Any, Any]] = {
    "two": (Pair, Batches(X, X), PAIRED),
    "three": (Triplet, THREE, APART),
    "a model inside": (Around, THREE, APART),
    "dictionaries": (Keyed, Batches({"a": X, "b": X}, {"k": X[:, :1], "m": X}), ([57.70232, 54.77512], None)),
    "another input": (Deeper, Batches(X[:, :2], X[:, :1]), ([161.85251, 51.61862], None)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_of_a_models_own_builds_it_and_takes_data_in_any_form(name: str) -> None:
    kind, data, (trained, validated) = CASES[name]
    model = kind()
    model.compile(keras.optimizers.SGD(0.001))
    history = model.fit(data, epochs=2, shuffle=False, validation_data=data, verbose=0).history
    np.testing.assert_allclose(history["loss"], trained, rtol=1e-6, atol=1e-5)
    if validated is not None:
        np.testing.assert_allclose(history["val_loss"], validated, rtol=1e-6, atol=1e-5)
    assert model.evaluate(data, verbose=0) == pytest.approx(history["val_loss"][-1], rel=1e-6)
    assert len(model.optimizer.variables) == 2  # the steps and the rate: what was called ahead left nothing behind


def test_arrays_reach_such_a_step_too_and_batches_by_hand(tmp_path: Path) -> None:
    model = Pair()
    model.compile(keras.optimizers.SGD(0.001))
    history = model.fit(X, X, batch_size=8, shuffle=False, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history, PAIRED[0], rtol=1e-6)
    assert model.train_on_batch(X, X) == pytest.approx(PAIRED[1][1], rel=1e-6)
    # The model itself takes a pair.
    weights, bias = model.get_weights()
    np.testing.assert_allclose(model.predict((X, X), verbose=0), X @ weights * 0.5, rtol=1e-4, atol=1e-5)
    model.save_weights(tmp_path / "pair.weights.h5")
    twin = Pair()
    twin.build([(None, 3), (None, 3)])
    twin.load_weights(tmp_path / "pair.weights.h5")
    np.testing.assert_array_equal(twin.get_weights()[0], weights)


def test_a_built_model_and_a_graph_take_parts_of_the_data_as_their_inputs() -> None:
    model = Pair()
    model((X[:2], X[:2]))
    model.compile(keras.optimizers.SGD(0.001))
    history = model.fit(X, X, batch_size=8, shuffle=False, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history, PAIRED[0], rtol=1e-6)

    a, b, shared = keras.Input((3,)), keras.Input((3,)), layers.Dense(3, kernel_initializer="ones")
    graph = OnGraph([a, b], shared(a) - shared(b * 0.5))
    graph.compile(keras.optimizers.SGD(0.001))
    history = graph.fit(X, X, batch_size=8, shuffle=False, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history, PAIRED[0], rtol=1e-6)


class Scaled(layers.Layer):
    """Has a weight per step."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[1], 1), initializer="ones")

    def call(self, x: Any) -> Any:
        return x * self.scale


class Next(keras.Model):
    """Foretells the next of each word, as a language model does; its steps are one fewer than the data's."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.scaled = layers.Embedding(5, 2, embeddings_initializer="ones"), Scaled()
        self.last = layers.Dense(5, kernel_initializer=keras.initializers.Constant(0.1))

    def call(self, x: Any) -> Any:
        return self.last(self.scaled(self.table(x)))

    def train_step(self, data: Any) -> Any:
        with keras.GradientTape() as tape:
            loss = self.compute_loss(y=data[:, 1:], y_pred=self(data[:, :-1], training=True))
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_weights_have_the_sizes_of_what_the_step_calls_the_model_on() -> None:
    words = np.arange(24).reshape(4, 6) * 7 % 5
    model = Next()
    model.compile(keras.optimizers.SGD(0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(words, batch_size=2, epochs=2, verbose=0).history["loss"]
    np.testing.assert_allclose(history, np.log(5), rtol=1e-5)
    assert [w.shape for w in model.get_weights()] == [(5, 2), (5, 1), (2, 5), (5,)]


def test_what_is_wrong_with_a_step_is_said_as_it_is() -> None:
    class Wrong(Pair):
        def measure(self, data: Any) -> Any:
            raise LookupError(f"no such thing in {super().measure(data)}")

    model = Wrong()
    model.compile("sgd")
    with pytest.raises(LookupError, match="no such thing"):
        model.fit(Batches(X, X), verbose=0)
    with pytest.raises(DataError, match="ambiguous"):
        model.fit(X, X[:8], verbose=0)


class Acting(keras.Model):
    """Has no call of its own, and two labels in a tuple."""

    def __init__(self, measure: Any) -> None:
        super().__init__()
        self.dense, self.measure = layers.Dense(2, kernel_initializer="ones"), measure

    def train_step(self, data: Any) -> Any:
        x, (acted, gained) = data
        with keras.GradientTape() as tape:
            loss = self.measure(self.dense(x), acted, gained)
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss}


def test_an_error_in_a_step_is_said_and_not_that_the_model_would_take_other_data() -> None:
    labels = (np.ones(16), np.ones(16))
    for measure, kind, text in (
        (lambda y, a, b: y.typo, AttributeError, "typo"),
        (lambda y, a, b: ops.matmul(y, ops.ones((7, 7))), ShapeError, "sizes 2 and 7 differ"),
    ):
        model = Acting(measure)
        model.compile("sgd")
        with pytest.raises(kind, match=text):
            model.fit(X, labels, verbose=0)


@pytest.mark.parametrize("loop", [ops.map, ops.vectorized_map])
def test_a_step_may_go_through_a_batch_row_by_row(loop: Any) -> None:
    """The last batch is smaller, and another step is traced for it."""
    labels = (np.arange(16) % 2, np.arange(16).astype("float32") / 8)
    results = []
    for measure in (
        lambda y, acted, gained: ops.mean(loop(lambda row: ops.square(row[0][0] - row[1]), (y, gained))),
        lambda y, acted, gained: ops.mean(ops.square(y[:, 0] - gained)),
    ):
        model = Acting(measure)
        model.compile(keras.optimizers.SGD(0.01))
        losses = model.fit(X, labels, batch_size=6, epochs=2, shuffle=False, verbose=0).history["loss"]
        results.append([*losses, *model.get_weights()])
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


class RowByRow(layers.Layer):
    def build(self, shape: Any) -> None:
        self.w = self.add_weight((3, 1), initializer="ones")

    def call(self, x: Any) -> Any:
        return ops.map(lambda row: ops.matmul(row[None], self.w)[0], x)


def _functional(layer: Any) -> Any:
    x = keras.Input((3,))
    return keras.Model(x, layer(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda layer: keras.Sequential([keras.Input((3,)), layer]),
        lambda layer: keras.Sequential([layer]),
        lambda layer: keras.Sequential([keras.Input((3,)), keras.Sequential([layer])]),
        _functional,
    ],
)
def test_a_layer_may_go_through_a_batch_row_by_row(make: Any) -> None:
    results = []
    for layer in (RowByRow(), layers.Dense(1, kernel_initializer="ones", use_bias=False)):
        model = make(layer)
        model.compile(keras.optimizers.SGD(0.01), "mse")
        losses = model.fit(X, X[:, :1], batch_size=6, epochs=2, shuffle=False, verbose=0).history["loss"]
        results.append([*losses, *model.get_weights()])
    for got, expected in zip(*results, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_loss_may_go_through_a_batch_row_by_row() -> None:
    results = []
    for loss in (lambda true, y: ops.map(lambda pair: ops.sum((pair[0] - pair[1]) ** 2), (true, y)), "mse"):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(0.01), loss)
        results.append(model.fit(X, X[:, :1], batch_size=6, epochs=2, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
