"""Recurrent operations as ONNX has them: time first, gates in ONNX's order, masks as sequence lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqc.graph import dims
from seqc.graph.ir import Array, Emitter, Op, Sizes, Type, Value
from seqc.ops._gates import onnx_activations
from seqc.ops._recurrent import Recurrent
from seqc.ops._shape_onnx import emit_sizes


@dataclass(frozen=True, repr=False, eq=False)
class OnnxRecurrent(Op):
    """ONNX's LSTM, GRU or RNN, layout 0.

    With D directions: x (time, batch, features), W (D, gates · units, features), R (D, gates · units, units), B (D, 2 ·
    gates · units), then int32 lengths (batch) if `has_lengths`, then initial states (D, batch, units) if `has_state`.

    Results: Y (time, D, batch, units) in the order of time, zero beyond the lengths; the last states (D, batch, units).

    Attributes:
        cell: the operation, as it would run forward without mask and states. direction: "forward", "reverse" or
        "bidirectional".
    """

    cell: Recurrent
    direction: str = "forward"
    has_lengths: bool = False
    has_state: bool = False

    def infer(self, x: Type, w: Type, r: Type, b: Type, *extra: Type) -> tuple[Type, ...]:
        time, batch, (directions, _, units) = x.shape[0], x.shape[1], r.shape
        last = x.with_shape((directions, batch, units))
        return x.with_shape((time, directions, batch, units)), *[last] * self.cell.states

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return inputs[2][0] * self.cell.work_of(inputs[0], inputs[2][2])

    def eval(self, x: Array, w: Array, r: Array, b: Array, *extra: Array) -> Any:
        states = list(extra)
        mask = [np.arange(len(x))[None, :] < states.pop(0)[:, None]] if self.has_lengths else []
        backwards = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[self.direction]
        results = []
        for d, reverse in enumerate(backwards):
            op = replace(
                self.cell, reverse=reverse, has_state=self.has_state, has_mask=self.has_lengths, zero_output=True
            )
            weights = (self._keras(w[d]).T, self._keras(r[d]).T, self._keras_bias(b[d]))
            outputs, *last = op.eval(np.swapaxes(x, 0, 1), *weights, *(s[d] for s in states), *mask)
            if mask:
                # What onnxruntime gives for a row without steps, whatever the initial state: nobody may rely on it.
                last = [np.where(mask[0].any(1, keepdims=True), s, 0).astype(s.dtype) for s in last]
            results.append((np.swapaxes(op.in_order(outputs), 0, 1), *last))
        y, *last = zip(*results, strict=True)
        return np.stack(y, 1), *(np.stack(s) for s in last)

    def _keras(self, a: Array) -> Array:
        """Puts the blocks of rows into Keras's order."""
        cell = self.cell
        back = [cell.onnx_gates.index(i) for i in range(cell.gates)]
        return a.reshape(cell.gates, -1, *a.shape[1:])[back].reshape(a.shape)

    def _keras_bias(self, b: Array) -> Array:
        both = [self._keras(part) for part in np.split(b, 2)]
        separate = len(self.cell.bias_shape(1)) == 2
        return np.stack(both) if separate else both[0] + both[1]

    def lower(self, e: Emitter, y: Value, x: str, w: str, r: str, b: str, *extra: str) -> str | tuple[str, ...]:
        cell, states = self.cell, list(extra)
        lengths = states.pop(0) if self.has_lengths else ""
        attributes: dict[str, Any] = {"hidden_size": y.inputs[2].type.shape[2], **cell.onnx_attributes()}
        if self.direction != "forward":
            attributes["direction"] = self.direction
        if cell.functions != type(cell)().functions:
            directions = 2 if self.direction == "bidirectional" else 1
            attributes |= onnx_activations(*cell.functions * directions)
        if lengths and cell.states == 2 and not states and not e.target.stops_at_lengths:
            states = [self._no_states(e, y, lengths)] * 2
        return e.node_many(cell.onnx, x, w, r, b, lengths, *states, outputs=1 + cell.states, **attributes)

    def _no_states(self, e: Emitter, y: Value, lengths: str) -> str:
        """Writes zeros (D, batch, units): OpenCV's LSTM takes lengths only along with initial states."""
        directions, _, units = y.inputs[2].type.shape
        rows = e.node("Unsqueeze", lengths, e.constant(np.array([0, 2])))
        never = e.node("Less", rows, e.constant(np.array(0, np.int32)))
        zero = np.zeros(dims.known((directions, 1, units)), y.inputs[0].type.dtype)
        return e.node("Where", never, e.constant(zero), e.constant(zero))


