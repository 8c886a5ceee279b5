"""Recurrent operations, step after step in memory that stays in the cache.

Everything is time first. The input of a step, the hidden state before it and a one stand side by side, so that one
product with the kernels and the bias, one under the other, gives all gates; each gate is a block of its own, so that
whatever follows works on contiguous memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._steps import sign, squash, squash_copy, unset
from seqc.backends.numpy.residuals import WithResiduals
from seqc.graph.ir import Array
from seqc.ops._recurrent import Recurrent
from seqc.ops.rnn import GRU, LSTM, SimpleRNN


@dataclass(frozen=True)
class Step:
    """The memory of one step.

    Attributes:
        fed: input, hidden state before and one, side by side (batch, features + units + 1). before, after: the states.
        kept: what the gradient needs (parts, batch, units). spare: for intermediate numbers (2, batch, units).
    """

    fed: Array
    before: tuple[Array, ...]
    after: tuple[Array, ...]
    kept: Array
    spare: Array


class Weights:
    """Kernel, recurrent kernel and bias of each gate, one under the other: (blocks, features + units + 1, units)."""

    def __init__(self, blocks: int, w: Array, r: Array, scratch: Scratch) -> None:
        self.features, self.units = len(w), len(r)
        self.whole = scratch((blocks, self.features + self.units + 1, self.units), w.dtype)
        self.w, self.r = w, r
        self.fill: list[Call] = []

    def put(self, block: int, factor: float, x: int | None, h: int | None, *bias: Array) -> None:
        """Fills a block from the columns of the gates `x` of the kernel and `h` of the recurrent kernel; None is 0."""
        rows, number = self.whole[block], self.whole.dtype.type(factor)
        parts = ((self.w, x, rows[: self.features]), (self.r, h, rows[self.features : -1]))
        for source, gate, target in parts:
            if gate is None:
                self.fill.append(partial(target.fill, 0))
            else:
                self.fill.append(partial(np.multiply, columns(source, gate, self.units), number, target))
        first, *others = bias
        self.fill.append(partial(np.multiply, first, number, rows[-1]))
        self.fill += [partial(_add_multiple, b, number, rows[-1]) for b in others]


def _add_multiple(x: Array, factor: Array, out: Array) -> None:
    out += x * factor


def columns(w: Array, gate: int, units: int, count: int = 1) -> Array:
    """Returns the columns of some gates of a kernel or a bias."""
    return w[..., gate * units : (gate + count) * units]


@kernel(SimpleRNN, LSTM, GRU)
def bind_recurrent(op: Recurrent, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch) -> Call | None:
    """Binds the forward operations."""
    return bind_with_residuals(WithResiduals(op), [*outs, None, None], xs, scratch)


@kernel(WithResiduals)
def bind_with_residuals(
    saving: WithResiduals, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Binds the forward operations that leave their gradients what they have computed inside."""
    op = saving.forward
    x, w, r, b, states, mask = op.unpack(xs)
    if 0 in (*x.shape, *r.shape):
        return None
    batch, time, features = x.shape
    units = len(r)
    outputs, *given = outs[: 1 + op.states]
    last = [scratch((batch, units), x.dtype) if a is None else a for a in given]
    fed, kept = outs[-2:]
    fed = scratch((time, batch, features + units + 1), x.dtype) if fed is None else fed
    # Where no gradient follows, two steps take turns.
    pair = scratch((2, op.parts, batch, units), x.dtype) if kept is None else kept
    blocks = [pair[t % len(pair)] for t in range(time)]
    spare = scratch((2, batch, units), x.dtype)
    hidden = fed[:, :, features:-1]
    program: list[Call] = [
        partial(np.copyto, fed[:, :, :features], op.in_order(x).swapaxes(0, 1)),
        partial(fed[:, :, -1].fill, 1),
    ]
    chains = [(*hidden, last[0])]
    if op.states == 2:
        chains.append((*(k[4] for k in blocks), last[1]))
    for i, chain in enumerate(chains):
        program.append(partial(np.copyto, chain[0], states[i]) if states else partial(chain[0].fill, 0))
    steps = [
        Step(fed[t], tuple(c[t] for c in chains), tuple(c[t + 1] for c in chains), blocks[t], spare)
        for t in range(time)
    ]
    calls, fill = _STEPS[type(op)](op, steps, w, r, b, scratch)
    program += fill
    unmasked = None if mask is None else scratch((time, batch, 1), np.dtype(bool))
    if unmasked is not None:
        program.append(partial(np.logical_not, op.in_order(mask).T[:, :, None], unmasked))
    for t, (step, work) in enumerate(zip(steps, calls, strict=True)):
        program += work
        if unmasked is not None:
            pairs = zip(step.after, step.before, strict=True)
            program += [partial(np.copyto, after, before, where=unmasked[t]) for after, before in pairs]
    if outputs is not None:
        program.append(partial(np.copyto, outputs[:, :-1], hidden[1:].swapaxes(0, 1)))
        program.append(partial(np.copyto, outputs[:, -1], last[0]))
        if unmasked is not None:
            program += hide(op, unmasked, outputs.swapaxes(0, 1))
    return in_turn(*program)


