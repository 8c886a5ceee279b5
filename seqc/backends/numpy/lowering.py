"""Rewriting a graph into what NumPy runs fast: convolutions as matrix products, less work on large arrays."""

from __future__ import annotations

from collections.abc import Mapping

from seqc.backends.numpy.masks import KeepMask
from seqc.backends.numpy.products import convolve_by_products
from seqc.backends.numpy.residuals import save_residuals
from seqc.backends.numpy.rows import AddRows
from seqc.backends.numpy.target import NUMPY
from seqc.graph.ir import Graph, Value, apply, build, scope
from seqc.graph.rewriting import rewrite, with_sizes
from seqc.ops.arithmetic import Mul, Neg, Sub
from seqc.ops.gather import GatherGrad
from seqc.ops.nonlinear import Relu, ReluGrad
from seqc.ops.pool import MaxPool, MaxPoolGrad
from seqc.ops.random import Dropout, RandomUniform
from seqc.ops.reduce import ReduceMean, ReduceSum, count
from seqc.passes._rewriting import count_uses
from seqc.passes.bias import fuse_bias
from seqc.passes.duplicates import merge_duplicates
from seqc.sure import of_kind


def lower_for_numpy(graph: Graph, sizes: Mapping[str, int]) -> Graph:
    """Returns the graph as NumPy runs it.

    Args:
        sizes: of all named axes but the batch.
    """
    graph = merge_duplicates(with_sizes(graph, sizes), NUMPY)
    graph = fuse_bias(split_means(draw_masks(add_rows(save_residuals(graph)))), NUMPY)
    graph = merge_duplicates(pool_before_relu(graph), NUMPY)
    return merge_duplicates(convolve_by_products(graph), NUMPY)


def split_means(graph: Graph) -> Graph:
    """Returns the graph with means over the first axis as sums divided by a count: sums can be taken in parts.

    Exactly: mean(x) = sum(x) / n.
    """

    def rule(_: Value, v: Value) -> Value | None:
        if not isinstance(v.op, ReduceMean) or 0 not in v.op.axes:
            return None
        with scope(v.scope):
            return apply(ReduceSum(v.op.axes, v.op.keepdims), v.inputs[0]) / count(v.inputs[0], v.op.axes)

    return rewrite(graph, rule)


def draw_masks(graph: Graph) -> Graph:
    """Returns the graph with dropout as a product with a mask, drawn without making numbers of the hashes first.

    Exactly: dropout(x; u) = x * keep(u).
    """

    def rule(_: Value, v: Value) -> Value | None:
        if not isinstance(v.op, Dropout) or not isinstance(v.inputs[1].op, RandomUniform):
            return None
        x, uniform = v.inputs
        mask = build(KeepMask(uniform.op.stream, v.op.rate), uniform.inputs, uniform.scope)  # type: ignore[attr-defined]
        return build(Mul(), (x, mask), v.scope)

    return rewrite(graph, rule)


def add_rows(graph: Graph) -> Graph:
    """Returns the graph with steps of plain gradient descent on tables as changes of the rows that were looked up.

    Exactly: t - scatter(g, i) * r = t with g * -r added to its rows i.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        change = new.inputs[1] if isinstance(new.op, Sub) else None
        if change is None or not isinstance(change.op, Mul) or uses[old.inputs[1]] > 1:
            return None
        for i in (0, 1):
            grad, factor = change.inputs[i], change.inputs[1 - i]
            if isinstance(grad.op, GatherGrad) and factor.type.rank == 0 and uses[old.inputs[1].inputs[i]] == 1:
                rows, ids, _ = grad.inputs
                scaled = build(Mul(), (rows, build(Neg(), (factor,), new.scope)), grad.scope)
                return build(AddRows(), (new.inputs[0], scaled, ids), new.scope)
        return None

    return rewrite(graph, rule)


def pool_before_relu(graph: Graph) -> Graph:
    """Returns the graph with the maximum of windows taken before Relu, on which it has no influence.

    Exactly: max over j of max(0, x[j]) = max(0, max over j of x[j]).

    There are fewer elements after it. Where the largest element of a window is positive, Relu keeps its place; where it
    is not, Relu's gradient is zero whichever element it would go to.
    """

    def rule(_: Value, v: Value) -> Value | None:
        if isinstance(v.op, MaxPool) and isinstance(v.inputs[0].op, Relu):
            return build(Relu(), (build(v.op, v.inputs[0].inputs, v.scope),), v.scope)
        if not (isinstance(v.op, ReluGrad) and isinstance(v.inputs[0].op, MaxPoolGrad)):
            return None
        grad = v.inputs[0]
        shown, _, g = grad.inputs
        op = of_kind(grad.op, MaxPoolGrad)
        if shown is not v.inputs[1] or not isinstance(shown.op, Relu):
            return None
        (before,) = shown.inputs
        pooled = build(MaxPool(op.size, op.strides, op.padding), (before,), v.scope)
        through = build(ReluGrad(), (g, build(Relu(), (pooled,), v.scope)), v.scope)
        return build(op, (before, pooled, through), grad.scope)

    return rewrite(graph, rule)
