"""Python's operators on tensors, which mean the functions of `seqc.ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.errors import TraceError

if TYPE_CHECKING:
    from seqc.graph.ir import Value

# Filled by the modules of seqc.ops, which lie above this one.
OPERATORS: dict[str, Callable[..., Value]] = {}

# Where NumPy's name of an operator is another one.
_NAMES = {
    "remainder": "mod",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "invert": "not",
}


class Operators:
    """Gives a class the operators; its instances must be accepted by the functions of `seqc.ops`."""

    __slots__ = ()

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """An operator with an array on its left makes a value; NumPy's other functions need the numbers.

        Raises:
            TraceError: the numbers are not known while a graph is built.
        """
        operator = OPERATORS.get(_NAMES.get(function.__name__, function.__name__))
        if operator is not None and method == "__call__" and not options:
            return operator(*inputs)
        try:
            arrays = [x.__array__() if isinstance(x, Operators) else x for x in inputs]  # type: ignore[attr-defined]
        except TraceError as error:
            raise TraceError(f"numpy.{function.__name__} of a tensor: {error}") from None
        return getattr(function, method)(*arrays, **options)

    def __add__(self, other: Any) -> Value:
        return OPERATORS["add"](self, other)

    def __radd__(self, other: Any) -> Value:
        return OPERATORS["add"](other, self)

    def __sub__(self, other: Any) -> Value:
        return OPERATORS["subtract"](self, other)

    def __rsub__(self, other: Any) -> Value:
        return OPERATORS["subtract"](other, self)

    def __mul__(self, other: Any) -> Value:
        return OPERATORS["multiply"](self, other)

    def __rmul__(self, other: Any) -> Value:
        return OPERATORS["multiply"](other, self)

    def __truediv__(self, other: Any) -> Value:
        return OPERATORS["divide"](self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return OPERATORS["divide"](other, self)

    def __floordiv__(self, other: Any) -> Value:
        return OPERATORS["floor_divide"](self, other)

    def __rfloordiv__(self, other: Any) -> Value:
        return OPERATORS["floor_divide"](other, self)

    def __mod__(self, other: Any) -> Value:
        return OPERATORS["mod"](self, other)

    def __rmod__(self, other: Any) -> Value:
        return OPERATORS["mod"](other, self)

    def __pow__(self, other: Any) -> Value:
        return OPERATORS["power"](self, other)

    def __rpow__(self, other: Any) -> Value:
        return OPERATORS["power"](other, self)

    def __matmul__(self, other: Any) -> Value:
        return OPERATORS["matmul"](self, other)

    def __rmatmul__(self, other: Any) -> Value:
        return OPERATORS["matmul"](other, self)

    def __neg__(self) -> Value:
        return OPERATORS["negative"](self)

    def __abs__(self) -> Value:
        return OPERATORS["absolute"](self)

    def __lt__(self, other: Any) -> Value:
        return OPERATORS["less"](self, other)

    def __le__(self, other: Any) -> Value:
        return OPERATORS["less_equal"](self, other)

    def __gt__(self, other: Any) -> Value:
        return OPERATORS["greater"](self, other)

    def __ge__(self, other: Any) -> Value:
        return OPERATORS["greater_equal"](self, other)

    def __invert__(self) -> Value:
        return OPERATORS["not"](self)

    def __and__(self, other: Any) -> Value:
        return OPERATORS["and"](self, other)

    def __rand__(self, other: Any) -> Value:
        return OPERATORS["and"](other, self)

    def __or__(self, other: Any) -> Value:
        return OPERATORS["or"](self, other)

    def __ror__(self, other: Any) -> Value:
        return OPERATORS["or"](other, self)

    def __xor__(self, other: Any) -> Value:
        return OPERATORS["xor"](self, other)

    def __rxor__(self, other: Any) -> Value:
        return OPERATORS["xor"](other, self)

    def __getitem__(self, key: Any) -> Value:
        return OPERATORS["get_item"](self, key)

    def __eq__(self, other: object) -> Value:  # type: ignore[override]
        """Compares element by element, as Keras does; `is` and dictionaries tell tensors themselves apart."""
        return OPERATORS["equal"](self, other) if isinstance(other, _COMPARABLE) else NotImplemented

    def __ne__(self, other: object) -> Value:  # type: ignore[override]
        return OPERATORS["not_equal"](self, other) if isinstance(other, _COMPARABLE) else NotImplemented

    __hash__ = object.__hash__


# What `==` compares with element by element; anything else, None and names for instance, is simply not equal.
_COMPARABLE = (Operators, np.ndarray, np.generic, bool, int, float, list)
