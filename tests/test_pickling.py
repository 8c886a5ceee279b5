"""Models, and what they are made of, can be pickled and copied at any time, and go on as if nothing had happened."""

from __future__ import annotations

import copy
import hashlib
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

import seqc as keras
from seqc import Sequential, layers, ops
from seqc.graph.ir import Array

RNG = np.random.default_rng(0)
X, Y = RNG.random((24, 6), dtype="float32"), RNG.random((24, 2), dtype="float32")
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.9)

Copier = Callable[[Any], Any]
COPIERS: dict[str, Copier] = {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "deepcopy": copy.deepcopy}


class Scale(layers.Layer):
    """A layer of the user's own."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")
        self.inner = layers.Dense(input_shape[-1])

    def call(self, x: Any) -> Any:
        return self.inner(x * self.factor)


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def own_metric(y_true: Any, y_pred: Any) -> Any:
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def dense(optimizer: Any = "adam") -> Sequential:
    model = Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, "relu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(2, kernel_constraint="max_norm"),
        ]
    )
    model.compile(optimizer, "mse", metrics=["mae", keras.metrics.RootMeanSquaredError()], weighted_metrics=["mse"])
    return model


def own() -> Sequential:
    model = Sequential([Scale(), Sequential([layers.Dense(4, "tanh")]), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(SCHEDULE, momentum=0.9), own_loss, metrics=[own_metric])
    return model


def recurrent() -> Sequential:
    stack = [layers.Reshape((3, 2)), layers.Masking(), layers.Bidirectional(layers.GRU(3)), layers.Dense(2)]
    model = Sequential([keras.Input((6,)), *stack])
    model.compile("rmsprop", keras.losses.Huber(), metrics=[keras.metrics.MeanSquaredError("m")])
    return model


MODELS: dict[str, Callable[[], Sequential]] = {"dense": dense, "own": own, "recurrent": recurrent}
OPTIMIZERS: dict[str, Any] = {
    "schedule": lambda: keras.optimizers.Adam(SCHEDULE, clipnorm=1.0),
    "average": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True, use_ema=True),
    "accumulate": lambda: keras.optimizers.AdamW(0.01, gradient_accumulation_steps=3),
}


def train(model: Sequential, epochs: int = 1) -> list[float]:
    found: list[float] = model.fit(X, Y, batch_size=5, epochs=epochs, verbose=0, shuffle=False).history["loss"]
    return found


def state(model: Sequential) -> list[bytes]:
    return [v.numpy().tobytes() for v in (*model.weights, *model.optimizer.variables)]


def assert_goes_on_alike(model: Sequential, other: Sequential) -> None:
    assert train(other) == train(model)
    assert state(other) == state(model)
    assert other.predict(X, verbose=0).tobytes() == model.predict(X, verbose=0).tobytes()
    assert other.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS)
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_copy_of_a_trained_model_trains_on_as_the_model_does(make: Callable[[], Sequential], copier: Copier) -> None:
    model = make()
    train(model)
    model.predict(X, verbose=0)
    other = copier(model)
    assert not {id(v) for v in other.weights} & {id(v) for v in model.weights}
    assert other.metrics_names == model.metrics_names
    assert other.history.history == model.history.history  # type: ignore[union-attr]
    assert other.output_shape == model.output_shape
    assert_goes_on_alike(model, other)


@pytest.mark.slow
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_state_of_every_kind_of_optimizer_comes_along(make: Callable[[], Any]) -> None:
    model = dense(make())
    train(model, 1)
    assert_goes_on_alike(model, pickle.loads(pickle.dumps(model)))


@pytest.mark.slow
@pytest.mark.parametrize("copier", [*COPIERS.values(), copy.copy], ids=[*COPIERS, "copy"])
def test_models_are_copied_in_every_stage_of_their_life(copier: Copier) -> None:
    unbuilt = Sequential([layers.Dense(3), layers.Dense(2)])
    other = copier(unbuilt)
    assert not other.built
    other.build((None, 6))
    assert other.output_shape == (None, 2)
    built = Sequential([keras.Input((6,)), layers.Dense(2)])
    other = copier(built)
    other.add(layers.Dense(5))
    assert (len(built.layers), len(other.layers), other.output_shape) == (1, 2, (None, 5))
    compiled = dense()
    other = copier(compiled)
    assert np.isfinite(train(other)).all()
    assert len(other.outputs) == len(other.inputs) == 1


def test_copy_copies_weights_and_optimizer_as_keras_does() -> None:
    model = dense()
    train(model)
    before = state(model)
    other = copy.copy(model)
    assert state(other) == before
    train(other)
    assert state(model) == before


@pytest.mark.parametrize("copier", COPIERS.values(), ids=COPIERS)
def test_deep_functional_models_are_copied(copier: Copier) -> None:
    x = end = keras.Input((2,))
    for _ in range(300):
        end = layers.Dense(2)(end)
    model = keras.Model(x, end)
    other = copier(model)
    assert [w.numpy().tobytes() for w in other.weights] == [w.numpy().tobytes() for w in model.weights]


@pytest.mark.slow
def test_a_copy_changes_alone() -> None:
    model = dense()
    train(model)
    before = state(model)
    train(copy.deepcopy(model))
    assert state(model) == before


def test_models_are_copied_while_other_threads_use_them() -> None:
    model = dense()
    expected = model.predict(X, verbose=0)
    with ThreadPoolExecutor(3) as pool:
        copies = list(pool.map(lambda i: copy.deepcopy(model) if i % 2 else model.predict(X, verbose=0), range(12)))
    for thing in copies:
        shown = thing.predict(X, verbose=0) if isinstance(thing, Sequential) else thing
        np.testing.assert_array_equal(shown, expected)


@pytest.mark.slow
def test_another_process_goes_on_with_a_pickled_model(tmp_path: Path) -> None:
    model = own()
    train(model)
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    code = (
        "import pickle, pathlib, sys, hashlib; sys.path.insert(0, sys.argv[2]); from test_pickling import *\n"
        "model = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()); print(train(model))\n"
        "print(hashlib.sha256(b''.join(state(model))).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.pickle"), str(Path(__file__).parent)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert shown[0] == str(train(model))
    assert shown[1] == hashlib.sha256(b"".join(state(model))).hexdigest()


def test_a_history_is_pickled_with_its_numbers_and_its_model() -> None:
    history = dense().fit(X, Y, epochs=2, verbose=0)
    other = pickle.loads(pickle.dumps(history))
    assert other.history == history.history
    assert other.epoch == [0, 1]
    assert other.model.history.history is other.history
    assert other.model.predict(X, verbose=0).tobytes() == history.model.predict(X, verbose=0).tobytes()


def test_what_cannot_be_pickled_is_named() -> None:
    model = Sequential([keras.Input((6,)), layers.Dense(2)])
    model.compile("sgd", lambda y_true, y_pred: ops.mean(ops.abs(y_true - y_pred)))
    train(model)
    with pytest.raises((AttributeError, pickle.PicklingError), match="<lambda>"):
        pickle.dumps(model)


def test_metrics_and_callbacks_are_pickled_with_what_they_have_seen() -> None:
    metric = keras.metrics.MeanAbsoluteError()
    metric.update_state([[1.0], [3.0]], [[2.0], [2.5]])
    assert float(pickle.loads(pickle.dumps(metric)).result()) == float(metric.result()) == 0.75
    stopping = keras.callbacks.EarlyStopping("loss", patience=3)
    model = dense()
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[stopping])
    other = pickle.loads(pickle.dumps(stopping))
    assert (other.best, other.patience) == (stopping.best, 3)


def instances() -> dict[str, Any]:
    """Returns an object of every public class that can be made of a few usual arguments."""
    found: dict[str, Any] = {}
    optimizers = keras.optimizers
    for module in (
        layers, optimizers, optimizers.schedules, keras.losses, keras.metrics, keras.callbacks, keras.initializers,
        keras.regularizers, keras.constraints,
    ):  # fmt: skip
        for name in dir(module):  # and not vars(module): what nobody has asked for yet is loaded late
            made = getattr(module, name)
            if name.startswith("_") or not inspect.isclass(made) or not made.__module__.startswith(module.__name__):
                continue
            if made in (layers.InputLayer, layers.Lambda, keras.callbacks.LambdaCallback):
                continue  # nothing says in plain data what these are
            for arguments in ((), (3,), (3, 3), (0.5,), ("a.keras",), (2, 0.3), (2, [0]), (layers.LSTM(3),), ((2, 1),),
                              (0.1, 3, 0.5), ([1], [0.1, 0.2])):  # fmt: skip
                try:
                    found[f"{module.__name__}.{name}"] = made(*arguments)
                    break
                except Exception:
                    continue
    return found


@pytest.mark.slow
@pytest.mark.parametrize("copier", [*COPIERS.values(), copy.copy], ids=[*COPIERS, "copy"])
def test_objects_of_every_public_class_are_copied(copier: Copier) -> None:
    things = instances()
    assert len(things) > 150
    for name, thing in things.items():
        other = copier(thing)
        assert type(other) is type(thing), name
        if hasattr(thing, "get_config"):
            assert str(other.get_config()) == str(thing.get_config()), name


def test_arrays_of_a_copy_are_its_own() -> None:
    model = dense()
    train(model)
    arrays: list[Array] = [v.array for v in copy.deepcopy(model).weights]
    assert not any(np.may_share_memory(a, v.array) for a in arrays for v in model.weights)


@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda: keras.optimizers.Adam(name="it", use_ema=True),
        lambda: keras.optimizers.Adafactor(name="it"),
        lambda: keras.optimizers.MultiOptimizer(
            keras.optimizers.OptimizerMap(keras.optimizers.Adam(name="inner")), name="it"
        ),
    ],
    ids=["Adam", "Adafactor", "MultiOptimizer"],
)
def test_hashes_of_equal_trained_models_are_equal(make_optimizer: Any) -> None:
    def trained(seed: int) -> Any:
        keras.utils.set_random_seed(seed)
        model = Sequential(
            [keras.Input((3,), name="x"), layers.Dense(4, name="a"), layers.Dense(1, name="b")], name="m"
        )
        optimizer = make_optimizer()
        if not isinstance(optimizer, keras.optimizers.MultiOptimizer):
            optimizer.exclude_from_weight_decay([layer.bias for layer in model.layers])
        model.compile(optimizer, "mse")
        model.fit(np.ones((8, 3), "float32"), np.ones((8, 1), "float32"), verbose=0)
        return model

    one = trained(1)
    assert joblib.hash(one) == joblib.hash(trained(1)) == joblib.hash(pickle.loads(pickle.dumps(one)))
    assert joblib.hash(one) != joblib.hash(trained(2))
