"""Projections of one tensor, as attention makes queries, keys and values, by one product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from seqc.graph.ir import Array, Constant, Graph, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add, Div, Mul
from seqc.ops.linalg import MatMul
from seqc.ops.shape import Reshape, Transpose
from seqc.ops.slicing import Slice
from seqc.passes._rewriting import count_uses, known_array, shared_name
from seqc.passes._views import view
from seqc.sure import of_kind


def pack_projections(graph: Graph, _: Target) -> Graph:
    """Returns the graph with all that is projected from one tensor into heads projected at once, and then cut apart.

    Exactly: x @ [k1 k2] = [x @ k1, x @ k2], and (x @ k + b) * f = x @ (k * f) + b * f.

    transpose(reshape(x @ w) * s + b), for several w, s and b, are slices of transpose(reshape(x @ W + B)), where W has
    the columns of each w * s and B each b, one after the other: a large product is faster than some small ones, and so
    is one move. A projection that stands alone has its factors put into its kernel. What something else reads on the
    way to the heads stays as it is.
    """
    uses = count_uses(graph)
    groups: dict[object, list[_Projection]] = {}
    for value in graph.walk():
        if (found := _projection(value, uses)) is not None:
            groups.setdefault((found.source, found.features, len(found.perm)), []).append(found)
    members = {p.result: group for group in groups.values() if len(group) > 1 or group[0].scaled for p in group}
    packed: dict[Value, Value] = {}

    def rule(old: Value, new: Value) -> Value | None:
        if old not in members:
            return None
        group = members[old]
        if group[0].result not in packed:
            packed[group[0].result] = _packed(group, _source(new))
        return _part(packed[group[0].result], group, old)

    return rewrite(graph, rule)


@dataclass(frozen=True, eq=False)
class _Projection:
    """transpose(reshape(source @ kernel + bias, (..., heads, features)), perm).

    Attributes:
        result: the whole. source: what is projected. kernel: in double precision, with all factors in it. bias: the
        same, or None. labels: names of the weights. scaled: whether there were factors.
    """

    result: Value
    source: Value
    kernel: Array
    bias: Array | None
    labels: tuple[str, str]
    scaled: bool

    @property
    def perm(self) -> tuple[int, ...]:
        return of_kind(self.result.op, Transpose).perm

    @property
    def heads(self) -> int:
        return int(self.kernel.shape[1]) // self.features

    @property
    def features(self) -> int:
        return of_kind(self.result.inputs[0].type.shape[-1], int)


def _projection(result: Value, uses: Mapping[Value, int]) -> _Projection | None:
    """Returns how a value is made by projecting another into heads, or None where it is made in another way."""
    if not isinstance(result.op, Transpose) or result.type.rank < 4 or not result.type.is_float:
        return None
    x = result.inputs[0]
    shape: list[int] = [n for n in x.type.shape[-2:] if isinstance(n, int)]
    if len(shape) != 2:
        return None
    factor, bias, label, scaled = np.ones(1), None, "", False
    while uses[x] == 1 and not isinstance(x.op, MatMul):
        if isinstance(x.op, Reshape):
            if len(shape) == 1 or x.inputs[0].type.shape[:-1] != x.type.shape[:-2]:
                return None
            x, shape = x.inputs[0], [shape[0] * shape[1]]
            continue
        at, c = _constant_operand(x, shape)
        if c is None:
            return None
        if isinstance(x.op, Add):
            bias, label = (0 if bias is None else bias) + c * factor, label or _label(x.inputs[1 - at])
        else:
            factor, scaled = factor / c if isinstance(x.op, Div) else factor * c, True
        x = x.inputs[at]
    kernel = known_array(x.inputs[1]) if isinstance(x.op, MatMul) and uses[x] == 1 else None
    if kernel is None or kernel.ndim != 2 or len(shape) == 2 or not np.all(np.isfinite(factor)):
        return None
    wide = kernel.astype(np.float64) * factor
    return _Projection(result, x.inputs[0], wide, bias, (_label(x.inputs[1]), label), scaled)


def _constant_operand(x: Value, shape: Sequence[int]) -> tuple[int, Array | None]:
    """Returns which operand of arithmetic is not constant, and the one that is as a vector over the kernel's columns.

    Args:
        shape: that of the columns there: heads and features, or both in one axis.
    """
    for at in (0, 1) if isinstance(x.op, Add | Mul) else (0,) if isinstance(x.op, Div) else ():
        c = known_array(x.inputs[1 - at])
        if c is None or x.inputs[at].type != x.type or any(n != 1 for n in c.shape[: -len(shape)]):
            continue
        with np.errstate(all="ignore"):
            own = c.astype(np.float64).reshape(c.shape[-len(shape) :])
            return at, np.broadcast_to(own, shape).reshape(-1)
    return 0, None


def _label(weight: Value) -> str:
    return weight.op.label if isinstance(weight.op, Constant) else ""


def _source(result: Value) -> Value:
    """Returns what a projection's product reads."""
    x = result.inputs[0]
    while not isinstance(x.op, MatMul):
        x = next(operand for operand in x.inputs if known_array(operand) is None)
    return x.inputs[0]


def _packed(group: Sequence[_Projection], source: Value) -> Value:
    """Returns the results of a group side by side along the axis of their heads, moved as most of them are."""
    dtype = group[0].result.type.dtype
    scope = shared_name(*(p.result.scope for p in group))
    kernel = np.concatenate([p.kernel for p in group], axis=1).astype(dtype)
    y = build(MatMul(), (source, constant(kernel, shared_name(*(p.labels[0] for p in group)))), scope)
    if any(p.bias is not None for p in group):
        parts = [np.zeros(p.kernel.shape[1]) if p.bias is None else p.bias for p in group]
        label = shared_name(*(p.labels[1] for p in group))
        y = build(Add(), (y, constant(np.concatenate(parts).astype(dtype), label)), scope)
    heads = view(y, (*y.type.shape[:-1], sum(p.heads for p in group), group[0].features))
    return build(Transpose(_usual_move(group)), (heads,), scope)


def _usual_move(group: Sequence[_Projection]) -> tuple[int, ...]:
    return Counter(p.perm for p in group).most_common(1)[0][0]


def _part(packed: Value, group: Sequence[_Projection], result: Value) -> Value:
    """Returns one result of a group out of what `_packed` gives."""
    at = next(i for i, p in enumerate(group) if p.result is result)
    perm, usual = group[at].perm, _usual_move(group)
    part = packed
    if len(group) > 1:
        start = sum(p.heads for p in group[:at])
        cut = Slice((usual.index(len(usual) - 2),), (start,), (start + group[at].heads,), (1,))
        part = build(cut, (packed,), result.scope)
    if perm == usual:
        return part
    return build(Transpose(tuple(usual.index(a) for a in perm)), (part,), result.scope)