@dataclass(frozen=True, repr=False, eq=False)
class StepOrder(Op):
    """From a mask (batch, time), the steps of each row with the valid ones first, and how many are valid.

    The steps are (batch, time) int64, the valid ones in the order of processing; how many there are is (batch) int32.

    ONNX masks by length only; a mask with holes or on the left becomes one when steps are taken in this order. As it is
    that of processing, a layer that runs backwards is one that runs forward over these steps, and valid ones always
    come before all others: a program that does not look at lengths computes the same for them.
    """

    kind = "lookup"
    reverse: bool = False

    def infer(self, mask: Type) -> tuple[Type, ...]:
        batch, _ = mask.shape
        return mask.with_dtype("int64"), Type("int32", (batch,))

    def eval(self, mask: Array) -> Any:
        time = np.arange(mask.shape[1])
        score = mask * len(time) + (time if self.reverse else -time)
        return np.argsort(-score, axis=1, kind="stable"), mask.sum(1).astype(np.int32)

    def lower(self, e: Emitter, y: Value, mask: str) -> str | tuple[str, ...]:
        counted = e.node("Cast", mask, to="int32")
        lengths = e.node("ReduceSum", counted, e.constant(np.array([1], np.int64)), keepdims=0)
        size = y.inputs[0].type.shape[1]
        # Valid steps score time - t, the others -t: the largest first is valid first, each in order. Backwards, t
        # counts for a step and not against it.
        if isinstance(size, int):
            step = np.arange(size, dtype=np.int64) * (1 if self.reverse else -1)
            time = e.constant(np.array([size], np.int64))
            score = e.node("Where", mask, e.constant(step + size), e.constant(step))
        else:
            time, none = emit_sizes(e, mask, start=1, end=2), e.constant(np.array([0], np.int64))
            listed = e.node("Range", e.constant(np.int64(0)), e.node("Squeeze", time), e.constant(np.int64(1)))
            count = e.typed(listed, Type("int64", (size,)))
            valid = e.node("Where", mask, time, none)
            score = e.node("Add" if self.reverse else "Sub", valid, count)
        found = e.node_many("TopK", score, time, outputs=2, axis=1)
        for name in found:
            e.typed(name, Type("int64", y.inputs[0].type.shape))
        return found[1], lengths


@dataclass(frozen=True, repr=False, eq=False)
class StepRows(Op):
    """From a mask (batch, time), where each step in the order of time finds its output: (time, batch) int64.

    0 means nothing was computed yet; n the n-th of the outputs of valid steps, which stand in the order of processing.
    A masked step repeats the one before it.
    """

    kind = "lookup"
    reverse: bool = False

    def infer(self, mask: Type) -> Type:
        batch, time = mask.shape
        return Type("int64", (time, batch))

    def eval(self, mask: Array) -> Any:
        steps = mask.T.astype(np.int64)
        return steps[::-1].cumsum(0)[::-1] if self.reverse else steps.cumsum(0)

    def lower(self, e: Emitter, y: Value, mask: str) -> str | tuple[str, ...]:
        seen = e.node("Transpose", e.node("Cast", mask, to="int64"), perm=[1, 0])
        backwards = {"reverse": 1} if self.reverse else {}
        return e.node("CumSum", seen, e.constant(np.int64(0)), **backwards)


@dataclass(frozen=True, repr=False, eq=False)
class TakeSteps(Op):
    """Takes from x (time, batch, ...) the steps (any time, batch) named for each row of the batch.

    Attributes:
        axis: that of time, of both; 1 where the batch comes first.
    """

    kind = "move"
    axis: int = 0

    def infer(self, x: Type, steps: Type) -> Type:
        return x.with_shape((*steps.shape, *x.shape[2:]))

    def eval(self, x: Array, steps: Array) -> Any:
        return np.take_along_axis(x, steps.reshape(*steps.shape, *[1] * (x.ndim - 2)), axis=self.axis)

    def lower(self, e: Emitter, y: Value, x: str, steps: str) -> str | tuple[str, ...]:
        inner = dims.known(y.type.shape[2:])
        if inner:
            axes = np.arange(2, 2 + len(inner))
            steps = e.node("Unsqueeze", steps, e.constant(axes))
            steps = e.node("Expand", steps, e.constant(np.array((1, 1, *inner), np.int64)))
        return e.node("GatherElements", x, steps, axis=self.axis)


class TakeStep(Op):
    """Takes from x (time, 1, batch, units) the one step that is named (batch) for each row of the batch."""

    kind = "move"

    def infer(self, x: Type, step: Type) -> Type:
        return x.with_shape(x.shape[2:])

    def eval(self, x: Array, step: Array) -> Any:
        return x[step, 0, np.arange(len(step))]

    def lower(self, e: Emitter, y: Value, x: str, step: str) -> str | tuple[str, ...]:
        (units,) = dims.known(y.type.shape[1:])
        at = e.node("Unsqueeze", step, e.constant(np.array([0, 1, 3])))
        at = e.node("Expand", at, e.constant(np.array((1, 1, 1, units), np.int64)))
        return e.node("Squeeze", e.node("GatherElements", x, at, axis=0), e.constant(np.array([0, 1])))
