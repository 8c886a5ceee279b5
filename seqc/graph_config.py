"""Functional models as plain data, as Keras 3 writes them: layers, and for each the calls that were made of it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import SavingError
from seqc.graph.ir import Constant, HasValue, Value
from seqc.layer_order import call_of, calls_in_order, result_of
from seqc.layers import InputLayer
from seqc.layers.base import Layer
from seqc.layers.calls import LayerCall, Slot, is_symbolic
from seqc.operations import class_of, describe_operation, find_operation, is_operation
from seqc.ops._calls import is_symbol
from seqc.serialization import revive, serialize, serialize_object
from seqc.utils.naming import free_name, snake_case

TENSOR = "__keras_tensor__"
# (layer, number of its call, number of the result)
History = tuple[str, int, int]

# In Keras, `training` is None by default in the calls of these, which then do as what is around them; it is written
# down only where somebody said it.
_ASK_OTHERS = frozenset(
    {
        "BatchNormalization", "Bidirectional", "Functional", "Heads", "Model", "Sequential", "StochasticDepth",
        "TimeDistributed",
    }
)  # fmt: skip
# In Keras it is True by default in the calls of these, which ask what is around them all the same.
_TRUE_BY_DEFAULT = frozenset({"Pipeline", "RandomImageLayer", "RandomCrop"})


def describe(inputs: Any, outputs: Any, layers: list[Layer], entries: Mapping[Value, InputLayer]) -> dict[str, Any]:
    """Returns the configuration of a graph of layers, and of the operations between them.

    Args:
        inputs, outputs: trees of symbols.
        layers: in the order in which they are to be listed.
        entries: the layer that stands for each input.

    Raises:
        SavingError: something between layers has no form in a file.
    """
    history = _Histories(entries)
    names = _operation_names(outputs, layers, entries)
    nodes: dict[str, list[Any]] = {layer.name: [] for layer in layers}
    between: list[dict[str, Any]] = []
    for v in calls_in_order(outputs, entries):
        if isinstance(v.op, LayerCall):
            nodes[v.op.layer.name].append(_layer_node(v, v.op, history))
            history.add(v, v.op.layer.name)
        else:
            between.append({**_operation_node(v, names[v], history), "name": history.add(v, names[v])})
    listed = [{**serialize_object(one), "name": one.name, "inbound_nodes": nodes[one.name]} for one in layers]
    ends = {
        "input_layers": tree.map_structure(lambda x: list(history.of(x)), inputs),
        "output_layers": tree.map_structure(lambda y: list(history.of(y)), outputs),
    }
    called_on = {history.of(y)[0] for y in tree.flatten(outputs)} | {
        name for one in listed for node in one["inbound_nodes"] for name, _, _ in _needed(node)
    }
    return {"layers": listed + _used(between, called_on), **ends}


def _used(operations: list[dict[str, Any]], called_on: set[str]) -> list[dict[str, Any]]:
    """Returns the operations, in order, on which something depends: of sizes, settings may say all there is to say."""
    kept = []
    for operation in reversed(operations):
        if operation["name"] in called_on:
            kept.append(operation)
            called_on |= {name for node in operation["inbound_nodes"] for name, _, _ in _needed(node)}
    return kept[::-1]


def scopes_of_operations(outputs: Any, layers: list[Layer], entries: Mapping[Value, InputLayer]) -> dict[Value, str]:
    """Returns the names of operations between layers for the values that they are made of, which had none yet.

    Those that a file gives them: so they are called alike before a model is saved and when it is loaded. For arguments,
    see `describe`.
    """
    found: dict[Value, str] = {}
    for call, name in _operation_names(outputs, layers, entries).items():
        waiting = [call] if call.origin is None else list(call.origin.results)
        while waiting:
            v = waiting.pop()
            if v not in found and not v.scope:
                found[v] = name
                waiting += [x for x in v.inputs if not is_symbol(x)]
    return found


def _operation_names(outputs: Any, layers: list[Layer], entries: Mapping[Value, InputLayer]) -> dict[Value, str]:
    """Returns a name that nothing else has for each operation between layers, by its first result."""
    taken = {layer.name: 0 for layer in layers}
    found: dict[Value, str] = {}
    for v in calls_in_order(outputs, entries):
        if not isinstance(v.op, LayerCall):
            kind = v.op.name if v.origin is None else class_of(v.origin)
            found[v] = free_name(v.scope.rpartition("/")[2] or snake_case(kind), taken)
    return found


class _Histories:
    """Says which call gave a value, by the name of what was called, which is unique.

    Args:
        entries: the layer that stands for each input.
    """

    def __init__(self, entries: Mapping[Value, InputLayer]) -> None:
        self._entries = entries
        # For the first result of each call.
        self._calls: dict[Value, tuple[str, int]] = {}
        self._count: Counter[str] = Counter()
        # Values that are known to be; see `is_symbolic`.
        self.symbolic: set[Value] = set()

    def add(self, v: Value, name: str) -> str:
        self._calls[v] = name, self._count[name]
        self._count[name] += 1
        return name

    def of(self, x: Value) -> History:
        if x in self._entries:
            return self._entries[x].name, 0, 0
        return (*self._calls[call_of(x)], result_of(x))

    def tensor(self, x: Value) -> dict[str, Any]:
        facts = {"shape": list(x.shape), "dtype": x.dtype, "keras_history": list(self.of(x))}
        return {"class_name": TENSOR, "config": facts}


def _layer_node(v: Value, op: LayerCall, history: _Histories) -> dict[str, Any]:
    def described(leaf: Any) -> Any:
        return history.tensor(v.inputs[leaf.index]) if isinstance(leaf, Slot) else serialize(leaf)

    (first, *_), given = op.given, tree.map_structure(described, op.given)
    return {"args": [given.pop(first)], "kwargs": given}


def _operation_node(v: Value, name: str, history: _Histories) -> dict[str, Any]:
    def described(leaf: Any) -> Any:
        if isinstance(leaf, slice):
            bounds = {name: described(getattr(leaf, name)) for name in ("start", "stop", "step")}
            return {"class_name": "__slice__", "config": bounds}
        if not isinstance(leaf, Value | HasValue):
            return serialize(leaf)
        if isinstance(leaf, Value) and is_symbolic(leaf, history.symbolic):
            return history.tensor(leaf)
        return serialize(np.asarray(leaf))

    try:
        if v.origin is None:
            raise SavingError(f"it has {v.op!r} between its layers")
        operation, positional, named = describe_operation(v.origin)
        return {
            **operation,
            "config": {"name": name, **serialize(operation["config"])},
            "inbound_nodes": [tree.map_structure(described, {"args": positional, "kwargs": named})],
        }
    except SavingError as error:
        raise SavingError(
            f"The model cannot be put into a file: {error}. Put what is computed there into a Layer subclass whose "
            "call(x) uses seqc.ops, register it with @seqc.saving.register_keras_serializable(), and use that; or keep "
            "the weights alone with save_weights."
        ) from error


def restore(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Returns the trees of symbols (inputs, outputs) of a configuration, whose layers are made and called anew.

    Calls stand in any order; each is made once what it needs is there, and is looked at once for each thing it needs.

    Raises:
        SavingError: it makes no sense: a name is not there, or calls wait for each other.
    """
    layers, calls = _layers(config)
    results: dict[str, list[list[Value]]] = {
        name: [[layer.output]] if isinstance(layer, InputLayer) else [] for name, layer in layers.items()
    }
    waiting = _waiting(calls, results)
    ready = deque(call for call in calls if not call.missing)
    made = 0
    while ready:
        call = ready.popleft()
        positional, named = _arguments(call.node, results)
        if "training" in named and _is_default(named["training"], layers[call.name]):
            del named["training"]
        results[call.name].append(_results(layers[call.name], layers[call.name](*positional, **named)))
        made += 1
        for other in waiting.pop((call.name, call.number), ()):
            other.missing -= 1
            if not other.missing:
                ready.append(other)
    if made < len(calls):
        stuck = next(call.name for call in calls if call.missing)
        raise SavingError(f"The calls of layer '{stuck}' need what no layer before them gives.")
    old = any("module" not in entry for entry in config["layers"])
    return _picked(config.get("input_layers"), results, old), _picked(config.get("output_layers"), results, old)


