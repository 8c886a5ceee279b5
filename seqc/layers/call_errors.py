"""What calls of layers refuse: tensors that are too many, and symbols that came in by another way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from seqc import tree
from seqc.errors import LayerError, ShapeError, TraceError
from seqc.graph.ir import Graph, Value, walk
from seqc.layers.calls import LayerCall, ModelInput, is_symbolic

if TYPE_CHECKING:
    from seqc.layers.base import Layer


def refuse_several(layer: Layer, x: Any) -> None:
    """Raises LayerError for a layer of one tensor that was called on a list or dictionary of them."""
    count = len(tree.flatten(x))
    what, way_out = f"{count} input tensors", "Merge them first, with Concatenate or Add for instance."
    if count == 1:
        kind, place = ("dictionary", repr(next(iter(x)))) if isinstance(x, dict) else ("list", "0")
        what, way_out = f"a {kind} of one", f"Call it on the tensor itself: layer(x[{place}])."
    raise LayerError(
        f"Layer '{layer.name}' ({layer.described()}) expects 1 input(s), but it received {what}. {way_out}"
    )


def refuse_symbols(kind: str, settings: Mapping[str, Any]) -> None:
    """Raises LayerError where a constructor was given what only a call of the layer takes.

    Args:
        kind: the class of the layer. settings: the arguments of its constructor by name.
    """
    if settings.keys() & {"inputs", "layers"}:  # models say more themselves, and some are made of symbols
        return
    for name, value in settings.items():
        if isinstance(value, Value) and is_symbolic(value):
            raise LayerError(
                f"{kind} was made with the symbol {value!r} as its `{name}`. A layer is made of settings and then "
                f"called on tensors: {kind}(...)(x)."
            )


def refuse_dictionary(kind: str, shapes: Any) -> None:
    """Raises ShapeError for a layer of a list of tensors that was called on a dictionary.

    Args:
        kind: the class of the layer. shapes: of what it was called on.
    """
    if isinstance(shapes, dict):
        raise ShapeError(
            f"`{kind}` is called on a list of tensors; got a dictionary of {list(shapes)}. Take the tensors out of it: "
            "layer([x[key] for key in ...])."
        )


def refuse_captured(layer: Layer, results: Iterable[Any], given: Iterable[Any]) -> None:
    """Raises TraceError where a layer's `call` computed from a symbol of a model instead of from what it was given.

    Args:
        results: of the call. given: the tensors that it was called on, and masks.
    """
    found = _symbol_in([y for y in results if isinstance(y, Value)], [x for x in given if isinstance(x, Value)])
    if found is not None:
        raise TraceError(
            f"Layer '{layer.name}' ({layer.described()}) uses the symbol {found!r} in its call, where it has no "
            "numbers: a layer computes from what it is called on and from its weights. Hand it over as an argument: "
            "layer([x, other]), or layer(x, other=other) with call(self, x, other)."
        )


def refuse_symbols_of_models(graph: Graph) -> None:
    """Raises TraceError where a step - a loss, a metric - was computed from a symbol of a model."""
    found = _symbol_in(graph.outputs, ())
    if found is not None:
        raise TraceError(
            f"A loss or metric uses the symbol {found!r}, which has no numbers there: it computes from y_true and "
            "y_pred. Make what it needs an output of the model, Model(inputs, [y, other])."
        )


def _symbol_in(values: Iterable[Value], beyond: Iterable[Value]) -> Value | None:
    """Returns a symbol that values are computed from, without looking further than `beyond`."""
    return next((v for v in walk(values, beyond) if isinstance(v.op, ModelInput | LayerCall)), None)
