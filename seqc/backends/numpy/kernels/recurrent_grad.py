"""Gradients of recurrent operations.

Whatever of a step's gradient does not depend on the steps after it is worked out beforehand, for some steps at a time:
slopes of the activations times what they are multiplied with. The gradient of the hidden state is then multiplied with
these factors and goes through one product. The gradients of the weights are one product over all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._steps import slope
from seqc.backends.numpy.kernels.recurrent import columns, hide
from seqc.backends.numpy.residuals import GradOfResiduals
from seqc.graph.ir import Array
from seqc.ops.rnn import GRU, LSTM, SimpleRNN

# How many bytes the factors worked out at a time may take: they are to be in the cache when they are used.
_CHUNK = 1 << 19


@kernel(GradOfResiduals)
def bind_gradient(
    op: GradOfResiduals, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
) -> Call | None:
    """Binds the gradient operations."""
    w, r, _, fed, _, _ = op.unpack(xs)
    if 0 in (*fed.shape, *w.shape, *r.shape):
        return None
    forward = op.gradient.forward
    kind = _GRUBefore if isinstance(forward, GRU) and not forward.reset_after else _KINDS[type(forward)]
    return in_turn(*kind(op, outs, xs, scratch).program)


class Backward:
    """A run backwards through all steps; everything is time first and in the order of processing.

    Attributes:
        program: the calls. kept: what the steps kept. hidden: the states before them (time, batch, units). dz: the
        gradients of what the activations are applied to (time, batch, blocks · units). states: the gradients of the
        states, carried from step to step. spare: for intermediate numbers (batch, units). turned: the transposed
        recurrent kernel.
    """

    # How many blocks (batch, units) of factors and intermediate numbers a step has.
    room: ClassVar[int]

    def __init__(
        self, op: GradOfResiduals, outs: Sequence[Array | None], xs: Sequence[Array], scratch: Scratch
    ) -> None:
        self.op: Any = op.gradient.forward
        self.w, self.r, mask, self.fed, self.kept, upstream = op.unpack(xs)
        self.time, _, self.batch, self.units = self.kept.shape
        self.hidden = self.fed[:, :, len(self.w) : -1]
        self.scratch, self.outs = scratch, outs
        self.program: list[Call] = []
        self.dz = self.new(self.time, self.batch, op.gradient.blocks * self.units)
        self.spare = self.new(self.batch, self.units)
        self.turned = self.new(*self.r.shape[::-1])
        self.add(partial(np.copyto, self.turned, self.r.T))
        self.states = [self._start(outs[4 + i] if self.op.has_state else None, g) for i, g in enumerate(upstream[1:])]
        self.mask = None if mask is None else self.op.in_order(mask).T[:, :, None]
        if self.mask is not None:
            self._start_mask(self.mask)
        self._run(self._shown(upstream[0]))
        self.finish()

    def new(self, *shape: int) -> Array:
        return self.scratch(shape, self.r.dtype)

    def add(self, *calls: Call) -> None:
        self.program += calls

    def _start(self, state: Array | None, given: Array | None) -> Array:
        state = self.new(self.batch, self.units) if state is None else state
        self.add(partial(state.fill, 0) if given is None else partial(np.copyto, state, given))
        return state

    def _start_mask(self, mask: Array) -> None:
        self.valid, self.repeated = self.new(*mask.shape), self.new(*mask.shape)
        self.unmasked = self.scratch(mask.shape, np.dtype(bool))
        self.add(
            partial(np.copyto, self.valid, mask),
            partial(np.logical_not, mask, self.unmasked),
            partial(np.copyto, self.repeated, self.unmasked),
        )

    def _shown(self, given: Array | None) -> Array | None:
        """Takes the gradient of the outputs over as far as they show the hidden state."""
        if given is None:
            return None
        shown = self.new(self.time, self.batch, self.units)
        self.add(partial(np.copyto, shown, given.swapaxes(0, 1)))
        if self.mask is not None:
            hidden = self.scratch(self.mask.shape, np.dtype(bool))
            self.add(partial(np.logical_not, self.mask, hidden), *hide(self.op, hidden, shown))
        return shown

    def _run(self, shown: Array | None) -> None:
        size = max(1, min(self.time, _CHUNK // (self.room * self.spare.nbytes)))
        memory = self.new(self.room, size, self.batch, self.units)
        for stop in range(self.time, 0, -size):
            chunk = slice(max(0, stop - size), stop)
            factors = memory[:, : stop - chunk.start]
            self.prepare(chunk, self.kept[chunk].swapaxes(0, 1), factors)
            for t in reversed(range(chunk.start, stop)):
                if shown is not None:
                    self.add(partial(np.add, self.states[0], shown[t], self.states[0]))
                self.step(t, factors[:, t - chunk.start])

    def prepare(self, chunk: slice, kept: Array, factors: Array) -> None:
        """Adds the calls that work out the factors (room, steps, batch, units) of some steps.

        Args:
            kept: what these steps kept (parts, steps, batch, units).
        """
        raise NotImplementedError(f"{type(self).__name__}.prepare")

    def step(self, t: int, factors: Array) -> None:
        """Adds the calls that take the gradients of the states through a step."""
        raise NotImplementedError(f"{type(self).__name__}.step")

    def pass_nothing_at_masked(self, chunk: slice, factors: Array) -> None:
        if self.mask is not None:
            self.add(partial(np.multiply, factors, self.valid[chunk], factors))

    def pass_on_at_masked(self, chunk: slice, gate: Array) -> None:
        """Makes the factor of a state's own gradient one at masked steps."""
        if self.mask is not None:
            self.add(partial(np.copyto, gate, gate.dtype.type(1), where=self.unmasked[chunk]))

    def blocks(self, t: int, first: int, count: int) -> Array:
        """Returns columns of a step's dz as blocks (count, batch, units)."""
        part: Array = self.dz[t].reshape(self.batch, -1, self.units)
        return part[:, first : first + count].swapaxes(0, 1)

    def through_recurrent_kernel(self, t: int) -> None:
        """Adds the calls for a state that comes into the step by the recurrent kernel only."""
        state = self.states[0]
        if self.is_done(t):
            return
        product = partial(np.dot, self.dz[t], self.turned, state)
        if self.mask is None:
            self.add(product)
        else:
            self.add(
                partial(np.multiply, state, self.repeated[t], self.spare),
                product,
                partial(np.add, state, self.spare, state),
            )

    def is_done(self, t: int) -> bool:
        """Tells whether nobody asks for the gradient of the state before a step."""
        return t == 0 and not self.op.has_state

    # -- after all steps ---------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Adds the calls for the gradients of input, kernels and bias."""
        dz = self.flat(self.dz)
        self.give_input(dz, self.w)
        dw, dr, db = self.outs[1:4]
        weights = self.product_with_fed(dz)
        features = len(self.w)
        for out, part in ((dw, weights[:features]), (dr, weights[features:-1]), (db, weights[-1])):
            self.give(out, part)

    def flat(self, a: Array) -> Array:
        """Returns (time, batch, n) as the rows of all steps."""
        if not a.flags.c_contiguous:
            whole = self.new(*a.shape)
            self.add(partial(np.copyto, whole, a))
            a = whole
        return a.reshape(self.time * self.batch, a.shape[-1])

    def give(self, out: Array | None, part: Array) -> None:
        if out is not None:
            self.add(partial(np.copyto, out, part))

    def give_input(self, dz: Array, w: Array) -> None:
        dx = self.outs[0]
        if dx is not None:
            rows = self.new(len(dz), len(w))
            self.add(partial(np.matmul, dz, w.T, rows))
            steps = rows.reshape(self.time, self.batch, len(w))
            self.give(self.op.in_order(dx), steps.swapaxes(0, 1))

    def product_with_fed(self, dz: Array) -> Array:
        """Returns the gradients of kernel, recurrent kernel and bias, one under the other."""
        fed = self.flat(self.fed)
        weights = self.new(fed.shape[1], dz.shape[1])
        self.add(partial(np.matmul, fed.T, dz, weights))
        return weights


