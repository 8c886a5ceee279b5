"""What a graph is prepared for: the operators there are, and the order of axes that they work in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

from seqc.errors import ConfigError
from seqc.graph.ir import Op, Value
from seqc.graph.layout import LayoutRule

# How an operation works on operands in other layouts; called with its value and theirs, as `Op.layout_rule` is.
Form = Callable[..., "LayoutRule | None"]
DataFormat = Literal["channels_first", "channels_last"]
# All element types of tensors in seqc.
DTYPES = frozenset(
    (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "bfloat16", "float32", "float64", "string",
    )
)  # fmt: skip


class Supports(Protocol):
    """Tells whether a target has an operator."""

    def __call__(self, op_type: str, *attributes: str, dtype: str | None = None) -> bool:
        """Answers for an operator by name, with all of some attributes and for numbers of an element type."""
        ...


@dataclass(frozen=True, eq=False)
class Target:
    """What passes are told of where a graph will run.

    Attributes:
        opset: version of the operators; 0 where they have none.
        layout: where images have their channels there. In seqc they come last until `plan_layout` has been.
        dtypes: the element types that tensors may have.
        supports: whether an operator is there. What an operation without one means is said in simpler ones.
        forms: layout rules of the target's, in place of an operation's own, by its class: where the target wants an
            order of axes, and where the operation becomes one that only this target has.
        stops_at_lengths: whether recurrent operators stop where a sequence ends that is shorter than others, and give
        the states there. Else they run on, and what they give last has seen padding.
    """

    opset: int
    layout: DataFormat
    dtypes: frozenset[str]
    supports: Supports
    forms: Mapping[type[Op], Form] = field(default_factory=dict)
    stops_at_lengths: bool = True

    def __post_init__(self) -> None:
        if self.layout not in get_args(DataFormat):
            raise ConfigError(f"The layout of a target is one of {get_args(DataFormat)}; got {self.layout!r}.")

    def layout_rule(self, y: Value, *layouts: Any) -> LayoutRule | None:
        """Returns how the operation of `y` works here on re-ordered operands; None where it needs them as they are."""
        form = self.forms.get(type(y.op))
        return y.op.layout_rule(y, *layouts) if form is None else form(y, *layouts)
