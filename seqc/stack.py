"""What may stand in a stack of layers."""

from __future__ import annotations

import inspect
from typing import Any

from seqc.errors import LayerError
from seqc.ir import Value
from seqc.layers.base import Layer


def check_layer(layer: Any) -> None:
    """Checks what is to be added to a model.

    Raises:
        LayerError: it is not a layer, or not one that can be called with one tensor.
    """
    if not isinstance(layer, Layer):
        hint = " It is a class: write it with parentheses." if isinstance(layer, type) else ""
        raise LayerError(
            "Only instances of `seqc.layers.Layer` can be added to a Sequential model. Received: "
            f"{layer} (of type {type(layer)}).{hint}"
        )
    parameters = inspect.signature(layer.call).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    required = [p.name for p in positional if p.default is p.empty and p.name not in ("training", "mask")]
    if not positional or len(required) > 1:
        found = f"multiple required positional arguments: {required}" if positional else "no positional arguments"
        raise LayerError(
            "Layers added to a Sequential model can only have a single required positional argument, the input tensor. "
            f"Layer '{layer.name}' ({layer.described()}) has {found}."
        )


def one_tensor(result: Any, layer: Layer) -> Value:
    """Returns what a layer of a model returned.

    Raises:
        LayerError: it is not one tensor.
    """
    if isinstance(result, Value):
        return result
    hint = "Compute it from the input with functions of seqc.ops."
    if result is None:
        hint = "Is a `return` missing at the end of its call()?"
    elif isinstance(result, list | tuple):
        hint = "Layers with several outputs do not fit into a stack."
    raise LayerError(
        f"Layer '{layer.name}' ({layer.described()}) returned {type(result).__name__}; a layer of a Sequential model "
        f"returns one tensor. {hint}"
    )
