"""Checks and small values that the op families share."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DTypeError, ShapeError
from seqc.graph import dims
from seqc.graph.dims import Dim, Sym
from seqc.graph.element_types import FLOATS, HALVES, need_bfloat16
from seqc.graph.equal_sizes import SizesDiffer
from seqc.graph.ir import HasValue, Op, Shape, Type, Value, as_value, constant
from seqc.graph.strings import STRING, as_strings, is_text


def fits_attribute(number: float, dtype: str) -> bool:
    """Tells whether an attribute of an ONNX operator, which is in single precision, says a number well enough.

    Args:
        number: the attribute. dtype: the element type that the operator computes in.
    """
    return dtype != "float64" or float(np.float32(number)) == number


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


def check_number(op: Op, *xs: Type) -> None:
    for x in xs:
        if x.dtype == "bool":
            raise DTypeError(f"{op.name} needs numbers; got {x}. Cast it first: ops.cast(x, 'int32').")


def check_same_dtype(op: Op, *xs: Type) -> None:
    if len({x.dtype for x in xs}) > 1:
        raise DTypeError(f"{op.name} needs operands of one dtype; got {', '.join(map(str, xs))}. Use ops.cast.")


def check_axes(op: Op, axes: Iterable[int], x: Type) -> None:
    """Checks axes of an operation, which are counted from the first."""
    for axis in axes:
        if not 0 <= axis < x.rank:
            raise ShapeError(f"{op.name}: axis {axis} does not exist in {x}, whose rank is {x.rank}.")


def normalize_axis(op: Op | str, axis: int, rank: int) -> int:
    """Returns a non-negative axis, checked against the rank."""
    if not -rank <= axis < rank:
        name = op if isinstance(op, str) else op.name
        raise ShapeError(f"{name}: axis {axis} does not exist in a tensor of rank {rank}.")
    return int(axis) % rank


def normalize_axes(op: Op | str, axes: int | Iterable[int] | None, rank: int) -> tuple[int, ...]:
    """Returns sorted non-negative axes; None means all."""
    if axes is None:
        return tuple(range(rank))
    return tuple(sorted({normalize_axis(op, a, rank) for a in listed_axes(axes)}))


def listed_axes(axes: int | Iterable[int]) -> tuple[int, ...]:
    """Returns one axis or several as several; NumPy's integers count as Python's do."""
    return (int(axes),) if isinstance(axes, int | np.integer) else tuple(int(a) for a in axes)


def broadcast_shapes(op: Op, *shapes: Shape) -> Shape:
    """Returns the broadcast shape (NumPy's rule); symbolic sizes broadcast only against themselves and 1."""
    rank = max(map(len, shapes))
    result: list[Dim] = []
    for i in range(-rank, 0):
        sizes = {s[i] for s in shapes if len(s) >= -i}
        wide = sizes - {1}
        if len(wide) > 1:
            shown = " and ".join(str(list(s)).replace("'", "") for s in shapes)
            listed = sorted(wide, key=str)
            names = {name for size in wide for name in dims.names(size)}
            # Somebody wrote the number of samples that a batch is to have, most of the time.
            hint = f" The size '{min(names)}' may be any; ops.shape(x) gives it." if names else ""
            raise SizesDiffer(
                f"{op.name} cannot broadcast shapes {shown}: sizes {' and '.join(map(str, listed))} differ.{hint}",
                (listed[0], listed[1]),
            )
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def check_unused(who: str, **given: Any) -> None:
    """Raises ConfigError where an argument of Keras's that says nothing here is set."""
    for name, value in given.items():
        if value:
            raise ConfigError(
                f"{who}({name}={value!r}): tensors of seqc are dense and lie in one process. Leave `{name}` out."
            )


def as_tensor(x: Any) -> Value:
    """Returns numbers or texts as a value, for functions that move them and compute nothing."""
    if is_text(x):
        with suppress(ValueError):  # texts that are no array are refused like other things that are none
            return constant(as_strings(x))
    return as_value(x)


def as_operands(*xs: Any, held: bool = False) -> tuple[Value, ...]:
    """Returns operands as values of one dtype, as Keras promotes them.

    Python numbers follow the tensors they meet, integers follow floats, narrow follows wide. With `held`, integers
    that meet a number beyond their dtype become wide enough for it, as they must where numbers are compared.

    A NumPy array that meets a tensor counts as 32 bits wide, so that `x + np.array([0.5, 1.0])` keeps a float32 tensor.
    """
    meets_tensor = any(isinstance(x, Value | HasValue) for x in xs)
    values = [x if isinstance(x, bool | int | float) else as_value(x) for x in xs]
    strong = [
        _width(v, x, meets_tensor)
        for v, x in zip(values, xs, strict=True)
        if isinstance(v, Value) and not _counts_as_number(v)
    ]
    target = promote(strong) if strong else None
    if target == STRING and len(strong) < len(values):
        raise DTypeError("Strings and numbers have no type in common.")
    if any(isinstance(x, float) for x in xs) and target not in FLOATS:
        target = "float32"
    elif target in (None, "bool") and any(_is_whole(v) for v in values):
        target = "int32"
    if held and target is not None and target.startswith(("int", "uint")):
        target = promote((target, *(_holding(x, target) for x in xs if isinstance(x, int))))
    return tuple(_cast(v, target) if isinstance(v, Value) else as_value(v, target) for v in values)


def as_floats(*xs: Any) -> tuple[Value, ...]:
    """Returns operands as floats of one dtype; numbers of Python's are none of a tensor's integers on the way."""
    whole = (isinstance(x, int) and not isinstance(x, bool) for x in xs)
    values = as_operands(*(float(x) if number else x for x, number in zip(xs, whole, strict=True)))
    return tuple(map(as_float, values))


def _holding(number: int, dtype: str) -> str:
    """Returns a dtype if it holds a number, else a wider one that does."""
    wider = (d for d in (dtype, "int32", "int64", "uint64") if np.iinfo(d).min <= number <= np.iinfo(d).max)
    return next(wider, dtype)


def _counts_as_number(x: Value) -> bool:
    """Tells whether a value is a size that is not known yet: with other sizes of data it is a number of Python's."""
    return isinstance(x.type.size, Sym) and x.op.name != "Cast"


def _is_whole(x: Any) -> bool:
    return _counts_as_number(x) if isinstance(x, Value) else isinstance(x, int) and not isinstance(x, bool)


def as_float(x: Any) -> Value:
    """Returns x as a value of floating-point numbers, float32 unless it has them already."""
    value = as_value(x)
    return value if value.type.is_float else _cast(value, "float32")


def as_number(x: Any) -> Value:
    """Returns x as a value, booleans as int32."""
    value = as_value(x)
    return _cast(value, "int32") if value.dtype == "bool" else value


def as_ids(x: Any) -> Value:
    """Returns numbers that count places as integers of 32 bits or more, which hold as many places as there may be."""
    value = as_value(x)
    wide = value.dtype in ("int32", "int64", "uint32", "uint64")
    return value if wide else _cast(value, "int32")


def _width(value: Value, origin: Any, meets_tensor: bool) -> str:
    if meets_tensor and not isinstance(origin, Value | HasValue):
        return {"float64": "float32", "int64": "int32"}.get(value.dtype, value.dtype)
    return value.dtype


def _cast(x: Value, dtype: str | None) -> Value:
    if dtype is None or x.dtype == dtype:
        return x
    from seqc.ops.elementwise import cast

    return cast(x, dtype)


def promote(dtypes: Iterable[str]) -> str:
    """Returns the dtype that operands of these dtypes meet in.

    Floats come before integers before booleans, wide before narrow, and a signed type that holds both where signed
    meets unsigned (float32 where none does).
    """
    kinds = set(dtypes)
    if STRING in kinds:
        if len(kinds) == 1:
            return STRING
        raise DTypeError(f"Strings and numbers ({', '.join(sorted(kinds - {STRING}))}) have no type in common.")
    floats = [d for d in FLOATS if d in kinds]
    if floats:
        return "float32" if kinds >= set(HALVES) and floats[-1] in HALVES else floats[-1]
    together = np.result_type(*sorted(kinds)).name
    return "float32" if together.startswith("float") else together


# Names that say themselves; NumPy makes a type of the name, and puts the name together again.
_USUAL = frozenset({"float32", "float64", "float16", "int32", "int64", "uint8", "bool"})


def dtype_name(dtype: Any) -> str:
    """Returns the NumPy name of an element type; Python's float, int and bool mean float32, int32 and bool.

    Raises:
        DTypeError: there is no such type.
    """
    if isinstance(dtype, str) and dtype in _USUAL:
        return dtype
    python: dict[Any, str] = {float: "float32", int: "int32", bool: "bool"}
    if isinstance(dtype, type) and dtype in python:
        return python[dtype]
    if dtype == "bfloat16":
        need_bfloat16("ops.cast to bfloat16")
    try:
        return str(np.dtype(dtype).name)
    except TypeError:
        raise DTypeError(
            f"There is no element type {dtype!r}. Use a name such as 'float32', 'int32' or 'bool'."
        ) from None


def scalar(number: float, like: Value) -> Value:
    """Returns a constant scalar of the dtype of `like`."""
    return as_value(number, like.dtype)
