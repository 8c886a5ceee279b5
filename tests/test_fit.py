"""compile, fit, evaluate, predict and their kin: arguments, numbers and order, as Keras has them."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.small_models import CLASSES, RNG, X, Y, classifier, error, regression, same
from seqc import layers
from seqc.errors import ConfigError, NotBuiltError

# -- compile -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "metrics"),
    [
        ("mse", None),
        ("mean_squared_error", ["mae"]),
        (keras.losses.MeanSquaredError(), [keras.metrics.MeanAbsoluteError(name="mae")]),
        (keras.losses.MeanSquaredError, [keras.metrics.MeanAbsoluteError]),
        (keras.losses.mean_squared_error, [keras.losses.mean_absolute_error, None]),
        (["mse"], [["mae"]]),
        ({"out": "mse"}, {"out": ["mae"]}),
        ({"out": "mse"}, {"out": "mae"}),
    ],
)
def test_losses_and_metrics_are_named_in_every_way(loss: Any, metrics: Any) -> None:
    model = regression(loss=loss, metrics=metrics)
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(error(model).mean(), rel=1e-5)
    assert len(found) == (1 if metrics is None else 2)


@pytest.mark.parametrize("optimizer", ["adam", "Adam", keras.optimizers.Adam(1e-3), keras.optimizers.Adam])
def test_optimizers_are_named_in_every_way(optimizer: Any) -> None:
    assert type(regression(optimizer).optimizer).__name__ == "Adam"


def test_the_default_optimizer_is_rmsprop() -> None:
    model = keras.Sequential([layers.Dense(1)])
    model.compile(loss="mse")
    assert type(model.optimizer).__name__ == "RMSprop"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": "mea_squared_error"}, "Could not interpret loss identifier: mea_squared_error"),
        ({"optimizer": "adom"}, "Could not interpret optimizer identifier: adom"),
        ({"loss": ["mse", "mae"]}, "A model with one output takes one loss"),
        ({"metrics": "accuracy"}, "Expected `metrics` argument to be a list, tuple, or dict"),
        ({"metrics": {"a": "mae", "b": "mae"}}, "has one output; `metrics` names 2"),
        ({"loss_weights": [1.0, 2.0]}, "loss_weights of a model with one output is one number"),
    ],
)
def test_compile_refuses_what_it_does_not_understand(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        regression(**options)


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.fit(X, Y),
        lambda m: m.evaluate(X, Y),
        lambda m: m.train_on_batch(X, Y),
        lambda m: m.test_on_batch(X, Y),
        lambda m: m.reset_metrics(),
    ],
)
def test_training_before_compile_is_an_error(use: Any) -> None:
    with pytest.raises(NotBuiltError, match="You must call `compile\\(\\)` before using the model"):
        use(keras.Sequential([layers.Dense(2)]))


def test_there_is_no_optimizer_before_compile() -> None:
    with pytest.raises(AttributeError, match="You must call `compile\\(\\)` before using the model"):
        keras.Sequential([layers.Dense(2)]).optimizer  # noqa: B018


def test_a_loss_weight_scales_the_loss() -> None:
    plain, scaled = regression(), regression(loss_weights=[2.5])
    assert scaled.evaluate(X, Y, verbose=0) == pytest.approx(2.5 * plain.evaluate(X, Y, verbose=0), rel=1e-5)


def test_a_loss_scale_changes_nothing_but_the_size_of_intermediate_gradients() -> None:
    weights = []
    for scale in (None, 1024.0):
        model = regression(keras.optimizers.SGD(0.1, loss_scale_factor=scale))
        history = model.fit(X, Y, shuffle=False, verbose=0).history["loss"]
        weights.append([*model.get_weights(), np.array(history)])
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_compiling_again_resets_the_optimizer_and_keeps_the_weights() -> None:
    model = regression("adam")
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    model.compile("adam", "mse")
    assert int(model.optimizer.iterations) == 0
    assert same(weights, model.get_weights())
    model.fit(X, Y, verbose=0)
    assert int(model.optimizer.iterations) == 1


# -- what comes back ---------------------------------------------------------------------------------------------------


def test_history_is_sorted_and_evaluate_is_in_the_order_of_compile() -> None:
    model = classifier(metrics=["sparse_top_k_categorical_accuracy", "accuracy"], weighted_metrics=["accuracy"])
    history = model.fit(X, CLASSES, epochs=2, validation_data=(X, CLASSES), verbose=0)
    names = ["accuracy", "loss", "sparse_top_k_categorical_accuracy"]
    assert list(history.history) == [*names, *(f"val_{n}" for n in (*names, "weighted_accuracy")), "weighted_accuracy"]
    assert all(len(v) == 2 and all(isinstance(x, float) for x in v) for v in history.history.values())
    assert history.epoch == [0, 1]
    listed = model.evaluate(X, CLASSES, verbose=0)
    named = model.evaluate(X, CLASSES, verbose=0, return_dict=True)
    assert model.metrics_names == ["loss", "sparse_top_k_categorical_accuracy", "accuracy", "weighted_accuracy"]
    assert [named[name] for name in model.metrics_names] == listed


def test_a_loss_alone_is_a_number_and_with_metrics_a_list() -> None:
    assert isinstance(regression().evaluate(X, Y, verbose=0), float)
    assert isinstance(regression().train_on_batch(X, Y), float)
    loss, mae = regression(metrics=["mae"]).test_on_batch(X, Y)
    assert (loss, mae) != (0.0, 0.0)
    assert set(regression().test_on_batch(X, Y, return_dict=True)) == {"loss"}


def test_the_loss_of_an_epoch_is_the_mean_over_samples_not_over_batches() -> None:
    model = regression(keras.optimizers.SGD(0.0))
    whole = error(model).mean()
    for size in (3, 7, 20, 100):
        assert model.fit(X, Y, batch_size=size, verbose=0).history["loss"][0] == pytest.approx(whole, rel=1e-5)
        assert model.evaluate(X, Y, batch_size=size, verbose=0) == pytest.approx(whole, rel=1e-5)


@pytest.mark.parametrize("size", [None, 1, 6, 20, 33])
def test_predictions_come_in_the_order_of_the_samples_whatever_the_batches(size: int | None) -> None:
    model = regression()
    np.testing.assert_allclose(model.predict(X, batch_size=size, verbose=0), model(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict_on_batch(X), model(X), rtol=1e-6)


def test_predictions_are_arrays_of_their_own() -> None:
    same_again = keras.Sequential([keras.Input((4,)), layers.Activation("linear")])
    ways: list[Callable[[Any], Any]] = [lambda x: same_again.predict(x, verbose=0), same_again.predict_on_batch]
    for predict in ways:
        x = X.copy()
        predict(x)[:] = 0
        np.testing.assert_array_equal(x, X)


def test_memory_does_not_grow_with_the_number_of_batches() -> None:
    model = keras.Sequential([keras.Input((500,)), layers.Dense(400, activation="relu"), layers.Dense(2)])
    x = np.ones((2000, 500), "float32")
    model.predict(x[:100], verbose=0)
    peaks = []
    for samples in (200, 2000):
        tracemalloc.start()
        model.predict(x[:samples], batch_size=100, verbose=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    results = 2000 * 2 * 4
    assert peaks[1] - peaks[0] < 3 * results


# -- epochs and steps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "steps", "epochs"),
    [
        ({}, 1, [0]),
        ({"epochs": 3, "batch_size": 6}, 12, [0, 1, 2]),
        ({"epochs": 5, "initial_epoch": 3, "batch_size": 10}, 4, [3, 4]),
        ({"epochs": 0}, 0, []),
        ({"epochs": 2, "initial_epoch": 2}, 0, []),
        # Without a batch size, the samples are spread over the steps.
        ({"epochs": 2, "steps_per_epoch": 4}, 8, [0, 1]),
        ({"epochs": 2, "steps_per_epoch": 2, "batch_size": 5}, 4, [0, 1]),
    ],
)
def test_epochs_and_steps_are_counted(options: dict[str, Any], steps: int, epochs: list[int]) -> None:
    model = regression()
    history = model.fit(X, Y, verbose=0, **options)
    assert int(model.optimizer.iterations) == steps
    assert history.epoch == epochs
    assert history.params["epochs"] == options.get("epochs", 1)


def test_an_epoch_of_fewer_steps_goes_on_where_the_last_one_stopped() -> None:
    model = regression(keras.optimizers.SGD(0.0))
    each = error(model)
    found = model.fit(X, Y, batch_size=5, steps_per_epoch=2, epochs=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, [each[:10].mean(), each[10:].mean()] * 2, rtol=1e-5)


def test_more_steps_than_data_end_the_epoch_with_a_warning() -> None:
    model = regression()
    with pytest.warns(UserWarning, match="The data ran out: 4 of the 7 steps of the epoch were done"):
        history = model.fit(X, Y, batch_size=5, steps_per_epoch=7, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 8
    assert history.epoch == [0, 1]


def test_fewer_steps_evaluate_and_predict_the_first_samples() -> None:
    model = regression()
    assert model.evaluate(X, Y, batch_size=4, steps=2, verbose=0) == pytest.approx(error(model)[:8].mean(), rel=1e-5)
    np.testing.assert_allclose(model.predict(X, batch_size=4, steps=2, verbose=0), model(X)[:8], rtol=1e-5)


def test_fitting_again_goes_on_counting_steps() -> None:
    model, once = regression("adam"), regression("adam")
    for _ in range(2):
        model.fit(X, Y, batch_size=10, shuffle=False, verbose=0)
    once.fit(X, Y, batch_size=10, shuffle=False, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert same(model.get_weights(), once.get_weights())


# -- validation --------------------------------------------------------------------------------------------------------


def test_the_validation_split_is_the_end_of_the_data_before_shuffling() -> None:
    model = regression(keras.optimizers.SGD(0.0))
    each = error(model)
    found = model.fit(X, Y, validation_split=0.25, verbose=0).history
    assert found["loss"][0] == pytest.approx(each[:15].mean(), rel=1e-5)
    assert found["val_loss"][0] == pytest.approx(each[15:].mean(), rel=1e-5)


def test_validation_sees_sample_weights_and_not_class_weights() -> None:
    model = classifier(optimizer=keras.optimizers.SGD(0.0))
    plain = model.evaluate(X[15:], CLASSES[15:], verbose=0)
    weights = dict.fromkeys(range(3), 4.0)
    found = model.fit(X, CLASSES, validation_split=0.25, class_weight=weights, verbose=0).history
    assert found["val_loss"][0] == pytest.approx(plain, rel=1e-5)
    assert found["loss"][0] == pytest.approx(4 * model.evaluate(X[:15], CLASSES[:15], verbose=0), rel=1e-5)
    found = model.fit(X, CLASSES, validation_data=(X[15:], CLASSES[15:], np.full(5, 3.0)), verbose=0).history
    assert found["val_loss"][0] == pytest.approx(3 * plain, rel=1e-5)


@pytest.mark.parametrize(("frequency", "epochs"), [(1, 4), (2, 2), (3, 1), ([1, 4], 2), ((2,), 1), ([9], 0)])
def test_validation_comes_every_so_many_epochs_or_at_those_named(frequency: Any, epochs: int) -> None:
    history = regression().fit(X, Y, epochs=4, validation_data=(X, Y), validation_freq=frequency, verbose=0).history
    assert len(history["loss"]) == 4
    assert len(history.get("val_loss", [])) == epochs


def test_validation_steps_start_at_the_beginning_each_time() -> None:
    model = regression(keras.optimizers.SGD(0.0))
    each = error(model)
    found = model.fit(
        X, Y, epochs=2, validation_data=(X, Y), validation_batch_size=3, validation_steps=2, verbose=0
    ).history
    np.testing.assert_allclose(found["val_loss"], [each[:6].mean()] * 2, rtol=1e-5)


# -- shuffling and seeds -----------------------------------------------------------------------------------------------


class Seen(keras.Layer):
    """Keeps the first sample of the latest batch."""

    def build(self, input_shape: Any) -> None:
        self.row = self.add_weight((1,), "zeros", trainable=False)

    def call(self, x: Any) -> Any:
        self.row.assign(x[0])
        return x


def orders(shuffle: Any, seed: int = 1) -> list[list[int]]:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((1,)), seen := Seen(), layers.Dense(1)])
    model.compile("sgd", "mse")
    found: list[int] = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: found.append(int(seen.row)))
    x = np.arange(12.0)
    model.fit(x, x, batch_size=1, epochs=2, shuffle=shuffle, verbose=0, callbacks=[watch])
    return [found[:12], found[12:]]


def test_shuffling_makes_a_new_order_in_every_epoch_that_the_seed_repeats() -> None:
    first, second = orders(True)
    assert first != second
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != list(range(12))
    assert orders(True) == [first, second]
    assert orders(True, seed=2) != [first, second]


def test_without_shuffling_the_order_is_that_of_the_data() -> None:
    assert orders(False) == [list(range(12))] * 2


SEEDED = """
import sys
import numpy as np, seqc as keras
keras.utils.set_random_seed(9)
x, y = np.random.rand(24, 4), np.random.randint(0, 3, 24)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dropout(0.4), keras.layers.Dense(3)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
history = model.fit(x, y, epochs=3, batch_size=7, validation_split=0.2, verbose=0)
model.export(sys.argv[1])
print(history.history, [w.tobytes().hex() for w in model.get_weights()])
"""


def test_one_seed_gives_the_same_data_weights_shuffles_dropout_history_and_file(tmp_path: Path) -> None:
    found = []
    for name in ("a.onnx", "b.onnx"):
        run = [sys.executable, "-c", SEEDED, str(tmp_path / name)]
        environment = {**os.environ, "PYTHONHASHSEED": name[0].encode().hex()}
        said = subprocess.run(run, capture_output=True, text=True, check=True, env=environment).stdout
        found.append((said, (tmp_path / name).read_bytes()))
    assert found[0] == found[1]


def test_predicting_draws_no_random_numbers() -> None:
    def losses(predicts: bool) -> list[float]:
        model = classifier(layers.Dropout(0.5))
        if predicts:
            model.predict(X, verbose=0)
            model.evaluate(X, CLASSES, verbose=0)
        return model.fit(X, CLASSES, epochs=2, batch_size=7, verbose=0).history["loss"]

    assert losses(True) == losses(False)


def test_dropout_differs_from_batch_to_batch_even_while_gradients_accumulate() -> None:
    optimizer = keras.optimizers.SGD(0.0, gradient_accumulation_steps=2)
    model = classifier(layers.Dropout(0.5), optimizer=optimizer)
    assert len({model.train_on_batch(X, CLASSES) for _ in range(4)}) == 4


class Always(layers.Layer):
    """Draws in every call, training or not."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.drop = layers.Dropout(0.5, seed=7 if kind == "seeded dropout" else None)
        self.generator = keras.random.SeedGenerator(3) if kind == "generator" else None

    def call(self, x: Any) -> Any:
        if self.generator is None:
            return self.drop(x, training=True)
        return x + keras.random.normal(keras.ops.shape(x), seed=self.generator)