class _SimpleRNN(Backward):
    room = 1

    def prepare(self, chunk: slice, kept: Array, factors: Array) -> None:
        self.add(*slope(self.op.activation, kept, factors))
        self.pass_nothing_at_masked(chunk, factors)

    def step(self, t: int, factors: Array) -> None:
        self.add(partial(np.multiply, self.states[0], factors[0], self.dz[t]))
        self.through_recurrent_kernel(t)


class _LSTM(Backward):
    room = 11

    def prepare(self, chunk: slice, kept: Array, factors: Array) -> None:
        # Of input gate, forget gate and candidate, of the cell state through the activated one, of the output gate.
        result, keep = factors[:5], factors[5]
        gates, squares = factors[6:9], factors[9:]
        self.add(
            *slope(self.op.recurrent_activation, kept[:3], gates),
            *slope(self.op.activation, kept[3::2], squares),
            partial(np.multiply, gates[:2], kept[3:5], result[:2]),
            partial(np.multiply, gates[2], kept[5], result[4]),
            partial(np.multiply, squares, kept[0:3:2], result[2:4]),
        )
        self.pass_nothing_at_masked(chunk, result)
        if self.mask is not None:
            self.add(partial(np.copyto, keep, kept[1]))
            self.pass_on_at_masked(chunk, keep)

    def step(self, t: int, factors: Array) -> None:
        h, c = self.states
        keep = self.kept[t, 1] if self.mask is None else factors[5]
        self.add(
            partial(np.multiply, h, factors[4], self.blocks(t, 3, 1)[0]),
            partial(np.multiply, h, factors[3], self.spare),
            partial(np.add, c, self.spare, c),
            partial(np.multiply, c, factors[:3], self.blocks(t, 0, 3)),
            partial(np.multiply, c, keep, c),
        )
        self.through_recurrent_kernel(t)


