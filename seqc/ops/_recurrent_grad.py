"""What the gradients of recurrent operations share: running back over time, masks and states.

A subclass says how the gradient passes through one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from seqc.errors import ShapeError
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Op, Sizes, Type, Value
from seqc.ops._recurrent import Recurrent
from seqc.sure import of_kind

T = TypeVar("T")


@dataclass(frozen=True, repr=False, eq=False)
class RecurrentGrad(Op):
    """Gradients of the operands of `forward` but the mask.

    Operands: those of the forward operation, and the gradients of its outputs and last states as far as `given`.

    Attributes:
        given: which of outputs and last states have a gradient; that of the others is zero.
    """

    sequential = True
    forward: Recurrent
    given: tuple[bool, ...]

    def infer(self, *types: Type) -> tuple[Type, ...]:
        op, count = self.forward, sum(self.given)
        results = op.infer(*types[: len(types) - count])
        wanted = tuple(t for t, there in zip(results, self.given, strict=True) if there)
        if types[len(types) - count :] != wanted:
            came = ", ".join(map(str, types[len(types) - count :]))
            raise ShapeError(f"{self.name} needs gradients {', '.join(map(str, wanted))}; got {came}.")
        return types[: 4 + op.states * op.has_state]

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        # What the forward operation computes inside is kept wherever it matters, and not computed twice.
        return 2 * self.forward.work_of(inputs[0], inputs[2][0])

    def unpack(self, operands: Sequence[T]) -> tuple[Sequence[T], list[T | None]]:
        """Returns the operands of the forward operation, and the gradients of all its results; None for absent ones."""
        count = len(operands) - sum(self.given)
        upstream = iter(operands[count:])
        return operands[:count], [next(upstream) if there else None for there in self.given]

    def batch_rule(self, y: Value) -> tuple[BatchRule, ...]:
        results = of_kind(y.result, tuple)
        if batch_axis(results[0]) != 0:  # steps follow from each other: they are no samples
            whole: BatchRule = "whole"
            return (whole,) * len(results)
        each: list[BatchRule] = ["parallel"] * (self.forward.states * self.forward.has_state)
        return "parallel", "reduce", "reduce", "reduce", *each

    def eval(self, *arrays: Array) -> Any:
        operands, upstream = self.unpack(arrays)
        _, w, r, _, _, mask = self.forward.unpack(operands)
        *_, fed, kept = self.forward.run(*operands)
        return self.run_back(w, r, mask, fed, kept, upstream)

    def run_back(
        self, w: Array, r: Array, mask: Array | None, fed: Array, kept: Array, upstream: Sequence[Array | None]
    ) -> tuple[Array, ...]:
        """Returns the gradients.

        Args:
            w, r, mask: operands of the forward operation. fed, kept: what it leaves, see `Recurrent.run`.
            upstream: the gradients of its results, None for absent ones.
        """
        op = self.forward
        time, _, batch, units = kept.shape
        features = w.shape[0]
        zero = np.zeros((batch, units), r.dtype)
        # What is known of the gradient of the states, and of an output that masked steps repeat.
        gs, carried = [zero if g is None else g for g in upstream[1:]], zero
        dz = np.empty((time, batch, self.blocks * units), r.dtype)
        for t in reversed(range(time)):
            g_out = carried if upstream[0] is None else upstream[0][:, t] + carried
            if mask is None:
                gs = self.step(kept[t], fed[t, :, features:-1], [gs[0] + g_out, *gs[1:]], r, dz[t])
                continue
            m = op.in_order(mask)[:, t, None]
            carried = zero if op.zero_output else np.where(m, zero, g_out)
            new = [np.where(m, g, zero) for g in (gs[0] + g_out, *gs[1:])]
            passed = self.step(kept[t], fed[t, :, features:-1], new, r, dz[t])
            gs = [a + np.where(m, zero, g) for a, g in zip(passed, gs, strict=True)]
        dx, dw, dr, db = self.finish(
            fed.reshape(-1, features + units + 1), dz.reshape(-1, self.blocks * units), kept, w
        )
        dx = op.in_order(np.swapaxes(dx.reshape(time, batch, features), 0, 1))
        return (dx, dw, dr, db, *gs) if op.has_state else (dx, dw, dr, db)

    @property
    def blocks(self) -> int:
        """How many blocks of columns a step's gradients have."""
        return self.forward.gates

    def step(self, kept: Array, h: Array, gs: list[Array], r: Array, dz: Array) -> list[Array]:
        """Returns the gradients of the states before a step, given those of the states after it.

        Args:
            kept: what the step kept. h: the hidden state before it. dz: to be filled with the gradients of what the
            activations are applied to.
        """
        raise NotImplementedError(f"{self.name}.step")

    def finish(self, fed: Array, dz: Array, kept: Array, w: Array) -> tuple[Array, Array, Array, Array]:
        """Returns the gradients of x (rows of all steps), kernel, recurrent kernel and bias from those of all steps."""
        features = len(w)
        weights = fed.T @ dz
        return dz @ w.T, weights[:features], weights[features:-1], weights[-1]
