"""What the gradients of all recurrent operations have in common: a run backwards through the steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from seqc.backends.numpy import machine
from seqc.backends.numpy.kernels import Call, Scratch
from seqc.backends.numpy.kernels.recurrent import hide
from seqc.backends.numpy.residuals import GradOfResiduals
from seqc.graph.ir import Array


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
        size = max(1, min(self.time, machine.FACTOR_BYTES // (self.room * self.spare.nbytes)))
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