def always(kind: str) -> Any:
    """Returns a model that draws in every call, and what each of its methods gives in turn, with `compile` between."""
    keras.utils.set_random_seed(8)
    model = keras.Sequential([keras.Input((4,)), Always(kind), layers.Dense(1, kernel_initializer="ones")])
    found: list[bytes] = []
    x, y = np.ones((6, 4), "float32"), np.zeros((6, 1), "float32")
    for _ in range(2):
        model.compile(keras.optimizers.SGD(0.0), "mse")
        for use in (
            lambda: model.predict(x, 3, verbose=0),
            lambda: model.predict_on_batch(x),
            lambda: model.evaluate(x, y, verbose=0),
            lambda: model.test_on_batch(x, y),
            lambda: model.train_on_batch(x, y),
            lambda: model.fit(x, y, verbose=0, shuffle=False).history["loss"],
        ):
            found += [np.asarray(use()).tobytes() for _ in range(2)]
    return model, found


@pytest.mark.parametrize("kind", ["dropout", "seeded dropout", "generator"])
def test_what_draws_at_every_call_draws_other_numbers_for_every_batch(kind: str) -> None:
    model, found = always(kind)
    rows = model.predict(np.ones((6, 4), "float32"), 3, verbose=0)
    # Dropout of four ones has few different sums; masks that repeat would be the same throughout.
    assert len(set(found)) > (20 if kind == "generator" else 14)
    assert not np.array_equal(rows[:3], rows[3:])
    assert always(kind)[1] == found


