"""Whether symbols make a model: what `Model(inputs, outputs)` refuses, and what its inputs and outputs are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from seqc import structures, tree
from seqc.errors import ConfigError
from seqc.graph.ir import Item, Value, walk
from seqc.layers import InputLayer
from seqc.layers.base import Layer
from seqc.layers.calls import LayerCall, ModelInput, is_symbolic
from seqc.utils.naming import free_name


def symbols_in(given: Any, what: str, name: str) -> Any:
    """Returns what a model was given as inputs or outputs, as a tree of symbols.

    Args:
        given: a symbol, or a tree of them. what: "inputs" or "outputs". name: of the model.

    Raises:
        ConfigError: there are none, or something is no symbol.
    """
    if given is None:
        raise ConfigError(
            f"Model '{name}' needs inputs and outputs, Model(inputs, outputs); its `{what}` is None, or was not given."
        )
    if not tree.flatten(given):
        raise ConfigError(f"Model '{name}' has no {what}: `{what}` is {given!r}. Give a symbol, or a list of symbols.")
    places = iter(structures.names(given))
    return tree.map_structure(lambda x: _symbol(x, what, next(places), name), given)


def _symbol(x: Any, what: str, place: str, name: str) -> Value:
    if isinstance(x, InputLayer):
        return x.output
    if isinstance(x, Value) and is_symbolic(x):
        return x
    raise ConfigError(
        f"Model '{name}' leads from seqc.Input() to what layers make of it, and `{what}`"
        f"{f' at {place}' if place else ''} is {_described(x)}"
        + (" A stack of layers is a Sequential(layers)." if isinstance(x, Layer) and what == "inputs" else "")
    )


def _described(x: Any) -> str:
    """Returns what something is that is no symbol, and what to do about it."""
    if isinstance(x, Layer):
        return f"{x!r}, a layer. Give what it makes of a symbol: layer(x), or layer.output."
    if isinstance(x, type) and issubclass(x, Layer):
        return f"{x.__name__}, a class. Make a layer of it and call that on a symbol."
    if isinstance(x, Value | np.ndarray):
        return "a tensor of numbers. Make the model of symbols, and call it on numbers afterwards: model(x)."
    if x is None:
        return "None. Is a `return` missing where it was made?"
    hint = " A shape goes into an Input: seqc.Input(shape=(...))." if isinstance(x, int) else ""
    return f"{x!r} ({type(x).__name__}).{hint}"


def check_connected(inputs: list[Value], outputs: list[Value], order: list[Value], name: str) -> None:
    """Checks that outputs are made of the inputs of a model, and of nothing else.

    Args:
        inputs, outputs: its symbols. order: what leads from one to the other. name: of the model.

    Raises:
        ConfigError: an input is there twice, is itself made of an output, or is missing.
    """
    if len(set(inputs)) < len(inputs):
        twice = [x for x, count in Counter(inputs).items() if count > 1]
        raise ConfigError(f"Model '{name}' has the same input twice: {listed(twice)}. Give it once.")
    others = [v for v in order if isinstance(v.op, ModelInput)]
    if not others:
        return
    behind = set(walk(inputs)) - set(inputs)
    turned = next((y for y in outputs if y in behind), None)
    if turned is not None:
        raise ConfigError(
            f"Model '{name}' leads from {listed(inputs)} to {listed(outputs)}, but the input is itself made of the "
            f"output {listed([turned])}. A model has no cycles: are inputs and outputs swapped?"
        )
    raise ConfigError(
        f"Model '{name}': the output {listed([_reader(outputs, others[0])])} needs the input {listed(others[:1])}, "
        f"which is not among its inputs, {listed(inputs)}. Add it to `inputs`."
    )


def _reader(outputs: list[Value], symbol: Value) -> Value:
    return next(y for y in outputs if symbol in set(walk([y])))


def _maker(v: Value) -> Layer | None:
    source = v.inputs[0] if isinstance(v.op, Item) else v
    return source.op.layer if isinstance(source.op, LayerCall | ModelInput) else None


def names_of(structure: Any, values: list[Value], operations: Mapping[Value, str] | None = None) -> list[str]:
    """Returns a name for each value.

    The keys that lead to it in dictionaries; at a position in a list or by itself, the name of the layer that made it,
    or of the operation, among `operations` where it was made without.
    """
    found: list[str] = []
    taken: dict[str, int] = {}
    for v, (path, _) in zip(values, tree.flatten_with_path(structure), strict=True):
        before, last = path[:-1], path[-1] if path else 0
        name = (operations or {}).get(v) or _called(v) if isinstance(last, int) else last
        # Of a list that stands alone the positions say nothing.
        before = before if any(not isinstance(key, int) for key in path) else ()
        found.append(free_name("/".join(map(str, (*before, name))), taken))
    return found


def _called(v: Value) -> str:
    layer = _maker(v)
    made_by = v.op.name.lower() if v.origin is None else v.origin.function
    return layer.name if layer is not None else (v.scope.rpartition("/")[2] or made_by)


def listed(values: list[Value]) -> str:
    """Returns the names of values for a message."""
    return ", ".join(f"'{name}'" for name in names_of(list(values), values))
