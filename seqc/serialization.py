"""Objects to plain dictionaries and back, in the form that Keras writes into its files.

An object is `{"module", "class_name", "config", "registered_name"}`. Reading one looks its class up in a table of known
classes. A file can only cause modules of seqc to be loaded that this table lists; nothing it holds is ever executed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import lru_cache
from types import EllipsisType
from typing import Any, ClassVar, TypeVar

import numpy as np

from seqc.argument_kinds import taken
from seqc.contexts import Scoped
from seqc.errors import ConfigError, SavingError
from seqc.file_scope import building, shared_objects
from seqc.keras_places import AS_KERAS, NOT_IN_KERAS
from seqc.known_classes import find_known, kinds
from seqc.utils.signatures import signature

T = TypeVar("T")

# registered name ("package>Name") -> class or function, for a user's own.
_REGISTERED: dict[str, Any] = {}
_REGISTERED_NAMES: dict[Any, str] = {}
# Own objects of the innermost scope, by name.
_scope: Scoped[Mapping[str, Any]] = Scoped("custom_objects", default={})
# Where own objects are noted while they are serialized.
_noted: Scoped[dict[str, Any] | None] = Scoped("noted", default=None)
# Whether functions are left as they are, since what is serialized goes to no file.
_keeping: Scoped[bool] = Scoped("keeping_functions", default=False)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """Decorator for a user's own layer, loss, metric or function: saved models may name it, under `package>name`.

    Raises:
        ConfigError: a class has no `get_config`.
    """

    def register(thing: T) -> T:
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ConfigError(f"Cannot register a class that does not have a get_config() method: {thing.__name__}.")
        key = f"{package}>{name or getattr(thing, '__name__', '')}"
        _REGISTERED[key] = thing
        _REGISTERED_NAMES[thing] = key
        return thing

    return register


def get_registered_name(obj: Any) -> str:
    """Returns the name a class or function is registered under, or its own name."""
    return _REGISTERED_NAMES.get(obj) or str(obj.__name__)


def get_registered_object(
    name: str, custom_objects: Mapping[str, Any] | None = None, module_objects: Mapping[str, Any] | None = None
) -> Any:
    """Returns the class or function of a registered name, or None. Scopes come first, then the registry."""
    for table in (_scope.get(), _REGISTERED, custom_objects or {}, module_objects or {}):
        if name in table:
            return table[name]
    return None


def get_custom_objects() -> dict[str, Any]:
    """Returns the registry itself: registered name to class or function. It may be added to."""
    return _REGISTERED


def custom_object_scope(custom_objects: Mapping[str, Any], *more: Mapping[str, Any]) -> AbstractContextManager[object]:
    """Makes own classes and functions known by name inside a `with` block."""
    merged = dict(_scope.get())
    for mapping in (custom_objects, *more):
        merged |= mapping
    return _scope.holding(merged)


def noting_own_objects(found: dict[str, Any]) -> AbstractContextManager[object]:
    """Puts the user's own classes and functions that are serialized inside a `with` block into `found`, by name."""
    return _noted.holding(found)


def keeping_functions() -> AbstractContextManager[object]:
    """Has `serialize` leave functions as they are inside a `with` block: for objects made again, without a file."""
    return _keeping.holding(True)


# Arguments of a base that says its own in `get_config`, but for these.
_LEFT_TO_CLASSES = ("autocast",)


