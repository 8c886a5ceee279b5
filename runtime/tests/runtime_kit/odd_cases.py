"""Cases for clients in environments of their own: a request and its answer by a file. It needs NumPy alone.

Texts are arrays of fixed width in the files, and of objects outside of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

Tensors = dict[str, np.ndarray]


def write_case(folder: Path, number: int, model: str, feeds: Tensors, outputs: Tensors) -> None:
    """Write what is asked of a model, and what it must answer."""
    arrays: Tensors = {}
    for prefix, tensors in (("i", feeds), ("o", outputs)):
        for place, array in enumerate(tensors.values()):
            arrays[f"{prefix}{place}"] = array.astype(np.str_) if array.dtype == object else array
    np.savez(folder / f"{number}.npz", allow_pickle=False, **arrays)
    names = {"model": model, "inputs": list(feeds), "outputs": list(outputs)}
    (folder / f"{number}.json").write_text(json.dumps(names))


def read_cases(folder: Path) -> Iterator[tuple[str, Tensors, Tensors]]:
    """The models' names, inputs and outputs."""
    for file in sorted(folder.glob("*.json")):
        case = json.loads(file.read_text())
        with np.load(file.with_suffix(".npz"), allow_pickle=False) as arrays:
            feeds, outputs = (
                {name: _texts(arrays[f"{prefix}{place}"]) for place, name in enumerate(case[kind])}
                for prefix, kind in (("i", "inputs"), ("o", "outputs"))
            )
        yield case["model"], feeds, outputs


def _texts(array: np.ndarray) -> np.ndarray:
    return array.astype(object) if array.dtype.kind == "U" else array


def check_same(got: np.ndarray, wanted: np.ndarray, how: str) -> None:
    """Fail unless two arrays are the same: in type, shape, and bit for bit; texts may have come as bytes."""
    assert got is not None, f"{how}: it is missing"
    assert got.shape == wanted.shape, f"{how}: {got.shape} instead of {wanted.shape}"
    if wanted.dtype == object:
        texts = [one.decode() if isinstance(one, bytes) else one for one in got.ravel().tolist()]
        assert texts == wanted.ravel().tolist(), f"{how}: {texts[:9]} instead of {wanted.ravel()[:9]}"
        return
    assert got.dtype == wanted.dtype, f"{how}: {got.dtype} instead of {wanted.dtype}"
    assert got.tobytes() == wanted.tobytes(), f"{how}: {got} instead of {wanted}"


def finite(tensors: Tensors) -> bool:
    """Whether JSON can hold them."""
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in tensors.values())
