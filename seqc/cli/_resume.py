"""What `seqc train` keeps after every epoch, so that --resume goes on from there, and the picture that grows."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqc.callbacks import BackupAndRestore, Callback
from seqc.callbacks.backup import METADATA
from seqc.errors import ConfigError, MissingDependencyError, SavingError
from seqc.utils.files import make_folder, open_file, write_file

RUN = "run.json"
# Seconds between two drawings of a picture that grows; one takes about half a second.
DRAW_SECONDS = 5.0


class Backup(Callback):
    """The state of a training after its last whole epoch, and the metrics of all epochs so far.

    Args:
        folder: for this alone. settings: what decides the numbers of a run, such as the seed.

    Attributes:
        rows: the metrics of each epoch.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, dict(settings)
        self.rows: list[dict[str, Any]] = []
        self.keeper = BackupAndRestore(folder, delete_checkpoint=False)

    def find(self, resume: bool) -> int:
        """Takes over what a run that was stopped left behind, or forgets it; returns after how many epochs that was.

        Raises:
            ConfigError: it was another run. SavingError: it is damaged.
        """
        if not resume or not (self._path.exists() and (self.folder / METADATA).exists()):
            self.forget()
            return 0
        try:
            with open_file(self._path) as file:
                found = json.load(file)
            with open_file(self.folder / METADATA) as file:
                whole = int(json.load(file)["epoch"])
            settings, rows = found["settings"], [dict(row) for row in found["rows"]][:whole]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise SavingError(
                f"{self._path} is damaged ({error}). Remove {self.folder} to start from the beginning."
            ) from error
        for name, value in self.settings.items():
            if settings.get(name) != value:
                raise ConfigError(
                    f"--resume goes on with the run in {self.folder}, which had {name} {settings.get(name)}; now it is "
                    f"{value}. Give the same, or train without --resume."
                )
        self.rows = rows
        return len(rows)

    def forget(self) -> None:
        """Removes what is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _path(self) -> Path:
        return self.folder / RUN

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        make_folder(self.folder)
        self._write()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.rows = [*self.rows[:epoch], {name: _plain(value) for name, value in (logs or {}).items()}]
        self._write()

    def _write(self) -> None:
        # Before the state of the same epoch: what is in here and not in there is left out.
        write_file(self._path, json.dumps({"settings": self.settings, "rows": self.rows}).encode())

    def history(self) -> dict[str, list[Any]]:
        """Returns the metrics of all epochs by name, as the History has them."""
        found: dict[str, list[Any]] = {}
        for row in self.rows:
            for name, value in row.items():
                found.setdefault(name, []).append(value)
        return found


class GrowingCurve(Callback):
    """Draws the curves of a training while it goes on, every few seconds, into the file that has them at its end.

    Args:
        backup: knows the metrics. path: the .png file. title: above the picture.
    """

    def __init__(self, backup: Backup, path: Path, title: str) -> None:
        self._backup, self._path, self._title = backup, path, title
        self._drawn = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if time.perf_counter() - self._drawn < DRAW_SECONDS:
            return
        from seqc import plots

        try:
            plots.loss_curve(self._backup.history(), self._path, title=self._title)
            self._drawn = time.perf_counter()
        except MissingDependencyError:  # said at the end
            self._drawn = float("inf")


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
