"""Gradients of recurrent operations.

Whatever of a step's gradient does not depend on the steps after it is worked out beforehand, for some steps at a time:
slopes of the activations times what they are multiplied with. The gradient of the hidden state is then multiplied with
these factors and goes through one product. The gradients of the weights are one product over all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from seqc.backends.numpy.kernels import Call, Scratch, in_turn, kernel
from seqc.backends.numpy.kernels._backward import Backward
from seqc.backends.numpy.kernels._steps import slope
from seqc.backends.numpy.kernels.recurrent import columns
from seqc.backends.numpy.residuals import GradOfResiduals
from seqc.graph.ir import Array
from seqc.ops.rnn import GRU, LSTM, SimpleRNN


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
    """With the reset gate after the product.

    The blocks of dz are candidate, update gate, reset gate and the product of state and recurrent kernel, so that those
    of either kernel stand side by side.
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
