"""What `seqc train` keeps when Ctrl-C ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqc.callbacks import Callback
from seqc.cli._resume import Backup
from seqc.model import Model


class Place(Callback):
    """Knows how far the training is; the first of the callbacks, so that no other keeps it from knowing."""

    def __init__(self) -> None:
        self.epoch, self._steps_before, self.done = 0, 0, False

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch, self._steps_before = epoch + 1, self.model._trainer.compiled.steps_taken

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.done = True

    def __str__(self) -> str:
        if self.done:
            return "Stopped after the training"
        params, taken = self.params or {}, self.model._trainer.compiled.steps_taken - self._steps_before
        total = f" of {params['steps']}" if params.get("steps") else ""
        return f"Stopped in epoch {self.epoch} of {params['epochs']}, after step {taken}{total}"


@contextmanager
def kept_when_stopped(model: Model, place: Place, path: Path, backup: Backup) -> Iterator[None]:
    """Saves the model if Ctrl-C comes inside.

    Args:
        place: how far the training is.
        path: where to.
        backup: from which another run can go on.

    Raises:
        KeyboardInterrupt: Ctrl-C came; its text says what was kept.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if not place.epoch:
            raise
        where = str(place)
        try:
            model.save(path)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{where}, and again while the model was being saved: nothing was saved.") from None
        notes = [f"\n{note}" for note in getattr(error, "__notes__", ())]
        whole = len(backup.rows)
        after = f" --resume goes on after epoch {whole}." if whole else ""
        raise KeyboardInterrupt(f"{where}. The model as of then was saved to {path}.{after}{''.join(notes)}") from None