@pytest.mark.parametrize("kind", ["dropout", "generator"])
def test_many_predictions_with_dropout_vary_around_the_mean(kind: str) -> None:
    keras.utils.set_random_seed(8)
    model = keras.Sequential([keras.Input((50,)), Always(kind)])
    drawn = np.stack([model.predict_on_batch(np.ones((6, 50), "float32")) for _ in range(40)])
    assert drawn.mean() == pytest.approx(1, abs=0.05)
    assert drawn.std(0).mean() == pytest.approx(1, abs=0.05)


# -- weights of samples and classes ------------------------------------------------------------------------------------


def test_sample_weights_enter_the_loss_and_the_weighted_metrics_only() -> None:
    model = regression(keras.optimizers.SGD(0.0), metrics=["mse"], weighted_metrics=["mse"])
    weight, each = RNG.random(20).astype("float32"), error(model)
    found = model.fit(X, Y, sample_weight=weight, verbose=0).history
    assert found["loss"][0] == pytest.approx((weight * each).mean(), rel=1e-5)
    assert found["mse"][0] == pytest.approx(each.mean(), rel=1e-5)
    assert found["weighted_mse"][0] == pytest.approx((weight * each).sum() / weight.sum(), rel=1e-5)
    assert model.evaluate(X, Y, sample_weight=weight, verbose=0)[0] == pytest.approx(found["loss"][0], rel=1e-5)
    assert model.train_on_batch(X, Y, sample_weight=weight)[0] == pytest.approx(found["loss"][0], rel=1e-5)


