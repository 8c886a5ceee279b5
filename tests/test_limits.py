"""How far training goes at most, and the other settings of `keras.config`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import config, layers, limits
from seqc.errors import ConfigError

X, Y = np.ones((40, 2), "float32"), np.ones((40, 1), "float32")


@pytest.fixture(autouse=True)
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_limits", {})


class Counts(seqc.callbacks.Callback):
    def __init__(self) -> None:
        self.seen = {"train": 0, "test": 0, "predict": 0}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen["train"] += 1

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen["test"] += 1

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen["predict"] += 1


def compiled() -> Any:
    model = seqc.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_epochs_are_limited_as_in_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    model = compiled()
    config.set_max_epochs(2)
    with pytest.warns(UserWarning, match="Limiting epochs to 2"):
        history = model.fit(X, Y, epochs=5, verbose=0)
    assert len(history.history["loss"]) == 2
    assert len(model.fit(X, Y, epochs=1, verbose=0).history["loss"]) == 1
    config.set_max_epochs(None)
    assert len(model.fit(X, Y, epochs=3, verbose=0).history["loss"]) == 3
    monkeypatch.setattr(limits, "_limits", {})
    monkeypatch.setenv("KERAS_MAX_EPOCHS", "1")
    with pytest.warns(UserWarning, match="Limiting epochs to 1"):
        assert len(model.fit(X, Y, epochs=3, verbose=0).history["loss"]) == 1
    assert config.max_epochs() == 1


def test_steps_are_limited_as_in_keras() -> None:
    model, counts = compiled(), Counts()
    config.set_max_steps_per_epoch(2)
    told = "Limiting steps_per_epoch to 2"
    with pytest.warns(UserWarning, match=told):
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, validation_data=(X, Y), callbacks=[counts])
    assert counts.seen == {"train": 4, "test": 4, "predict": 0}
    with pytest.warns(UserWarning, match=told):
        found = model.predict(X, batch_size=8, verbose=0, callbacks=[counts])
    assert len(found) == 16
    with pytest.warns(UserWarning, match=told):
        model.fit(((X[:8], Y[:8]) for _ in range(100)), epochs=2, verbose=0, callbacks=[counts])
    assert counts.seen == {"train": 8, "test": 4, "predict": 2}
    model.fit(X[:16], Y[:16], batch_size=8, verbose=0, callbacks=[counts])
    assert counts.seen["train"] == 10


def test_other_settings_are_accepted_or_say_why_not() -> None:
    config.enable_flash_attention()
    assert config.is_flash_attention_enabled()
    config.disable_flash_attention()
    assert config.is_flash_attention_enabled() is False
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled()
    config.enable_traceback_filtering()
    assert config.is_traceback_filtering_enabled()
    assert not config.is_nnx_enabled()
    config.set_backend("numpy")
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: config.set_backend("jax"), "one backend"), (config.enable_unsafe_deserialization, "custom_objects"),
        (lambda: config.set_max_epochs(0), "max_epochs"), (lambda: config.set_max_steps_per_epoch(True), "positive"),
    ]  # fmt: skip
    for refused, message in cases:
        with pytest.raises(ConfigError, match=message):
            refused()
