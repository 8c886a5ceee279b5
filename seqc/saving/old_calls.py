"""The calls of layers in functional models as Keras 1 and 2 described them, in the words of Keras 3.

There, a call was a list of the tensors that it took, each [layer, number of its call, number of its result, arguments
by name], and arguments could be such tensors without the last part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seqc.saving.old_operations import CLASSES as OPERATIONS
from seqc.saving.old_operations import modern_operation

TENSOR = "__keras_tensor__"
# Stands where the name of a layer would, in front of -1 and the constant.
_CONSTANT = "_CONSTANT_VALUE"
_RECURRENT = ("RNN", "LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional")


def modern_calls(config: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """Returns the configuration of a functional model with its calls in the words of Keras 3.

    Args:
        config: as a file has it. models: the names of those of its layers that are models.
    """
    entries = [entry for entry in config["layers"] if isinstance(entry, Mapping)]
    names = {str(entry.get("name")) for entry in entries}
    first: dict[str, int] = {}
    for tensor in _tensors([entry.get("inbound_nodes") for entry in entries], names):
        first[tensor[0]] = min(first.get(tensor[0], tensor[1]), tensor[1])
    for end in ("input_layers", "output_layers"):
        for tensor in _tensors(config.get(end), names):
            first[tensor[0]] = min(first.get(tensor[0], tensor[1]), tensor[1])
    # TensorFlow counted the call that a model inside a model is made of as its first.
    shift = {name: first[name] for name in models if first.get(name)}
    calls = _Calls(names, shift)
    layers: list[Any] = []
    for one in config["layers"]:
        if not isinstance(one, Mapping) or not isinstance(one.get("inbound_nodes"), list):
            layers.append(one)
            continue
        cls = str(one.get("class_name"))
        made = [calls.call(node, cls) for node in one["inbound_nodes"]]
        layers += modern_operation(one, made) if cls in OPERATIONS else [{**one, "inbound_nodes": made}]
    ends = {end: calls.shifted(config[end]) for end in ("input_layers", "output_layers") if end in config}
    return {**config, "layers": layers, **ends}


def _is_tensor(value: Any, names: set[str]) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and isinstance(value[0], str)
        and value[0] in names
        and all(type(number) is int for number in value[1:3])
        and (len(value) == 3 or isinstance(value[3], Mapping))
    )


def _tensors(value: Any, names: set[str]) -> list[list[Any]]:
    """Returns all tensors that are named somewhere inside plain data."""
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        if _is_tensor(one, names):
            found.append(one)
            waiting += one[3:]
        elif isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return found


class _Calls:
    """Translates calls.

    Args:
        names: of all layers. shift: by layer, how many calls its first one in this model comes after.
    """

    def __init__(self, names: set[str], shift: Mapping[str, int]) -> None:
        self._names, self._shift = names, shift

    def call(self, node: Any, cls: str) -> Any:
        """Returns a call of a layer of a class; what is in another form already stays."""
        if self._is_one(node):  # of one tensor, without the outer list
            node = [node]
        if not isinstance(node, list) or not node or not all(self._is_given(part) for part in node):
            return node
        given = [self._tensor(part) if self._is_one(part) else [self._tensor(one) for one in part] for part in node]
        first = node[0] if self._is_one(node[0]) else node[0][0]
        named = self._argument(first[3] if len(first) == 4 else {})
        if len(given) == 1:
            return {"args": given, "kwargs": named}
        if cls in _RECURRENT:  # the states that it begins with stood among the tensors
            return {"args": given[:1], "kwargs": {**named, "initial_state": given[1:]}}
        return {"args": [given], "kwargs": named}

    def _is_given(self, part: Any) -> bool:
        """Tells whether something is a tensor that is called on, or several of them that stand for one."""
        return self._is_one(part) or (isinstance(part, list) and bool(part) and all(map(self._is_one, part)))

    def _is_one(self, part: Any) -> bool:
        """Tells whether something is a tensor, or a constant in the place of one."""
        return _is_tensor(part, self._names) or (isinstance(part, list) and len(part) == 4 and part[0] == _CONSTANT)

    def _tensor(self, part: list[Any]) -> Any:
        if part[0] == _CONSTANT:
            return part[2]
        return {"class_name": TENSOR, "config": {"keras_history": self.shifted(part[:3])}}

    def shifted(self, value: Any) -> Any:
        """Returns what names tensors, with the numbers of their calls in this model."""
        if _is_tensor(value, self._names):
            return [value[0], value[1] - self._shift.get(value[0], 0), *value[2:]]
        if isinstance(value, list):
            return [self.shifted(one) for one in value]
        return {key: self.shifted(one) for key, one in value.items()} if isinstance(value, Mapping) else value

    def _argument(self, value: Any) -> Any:
        if _is_tensor(value, self._names):
            return self._tensor(value)
        if isinstance(value, list):
            return [self._argument(one) for one in value]
        return {key: self._argument(one) for key, one in value.items()} if isinstance(value, Mapping) else value
