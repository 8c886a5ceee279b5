"""What may stand in a stack of layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from seqc.errors import LayerError, TraceError
from seqc.graph.ir import Value
from seqc.layers.base import Layer
from seqc.serialization import refuse_foreign
from seqc.utils.display import note
from seqc.utils.signatures import signature

# For what is no stack.
WAY_OUT = (
    "A model of several inputs or outputs, of branches or shared layers, is a seqc.Model(inputs, outputs), made by "
    "calling layers on seqc.Input()."
)


def check_layer(layer: Any) -> None:
    """Checks what is to be added to a model.

    Raises:
        LayerError: it is not a layer, or not one that can be called with one tensor.
    """
    if not isinstance(layer, Layer):
        refuse_foreign(layer, "layers", "layer")
        hint = " It is a class: write it with parentheses." if isinstance(layer, type) else ""
        raise LayerError(
            "Only instances of `seqc.layers.Layer` can be added to a Sequential model. Received: "
            f"{layer} (of type {type(layer)}).{hint}{' ' + WAY_OUT if isinstance(layer, Value) else ''}"
        )
    parameters = signature(layer.call).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    required = [p.name for p in positional if p.default is p.empty and p.name not in ("training", "mask")]
    if not positional or len(required) > 1:
        found = f"multiple required positional arguments: {required}" if positional else "no positional arguments"
        raise LayerError(
            "Layers added to a Sequential model can only have a single required positional argument, the input tensor. "
            f"Layer '{layer.name}' ({layer.described()}) has {found}. {WAY_OUT}"
        )


def applied(layer: Layer, x: Value, training: bool | None = None, mask: Value | None = None) -> Value:
    """Returns what a layer of a stack makes of a value; errors name the layer.

    Raises:
        LayerError: it is not one tensor.
    """
    try:
        result = layer(x, mask=mask, **({} if training is None else {"training": training}))
    except TraceError as error:
        raise type(error)(layer._explain(error, x.type)) from error
    return one_tensor(result, layer)


def one_tensor(result: Any, layer: Layer) -> Value:
    """Returns what a layer of a model returned.

    Raises:
        LayerError: it is not one tensor.
    """
    if isinstance(result, Value):
        if not result.type.rank:
            raise LayerError(
                f"Layer '{layer.name}' ({layer.described()}) returned a single number for the whole batch; a layer of "
                "a Sequential model returns a tensor whose first axis holds the samples. Keep that axis, as in "
                "ops.mean(x, axis=-1); add_loss and metrics take single numbers."
            )
        return result
    hint = "Compute it from the input with functions of seqc.ops."
    if result is None:
        hint = "Is a `return` missing at the end of its call()?"
    elif isinstance(result, list | tuple):
        hint = f"Layers with several outputs do not fit into a stack. {WAY_OUT}"
    raise LayerError(
        f"Layer '{layer.name}' ({layer.described()}) returned {type(result).__name__}; a layer of a Sequential model "
        f"returns one tensor. {hint}"
    )


class LayerList(list[Layer]):
    """A copy of the list of a model's layers. Whoever changes it is told that the model stays as it is."""

    def __reduce__(self) -> Any:
        return list, (list(self),)


def _told(name: str) -> Callable[..., Any]:
    """Returns a method of lists that says what it does not do."""
    method = getattr(list, name)

    @wraps(method)
    def changed(self: LayerList, *arguments: Any, **named: Any) -> Any:
        note(
            f"`model.layers` is a copy: {name}() on it changes no model. Use model.add(layer) and model.pop(), or "
            "list(model.layers) where a list of your own is meant.",
            warn=True,
        )
        return method(self, *arguments, **named)

    return changed


for _name in ("append", "clear", "extend", "insert", "pop", "remove", "__delitem__", "__iadd__", "__setitem__"):
    setattr(LayerList, _name, _told(_name))
