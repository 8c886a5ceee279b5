"""The order of a functional model's layers, which is that of its weights: the one of Keras 3.

Layers stand by depth, the longest way to an output, the deepest first; those of one depth in the order in which a
search from the outputs backwards comes to them. Files name layers by it and `set_weights` takes arrays in it, so that
any other order would put weights of one shape into the wrong layer without a word.

Source: `map_graph` of keras/src/ops/function.py, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seqc import tree
from seqc.graph.ir import Item, Type, Value
from seqc.layers import InputLayer
from seqc.layers.base import Layer
from seqc.layers.calls import LayerCall, Slot, is_symbolic
from seqc.mask_calls import MaskCalls


def layers_in_order(outputs: Any, entries: Mapping[Value, InputLayer]) -> list[Layer]:
    """Returns the layers between some symbols and others, each once. For arguments, see `makers_in_order`."""
    return [maker for maker in makers_in_order(outputs, entries) if isinstance(maker, Layer)]


def makers_in_order(outputs: Any, entries: Mapping[Value, InputLayer]) -> list[Layer | Value]:
    """Returns what makes values between some symbols and others, each once: layers, and operations between them.

    Args:
        outputs: a tree of symbols. entries: the layer that stands for each input, and where the search ends.
    """
    ends = [y if y in entries else call_of(y) for y in sorted_leaves(outputs)]
    calls = _search(ends, entries, {})[1]
    operands: dict[Value, list[Value]] = {}
    visited, finished = _search(ends, entries, operands, MaskCalls(calls))
    found = {maker: number for number, maker in enumerate(dict.fromkeys(_maker(v, entries) for v in visited))}
    depth: dict[Value, int] = {}
    deepest: dict[Any, int] = {}
    for v in reversed(finished):
        maker = _maker(v, entries)
        # A shared layer is as deep as the deepest of its calls that were looked at so far, and so are these calls.
        deepest[maker] = depth[v] = max(depth.get(v, 0), deepest.get(maker, 0))
        for x in operands[v]:
            depth[x] = max(depth.get(x, 0), depth[v] + 1)
    for layer in entries.values():  # those that lead to no output
        if layer not in deepest:
            deepest[layer], found[layer] = 0, -1
    makers = {*(_maker(v, entries) for v in calls), *entries.values()}  # without what makes masks
    return [maker for maker in sorted(deepest, key=lambda one: (-deepest[one], found[one])) if maker in makers]


def calls_in_order(outputs: Any, entries: Mapping[Value, InputLayer]) -> list[Value]:
    """Returns the first result of each call between some symbols and others, operands before their users.

    Args:
        outputs: a tree of symbols. entries: the layer that stands for each input, and where the search ends.
    """
    finished = _search([y if y in entries else call_of(y) for y in sorted_leaves(outputs)], entries, {})[1]
    return [v for v in finished if v not in entries]


def sorted_leaves(node: Any) -> list[Any]:
    """Returns the leaves of a tree, those of dictionaries in the order of their keys, as Keras looks at them."""
    if isinstance(node, Mapping):
        return [leaf for key in sorted(node, key=str) for leaf in sorted_leaves(node[key])]
    if not tree.is_nested(node):
        return [node]
    return [leaf for child in node for leaf in sorted_leaves(child)]


def _search(
    outputs: Iterable[Value],
    entries: Mapping[Value, InputLayer],
    operands: dict[Value, list[Value]],
    masks: MaskCalls | None = None,
) -> tuple[list[Value], list[Value]]:
    """Returns the calls in the order in which a search first sees them, and in which it is done with them.

    Fills in the calls that each is made of.

    Args:
        masks: those that are operands, too.
    """
    visited: list[Value] = []
    finished: list[Value] = []
    symbolic: set[Value] = set()
    waiting = [(v, False) for v in reversed(list(outputs))]
    while waiting:
        v, done = waiting.pop()
        if done:
            finished.append(v)
        elif v not in operands:
            visited.append(v)
            mask = None if masks is None or v in entries else masks.taken_by(v)
            operands[v] = [] if v in entries else _operands(v, entries, mask, symbolic)
            waiting.append((v, True))
            waiting += [(x, False) for x in reversed(operands[v])]
    return visited, finished


def _operands(v: Value, entries: Mapping[Value, InputLayer], mask: Value | None, symbolic: set[Value]) -> list[Value]:
    """Returns what a call is made of, numbers left out, in the order of Keras; a mask comes last.

    Args:
        symbolic: values that are known to be; see `is_symbolic`.
    """
    inputs = list(v.inputs)
    if isinstance(v.op, LayerCall):
        inputs = [v.inputs[leaf.index] for leaf in _slots(v.op.given)]
    elif v.origin is not None:
        inputs = v.origin.tensors()
    inputs += [] if mask is None else [mask]
    return [x if x in entries else call_of(x) for x in inputs if is_symbolic(x, symbolic)]


def _slots(given: Mapping[str, Any]) -> list[Slot]:
    return [leaf for argument in given.values() for leaf in sorted_leaves(argument) if isinstance(leaf, Slot)]


def call_of(v: Value) -> Value:
    """Returns the call that gave a value: the value itself, unless it is one of several results."""
    if v.origin is not None:
        return v.origin.results[0]  # type: ignore[no-any-return]
    return v.inputs[0] if isinstance(v.op, Item) else v


def result_of(v: Value) -> int:
    """Returns which of the results of its call a value is."""
    if v.origin is not None:
        return next(i for i, result in enumerate(v.origin.results) if result is v)
    return v.op.index if isinstance(v.op, Item) else 0


def results_of(v: Value) -> tuple[Type, ...]:
    """Returns what all results of a call are."""
    if v.origin is not None:
        return tuple(result.type for result in v.origin.results)
    return v.result if isinstance(v.result, tuple) else (v.result,)


def _maker(v: Value, entries: Mapping[Value, InputLayer]) -> Any:
    """Returns the layer that was called; of an operation between layers, the value itself."""
    if v in entries:
        return entries[v]
    return v.op.layer if isinstance(v.op, LayerCall) else v
