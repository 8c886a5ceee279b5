"""Callbacks that watch a metric: whether it gets better, and what to do when it does not."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqc import losses, metrics
from seqc.callbacks.base import Callback, Logs, log_rates, rated
from seqc.errors import ConfigError
from seqc.losses.named import FUNCTIONS
from seqc.utils.display import note

# Which way the metrics of `seqc.metrics` get better, by class.
_HIGHER = frozenset(
    """
    AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation CosineSimilarity F1Score FBetaScore
    IoU MeanIoU OneHotIoU OneHotMeanIoU PearsonCorrelation Precision PrecisionAtRecall R2Score Recall RecallAtPrecision
    SensitivityAtSpecificity SparseCategoricalAccuracy SparseTopKCategoricalAccuracy SpecificityAtSensitivity
    TopKCategoricalAccuracy
    """.split()  # noqa: SIM905
)
_LOWER = frozenset(
    """
    BinaryCrossentropy CategoricalCrossentropy CategoricalHinge Hinge KLDivergence LogCoshError MeanAbsoluteError
    MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson RootMeanSquaredError
    SparseCategoricalCrossentropy SquaredHinge
    """.split()  # noqa: SIM905
)

_HIGHER_FUNCTIONS = (
    metrics.binary_accuracy,
    metrics.categorical_accuracy,
    metrics.concordance_correlation,
    metrics.pearson_correlation,
    metrics.sparse_categorical_accuracy,
    metrics.sparse_top_k_categorical_accuracy,
    metrics.top_k_categorical_accuracy,
)


class MonitorCallback(Callback):
    """Tells whether a metric got better.

    Args:
        monitor: name of the metric in the logs. mode: "min", "max", or "auto", by the metric.
        min_delta: smallest change that counts. best: value to beat.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", best: float | None = None, min_delta: float = 0
    ) -> None:
        if mode not in ("auto", "min", "max"):
            note(f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.", warn=True)
            mode = "auto"
        self.monitor, self.mode, self.best, self._delta = monitor, mode, best, abs(min_delta)

    def _expect(self, logged: Sequence[str], in_batches: Sequence[str], complete: bool) -> None:
        names = in_batches if self._looks_at_batches() else logged
        if not self._watches() or (self.monitor not in names and not complete):
            return
        if self.monitor in names:
            self._higher_is_better()
            return
        when = "in the middle of an epoch" if self.monitor in logged else "in this run"
        missing = self.monitor.startswith("val_") and self.monitor[4:] in logged
        hint = " Give fit() validation_data or validation_split." if missing and self.monitor not in logged else ""
        raise ConfigError(
            f"{type(self).__name__} watches monitor='{self.monitor}', and there is no such metric {when}: there "
            f"{'are' if len(names) > 1 else 'is'} {', '.join(names)}.{hint} A callback of your own that adds it to the "
            "logs must come before."
        )

    def _watches(self) -> bool:
        """Tells whether the metric matters."""
        return True

    def _looks_at_batches(self) -> bool:
        """Tells whether the metric is looked at within epochs too."""
        return False

    def get_monitor_value(self, logs: Logs) -> float | None:
        """Returns the value of the metric; None, with a warning unless it will come, where the logs do not hold it.

        An array of one number is that number.

        Raises:
            ConfigError: it is several numbers.
        """
        value = logs.get(self.monitor)
        if value is None:
            if not self.monitor.startswith("val_") or self.monitor[4:] not in logs:
                note(
                    f"{type(self).__name__} is conditioned on metric `{self.monitor}` which is not available. "
                    f"Available metrics are: {','.join(logs)}",
                    warn=True,
                )
            return None
        if np.size(value) != 1:
            raise ConfigError(
                f"{type(self).__name__} watches monitor='{self.monitor}', which is {np.size(value)} numbers and not "
                "one. Give that metric an average, or watch another one."
            )
        return float(np.asarray(value).item())

    def _is_improvement(self, monitor_value: float, reference_value: float | None) -> bool:
        """Tells whether a value is better than a reference by more than `min_delta`; anything is better than None.

        Raises:
            ConfigError: nobody says which way is better.
        """
        higher = self._higher_is_better()
        if reference_value is None:
            return True
        if higher:
            return bool(monitor_value - self._delta > reference_value)
        return bool(monitor_value + self._delta < reference_value)

    @property
    def min_delta(self) -> float:
        """The smallest change that counts; as in Keras, with a minus where less is known to be better."""
        known = self.mode == "min" or (self.mode == "auto" and self.model is not None)
        lower = known and not self._higher_is_better()
        return -self._delta if lower else self._delta

    @min_delta.setter
    def min_delta(self, least: float) -> None:
        self._delta = abs(least)

    @property
    def monitor_op(self) -> Callable[[float, float], bool]:
        """What tells that one value is better than another."""
        return operator.gt if self._higher_is_better() else operator.lt

    def _set_monitor_op(self) -> None:
        self._higher_is_better()  # Keras's subclasses call this; which way is better is found out whenever it is asked

    def _higher_is_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "max"
        higher = higher_is_better(self.monitor, self.model._trainer.named_metrics)
        if higher is not None:
            return higher
        raise ConfigError(
            f"{type(self).__name__} callback received monitor={self.monitor}, and it is not known whether that metric "
            "should be maximized or minimized. Pass `mode='max'` in order to monitor based on the highest metric "
            "value, or pass `mode='min'` in order to use the lowest value. The model's metrics are: "
            f"{', '.join(self.model.metrics_names)}."
        )


def higher_is_better(name: str, named: Mapping[str, Any]) -> bool | None:
    """Returns whether more of a metric is better; None if nobody knows.

    Args:
        name: as in the logs, "val_" in front or not.
        named: the model's metrics by name.
    """
    name = name.removeprefix("val_")
    if name == "loss":
        return False
    return _direction(named[name]) if name in named else None


def _direction(metric: Any) -> bool | None:
    said = getattr(metric, "_direction", None)
    if said is not None:
        return bool(said == "up")
    name = type(metric).__name__
    if name in _HIGHER or name in _LOWER:
        return name in _HIGHER
    function = getattr(metric, "fn", None) if isinstance(metric, metrics.MeanMetricWrapper) else None
    if isinstance(function, losses.Loss) or function in FUNCTIONS.values():
        return False
    return True if function in _HIGHER_FUNCTIONS else None


class EarlyStopping(MonitorCallback):
    """Stops training when a metric has not improved for some epochs.

    Args:
        monitor: metric to watch. min_delta: smallest change that counts as better. patience: epochs without
        improvement before stopping. verbose: 1 to say when it stops. mode: "min", "max", or "auto" (by the metric).
        baseline: value the metric must beat. restore_best_weights: return to the best epoch's weights at the end.
        start_from_epoch: epochs to wait before watching.

    Example:
        >>> x = np.linspace(-1.0, 1.0, 32).reshape(-1, 1)
        >>> model = seqc.Sequential([seqc.Input((1,)), seqc.layers.Dense(1)])
        >>> model.compile(seqc.optimizers.SGD(0.0), "mse")  # which learns nothing
        >>> stop = seqc.callbacks.EarlyStopping(monitor="loss", patience=2, min_delta=1e-3)
        >>> len(model.fit(x, x, epochs=50, callbacks=[stop], verbose=0).history["loss"])
        3
    """

    _state = ("wait", "stopped_epoch", "best", "best_weights", "best_epoch")

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._start_anew()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._start_anew()

    def _start_anew(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights: Any = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.get_monitor_value(logs or {})
        if value is None:
            return
        if epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._is_improvement(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            # A new best value that does not beat the baseline is no reason to wait longer.
            if self.baseline is None or self._is_improvement(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose:
            note(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                note(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(MonitorCallback):
    """Makes the learning rate smaller when a metric has not improved for some epochs; puts it into the logs.

    Args:
        monitor: metric to watch. factor: what the learning rate is multiplied by, below 1. patience: epochs without
        improvement before that. verbose: 1 to say so. mode: "min", "max", or "auto" (by the metric).
        min_delta: smallest change that counts as better. cooldown: epochs to wait after a reduction.
        min_lr: lower bound of the learning rate.

    Raises:
        ConfigError: the factor is not below 1.
    """

    _logs_added = ("learning_rate",)
    _state = ("best", "cooldown_counter", "wait")

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
        **ignored: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if ignored:
            note(f"ReduceLROnPlateau ignores {', '.join(ignored)}, as Keras does.", warn=True)
        if factor >= 1.0:
            raise ConfigError(f"ReduceLROnPlateau does not support a factor >= 1.0. Received factor={factor}")
        self.factor, self.min_lr = factor, min_lr
        self.patience, self.verbose, self.cooldown = patience, verbose, cooldown
        self._reset()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the last reduction is too recent for another one."""
        return self.cooldown_counter > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = {} if logs is None else logs
        value = self.get_monitor_value(logs)
        log_rates(self.model.optimizer, logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        for label, optimizer in rated(self.model.optimizer):
            old = float(optimizer.learning_rate)
            if old <= np.float32(self.min_lr):
                continue
            new = max(old * self.factor, self.min_lr)
            optimizer.learning_rate = new
            self.cooldown_counter, self.wait = self.cooldown, 0
            if self.verbose:
                note(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing {label}learning rate to {new}.")
