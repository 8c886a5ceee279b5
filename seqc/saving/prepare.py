"""What happens to the description of a model before it is made.

Layers of the caller's own take the place of others, and what a model computes without is left out where seqc does not
have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seqc import constraints, initializers, regularizers
from seqc.known_classes import find_known
from seqc.layers.base import Layer
from seqc.serialization import is_object, revive, serialize_object
from seqc.utils.display import note

# What only training needs, by the end of the argument's name.
_FOR_TRAINING: dict[str, Callable[[Any], Any]] = {
    "_initializer": initializers.get,
    "_regularizer": regularizers.get,
    "_constraint": constraints.get,
}


def stand_ins(objects: Mapping[str, Any] | None) -> dict[str, Any]:
    """Returns the caller's own objects, with the classes of layers that are to take the place of others."""
    given = dict(objects or {})
    return given | {type(o).__name__: type(o) for o in given.values() if isinstance(o, Layer)}


def with_layers(value: Any, objects: Mapping[str, Any]) -> Any:
    """Returns a description with layers of the caller's in place of those of their names.

    Args:
        value: the description. objects: the caller's own, by name; only layers count here.
    """
    if isinstance(value, list):
        return [with_layers(inner, objects) for inner in value]
    if not isinstance(value, Mapping):
        return value
    config = value.get("config")
    layer = objects.get(str(config.get("name"))) if is_object(value) and isinstance(config, Mapping) else None
    if not isinstance(layer, Layer) or not isinstance(config, Mapping):
        return {key: with_layers(inner, objects) for key, inner in value.items()}
    described = serialize_object(layer)
    # The first layer of a stack may say what the model takes.
    kept = {key: config[key] for key in ("name", "batch_input_shape") if key in config}
    return {**value, **described, "config": {**described["config"], **kept}}


def without_unusable(config: dict[str, Any], source: str) -> dict[str, Any]:
    """Returns the description of a model without what seqc does not have and the model computes the same without.

    These are initializers, regularizers and constraints of its layers. One warning names them.

    Args:
        config: the description, in the words of Keras 3. source: what holds it, for messages.
    """
    dropped: list[str] = []

    def visit(value: Any) -> Any:
        if isinstance(value, list):
            return [visit(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        if is_object(value) and isinstance(value["config"], dict) and find_known("layers", str(value["class_name"])):
            value = {**value, "config": _usable(value["config"], dropped)}
        return {key: inner if key == "compile_config" else visit(inner) for key, inner in value.items()}

    made = visit(config)
    if dropped:
        more = f" and {len(dropped) - 5} more" if len(dropped) > 5 else ""
        note(
            f"{source} names what seqc does not have, and the model is loaded without: {', '.join(dropped[:5])}{more}. "
            "It predicts the same; training it further may differ. If one is your own, pass custom_objects={...}.",
            warn=True,
        )
    return made  # type: ignore[no-any-return]


def _usable(config: dict[str, Any], dropped: list[str]) -> dict[str, Any]:
    kept = {}
    for key, value in config.items():
        get = next((get for end, get in _FOR_TRAINING.items() if key.endswith(end)), None)
        if get is not None and value is not None:
            try:
                get(revive(value))
            except Exception:
                name = value.get("class_name", value) if isinstance(value, dict) else value
                dropped.append(f"{key} {name} of layer '{config.get('name')}'")
                continue
        kept[key] = value
    return kept