class Configurable:
    """Remembers its constructor's arguments, which are its configuration."""

    _kind: str = ""
    _arguments: dict[str, Any]
    # Whether `get_config` itself says what this class, not one below it, takes.
    _says_its_arguments = False
    # What Keras writes in configurations of this class though it says nothing.
    always_written: ClassVar[dict[str, Any]] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        if cls.__init__ is object.__init__:  # its signature takes a millisecond, and leaves cycles behind
            self._arguments = {}
            return self
        taken_by = signature(cls.__init__)
        try:
            bound = taken_by.bind_partial(self, *args, **kwargs)
        except TypeError:  # __init__ says whose arguments they are
            self._arguments = {}
            return self
        bound.apply_defaults()
        self._arguments = {}
        for name, value in list(bound.arguments.items())[1:]:
            if taken_by.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                # What a subclass hands on to its base is a part of the configuration, too.
                accepted = _accepted(cls, of_base=False)  # type: ignore[arg-type]
                self._arguments |= {n: v for n, v in value.items() if n in accepted}
            elif taken_by.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                self._arguments |= zip(_first_of_base(cls), value, strict=False)  # type: ignore[arg-type]
            else:
                self._arguments[name] = value
        self._check_settings()
        return self

    def _check_settings(self) -> None:
        """Refuses arguments that no constructor needs to look at; those of a user's own classes mean what they like."""
        if type(self).__module__.startswith("seqc."):
            for name, value in self._arguments.items():
                taken(name, value, type(self).__name__)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data.

        An attribute of an argument's name is saved before what was passed, but not of a user's class.
        """
        own = _of_user(type(self))  # type: ignore[arg-type]
        return {
            name: serialize(value if name in own else getattr(self, name, value))
            for name, value in self._arguments.items()
        }

    @classmethod
    def from_config(cls: type[T], config: dict[str, Any]) -> T:
        """Returns a new object from what `get_config` gave.

        Entries that say nothing of options that the class lacks are left out: other versions of Keras write more.
        """
        accepted = _accepted(cls)  # type: ignore[arg-type]
        silent = cls.always_written  # type: ignore[attr-defined]
        kept = {
            name: value
            for name, value in config.items()
            if name in accepted or not (value is None or (name in silent and value == silent[name]))
        }
        return cls(**{name: revive(value) for name, value in kept.items()})


@lru_cache(1024)
def _accepted(cls: type, of_base: bool = True) -> set[str]:
    """Returns the names of the arguments of a constructor and those it may pass on.

    Args:
        cls: the class.
        of_base: whether also those that a base says itself in `get_config`.
    """
    found: set[str] = set()
    for base in cls.__mro__:
        says_itself = not of_base and vars(base).get("_says_its_arguments")
        parameters = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}  # type: ignore[misc]
        found |= set(parameters).intersection(_LEFT_TO_CLASSES) if says_itself else set(parameters)
        if says_itself or (
            parameters and not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        ):
            break
    return found


@lru_cache(1024)
def _of_user(cls: type) -> frozenset[str]:
    """Returns the names of the arguments that a class has by a constructor outside of seqc."""
    own = [base for base in cls.__mro__ if "__init__" in vars(base) and not base.__module__.startswith("seqc.")]
    signatures = [inspect.signature(vars(base)["__init__"]) for base in own if base is not object]
    return frozenset(name for signature in signatures for name in signature.parameters)


@lru_cache(1024)
def _first_of_base(cls: type) -> tuple[str, ...]:
    """Returns the names of the arguments that a constructor's *args are, handed on to that of the next base."""
    own = [base for base in cls.__mro__ if "__init__" in vars(base)]
    if len(own) < 2 or vars(own[1]).get("_says_its_arguments") or own[1] is object:
        return ()
    parameters = inspect.signature(own[1].__init__).parameters.values()  # type: ignore[misc]
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)[1:]


# What Python and NumPy have, as files describe it.
_DESCRIBED: dict[Any, Callable[[Any], Any]] = {
    np.generic: lambda x: x.item(),
    np.ndarray: lambda x: {"class_name": "__numpy__", "config": {"value": x.tolist(), "dtype": x.dtype.name}},
    EllipsisType: lambda _: {"class_name": "__ellipsis__", "config": {}},
    slice: lambda x: {
        "class_name": "__slice__",
        "config": {k: serialize(getattr(x, k)) for k in ("start", "stop", "step")},
    },
    (list, tuple): lambda x: [serialize(v) for v in x],
    dict: lambda x: {str(k): serialize(v) for k, v in x.items()},
}


