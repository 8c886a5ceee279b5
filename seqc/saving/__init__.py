"""Model files, under the names of `keras.saving`."""

from __future__ import annotations

from typing import Any

from seqc.saving.kinds import SavingFileNotFound
from seqc.saving.loading import load_model
from seqc.saving.storing import save_model, save_weights
from seqc.saving.weights_file import load_weights
from seqc.serialization import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    revive,
    serialize,
)
from seqc.utils.absent import absent

CustomObjectScope = custom_object_scope
serialize_keras_object = serialize


def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """Returns what `serialize_keras_object` described. Code is refused whatever `safe_mode` says."""
    return revive(config, custom_objects)


__all__ = [
    "CustomObjectScope",
    "SavingFileNotFound",
    "custom_object_scope",
    "deserialize_keras_object",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "load_model",
    "load_weights",
    "register_keras_serializable",
    "save_model",
    "save_weights",
    "serialize_keras_object",
]

__getattr__ = absent(__name__, __all__)
