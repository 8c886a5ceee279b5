"""`predict(backend="onnxruntime")`: the same numbers as NumPy's, whatever happened to the model since."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ConfigError, ExportError
from seqc.export import session as sessions


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the models that were exported for predictions."""
    made: list[int] = []
    init = sessions.VerifiedSession.__init__

    def counted(self: Any, *arguments: Any) -> None:
        made.append(1)
        init(self, *arguments)

    monkeypatch.setattr(sessions.VerifiedSession, "__init__", counted)
    return made


def stack(**options: Any) -> keras.Sequential:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(3)])
    model.compile("sgd", "mse", **options)
    return model


def both(model: Any, x: Any, **options: Any) -> tuple[Any, Any]:
    return tuple(model.predict(x, verbose=0, backend=backend, **options) for backend in ("onnxruntime", "numpy"))


@pytest.mark.slow
def test_it_follows_the_weights(rng: np.random.Generator, exports: list[int]) -> None:
    x, y = rng.normal(size=(50, 6)).astype("float32"), rng.normal(size=(50, 3)).astype("float32")
    model = stack(inference="onnxruntime")
    changes: list[Callable[[], Any]] = [
        lambda: model.fit(x, y, epochs=1, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.layers[0].set_weights([np.ones((6, 5)), np.zeros(5)]),
        lambda: model.layers[1].kernel.assign_add(np.ones((5, 3))),
        lambda: model.layers[1].bias.assign(np.full(3, np.nan)),
    ]
    for number, change in enumerate(changes, 1):
        change()
        for size in (8, 50):
            got, expected = model.predict(x, batch_size=size, verbose=0), model.predict(x, verbose=0, backend="numpy")
            np.testing.assert_allclose(got, expected, 1e-5, 1e-5)
        assert len(exports) == number  # once for each change, whatever the batches
    np.testing.assert_allclose(model.predict_on_batch(x), model.predict(x, verbose=0, backend="numpy"), 1e-5, 1e-5)


def test_sizes_that_are_left_open_need_one_export(rng: np.random.Generator, exports: list[int]) -> None:
    model = keras.Sequential(
        [keras.Input((None,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3)]
    )
    for length in (3, 7, 5):
        x = rng.integers(0, 9, (4, length))
        np.testing.assert_allclose(*both(model, x), 1e-5, 1e-6)
    assert len(exports) == 1


def several() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(3)
    return keras.Model({"a": a, "b": b}, {"sum": shared(a) + shared(b), "b": layers.Identity(name="b_out")(b)})


class OwnStep(keras.Sequential):
    def predict_step(self, data: Any) -> Any:
        return ops.softmax(self(data, training=False))


class Called(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return [self.dense(x), ops.sum(x, axis=-1)]


@pytest.mark.slow
def test_several_inputs_and_outputs_own_steps_and_own_calls(rng: np.random.Generator) -> None:
    x = rng.normal(size=(10, 4)).astype("float32")
    for model, given in (
        (several(), {"a": x, "b": x + 1}),
        (OwnStep([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(3)]), x),
        (Called(), x),
    ):
        got, expected = both(model, given, batch_size=4)
        pairs = (
            [(got[k], expected[k]) for k in expected] if isinstance(expected, dict) else zip(got, expected, strict=True)
        )
        for one, other in pairs:
            assert one.dtype == other.dtype
            np.testing.assert_allclose(one, other, 1e-5, 1e-6)


@pytest.mark.slow
def test_few_sessions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqc.training.inference.KEPT_SESSIONS", 2)
    own = OwnStep([keras.Input((None, 4)), layers.Dense(3)])
    for length in (2, 3, 4, 2):
        got, expected = both(own, np.ones((3, length, 4), "float32"))
        np.testing.assert_allclose(got, expected, 1e-5, 1e-6)
        assert len(own._trainer.sessions) <= 2


@pytest.mark.slow
def test_half_precision_and_words(rng: np.random.Generator) -> None:
    half = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3, dtype="mixed_float16"), layers.Dense(2, dtype="float16")]
    )
    got, expected = both(half, rng.normal(size=(6, 4)).astype("float32"))
    assert got.dtype == expected.dtype == np.float16
    np.testing.assert_allclose(got, expected, 1e-2, 1e-2)
    words = keras.Sequential([keras.Input((), dtype="string"), layers.StringLookup(vocabulary=["a", "b"])])
    np.testing.assert_array_equal(*both(words, np.array(["b", "zebra", "a"])))


@pytest.mark.slow
def test_copies_and_threads(rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 6)).astype("float32")
    model = stack(inference="onnxruntime")
    expected = model.predict(x, verbose=0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(x, verbose=0), expected)
    found: list[Any] = []
    runs = [threading.Thread(target=lambda: found.append(model.predict(x, verbose=0))) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(found) == 4
    assert all(np.array_equal(one, expected) for one in found)


def test_what_cannot_be_is_said() -> None:
    x = np.ones((2, 3, 4), "float32")
    with pytest.raises(ConfigError, match="inference must be 'numpy' or 'onnxruntime'; got 'tensorrt'"):
        stack(inference="tensorrt")
    with pytest.raises(ConfigError, match="backend must be 'numpy' or 'onnxruntime'; got 'torch'"):
        stack().predict(np.ones((1, 6)), backend="torch")
    stateful = keras.Sequential([keras.Input(batch_shape=(2, None, 4)), layers.LSTM(3, stateful=True)])
    with pytest.raises(ExportError, match="on which the next one depends"):
        stateful.predict(x, verbose=0, backend="onnxruntime")


def test_no_file_keeps_it() -> None:
    config = stack(inference="onnxruntime").get_compile_config()
    assert config is not None
    assert "inference" not in config
