"""Where the time of a step goes, and that watching it changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.backends.numpy.profile import PARTS, Timing, merge
from seqc.training.timing import profile_steps, time_steps, training_step


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


def test_a_profiled_step_changes_weights_as_any_step_does() -> None:
    profiled, plain = classifier(), classifier()
    step, arrays = training_step(profiled, *samples())
    timings = step.profile(arrays, 0, 0)
    plain.train_on_batch(*samples())
    for a, b in zip(profiled.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(t.seconds > 0 and t.calls > 0 and t.part in PARTS for t in timings)
    assert len({(t.scope, t.op, t.part) for t in timings}) == len(timings)


def test_every_operation_belongs_to_a_part() -> None:
    calls = {(t.scope, t.op, t.part): t.calls for t in profile_steps(classifier(), *samples(), steps=3)}
    assert calls["a", "MatMul", "forward"] == calls["a", "MatMul", "backward"] == 3
    assert calls["b", "MatMul", "backward"] == 6
    assert calls["a", "ReluGrad", "backward"] == 3
    # Moving statistics, metrics and the optimizer.
    assert ("norm", "Mul", "update") in calls
    assert ("", "Sqrt", "update") in calls
    assert not any(scope == "" and part == "forward" for scope, _, part in calls)


def test_without_labels_the_parts_are_told_by_the_layers() -> None:
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


def test_epochs_are_timed_after_one_to_warm_up_and_rows_come_again() -> None:
    model = classifier()
    times = time_steps(model, *samples(), batch_size=8, steps=3, epochs=2)
    assert len(times) == 2
    assert all(0 < t < 10 for t in times)
    assert int(model.optimizer.iterations.array) == 9


@pytest.mark.parametrize("steps", [1, 2])
def test_a_profile_counts_the_steps_asked_for(steps: int) -> None:
    timings = profile_steps(classifier(), *samples(), steps=steps)
    assert next(t.calls for t in timings if (t.scope, t.op, t.part) == ("b", "MatMul", "forward")) == steps
