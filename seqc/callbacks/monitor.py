"""What callbacks share that watch one metric."""

from __future__ import annotations

from seqc.callbacks.base import Callback, Logs
from seqc.errors import ConfigError
from seqc.utils.display import note


class Monitor(Callback):
    """Compares a metric with its best value so far.

    Args:
        monitor: metric to watch. mode: "min", "max", or "auto" (by the metric's name). min_delta: smallest change that
        counts as better. best: value to start from.

    Raises:
        ConfigError: the mode is unknown.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0, best: float | None = None
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ConfigError(f"{type(self).__name__} mode must be 'auto', 'min' or 'max'; got {mode!r}.")
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best = best
        self._warned = False

    def _better(self, value: float, reference: float | None) -> bool:
        if reference is None:
            return True
        upwards = self.mode == "max" or (self.mode == "auto" and _larger_is_better(self.monitor))
        return value - self.min_delta > reference if upwards else value + self.min_delta < reference

    def _watched(self, logs: Logs | None) -> float | None:
        """Returns the metric's value; says once when there is none."""
        value = (logs or {}).get(self.monitor)
        if value is None and not self._warned:
            known = ", ".join(logs or {})
            who = type(self).__name__
            note(f"{who} watches '{self.monitor}', which is not available. Available: {known}.", warn=True)
            self._warned = True
        return value


def _larger_is_better(monitor: str) -> bool:
    name = monitor.removeprefix("val_")
    return name.endswith(("acc", "accuracy", "auc", "precision", "recall", "f1_score", "r2_score", "iou"))
