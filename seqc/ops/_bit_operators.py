"""What `&`, `|`, `^` and `~` mean: bits of integers, and truth of all else; of symbols and variables as in Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seqc.graph.ir import HasValue, Value, as_value
from seqc.graph.operators import OPERATORS
from seqc.ops._calls import is_symbol

_Chosen = Callable[..., Value]


def _has_bits(x: Any) -> bool:
    """Tells whether something is an integer, or a tensor of integers."""
    if isinstance(x, int | float):
        return isinstance(x, int) and not isinstance(x, bool)
    return as_value(x).dtype.startswith(("int", "uint"))


def _either(logical: str, of_bits: str) -> _Chosen:
    """Returns the operator that is one function of `seqc.ops` or the other."""

    def operator(*operands: Any) -> Value:
        tensor = next(x for x in operands if isinstance(x, Value | HasValue))
        # Keras's variables take bits for `~` alone.
        alone = isinstance(tensor, HasValue) and len(operands) > 1
        if alone or any(map(is_symbol, operands)) or not all(map(_has_bits, operands)):
            return OPERATORS[logical](*operands)
        from seqc.ops import bitwise  # which programs seldom need

        return getattr(bitwise, of_bits)(*operands)  # type: ignore[no-any-return]

    return operator


OPERATORS.update(
    {
        "and": _either("logical_and", "bitwise_and"),
        "or": _either("logical_or", "bitwise_or"),
        "xor": _either("logical_xor", "bitwise_xor"),
        "not": _either("logical_not", "bitwise_not"),
    }
)
