"""Callbacks that change the learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback, Logs
from seqc.callbacks.monitor import Monitor
from seqc.errors import ConfigError
from seqc.utils.display import note


class LearningRateScheduler(Callback):
    """Sets the learning rate at the start of every epoch, and adds it to the logs as `learning_rate`.

    Args:
        schedule: `(epoch, learning_rate)` or `(epoch)` to the new learning rate; epochs count from 0. verbose: 1 to say
        what it is set to.

    Raises:
        ConfigError: the schedule returns something else than a number, or the optimizer has a schedule of its own.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose
        self._both = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        new = self.schedule(epoch, rate) if self._both else self.schedule(epoch)
        if isinstance(new, bool) or not isinstance(new, float | int | np.number | np.ndarray) or np.ndim(new):
            raise ConfigError(
                f"The schedule of LearningRateScheduler must return a number; got {new!r} for epoch {epoch}."
            )
        self.model.optimizer.learning_rate = float(new)
        if self.verbose:
            note(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {float(new)}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., Any]) -> bool:
    """Tells whether a schedule wants the present learning rate, too."""
    try:
        inspect.signature(function).bind(0, 0.1)
    except TypeError:
        return False
    except ValueError:  # a function written in C does not tell
        return True
    return True


class ReduceLROnPlateau(Monitor):
    """Multiplies the learning rate by a factor when a metric has not improved for some epochs.

    Args:
        monitor: metric to watch. factor: below 1. patience: epochs without improvement. verbose: 1 to say when it
        happens. mode: "min", "max", or "auto" (by the metric's name). min_delta: smallest change that counts as better.
        cooldown: epochs after a change in which nothing is counted. min_lr: the rate does not go below.

    Raises:
        ConfigError: the factor is 1 or more, or the mode is unknown.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if factor >= 1.0:
            raise ConfigError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best = None
        self.cooldown_counter = self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        value = self._watched(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        old = float(self.model.optimizer.learning_rate)
        if old <= float(np.float32(self.min_lr)):
            return
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        if self.verbose:
            note(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        self.cooldown_counter, self.wait = self.cooldown, 0
