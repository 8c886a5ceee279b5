"""Objects to plain dictionaries and back, in the form that Keras writes into its files.

An object is `{"module", "class_name", "config", "registered_name"}`. Reading one looks its class up in a table of known
classes; nothing named in a file is ever imported or executed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from seqc.errors import ConfigError, SavingError

T = TypeVar("T")

# (kind, class name) -> class, for kinds "layers", "initializers", "optimizers", "losses", ...
_KNOWN: dict[tuple[str, str], type] = {}
# registered name ("package>Name") -> class or function, for a user's own.
_REGISTERED: dict[str, Any] = {}
_REGISTERED_NAMES: dict[Any, str] = {}


def known(kind: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: the class can be read from files under `kind` and its own name."""

    def register(cls: type[T]) -> type[T]:
        _KNOWN[kind, cls.__name__] = cls
        cls._kind = kind  # type: ignore[attr-defined]
        return cls

    return register


def classes(kind: str) -> dict[str, type]:
    """Returns the known classes of a kind by name."""
    return {name: cls for (k, name), cls in _KNOWN.items() if k == kind}


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Decorator for a user's own layer, loss, metric or function: saved models may name it, under `package>name`."""

    def register(thing: T) -> T:
        key = f"{package}>{name or getattr(thing, '__name__', '')}"
        _REGISTERED[key] = thing
        _REGISTERED_NAMES[thing] = key
        return thing

    return register


class Configurable:
    """Remembers its constructor's arguments, which are its configuration."""

    _kind: str = ""
    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        signature = inspect.signature(cls.__init__)
        bound = signature.bind_partial(self, *args, **kwargs)
        bound.apply_defaults()
        self._arguments = {
            name: value
            for name, value in bound.arguments.items()
            if name != "self"
            and signature.parameters[name].kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        }
        return self

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data. An attribute of an argument's name has precedence over
        what was passed, so that normalized values are saved.
        """
        return {name: serialize(getattr(self, name, value)) for name, value in self._arguments.items()}

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        """Returns a new object from what `get_config` gave."""
        return cls(**{name: revive(value) for name, value in config.items()})


def serialize(value: Any) -> Any:
    """Returns a value as plain data."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return {"class_name": "__numpy__", "config": {"value": value.tolist(), "dtype": value.dtype.name}}
    if isinstance(value, list | tuple):
        return [serialize(v) for v in value]
    if isinstance(value, dict):
        return {str(k): serialize(v) for k, v in value.items()}
    if isinstance(value, type):
        raise SavingError(f"Cannot save the class {value.__name__} itself; pass an instance.")
    if hasattr(value, "get_config"):
        return serialize_object(value)
    if callable(value):
        return serialize_function(value)
    raise SavingError(f"Cannot save {value!r} of type {type(value).__name__}: it has no get_config().")


def serialize_object(value: Any) -> dict[str, Any]:
    """Returns an object with its class name and configuration."""
    cls = type(value)
    kind = cls._kind if _KNOWN.get((getattr(cls, "_kind", ""), cls.__name__)) is cls else None
    module = None if kind is None else "keras" if cls.__name__ in ("Sequential", "DTypePolicy") else f"keras.{kind}"
    registered = None if kind is not None else _REGISTERED_NAMES.get(cls, cls.__name__)
    return {
        "module": module if module is not None else cls.__module__,
        "class_name": cls.__name__,
        "config": value.get_config(),
        "registered_name": registered,
    }


def serialize_function(function: Any) -> Any:
    """Returns a function by name: Keras's own as its bare name, a registered one under its key."""
    if function in _REGISTERED_NAMES:
        name = _REGISTERED_NAMES[function]
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
    return getattr(function, "__name__", str(function))


def is_object(value: Any) -> bool:
    """Tells whether plain data describe an object."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def revive(value: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns plain data with every described object inside made real.

    Raises:
        SavingError: a class is not known. Nothing is imported to find it.
    """
    if isinstance(value, list):
        return [revive(v, custom_objects) for v in value]
    if not isinstance(value, dict):
        return value
    if not is_object(value):
        return {k: revive(v, custom_objects) for k, v in value.items()}
    return deserialize(value, custom_objects)


def deserialize(value: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the object that plain data describe."""
    name, config = value["class_name"], value["config"]
    if name == "__numpy__":
        return np.array(config["value"], config["dtype"])
    if name == "__tuple__":
        return tuple(revive(value.get("items", config), custom_objects))
    if name == "DTypePolicy":
        return config["name"]
    if name == "function":
        return _find_function(str(value.get("registered_name") or config), str(config), custom_objects)
    cls = _find_class(value, custom_objects)
    return cls.from_config(config) if custom_objects is None else _with_custom(cls, config, custom_objects)


def _with_custom(cls: Any, config: dict[str, Any], custom_objects: dict[str, Any]) -> Any:
    if "custom_objects" in inspect.signature(cls.from_config).parameters:
        return cls.from_config(config, custom_objects=custom_objects)
    return cls.from_config({k: revive(v, custom_objects) if is_object(v) else v for k, v in config.items()})


def _find_class(value: dict[str, Any], custom_objects: dict[str, Any] | None) -> Any:
    name, registered = value["class_name"], value.get("registered_name")
    for key in (registered, name):
        if custom_objects and key in custom_objects:
            return custom_objects[key]
    if registered in _REGISTERED:
        return _REGISTERED[registered]
    module = str(value.get("module") or "")
    kind = module.rsplit(".", 1)[-1]
    if (kind, name) in _KNOWN:
        return _KNOWN[kind, name]
    found = [cls for (_, n), cls in _KNOWN.items() if n == name]
    if found and (module.startswith("keras") or not module):
        return found[0]
    raise SavingError(
        f"The file needs the class '{registered or name}' (module '{module}'), which seqc does not have. If it is your "
        "own, decorate it with @seqc.saving.register_keras_serializable() or pass custom_objects={...}."
    )


def _find_function(registered: str, name: str, custom_objects: dict[str, Any] | None) -> Any:
    for key in (registered, name, name.rsplit(">", 1)[-1]):
        if custom_objects and key in custom_objects:
            return custom_objects[key]
        if key in _REGISTERED:
            return _REGISTERED[key]
    if ">" not in name:
        return name  # one of Keras's own; whoever needs it looks it up by name
    raise SavingError(
        f"The file needs the function '{registered}', which seqc does not have. Decorate it with "
        "@seqc.saving.register_keras_serializable() or pass custom_objects={...}."
    )


def get(identifier: Any, kind: str, what: str, aliases: dict[str, Any]) -> Any:
    """Returns the object that a string, a dictionary or an object stands for.

    Args:
        identifier: a name from `aliases` or of a known class, a described object, or the object itself.
        kind: the kind of classes to look in. what: how errors call it. aliases: names to classes or functions.

    Raises:
        ConfigError: the identifier stands for nothing known.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        try:
            return deserialize(identifier)
        except (KeyError, SavingError) as error:
            raise ConfigError(f"Could not interpret {what} identifier: {identifier}. {error}") from None
    if isinstance(identifier, str):
        found = aliases.get(identifier, _KNOWN.get((kind, identifier)) or _REGISTERED.get(identifier))
        if found is None:
            raise ConfigError(
                f"Could not interpret {what} identifier: {identifier}. Known: {', '.join(sorted(aliases))}."
            )
        return found() if isinstance(found, type) else found
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier):
        return identifier
    raise ConfigError(f"Could not interpret {what} identifier: {identifier}")
