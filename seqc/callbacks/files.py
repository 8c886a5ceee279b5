"""Callbacks that write files: the model itself, and its metrics."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback, Logs
from seqc.callbacks.monitor import Monitor
from seqc.errors import ConfigError
from seqc.utils.display import note


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, during training. Folders are made as needed.

    Args:
        filepath: file to write, `.keras`, or `.weights.h5` with `save_weights_only`; `{epoch}` (from 1), `{batch}` and
        metrics in braces are filled in, as in "{epoch:02d}-{val_loss:.2f}.keras". monitor: metric to watch.
        verbose: 1 to say what happens. save_best_only: save only when the metric is better than ever before.
        save_weights_only: no layers, no optimizer. mode: "min", "max", or "auto" (by the metric's name).
        save_freq: "epoch", or save after so many batches. initial_value_threshold: value that the metric must beat.

    Raises:
        ConfigError: the file's ending, `mode` or `save_freq` is not understood; the path names a metric there is not.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, best=initial_value_threshold)
        self.filepath: str = os.fspath(filepath)
        ending = ".weights.h5" if save_weights_only else ".keras"
        if not self.filepath.endswith(ending):
            why = "with save_weights_only=True" if save_weights_only else "that holds a whole model"
            raise ConfigError(f"A ModelCheckpoint file {why} must end in {ending}. Received: filepath={self.filepath}")
        if save_freq != "epoch" and (isinstance(save_freq, bool) or not isinstance(save_freq, int) or save_freq < 1):
            raise ConfigError(f"save_freq of ModelCheckpoint is 'epoch' or a number of batches; got {save_freq!r}.")
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._epoch = 0
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if isinstance(self.save_freq, int):
            self._batches += 1
            if self._batches >= self.save_freq:
                self._batches = 0
                self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(dict(logs or {}))

    def _save(self, logs: Logs) -> None:
        path = self._path(logs)
        if not self._worth_saving(logs, path):
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path, overwrite=True)

    def _path(self, logs: Logs) -> str:
        try:
            return self.filepath.format(epoch=self._epoch + 1, **logs)
        except KeyError as error:
            known = ", ".join(["epoch", *logs])
            raise ConfigError(
                f"ModelCheckpoint cannot fill {error} into '{self.filepath}'. It knows: {known}."
            ) from None

    def _worth_saving(self, logs: Logs, path: str) -> bool:
        value = self._watched(logs) if self.save_best_only else None
        if value is None:
            self._say(f"saving model to {path}")
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._better(value, self.best):
            self._say(f"{self.monitor} did not improve from {best}")
            return False
        self._say(f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}")
        self.best = value
        return True

    def _say(self, text: str) -> None:
        if self.verbose:
            note(f"\nEpoch {self._epoch + 1}: {text}")


class CSVLogger(Callback):
    """Writes the metrics of every epoch to a CSV file, readable after each of them.

    Args:
        filename: the file. separator: between columns. append: go on with an existing file instead of replacing it.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename: str = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._keys: list[str] | None = None
        self._header = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        path = Path(self.filename)
        self._keys = None
        self._header = not (self.append and path.exists() and path.stat().st_size)
        if not self.append:
            path.write_text("", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        values = dict(logs or {})
        if self._keys is None:
            self._keys = sorted(values)
            # Validation may come later than the first epoch.
            if not any(key.startswith("val_") for key in self._keys):
                self._keys += [f"val_{key}" for key in self._keys]
        with open(self.filename, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.separator)
            if self._header:
                writer.writerow(["epoch", *self._keys])
                self._header = False
            writer.writerow([epoch, *(_cell(values.get(key, "NA")) for key in self._keys)])


def _cell(value: Any) -> Any:
    return f"[{', '.join(map(str, np.ravel(value)))}]" if np.ndim(value) else value
