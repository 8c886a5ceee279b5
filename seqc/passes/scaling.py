"""Scaling the kernel instead of the image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqc.graph.ir import Array, Constant, Graph, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add
from seqc.ops.conv import Conv
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.normalization import BatchNormalization
from seqc.passes._affine import NOTHING, Affine, affine_step, after
from seqc.passes._rewriting import count_uses, known_array


def fold_scale(graph: Graph, _: Target) -> Graph:
    """Returns the graph with constants that multiply the input of a Conv, MatMul or Gemm put into its kernel.

    Any chain of arithmetic with constants becomes one Add of what has to be added before the scale; that stays, because
    zeros put around an image come after it, and because in a bias it could cancel large numbers. In front of rescaled
    and normalized images that leaves one operation or none.
    """
    uses = count_uses(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Conv | MatMul | Gemm):
            return None
        kernel = known_array(new.inputs[1])
        if kernel is None or kernel.ndim < 2 or (not isinstance(new.op, Conv) and kernel.ndim > 2):
            return None
        source, chain = _chain(old.inputs[0], new.inputs[0], uses)
        if np.all(chain.factor == 1) and chain.count <= int(np.any(chain.offset)):
            return None
        if not np.all(np.isfinite(chain.factor) & (chain.factor != 0)):
            return None
        return _folded(new, kernel, source, chain)

    return rewrite(graph, rule)


def _chain(old: Value, new: Value, uses: Mapping[Value, int]) -> tuple[Value, Affine]:
    """Returns the arithmetic that ends in a value, and where it begins: at what something else uses, or is none."""
    whole = NOTHING
    while uses[old] == 1 and (step := affine_step(new)) is not None and not isinstance(new.op, BatchNormalization):
        whole = after(step, whole)
        old, new = old.inputs[step.at], new.inputs[step.at]
    return new, whole


def _folded(product: Value, kernel: Array, source: Value, chain: Affine) -> Value | None:
    groups = product.op.groups if isinstance(product.op, Conv) else 1
    depth, filters = kernel.shape[-2:]
    each = np.broadcast_to(chain.factor, (depth * groups,))
    # Which channel an element of the kernel meets: those of a group belong to its filters.
    met = (np.arange(filters) // (filters // groups)) * depth + np.arange(depth)[:, None]
    dtype = product.inputs[1].type.dtype
    scaled = (kernel * each[met]).astype(dtype)
    shift = (chain.offset / chain.factor).astype(dtype)
    if not np.all(np.isfinite(scaled)) or not np.all(np.isfinite(shift)):
        return None
    label = product.inputs[1].op.label if isinstance(product.inputs[1].op, Constant) else ""
    if np.any(shift):
        source = build(Add(), (source, constant(shift)), product.inputs[0].scope)
    return build(product.op, (source, constant(scaled, label), *product.inputs[2:]), product.scope)