class _GRU(Backward):
    """With the reset gate after the product. The blocks of dz are candidate, update gate, reset gate and the product of
    state and recurrent kernel, so that those of either kernel stand side by side.
    """

    room = 8

    def prepare(self, chunk: slice, kept: Array, factors: Array) -> None:
        one = self.r.dtype.type(1)
        at_reset, update, reset, candidate = kept
        keep, slopes, other = factors[4], factors[5:7], factors[7]
        of_candidate, of_update, of_reset, of_product = factors[:4]
        self.add(
            *slope(self.op.recurrent_activation, kept[1:3], slopes),
            *slope(self.op.activation, candidate, of_candidate),
            partial(np.subtract, one, update, other),
            partial(np.multiply, of_candidate, other, of_candidate),
            partial(np.subtract, self.hidden[chunk], candidate, of_update),
            partial(np.multiply, of_update, slopes[0], of_update),
        )
        self.of_gate_at_reset(chunk, (of_candidate, of_reset, of_product), reset, at_reset, slopes[1])
        self.pass_nothing_at_masked(chunk, factors[:4])
        if self.mask is not None:
            self.add(partial(np.copyto, keep, update))
            self.pass_on_at_masked(chunk, keep)

    def of_gate_at_reset(
        self, chunk: slice, results: tuple[Array, ...], reset: Array, at_reset: Array, slopes: Array
    ) -> None:
        of_candidate, of_reset, of_product = results
        self.add(
            partial(np.multiply, of_candidate, reset, of_product),
            partial(np.multiply, of_candidate, at_reset, of_reset),
            partial(np.multiply, of_reset, slopes, of_reset),
        )

    def keep(self, t: int, factors: Array) -> Array:
        update: Array = self.kept[t, 1]
        return update if self.mask is None else factors[4]

    def step(self, t: int, factors: Array) -> None:
        (h,) = self.states
        self.add(partial(np.multiply, h, factors[:4], self.blocks(t, 0, 4)))
        if self.is_done(t):
            return
        self.add(
            partial(np.multiply, h, self.keep(t, factors), self.spare),
            partial(np.dot, columns(self.dz[t], 1, self.units, 3), self.turned, h),
            partial(np.add, h, self.spare, h),
        )

    def finish(self) -> None:
        units, features, dz = self.units, len(self.w), self.flat(self.dz)
        of_x = columns(dz, 0, units, 3)
        turned = self.new(features, 3 * units)
        if self.outs[0] is not None:
            self.give(columns(turned, 0, units), columns(self.w, 2, units))
            self.give(columns(turned, 1, units, 2), columns(self.w, 0, units, 2))
        self.give_input(of_x, turned)
        weights = self.product_with_fed(of_x)
        dw, dr, db = self.outs[1:4]
        if dw is not None:
            self.give(columns(dw, 0, units, 2), columns(weights[:features], 1, units, 2))
            self.give(columns(dw, 2, units), columns(weights[:features], 0, units))
        if dr is not None:
            self.give(columns(dr, 0, units, 2), columns(weights[features:-1], 1, units, 2))
        self.finish_candidate(dz, weights[-1], dr, db)

    def finish_candidate(self, dz: Array, bias: Array, dr: Array | None, db: Array | None) -> None:
        """Adds the calls for the candidate's part of the recurrent kernel, and for the bias."""
        units = self.units
        product = self.new(units + 1, units)
        state_and_one = self.flat(self.fed)[:, len(self.w) :]
        self.add(partial(np.matmul, state_and_one.T, columns(dz, 3, units), product))
        if dr is not None:
            self.give(columns(dr, 2, units), product[:-1])
        if db is not None:
            self.give(columns(db, 0, units, 2), columns(bias, 1, units, 2))
            self.give(columns(db[0], 2, units), columns(bias, 0, units))
            self.give(columns(db[1], 2, units), product[-1])


