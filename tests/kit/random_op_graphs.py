"""Random chains of operations with weights, as one would not write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from kit.small_graphs import BATCH, Weights, batch_norm, conv, dense, lstm
from seqc import ops
from seqc.graph import ir
from seqc.graph.ir import Graph, Value
from seqc.ops.shape import Reshape


def grow(draw: Callable[[st.SearchStrategy[Any]], Any], x: Value, w: Weights, i: int) -> Value:
    """One more step on a value of rank 2 to 4."""
    rank = x.type.rank
    filters = draw(st.sampled_from([1, 2, 3]))
    steps: dict[str, Callable[[], Value]] = {
        "relu": lambda: ops.relu(x),
        "scale": lambda: x * w(f"scale{i}", int(x.type.shape[-1])) + 0.5,  # type: ignore[arg-type]
        "residual": lambda: x + ops.tanh(x),
        "dense": lambda: dense(w, f"dense{i}", x, filters),
        "norm": lambda: batch_norm(w, f"bn{i}", x),
        "softmax": lambda: ops.softmax(x, -1),
        "keep": lambda: x - ops.mean(x, -1, True),
    }
    if rank > 2:
        kernel, inner = (3, 2)[: rank - 2], tuple(range(1, rank - 1))
        stride = draw(st.sampled_from([1, 2]))
        steps |= {
            "conv": lambda: conv(w, f"conv{i}", x, filters, kernel, [stride] * (rank - 2)),
            "pool": lambda: ops.max_pool(x, (2,) * (rank - 2), padding="same"),
            "average": lambda: ops.average_pool(x, (2,) * (rank - 2), (1,) * (rank - 2), "same"),
            "flatten": lambda: ir.apply(Reshape((0, -1)), x),
            "global": lambda: ops.mean(x, inner),
            "swap": lambda: ops.transpose(x, (0, *reversed(inner), rank - 1)),
            "join": lambda: ops.concatenate([x, ops.flip(x, 1)], draw(st.sampled_from([1, -1]))),
            "pad": lambda: ops.pad(x, ((0, 0), *((1, 0),) * (rank - 2), (0, 0))),
        }
    if rank == 3:
        steps["lstm"] = lambda: lstm(w, f"lstm{i}", x, filters, draw(st.booleans()))
    if rank == 2:
        n = int(x.type.shape[-1])  # type: ignore[arg-type]
        steps["image"] = lambda: ops.reshape(dense(w, f"wide{i}", x, 12), (-1, 3, 2, 2))
        steps["rows"] = lambda: ops.reshape(x, (-1, 1, n))
    return steps[draw(st.sampled_from(sorted(steps)))]()


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of up to six steps with two outputs, one of them from anywhere inside."""
    x = ir.input_value("x", "float32", (BATCH, *draw(st.sampled_from([(4,), (5, 2), (4, 3, 2), (6, 4, 1)]))))
    w, value, seen = Weights(draw(st.integers(0, 9))), x, []
    for i in range(draw(st.integers(1, 6))):
        value = grow(draw, value, w, i)
        seen.append(value)
    return Graph((x,), (value, draw(st.sampled_from(seen))), ("y", "also"))
