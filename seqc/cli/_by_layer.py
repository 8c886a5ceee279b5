"""Nodes of an ONNX file by the layers they were made from, which files of seqc say in the names of nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seqc.cli._onnx import Node


@dataclass
class LayerCost:
    """What one layer costs for one sample.

    Attributes:
        name: of the layer; "" for nodes that name none. ops: how many nodes of each type.
        parameters: numbers in weights. weight_bytes, result_bytes: of the weights, and of all results of its nodes.
        flops, result_bytes: None where a size is not known. seconds: measured, None where nothing was.
    """

    name: str
    ops: Counter[str] = field(default_factory=Counter)
    parameters: int = 0
    flops: int | None = 0
    weight_bytes: int = 0
    result_bytes: int | None = 0
    seconds: float | None = None

    @property
    def nodes(self) -> str:
        """Its nodes, as text."""
        return ", ".join(kind if n == 1 else f"{n} {kind}" for kind, n in self.ops.items())


def layer_of(node: str) -> str:
    """Returns the layer in the name of a node, "" where it names none: "conv_1/Conv" is of "conv_1"."""
    return node.lstrip("/").partition("/")[0] if "/" in node.lstrip("/") else ""


def costs_by_layer(
    nodes: Sequence[Node], seconds: Mapping[str, float] | None = None, makers: Mapping[str, str] | None = None
) -> list[LayerCost]:
    """Returns the cost of each layer, in the order in which they first appear.

    Args:
        nodes: of the file. seconds: by the names of nodes or tensors, where they were measured.
        makers: the names of nodes by those of the tensors that they make.
    """
    found: dict[str, LayerCost] = {}
    for node in nodes:
        cost = found.setdefault(layer_of(node.name), LayerCost(layer_of(node.name)))
        cost.ops[node.op] += 1
        cost.parameters += node.parameters
        cost.flops = _sum(cost.flops, node.flops)
        cost.weight_bytes += node.weight_bytes
        cost.result_bytes = _sum(cost.result_bytes, node.result_bytes)
    for name, spent in (seconds or {}).items():
        layer = layer_of((makers or {}).get(name, name))
        cost = found.setdefault(layer, LayerCost(layer))
        cost.seconds = (cost.seconds or 0.0) + spent
    return list(found.values())


def _sum(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more
