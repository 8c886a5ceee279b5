"""Recurrent operations that leave their gradients what they have computed inside: residuals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from seqc.graph import dims
from seqc.graph.batch import batch_axis
from seqc.graph.ir import Array, BatchRule, Graph, Op, Sizes, Type, Value, build, items
from seqc.graph.rewriting import rewrite
from seqc.ops._recurrent import Recurrent
from seqc.ops._recurrent_grad import RecurrentGrad
from seqc.sure import of_kind

T = TypeVar("T")


@dataclass(frozen=True, repr=False, eq=False)
class WithResiduals(Op):
    """A recurrent operation whose results are followed by what its gradient reads; see `Recurrent.run`."""

    sequential = True
    forward: Recurrent

    @property
    def name(self) -> str:
        return self.forward.name

    def infer(self, *types: Type) -> tuple[Type, ...]:
        x, _, r = types[:3]
        (batch, time, features), (units,) = x.shape, dims.known(r.shape[:1])
        fed = x.with_shape((time, batch, features + units + 1))
        kept = x.with_shape((time, self.forward.parts, batch, units))
        return *self.forward.infer(*types), fed, kept

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return self.forward.work(inputs, outputs)

    def batch_rule(self, y: Value) -> BatchRule:
        # The samples of what is left lie along other axes.
        return "parallel" if batch_axis(y.inputs[0].type) == 0 else "whole"

    def eval(self, *arrays: Array) -> Any:
        return self.forward.run(*arrays)


@dataclass(frozen=True, repr=False, eq=False)
class GradOfResiduals(Op):
    """The gradients of a recurrent operation from its residuals.

    Operands: kernel, recurrent kernel, the mask if there is one, the residuals, and the gradients of the results as far
    as there are any.
    """

    sequential = True
    gradient: RecurrentGrad

    @property
    def name(self) -> str:
        return self.gradient.name

    def unpack(self, operands: Sequence[T]) -> tuple[T, T, T | None, T, T, list[T | None]]:
        """Returns kernel, recurrent kernel, mask, residuals, and the gradients of all results; None for absent ones."""
        (w, r, *rest), upstream = self.gradient.unpack(operands)
        mask = rest.pop(0) if self.gradient.forward.has_mask else None
        fed, kept = rest
        return w, r, mask, fed, kept, upstream

    def infer(self, *types: Type) -> tuple[Type, ...]:
        op = self.gradient.forward
        w, r, _, fed, kept, _ = self.unpack(types)
        time, _, batch, units = kept.shape
        bias = r.with_shape(op.bias_shape(*dims.known((units,))))
        states = [kept.with_shape((batch, units))] * (op.states * op.has_state)
        return fed.with_shape((batch, time, w.shape[0])), w, r, bias, *states

    def work(self, inputs: Sequence[Sizes], outputs: Sequence[Sizes]) -> int:
        return 2 * self.gradient.forward.work_of(outputs[0], inputs[1][0])

    def batch_rule(self, y: Value) -> tuple[BatchRule, ...]:
        return self.gradient.batch_rule(y)

    def eval(self, *arrays: Array) -> Any:
        return self.gradient.run_back(*self.unpack(arrays))


def save_residuals(graph: Graph) -> Graph:
    """Returns the graph with recurrent operations that have gradients leaving these what they have computed inside.

    Exactly: grad(x, f, g) = grad'(r, g), where r is what f computes of x on its way.
    """
    learning = {_forward_of(v) for v in graph.walk() if isinstance(v.op, RecurrentGrad)}
    if not learning:
        return graph
    runs: dict[tuple[Op, tuple[Value, ...]], Value] = {}

    def run(op: Recurrent, operands: tuple[Value, ...], scope: str) -> Value:
        if (op, operands) not in runs:
            runs[op, operands] = build(WithResiduals(op), operands, scope)
        return runs[op, operands]

    def rule(old: Value, new: Value) -> Value | None:
        if isinstance(new.op, Recurrent) and (new.op, old.inputs) in learning:
            return run(new.op, new.inputs, new.scope)
        if not isinstance(new.op, RecurrentGrad):
            return None
        op, operands = _forward_of(new)
        _, w, r, _, _, mask = op.unpack(operands)
        masks = () if mask is None else (mask,)
        residuals = items(run(op, operands, new.scope))[-2:]
        upstream = new.inputs[len(operands) :]
        return build(GradOfResiduals(new.op), (w, r, *masks, *residuals, *upstream), new.scope)

    return rewrite(graph, rule)


def _forward_of(v: Value) -> tuple[Recurrent, tuple[Value, ...]]:
    """Returns the operation of which a value holds the gradients, and what it is applied to."""
    op = of_kind(v.op, RecurrentGrad)
    return op.forward, tuple(op.unpack(v.inputs)[0])