def hide(op: Recurrent, unmasked: Array, outputs: Array) -> list[Call]:
    """Returns the calls that zero outputs (time, batch, units) which do not show the hidden state.

    Args:
        unmasked: true at masked steps (time, batch, 1); overwritten.
    """
    if op.zero_output:
        return [unset(outputs, unmasked)]
    # A masked step repeats the output before it, which is the state, but zeros where no step was valid so far.
    return [partial(np.logical_and.accumulate, unmasked, 0, None, unmasked), unset(outputs, unmasked)]


Work = tuple[list[list[Call]], list[Call]]


def _simple_rnn(op: SimpleRNN, steps: Sequence[Step], w: Array, r: Array, b: Array, scratch: Scratch) -> Work:
    weights = Weights(1, w, r, scratch)
    weights.put(0, sign(op.activation), 0, 0, b)
    calls: list[list[Call]] = [
        [
            partial(np.matmul, s.fed, weights.whole[0], s.kept[0]),
            *squash(op.activation, s.kept[0]),
            partial(np.copyto, s.after[0], s.kept[0]),
        ]
        for s in steps
    ]
    return calls, weights.fill


def _lstm(op: LSTM, steps: Sequence[Step], w: Array, r: Array, b: Array, scratch: Scratch) -> Work:
    weights = Weights(4, w, r, scratch)
    # Input, forget and output gate lie together, then the candidate.
    for block, gate in enumerate((0, 1, 3, 2)):
        name = op.activation if gate == 2 else op.recurrent_activation
        weights.put(block, sign(name), gate, gate, columns(b, gate, weights.units))
    return [_lstm_step(op, s, weights.whole) for s in steps], weights.fill


def _lstm_step(op: LSTM, s: Step, weights: Array) -> list[Call]:
    kept = s.kept
    return [
        partial(np.matmul, s.fed, weights, kept[:4]),
        *squash(op.recurrent_activation, kept[:3]),
        *squash(op.activation, kept[3]),
        # Input and forget gate meet candidate and cell state.
        partial(np.multiply, kept[:2], kept[3:5], s.spare),
        partial(np.add, s.spare[0], s.spare[1], s.after[1]),
        *squash_copy(op.activation, s.after[1], kept[5]),
        partial(np.multiply, kept[2], kept[5], s.after[0]),
    ]


def _gru(op: GRU, steps: Sequence[Step], w: Array, r: Array, b: Array, scratch: Scratch) -> Work:
    inner = sign(op.recurrent_activation)
    after = int(op.reset_after)
    weights = Weights(3 + after, w, r, scratch)
    of_x, *of_h = b if after else (b,)
    if after:
        weights.put(0, 1, None, 2, columns(of_h[0], 2, weights.units))
    for gate in (0, 1):
        weights.put(after + gate, inner, gate, gate, *(columns(a, gate, weights.units) for a in (of_x, *of_h)))
    weights.put(2 + after, 1, 2, None, columns(of_x, 2, weights.units))
    if after:
        return [_gru_after(op, s, weights.whole) for s in steps], weights.fill
    candidate = columns(r, 2, weights.units)
    return [_gru_before(op, s, weights.whole, candidate) for s in steps], weights.fill


def _gru_after(op: GRU, s: Step, weights: Array) -> list[Call]:
    product, _, reset, candidate = s.kept
    return [
        partial(np.matmul, s.fed, weights, s.kept),
        *squash(op.recurrent_activation, s.kept[1:3]),
        partial(np.multiply, reset, product, s.spare[0]),
        partial(np.add, candidate, s.spare[0], candidate),
        *squash_copy(op.activation, candidate, candidate),
        *_mix(s),
    ]


def _gru_before(op: GRU, s: Step, weights: Array, candidate_weights: Array) -> list[Call]:
    at_reset, _, reset, candidate = s.kept
    return [
        partial(np.matmul, s.fed, weights, s.kept[1:]),
        *squash(op.recurrent_activation, s.kept[1:3]),
        partial(np.multiply, reset, s.before[0], at_reset),
        partial(np.matmul, at_reset, candidate_weights, s.spare[0]),
        partial(np.add, candidate, s.spare[0], candidate),
        *squash_copy(op.activation, candidate, candidate),
        *_mix(s),
    ]


def _mix(s: Step) -> list[Call]:
    """The new state: candidate + update · (state - candidate)."""
    update, candidate, spare = s.kept[1], s.kept[3], s.spare[0]
    return [
        partial(np.subtract, s.before[0], candidate, spare),
        partial(np.multiply, spare, update, spare),
        partial(np.add, spare, candidate, s.after[0]),
    ]


_STEPS: dict[type, Callable[..., Work]] = {SimpleRNN: _simple_rnn, LSTM: _lstm, GRU: _gru}
