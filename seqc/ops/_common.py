"""Checks and small values that the op families share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seqc.dims import Dim
from seqc.errors import DTypeError, ShapeError
from seqc.ir import Op, Shape, Type, Value, as_value, constant


def check_count(op: Op, given: tuple[Any, ...], wanted: int) -> None:
    if len(given) != wanted:
        raise ShapeError(f"{op.name} takes {wanted} operands; got {len(given)}.")


def check_rank(op: Op, x: Type, *ranks: int) -> None:
    if x.rank not in ranks:
        wanted = " or ".join(map(str, ranks))
        raise ShapeError(f"{op.name} needs a rank-{wanted} input; got {x}.")


def check_float(op: Op, *xs: Type) -> None:
    for x in xs:
        if not x.is_float:
            raise DTypeError(f"{op.name} needs floating-point numbers; got {x}. Cast it first: ops.cast(x, 'float32').")


def check_same_dtype(op: Op, *xs: Type) -> None:
    if len({x.dtype for x in xs}) > 1:
        raise DTypeError(f"{op.name} needs operands of one dtype; got {', '.join(map(str, xs))}. Use ops.cast.")


def normalize_axis(op: Op | str, axis: int, rank: int) -> int:
    """Returns a non-negative axis, checked against the rank."""
    if not -rank <= axis < rank:
        name = op if isinstance(op, str) else op.name
        raise ShapeError(f"{name}: axis {axis} does not exist in a tensor of rank {rank}.")
    return axis % rank


def normalize_axes(op: Op | str, axes: int | Iterable[int] | None, rank: int) -> tuple[int, ...]:
    """Returns sorted non-negative axes; None means all."""
    if axes is None:
        return tuple(range(rank))
    listed = (axes,) if isinstance(axes, int) else tuple(axes)
    return tuple(sorted({normalize_axis(op, a, rank) for a in listed}))


def broadcast_shapes(op: Op, *shapes: Shape) -> Shape:
    """Returns the broadcast shape (NumPy's rule); symbolic sizes broadcast only against themselves and 1."""
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for i in range(-rank, 0):
        sizes = {s[i] for s in shapes if len(s) >= -i}
        wide = sizes - {1}
        if len(wide) > 1:
            shown = " and ".join(str(list(s)).replace("'", "") for s in shapes)
            raise ShapeError(f"{op.name} cannot broadcast shapes {shown}: sizes {sorted(map(str, wide))} differ.")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def as_operands(*xs: Any) -> tuple[Value, ...]:
    """Returns operands as values of one dtype, as Keras promotes them: Python numbers follow the tensors they meet,
    integers follow floats, narrow follows wide.
    """
    strong = [as_value(x).dtype for x in xs if not isinstance(x, bool | int | float)]
    target = promote(strong) if strong else None
    if any(isinstance(x, float) for x in xs) and (target is None or not target.startswith(("float", "bfloat"))):
        target = "float32"
    elif target == "bool" and any(isinstance(x, int) and not isinstance(x, bool) for x in xs):
        target = "int32"
    return tuple(_typed(x, target) for x in xs)


def _typed(x: Any, dtype: str | None) -> Value:
    if isinstance(x, bool | int | float):
        return as_value(x, dtype)
    value = as_value(x)
    if dtype is None or value.dtype == dtype:
        return value
    from seqc.ops.elementwise import cast

    return cast(value, dtype)


_WIDTH = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "uint64"]
_FLOATS = ["float16", "float32", "float64"]


def promote(dtypes: Iterable[str]) -> str:
    """Returns the dtype that operands of these dtypes meet in."""
    kinds = set(dtypes)
    floats = [d for d in _FLOATS if d in kinds]
    if floats:
        return floats[-1]
    known = [d for d in _WIDTH if d in kinds]
    return known[-1] if known else kinds.pop()


def scalar(number: float, like: Value) -> Value:
    """Returns a constant scalar of the dtype of `like`."""
    return as_value(number, like.dtype)


__all__ = [
    "as_operands",
    "as_value",
    "broadcast_shapes",
    "check_count",
    "check_float",
    "check_rank",
    "check_same_dtype",
    "constant",
    "normalize_axes",
    "normalize_axis",
    "promote",
    "scalar",
]
