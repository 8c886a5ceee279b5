"""Sizes of tensors as TensorFlow has them in files: a tensor of numbers, of which parts are taken and put together.

Here they are tuples of numbers and of values, of which is known what they are: so that a reshape to such sizes has a
shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import SavingError
from seqc.graph.ir import Value


class Sizes(tuple[Any, ...]):
    """The sizes of the axes of a tensor, or some of them."""

    def as_tensor(self) -> Value:
        """Returns them as a tensor of one axis."""
        return ops.stack(list(self))


def _shape(x: Any, dtype: Any = None) -> Any:
    return Sizes(ops.shape(x))


def _get_item(x: Any, key: Any) -> Any:
    (one,) = key if isinstance(key, list | tuple) and len(key) == 1 else (key,)
    if not isinstance(one, int | slice):
        raise SavingError(f"Sizes of a tensor are indexed by {key!r} in the file; needed is a number or a slice.")
    return x[one] if isinstance(one, int) else Sizes(x[one])


def _unstack(x: Any, num: Any = None, axis: Any = 0) -> list[Any]:
    return list(x)


def _cast(x: Any, dtype: Any) -> Any:
    return x if np.issubdtype(np.dtype(dtype), np.integer) else ops.cast(_tensor(x), dtype)


def _concatenate(xs: Any, axis: Any = 0) -> Any:
    return Sizes(size for part in xs for size in part)


def _prod(x: Any, axis: Any = None, keepdims: Any = False) -> Any:
    total: Any = 1
    for size in x:
        total = total * size
    return total


def _take(x: Any, indices: Any, axis: Any = 0) -> Any:
    return x[indices] if isinstance(indices, int) else Sizes(x[i] for i in indices)


# What is done with sizes as with numbers; anything else takes them as a tensor, or as the shape of a result.
_ON_SIZES: dict[str, Callable[..., Any]] = {
    "get_item": _get_item,
    "unstack": _unstack,
    "cast": _cast,
    "prod": _prod,
    "take": _take,
    "convert_to_tensor": lambda x: x,
    "stop_gradient": lambda x: x,
}

# What takes sizes to say how large a result is.
_SHAPED = ("arange", "broadcast_to", "full", "ones", "reshape", "resize", "tile", "zeros")


def on_sizes(function: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of `seqc.ops` that takes and gives sizes too, as TensorFlow's does.

    Args:
        function: its name. compute: the function.
    """

    def call(*positional: Any, **named: Any) -> Any:
        if function == "shape":
            return _shape(*positional, **named)
        first = positional[0] if positional else None
        if isinstance(first, Sizes | int) and function in _ON_SIZES:
            return _ON_SIZES[function](*positional, **named)
        if isinstance(first, list | tuple) and function in ("stack", "concatenate"):
            if function == "stack" and all(map(_is_size, first)):
                return Sizes(first)
            if function == "concatenate" and any(isinstance(x, Sizes) for x in first):
                return _concatenate([x if isinstance(x, list | tuple) else Sizes((x,)) for x in first])
        if function not in _SHAPED:
            positional = tuple(_tensor(x) if isinstance(x, Sizes) else x for x in positional)
            named = {key: _tensor(x) if isinstance(x, Sizes) else x for key, x in named.items()}
        return compute(*positional, **named)

    return call


def _is_size(x: Any) -> bool:
    return isinstance(x, int) or (isinstance(x, Value) and not x.shape and x.type.size is not None)


def _tensor(sizes: Sequence[Any] | int) -> Any:
    return sizes.as_tensor() if isinstance(sizes, Sizes) else ops.convert_to_tensor(sizes, "int32")
