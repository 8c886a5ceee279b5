"""Recurrent operations as ONNX has them: time first, gates in ONNX's order, masks as sequence lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc import dims
from seqc.ir import Array, Emitter, Op, Type, Value, apply, apply_many, constant
from seqc.ops._gates import onnx_activations
from seqc.ops.elementwise import cast, where
from seqc.ops.rnn import LSTM
from seqc.ops.shape import expand_dims, squeeze, transpose
from seqc.ops.slicing import Pad, concatenate, flip, split

# Keras: input, forget, cell, output. ONNX: input, output, forget, cell.
_TO_ONNX = (0, 3, 1, 2)


def lstm_for_onnx(
    op: LSTM, x: Value, w: Value, r: Value, b: Value, h: Value | None, c: Value | None, mask: Value | None
) -> tuple[Value, ...]:
    """Returns outputs (batch, time, units), last hidden and cell state, through ONNX's operator."""
    steps = transpose(x, (1, 0, 2))
    lengths = None
    if mask is not None:
        order, lengths = apply_many(StepOrder(), mask)
        steps = apply(TakeSteps(), steps, order)
    zeros = constant(np.zeros(dims.known(b.type.shape), b.dtype))
    weights = (_gates(w), _gates(r), expand_dims(concatenate([_reorder(b, 0), zeros], 0), 0))
    extra = [v for v in (lengths,) if v is not None]
    if h is not None and c is not None:
        extra += [expand_dims(h, 0), expand_dims(c, 0)]
    target = OnnxLSTM(op.activation, op.recurrent_activation, op.reverse, lengths is not None, h is not None)
    y, last_h, last_c = apply_many(target, steps, *weights, *extra)
    outputs, last_h, last_c = squeeze(y, 1), squeeze(last_h, 0), squeeze(last_c, 0)
    if lengths is not None and h is not None and c is not None:
        # onnxruntime gives zeros for a sequence of no steps, where the state it came with is meant.
        some = expand_dims(lengths > 0, 1)
        last_h, last_c = where(some, last_h, h), where(some, last_c, c)
    if mask is not None:
        outputs = _restored(op, outputs, mask)
    elif op.reverse:
        outputs = flip(outputs, 0)
    return transpose(outputs, (1, 0, 2)), last_h, last_c


def _restored(op: LSTM, outputs: Value, mask: Value) -> Value:
    """Gives outputs of the valid steps (time, batch, units) their places in the order of processing."""
    nothing_first = apply(Pad(((1, 0), (0, 0), (0, 0))), outputs)
    result = apply(TakeSteps(), nothing_first, apply(StepRows(op.reverse), mask))
    if not op.zero_output:
        return result
    shown = transpose(flip(mask, 1) if op.reverse else mask)
    return result * expand_dims(cast(shown, outputs.dtype), 2)


def _reorder(v: Value, axis: int) -> Value:
    parts = split(v, 4, axis)
    return concatenate([parts[i] for i in _TO_ONNX], axis)


def _gates(w: Value) -> Value:
    """(features, 4 units) in Keras's order as (1, 4 units, features) in ONNX's."""
    return expand_dims(_reorder(transpose(w), 0), 0)


@dataclass(frozen=True, repr=False)
class OnnxLSTM(Op):
    """ONNX's LSTM in one direction, layout 0: x (time, batch, features), W (1, 4u, features), R (1, 4u, u), B (1, 8u),
    then int32 lengths (batch) if `has_lengths`, then initial states (1, batch, u) if `has_state`.

    Results: Y (time, 1, batch, u) in the order of time, zero beyond the lengths; Y_h and Y_c (1, batch, u).
    """

    activation: str
    recurrent_activation: str
    reverse: bool = False
    has_lengths: bool = False
    has_state: bool = False

    def infer(self, *types: Type) -> tuple[Type, ...]:
        x, _, r, _ = types[:4]
        time, batch, units = x.shape[0], x.shape[1], r.shape[2]
        last = x.with_shape((1, batch, units))
        return x.with_shape((time, 1, batch, units)), last, last

    def eval(self, *arrays: Array) -> Any:
        x, w, r, b = arrays[:4]
        units = r.shape[2]
        back = [_TO_ONNX.index(i) for i in range(4)]

        def keras(a: Array) -> Array:
            return a.reshape(4, units, -1)[back].reshape(4 * units, -1)

        extra = list(arrays[4:])
        mask = []
        if self.has_lengths:
            mask = [np.arange(len(x))[None, :] < extra.pop(0)[:, None]]
        op = LSTM(
            self.activation, self.recurrent_activation, self.reverse, self.has_state, self.has_lengths, zero_output=True
        )
        bias = keras(b[0, : 4 * units])[:, 0] + keras(b[0, 4 * units :])[:, 0]
        operands = [np.swapaxes(x, 0, 1), keras(w[0]).T, keras(r[0]).T, bias, *(s[0] for s in extra), *mask]
        outputs, h, c, *_ = op.eval(*operands)
        steps = np.swapaxes(outputs, 0, 1)
        return (steps[::-1] if self.reverse else steps)[:, None], h[None], c[None]

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        operands = list(names[:4])
        extra = list(names[4:])
        lengths = extra.pop(0) if self.has_lengths else ""
        attributes: dict[str, Any] = {"hidden_size": y.inputs[2].type.shape[2]}
        if self.reverse:
            attributes["direction"] = "reverse"
        if (self.activation, self.recurrent_activation) != ("tanh", "sigmoid"):
            attributes |= onnx_activations(self.recurrent_activation, self.activation, self.activation)
        return e.node_many("LSTM", *operands, lengths, *extra, outputs=3, **attributes)