def serialize(value: Any) -> Any:
    """Returns a value as plain data."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    for kind, described in _DESCRIBED.items():
        if isinstance(value, kind):
            return described(value)
    if isinstance(value, type):
        raise SavingError(f"Cannot save the class {value.__name__} itself; pass an instance.")
    if hasattr(value, "get_config"):
        return serialize_object(value)
    if callable(value):
        return serialize_function(value)
    raise SavingError(f"Cannot save {value!r} of type {type(value).__name__}: it has no get_config().")


def serialize_object(value: Any) -> dict[str, Any]:
    """Returns an object with its class name and configuration; layers also with the shape they were built for."""
    cls = type(value)
    kind = getattr(cls, "_kind", "")
    described = {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "config": serialize(value.get_config()),
        "registered_name": get_registered_name(cls),
    }
    if find_known(kind, cls.__name__) is cls:
        described.update(AS_KERAS.get(cls.__name__) or {"module": f"keras.{kind}", "registered_name": None})
    else:
        _note(cls)
    for part in ("build_config", "compile_config"):
        get_part = getattr(value, f"get_{part}", None)
        found = get_part() if get_part is not None else None
        if found is not None:
            described[part] = serialize(found)
    number = (shared_objects() or {}).get(id(value))
    if number is not None:
        described["shared_object_id"] = number
    return described


def serialize_function(function: Any) -> Any:
    """Returns a function by name: Keras's own as its bare name, a user's under the name it is registered with."""
    if _keeping.get():
        return function
    name = getattr(function, "__name__", "")
    if name in ("", "<lambda>"):
        shown = getattr(function, "__qualname__", "") or repr(function)  # without an address
        raise SavingError(
            f"Cannot save the function {shown}: a file holds functions by name, never their code. Write it with `def` "
            "and decorate it with @seqc.saving.register_keras_serializable()."
        )
    module = getattr(function, "__module__", None) or "builtins"
    if function not in _REGISTERED_NAMES and module.split(".")[0] == "seqc":
        if name not in NOT_IN_KERAS:
            return name
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": name}
    key = _note(function)
    return {"module": module, "class_name": "function", "config": key, "registered_name": key}


def _note(thing: Any) -> str:
    """Notes one of the user's own classes or functions and returns its registered name."""
    name, found = get_registered_name(thing), _noted.get()
    if found is not None:
        found[name] = thing
    return name


def is_object(value: Any) -> bool:
    """Tells whether plain data describe an object."""
    return isinstance(value, dict) and "class_name" in value and "config" in value


