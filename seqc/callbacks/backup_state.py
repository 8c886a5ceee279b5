"""The state of callbacks as plain data and arrays, for BackupAndRestore."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seqc.callbacks.base import Callback
from seqc.errors import ConfigError
from seqc.graph.ir import Array
from seqc.utils.files import open_file, write_file

# What stands in plain data for arrays of the file beside: how many there are.
_COUNT = "arrays"


def save_callbacks(callbacks: Sequence[Callback], path: Path) -> dict[str, Any]:
    """Returns the state of callbacks as plain data, by names that tell them apart; arrays of it go to a file.

    Where there are none, what is at `path` is left alone.
    """
    found: dict[str, dict[str, Any]] = {}
    arrays: dict[str, Array] = {}
    for name, callback in _named(callbacks):
        found[name] = {}
        for attribute in callback._state:
            value = getattr(callback, attribute)
            if isinstance(value, list) and value and all(isinstance(one, np.ndarray) for one in value):
                arrays |= {f"{name}.{attribute}.{i}": one for i, one in enumerate(value)}
                value = {_COUNT: len(value)}
            found[name][attribute] = value
    if arrays:
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, **arrays)
        write_file(path, content.getbuffer())
    return found


def restore_callbacks(callbacks: Sequence[Callback], found: Any, path: Path) -> None:
    """Gives callbacks the state that `save_callbacks` kept of them; those that it does not know begin anew.

    Raises:
        ConfigError: the state makes no sense.
    """
    if not isinstance(found, Mapping) or not all(isinstance(one, Mapping) for one in found.values()):
        raise ConfigError("the state of callbacks is wrong")
    arrays = _Arrays(path)
    for name, callback in _named(callbacks):
        state = dict(found.get(name, {}))
        for attribute, value in state.items():
            if isinstance(value, Mapping):
                count = value.get(_COUNT)
                if not isinstance(count, int):
                    raise ConfigError("the state of callbacks is wrong")
                state[attribute] = [arrays.take(f"{name}.{attribute}.{i}") for i in range(count)]
        if state:
            callback._restore(state)


def _named(callbacks: Sequence[Callback]) -> Iterator[tuple[str, Callback]]:
    """Yields the callbacks that have a state, each with its class and its number among those of the class."""
    seen: Counter[str] = Counter()
    for callback in callbacks:
        if callback._state:
            kind = type(callback).__name__
            yield f"{kind}.{seen[kind]}", callback
            seen[kind] += 1


class _Arrays:
    """The arrays of a file, which is opened when the first is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, Array] | None = None

    def take(self, name: str) -> Array:
        if self._found is None:
            try:
                with open_file(self.path) as file, np.load(file, allow_pickle=False) as found:
                    self._found = {key: found[key] for key in found.files}
            except (ValueError, EOFError, zipfile.BadZipFile) as error:
                raise ConfigError(f"'{self.path.name}' is damaged ({error})") from error
        if name not in self._found:
            raise ConfigError(f"'{self.path.name}' lacks '{name}'")
        return self._found[name]
