"""From what a user passes to `predict` to the arrays onnxruntime gets: names, dtypes, shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seqc_runtime.errors import RuntimeInputError, RuntimeInputTypeError
from seqc_runtime.tensors import UNNAMED, TensorInfo, format_shape

Array = npt.NDArray[Any]
Sizes = dict[str, int]


def bind(x: object, infos: tuple[TensorInfo, ...]) -> tuple[dict[str, Array], Sizes]:
    """Arrays by input name, cast to the declared dtypes, and the size of every named symbolic axis.

    Raises RuntimeInputError (RuntimeInputTypeError for dtypes) naming the input, what it needs and what came.
    """
    arrays = {info.name: cast(value, info) for info, value in zip(infos, _match(x, infos), strict=True)}
    return arrays, _check_shapes(arrays, infos)


def _match(x: object, infos: tuple[TensorInfo, ...]) -> list[object]:
    if isinstance(x, Mapping):
        return _match_names(x, infos)
    if isinstance(x, list | tuple):
        return _match_order(x, infos)
    if len(infos) != 1:
        raise RuntimeInputError(
            f"the model has {len(infos)} inputs ({_names(infos)}); got one {type(x).__name__}: "
            "pass a list in that order, or a dict by name"
        )
    return [x]


def _match_names(x: Mapping[Any, object], infos: tuple[TensorInfo, ...]) -> list[object]:
    known = {info.name for info in infos}
    missing = [info.name for info in infos if info.name not in x]
    unknown = [name for name in x if name not in known]
    if missing or unknown:
        said = [f"{word} {', '.join(map(repr, names))}" for word, names in _nonempty(missing, unknown)]
        raise RuntimeInputError(f"the model's inputs are {_names(infos)}; the dict has {' and '.join(said)}")
    return [x[info.name] for info in infos]


def _nonempty(missing: list[str], unknown: list[Any]) -> list[tuple[str, list[Any]]]:
    return [(word, names) for word, names in (("no", missing), ("unknown", unknown)) if names]


def _match_order(x: list[object] | tuple[object, ...], infos: tuple[TensorInfo, ...]) -> list[object]:
    if len(x) != len(infos):
        raise RuntimeInputError(
            f"the model has {len(infos)} input{'s' * (len(infos) != 1)} ({_names(infos)}); got a "
            f"{type(x).__name__} of {len(x)}. A list holds one array per input: "
            "if it is the data itself, pass numpy.asarray(it)"
        )
    return list(x)


def _names(infos: tuple[TensorInfo, ...]) -> str:
    return ", ".join(repr(info.name) for info in infos)


def cast(value: object, info: TensorInfo) -> Array:
    """`value` as a native, C-contiguous array of the declared dtype.

    A float input takes floats of any width, integers and booleans (rounded to its precision). An integer input takes
    integers and booleans whose values all fit. A boolean input takes booleans, a text input takes text.
    Everything else raises RuntimeInputTypeError; integers that do not fit raise RuntimeInputError.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise RuntimeInputError(f"input {info.name!r} needs {info}; got data that is no array: {error}") from error
    if info.dtype == "str":
        return _cast_text(array, info)
    target = info.numpy_dtype
    allowed = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}[target.kind]
    if array.dtype.kind not in allowed:
        raise RuntimeInputTypeError(
            f"input {info.name!r} needs {info}; got {array.dtype.name}: {_dtype_hint(array.dtype.kind, target)}"
        )
    if target.kind in "iu" and array.size and not np.can_cast(array.dtype, target, "safe"):
        _check_range(array, info, np.iinfo(target))
    # Not ascontiguousarray: that one gives scalars an axis.
    return np.asarray(array, dtype=target, order="C")


def _dtype_hint(kind: str, target: np.dtype[Any]) -> str:
    if kind == "f" and target.kind in "iu":
        return f"round it yourself and pass x.astype({target.name!r})"
    return f"convert it yourself, to {target.name}"


def _check_range(array: Array, info: TensorInfo, limits: np.iinfo[Any]) -> None:
    low, high = int(array.min()), int(array.max())
    if low < limits.min or high > limits.max:
        raise RuntimeInputError(
            f"input {info.name!r} needs {info}, so values from {limits.min} to {limits.max}; got {low} to {high}"
        )


def _cast_text(array: Array, info: TensorInfo) -> Array:
    boxed = array.astype(object, order="C")
    if array.dtype.kind not in "UT" and not all(isinstance(item, str) for item in boxed.flat):
        raise RuntimeInputTypeError(f"input {info.name!r} needs text ({info}); got {array.dtype.name}")
    return boxed


def _check_shapes(arrays: dict[str, Array], infos: tuple[TensorInfo, ...]) -> Sizes:
    sizes: Sizes = {}
    owner: dict[str, str] = {}
    for info in infos:
        shape = arrays[info.name].shape
        # onnxruntime reports an undeclared shape as (), so () promises nothing.
        if info.shape and not _fits(shape, info.shape):
            raise RuntimeInputError(
                f"input {info.name!r} needs {info}; got {format_shape(shape)}{_shape_hint(shape, info.shape)}"
            )
        for axis, size in zip(info.shape, shape, strict=False):
            if isinstance(axis, int) or axis == UNNAMED:
                continue
            if sizes.setdefault(axis, size) != size:
                raise RuntimeInputError(
                    f"input {info.name!r} {info} has {axis} = {size}, but input {owner[axis]!r} has "
                    f"{axis} = {sizes[axis]}: axes of the same name need the same size"
                )
            owner.setdefault(axis, info.name)
    return sizes


def _fits(shape: tuple[int, ...], declared: tuple[int | str, ...]) -> bool:
    return len(shape) == len(declared) and all(
        isinstance(axis, str) or axis == size for axis, size in zip(declared, shape, strict=True)
    )


def _shape_hint(shape: tuple[int, ...], declared: tuple[int | str, ...]) -> str:
    if len(shape) == len(declared) - 1:
        return ": add a batch axis: x[None]"
    return f" (rank {len(shape)} instead of {len(declared)})" if len(shape) != len(declared) else ""