def revive(value: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Returns plain data with every described object inside made real.

    Raises:
        SavingError: a class is not known. Nothing is imported to find it.
    """
    with custom_object_scope(custom_objects or {}):
        if isinstance(value, list):
            return [revive(v) for v in value]
        if not isinstance(value, dict):
            return value
        return deserialize(value) if is_object(value) else {k: revive(v) for k, v in value.items()}


def deserialize(value: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Returns the object that plain data describe.

    Raises:
        SavingError: its class is not known, or does not accept its configuration.
    """
    with custom_object_scope(custom_objects or {}):
        name, config = value["class_name"], value["config"]
        if not isinstance(name, str):
            raise SavingError(f"The file names a class by {name!r}, which is no name.")
        if name in _PLAIN:
            try:
                return _PLAIN[name](config)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise SavingError(f"The file holds a '{name}' that says nothing sensible: {error}.") from error
        if name == "function":
            return _find_function(value)
        return _construct(value)


def _construct(value: dict[str, Any]) -> Any:
    name, config = value["class_name"], value["config"]
    shared, number = shared_objects(), value.get("shared_object_id")
    sharing = shared is not None and isinstance(number, int | str)
    if shared is not None and sharing and number in shared:
        return shared[number]
    cls = find_class(value)
    if not isinstance(config, dict) or not all(isinstance(k, str) for k in config):
        raise SavingError(f"The configuration of '{name}' in the file is {type(config).__name__}, not a dictionary.")
    try:
        made = cls.from_config(config)
    except SavingError as error:
        if str(error).startswith("In ") or "name" not in config:
            raise
        raise SavingError(f"In {name} '{config['name']}': {error}") from error
    except RecursionError as error:
        raise SavingError("Models are nested too deep, or a configuration is.") from error
    except Exception as error:
        label = f" '{config['name']}'" if isinstance(config.get("name"), str) else ""
        raise SavingError(f"{name}{label} cannot be made from its configuration in the file: {error}") from error
    build = getattr(made, "build_from_config", None)
    says = isinstance(value.get("build_config"), dict) and not getattr(build, "follows", False)
    if building() and build is not None and says:
        build(value["build_config"])
    if shared is not None and sharing:
        shared[number] = made
    return made


def _refuse_lambda(_: Any) -> Any:
    raise SavingError(
        "The file holds a Python lambda as code. seqc never runs code from a file, whatever `safe_mode` says. Replace "
        "the lambda by a named function, register it with @seqc.saving.register_keras_serializable(), and save again."
    )


def _array(config: Any) -> Any:
    kind = np.dtype(config["dtype"])
    if kind.kind not in "biuf":
        raise ValueError(f"arrays hold numbers, not {kind}")
    return np.array(config["value"], kind)


# What stands for plain values in a file.
_PLAIN: dict[str, Callable[[Any], Any]] = {
    "__numpy__": _array,
    "__tensor__": _array,
    "__tuple__": lambda config: tuple(revive(config)),
    "__bytes__": lambda config: config["value"].encode(),
    "__ellipsis__": lambda config: ...,
    "__slice__": lambda config: slice(config["start"], config["stop"], config["step"]),
    "__lambda__": _refuse_lambda,
}


def find_class(value: Mapping[str, Any]) -> Any:
    """Returns the class that a described object names: own ones first, then those of seqc.

    Raises:
        SavingError: there is none.
    """
    name, registered = str(value["class_name"]), str(value.get("registered_name") or "")
    own = get_registered_object(registered) or _scope.get().get(name)
    if isinstance(own, type):
        return own
    module = str(value.get("module") or "")
    if name == "Model" and not module:  # what Keras 1 and 2 called functional models
        name = "Functional"
    parts = module.split(".")
    # "keras.optimizers" says the kind; so does "keras.src.backend.torch.optimizers.torch_sgd" of Keras on torch.
    for kind in reversed(parts):
        if (cls := find_known(kind, name)) is not None:
            return cls
    every = kinds()
    found = [cls for kind in every if (cls := find_known(kind, name)) is not None]
    says_kind = any(part in every for part in parts)
    # Operations between layers, which "keras.src.ops.numpy" has, are no layers of the same name.
    if found and parts[0] in ("keras", "") and not says_kind and "ops" not in parts:
        return found[0]
    raise SavingError(
        f"The file needs the class '{registered or name}' (module '{module}'), which seqc does not have. If it is your "
        "own, decorate it with @seqc.saving.register_keras_serializable() or pass custom_objects={...}."
    )


def _find_function(value: Mapping[str, Any]) -> Any:
    name, registered = str(value["config"]), str(value.get("registered_name") or value["config"])
    for key in (registered, name, name.rsplit(">", 1)[-1]):
        found = get_registered_object(key)
        if found is not None:
            return found
    module = str(value.get("module") or "builtins")
    if ">" not in name and module.split(".")[0] in ("builtins", "keras"):
        return name  # one of Keras's own; whoever needs it looks it up by name
    raise lacks_function(registered, module)


def lacks_function(name: str, module: str) -> SavingError:
    """Returns what to raise where a file names a function that nobody here has."""
    return SavingError(
        f"The file needs the function '{name}' (module '{module}'), which seqc does not have. Decorate it with "
        "@seqc.saving.register_keras_serializable() or pass custom_objects={...}."
    )


def refuse_foreign(thing: Any, kind: str, what: str) -> None:
    """Raises ConfigError for an object, class or function of another library, and says whose it is.

    Args:
        thing: what was given. kind: the kind of classes wanted. what: how errors call it.
    """
    source = thing if hasattr(thing, "__name__") else type(thing)
    package = str(getattr(source, "__module__", "")).split(".")[0]
    if package not in _FOREIGN:
        return
    has = find_known(kind, source.__name__) is not None
    own = f"Use seqc.{kind}.{source.__name__}" if has else f"See seqc.{kind}, which has no '{source.__name__}'"
    raise ConfigError(
        f"The {what} '{source.__name__}' belongs to {package}, which cannot compute in a graph of seqc. {own}, or "
        "write one with functions of seqc.ops."
    )


_FOREIGN = ("jax", "keras", "keras_core", "sklearn", "tensorflow", "tf_keras", "torch", "torchmetrics")


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
    refuse_foreign(identifier, kind, what)
    if isinstance(identifier, dict):
        try:
            identifier = deserialize(identifier)
        except (KeyError, SavingError) as error:
            raise ConfigError(f"Could not interpret {what} identifier: {identifier}. {error}") from None
    if isinstance(identifier, str):
        found = get_registered_object(identifier) or aliases.get(identifier) or find_known(kind, identifier)
        if found is None:
            raise ConfigError(
                f"Could not interpret {what} identifier: {identifier}. Known: {', '.join(sorted(aliases))}."
            )
        return found() if isinstance(found, type) else found
    if isinstance(identifier, type):
        return identifier()
    if callable(identifier) or (isinstance(identifier, Configurable) and identifier._kind == kind):
        return identifier
    raise ConfigError(f"Could not interpret {what} identifier: {identifier}. Give a name, an object or a function.")
