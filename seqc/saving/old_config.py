"""Models as Keras 1 and 2 described them, and as Keras 3 still does in `.h5` files, put into the words of Keras 3.

Only words change: nothing is made here, and nothing is decided that the layers themselves decide. What they do not
know stays, so that they refuse it by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqc.known_classes import find_known
from seqc.operations import is_operation, operation_named
from seqc.saving.keras1 import from_keras1, is_keras1
from seqc.saving.old_calls import modern_calls
from seqc.saving.old_layers import RENAMED, layer_config, mapped
from seqc.serialization import get_registered_object, is_object

# What Keras 1 and 2 called hard_sigmoid is another function than Keras 3's.
OLD_HARD_SIGMOID = "hard_sigmoid_keras2"
_MODELS = ("Sequential", "Functional", "Model")
_PARTS = {"initializer": "keras.initializers", "regularizer": "keras.regularizers", "constraint": "keras.constraints"}


def modern_config(config: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Returns the description of a model in the words of Keras 3.

    Args:
        config: as a file has it: `class_name` and `config`.
        version: of the Keras that wrote it, such as "2.2.4-tf"; "" where the file does not say.
    """
    major = major_version(config, version)
    if major == 1:
        config = mapped(config, from_keras1)
    made: dict[str, Any] = _Modern(major).entry(config, config.get("name"))
    return made


def major_version(config: Mapping[str, Any], version: str) -> int:
    """Returns which Keras wrote a description: 1, 2 or 3. Where that is not said, the words tell."""
    number = version.partition(".")[0]
    if number.isdigit():
        return int(number)
    if is_keras1(config):
        return 1
    return 3 if "registered_name" in config else 2


class _Modern:
    """Translates for one version of Keras."""

    def __init__(self, major: int) -> None:
        self._major = major

    def entry(self, entry: Any, name: Any = None) -> Any:
        """Returns a layer or model, which stands in a list of layers or inside a wrapper."""
        if not is_object(entry) or is_operation(entry):
            return entry
        cls, config = entry["class_name"], entry["config"]
        if self._major == 3 and "module" not in entry and isinstance(config, Mapping) and "trainable" not in config:
            # Of operations between layers, `.h5` files of Keras 3 hold the name alone; layers say whether they train.
            operation = operation_named(str(cls)) if cls != "InputLayer" else None
            if operation is not None:
                return {**entry, "module": operation.module, "registered_name": cls}
        kind = _model_kind(cls, config)
        if kind == "Sequential":
            made = self._model("keras", kind, self._stack(config, name))
        elif kind == "Functional":
            made = self._model("keras.src.models.functional", kind, self._graph(config))
        else:
            made = self._layer(_registered(entry) or str(cls), config)
        return {**entry, **made}

    def _model(self, module: str, cls: str, config: dict[str, Any]) -> dict[str, Any]:
        return {"module": module, "class_name": cls, "config": config, "registered_name": None}

    def _stack(self, config: Any, name: Any) -> dict[str, Any]:
        given = {"layers": config} if isinstance(config, list) else dict(config)
        if name is not None:
            given.setdefault("name", name)
        listed = given.get("layers")
        entries: Any = [self.entry(one) for one in listed] if isinstance(listed, list) else listed
        if (
            isinstance(listed, list)
            and listed
            and entries[0].get("class_name") != "InputLayer"
            and "build_input_shape" not in given
        ):
            shape = _declared_shape(listed[0])
            entries = [*([] if shape is None else [_input_layer(listed[0], shape)]), *entries]
        shape = _plain_shape(given.pop("build_input_shape", None))
        given.pop("dtype", None)
        return {**given, "layers": entries, **({} if shape is None else {"build_input_shape": shape})}

    def _graph(self, config: Any) -> dict[str, Any]:
        listed = config.get("layers")
        given = {key: value for key, value in config.items() if key != "dtype"}
        if not isinstance(listed, list):
            return given
        if self._major < 3:
            models = [str(one.get("name")) for one in listed if _is_model(one)]
            given = modern_calls(given, models)
        return {**given, "layers": [self.entry(one) for one in given["layers"]]}

    def _layer(self, cls: str, config: Any) -> dict[str, Any]:
        registered = cls if ">" in cls else None
        own = get_registered_object(cls) is not None
        cls = cls if own else RENAMED.get(cls, cls.rpartition(">")[2])
        if isinstance(config, Mapping):
            config = {key: self._value(key, value) for key, value in config.items()}
            if not own:
                config = layer_config(cls, config, self._major)
        return {"module": "keras.layers", "class_name": cls, "config": config, "registered_name": registered}

    def _value(self, key: str, value: Any) -> Any:
        """Returns the value of one argument of a layer."""
        if key in ("layer", "forward_layer", "backward_layer", "cell"):
            return self.entry(value)
        if key == "cells" and isinstance(value, list):
            return [self.entry(one) for one in value]
        if key.endswith("activation"):
            return self._activation(value)
        if isinstance(value, dict) and value.get("class_name") == "Policy":
            return {**value, "module": "keras", "class_name": "DTypePolicy", "registered_name": None}
        # NumPy's numbers, as Keras 2 wrote them.
        if isinstance(value, dict) and value.get("type") == "ndarray":
            return value.get("value")
        module = _PARTS.get(key.rpartition("_")[2])
        if module is not None and is_object(value):
            return {"module": module, "registered_name": None, **value}
        return value

    def _activation(self, value: Any) -> Any:
        name = value.get("config") if isinstance(value, dict) and value.get("class_name") == "function" else value
        if isinstance(name, str):
            old = self._major < 3 and name == "hard_sigmoid" and get_registered_object(name) is None
            return OLD_HARD_SIGMOID if old else value
        return self.entry(value)


