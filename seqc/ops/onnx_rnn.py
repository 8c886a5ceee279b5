"""Recurrent operations as ONNX has them: time first, gates in ONNX's order, masks as sequence lengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc import dims
from seqc.ir import Array, Emitter, Op, Type, Value, apply, apply_many, constant
from seqc.ops._gates import onnx_activations
from seqc.ops.elementwise import where
from seqc.ops.rnn import LSTM
from seqc.ops.shape import expand_dims, squeeze, transpose
from seqc.ops.slicing import concatenate, flip, split

# Keras: input, forget, cell, output. ONNX: input, output, forget, cell.
_TO_ONNX = (0, 3, 1, 2)


def lstm_for_onnx(
    op: LSTM, x: Value, w: Value, r: Value, b: Value, h: Value | None, c: Value | None, mask: Value | None
) -> tuple[Value, ...]:
    """Returns outputs (batch, time, units), last hidden and cell state, through ONNX's operator."""
    steps = transpose(x, (1, 0, 2))
    lengths = None
    if mask is not None:
        steps, lengths = apply_many(CompactSteps(), steps, mask)
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
        outputs = apply(RestoreSteps(op.reverse, op.zero_output), outputs, mask)
    elif op.reverse:
        outputs = flip(outputs, 0)
    return transpose(outputs, (1, 0, 2)), last_h, last_c


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


@dataclass(frozen=True, repr=False)
class CompactSteps(Op):
    """Moves the valid steps of (time, batch, features) to the front, in order, and counts them per row (int32).

    ONNX masks by length only; a mask with holes or on the left becomes one this way.
    """

    def infer(self, *types: Type) -> tuple[Type, ...]:
        x, mask = types
        return x, Type("int32", (mask.shape[0],))

    def eval(self, *arrays: Array) -> Any:
        x, mask = arrays
        order = np.argsort(~mask, axis=1, kind="stable").T
        return np.take_along_axis(x, order[..., None], axis=0), mask.sum(1).astype(np.int32)

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        x, mask = names
        number = {v: e.constant(np.array([v], np.int64)) for v in (0, 1, 2)}
        valid = e.node("Cast", mask, to="int64")
        lengths = e.node("Cast", e.node("ReduceSum", valid, number[1], keepdims=0), to="int32")
        time = e.node("Shape", mask, start=1, end=2)
        count = e.node("Range", e.constant(np.int64(0)), e.node("Squeeze", time), e.constant(np.int64(1)))
        # Valid steps score time - t, the others -t: the largest first is valid first, each in order.
        score = e.node("Sub", e.node("Mul", valid, time), count)
        _, order = e.node_many("TopK", score, time, outputs=2, axis=1)
        index = e.node("Unsqueeze", e.node("Transpose", order, perm=[1, 0]), number[2])
        index = e.node("Expand", index, e.node("Shape", x))
        return e.node("GatherElements", x, index, axis=0), lengths


@dataclass(frozen=True, repr=False)
class RestoreSteps(Op):
    """Gives compacted outputs (time, batch, units) back their places in the order of processing.

    A masked step repeats the output before it, zeros where there is none, or always zeros if `zero_output`.
    """

    reverse: bool
    zero_output: bool

    def infer(self, *types: Type) -> Type:
        return types[0]

    def eval(self, *arrays: Array) -> Any:
        y, mask = arrays
        seen = (mask[:, ::-1] if self.reverse else mask).astype(np.int64)
        done = seen.cumsum(1)
        rows = seen.sum(1, keepdims=True) - done + 1 if self.reverse else done
        rows = np.where(done > 0, rows, 0).T[..., None]
        padded = np.concatenate([np.zeros_like(y[:1]), y])
        result = np.take_along_axis(padded, rows, axis=0)
        return result * seen.T[..., None].astype(y.dtype) if self.zero_output else result

    def lower(self, e: Emitter, y: Value, *names: str) -> str | tuple[str, ...]:
        outputs, mask = names
        number = {v: e.constant(np.array([v], np.int64)) for v in (-1, 0, 1, 2)}
        seen = e.node("Transpose", e.node("Cast", mask, to="int64"), perm=[1, 0])
        if self.reverse:
            least = e.constant(np.array([np.iinfo(np.int64).min + 1], np.int64))
            seen = e.node("Slice", seen, number[-1], least, number[0], number[-1])
        rows = done = e.node("CumSum", seen, e.constant(np.int64(0)))
        if self.reverse:
            total = e.node("ReduceSum", seen, number[0], keepdims=1)
            rows = e.node("Add", e.node("Sub", total, done), number[1])
            rows = e.node("Where", e.node("Greater", done, number[0]), rows, number[0])
        zero = e.constant(np.array(0, y.type.dtype))
        pads = e.constant(np.array([1, 0, 0, 0, 0, 0], np.int64))
        padded = e.node("Pad", outputs, pads, zero)
        index = e.node("Expand", e.node("Unsqueeze", rows, number[2]), e.node("Shape", outputs))
        result = e.node("GatherElements", padded, index, axis=0)
        if self.zero_output:
            shown = e.node("Unsqueeze", e.node("Cast", seen, to=y.type.dtype), number[2])
            result = e.node("Mul", result, shown)
        return result