def _waiting(calls: list[_Call], results: dict[str, list[list[Value]]]) -> dict[tuple[str, int], list[_Call]]:
    """Returns, by layer and number of its call, what waits for that call; each call learns how many it waits for."""
    waiting: dict[tuple[str, int], list[_Call]] = {}
    for call in calls:
        needs = {(name, number) for name, number, _ in _needed(call.node)}
        needs |= {(call.name, call.number - 1)} if call.number else set()  # a layer's calls keep their numbers
        for name, number in needs:
            if name not in results:
                raise SavingError(f"The model's configuration calls a layer on '{name}', which it does not have.")
            if number >= len(results[name]):
                call.missing += 1
                waiting.setdefault((name, number), []).append(call)
    return waiting


def _results(layer: Callable[..., Any], given: Any) -> list[Any]:
    """Returns the results of a call as others name them by number."""
    if getattr(layer, "every_result", False):
        return given if isinstance(given, list) else [given] if hasattr(given, "as_tensor") else tree.flatten(given)
    # What is known of sizes is a number and no tensor.
    return [y for y in tree.flatten(given) if isinstance(y, Value) and not isinstance(y.op, Constant)]


@dataclass
class _Call:
    """A call in a configuration, and how many calls it still waits for."""

    name: str
    number: int
    node: Any
    missing: int = 0


