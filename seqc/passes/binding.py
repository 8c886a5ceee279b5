"""Turning graph inputs into constants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seqc.errors import ShapeError
from seqc.graph.ir import Array, Graph, Input, Value, constant
from seqc.graph.rewriting import rewrite


def bind_constants(graph: Graph, arrays: Mapping[Value, Array], borrowed: bool = False) -> Graph:
    """Returns the graph with some inputs fixed to arrays; each constant keeps its input's name.

    Args:
        graph: the graph. arrays: the array for each input value to fix; the dtype and shape must be the input's.
        borrowed: whether the graph may use the arrays themselves: nobody writes them as long as it is used.
    """
    fixed: dict[Value, Value] = {}
    for value, array in arrays.items():
        given = np.asarray(array)
        label = value.op.label if isinstance(value.op, Input) else ""
        if given.dtype.name != value.type.dtype or given.shape != value.type.shape:
            raise ShapeError(f"'{label}' is {value.type}; got {given.dtype.name}{list(given.shape)}.")
        fixed[value] = constant(given, label, borrowed)
    bound = rewrite(graph, lambda old, _: fixed.get(old))
    return Graph(tuple(x for x in graph.inputs if x not in fixed), bound.outputs, bound.output_names)
