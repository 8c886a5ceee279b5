"""Folders of files, one folder for each class, as data to train with: what is the same for images, texts and sounds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array
from seqc.seeds import next_seed
from seqc.utils.dataset import Numbered
from seqc.utils.display import note
from seqc.utils.elements import shown

_MODES = ("int", "categorical", "binary", None)


@dataclass(frozen=True)
class Folder:
    """Which files of a folder are data, what their labels are, and how they come.

    Attributes:
        directory: the folder. endings: of the names of its files, in small letters.
        labels: "inferred" from folders in it; numbers or texts, one for each file in the order of their paths;
        or None.
        label_mode: "int", "categorical", "binary", or None. class_names: which folders, in the order of their numbers.
        batch_size: files in a batch; None for one at a time, without an axis of batches.
        shuffle: whether their order is random, and another one in each epoch. seed: of that order.
        validation_split: the part, the last, that is for validation. subset: "training", "validation", "both" or None.
        follow_links: whether folders that are links are looked into. format: "tf" or "grain", no matter which.
        verbose: whether it is said how many files there are.
    """

    directory: str
    endings: tuple[str, ...]
    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    batch_size: int | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    format: str
    verbose: bool

    def datasets(self, stacked: Callable[[list[str]], Any]) -> Any:
        """Returns batches of the files, or of both subsets a list.

        Args:
            stacked: makes a batch of the files of some paths.

        Raises:
            ConfigError: an argument makes no sense. DataError: there are no files, or other labels than files.
        """
        self._check()
        plain = self.labels is None or self.label_mode is None
        how = replace(self, labels=None, label_mode=None) if plain else self
        seed = next_seed() % 2**32 if self.seed is None else self.seed
        paths, numbers, names = how._listed()
        if self.verbose:
            note(f"Found {len(paths)} files{'' if names is None else f' belonging to {len(names)} classes'}.")
        if how.label_mode == "binary" and len(names or ()) != 2:
            raise ConfigError(
                'When passing `label_mode="binary"`, there must be exactly 2 class_names. Received: '
                f"class_names={names}"
            )
        if self.shuffle:
            order = np.random.RandomState(seed).permutation(len(paths))
            paths, numbers = [paths[i] for i in order], numbers[order]
        made = []
        for part in ("training", "validation") if self.subset == "both" else (self.subset,):
            chosen = self._part(part, len(paths))
            if not paths[chosen]:
                kind = f"{part} " if self.subset == "both" else ""
                raise DataError(f"No {kind}files found in directory {self.directory}. Allowed: {self.endings}")
            labels = how._as_labels(numbers[chosen], len(names or ()))
            mixed = self.shuffle and not (self.subset == "both" and part == "validation")
            rng = np.random.RandomState(seed) if mixed else None
            made.append(Files(paths[chosen], labels, names, self.batch_size, stacked, rng))
        return made if self.subset == "both" else made[0]

    def _check(self) -> None:
        if self.label_mode not in _MODES:
            raise ConfigError(
                f'`label_mode` argument must be one of "int", "categorical", "binary", or None. Received: '
                f"label_mode={self.label_mode}"
            )
        if self.format not in ("tf", "grain"):
            raise ConfigError(f'`format` should be either "tf" or "grain". Received: format={self.format}')
        if self.labels not in ("inferred", None) and not isinstance(self.labels, list | tuple):
            raise ConfigError(
                "`labels` argument should be a list/tuple of integer labels, one for each file, 'inferred', or None. "
                f"Received: labels={self.labels}"
            )
        if self.class_names is not None and self.labels != "inferred":
            raise ConfigError(
                f'You can only pass `class_names` if `labels="inferred"`. Received: labels={self.labels}, and '
                f"class_names={self.class_names}"
            )
        if self.validation_split and not 0 < self.validation_split < 1:
            raise ConfigError(f"`validation_split` must be between 0 and 1, received: {self.validation_split}")
        if bool(self.validation_split) != bool(self.subset):
            raise ConfigError("If `subset` is set, `validation_split` must be set, and inversely.")
        if self.subset not in ("training", "validation", "both", None):
            raise ConfigError(f'`subset` must be either "training", "validation" or "both", received: {self.subset}')
        if self.validation_split and self.shuffle and self.seed is None:
            raise ConfigError(
                "If using `validation_split` and shuffling the data, you must provide a `seed` argument, to make sure "
                "that there is no overlap between the training and validation subset."
            )

    def _listed(self) -> tuple[list[str], Array, list[str] | None]:
        """Returns the paths of files, their numbers or other labels, and the names that numbers stand for."""
        if not os.path.isdir(self.directory):
            raise DataError(f"There is no folder '{self.directory}'.")
        if self.labels != "inferred":
            paths = self._paths(self.directory)
            if self.labels is None:
                return paths, np.zeros(len(paths), "int32"), None
            if len(self.labels) != len(paths):
                raise DataError(
                    "Expected the lengths of `labels` to match the number of files in the target directory. "
                    f"len(labels) is {len(self.labels)} while we found {len(paths)} files in directory "
                    f"{self.directory}."
                )
            array = np.asarray(shown(self.labels))
            array = array.astype("int32") if array.dtype.kind in "iu" else array
            return paths, array, [str(label) for label in sorted(set(self.labels))]
        folders = sorted(e.name for e in os.scandir(self.directory) if e.is_dir() and not e.name.startswith("."))
        names = folders if self.class_names is None else list(self.class_names)
        if not set(names) <= set(folders):
            raise DataError(
                "The `class_names` passed did not match the names of the subdirectories of the target directory. "
                f"Expected: {folders} (or a subset of it), but received: class_names={names}"
            )
        found = [(p, i) for i, name in enumerate(names) for p in self._paths(os.path.join(self.directory, name))]
        return [path for path, _ in found], np.array([number for _, number in found], "int32"), names

    def _paths(self, directory: str) -> list[str]:
        walk = sorted(os.walk(directory, followlinks=self.follow_links))
        return [os.path.join(root, n) for root, _, ns in walk for n in sorted(ns) if n.lower().endswith(self.endings)]

    def _part(self, part: str | None, count: int) -> slice:
        if part is None:
            return slice(None)
        last = int((self.validation_split or 0) * count)
        used = last if part == "validation" else count - last
        if self.verbose:
            note(f"Using {used} files for {part}.")
        return slice(count - last, None) if part == "validation" else slice(count - last)

    def _as_labels(self, array: Array, classes: int) -> Array | None:
        if self.label_mode is None:
            return None
        if self.label_mode == "binary":
            if array.dtype.kind in "OSU":
                raise DataError(f'`label_mode="binary"` takes numbers as labels. Received: {self.labels!r:.200}')
            return array.astype("float32")[:, None]
        if self.label_mode != "categorical":
            return array
        if array.dtype.kind not in "iu":
            raise DataError(f'`label_mode="categorical"` takes whole numbers as labels. Received: {self.labels!r:.200}')
        return np.asarray(array[..., None] == np.arange(classes), "float32")  # of a number beyond the classes, zeros


class Files(Numbered):
    """Batches of files that are read when they are asked for.

    Attributes:
        file_paths: of the files, in the order before each epoch has its own. class_names: what labels stand for; None
        where there are none.
    """

    def __init__(
        self,
        paths: list[str],
        labels: Array | None,
        class_names: list[str] | None,
        batch_size: int | None,
        stacked: Callable[[list[str]], Any],
        rng: np.random.RandomState | None,
    ) -> None:
        super().__init__()
        self.file_paths, self.class_names = paths, class_names
        self._labels, self._batch_size, self._stacked, self._rng = labels, batch_size, stacked, rng
        self._order = np.arange(len(paths))

    def __len__(self) -> int:
        return -(-len(self.file_paths) // (self._batch_size or 1))

    def __getitem__(self, number: int) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(f"There is no batch {number} of {len(self)}.")
        size = self._batch_size or 1
        chosen = self._order[number * size : (number + 1) * size]
        batch = self._stacked([self.file_paths[i] for i in chosen])
        labels = None if self._labels is None else self._labels[chosen]
        if self._batch_size is None:
            batch, labels = batch[0], None if labels is None else labels[0]
        return batch if self._labels is None else (batch, labels)

    def on_epoch_end(self) -> None:
        if self._rng is not None:
            self._order = self._rng.permutation(self._order)
