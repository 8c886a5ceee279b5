"""What happens at the borders of batches and epochs: the base of callbacks, and several called as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from seqc.errors import ConfigError

Logs = dict[str, Any]


class Callback:
    """The base of callbacks; a subclass overrides the moments it cares about.

    Attributes:
        model: the model being trained. params: `epochs`, `steps` (per epoch) and `verbose` of the run.
    """

    # A dictionary in every hook, so that none of them needs to ask; None before.
    params: Any = None
    _model: Any = None
    # Names that it adds to the logs of an epoch.
    _logs_added: tuple[str, ...] = ()
    # Attributes that change while it runs, which BackupAndRestore keeps: plain data, or lists of arrays.
    _state: tuple[str, ...] = ()
    # Whether it hears of everything after all others, whatever place it was given, and which callbacks run with it.
    _is_last = False
    _beside: Sequence[Callback] = ()

    @property
    def model(self) -> Any:
        """The model that is trained, evaluated or asked."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Says how many epochs and steps there will be; called before the run."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Says which model it is; called before the run."""
        self._model = model

    def _expect(self, logged: Sequence[str], in_batches: Sequence[str], complete: bool) -> None:
        """Hears, before a run begins, what its logs will hold.

        Args:
            logged: names at the end of epochs.
            in_batches: names at the end of batches.
            complete: whether that is all, as far as the callbacks before this one go.
        """

    def _restore(self, state: dict[str, Any]) -> None:
        """Takes over attributes that BackupAndRestore kept."""
        for name in self._state:
            if name in state:
                setattr(self, name, state[name])

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch; `epoch` counts from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch with its metrics, validation metrics under `val_` names.

        What a callback adds to `logs` reaches the callbacks after it, the History last.
        """

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a training batch; `batch` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a training batch with the epoch's metrics so far."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `evaluate` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `evaluate` or of validation with the metrics so far."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `predict` with its `outputs`."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when `fit` starts."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when `fit` ends with the metrics of the last epoch."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when an evaluation starts."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when an evaluation ends with its metrics."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when `predict` starts."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when `predict` ends."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """An older name of `on_train_batch_end`."""


# Where a moment of training falls back on its older name.
_OLDER = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


def _plain(logs: Logs) -> Logs:
    """Returns logs as Python's numbers, those of dictionaries within beside the others; what is no number stays."""
    if all(type(value) is float for value in logs.values()):
        return logs
    plain: Logs = {}
    for name, value in logs.items():
        if isinstance(value, dict):
            plain |= _plain(value)
            continue
        try:
            plain[name] = float(value)
        except (TypeError, ValueError):
            plain[name] = value
    return plain


