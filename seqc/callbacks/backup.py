"""Going on with a training that was interrupted."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from seqc.callbacks.base import Callback, Logs
from seqc.callbacks.files import Every
from seqc.errors import ConfigError
from seqc.utils.files import write_file

METADATA = "training_metadata.json"


class BackupAndRestore(Callback):
    """Keeps weights, optimizer state and epoch in a folder, and goes on from there when `fit` is called again.

    The model must know its input shape before. The order of shuffled samples starts anew.

    Args:
        backup_dir: a folder for this callback alone. save_freq: "epoch", or a number of batches.
        double_checkpoint: accepted for Keras's sake; the state before the last one is always kept.
        delete_checkpoint: remove the folder when the training is done.

    Raises:
        ConfigError: there is no folder, or `save_freq` is neither.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not os.fspath(backup_dir):
            raise ConfigError("Empty `backup_dir` argument passed")
        self.backup_dir = Path(backup_dir)
        self.save_freq = save_freq
        self.delete_checkpoint = delete_checkpoint
        self._every = Every(save_freq)
        self._epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        found = self._found()
        if found:
            self.model.load_weights(self.backup_dir / found["weights"])
            self._epoch = self.model.first_epoch = int(found["epoch"])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch + 1
        if self.save_freq == "epoch":
            self._save()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._every.due():
            self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint and self.backup_dir.exists():
            shutil.rmtree(self.backup_dir)

    def _found(self) -> dict[str, Any]:
        """Returns what is known of the last state that was kept, or nothing."""
        path = self.backup_dir / METADATA
        if not path.exists():
            return {}
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    def _save(self) -> None:
        """Keeps the current state; until that is done, the one before it counts."""
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        before = self._found().get("weights")
        name = "second.weights.h5" if before == "first.weights.h5" else "first.weights.h5"
        self.model.save_weights(self.backup_dir / name, overwrite=True)
        write_file(self.backup_dir / METADATA, json.dumps({"epoch": self._epoch, "weights": name}).encode())
