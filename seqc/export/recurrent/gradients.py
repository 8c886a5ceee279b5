"""Gradients of recurrent operations in steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqc import activations
from seqc.graph.autodiff import pull_back, total
from seqc.graph.ir import Graph, Value, apply, scope
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops._common import scalar
from seqc.ops._recurrent import Recurrent
from seqc.ops._recurrent_grad import RecurrentGrad
from seqc.ops.elementwise import where
from seqc.ops.linalg import matmul
from seqc.ops.reduce import ReduceSum
from seqc.ops.shape import expand_dims, transpose, zeros_like
from seqc.ops.slicing import flip, stack
from seqc.ops.steps import scan
from seqc.sure import present

Values = Sequence[Value]


def scan_recurrent_gradients(graph: Graph, _: Target) -> Graph:
    """Returns the graph with each gradient of a recurrent operation as two Scans.

    One runs the steps again, for the states before each of them, and one goes back.

    Exactly: with h[t] = f(x[t], h[t-1], w), dx[t] and dw are sums of g[t] * df by the chain rule, g[t-1] = g[t] *
    df/dh[t-1] + what arrives there.

    ONNX's operators give the hidden state of each step, and nothing else of what they compute inside.
    """

    def rule(old: Value, v: Value) -> tuple[Value, ...] | None:
        if not isinstance(v.op, RecurrentGrad):
            return None
        with scope(v.scope):
            return _gradients(v.op, v.inputs)

    return rewrite(graph, rule)


def _gradients(op: RecurrentGrad, inputs: Values) -> tuple[Value, ...]:
    forward = op.forward
    operands, (of_outputs, *of_states) = op.unpack(inputs)
    x, w, r, b, states, mask = forward.unpack(operands)
    product = matmul(x, w)
    of_input, *of_state = (b[0], b[1]) if b.type.rank == 2 else (b,)
    weights = (r, *of_state)
    steps = _Steps(forward, of_outputs is not None)
    # Time comes first. What a forward run leaves stands in the order of processing, and so does all the rest.
    in_order = flip if forward.reverse else lambda v, _: v
    sequences = [in_order(transpose(product + of_input, (1, 0, 2)), 0)]
    if mask is not None:
        sequences.append(in_order(expand_dims(transpose(mask), 2), 0))
    zero = zeros_like(sequences[0][0, :, : r.type.shape[0]])
    before = scan(steps.forwards, states or [zero] * forward.states, sequences, weights)[forward.states :]
    if of_outputs is not None:
        sequences.append(transpose(of_outputs, (1, 0, 2)))
    start = [zero if g is None else g for g in of_states] + [zero] * steps.repeats + [zeros_like(v) for v in weights]
    *last, dz = scan(steps.backwards, start, [*sequences, *before], weights, reverse=True)
    dr, *db_state = last[len(last) - len(weights) :]
    dz = transpose(dz if forward.reverse else flip(dz, 0), (1, 0, 2))
    dx, dw = product.op.vjp(dz, product, x, w)
    db = apply(ReduceSum((0, 1)), dz)
    found = (present(dx), present(dw), dr, stack([db, *db_state]) if db_state else db)
    return (*found, *last[: forward.states]) if forward.has_state else found


@dataclass(frozen=True)
class _Steps:
    """The steps of a recurrent operation.

    Attributes:
        shown: whether a gradient of the outputs arrives.
    """

    op: Recurrent
    shown: bool

    @property
    def repeats(self) -> bool:
        """Whether the gradient of an output goes on to the output before it, which masked steps repeat."""
        return self.shown and self.op.has_mask and not self.op.zero_output

    def forwards(self, states: Values, now: Values, weights: Values) -> Values:
        """Returns the states after a step, and those before it again."""
        z, *masks = now
        new = self._step(z, states, weights)
        for m in masks:
            new = [where(m, a, old) for a, old in zip(new, states, strict=True)]
        return [*new, *states]

    def backwards(self, known: Values, now: Values, weights: Values) -> Values:
        """Returns the gradients of states and weights, then that of z.

        Those of the output before a step are among them where masked steps repeat it; those of the weights are added to
        those of later steps.

        Args:
            known: the same for what is after the step. now: z, the mask, and the gradient of the output, as far as they
            are there, then the states before the step.
        """
        states = self.op.states
        gs, carried, sums = known[:states], known[states : states + self.repeats], known[states + self.repeats :]
        (z, *rest), before = now[: len(now) - states], now[len(now) - states :]
        masks = [rest.pop(0)] if self.op.has_mask else []
        of_output = [total([*rest, *carried])] if self.shown else []
        arrived = [total([gs[0], *of_output]), *gs[1:]]
        zero = scalar(0, z)
        for m in masks:
            arrived = [where(m, g, zero) for g in arrived]
        sources = [z, *before, *weights]
        dz, *found = pull_back(self._step(z, before, weights), arrived, sources)
        passed, more = found[:states], found[states:]
        for m in masks:
            passed = [a + where(m, zero, g) for a, g in zip(passed, gs, strict=True)]
            carried = [where(m, zero, g) for g in of_output] if self.repeats else []
        return [*passed, *carried, *(a + b for a, b in zip(sums, more, strict=True)), dz]

    def _step(self, z: Value, states: Values, weights: Values) -> list[Value]:
        return self.op.step_values(z, states, weights, [activations.get(name) for name in self.op.functions])
