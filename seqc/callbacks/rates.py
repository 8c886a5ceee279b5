"""Callbacks that act on the optimizer or the loss of every step."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback, Logs, log_rates, rated
from seqc.errors import ConfigError, NonFiniteError
from seqc.utils.display import note


class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch, and puts it into the logs after it.

    Args:
        schedule: function of the epoch, from 0, and the current learning rate that returns the new one.
        verbose: 1 to say what it is set to.

    Raises:
        ConfigError: the function returns something else.
    """

    _logs_added = ("learning_rate",)
    _state = ("_epoch",)

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose
        self._epoch: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._epoch = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if epoch == self._epoch:  # an epoch that BackupAndRestore goes on with
            return
        self._epoch = epoch
        for label, optimizer in rated(self.model.optimizer):
            new = self._set(optimizer, epoch)
            if self.verbose:
                note(f"\nEpoch {epoch + 1}: LearningRateScheduler setting {label}learning rate to {new}.")

    def _set(self, optimizer: Any, epoch: int) -> Any:
        current = float(optimizer.learning_rate)
        new = self.schedule(epoch, current) if _takes_two(self.schedule) else self.schedule(epoch)
        if isinstance(new, bool) or not isinstance(new, float | int | np.number) or np.ndim(new):
            raise ConfigError(
                f"The output of the `schedule` function should be a float. Got: {new!r} for epoch {epoch}."
            )
        optimizer.learning_rate = float(new)
        return new

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            log_rates(self.model.optimizer, logs)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:  # a function written in C does not tell
        return True
    return True


class TerminateOnNaN(Callback):
    """Stops training when the loss of a batch is not a finite number, and says at which step.

    Args:
        raise_error: raise NonFiniteError instead of ending the training in good order.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        text = f"Epoch {self._epoch + 1}, batch {batch}: the loss is {loss}, terminating training."
        self.model.stop_training = True
        if self.raise_error:
            raise NonFiniteError(text)
        note(text)


class SwapEMAWeights(Callback):
    """Evaluates and predicts with the moving averages that an optimizer with `use_ema=True` keeps of the weights.

    Args:
        swap_on_epoch: leave the averages in the model between epochs, where other callbacks such as ModelCheckpoint see
        them.

    Raises:
        ConfigError: the optimizer keeps no averages.
    """

    _state = ("_swapped",)

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _pairs(self) -> list[tuple[Any, Any]]:
        optimizer = self.model.optimizer
        if not optimizer.keeps_averages:
            raise ConfigError(
                "SwapEMAWeights must be used when `use_ema=True` is set on the optimizer. Received: use_ema=False"
            )
        return list(optimizer.averages(self.model.trainable_weights))

    def _swap(self, to_averages: bool) -> None:
        if self._swapped == to_averages:
            return
        for weight, average in self._pairs():
            kept = weight.numpy()
            weight.assign(average.numpy())
            average.assign(kept)
        self._swapped = to_averages

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if not self.swap_on_epoch:
            return
        self._swap(True)
        if self.params and epoch == self.params["epochs"] - 1:
            # The run ends with the averages in the model, and the optimizer is to end with them too.
            for weight, average in self._pairs():
                average.assign(weight.numpy())

    def on_test_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        self._swap(False)
