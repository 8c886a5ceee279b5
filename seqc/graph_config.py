"""Functional models as plain data, as Keras 3 writes them: layers, and for each the calls that were made of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqc import tree
from seqc.errors import SavingError
from seqc.ir import Item, Value
from seqc.layers import InputLayer
from seqc.layers.base import Layer
from seqc.layers.calls import LayerCall, Slot
from seqc.serialization import revive, serialize, serialize_object

TENSOR = "__keras_tensor__"
# (layer, number of its call, number of the result)
History = tuple[str, int, int]


def describe(
    inputs: Any, outputs: Any, order: list[Value], layers: list[Layer], entries: Mapping[Value, InputLayer]
) -> dict[str, Any]:
    """Returns the configuration of a graph of layers.

    Args:
        inputs, outputs: trees of symbols.
        order: the values between them, operands first.
        layers: in the order in which they are to be listed.
        entries: the layer that stands for each input.

    Raises:
        SavingError: there is an operation between layers.
    """
    history = _histories(entries, order)
    nodes: dict[int, list[Any]] = {id(layer): [] for layer in layers}
    for v in order:
        if isinstance(v.op, LayerCall):
            nodes[id(v.op.layer)].append(_node(v, v.op, history))
    return {
        "layers": [
            {**serialize_object(layer), "name": layer.name, "inbound_nodes": nodes[id(layer)]} for layer in layers
        ],
        "input_layers": tree.map_leaves(lambda x: list(history[x]), inputs),
        "output_layers": tree.map_leaves(lambda y: list(history[y]), outputs),
    }


def _histories(entries: Mapping[Value, InputLayer], order: list[Value]) -> dict[Value, History]:
    found: dict[Value, History] = {x: (layer.name, 0, 0) for x, layer in entries.items()}
    calls: dict[int, int] = {}
    for v in order:
        if isinstance(v.op, LayerCall):
            number = calls[id(v.op.layer)] = calls.get(id(v.op.layer), -1) + 1
            found[v] = (v.op.layer.name, number, 0)
        elif isinstance(v.op, Item) and v.inputs[0] in found:
            name, number, _ = found[v.inputs[0]]
            found[v] = (name, number, v.op.index)
        else:
            raise SavingError(
                f"The model has {v.op!r} between its layers, and a file holds layers only. Put what is computed there "
                "into a Layer subclass whose call(x) uses seqc.ops, register it with "
                "@seqc.saving.register_keras_serializable(), and use that; or keep the weights alone with save_weights."
            )
    return found


def _node(v: Value, op: LayerCall, history: Mapping[Value, History]) -> dict[str, Any]:
    def described(leaf: Any) -> Any:
        if not isinstance(leaf, Slot):
            return serialize(leaf)
        x = v.inputs[leaf.index]
        facts = {"shape": list(x.shape), "dtype": x.dtype, "keras_history": list(history[x])}
        return {"class_name": TENSOR, "config": facts}

    (first, *_), given = op.given, tree.map_leaves(described, op.given)
    return {"args": [given.pop(first)], "kwargs": given}


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
    # By layer and number of its call: what waits for that call.
    waiting: dict[tuple[str, int], list[_Call]] = {}
    ready: deque[_Call] = deque()
    for call in calls:
        needs = {(name, number) for name, number, _ in _needed(call.node)}
        needs |= {(call.name, call.number - 1)} if call.number else set()  # a layer's calls keep their numbers
        for name, number in needs:
            if name not in results:
                raise SavingError(f"The model's configuration calls a layer on '{name}', which it does not have.")
            if number >= len(results[name]):
                call.missing += 1
                waiting.setdefault((name, number), []).append(call)
        if not call.missing:
            ready.append(call)
    made = 0
    while ready:
        call = ready.popleft()
        positional, named = _arguments(call.node, results)
        results[call.name].append(tree.leaves(layers[call.name](*positional, **named)))
        made += 1
        for other in waiting.pop((call.name, call.number), ()):
            other.missing -= 1
            if not other.missing:
                ready.append(other)
    if made < len(calls):
        stuck = next(call.name for call in calls if call.missing)
        raise SavingError(f"The calls of layer '{stuck}' need what no layer before them gives.")
    return _picked(config.get("input_layers"), results), _picked(config.get("output_layers"), results)


@dataclass
class _Call:
    """A call in a configuration, and how many calls it still waits for."""

    name: str
    number: int
    node: Any
    missing: int = 0


def _layers(config: Mapping[str, Any]) -> tuple[dict[str, Layer], list[_Call]]:
    layers: dict[str, Layer] = {}
    calls: list[_Call] = []
    for entry in config.get("layers", ()):
        layer = revive(entry)
        if not isinstance(layer, Layer):
            raise SavingError(f"The model's configuration lists {type(layer).__name__} among its layers.")
        name = entry.get("name", layer.name)
        if not isinstance(name, str) or name in layers:
            raise SavingError(f"The model's configuration lists two layers '{name}', or it is no name.")
        layers[name] = layer
        calls += [_Call(name, number, node) for number, node in enumerate(entry.get("inbound_nodes") or ())]
    return layers, calls


def _is_tensor(node: Any) -> bool:
    return isinstance(node, Mapping) and node.get("class_name") == TENSOR


def _needed(node: Any) -> list[History]:
    """Returns the tensors that a call's arguments name."""
    if _is_tensor(node):
        config = node.get("config")
        return [_checked(config.get("keras_history") if isinstance(config, Mapping) else None)]
    if not tree.is_branch(node):
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


def _arguments(node: Any, results: Mapping[str, list[list[Value]]]) -> tuple[list[Any], dict[str, Any]]:
    if not isinstance(node, Mapping):
        raise SavingError("The model's configuration describes calls in the form of Keras 2; save it with Keras 3.")

    def made(part: Any) -> Any:
        if _is_tensor(part):
            return _result(results, *_needed(part))
        if isinstance(part, list):
            return [made(child) for child in part]
        if isinstance(part, Mapping) and "class_name" not in part:
            return {key: made(child) for key, child in part.items()}
        return revive(part)

    return made(list(node.get("args", ()))), made(dict(node.get("kwargs", {})))


def _picked(described: Any, results: Mapping[str, list[list[Value]]]) -> Any:
    """Returns the symbols that `input_layers` or `output_layers` name, in the structure in which they stand there."""
    if isinstance(described, Mapping):
        return {key: _picked(child, results) for key, child in described.items()}
    if isinstance(described, list) and described and isinstance(described[0], str):
        return _result(results, _checked(described))
    if isinstance(described, list):
        return [_picked(child, results) for child in described]
    raise SavingError(f"The model's configuration names its ends by {described!r}.")
