"""Recurrent operations through ONNX's operators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seqc.export.recurrent.forms import OnnxRecurrent, StepOrder, StepRows, TakeStep, TakeSteps
from seqc.graph import dims
from seqc.graph.ir import Graph, Value, apply, apply_many, constant, scope, walk
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops._common import scalar
from seqc.ops._recurrent import Recurrent
from seqc.ops.elementwise import where
from seqc.ops.padding import Pad
from seqc.ops.rnn import SimpleRNN
from seqc.ops.shape import expand_dims, ones_like, reshape, squeeze, transpose, zeros_like
from seqc.ops.slicing import Slice, concatenate, flip, split


def lower_recurrent(graph: Graph, target: Target) -> Graph:
    """Returns the graph with recurrent operations as ONNX has them.

    Exactly: with the valid steps first, in their order p, rnn(x, mask) = restore(rnn(x[p], length)), as a masked
    step leaves the state: h[t] = h[t-1].
    """

    def rule(old: Value, new: Value) -> tuple[Value, ...] | None:
        if not isinstance(new.op, Recurrent):
            return None
        with scope(old.scope):
            return _lowered(target, new.op, *new.op.unpack(new.inputs))

    return rewrite(graph, rule)


def _lowered(
    target: Target, op: Recurrent, x: Value, w: Value, r: Value, b: Value, states: Sequence[Value], mask: Value | None
) -> tuple[Value, ...]:
    """Returns outputs (batch, time, units) and the last states, through ONNX's operator."""
    if (op.onnx == "GRU" or states) and _may_lose_all_steps(x):
        x, mask = _with_a_step_left_out(x, mask)
        outputs, *last = _lowered(target, replace(op, has_mask=True), x, w, r, b, states, mask)
        return outputs[:, 1:] if op.reverse else outputs[:, :-1], *last
    steps = transpose(x, (1, 0, 2))
    extra: list[Value] = []
    if mask is not None:
        order, lengths = apply_many(StepOrder(op.reverse), mask)
        steps = apply(TakeSteps(), steps, transpose(order))
        extra.append(lengths)
    extra += [expand_dims(s, 0) for s in states]
    cell = replace(op, reverse=False, has_state=False, has_mask=False, zero_output=False)
    # Steps that were taken by a mask stand in the order of processing already.
    direction = "reverse" if op.reverse and mask is None else "forward"
    node = OnnxRecurrent(cell, direction, mask is not None, bool(states))
    weights = (_columns(op, w), _columns(op, r), expand_dims(_bias(op, b), 0))
    y, *last = apply_many(node, steps, *weights, *extra)
    outputs, last = squeeze(y, 1), [squeeze(s, 0) for s in last]
    if mask is not None:
        if not target.stops_at_lengths or isinstance(op, SimpleRNN):
            last[0] = _output_at_end(y, lengths)
        if states:
            some = expand_dims(lengths > 0, 1)
            last = [where(some, a, s) for a, s in zip(last, states, strict=True)]
        outputs = _restored(op, outputs, mask)
    if op.reverse:
        outputs = flip(outputs, 0)
    return transpose(outputs, (1, 0, 2)), *last


def _may_lose_all_steps(x: Value) -> bool:
    """Whether a part is cut out of sequences that is nothing of short ones. Windows refuse those that do not fit."""

    def cut(v: Value) -> bool:
        return isinstance(v.op, Slice) and any(map(dims.may_be_nothing, v.type.shape[1:]))

    return dims.may_be_nothing(x.type.shape[1]) and any(map(cut, walk([x])))


def _with_a_step_left_out(x: Value, mask: Value | None) -> tuple[Value, Value]:
    """Returns sequences with one step more, and a mask without it.

    Over no steps onnxruntime's GRU ends the process, and the others give zeros in the place of the first states.
    """
    if mask is None:
        mask = ones_like(x[:, :, 0], dtype="bool")
    x = apply(Pad(((0, 0), (0, 1), (0, 0))), x)
    return x, concatenate([mask, zeros_like(x[:, :1, 0], dtype="bool")], 1)


def _output_at_end(y: Value, lengths: Value) -> Value:
    """Returns from outputs (time, 1, batch, units) those of the last valid step, zeros where there is none.

    Not what the operator gives as the last state: some targets run on beyond a sequence's length, and onnxruntime up to
    1.20 leaves that of an RNN over no steps as it was in memory. Outputs of valid steps are right everywhere, as these
    come first.
    """
    nothing_first = apply(Pad(((1, 0), (0, 0), (0, 0), (0, 0))), y)
    return apply(TakeStep(), nothing_first, lengths)


def _restored(op: Recurrent, outputs: Value, mask: Value) -> Value:
    """Gives outputs of the valid steps (time, batch, units) their places in the order of time."""
    nothing_first = apply(Pad(((1, 0), (0, 0), (0, 0))), outputs)
    result = apply(TakeSteps(), nothing_first, apply(StepRows(op.reverse), mask))
    if op.zero_output:
        result = where(expand_dims(transpose(mask), 2), result, scalar(0, result))
    return result


def _reorder(op: Recurrent, v: Value, axis: int) -> Value:
    if op.onnx_gates == tuple(range(op.gates)):
        return v
    parts = split(v, op.gates, axis)
    return concatenate([parts[i] for i in op.onnx_gates], axis)


def _columns(op: Recurrent, w: Value) -> Value:
    """A kernel (features, gates · units) in Keras's order as (1, gates · units, features) in ONNX's."""
    return expand_dims(_reorder(op, transpose(w), 0), 0)


def _bias(op: Recurrent, b: Value) -> Value:
    """The bias as ONNX's two, one after the other: of the input, and of the state, zero where there is none."""
    if b.type.rank == 2:
        return reshape(b, (-1,))
    return concatenate([_reorder(op, b, 0), constant(np.zeros(dims.known(b.type.shape), b.dtype))], 0)
