"""The masks of symbols as operations between layers, which Keras counts where it orders layers.

In Keras a mask that comes with a tensor is an operand of the layer that takes it: what `compute_mask` did to make it
stands between the layers, and makes those before it deeper.

Source: `Layer.__call__` in keras/src/layers/layer.py and `compute_mask` of its layers, Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Iterable

from seqc import tree
from seqc.graph.ir import Input, Item, Value, as_value, walk
from seqc.graph.tracing import current_trace, remembered_mask
from seqc.layers.call_masks import assigned, computed
from seqc.layers.calls import LayerCall, Slot, put_tensors
from seqc.utils.signatures import signature


class MaskCalls:
    """The masks of symbols between the inputs and the outputs of a model.

    Args:
        calls: of layers and operations, operands before their users.
    """

    def __init__(self, calls: Iterable[Value]) -> None:
        self._known: dict[Value, Value | None] = {}
        for call in calls:
            self.mask_of(call)

    def taken_by(self, call: Value) -> Value | None:
        """Returns the mask that a call takes with its one tensor; None where it takes none, or was given another."""
        if not isinstance(call.op, LayerCall) or len(call.op.given) != 1:
            return None
        layer, (given,) = call.op.layer, call.op.given.values()
        if not isinstance(given, Slot) or "mask" not in signature(layer.call).parameters:
            return None
        x = call.inputs[given.index]
        # Keras converts another type first, and no mask is among the operands then.
        return self.mask_of(x) if x.dtype == layer.input_dtype else None

    def mask_of(self, x: Value) -> Value | None:
        """Returns the mask of a symbol, if it has one."""
        if x not in self._known:
            self._known[x] = self._found(x)
        return self._known[x]

    def _found(self, x: Value) -> Value | None:
        given = assigned(x)  # a condition of Python's would ask for its numbers
        return given if given is not None or remembered_mask(x) is None else self._made(x)

    def _made(self, x: Value) -> Value | None:
        call, at = (x.inputs[0], x.op.index) if isinstance(x.op, Item) else (x, 0)
        if not isinstance(call.op, LayerCall):
            return None
        layer, given = call.op.layer, put_tensors(call.op.given, list(call.inputs))
        first = given[next(iter(signature(layer.call).parameters))]
        mask = given.get("mask")
        if mask is None:
            mask = tree.map_structure(lambda one: self.mask_of(one) if isinstance(one, Value) else None, first)
        masks = tree.flatten(computed(layer, first, mask))
        return masks[at] if at < len(masks) and isinstance(masks[at], Value) else None


def mask_of(tensor: Value) -> Value | None:
    """Returns the mask that goes with a tensor: in the trace under way, of a result on arrays, or of a symbol."""
    trace = current_trace()
    if trace is not None:
        return trace.masks.get(tensor)
    known = remembered_mask(as_value(tensor))
    return MaskCalls(walk([tensor])).mask_of(tensor) if known is not None and type(known.op) is Input else known
