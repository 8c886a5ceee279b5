"""A user's own layers, losses and metrics, written with seqc.ops: they train, are saved and export like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ConfigError, LayerError, ShapeError, TraceError
from seqc.graph.ir import Array

RNG = np.random.default_rng(5)
X = RNG.standard_normal((12, 4)).astype("float32")
Y = RNG.standard_normal((12, 3)).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Linear(keras.Layer):
    """A dense layer as Keras's guide writes it."""

    def __init__(self, units: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: Any) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="random_normal", trainable=True)

    def call(self, inputs: Any) -> Any:
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tests")
class Block(keras.Layer):
    """A layer made of layers, with a short cut around them."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.inner = [Linear(units, name="one"), Linear(units, name="two")]
        self.norm = layers.BatchNormalization(name="norm")

    def call(self, x: Any, training: bool = False) -> Any:
        y = ops.relu(self.inner[0](x))
        return self.norm(x + self.inner[1](y), training=training)


@keras.saving.register_keras_serializable("tests")
class Counter(keras.Layer):
    """Counts its calls and sums what passes, as Keras's guide on state does."""

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.total = self.add_weight(shape=(size,), initializer="zeros", trainable=False, name="total")
        self.calls = keras.Variable(0, dtype="int32", trainable=False, name="calls")

    def call(self, x: Any) -> Any:
        self.total.assign_add(ops.sum(x, axis=0))
        self.calls.assign(self.calls + 1)
        return x * 1.0


@keras.saving.register_keras_serializable("tests")
class Noise(keras.Layer):
    """Adds noise in training, drawn as Keras's guide says."""

    def __init__(self, stddev: float, seed: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev, self.seed = stddev, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        return x + keras.random.normal(ops.shape(x), stddev=self.stddev, seed=self.seed_generator)


@keras.saving.register_keras_serializable("tests")
class Operators(keras.Layer):
    """Uses Python's operators on variables and tensors, on both sides."""

    def build(self, input_shape: Any) -> None:
        self.a = self.add_weight((input_shape[-1],), "ones", name="a")
        self.b = self.add_weight((input_shape[-1],), keras.initializers.Constant(0.5), name="b")

    def call(self, x: Any) -> Any:
        y = 2 * self.a * x - x / (self.a + 3) + self.b**2 - -self.b
        y = 1 - (y + np.ones(4, "float32")) + np.full((1, 4), 2.0, "float32") * self.b
        return y @ ops.ones((4, 3)) + abs(self.a)[1] + self.b[0] % 3


def operators_by_hand(x: Array, a: Array, b: Array) -> Array:
    y = 2 * a * x - x / (a + 3) + b**2 + b
    y = 1 - (y + 1) + 2 * b
    return np.asarray(y @ np.ones((4, 3)) + abs(a)[1] + b[0] % 3)


def build(*stack: Any, **options: Any) -> keras.Sequential:
    keras.utils.set_random_seed(2)
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile(**({"optimizer": "sgd", "loss": "mse"} | options))
    return model


MODELS = {
    "linear": lambda: build(Linear(8), layers.Activation("tanh"), Linear(3)),
    "block": lambda: build(Block(4), layers.Dense(3)),
    "counter": lambda: build(Counter(4), layers.Dense(3)),
    "noise": lambda: build(Noise(0.1), layers.Dense(3)),
    "operators": lambda: build(Operators()),
}


@pytest.mark.parametrize("made", MODELS.values(), ids=MODELS)
def test_own_layers_train_and_predict_as_their_saved_and_exported_copies(made: Any, tmp_path: Path) -> None:
    seqc_runtime = pytest.importorskip("seqc_runtime")
    model = made()
    history = model.fit(X, Y, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), expected, rtol=1e-6)
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    model.export(tmp_path / "own.onnx")
    exported = seqc_runtime.load(tmp_path / "own.onnx", device="cpu").predict(X)
    np.testing.assert_allclose(exported, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["linear", "block", "operators"])
def test_gradients_of_own_layers_are_those_of_finite_differences(name: str) -> None:
    model = MODELS[name]()
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = model.get_weights()

    def loss(weights: list[Array]) -> float:
        model.set_weights(weights)
        return float(np.mean((np.asarray(model(X, training=True), "float64") - Y) ** 2))

    numeric = []
    for variable in model.trainable_weights:
        at = next(i for i, w in enumerate(model.weights) if w is variable)
        step = np.zeros_like(before[at])
        step.flat[0] = 1e-2
        changed = [[*before[:at], before[at] + sign * step, *before[at + 1 :]] for sign in (1, -1)]
        numeric.append((loss(changed[0]) - loss(changed[1])) / 2e-2)
    model.set_weights(before)
    model.train_on_batch(X, Y)
    after = model.get_weights()
    found = []
    for variable in model.trainable_weights:
        at = next(i for i, w in enumerate(model.weights) if w is variable)
        found.append(float((before[at] - after[at]).flat[0]))
    np.testing.assert_allclose(found, numeric, rtol=2e-2, atol=2e-4)


