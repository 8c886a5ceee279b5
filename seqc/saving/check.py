"""What a file's configuration names, looked at before anything is made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqc.errors import SavingError
from seqc.serialization import find_class, is_object

_MOST_DEPTH = 100
_CODE = ("Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer")


def check_classes(config: Mapping[str, Any], path: str) -> None:
    """Checks that a model's class and all its layers' classes are known and none of them is code.

    Raises:
        SavingError: one or more are not. All are named.
    """
    unknown: list[str] = []
    for described in _described(config, path, 0):
        name = str(described["class_name"])
        if name in _CODE:
            raise SavingError(
                f"'{path}' holds a {name}{_label(described)}, which is code. seqc never runs code from a file, "
                "whatever `safe_mode` says. Write it as a subclass of seqc.layers.Layer, register it with "
                "@seqc.saving.register_keras_serializable(), and save the model with it."
            )
        if not _is_layer(described) or _is_known(described):
            continue
        if described is config:
            raise SavingError(
                f"'{path}' holds a {name} model. seqc carries Sequential models: one input, a stack of layers, one "
                "output. If it is such a stack, rebuild it in Keras as keras.Sequential(model.layers) and save that."
            )
        unknown.append(f"{described.get('registered_name') or name}{_label(described)}")
    if unknown:
        raise SavingError(
            f"'{path}' needs layers that seqc does not have: {', '.join(dict.fromkeys(unknown))}. If one is your own, "
            "write it as a subclass of seqc.layers.Layer and decorate it with "
            "@seqc.saving.register_keras_serializable() or pass custom_objects={...}."
        )


def _described(value: Any, path: str, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth > _MOST_DEPTH:
        raise SavingError(f"The configuration in '{path}' is nested more than {_MOST_DEPTH} deep. Refused.")
    if isinstance(value, dict):
        if is_object(value):
            yield value
        for inner in value.values():
            yield from _described(inner, path, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _described(inner, path, depth + 1)


def _is_layer(described: Mapping[str, Any]) -> bool:
    """Tells whether an object is a layer or a model: what Keras writes into its files has a place for its name."""
    config, name = described["config"], str(described["class_name"])
    module = str(described.get("module") or "").split(".")
    if name.startswith("__") or name in ("function", "DTypePolicy"):
        return False
    return (
        "layers" in module or "models" in module or (isinstance(config, dict) and {"name", "trainable"} <= set(config))
    )


def _is_known(described: Mapping[str, Any]) -> bool:
    try:
        find_class(described)
    except SavingError:
        return False
    return True


def _label(described: Mapping[str, Any]) -> str:
    config = described["config"]
    name = config.get("name") if isinstance(config, dict) else None
    return f" '{name}'" if isinstance(name, str) else ""
