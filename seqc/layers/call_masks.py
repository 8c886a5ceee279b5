"""The masks of a layer's call: those that come with its tensors, and those that go with its results."""

from __future__ import annotations

from typing import Any

from seqc import ops, tree
from seqc.graph.ir import HasValue, Input, Value, as_value
from seqc.graph.tracing import Trace, remember_mask, remembered_mask
from seqc.sure import of_kind
from seqc.utils.display import note


def keep(trace: Trace, given: Any, converted: Any) -> None:
    """Lets tensors that were converted for a layer have the masks that they came with."""
    for x, value in zip(tree.flatten(given), tree.flatten(converted), strict=True):
        if value is not x and x in trace.masks:
            trace.masks[value] = trace.masks[x]


def with_masks(layer: Any, trace: Trace, given: Any, x: Any, mask: Any, result: Any, own: bool) -> Any:
    """Returns what a layer's `call` gave as tensors, each with the mask that this call gives it.

    Args:
        given: what the layer was called on. x: that as `call` saw it. mask: that came with it. result: of `call`.
        own: whether the layer has a `compute_mask` of its own.
    """
    tensors = [as_value(y) if isinstance(y, HasValue) else y for y in tree.flatten(result)]
    came = tree.flatten(given)
    if layer.supports_masking:
        listed = tree.flatten(layer.compute_mask(x, mask))
        # A mask of the layer's own making is the last word; one that is only passed on is not.
        for i, (y, m) in enumerate(zip(tensors, listed, strict=False)):
            if isinstance(y, Value):
                tensors[i] = trace.give_mask(y, None if m is None else as_value(m), came, own)
    elif any(m is not None for m in tree.flatten(mask)) and not any(
        y in trace.masks for y in tensors if isinstance(y, Value)
    ):
        _warn_of_lost_mask(layer)
    return tree.pack_sequence_as(result, tensors)


def _warn_of_lost_mask(layer: Any) -> None:
    if not layer.lost_a_mask:
        layer.lost_a_mask = True
        note(
            f"Layer '{layer.name}' (of type {type(layer).__name__}) was passed an input with a mask attached to it. "
            "However, this layer does not support masking and will therefore destroy the mask information. "
            "Downstream layers will not see the mask.",
            warn=True,
        )


def assigned(symbol: Any) -> Value | None:
    """Returns the mask that a script assigned to a symbol; one that a layer gives it has an input in its place."""
    mask = remembered_mask(symbol) if isinstance(symbol, Value) else None
    return None if mask is None or type(mask.op) is Input else mask


def _has_assigned(tensors: Any) -> bool:
    return any(assigned(leaf) is not None for leaf in tree.flatten(tensors))


def _masks_of(tensors: Any) -> Any:
    return tree.map_structure(lambda leaf: leaf._keras_mask if isinstance(leaf, Value) else None, tensors)


def take_assigned(given: Any) -> None:
    """Makes masks that were assigned to symbols arguments of a call that takes masks, as Keras does with all."""
    takes = given.signature.parameters
    if not given.several:
        first = given.given[given.first]
        if "mask" in takes and given.mask is None and _has_assigned(first):
            given.mask = _masks_of(first)
        return
    for name, tensors in list(given.given.items()):
        if f"{name}_mask" in takes and given.given.get(f"{name}_mask") is None and _has_assigned(tensors):
            given.given[f"{name}_mask"] = _masks_of(tensors)


def pass_assigned(layer: Any, given: Any, symbols: Any) -> None:
    """Gives the results of a call that takes no masks what the layer makes of masks that were assigned to symbols.

    Where a call takes them, they come with its results when the model runs.
    """
    first = given.given[given.first]
    if given.mask is None and layer.supports_masking and _has_assigned(first):
        masks = tree.flatten(computed(layer, first, _masks_of(first)))
        for symbol, mask in zip(tree.flatten(symbols), masks, strict=False):
            if mask is not None:
                remember_mask(symbol, as_value(mask))


def computed(layer: Any, first: Any, mask: Any) -> Any:
    """Returns what a layer makes of masks, of the operations that Keras makes it of."""
    owner = next(cls for cls in type(layer).__mro__ if "compute_mask" in vars(cls))
    if owner.__module__.startswith("seqc.") and owner.__name__ == "Concatenate":
        return _concatenated(layer, first, mask)
    return layer.compute_mask(first, mask)


def _concatenated(layer: Any, xs: list[Value], masks: list[Value | None]) -> Value:
    full = []
    for x, mask in zip(xs, masks, strict=True):
        if mask is None:
            full.append(ops.ones_like(x, dtype="bool"))
        elif mask.type.rank < x.type.rank:
            full.append(ops.logical_or(ops.expand_dims(mask, -1), ops.zeros_like(x, dtype="bool")))
        else:
            full.append(mask)
    return of_kind(ops.any(ops.concatenate(full, axis=layer.axis), axis=-1), Value)
