"""What may change between one training and the next, and what is traced anew then."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.small_models import CLASSES, X, Y, classifier, error, regression, same
from seqc import layers
from seqc.errors import ConfigError, DataError

# -- changes between fits ----------------------------------------------------------------------------------------------


def test_a_learning_rate_set_between_fits_counts() -> None:
    model = regression()
    model.fit(X, Y, verbose=0)
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert same(before, model.get_weights())
    model.optimizer.learning_rate = 0.1
    model.fit(X, Y, verbose=0)
    assert not same(before, model.get_weights())


@pytest.mark.slow
def test_loading_weights_leaves_an_unused_optimizer_as_it_was_compiled(tmp_path: Path) -> None:
    def made(rate: float, steps: int) -> Any:
        model = regression(keras.optimizers.Adam(rate))
        if steps:
            model.fit(X, Y, epochs=steps, batch_size=20, verbose=0)
        return model

    made(0.5, 3).save_weights(tmp_path / "used.weights.h5")
    made(0.5, 0).save_weights(tmp_path / "new.weights.h5")
    expected = {("used", 0): (0.01, 0), ("used", 2): (0.5, 3), ("new", 0): (0.5, 0), ("new", 2): (0.01, 2)}
    for (file, steps), (rate, taken) in expected.items():  # as in Keras 3.15
        model = made(0.01, steps)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model.load_weights(tmp_path / f"{file}.weights.h5")
        assert float(model.optimizer.learning_rate) == pytest.approx(rate)
        assert int(model.optimizer.iterations) == taken
        assert ["its learning rate and state stay" in str(w.message) for w in said] == [True] * (rate == 0.01)
    model = made(0.01, 0)
    model.optimizer.build(model.trainable_variables)
    model.load_weights(tmp_path / "used.weights.h5")
    assert float(model.optimizer.learning_rate) == 0.5


def test_a_schedule_put_in_the_place_of_a_learning_rate_counts() -> None:
    model = regression()
    model.fit(X, Y, verbose=0)
    model.optimizer.learning_rate = keras.optimizers.schedules.PiecewiseConstantDecay([100], [0.0, 1.0])
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert same(before, model.get_weights())


def test_another_compile_keeps_the_loss_and_the_metrics_that_it_leaves_out() -> None:
    # As Keras does: scripts compile again for a smaller rate, and read history["mae"].
    model = regression()
    model.compile("sgd", "mse", metrics=["mae"])
    off = model.predict(X, verbose=0).astype("float64") - np.reshape(Y, (len(Y), -1))
    squared, absolute = np.mean(off**2), np.mean(np.abs(off))
    model.compile("adam")
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), [squared, absolute], rtol=1e-5)
    model.compile("adam", "mae")
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), [absolute, absolute], rtol=1e-5)
    model.compile("adam", metrics=["mse"])
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), [absolute, squared], rtol=1e-5)
    model.compile("adam", metrics=[])
    np.testing.assert_allclose(model.evaluate(X, Y, verbose=0), absolute, rtol=1e-5)
    assert list(model.fit(X, Y, verbose=0).history) == ["loss"]


@pytest.mark.parametrize("how", ["keras", "json", "config"])
def test_what_another_compile_kept_comes_along(how: str, tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 24, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("rmsprop", "mae", metrics=["mse", keras.metrics.RootMeanSquaredError(name="root")])
    model.fit(x, y, verbose=0)
    model.compile(keras.optimizers.SGD(0.1))
    if how == "keras":
        model.save(tmp_path / "model.keras")
        copy = keras.models.load_model(tmp_path / "model.keras")
    else:
        copy = keras.models.model_from_json(model.to_json())
        copy.set_weights(model.get_weights())
        copy.compile_from_config(model.get_compile_config() or {})
        if how == "config":
            copy.compile_from_config(copy.get_compile_config() or {})
    assert copy.evaluate(x, y, verbose=0, return_dict=True) == model.evaluate(x, y, verbose=0, return_dict=True)
    assert copy.fit(x, y, verbose=0, shuffle=False).history == model.fit(x, y, verbose=0, shuffle=False).history
    assert list(model.history.history) == ["loss", "mse", "root"]  # type: ignore[union-attr]
    model.compile(loss="mse", metrics=["mae"])
    copy.compile(loss="mse", metrics=["mae"])
    assert copy.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_a_layer_frozen_after_compile_stays_as_it_is() -> None:
    model = regression()
    for step in ("before the first fit", "after it"):
        model.layers[0].trainable = False
        before = model.get_weights()
        model.fit(X, Y, verbose=0)
        changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
        assert changed == [False, False, True, True], step
        model.layers[0].trainable = True
        model.compile("sgd", "mse")
        model.fit(X, Y, verbose=0)


def test_a_layer_that_thaws_needs_another_compile() -> None:
    model = regression()
    model.layers[0].trainable = False
    model.fit(X, Y, verbose=0)
    model.layers[0].trainable = True
    with pytest.raises(ConfigError, match="(?s)Unknown variable: .*kernel.* recreate a new optimizer"):
        model.fit(X, Y, verbose=0)
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def waves(model: Any) -> Any:
    """Returns a model with weights that are no draw: waves, one shifted against another."""
    for k, weight in enumerate(model.weights):
        wave = np.sin(np.arange(np.prod(weight.shape)) * 0.7 + k).reshape(weight.shape) * 0.5
        weight.assign(np.abs(wave) + 0.5 if weight.name in ("gamma", "moving_variance") else wave)
    return model


def with_base() -> tuple[Any, Any]:
    base = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(4, activation="tanh", name="l0"),
            layers.BatchNormalization(name="l1", momentum=0.5),
            layers.Dense(4, name="l2"),
        ],
        name="base",
    )
    return waves(keras.Sequential([keras.Input((3,)), base, layers.Dense(1, name="head")])), base


WAVE_X = np.sin(np.arange(72) * 0.37).reshape(24, 3).astype("float32")
WAVE_Y = np.cos(np.arange(24) * 0.21).reshape(24, 1).astype("float32")


# Recorded from Keras 3.15.1: what trains after a base was frozen and these were unfrozen in it, and the losses.
@pytest.mark.parametrize(
    ("thaw", "trained", "losses"),
    [
        (lambda base: [], 2, [0.63884, 0.59106]),
        (lambda base: [base.layers[2]], 4, [0.63587, 0.69232]),
        (lambda base: base.layers[1:], 6, [0.85227, 0.67682]),
        (lambda base: [base.layers[0].kernel], 3, [0.63932, 0.5922]),
    ],
)
def test_what_is_unfrozen_in_a_frozen_base_trains(thaw: Any, trained: int, losses: list[float]) -> None:
    model, base = with_base()
    base.trainable = False
    for one in thaw(base):
        one.trainable = True
    model.compile(keras.optimizers.SGD(0.1, weight_decay=0.1), "mse")
    assert len(model.trainable_weights) == trained
    assert len(base.trainable_weights) == 0
    found = model.fit(WAVE_X, WAVE_Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, losses, atol=1e-5)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["base.keras", "base.h5"])
def test_files_keep_what_is_frozen_and_what_is_not_in_it(name: str, tmp_path: Path) -> None:
    model, base = with_base()
    base.trainable, base.layers[2].trainable = False, True
    model.compile("adam", "mse")
    model.fit(WAVE_X, WAVE_Y, verbose=0)
    model.save(tmp_path / name)
    loaded = keras.saving.load_model(tmp_path / name)
    assert [v.path for v in loaded.trainable_weights] == [v.path for v in model.trainable_weights]
    assert same(loaded.get_weights(), model.get_weights())
    assert loaded.fit(WAVE_X, WAVE_Y, verbose=0).history == model.fit(WAVE_X, WAVE_Y, verbose=0).history


class Pair(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first, self.second = layers.Dense(4), layers.Dense(4)

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


def test_which_layers_inside_a_frozen_layer_train() -> None:  # as with Keras 3.15.1
    made = Pair(trainable=False)  # which says nothing of the layers inside
    model = keras.Sequential([keras.Input((3,)), made, layers.Dense(1)])
    assert (len(model.trainable_weights), len(made.trainable_weights)) == (6, 0)
    made.trainable, made.second.trainable = False, True
    assert len(model.trainable_weights) == 4
    times = layers.TimeDistributed(layers.Dense(2))
    both = layers.Bidirectional(layers.LSTM(2))
    model = keras.Sequential([keras.Input((4, 3)), times, both])
    times.trainable, both.trainable = False, False
    times.layer.trainable, both.forward_layer.trainable = True, True
    assert len(model.trainable_weights) == 5
    late = keras.Sequential([layers.Dense(4), layers.Dense(4)])
    late.trainable = False
    late.build((None, 3))
    assert [v.trainable for v in late.weights] == [False] * 4


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["one.keras", "one.h5", "one.weights.h5"])
def test_a_weight_frozen_alone_keeps_its_place(name: str, tmp_path: Path) -> None:
    def made() -> Any:
        stack = [keras.Input((3,)), layers.Dense(4), layers.BatchNormalization(name="norm"), layers.Dense(4)]
        return waves(keras.Sequential(stack))

    model = made()
    names = [v.name for v in model.weights]
    model.get_layer("norm").gamma.trainable = False
    model.layers[2].kernel.trainable = False
    assert [v.name for v in model.weights] == names
    if name.endswith(".weights.h5"):
        model.save_weights(tmp_path / name)
        other = made()
        other.set_weights([w + 1 for w in other.get_weights()])
        other.load_weights(tmp_path / name)
    else:
        model.save(tmp_path / name)
        other = keras.saving.load_model(tmp_path / name)
    assert same(other.get_weights(), model.get_weights())


@pytest.mark.parametrize("kind", ["arrays", "generator"])
@pytest.mark.parametrize("start", [True, False])
def test_what_a_callback_freezes_counts_from_the_next_fit(start: bool, kind: str) -> None:
    class Flip(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.layers[0].trainable = not start

    def batches() -> Any:
        while True:
            for at in range(0, 24, 8):
                yield WAVE_X[at : at + 8], WAVE_Y[at : at + 8]

    model = waves(keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)]))
    model.layers[0].trainable = start
    model.compile(keras.optimizers.SGD(0.1), "mse")
    options: Any = {"epochs": 3, "verbose": 0, "callbacks": [Flip()], "shuffle": False}
    if kind == "arrays":
        model.fit(WAVE_X, WAVE_Y, batch_size=8, **options)
    else:
        model.fit(batches(), steps_per_epoch=3, **options)
    biases = [model.weights[1].numpy(), model.weights[3].numpy()]
    found = [float(np.sum(bias * np.cos(np.arange(bias.size)))) for bias in biases]
    wanted = (0.22894, -0.28386) if start else (0.52751, -0.32371)  # recorded from Keras 3.15.1
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}])
def test_a_frozen_batch_normalization_works_as_at_inference(options: dict[str, Any]) -> None:
    model = keras.Sequential([keras.Input((4,)), norm := layers.BatchNormalization(**options), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x = X + 3
    model.fit(x, Y, verbose=0)
    moved = norm.moving_mean.numpy()
    assert np.any(moved != 0)
    norm.trainable = False
    assert model.fit(x, Y, verbose=0).history["loss"][0] == pytest.approx(model.evaluate(x, Y, verbose=0), rel=1e-5)
    np.testing.assert_array_equal(norm.moving_mean, moved)


def test_two_models_train_the_halves_of_a_shared_stack_in_turn() -> None:
    generator = keras.Sequential([keras.Input((3,)), layers.Dense(4)], name="generator")
    critic = keras.Sequential([keras.Input((4,)), layers.Dense(1)], name="critic")
    critic.compile("sgd", "mse")
    both = keras.Sequential([keras.Input((3,)), generator, critic])
    both.compile("sgd", "mse")
    for _ in range(2):
        critic.trainable = True
        before = [generator.get_weights(), critic.get_weights()]
        critic.train_on_batch(X, np.ones((20, 1)))
        assert [same(before[0], generator.get_weights()), same(before[1], critic.get_weights())] == [True, False]
        critic.trainable = False
        before = [generator.get_weights(), critic.get_weights()]
        both.train_on_batch(X[:, :3], np.ones((20, 1)))
        assert [same(before[0], generator.get_weights()), same(before[1], critic.get_weights())] == [False, True]


def test_metrics_start_anew_in_every_epoch_evaluation_and_batch() -> None:
    model = regression(keras.optimizers.SGD(0.0), metrics=["mae"])
    first = model.fit(X, Y, epochs=2, batch_size=6, verbose=0).history
    assert first["mae"][0] == pytest.approx(first["mae"][1], rel=1e-6)
    assert model.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for call in (model.train_on_batch, model.test_on_batch):
        assert call(X[:5], Y[:5])[0] == pytest.approx(error(model)[:5].mean(), rel=1e-5)
    model.reset_metrics()
    assert model.get_metrics_result() == {"loss": 0.0, "mae": 0.0}


def test_moving_averages_of_the_weights_replace_them_when_fit_ends() -> None:
    model = regression(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    model.fit(X, Y, batch_size=10, shuffle=False, verbose=0)
    for weight in model.trainable_weights:
        np.testing.assert_array_equal(weight, model.optimizer.slot(weight, "average"))


# -- tracing once ------------------------------------------------------------------------------------------------------


def test_steps_are_traced_once_for_each_kind_of_batch() -> None:
    calls = []

    class Traced(keras.Layer):
        def call(self, x: Any) -> Any:
            calls.append(x.shape)
            return x

    model = keras.Sequential([keras.Input((None, 4)), Traced(), layers.Dense(2)])
    model.compile("sgd", "mse")
    calls.clear()
    x, y = np.zeros((10, 3, 4)), np.zeros((10, 3, 2))
    for _ in range(2):
        model.fit(x, y, batch_size=4, epochs=2, validation_data=(x, y), verbose=0)
        model.evaluate(x, y, verbose=0)
        model.predict(x, batch_size=3, verbose=0)
    assert len(calls) == 3
    model.predict(np.zeros((2, 5, 4)), verbose=0)
    assert len(calls) == 4


def test_an_attribute_changed_after_training_counts_after_another_compile() -> None:
    model = classifier(drop := layers.Dropout(0.1))
    model.fit(X, CLASSES, verbose=0)
    drop.rate = 0.9
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert np.mean(model(X, training=True) != 0) > 0
    before = model.evaluate(X, CLASSES, verbose=0)
    assert model.fit(X, CLASSES, verbose=0).history["loss"][0] > before + 0.5


@pytest.mark.slow
def test_steps_for_many_kinds_of_batches_do_not_pile_up() -> None:
    class Mean(keras.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.mean(x, axis=1)

    model = keras.Sequential([keras.Input((None, 2)), Mean()])
    for length in range(1, 90):
        assert model.predict(np.ones((1, length, 2)), verbose=0).tolist() == [[1, 1]]
    assert len(model._trainer._steps) == 64


def test_a_rehearsal_finds_mistakes_and_runs_nothing() -> None:
    model = regression(metrics=["mae"])
    model._trainer.rehearse(X, Y)
    assert model.get_metrics_result() == {"loss": 0.0, "mae": 0.0}
    with pytest.raises(DataError, match="needs labels of the output's shape"):
        model._trainer.rehearse(X, Y[:, :1].repeat(3, 1))


# -- what compile was given, replaced --------------------------------------------------------------------------------


def test_an_optimizer_set_on_a_model_takes_the_place_of_the_other() -> None:
    model = waves(keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dense(1)]))
    assert not hasattr(model, "optimizer")
    assert model.loss is None
    model.compile("sgd", "mse")
    model.train_on_batch(WAVE_X, np.zeros((24, 1)))
    waves(model)
    model.optimizer = keras.optimizers.SGD(0.5)
    model.fit(WAVE_X, WAVE_Y, shuffle=False, verbose=0)
    found = [float(np.sum(w * np.cos(np.arange(w.size)).reshape(w.shape))) for w in model.get_weights()]
    np.testing.assert_allclose(found, [-1.63387, 0.11744, 0.72216, -0.39169], atol=1e-5)  # recorded from Keras 3.15.1


class OwnCompile(keras.Model):
    """As examples for Keras have it: what it is given is kept where its own step finds it."""

    def __init__(self) -> None:
        super().__init__()
        self.last = layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.last(x)

    def compile(self, optimizer: Any, loss_fn: Any) -> None:  # type: ignore[override]
        super().compile()
        self.optimizer = optimizer
        self.loss = loss_fn

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with keras.GradientTape() as tape:
            loss = self.loss(y, self(x, training=True))
        self.optimizer.apply_gradients(
            zip(tape.gradient(loss, self.trainable_variables), self.trainable_variables, strict=True)
        )
        return {"l": loss}


def test_a_compile_of_ones_own_sets_optimizer_and_loss() -> None:
    model = OwnCompile()
    model.build((None, 3))
    waves(model)
    model.compile(keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError())
    found = model.fit(WAVE_X, WAVE_Y, epochs=2, shuffle=False, verbose=0).history["l"]
    np.testing.assert_allclose(found, [1.08328235, 0.82383651], rtol=1e-5)  # recorded from Keras 3.15.1


@pytest.mark.parametrize(
    ("weights", "losses"),
    [
        ([0.5, 2.0], [1.86214, 1.75838]),
        ([np.float32(0.5), np.float32(2.0)], [1.86214, 1.75838]),
        (list(np.array([0.5, 2.0], "float32")), [1.86214, 1.75838]),
        ([np.int64(1), np.int64(2)], [2.40378, 2.10989]),
        ("variables", [1.74353, 0.73402]),
    ],
)
def test_loss_weights_are_numbers_of_any_kind(weights: Any, losses: list[float]) -> None:  # recorded from Keras 3.15.1
    varied = keras.Variable(1.0)
    if weights == "variables":
        weights = [varied, keras.Variable(1.0)]
    x = keras.Input((3,))
    model = waves(keras.Model(x, [layers.Dense(1, name="p")(x), layers.Dense(1, name="q")(x)]))
    model.compile(keras.optimizers.SGD(0.1), ["mse", "mae"], loss_weights=weights)
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: varied.assign(0.1))
    found = model.fit(WAVE_X, [WAVE_Y, WAVE_Y], epochs=2, shuffle=False, verbose=0, callbacks=[watch])
    np.testing.assert_allclose(found.history["loss"], losses, atol=1e-5)
    model.compile_from_config(model.get_compile_config())
