"""Questions about tensors and element types."""

from __future__ import annotations

from typing import Any

from seqc import tree
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.graph.ir import Input, Value, walk
from seqc.layers.calls import is_symbolic
from seqc.ops._common import dtype_name


def is_keras_tensor(x: Any) -> bool:
    """Tells whether x is a symbol, of which functional models are made."""
    return isinstance(x, Value) and is_symbolic(x)


class _Symbols(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return is_keras_tensor(instance)


class KerasTensor(metaclass=_Symbols):
    """The class of symbols, for `isinstance`; made of a shape, it gives the symbol of an input.

    Args:
        shape: with the axis of the batch. dtype: the element type. name: of the input.
        sparse, ragged: refused where they are not False. record_history: makes no difference.
    """

    def __new__(
        cls,
        shape: Any,
        dtype: Any = "float32",
        sparse: bool = False,
        ragged: bool = False,
        record_history: bool = True,
        name: str | None = None,
    ) -> Any:
        from seqc.layers.core import Input

        if sparse or ragged:
            raise ConfigError("A KerasTensor is neither sparse nor ragged here: all tensors are dense.")
        return Input(batch_shape=tuple(shape), dtype=dtype, name=name)


def standardize_dtype(dtype: Any) -> str:
    """Returns the name of an element type; None means float32, Python's int int32.

    Raises:
        DTypeError: there is no such type.
    """
    if dtype is None:
        return "float32"
    return {"int": "int32", "float": "float32"}.get(str(dtype)) or dtype_name(dtype)


def get_source_inputs(tensor: Any) -> list[Value]:
    """Returns the inputs that a symbol is made of, or those that some are; an input is made of itself.

    Raises:
        ArgumentTypeError: it is no symbol.
    """
    ends = tree.flatten(tensor)
    if not ends or not all(map(is_keras_tensor, ends)):
        raise ArgumentTypeError(
            f"get_source_inputs takes what layers give when they are called on Input; got {tensor!r}."
        )
    return [value for value in walk(ends) if isinstance(value.op, Input)]
