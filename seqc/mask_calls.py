"""The masks of symbols as operations between layers, which Keras counts where it orders layers.

In Keras a mask that comes with a tensor is an operand of the layer that takes it: what `compute_mask` did to make it
stands between the layers, and makes those before it deeper.

Source: `Layer.__call__` in keras/src/layers/layer.py and `compute_mask` of its layers, Keras 3.15.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from seqc import ops, tree
from seqc.graph.ir import Item, Value
from seqc.graph.tracing import remembered_mask
from seqc.layers.calls import LayerCall, Slot, put_tensors
from seqc.sure import of_kind


class MaskCalls:
    """The masks of symbols between the inputs and the outputs of a model.

    Args:
        calls: of layers and operations, operands before their users.
    """

    def __init__(self, calls: Iterable[Value]) -> None:
        self._known: dict[Value, Value | None] = {}
        for call in calls:
            self._mask_of(call)

    def taken_by(self, call: Value) -> Value | None:
        """Returns the mask that a call takes with its one tensor; None where it takes none, or was given another."""
        if not isinstance(call.op, LayerCall) or len(call.op.given) != 1:
            return None
        layer, (given,) = call.op.layer, call.op.given.values()
        if not isinstance(given, Slot) or "mask" not in inspect.signature(layer.call).parameters:
            return None
        x = call.inputs[given.index]
        # Keras converts another type first, and no mask is among the operands then.
        return self._mask_of(x) if x.dtype == layer.input_dtype else None

    def _mask_of(self, x: Value) -> Value | None:
        if x not in self._known:
            self._known[x] = None if remembered_mask(x) is None else self._made(x)
        return self._known[x]

    def _made(self, x: Value) -> Value | None:
        call, at = (x.inputs[0], x.op.index) if isinstance(x.op, Item) else (x, 0)
        if not isinstance(call.op, LayerCall):
            return None
        layer, given = call.op.layer, put_tensors(call.op.given, list(call.inputs))
        first = given[next(iter(inspect.signature(layer.call).parameters))]
        mask = given.get("mask")
        if mask is None:
            mask = tree.map_structure(lambda one: self._mask_of(one) if isinstance(one, Value) else None, first)
        masks = tree.flatten(_computed(layer, first, mask))
        return masks[at] if at < len(masks) and isinstance(masks[at], Value) else None


def _computed(layer: Any, first: Any, mask: Any) -> Any:
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
