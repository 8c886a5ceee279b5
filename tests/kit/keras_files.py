"""What tests of Keras files share: archives taken apart and put together again."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from seqc import layers, serialization
from seqc.errors import SavingError
from seqc.sequential import Sequential
from seqc.serialization import is_object

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


def members(path: Path) -> dict[str, bytes]:
    """Returns the members of an archive."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def write_members(path: Path, content: dict[str, bytes]) -> Path:
    """Writes an archive."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def read_config(path: Path) -> Any:
    """Returns the configuration in an archive."""
    return json.loads(members(path)[CONFIG])


def change_config(path: Path, change: Callable[[Any], None]) -> Path:
    """Rewrites an archive with a configuration that `change` changed in place."""
    content = members(path)
    config = json.loads(content[CONFIG])
    change(config)
    content[CONFIG] = json.dumps(config).encode()
    return write_members(path, content)


def change_weights(path: Path, change: Callable[[h5py.File], None]) -> Path:
    """Rewrites an archive with an HDF5 file that `change` changed in place."""
    content = members(path)
    buffer = io.BytesIO(content[WEIGHTS])
    with h5py.File(buffer, "r+") as file:
        change(file)
    content[WEIGHTS] = buffer.getvalue()
    return write_members(path, content)


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Returns all arrays in an archive's weights by path."""
    found: dict[str, np.ndarray[Any, Any]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with h5py.File(io.BytesIO(members(path)[WEIGHTS]), "r") as file:
        file.visititems(visit)
    return found


def described(value: Any) -> list[dict[str, Any]]:
    """Returns all objects in a configuration."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [*([value] if is_object(value) else []), *(d for v in inner for d in described(v))]


def require_classes(config: Any) -> None:
    """Skips a file that needs classes which are not carried."""
    missing = set()
    for entry in described(config):
        try:
            if entry["class_name"] not in ("DTypePolicy", "function"):
                serialization.find_class(entry)
        except SavingError:
            missing.add(entry["class_name"])
    if missing:
        pytest.skip(f"not carried: {', '.join(sorted(missing))}")


def assert_same_weights(one: Any, other: Any) -> None:
    """Compares names and arrays."""
    assert [v.path for v in one.weights] == [v.path for v in other.weights]
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def small_model() -> Sequential:
    """Returns two dense layers around a dropout, with weights that are the same every time."""
    model = Sequential(
        [
            layers.Input((4,)),
            layers.Dense(3, activation="relu", name="first"),
            layers.Dropout(0.5),
            layers.Dense(2, name="second"),
        ],
        name="small",
    )
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model
