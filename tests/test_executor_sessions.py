"""Sessions: two models that share layers are trained, evaluated, changed and asked in any order, in both executors.

All programs of a session work on the same variables. One moves them into an arena of its own, and another, built for
the old place or for another batch size, has to notice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import seqc as keras
from kit.effort import effort
from kit.executor_runs import Conditions, under
from seqc import Sequential, layers, metrics
from seqc.graph.ir import Array

few = settings(max_examples=effort(4, 8), suppress_health_check=list(HealthCheck), deadline=None)
many = settings(max_examples=effort(8, 40), suppress_health_check=list(HealthCheck), deadline=None)
SAMPLES = 9


@dataclass(frozen=True)
class Action:
    """What is done to which model, with how many samples, in batches of which size."""

    what: str
    model: int
    samples: int
    batch: int


class Session:
    """Two compiled models over common layers."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(3)
        shared = [layers.Dense(5, "tanh"), layers.BatchNormalization(momentum=0.8)]
        first = [*shared, layers.Dropout(0.2), layers.Dense(1, "sigmoid", kernel_regularizer="l2")]
        second = [shared[0], layers.Dense(4, "relu"), shared[1].from_config(shared[1].get_config()), layers.Dense(1)]
        self.models = [Sequential([keras.Input((4,)), *stack]) for stack in (first, second)]
        for model in self.models:
            self.compile(model)
        rng = np.random.default_rng(4)
        self.x = rng.normal(size=(SAMPLES, 4)).astype("float32")
        self.y = rng.integers(0, 2, (SAMPLES, 1)).astype("float32")

    def compile(self, model: Any) -> None:
        if model is self.models[0]:
            measured = [metrics.Precision(), metrics.Recall(), "accuracy"]
            model.compile(
                keras.optimizers.Adam(0.01, epsilon=1e-2, clipnorm=0.5), "binary_crossentropy", None, measured
            )
        else:
            optimizer = keras.optimizers.SGD(0.02, 0.9, weight_decay=0.01, global_clipnorm=1.0, use_ema=True)
            model.compile(optimizer, "mse", metrics=["mae"])

    def do(self, action: Action) -> list[Any]:
        """Returns what an action gives back, and the weights that it leaves behind."""
        model = self.models[action.model]
        x, y = self.x[: action.samples], self.y[: action.samples]
        calls: dict[str, Callable[[], Any]] = {
            "fit": lambda: list(model.fit(x, y, action.batch, 1, 0, shuffle=False).history.values()),
            "evaluate": lambda: model.evaluate(x, y, action.batch, 0),
            "predict": lambda: model.predict(x, action.batch, 0),
            "train_on_batch": lambda: model.train_on_batch(x, y),
            "test_on_batch": lambda: model.test_on_batch(x, y),
            "predict_on_batch": lambda: model.predict_on_batch(x),
            "set_weights": lambda: model.set_weights([w * 0.9 for w in model.get_weights()]),
            "freeze": lambda: setattr(model.layers[0], "trainable", not model.layers[0].trainable),
            "slow down": lambda: setattr(model.optimizer, "learning_rate", 0.005),
            "compile": lambda: self.compile(model),
        }
        result = calls[action.what]()
        given = [] if result is None else [np.array(result, np.float32).ravel()]
        slots = [v.numpy() for m in self.models for v in m.optimizer.variables]
        return [*given, *(w for m in self.models for w in m.get_weights()), *slots]


RUNS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch")
CHANGES = ("set_weights", "freeze", "slow down", "compile")
ACTIONS = st.builds(
    Action,
    st.sampled_from([*RUNS, *RUNS, *CHANGES]),
    st.integers(0, 1),
    st.integers(2, SAMPLES),
    st.integers(2, 5),
)
CONDITIONS = st.builds(Conditions, st.integers(1, 3), st.sampled_from([1, 1000, 1 << 20]), tiny=st.booleans())


def played(actions: Sequence[Action]) -> list[list[Array]]:
    session = Session()
    return [session.do(action) for action in actions]


def check(actions: Sequence[Action], conditions: Conditions, monkeypatch: pytest.MonkeyPatch) -> None:
    note("\n".join(map(str, actions)))
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    expected = played(actions)
    monkeypatch.delenv("SEQC_EXECUTOR")
    patch = under(conditions)
    try:
        actual = played(actions)
    finally:
        patch.undo()
    for action, a, b in zip(actions, actual, expected, strict=True):
        for left, right in zip(a, b, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4, err_msg=str(action))


@few
@given(actions=st.lists(ACTIONS, min_size=3, max_size=8), conditions=CONDITIONS)
def test_any_short_session_goes_alike(actions: list[Action], conditions: Conditions) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        check(actions, conditions, monkeypatch)


@pytest.mark.slow
@many
@given(actions=st.lists(ACTIONS, min_size=5, max_size=20), conditions=CONDITIONS)
def test_any_session_goes_alike(actions: list[Action], conditions: Conditions) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        check(actions, conditions, monkeypatch)