def test_steps_of_a_sequence_have_weights_of_their_own() -> None:
    model = keras.Sequential([keras.Input((5, 3)), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = RNG.random((6, 5, 3)), RNG.random((6, 5, 2))
    weight = RNG.random((6, 5)).astype("float32")
    found = model.fit(x, y, sample_weight=weight, verbose=0).history["loss"][0]
    assert found == pytest.approx((weight * error(model, x, y)).mean(), rel=1e-5)


@pytest.mark.parametrize("labels", [CLASSES, CLASSES[:, None], np.eye(3)[CLASSES]], ids=["flat", "column", "one-hot"])
def test_class_weights_weigh_the_samples_of_each_class(labels: Any) -> None:
    loss = "categorical_crossentropy" if labels.shape[-1] == 3 else "sparse_categorical_crossentropy"
    model = classifier(optimizer=keras.optimizers.SGD(0.0), loss=loss)
    table = np.array([0.5, 1.0, 3.0])
    each = -np.log(model.predict(X, verbose=0)[np.arange(20), CLASSES])
    found = model.fit(X, labels, class_weight={0: 0.5, 2: 3.0}, verbose=0).history["loss"][0]
    assert found == pytest.approx((table[CLASSES] * each).mean(), rel=1e-5)
    keys: Any = {np.int64(0): 0.5, 2.0: 3.0}
    assert model.train_on_batch(X, labels, class_weight=keys) == pytest.approx(found, rel=1e-5)