def _layers(config: Mapping[str, Any]) -> tuple[dict[str, Callable[..., Any]], list[_Call]]:
    layers: dict[str, Callable[..., Any]] = {}
    calls: list[_Call] = []
    for entry in config.get("layers", ()):
        layer = find_operation(entry) if isinstance(entry, Mapping) and is_operation(entry) else revive(entry)
        if not callable(layer) or not isinstance(entry, Mapping):
            raise SavingError(f"The model's configuration lists {type(layer).__name__} among its layers.")
        name = entry.get("name", getattr(layer, "name", None))
        if not isinstance(name, str) or name in layers:
            raise SavingError(f"The model's configuration lists two layers '{name}', or it is no name.")
        layers[name] = layer
        nodes = entry.get("inbound_nodes") or ()
        if not isinstance(nodes, list | tuple):
            raise SavingError(f"The model's configuration lists the calls of layer '{name}' as {nodes!r}.")
        calls += [_Call(name, number, _checked_call(node, name)) for number, node in enumerate(nodes)]
    return layers, calls


def _checked_call(node: Any, name: str) -> Mapping[str, Any]:
    """Returns a call, which files from before Keras 3 say in another way (`saving/old_calls.py`)."""
    if not (
        isinstance(node, Mapping)
        and isinstance(node.get("args", ()), list | tuple)
        and isinstance(node.get("kwargs", {}), Mapping)
    ):
        raise SavingError(f"The model's configuration describes a call of '{name}' by {node!r}, which is none.")
    return node


def _is_tensor(node: Any) -> bool:
    return isinstance(node, Mapping) and node.get("class_name") == TENSOR


def _needed(node: Any) -> list[History]:
    """Returns the tensors that a call's arguments name."""
    if _is_tensor(node):
        config = node.get("config")
        return [_checked(config.get("keras_history") if isinstance(config, Mapping) else None)]
    if not tree.is_nested(node):
        return []
    children = node.values() if isinstance(node, Mapping) else node
    return [found for child in children for found in _needed(child)]


def _result(results: Mapping[str, list[list[Value]]], history: History) -> Value:
    name, number, index = history
    if name not in results or number >= len(results[name]) or index >= len(results[name][number]):
        raise SavingError(f"The model's configuration names {list(history)} as a tensor, which nothing gives.")
    return results[name][number][index]


def _checked(history: Any) -> History:
    try:
        name, number, index = history
    except (TypeError, ValueError):
        name = number = index = None
    if not isinstance(name, str) or type(number) is not int or type(index) is not int or min(number, index) < 0:
        raise SavingError(f"The model's configuration names a tensor by {history!r}; needed are layer, call, result.")
    return name, number, index


def _is_default(training: Any, layer: Any) -> bool:
    """Whether a call's `training` is what Keras writes down where nobody said anything: its default, unless None."""
    owner: Any = next((kind for kind in type(layer).__mro__ if "call" in vars(kind)), type(layer))
    if owner.__module__.partition(".")[0] == "seqc":
        return training is (owner.__name__ in _TRUE_BY_DEFAULT) and owner.__name__ not in _ASK_OTHERS
    told = signature(owner.call).parameters.get("training")
    return told is not None and training is told.default


def _arguments(node: Any, results: Mapping[str, list[list[Value]]]) -> tuple[list[Any], dict[str, Any]]:
    def made(part: Any) -> Any:
        if _is_tensor(part):
            return _result(results, *_needed(part))
        if isinstance(part, list):
            return [made(child) for child in part]
        if isinstance(part, tuple):  # in a configuration that has not been through a file
            return tuple(map(made, part))
        if isinstance(part, Mapping) and part.get("class_name") == "__slice__" and isinstance(part["config"], Mapping):
            return slice(*(made(part["config"].get(name)) for name in ("start", "stop", "step")))
        if isinstance(part, Mapping) and part.get("class_name") == "__tuple__":
            return tuple(made(part.get("config")))
        if isinstance(part, Mapping) and "class_name" not in part:
            return {key: made(child) for key, child in part.items()}
        return revive(part)

    return made(list(node.get("args", ()))), made(dict(node.get("kwargs", {})))


def _picked(described: Any, results: Mapping[str, list[list[Value]]], old: bool = False) -> Any:
    """Returns the symbols that `input_layers` or `output_layers` name, in the structure in which they stand there."""
    if isinstance(described, Mapping):
        return {key: _picked(child, results) for key, child in described.items()}
    if isinstance(described, list | tuple) and described and isinstance(described[0], str):
        found: Any = _result(results, _checked(described))
        return found.as_tensor() if hasattr(found, "as_tensor") else found
    if isinstance(described, list) and old and len(described) == 1:  # Keras 2 listed what is one
        return _picked(described[0], results)
    if isinstance(described, list | tuple):
        picked = [_picked(child, results) for child in described]
        return picked if isinstance(described, list) else tuple(picked)
    raise SavingError(f"The model's configuration names its ends by {described!r}.")