class StepOrder(Op):
    """From a mask (batch, time), the steps of each row with the valid ones first, each in order: (time, batch) int64;
    and how many are valid: (batch) int32.

    ONNX masks by length only; a mask with holes or on the left becomes one when steps are taken in this order.
    """

    def infer(self, *types: Type) -> tuple[Type, ...]:
        batch, time = types[0].shape
        return Type("int64", (time, batch)), Type("int32", (batch,))

    def eval(self, *arrays: Array) -> Any:
        (mask,) = arrays
        return np.argsort(~mask, axis=1, kind="stable").T, mask.sum(1).astype(np.int32)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        one = e.constant(np.array([1], np.int64))
        valid = e.node("Cast", *names, to="int64")
        lengths = e.node("Cast", e.node("ReduceSum", valid, one, keepdims=0), to="int32")
        size = y.inputs[0].type.shape[1]
        if isinstance(size, int):
            time, count = e.constant(np.array([size], np.int64)), e.constant(np.arange(size, dtype=np.int64))
        else:
            time = e.node("Shape", *names, start=1, end=2)
            count = e.node("Range", e.constant(np.int64(0)), e.node("Squeeze", time), e.constant(np.int64(1)))
        # Valid steps score time - t, the others -t: the largest first is valid first, each in order.
        score = e.node("Sub", e.node("Mul", valid, time), count)
        _, order = e.node_many("TopK", score, time, outputs=2, axis=1)
        return e.node("Transpose", order, perm=[1, 0]), lengths


@dataclass(frozen=True, repr=False)
class StepRows(Op):
    """From a mask (batch, time), where each step in the order of processing finds its output: (time, batch) int64.

    0 means nothing was computed yet; n the n-th of the outputs of valid steps, which stand in the order of time. A
    masked step repeats the one before it.
    """

    reverse: bool

    def infer(self, *types: Type) -> Type:
        batch, time = types[0].shape
        return Type("int64", (time, batch))

    def eval(self, *arrays: Array) -> Any:
        (mask,) = arrays
        seen = (mask[:, ::-1] if self.reverse else mask).astype(np.int64)
        done = seen.cumsum(1)
        rows = seen.sum(1, keepdims=True) - done + 1 if self.reverse else done
        return np.where(done > 0, rows, 0).T

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        number = {v: e.constant(np.array([v], np.int64)) for v in (-1, 0, 1)}
        seen = e.node("Transpose", e.node("Cast", *names, to="int64"), perm=[1, 0])
        axis = e.constant(np.int64(0))
        if not self.reverse:
            return e.node("CumSum", seen, axis)
        least = e.constant(np.array([np.iinfo(np.int64).min + 1], np.int64))
        done = e.node("CumSum", e.node("Slice", seen, number[-1], least, number[0], number[-1]), axis)
        total = e.node("ReduceSum", seen, number[0], keepdims=1)
        rows = e.node("Add", e.node("Sub", total, done), number[1])
        return e.node("Where", e.node("Greater", done, number[0]), rows, number[0])


class TakeSteps(Op):
    """Takes from x (time, batch, ...) the steps (any time, batch) named for each row of the batch."""

    def infer(self, *types: Type) -> Type:
        x, steps = types
        return x.with_shape((steps.shape[0], *x.shape[1:]))

    def eval(self, *arrays: Array) -> Any:
        x, steps = arrays
        return np.take_along_axis(x, steps.reshape(*steps.shape, *[1] * (x.ndim - 2)), axis=0)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        x, steps = names
        inner = dims.known(y.type.shape[2:])
        if inner:
            axes = np.arange(2, 2 + len(inner))
            steps = e.node("Unsqueeze", steps, e.constant(axes))
            steps = e.node("Expand", steps, e.constant(np.array((1, 1, *inner), np.int64)))
        return e.node("GatherElements", x, steps, axis=0)
