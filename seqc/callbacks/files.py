"""Callbacks that write files: the model while it trains, and its metrics."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback, Logs
from seqc.callbacks.monitor import MonitorCallback
from seqc.errors import ConfigError
from seqc.utils.display import note
from seqc.utils.files import check_target, make_folder


class Every:
    """Counts batches across epochs, and tells when so many have passed.

    Args:
        frequency: "epoch" for never, or a number of batches.

    Raises:
        ConfigError: it is neither.
    """

    def __init__(self, frequency: Any) -> None:
        whole = isinstance(frequency, int) and not isinstance(frequency, bool) and frequency > 0
        if frequency != "epoch" and not whole:
            raise ConfigError(
                f"Unrecognized save_freq: {frequency!r}. Expected save_freq are 'epoch' or a number of batches."
            )
        self.frequency = frequency
        self._seen = 0

    def due(self) -> bool:
        """Counts one batch."""
        if self.frequency == "epoch":
            return False
        self._seen += 1
        if self._seen < self.frequency:
            return False
        self._seen = 0
        return True


class ModelCheckpoint(MonitorCallback):
    """Saves the model, or its weights, while it trains.

    Args:
        filepath: ends in ".keras" (or ".h5") for the whole model, in ".weights.h5" (or ".npz", ".safetensors") for
        weights; `{epoch}` (from 1), `{batch}` and the names of metrics in braces are filled in.
        monitor: metric that tells which model is best.
        verbose: 1 to say what is saved. save_best_only: save only when the metric is better than ever.
        save_weights_only: weights instead of the model. mode: "min", "max", or "auto" (by the metric).
        save_freq: "epoch", or a number of batches. initial_value_threshold: value that the metric must beat at first.

    Raises:
        ConfigError: `filepath` does not end as it must, or `save_freq` is neither.

    Example:
        >>> x = np.linspace(-1.0, 1.0, 32).reshape(-1, 1)
        >>> model = seqc.Sequential([seqc.Input((1,)), seqc.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> keep = seqc.callbacks.ModelCheckpoint("best.keras", monitor="loss", save_best_only=True)
        >>> history = model.fit(x, x, epochs=3, callbacks=[keep], verbose=0)
        >>> seqc.saving.load_model("best.keras").count_params()
        2
    """

    _state = ("best",)

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: int | str = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self.save_freq = save_freq
        self._every = Every(save_freq)
        self._epoch = 0
        self._ending = _ending(self.filepath, save_weights_only)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Finds out whether files can be written there before any time is spent.

        Raises:
            PathError: they cannot. MissingDependencyError: a package is missing that writes them.
        """
        from seqc.saving.containers import check_packages

        super().on_train_begin(logs)
        check_packages(self.filepath)
        path = Path(self.filepath)
        fixed = [part for part in path.parents if "{" not in str(part)]
        folder = make_folder(fixed[0])
        check_target(path if "{" not in self.filepath else folder / f"model{self._ending}")

    def _expect(self, logged: Sequence[str], in_batches: Sequence[str], complete: bool) -> None:
        super()._expect(logged, in_batches, complete)
        names = ["epoch", *(("batch", *in_batches) if self._looks_at_batches() else logged)]
        for _, field, _, _ in Formatter().parse(self.filepath):
            if complete and field and field not in names:
                raise self._unknown(field, names)

    def _unknown(self, field: str, names: Iterable[str]) -> ConfigError:
        return ConfigError(
            f"Failed to format this callback filepath: \"{self.filepath}\". There is no '{field}'; known: "
            f"{', '.join(names)}."
        )

    def _watches(self) -> bool:
        return self.save_best_only

    def _looks_at_batches(self) -> bool:
        return bool(self.save_freq != "epoch")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._every.due():
            self._save_model(self._epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save_model(epoch, None, logs or {})

    def _save_model(self, epoch: int, batch: int | None, logs: Logs) -> None:  # by Keras's name: subclasses override it
        path = self._get_file_path(epoch, batch, logs)
        if not self._wanted(epoch, logs, path):
            return
        make_folder(Path(path).parent)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path, overwrite=True)
        if self.verbose:
            note(f"\nEpoch {epoch + 1}: finished saving model to {path}")

    def _get_file_path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        fields = {"epoch": epoch + 1} | ({} if batch is None else {"batch": batch + 1}) | logs
        try:
            return self.filepath.format(**fields)
        except KeyError as error:
            raise self._unknown(error.args[0], fields) from None

    def _wanted(self, epoch: int, logs: Logs, path: str) -> bool:
        """Tells whether to save now, and says so."""
        said, saves = f"saving model to {path}", True
        if self.save_best_only:
            value = self.get_monitor_value(logs)
            if value is None:  # whether this is the best nobody knows
                return False
            best = "None" if self.best is None else f"{self.best:.5f}"
            saves = self._is_improvement(value, self.best)
            said = f"{self.monitor} did not improve from {best}"
            if saves:
                said = f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}"
                self.best = value
        if self.verbose:
            note(f"\nEpoch {epoch + 1}: {said}")
        return saves


def _ending(filepath: str, weights: bool) -> str:
    """Returns in which of the endings that say what is written a path ends.

    Raises:
        ConfigError: in none.
    """
    from seqc.saving.containers import MODEL_ENDINGS, WEIGHT_ENDINGS

    endings = WEIGHT_ENDINGS if weights else MODEL_ENDINGS
    found = next((ending for ending in endings if filepath.endswith(ending)), None)
    if found is None:
        first = ".weights.h5" if weights else ".keras"
        others = ", ".join(f"`{ending}`" for ending in endings if ending != first)
        kind = "When using `save_weights_only=True` in `ModelCheckpoint`, the" if weights else "The"
        raise ConfigError(
            f"{kind} filepath provided must end in `{first}` (Keras {'weights' if weights else 'model'} format), or in "
            f"one of {others}. Received: filepath={filepath}"
        )
    return found


class CSVLogger(Callback):
    """Writes the metrics of every epoch to a table of comma-separated values, a line when an epoch ends.

    Args:
        filename: the file. separator: between values. append: go on with a file that exists.

    Raises:
        MissingFolderError: when training begins, there is no such folder. PathError: no file can be written there.
    """

    _state = ("keys", "_begun", "_size")

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        self.filename, self.sep, self.append = os.fspath(filename), separator, append
        self.keys: list[str] = []
        self._begun = append
        self._size: int | None = None  # of the file after the latest line
        self._validates = True

    def _expect(self, logged: Sequence[str], in_batches: Sequence[str], complete: bool) -> None:
        self._validates = any(name.startswith("val_") for name in logged)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        check_target(self.filename)
        self.keys, self._begun, self._size = [], self.append, None
        if self.append:
            with contextlib.suppress(FileNotFoundError):
                self._size = os.path.getsize(self.filename)

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        if self._size is None:
            return
        with contextlib.suppress(FileNotFoundError), open(self.filename, "r+b") as file:
            if file.seek(0, os.SEEK_END) > self._size:
                file.truncate(self._size)  # behind it are lines of epochs that are done again

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = logs or {}
        if not self.keys:
            self.keys = sorted(found)
            if self._validates and not any(key.startswith("val_") for key in self.keys):
                # Validation may come in later epochs only, and a table cannot get new columns then.
                self.keys += [f"val_{key}" for key in self.keys]
        # A table of an earlier run stays until there is something to replace it with, and the file is closed between
        # two epochs: however the training ends, all of them are in it.
        with open(self.filename, "a" if self._begun else "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter=self.sep)
            if file.tell() == 0:
                writer.writerow(["epoch", *self.keys])
            writer.writerow([epoch, *(_shown(found.get(key, "NA")) for key in self.keys)])
            self._size = file.tell()
        self._begun = True


def _shown(value: Any) -> Any:
    return value if np.ndim(value) == 0 else f'"[{", ".join(map(str, value))}]"'
