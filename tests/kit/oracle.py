"""Recorded Keras cases: reading them, and comparing what seqc computes with them."""

from __future__ import annotations

import atexit
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "oracle"
KEPT = ROOT / "tests" / "cases"  # a small part of them, for clones without the shared folder


@dataclass(frozen=True, eq=False)
class Case:
    """One recorded case: facts, arrays, and what deviation they allow."""

    id: str
    facts: dict[str, Any]
    arrays: Mapping[str, np.ndarray]
    folder: Path

    def file(self, suffix: str) -> Path:
        return self.folder / f"{self.id}{suffix}"

    @property
    def weights(self) -> list[np.ndarray]:
        """The weights that a kept case brings along; others have theirs in a .keras file."""
        return [self.arrays[f"w{i}"] for i in range(len(self.facts["weights"]))]

    def tolerance(self, name: str) -> float:
        result: float = self.facts["tol"].get(name, self.facts["tol"]["default"])
        return result

    def check(self, name: str, actual: Any) -> None:
        """Fails when `actual` is not the recorded array of that name, within its tolerance."""
        recorded, actual = self.arrays[name], np.asarray(actual)
        assert actual.shape == recorded.shape, f"{self.id}: {name} has shape {actual.shape}, not {recorded.shape}"
        if not np.issubdtype(recorded.dtype, np.inexact):
            np.testing.assert_array_equal(actual, recorded, err_msg=f"{self.id}: {name}")
            return
        scale = np.max(np.abs(recorded[np.isfinite(recorded)]), initial=1.0)
        np.testing.assert_allclose(
            actual, recorded, rtol=0, atol=self.tolerance(name) * scale, err_msg=f"{self.id}: {name}"
        )


def cases(kind: str) -> list[Case]:
    """All recorded cases of a folder ("layers", "losses", ...); none where the shared folder is absent."""
    folder = SHARED / kind
    return [
        Case(path.stem, json.loads(path.read_text()), Stored(path.with_suffix(".npz")), folder)
        for path in sorted(folder.glob("*.json"))
    ]


def kept_cases(name: str) -> list[Case]:
    """The cases kept in the repository as `name.json` and `name.npz`."""
    listed = json.loads((KEPT / f"{name}.json").read_text())
    return [Case(facts["id"], facts, Stored(KEPT / f"{name}.npz", f"{facts['id']}/"), KEPT) for facts in listed]


@cache
def _opened(path: Path) -> Any:
    """An .npz file, which stays open: what is in one of a thousand arrays takes a while to list."""
    stored = np.load(path, allow_pickle=False)
    atexit.register(stored.close)
    return stored


class Stored(Mapping[str, np.ndarray]):
    """The arrays of an .npz file whose names start with `prefix`, read when first asked for."""

    def __init__(self, path: Path, prefix: str = "") -> None:
        self.path, self.prefix = path, prefix

    @cached_property
    def _read(self) -> dict[str, np.ndarray]:
        if not self.prefix:
            with np.load(self.path, allow_pickle=False) as whole:
                return dict(whole)
        stored = _opened(self.path)
        own = [name for name in stored.files if name.startswith(self.prefix)]
        return {name[len(self.prefix) :]: stored[name] for name in own}

    def __getitem__(self, name: str) -> np.ndarray:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def parameters(found: list[Case]) -> list[Any]:
    """The cases as pytest parameters; one that is skipped with a reason where there are none."""
    if not found:
        return [pytest.param(None, marks=pytest.mark.skip(reason="needs the folder 'shared' beside the repository"))]
    return [pytest.param(case, id=case.id) for case in found]


def layer_classes(described: Any) -> Iterator[str]:
    """The layer classes that a configuration names, at any depth."""
    if isinstance(described, dict):
        if "class_name" in described and str(described.get("module", "keras.layers")) in ("keras.layers", "keras"):
            yield described["class_name"]
        for value in described.values():
            yield from layer_classes(value)
    elif isinstance(described, list):
        for value in described:
            yield from layer_classes(value)
