"""On which of onnxruntime's providers each operator of a session runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

CPU = "CPUExecutionProvider"
# onnxruntime computes shapes on the CPU on purpose, and cannot say that it was for a shape. What multiplies matrices,
# convolves, recurs, normalizes or pools is not among these.
_SHAPE_WORK = frozenset(
    re.findall(
        r"\w+",
        """
        Abs Add And Cast Ceil Compress Concat Constant ConstantOfShape Div Equal Expand Flatten Floor
        Gather GatherElements GatherND Greater GreaterOrEqual Identity If Less LessOrEqual Loop Max Min
        Mod Mul Neg NonZero Not Or Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape ScatterElements
        ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceInsert SequenceLength Shape Sign
        Size Slice Split Squeeze Sub Tile TopK Transpose Unsqueeze Where
        """,
    )
)


@dataclass(frozen=True)
class PlacedNode:
    """An operator as onnxruntime runs it, after its own optimizations.

    name: the node's, often empty. operator: "Conv", with its domain in front where it is not ONNX's own.
    provider: "CPUExecutionProvider", "CUDAExecutionProvider".
    """

    name: str
    operator: str
    provider: str


def read_placement(session: Any) -> tuple[PlacedNode, ...]:
    """Every node of a session with its provider; empty for releases of onnxruntime that do not tell."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return ()
    return tuple(
        PlacedNode(node.name, f"{node.domain}:{node.op_type}" if node.domain else node.op_type, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    )


def left_on_cpu(placement: tuple[PlacedNode, ...]) -> list[str]:
    """The operators on the CPU that do more than follow shapes, each once."""
    return sorted({node.operator for node in placement if node.provider == CPU and node.operator not in _SHAPE_WORK})
