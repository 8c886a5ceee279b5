"""The base of callbacks, and those that only listen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from seqc.errors import ConfigError

Logs = dict[str, Any]


class Callback:
    """The base of callbacks; a subclass overrides the moments it cares about.

    Attributes:
        model: the model being trained. params: `epochs`, `steps` (per epoch) and `verbose` of the run.
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Any = None

    @property
    def model(self) -> Any:
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self._model = model

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch with its metrics, validation metrics under `val_` names."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a training batch; `batch` counts from 0 in each epoch."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a training batch with the epoch's metrics so far."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `evaluate` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `evaluate` or of validation."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `predict`."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when `fit` starts."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when `fit` ends."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when an evaluation starts."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when an evaluation ends."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when `predict` starts."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when `predict` ends."""

    # Older names for the same moments, which Keras still calls.
    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_end`."""


class CallbackList:
    """Several callbacks called as one, in order; History is always among them."""

    def __init__(self, callbacks: Any, model: Any, **params: Any) -> None:
        given = [] if callbacks is None else list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
        for callback in given:
            if not isinstance(callback, Callback):
                raise ConfigError(
                    f"callbacks must be instances of seqc.callbacks.Callback; got {callback!r} of type "
                    f"{type(callback).__name__}."
                )
        found = next((c for c in given if isinstance(c, History)), None)
        self.history = found or History()
        # Last, so that it records what the others add to the logs.
        self.callbacks = given if found else [*given, self.history]
        for callback in self.callbacks:
            callback.set_model(model)
            callback.set_params(params)
        self._batch_hooks = {
            hook: [c for c in self.callbacks if _overrides(c, hook)]
            for hook in (f"on_{kind}_batch_{end}" for kind in ("train", "test", "predict") for end in ("begin", "end"))
        }
        for end in ("begin", "end"):
            self._batch_hooks[f"on_batch_{end}"] = [c for c in self.callbacks if _overrides(c, f"on_batch_{end}")]

    def batch(self, hook: str, batch: int, logs: Logs | None = None) -> None:
        """Calls a batch hook of the callbacks that have one."""
        for callback in self._batch_hooks[hook]:
            getattr(callback, hook)(batch, dict(logs or {}))
        if hook.startswith("on_train_batch"):
            self.batch(hook.replace("train_", ""), batch, logs)

    def epoch(self, hook: str, epoch: int, logs: Logs | None = None) -> None:
        """Calls an epoch hook of all callbacks; they share one dictionary, so that one may add to it."""
        shared = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, hook)(epoch, shared)

    def run(self, hook: str, logs: Logs | None = None) -> None:
        """Calls a hook of the whole run."""
        for callback in self.callbacks:
            getattr(callback, hook)(logs or {})


def _overrides(callback: Callback, hook: str) -> bool:
    return getattr(type(callback), hook) is not getattr(Callback, hook) or hook in vars(callback)


class History(Callback):
    """Records the metrics of every epoch; `fit` returns it.

    Attributes:
        history: metric name to its value per epoch. epoch: the epochs recorded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self


class LambdaCallback(Callback):
    """Calls functions given by name: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`."""

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_train_begin: Callable[[Logs], Any] | None = None,
        on_train_end: Callable[[Logs], Any] | None = None,
        on_train_batch_begin: Callable[[int, Logs], Any] | None = None,
        on_train_batch_end: Callable[[int, Logs], Any] | None = None,
        **others: Callable[..., Any],
    ) -> None:
        super().__init__()
        named = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        } | others
        for hook, function in named.items():
            if not hasattr(Callback, hook) or not hook.startswith("on_"):
                raise ConfigError(f"LambdaCallback knows no moment '{hook}'.")
            if function is not None:
                setattr(self, hook, function)
