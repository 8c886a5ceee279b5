"""The operations between layers in files: which function of `seqc.ops` each class of Keras's is.

Files name operations by Keras's classes (`keras.src.ops.numpy`, `Mean`): what a class is made with is its
configuration, what it is called on are arguments of the call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import numpy as np

from seqc import ops, tree
from seqc.errors import SavingError
from seqc.graph.ir import Value, scope
from seqc.operation_classes import CLASSES, FUNCTIONS
from seqc.ops._calls import OperationCall
from seqc.serialization import revive
from seqc.utils.naming import snake_case

# Where files name functions that Keras has no class for, or not with tensors as settings: nothing in a file of Keras
# depends on what only data tell, such as the sizes in ops.shape(x).
OWN = "seqc.ops"
# Where the reader of files of Keras 2 puts functions of TensorFlow, which take and give sizes as tensors.
FOREIGN = "tensorflow"
_OWN_FUNCTIONS = {
    "arange", "conv_transpose", "empty", "eye", "full", "hard_swish", "histogram",
    "ones", "shape", "size", "swish", "tri", "zeros",
}  # fmt: skip
# What Keras has besides, at the values at which it says nothing.
_INERT: dict[str, tuple[Any, ...]] = {"sparse": (None, False), "ragged": (None, False), "synchronized": (False,)}
# The argument of `rearrange` that takes any names.
_LENGTHS = "axes_lengths"
# The largest number among an operation's settings, and the longest axis it may meet, when it comes from a file: tables
# of positions are as long as these, and are made before any data come.
_LONGEST = 1 << 24


@dataclass(frozen=True)
class Operation:
    """A class of Keras's.

    Attributes:
        module, class_name: where and what it is there. settings: names of the arguments that are configuration.
    """

    module: str
    class_name: str
    settings: tuple[str, ...]


def _function_of(cls: str) -> str:
    """Returns what the function of `seqc.ops` is called that does what a class of Keras's does."""
    return FUNCTIONS.get(cls) or snake_case(cls)


def _computing(function: str) -> Callable[..., Any]:
    """Returns a function of `seqc.ops`, or of images."""
    home = ops.image if function in ops.image.__all__ else ops
    return getattr(home, function)  # type: ignore[no-any-return]


@cache
def operations() -> dict[str, Operation]:
    """Returns the classes of Keras's by the names of their functions in `seqc.ops`."""
    found = {}
    for module, listed in CLASSES.items():
        for entry in listed.split():
            name, _, settings = entry.partition(":")
            found[_function_of(name)] = Operation(
                f"keras.src.ops.{module}", name, tuple(filter(None, settings.split(",")))
            )
    return found


def is_operation(described: Mapping[str, Any]) -> bool:
    """Tells whether an object in a file is one of Keras's operations, and no layer of the same name."""
    module = str(described.get("module") or "").split(".")
    if described.get("class_name") == "function":  # by its name, which a Lambda calls
        return False
    return (module[0] == "keras" and "ops" in module[1:]) or described.get("module") in (OWN, FOREIGN)


def is_known_operation(described: Mapping[str, Any]) -> bool:
    """Tells whether seqc.ops has what an operation in a file does."""
    cls = described.get("class_name")
    return (
        (cls in operations() or cls in _OWN_FUNCTIONS)
        if described.get("module") in (OWN, FOREIGN)
        else (operation_named(str(cls)) is not None)
    )


def operation_named(cls: str) -> Operation | None:
    """Returns the operation of a class of Keras's, None if there is none."""
    found = operations().get(_function_of(cls))
    return found if found is not None and found.class_name == cls else None


def find_operation(described: Mapping[str, Any]) -> Callable[..., Any]:
    """Returns the function that does what an operation in a file does; it takes what that was called on.

    Raises:
        SavingError: seqc has no such operation, or not with these settings.
    """
    cls, module = str(described.get("class_name")), str(described.get("module"))
    if not is_known_operation(described):
        raise SavingError(
            f"The file needs the operation '{cls}' of '{module}', which seqc.ops does not have. Where it stands, use a "
            "layer of your own that does the same with functions of seqc.ops."
        )
    config = described.get("config")
    if not isinstance(config, Mapping):
        raise SavingError(f"The configuration of operation '{cls}' is {type(config).__name__}, not a dictionary.")
    if module in (OWN, FOREIGN):
        return _called_by_name(cls, str(described.get("name") or config.get("name") or cls), module == FOREIGN)
    operation = operations()[_function_of(cls)]
    unknown = {
        key: value
        for key, value in config.items()
        if key not in (*operation.settings, "name") and (key not in _INERT or value not in _INERT[key])
    }
    if unknown:
        raise SavingError(f"The operation '{cls}' in the file has settings that seqc.ops does not know: {unknown}.")
    name = config.get("name")
    settings = {key: revive(config[key]) for key in operation.settings if key in config}
    function = _function_of(cls)
    return _called(function, str(described.get("name") or name or function), settings)