class _GRUBefore(_GRU):
    """With the reset gate before the product: the blocks of dz are candidate, update gate and reset gate."""

    def of_gate_at_reset(
        self, chunk: slice, results: tuple[Array, ...], reset: Array, at_reset: Array, slopes: Array
    ) -> None:
        self.add(partial(np.multiply, self.hidden[chunk], slopes, results[1]))

    def step(self, t: int, factors: Array) -> None:
        (h,), spare = self.states, self.spare
        candidate, gates = columns(self.dz[t], 0, self.units), columns(self.dz[t], 1, self.units, 2)
        self.add(
            partial(np.multiply, h, factors[:2], self.blocks(t, 0, 2)),
            partial(np.dot, candidate, self.turned[2 * self.units :], spare),
            partial(np.multiply, spare, factors[2], self.blocks(t, 2, 1)[0]),
        )
        if self.is_done(t):
            return
        self.add(
            partial(np.multiply, spare, self.kept[t, 2], spare),
            partial(np.multiply, h, self.keep(t, factors), h),
            partial(np.add, h, spare, h),
            partial(np.dot, gates, self.turned[: 2 * self.units], spare),
            partial(np.add, h, spare, h),
        )

    def finish_candidate(self, dz: Array, bias: Array, dr: Array | None, db: Array | None) -> None:
        units = self.units
        if dr is not None:
            at_reset, product = self.flat(self.kept[:, 0]), self.new(units, units)
            self.add(partial(np.matmul, at_reset.T, columns(dz, 0, units), product))
            self.give(columns(dr, 2, units), product)
        if db is not None:
            self.give(columns(db, 0, units, 2), columns(bias, 1, units, 2))
            self.give(columns(db, 2, units), columns(bias, 0, units))


_KINDS: dict[type, type[Backward]] = {SimpleRNN: _SimpleRNN, LSTM: _LSTM, GRU: _GRU}
