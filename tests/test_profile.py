"""Where the time of a step goes, and that watching it changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.backends.numpy.profile import PARTS, Timing, merge
from seqc.backends.numpy.workers import thread_count
from seqc.errors import ShapeError
from seqc.training.timing import profile_steps, threads_used, time_steps, training_step


def classifier() -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, activation="relu", name="a"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, activation="softmax", name="b"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def samples() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((12, 5)).astype("float32"), rng.integers(0, 3, 12)


@pytest.fixture
def naive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations run as they stand in the graph: none is put in place of another, none is cut up."""
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")


@pytest.mark.parametrize("executor", ["naive", "tiled"])
def test_a_profiled_step_changes_weights_as_any_step_does(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    profiled, plain = classifier(), classifier()
    step, arrays = training_step(profiled, *samples())
    timings = step.profile(arrays, 0, 0)
    plain.train_on_batch(*samples())
    assert threads_used(step) == (1 if executor == "naive" else thread_count())
    for a, b in zip(profiled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(t.seconds > 0 and t.calls > 0 and t.part in PARTS for t in timings)
    assert len({(t.scope, t.op, t.part) for t in timings}) == len(timings)


def test_every_operation_belongs_to_a_part(naive: None) -> None:
    calls = {(t.scope, t.op, t.part): t.calls for t in profile_steps(classifier(), *samples(), steps=3)}
    assert calls["a", "MatMul", "forward"] == calls["a", "MatMul", "backward"] == 3
    assert calls["b", "MatMul", "backward"] == 6
    assert calls["a", "ReluGrad", "backward"] == 3
    # Moving statistics, metrics and the optimizer.
    assert ("norm", "Mul", "update") in calls
    assert ("", "Sqrt", "update") in calls
    assert not any(scope == "" and part == "forward" for scope, _, part in calls)


def test_without_labels_the_parts_are_told_by_the_layers(naive: None) -> None:
    class Penalty(layers.Layer):
        def call(self, x: Any) -> Any:
            self.add_loss(keras.ops.mean(x * x))
            return x

    model = keras.Sequential([keras.Input((5,)), layers.Dense(4, name="a"), Penalty(name="p")])
    model.compile("sgd")
    step, arrays = training_step(model, samples()[0], None)
    parts = {(t.scope, t.op): t.part for t in step.profile(arrays, 0, 0) if t.op == "ReduceMean" or t.scope == ""}
    assert parts["p", "ReduceMean"] == "forward"
    assert "update" in parts.values()


def test_timings_of_the_same_kind_are_added_up_in_order() -> None:
    a, b = Timing("a", "Add", 1, 0.25, "forward"), Timing("b", "Add", 2, 1.0)
    assert merge([b, a, a]) == [b, Timing("a", "Add", 2, 0.5, "forward")]


@pytest.mark.slow
def test_epochs_are_timed_after_one_to_warm_up_and_rows_come_again() -> None:
    model = classifier()
    times = time_steps(model, *samples(), batch_size=8, steps=3, epochs=2)
    assert len(times) == 2
    assert all(0 < t < 10 for t in times)
    assert int(model.optimizer.iterations.array) == 9


@pytest.mark.parametrize("steps", [1, 2])
def test_a_profile_counts_the_steps_asked_for(steps: int, naive: None) -> None:
    timings = profile_steps(classifier(), *samples(), steps=steps)
    assert next(t.calls for t in timings if (t.scope, t.op, t.part) == ("b", "MatMul", "forward")) == steps


@pytest.mark.slow
def test_tiles_of_two_threads_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEQC_NUM_THREADS", "2")
    image = [keras.Input((24, 24, 3)), layers.Conv2D(16, 3, activation="relu", name="conv"), layers.Flatten()]
    model = keras.Sequential([*image, layers.Dense(2, name="out")])
    model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((64, 24, 24, 3)).astype("float32"), rng.standard_normal((64, 2)).astype("float32")
    step, arrays = training_step(model, x, y)
    assert threads_used(step) == 2
    (before,) = step.run(arrays, 0, 0)
    timings = step.profile(arrays, 0, 1)
    (after,) = step.run(arrays, 0, 2)
    assert after < before
    relu = next(t for t in timings if (t.scope, t.op, t.part) == ("conv", "Relu", "forward"))
    assert relu.calls > 1
    assert {t.part for t in timings if t.scope == "conv"} == {"forward", "backward"}


def test_an_error_under_the_clock_names_the_layer_and_leaves_the_step_usable() -> None:
    model = keras.Sequential([keras.Input((2,), dtype="int32"), layers.Embedding(3, 4, name="words")])
    model.compile("sgd", "mse")
    x, y = np.array([[0, 7]], "int32"), np.zeros((1, 2, 4), "float32")
    step, (_, labels) = training_step(model, x, y)
    with pytest.raises(ShapeError, match="'words'"):
        step.profile([x, labels], 0, 0)
    assert step.profile([x % 3, labels], 0, 0)
    step.run([x % 3, labels], 0, 0)
