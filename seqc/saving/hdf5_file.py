"""HDF5 files: whole models and weights as Keras kept them before `.keras`, and `.weights.h5`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from seqc.errors import SavingError
from seqc.saving.arrays import StoredArray
from seqc.saving.h5 import Store, damage, open_store
from seqc.saving.keras1 import is_keras1
from seqc.saving.layered import LayeredWeights
from seqc.saving.model_file import ModelFile, OpenFile, parsed, parsed_model
from seqc.saving.state import PathWeights, is_by_path

WHOLE, BY_LAYER = "a whole model in HDF5 (.h5)", "weights by layer in HDF5 (.h5)"
BY_PATH = "weights of Keras 3 (.weights.h5)"
# Groups that hold no layer.
_TOP = "top_level_model_weights"


@contextmanager
def read_hdf5(opened: OpenFile) -> Iterator[ModelFile]:
    """Reads an HDF5 file; which of the three it is, its attributes and groups say.

    Raises:
        SavingError: it is none of them.
    """
    with open_store(opened.file, opened.path, opened.size) as store:
        with damage(opened.path):
            found = _found(store)
        yield found


def _found(store: Store) -> ModelFile:
    root = store.root
    if "model_config" in root.attrs:
        return _whole(store)
    if _has_names(root):
        weights = _layered(store, root, "")
        return ModelFile(BY_LAYER, store.source, weights=weights, version=weights.version, backend=weights.backend)
    if is_by_path(store):
        return ModelFile(BY_PATH, store.source, weights=PathWeights(store))
    inside = ", ".join(sorted(root)[:10]) or "nothing"
    raise SavingError(
        f"'{store.source}' is an HDF5 file that holds no model of Keras and no weights of one, but: {inside}."
    )


def _whole(store: Store) -> ModelFile:
    root, texts = store.root, store.texts
    described = parsed_model(texts.one(root, "model_config") or "", "Attribute 'model_config'", store.source)
    training = texts.one(root, "training_config")
    prefix = "model_weights/" if "model_weights" in root else ""
    weights = None
    if prefix or _has_names(root):
        weights = _layered(store, root["model_weights"] if prefix else root, prefix)
        weights.optimizer, weights.no_optimizer = _optimizer(store)
        if not weights.version and is_keras1(described):  # its first releases did not say that they were
            weights.version = "1"
    return ModelFile(
        WHOLE,
        store.source,
        described=described,
        weights=weights,
        version=texts.one(root, "keras_version") or "",
        backend=texts.one(root, "backend") or "",
        written_by=texts.one(root, "written_by") or "",
        training=None if training is None else parsed(training, "Attribute 'training_config'", store.source),
        is_old=True,
    )


def _has_names(group: Any) -> bool:
    return "layer_names" in group.attrs or "layer_names0" in group.attrs


def _layered(store: Store, group: Any, prefix: str) -> LayeredWeights:
    """Returns the weights in a group, by layer in the order of the model."""
    texts = store.texts
    names = texts.listed(group, "layer_names")
    if names is None or len(set(names)) < len(names):
        raise SavingError(f"'{store.source}' does not say which layers its weights belong to.")
    groups: dict[str, list[StoredArray]] = {}
    for name in names:
        arrays = _group(store, group, name, prefix)
        if arrays:
            groups[name] = arrays
    root = store.root
    return LayeredWeights(
        store.source,
        groups,
        _group(store, group, _TOP, prefix) if _TOP in group else [],
        version=texts.one(group, "keras_version") or texts.one(root, "keras_version") or "",
        backend=texts.one(group, "backend") or texts.one(root, "backend") or "",
    )


def _group(store: Store, group: Any, name: str, prefix: str) -> list[StoredArray]:
    """Returns the arrays of one layer."""
    if name not in group or not hasattr(group[name], "attrs"):
        raise SavingError(f"'{store.source}' lists a layer '{name}' and has no group for it. It may be damaged.")
    found = store.texts.listed(group[name], "weight_names")
    if found is None:
        raise SavingError(f"'{store.source}' does not say which arrays layer '{name}' has. It may be damaged.")
    return [_array(store, f"{prefix}{name}/", one) for one in found]


def _optimizer(store: Store) -> tuple[list[StoredArray], str]:
    """Returns the arrays of the optimizer, or none and why not: weights are worth more than its state."""
    root = store.root
    if "optimizer_weights" not in root:
        return [], ""
    names = store.texts.listed(root["optimizer_weights"], "weight_names") or []
    held = {path for path in (store.known(f"optimizer_weights/{name}") for name in names) if path is not None}
    if len(held) < len(names):  # Keras gives several slots of some optimizers one name, and stops at the second
        return [], f"'{store.source}' lists {len(names)} arrays as the state of its optimizer and holds {len(held)}."
    return [_array(store, "optimizer_weights/", name) for name in names], ""


def _array(store: Store, prefix: str, name: str) -> StoredArray:
    path = store.known(f"{prefix}{name}")
    if path is None:
        raise SavingError(
            f"'{store.source}' lists an array '{name}' at '{prefix}' and does not hold it. It is damaged."
        )
    return StoredArray(name, store.shape(path), store.dtype(path), partial(store.read, path))