def _registered(entry: Any) -> str | None:
    """Returns the name under which a script has registered the class of an entry, where the entry says it."""
    name = entry.get("registered_name")
    return name if isinstance(name, str) and ">" in name and get_registered_object(name) is not None else None


def _is_model(entry: Any) -> bool:
    return is_object(entry) and _model_kind(entry["class_name"], entry["config"]) is not None


def _model_kind(cls: Any, config: Any) -> str | None:
    """Returns whether an object is a stack or a graph of layers.

    A class that nobody here knows is told by what it holds: a subclass of a functional model is one.
    """
    known = cls in _MODELS
    if not known and (get_registered_object(str(cls)) is not None or find_known("layers", str(cls))):
        return None
    if isinstance(config, list):
        return "Sequential" if known else None
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
        return cls if known and cls == "Sequential" else None
    return "Functional" if "input_layers" in config else "Sequential" if cls != "Model" else None


def _declared_shape(entry: Any) -> list[Any] | None:
    """Returns the shape of input that a layer says for itself, or the first layer inside a model does."""
    for _ in range(100):
        config = entry.get("config") if isinstance(entry, Mapping) else None
        listed = config if isinstance(config, list) else None
        if isinstance(config, Mapping):
            shape = config.get("batch_input_shape", config.get("batch_shape"))
            if isinstance(shape, list | tuple):
                return whole(shape)
            listed = config.get("layers")
            if listed is None and isinstance(config.get("layer"), Mapping):
                listed = [config["layer"]]
        if not isinstance(listed, list) or not listed:
            return None
        entry = listed[0]
    return None


def _input_layer(entry: Mapping[str, Any], shape: list[Any]) -> dict[str, Any]:
    config = entry["config"] if isinstance(entry["config"], Mapping) else {}
    dtype = config.get("input_dtype") or ("int32" if entry["class_name"] == "Embedding" else "float32")
    name = config.get("name")
    named = {"name": f"{name}_input"} if isinstance(name, str) else {}
    return {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": shape, "dtype": dtype, **named},
        "registered_name": None,
    }


def _plain_shape(shape: Any) -> Any:
    """Returns a shape that TensorFlow may have described as an object of its own."""
    if isinstance(shape, Mapping):
        shape = shape.get("items")
    return whole(shape) if isinstance(shape, list | tuple) else None


def whole(shape: Any) -> list[Any]:
    """Returns a shape whose sizes are whole numbers; programs divided them, and files then have 270.0."""
    return [int(size) if isinstance(size, float) and size.is_integer() else size for size in shape]