class CallbackList(Callback):
    """Several callbacks called as one, in order; BackupAndRestore comes last.

    Args:
        callbacks: one callback or several. add_history: whether a History comes behind them, if there is none.
        add_progbar: accepted for Keras's sake. model, params: given to the callbacks.

    Raises:
        ConfigError: something given is not a callback.
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        self.callbacks = list(_flat(callbacks))
        self._records = add_history
        if add_history and not any(isinstance(c, History) for c in self.callbacks):
            self.callbacks.append(History())
        self._order()
        if model is not None:
            self.set_model(model)
        self.set_params(params)
        self._listeners: dict[str, list[Callable[..., None]]] = {}

    @property
    def history(self) -> History:
        """The History among the callbacks."""
        return next(c for c in self.callbacks if isinstance(c, History))

    def append(self, callback: Callback) -> None:
        """Puts a callback behind the others."""
        self.callbacks.append(callback)
        self._order()
        self._listeners.clear()

    def _order(self) -> None:
        self.callbacks.sort(key=lambda callback: callback._is_last)
        for callback in self.callbacks:
            if callback._is_last:
                callback._beside = tuple(self.callbacks)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)
        if self._records:  # for callbacks to read from the beginning
            model.history = self.history

    def expect(self, metrics: Sequence[str], validates: bool, complete: bool = True) -> None:
        """Tells the callbacks what the logs of the run will hold.

        Args:
            metrics: names of the model's metrics.
            validates: whether any epoch ends with a validation.
            complete: whether the model logs nothing else.

        Raises:
            ConfigError: a callback watches a metric that nobody will log.
        """
        logged = [*metrics, *(f"val_{name}" for name in metrics if validates)]
        for callback in self.callbacks:
            complete = complete and not _may_log(callback)
            callback._expect(logged, metrics, complete)
            logged += callback._logs_added

    def watches(self, moment: str) -> bool:
        """Tells whether a callback does anything at a moment, such as "train_batch_end"."""
        return bool(self._listening(f"on_{moment}"))

    def _listening(self, hook: str) -> list[Callable[..., None]]:
        """Returns the hooks of the callbacks that have one of their own, so that idle ones cost nothing per batch."""
        if hook not in self._listeners:
            self._listeners[hook] = [
                getattr(c, hook)
                for c in self.callbacks
                if _overrides(c, hook) or (hook in _OLDER and _overrides(c, _OLDER[hook]))
            ]
        return self._listeners[hook]

    def _tell(self, hook: str, *number: int, logs: Logs | None) -> None:
        """Calls a hook of all callbacks with one dictionary, sorted by name."""
        listening = self._listening(hook)
        if listening:
            shared = dict(sorted(_plain(logs or {}).items()))
            for listener in listening:
                listener(*number, shared)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._tell("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._tell("on_epoch_end", epoch, logs=logs)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_train_batch_end", batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_test_batch_begin", batch, logs=logs)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_test_batch_end", batch, logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_predict_batch_begin", batch, logs=logs)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_predict_batch_end", batch, logs=logs)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._tell("on_train_end", logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._tell("on_test_end", logs=logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._tell("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._tell("on_predict_end", logs=logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_batch_begin", batch, logs=logs)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        self._tell("on_batch_end", batch, logs=logs)


def _flat(callbacks: Any) -> Iterable[Callback]:
    """Yields callbacks out of one, None, or a list that may hold lists."""
    if callbacks is None:
        return
    if isinstance(callbacks, CallbackList):
        yield from callbacks.callbacks
    elif isinstance(callbacks, Callback):
        yield callbacks
    elif isinstance(callbacks, list | tuple):
        for callback in callbacks:
            yield from _flat(callback)
    else:
        hint = " It is a class: write it with parentheses." if isinstance(callbacks, type) else ""
        raise ConfigError(
            f"callbacks must be instances of seqc.callbacks.Callback; got {callbacks!r} of type "
            f"{type(callbacks).__name__}.{hint}"
        )


def _may_log(callback: Callback) -> bool:
    """Tells whether code that is not seqc's sees the logs, and so may add to them."""
    given = isinstance(callback, LambdaCallback) or not type(callback).__module__.startswith("seqc.")
    return given and any(_overrides(callback, hook) for hook in ("on_epoch_end", "on_train_batch_end", "on_batch_end"))


def rated(optimizer: Any) -> list[tuple[str, Any]]:
    """Returns the optimizers that have a learning rate and what messages call it: those of a MultiOptimizer."""
    several = getattr(optimizer, "optimizers", None)
    return [("", optimizer)] if several is None else [(f"{one.name} ", one) for one in several]


def log_rates(optimizer: Any, logs: Logs) -> None:
    """Puts an optimizer's learning rate into the logs, or those of several under their names."""
    for label, one in rated(optimizer):
        logs["learning_rate" + (label and f"_{label.strip()}")] = float(one.learning_rate)


def _overrides(callback: Callback, hook: str) -> bool:
    return getattr(type(callback), hook) is not getattr(Callback, hook) or hook in vars(callback)


class History(Callback):
    """Records the metrics of every epoch; `fit` returns it.

    Attributes:
        history: metric name to its value per epoch. epoch: the epochs recorded.
    """

    def __init__(self) -> None:
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
    """Calls functions given by name: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    Whatever is given by a name that does not begin with "on_" is an attribute of it, as in Keras.

    Raises:
        ConfigError: a name is none of the moments of `Callback`.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, Logs], Any] | None = None,
        on_epoch_end: Callable[[int, Logs], Any] | None = None,
        on_train_begin: Callable[[Logs], Any] | None = None,
        on_train_end: Callable[[Logs], Any] | None = None,
        on_train_batch_begin: Callable[[int, Logs], Any] | None = None,
        on_train_batch_end: Callable[[int, Logs], Any] | None = None,
        **others: Any,
    ) -> None:
        named = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        } | others
        for hook, function in named.items():
            if hook.startswith("on_") and not hasattr(Callback, hook):
                raise ConfigError(f"LambdaCallback knows no moment '{hook}'.")
            if function is not None:
                setattr(self, hook, function)
