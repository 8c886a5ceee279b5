"""Model files, under the names of `keras.saving`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqc.saving.kinds import SavingFileNotFound
from seqc.serialization import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    revive,
    serialize,
)
from seqc.utils.absent import absent, late

if TYPE_CHECKING:
    from seqc.saving.editor import KerasFileEditor
    from seqc.saving.loading import load_model
    from seqc.saving.storing import save_model, save_weights
    from seqc.saving.weights_file import load_weights

CustomObjectScope = custom_object_scope


def serialize_keras_object(obj: Any) -> Any:
    """Returns an object, or a structure of some, as plain data."""
    return serialize(obj)


def deserialize_keras_object(config: Any, custom_objects: dict[str, Any] | None = None, safe_mode: bool = True) -> Any:
    """Returns what `serialize_keras_object` described. Code is refused whatever `safe_mode` says."""
    return revive(config, custom_objects)


__all__ = [
    "CustomObjectScope",
    "KerasFileEditor",
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

# Readers and writers of all kinds of files are a tenth of what importing seqc would take.
_HOMES = {
    "KerasFileEditor": "seqc.saving.editor",
    "load_model": "seqc.saving.loading",
    "load_weights": "seqc.saving.weights_file",
    "save_model": "seqc.saving.storing",
    "save_weights": "seqc.saving.storing",
}
__getattr__ = late(__name__, _HOMES, absent(__name__, __all__))


def __dir__() -> list[str]:
    return __all__
