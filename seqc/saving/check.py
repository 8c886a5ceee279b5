"""What a file's configuration names, looked at before anything is made from it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from seqc.errors import SavingError
from seqc.file_scope import Budget, one_file
from seqc.operations import is_known_operation, is_operation
from seqc.saving.limits import METRIC_BYTES, MOST_LAYERS, MOST_OBJECTS
from seqc.serialization import custom_object_scope, deserialize, find_class, get_registered_object, is_object, revive
from seqc.utils.display import note

_CODE = ("__lambda__", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer")


def check_classes(config: Mapping[str, Any], source: str) -> int:
    """Checks that a model's class and all its layers' classes are known and none of them is code.

    Args:
        config: the description of the model.
        source: what holds it, for messages.

    Returns:
        How many layers there are.

    Raises:
        SavingError: one or more are not, and all are named; or there are too many.
    """
    unknown: list[str] = []
    count: Counter[bool] = Counter()
    for described, of_compile in _described(config):
        count[_is_layer(described)] += 1
        if count.total() > MOST_OBJECTS or count[True] > MOST_LAYERS:
            raise SavingError(
                f"{source} describes more than {MOST_LAYERS} layers, or more than {MOST_OBJECTS} objects. Refused."
            )
        name = str(described["class_name"])
        if _is_code(name, described["config"]) and get_registered_object(name) is None:
            raise _refused_code(source, name, _label(described))
        if is_operation(described) and not is_known_operation(described):
            unknown.append(f"the operation {name}{_label(described)}")
        if of_compile or not _is_layer(described) or _is_known(described):
            continue
        if described is config:
            raise SavingError(
                f"{source} holds a {name} model, a class that seqc does not have: it carries Sequential and functional "
                "models. If it is your own, register it with @seqc.saving.register_keras_serializable() or pass "
                "custom_objects={...}."
            )
        unknown.append(f"{described.get('registered_name') or name}{_label(described)}")
    if unknown:
        raise SavingError(
            f"{source} needs layers that seqc does not have: {', '.join(dict.fromkeys(unknown))}. If one is your own, "
            "write it as a subclass of seqc.layers.Layer and decorate it with "
            "@seqc.saving.register_keras_serializable() or pass custom_objects={...}."
        )
    return count[True]


def _is_code(name: str, config: Any) -> bool:
    """Tells whether a class is code, or a Lambda whose functions are not given by their names alone."""
    if name != "Lambda":
        return name in _CODE
    if not isinstance(config, dict) or any(value == "lambda" for key, value in config.items() if key.endswith("_type")):
        return True
    if isinstance(config.get("function"), str):  # as Keras 2 has a name
        return config.get("function_type") != "function"
    functions: list[Any] = [config.get(key) for key in ("function", "output_shape", "mask")]
    return not is_object(functions[0]) or any(is_object(f) and f["class_name"] == "__lambda__" for f in functions)


def _refused_code(source: str, name: str, label: str) -> SavingError:
    way = ""
    if name == "Lambda":
        at = label.strip(" '") or "lambda"
        way = (
            " Say with a layer what it does, and pass that by its name: one that scales pixels as x / 127.5 - 1 is "
            f"load_model(filepath, custom_objects={{'{at}': seqc.layers.Rescaling(1 / 127.5, offset=-1)}}). Or write it"
        )
    return SavingError(
        f"{source} holds a {name}{label}, which is code. seqc never runs code from a file, whatever `safe_mode` says."
        f"{way or ' Write it'} as a subclass of seqc.layers.Layer, register it with "
        "@seqc.saving.register_keras_serializable(), and save the model with it."
    )


def check_loads(config: dict[str, Any], own: Mapping[str, Any], name: str) -> Any:
    """Checks that a model about to be saved can be loaded again, by making its layers anew; they get no weights.

    Args:
        config: what will be written.
        own: the user's own classes and functions in it, which whoever loads the file will bring along.
        name: of the model.

    Returns:
        The model made anew.

    Raises:
        SavingError: it cannot. What only `compile` needs is a warning, as it will be when the file is loaded.
    """
    try:
        with custom_object_scope(own), one_file(Budget(sys.maxsize, METRIC_BYTES, sys.maxsize, building=False)):
            check_classes(config, "the model")
            loaded = deserialize(config)
    except SavingError as error:
        raise SavingError(
            f"Model '{name}' is not saved, because the file could not be loaded again: {error} Its weights alone can "
            "be kept with model.save_weights('NAME.weights.h5')."
        ) from error
    try:
        with custom_object_scope(own), one_file(Budget(sys.maxsize, METRIC_BYTES, sys.maxsize, building=False)):
            revive(config["compile_config"])
    except Exception as error:
        note(
            f"Model '{name}' is saved, but the arguments of compile() cannot be restored from the file, which will be "
            f"loaded uncompiled: {error}",
            warn=True,
        )
    return loaded


def _described(value: Any) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Yields all objects in a configuration, however deep they are, and whether only `compile` needs them."""
    waiting = [(value, False)]
    while waiting:
        value, of_compile = waiting.pop()
        if is_object(value):
            yield value, of_compile
        if isinstance(value, dict):
            waiting += [(v, of_compile or k == "compile_config") for k, v in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(v, of_compile) for v in reversed(value)]


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
