"""Gelu between two products, where a target has no operator for it."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np

from seqc.export.activations.forms import Gelu
from seqc.graph.ir import Graph, Value, build, constant
from seqc.graph.rewriting import rewrite
from seqc.graph.target import Target
from seqc.ops.arithmetic import Add, Mul
from seqc.ops.conv import Conv
from seqc.ops.linalg import Gemm, MatMul
from seqc.ops.transcendental import Erf
from seqc.passes._affine import Affine
from seqc.passes._rewriting import count_uses, known_array
from seqc.passes.affine import fold


def spread_gelu(graph: Graph, target: Target) -> Graph:
    """Returns the graph with a Gelu between two products in three operations, where the target has none for it.

    Exactly: with z = a x, x * (erf(a x) + 1) / 2 = z * (erf z + 1) * (1 / 2a), where a is 1 / sqrt(2).

    The product in front gives z at once, and the one behind takes the last factor, which `fold_scale` puts into its
    kernel. Needs constant kernels, nothing else that reads what lies between, and a factor that is a number of the
    dtype, as it is of x / sqrt(2). Elsewhere Gelu is written in five operations, which onnxruntime knows.
    """
    if target.supports("Gelu", "approximate", dtype="float32"):
        return graph
    uses, readers = count_uses(graph), _readers(graph)

    def rule(old: Value, new: Value) -> Value | None:
        if not isinstance(new.op, Gelu) or new.op.approximate or [_is_product(r, old) for r in readers[old]] != [True]:
            return None
        slope = new.op.inner[1]
        last = np.array(0.5 / slope, new.dtype)
        if not math.isclose(last, 0.5 / slope, rel_tol=1e-15):
            return None
        z = fold(old.inputs[0], new.inputs[0], Affine(0, np.array(slope), np.zeros(())), uses, always=False)
        if z is None:
            return None
        normal = build(Add(), (build(Erf(), (z,), old.scope), constant(np.array(1, new.dtype))), old.scope)
        return build(Mul(), (build(Mul(), (z, normal), old.scope), constant(last)), old.scope)

    return rewrite(graph, rule)


def _readers(graph: Graph) -> dict[Value, list[Value | None]]:
    """Returns who reads each value, None for the outputs of the graph."""
    found: dict[Value, list[Value | None]] = defaultdict(list)
    for y in graph.outputs:
        found[y].append(None)
    for value in graph.walk():
        for x in value.inputs:
            found[x].append(value)
    return found


def _is_product(reader: Value | None, x: Value) -> bool:
    """Whether a value is read as the first operand of a product whose kernel `fold_scale` can scale."""
    if reader is None or not isinstance(reader.op, Conv | MatMul | Gemm) or reader.inputs[0] is not x:
        return False
    kernel = known_array(reader.inputs[1])
    return kernel is not None and (isinstance(reader.op, Conv) or kernel.ndim == 2)