def test_python_operators_on_variables_mean_what_they_mean_on_arrays() -> None:
    model = build(Operators())
    a, b = RNG.random(4).astype("float32"), RNG.random(4).astype("float32")
    model.set_weights([a, b])
    np.testing.assert_allclose(model.predict(X, verbose=0), operators_by_hand(X, a, b), rtol=1e-5)


def test_sublayers_are_found_in_lists_and_attributes() -> None:
    model = build(Block(4, name="block"), layers.Dense(3, name="out"))
    assert [w.path for w in model.trainable_weights] == [
        *(f"block/{part}" for part in ("one/variable_0", "one/variable_1", "two/variable_0", "two/variable_1")),
        "block/norm/gamma",
        "block/norm/beta",
        "out/kernel",
        "out/bias",
    ]
    model.layers[0].trainable = False
    assert [w.path for w in model.trainable_weights] == ["out/kernel", "out/bias"]
    model.compile("sgd", "mse")
    before = model.layers[0].get_weights()
    model.fit(X, Y, verbose=0)
    for a, b in zip(before, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_state_assigned_in_a_call_lasts() -> None:
    model = build(counter := Counter(4), layers.Dense(3))
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    assert int(counter.calls) == 3
    np.testing.assert_allclose(counter.total, X.sum(0), rtol=1e-5)
    counter(X)
    assert int(counter.calls) == 4
    assert counter.calls.dtype == "int32"


def test_noise_differs_from_step_to_step_and_repeats_with_the_seed() -> None:
    runs = []
    for seed in (3, 3, 4):
        model = build(Noise(0.5, seed=seed), layers.Dense(3))
        runs.append(model.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"])
    assert runs[0] == runs[1] != runs[2]
    still = build(Noise(0.5), layers.Dense(3), optimizer=keras.optimizers.SGD(0.0))
    losses = still.fit(X, Y, epochs=3, shuffle=False, verbose=0).history["loss"]
    assert len(set(losses)) == 3


@pytest.mark.parametrize(
    ("draw", "mean", "spread"),
    [
        (lambda x, seed: keras.random.uniform(ops.shape(x), -1.0, 3.0, seed=seed), 1.0, 4 / 12**0.5),
        (lambda x, seed: keras.random.normal(ops.shape(x), 2.0, 0.5, seed=seed), 2.0, 0.5),
        (lambda x, seed: keras.random.randint(ops.shape(x), 0, 10, seed=seed), 4.5, 8.25**0.5),
        (lambda x, seed: keras.random.dropout(ops.ones_like(x), 0.2, seed=seed), 1.0, 0.5),
    ],
)
def test_random_numbers_have_their_distribution_at_once_and_in_a_graph(draw: Any, mean: float, spread: float) -> None:
    class Random(keras.Layer):
        def call(self, x: Any) -> Any:
            return ops.cast(draw(x, generator), "float32") + 0 * x

    generator = keras.random.SeedGenerator(1)
    x = np.zeros((100, 60), "float32")
    now = [np.asarray(draw(x, generator), "float64") for _ in range(2)]
    traced = keras.Sequential([keras.Input((60,)), Random()])(x).numpy()
    assert np.any(now[0] != now[1])
    for numbers in (*now, traced):
        assert abs(numbers.mean() - mean) < 4 * spread / x.size**0.5
        assert abs(numbers.std() - spread) < 0.05 * spread
    np.testing.assert_array_equal(draw(x, 7), draw(x, 7))
    generator = 7  # type: ignore[assignment]  # the layer draws with a fixed seed from here on
    fixed = keras.Sequential([keras.Input((60,)), Random()])
    np.testing.assert_array_equal(fixed(x), draw(x, 7))
    np.testing.assert_array_equal(fixed(x), fixed(x))


def test_classes_are_drawn_with_their_probabilities() -> None:
    keras.utils.set_random_seed(0)
    drawn = keras.random.categorical(np.log([[0.1, 0.9], [0.5, 0.5]]).astype("float32"), 4000).numpy()
    assert drawn.shape == (2, 4000)
    np.testing.assert_allclose(drawn.mean(1), [0.9, 0.5], atol=0.03)


def test_a_wrong_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be a non-negative integer. Received: seed=-1"):
        keras.random.SeedGenerator(-1)
    with pytest.raises(ConfigError, match="non-negative integer. Received: seed='one'"):
        keras.utils.set_random_seed("one")  # type: ignore[arg-type]


# -- mistakes ----------------------------------------------------------------------------------------------------------


def layer_of(call: Any) -> keras.Layer:
    return type("Mistaken", (keras.Layer,), {"call": lambda self, x: call(self, x)})(name="mistaken")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda self, x: np.exp(x), TraceError, "'mistaken' .*Use seqc.ops functions instead of NumPy"),
        (lambda self, x: np.asarray(x), TraceError, "'mistaken' .*Use seqc.ops functions instead of NumPy"),
        (lambda self, x: np.mean(x, axis=1), TraceError, "'mistaken' .*Use seqc.ops functions instead of NumPy"),
        (lambda self, x: x if ops.sum(x) > 0 else -x, TraceError, "'mistaken' .*Python control flow on tensors"),
        (lambda self, x: x * float(ops.sum(x)), TraceError, "'mistaken'"),
        (lambda self, x: x.numpy(), TraceError, "'mistaken'"),
        (lambda self, x: np.ones((2, 3)), LayerError, "'mistaken' .* returned ndarray; .* Compute it from the input"),
        (lambda self, x: None, LayerError, "returned NoneType; .* Is a `return` missing"),
        (lambda self, x: (x, x), LayerError, "returned tuple; .* several outputs do not fit"),
        (lambda self, x: ops.matmul(x, np.ones((5, 2), "float32")), ShapeError, "'mistaken'"),
        (lambda self, x: ops.reshape(x, (-1, 3)), ShapeError, "'mistaken'"),
    ],
)
def test_mistakes_in_a_call_name_the_layer_and_say_what_to_do(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        keras.Sequential([keras.Input((4,)), layer_of(call)])


def test_the_numbers_of_a_weight_cannot_be_baked_into_a_graph() -> None:
    class Baked(Linear):
        def call(self, inputs: Any) -> Any:
            return inputs @ np.exp(self.w)

    class Copied(Linear):
        def call(self, inputs: Any) -> Any:
            return inputs @ self.w.numpy()

    for kind in (Baked, Copied):
        with pytest.raises(TraceError, match="not known while the graph is being built"):
            keras.Sequential([keras.Input((4,)), kind(3)])


def test_random_numbers_may_have_any_size_that_follows_from_the_input() -> None:
    def noisy(self: Any, x: Any) -> Any:
        return x + 0.0 * ops.mean(keras.random.normal((ops.shape(x)[0] * 2, ops.shape(x)[1] + 1)))

    model = keras.Sequential([keras.Input((4,)), layer_of(noisy)])
    np.testing.assert_array_equal(model.predict(X, verbose=0), X)


def test_a_layer_may_return_its_own_variable() -> None:
    class Table(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.table = self.add_weight((2, 3), "ones")

        def call(self, x: Any) -> Any:
            return self.table

    class Scaled(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Table()

        def call(self, x: Any) -> Any:
            return x * ops.sum(self.inner(x))

    layer = Table()
    np.testing.assert_array_equal(layer(X), np.ones((2, 3)))
    np.testing.assert_array_equal(keras.Sequential([keras.Input((4,)), Table()]).predict(X[:2], verbose=0), layer(X))
    model = keras.Sequential([keras.Input((4,)), Scaled()])
    model.compile("sgd", "mse")
    model.fit(X, X, batch_size=12, verbose=0)
    np.testing.assert_allclose(model.predict(X, verbose=0), X * np.sum(model.get_weights()[0]), rtol=1e-5)


def test_a_layer_that_gives_one_number_for_the_whole_batch_is_refused() -> None:
    class Mean(layers.Layer):
        def call(self, x: Any) -> Any:
            return ops.mean(x)

    with pytest.raises(LayerError, match=r"'m' \(.*\) returned a single number for the whole batch.*ops.mean\(x, axis"):
        keras.Sequential([keras.Input((4,)), Mean(name="m")])
    assert float(Mean()(X)) == pytest.approx(float(X.mean()), abs=1e-6)


def test_a_layer_that_keeps_something_else_under_a_name_of_its_arguments_comes_back_the_same() -> None:
    class Doubled(layers.Layer):
        def __init__(self, units: int, width: int | None = None, **more: Any) -> None:
            super().__init__(**more)
            self.units, self.width = units * 2, width or 5

    first = Doubled(3)
    assert {"units": 3, "width": None}.items() <= first.get_config().items()
    again = Doubled.from_config(first.get_config())
    assert (again.units, again.width) == (6, 5)
