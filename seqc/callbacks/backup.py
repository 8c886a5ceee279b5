"""Going on with a training that was interrupted."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from seqc.callbacks.backup_state import restore_callbacks, save_callbacks
from seqc.callbacks.base import Callback, Logs
from seqc.callbacks.files import Every
from seqc.errors import ConfigError, SavingError, SeqcError
from seqc.utils.files import check_target, make_folder, open_file, write_file

METADATA = "training_metadata.json"
# The last two states take turns, so that one is whole whatever happens.
_STATES = ("first", "second")
# The files of a state: weights with the optimizer's variables, and the arrays that other callbacks keep.
WEIGHTS, ARRAYS = ".weights.h5", ".callbacks.npz"
_FILES = (METADATA, *(name + ending for name in _STATES for ending in (WEIGHTS, ARRAYS)))


class BackupAndRestore(Callback):
    """Keeps the state of a training in a folder, and goes on from there when `fit` is called again.

    The same call of `fit` on the same data then ends with the weights that it would have had without the interruption,
    bit for bit, shuffled or not, also in the middle of an epoch and whenever the process ended. Kept are weights, the
    optimizer's state, all random numbers of `set_random_seed`, totals of metrics, the place in the data, and the state
    of the callbacks EarlyStopping, ReduceLROnPlateau, LearningRateScheduler, ModelCheckpoint, CSVLogger, SwapEMAWeights
    and TensorBoard. This one hears of everything after all others, so that it keeps what they did. What gives batches
    one after the other is asked again for those that were trained on, and they are passed over: it has to give the same
    ones. The model must know its input shape before.

    Args:
        backup_dir: a folder for this callback alone.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: accepted for Keras's sake; the state before the last one is always kept.
        delete_checkpoint: remove the state when the training is done.

    Raises:
        ConfigError: there is no folder, or `save_freq` is neither. When the training begins: PathError, nothing can be
        written there; SavingError, what is kept there is damaged or belongs to another model.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: int | str = "epoch",
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
        self._latest: str | None = None

    _is_last = True

    def on_train_begin(self, logs: Logs | None = None) -> None:
        make_folder(self.backup_dir)
        for name in _FILES:
            check_target(self.backup_dir / name)
            for left in self.backup_dir.glob(f".{name}.*.tmp"):  # by a process that ended while it wrote
                left.unlink(missing_ok=True)
        try:
            found = self._found()
            if found is not None:
                self.model.load_weights(self.backup_dir / f"{found['state']}{WEIGHTS}")
                self.model._trainer.resume(found)
                restore_callbacks(self._beside, found.get("callbacks"), self.backup_dir / f"{found['state']}{ARRAYS}")
                self._latest, self._epoch = found["state"], found["epoch"]
        except (SeqcError, OSError) as error:
            raise SavingError(
                f"The backup in '{self.backup_dir}' is damaged, or of another model: {error} Remove the folder to "
                "start from the beginning."
            ) from error

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1, 0)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._every.due():
            self._save(self._epoch, batch + 1)

    def on_train_end(self, logs: Logs | None = None) -> None:
        if not self.delete_checkpoint:
            return
        for name in _FILES:
            (self.backup_dir / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is kept in the folder
            self.backup_dir.rmdir()

    def _found(self) -> dict[str, Any] | None:
        """Returns what is known of the last state that was kept, None where there is none."""
        try:
            with open_file(self.backup_dir / METADATA) as file:
                found = json.load(file)
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise SavingError(f"'{METADATA}' is not JSON ({error}).") from error
        if not isinstance(found, dict) or found.get("state") not in _STATES:
            raise SavingError(f"'{METADATA}' does not say which state counts.")
        return found

    def _save(self, epoch: int, batch: int) -> None:
        """Keeps the current state; until that is done, the one before it counts."""
        name = _STATES[1] if self._latest == _STATES[0] else _STATES[0]
        self.model.save_weights(self.backup_dir / f"{name}{WEIGHTS}", overwrite=True)
        kept = save_callbacks(self._beside, self.backup_dir / f"{name}{ARRAYS}")
        position = self.model._trainer.position(epoch, batch) | {"state": name, "callbacks": kept}
        write_file(self.backup_dir / METADATA, json.dumps(position).encode())
        self._latest = name