def _called(function: str, name: str, settings: dict[str, Any]) -> Callable[..., Any]:
    compute = _computing(function)
    # Keras's classes are called without what they were made with, which may stand in the middle in the function.
    names = [one for one in inspect.signature(compute).parameters if one not in operations()[function].settings]

    def call(*positional: Any, **named: Any) -> Any:
        _check_sizes((settings, positional, named), name)
        with scope(name):
            if function == "einsum":
                return compute(settings["subscripts"], *positional)
            if function == "get_item":  # the key is a tuple, and JSON has lists
                positional = tuple(tuple(part) if isinstance(part, list) else part for part in positional)
            if _gathers(compute):
                return compute(*positional, **settings)
            if len(positional) > len(names):
                raise SavingError(
                    f"Operation '{name}' in the file is called on {len(positional)} things; it takes {names}."
                )
            return compute(**dict(zip(names, positional, strict=False)), **named, **settings)

    return call


def _gathers(function: Callable[..., Any]) -> str | None:
    """Returns the parameter in which a function gathers any number of operands, if it has one."""
    parameters = inspect.signature(function).parameters.values()
    return next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)


def _called_by_name(function: str, name: str, foreign: bool) -> Callable[..., Any]:
    compute = _computing(function)
    if foreign:
        from seqc.operation_sizes import on_sizes

        compute = on_sizes(function, compute)

    def call(*positional: Any, **named: Any) -> Any:
        _check_sizes((positional, named), name)
        if function == "get_item" and isinstance(named.get("key"), list):  # a tuple, and JSON has lists
            named["key"] = tuple(named["key"])
        try:
            with scope(name):
                return compute(*positional, **named)
        except TypeError as error:
            raise SavingError(f"Operation '{name}' in the file is called on what {function} does not take.") from error

    call.every_result = foreign  # type: ignore[attr-defined]
    return call


def _check_sizes(given: Any, name: str) -> None:
    for leaf in tree.flatten(given):
        sizes = leaf.shape if isinstance(leaf, Value) else (leaf,)
        if any(isinstance(size, int) and abs(size) > _LONGEST for size in sizes):
            raise SavingError(f"Operation '{name}' in the file works on sizes beyond {_LONGEST}. Refused.")


def class_of(call: OperationCall) -> str:
    """Returns what Keras calls an operation, the name of its class."""
    known = operations().get(call.function)
    return call.function if known is None else known.class_name


def describe_operation(call: OperationCall) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """Returns the description of an operation, without its name, and the arguments that it is called on.

    Raises:
        SavingError: no file can hold it.
    """
    operation = operations().get(call.function)
    config = _settings(call, operation.settings) if operation is not None else {}
    if operation is None or any(isinstance(leaf, Value) for leaf in tree.flatten(config)):
        return _described_by_name(call)
    called_on: list[Any] = []
    named = call.arguments.get(_LENGTHS, {})
    for key, value in _arguments(call).items():
        if key not in (*config, *named) and not (key in _INERT and value in _INERT[key]):
            called_on += value if _gathers(_computing(call.function)) else [value]
    described = {"module": operation.module, "class_name": operation.class_name, "config": config}
    return {**described, "registered_name": operation.class_name}, called_on, dict(named)


def _arguments(call: OperationCall) -> dict[str, Any]:
    """Returns the arguments of a call, those that were given as `**kwargs` by their names."""
    named = dict(call.arguments)
    named.update(named.pop("kwargs", {}))
    named.update(named.pop(_LENGTHS, {}))
    return named


def _settings(call: OperationCall, names: tuple[str, ...]) -> dict[str, Any]:
    """Returns the arguments of a call that are settings in a file."""
    arguments = _arguments(call)
    found = {key: arguments[key] for key in names if key in arguments}
    shape = found.get("newshape")
    if isinstance(shape, list | tuple):
        # One size that only data tell is what is left, if there are as many numbers either way: -1 in files of Keras.
        unknown = [i for i, size in enumerate(shape) if isinstance(size, Value)]
        before, after = call.arguments["x"].type.shape, call.results[0].type.shape
        open_already = any(isinstance(size, int) and size == -1 for size in shape)
        if len(unknown) == 1 and not open_already and prod(before) == prod(after):
            found["newshape"] = [-1 if isinstance(size, Value) else size for size in shape]
    if found.get("dtype") is not None:
        found["dtype"] = np.dtype(found["dtype"]).name
    return found


def _described_by_name(call: OperationCall) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    if call.function not in operations() and call.function not in _OWN_FUNCTIONS:
        raise SavingError(f"it has ops.{call.function} between its layers, which is no operation of Keras's files")
    named = _arguments(call)
    if named.get("dtype") is not None:
        named["dtype"] = np.dtype(named["dtype"]).name
    several = _gathers(_computing(call.function))
    positional = list(named.pop(several)) if several else []
    described: dict[str, Any] = {"module": OWN, "class_name": call.function, "config": {}, "registered_name": None}
    return described, positional, named


def call_again(call: OperationCall, convert: Callable[[Any], Any]) -> Any:
    """Returns what the function gives on other arguments: those that `convert` makes of each leaf."""
    function = _computing(call.function)

    def converted(leaf: Any) -> Any:
        return slice(*map(convert, (leaf.start, leaf.stop, leaf.step))) if isinstance(leaf, slice) else convert(leaf)

    bound = inspect.BoundArguments(inspect.signature(function), tree.map_structure(converted, call.arguments))
    return function(*bound.args, **bound.kwargs)
