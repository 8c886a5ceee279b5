"""Functional models made again with other layers, or on other inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc import structures, tree
from seqc.errors import ConfigError
from seqc.functional import Functional
from seqc.graph.ir import Value, build, items
from seqc.layer_order import call_of, calls_in_order, result_of
from seqc.layers import Input, Layer
from seqc.layers.calls import LayerCall, is_symbolic, put_tensors
from seqc.operations import call_again


def clone_functional(
    model: Functional, new: Callable[[Layer], Layer], input_tensors: Any = None, call: Any = None
) -> Functional:
    """Returns a functional model of the same calls.

    Args:
        model: what to clone. new: gives the layer to call in place of one; always the same for the same.
        input_tensors: symbols to take the place of the inputs, in the same structure; of one input alone or in a list.
        call: called with a layer and its arguments instead of the layer itself.

    Raises:
        ConfigError: the inputs are others than the model's.
    """
    entries = dict(zip(model._symbols, model._entries, strict=True))
    if input_tensors is None:
        made = [Input(batch_shape=x.shape, dtype=x.dtype, name=entry.name) for x, entry in entries.items()]
        input_tensors = tree.pack_sequence_as(model.input, made)
    given = tree.flatten(input_tensors)
    forms = [structures.names(structures.alone(x)) for x in (input_tensors, model.input)]
    if forms[0] != forms[1] or not all(isinstance(x, Value) and is_symbolic(x) for x in given):
        raise ConfigError(
            "input_tensors must be symbols, such as seqc.Input(shape), in the structure of the model's own input, "
            f"{model.input}; got {input_tensors}."
        )
    known = dict(zip(model._symbols, given, strict=True))
    results: dict[Value, list[Any]] = {}

    def again(leaf: Any) -> Any:
        if not isinstance(leaf, Value) or not (leaf in known or is_symbolic(leaf)):
            return leaf
        return known[leaf] if leaf in known else results[call_of(leaf)][result_of(leaf)]

    for v in calls_in_order(model._output_tree, entries):
        if isinstance(v.op, LayerCall):
            named = put_tensors(v.op.given, [again(x) for x in v.inputs])
            first = named.pop(next(iter(v.op.given)))
            layer = new(v.op.layer)
            results[v] = tree.flatten(call(layer, first, **named) if call is not None else layer(first, **named))
        elif v.origin is not None:
            results[v] = [y for y in tree.flatten(call_again(v.origin, again)) if isinstance(y, Value)]
        else:
            whole = build(v.op, tuple(again(x) for x in v.inputs), v.scope)
            results[v] = list(items(whole)) if isinstance(whole.result, tuple) else [whole]
    outputs = tree.map_structure(again, model._output_tree)
    kind = type(model) if type(model).__init__ is Functional.__init__ else Functional
    clone = kind(tree.pack_sequence_as(model.input, given), outputs, name=model.name)
    clone._trainable = model._trainable
    clone._freeze_as_saved()
    return clone
