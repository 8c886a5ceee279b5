"""What a graph is prepared for: the operators there are, and the order of axes that they work in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

DataFormat = Literal["channels_first", "channels_last"]
# All element types of tensors in seqc.
DTYPES = frozenset(
    (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "bfloat16", "float32", "float64",
    )
)  # fmt: skip


class Supports(Protocol):
    """Tells whether a target has an operator."""

    def __call__(self, op_type: str, *attributes: str, dtype: str | None = None) -> bool:
        """Answers for an operator by name, with all of some attributes and for operands of one element type."""
        ...


@dataclass(frozen=True, eq=False)
class Target:
    """What passes are told of where a graph will run.

    Attributes:
        opset: version of the operators; 0 where they have none.
        layout: where images have their channels there. In seqc they come last until `plan_layout` has been.
        dtypes: the element types that tensors may have.
        supports: whether an operator is there. What an operation without one means is said in simpler ones.
    """

    opset: int
    layout: DataFormat
    dtypes: frozenset[str]
    supports: Supports
