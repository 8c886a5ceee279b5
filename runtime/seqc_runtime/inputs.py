"""From what a user passes to `predict` to the arrays onnxruntime gets: names, dtypes, shapes."""

from __future__ import annotations

import math
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
    arrays = {info.name: _fit(value, info) for info, value in zip(infos, match(x, infos), strict=True)}
    return arrays, check_shapes(arrays, infos)


def _fit(value: object, info: TensorInfo) -> Any:
    if info.kind == "tensor":
        return cast(value, info)
    if value is None and info.kind.startswith("optional"):
        return None
    item = TensorInfo(info.name, info.dtype, ())
    if info.kind == "optional":
        return cast(value, item)
    if not isinstance(value, list | tuple):
        raise RuntimeInputTypeError(
            f"input {info.name!r} needs a list of {info.dtype} arrays; got a {type(value).__name__}"
        )
    return [cast(one, item) for one in value]


def is_empty(value: object) -> bool:
    """Whether an array, or one in a list of arrays, holds no element."""
    if isinstance(value, np.ndarray):
        return value.size == 0
    return isinstance(value, list) and (not value or any(is_empty(one) for one in value))


def match(x: object, infos: tuple[TensorInfo, ...]) -> list[object]:
    """What `predict` was given, in the order of the inputs. Raises RuntimeInputError."""
    # Asking whether something is a Mapping takes longer than all the rest here.
    if type(x) is dict or (type(x) is not np.ndarray and isinstance(x, Mapping)):
        return _match_names(x, infos)
    if isinstance(x, list | tuple):
        # The only input may be a list itself, which then stands for itself.
        if len(infos) == 1 and infos[0].kind.endswith("sequence") and not _wrapped(x):
            return [x]
        return _match_order(x, infos)
    if len(infos) != 1:
        raise RuntimeInputError(
            f"the model has {len(infos)} inputs ({_names(infos)}); got one {type(x).__name__}: "
            "pass a list in that order, or a dict by name"
        )
    return [x]


def _wrapped(x: list[object] | tuple[object, ...]) -> bool:
    return len(x) == 1 and (x[0] is None or isinstance(x[0], list | tuple))


def _match_names(x: Mapping[Any, object], infos: tuple[TensorInfo, ...]) -> list[object]:
    if len(x) == len(infos):
        found: list[object] = []
        for info in infos:
            if info.name not in x:
                break
            found.append(x[info.name])
        else:
            return found
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

    A float input takes floats of any width, integers and booleans (rounded to its precision), an integer input takes
    integers and booleans, where all values fit. A boolean input takes booleans, a text input takes text.
    Everything else raises RuntimeInputTypeError; values that do not fit raise RuntimeInputError.
    """
    if (
        type(value) is np.ndarray
        and value.dtype is info.numpy_dtype
        and value.flags.c_contiguous
        and info.dtype != "str"
    ):
        return value  # nothing to do, and quickly so
    array = as_array(value, info)
    if info.dtype == "str":
        return _cast_text(array, info)
    target = info.numpy_dtype
    allowed = {"f": "fiub", "i": "iub", "u": "iub", "b": "b"}[target.kind]
    if array.dtype.kind not in allowed:
        raise RuntimeInputTypeError(f"input {info.name!r} needs {info}; got {_described(array, value, target)}")
    if target.kind in "iu" and array.size and not np.can_cast(array.dtype, target, "safe"):
        _check_range(array, info, np.iinfo(target))
    # Not ascontiguousarray: that one gives scalars an axis.
    try:
        with np.errstate(over="raise"):
            return np.asarray(array, dtype=target, order="C")
    except FloatingPointError as error:
        largest = np.abs(array[np.isfinite(array)]).max()
        raise RuntimeInputError(
            f"input {info.name!r} needs {info}, so values up to {np.finfo(target).max:.4g}; got {largest:.4g}"
        ) from error
    except MemoryError as error:
        raise RuntimeInputError(
            f"input {info.name!r} of shape {format_shape(array.shape)} does not fit in memory as {target.name}: "
            "predict_iter takes it chunk after chunk"
        ) from error


def as_array(value: object, info: TensorInfo) -> Array:
    """`value` as an array of any dtype. Raises RuntimeInputError for what is none, and for masked values."""
    refuse_masked(value, info)
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except Exception as error:  # objects of other libraries turn themselves into arrays, and fail in their own ways
        if isinstance(value, list | tuple) and "inhomogeneous" in str(error):
            what = "lists of different lengths, which are no array: fill them up to one length"
        else:
            what = f"data that is no array: {error}"
        raise RuntimeInputError(f"input {info.name!r} needs {info}; got {what}") from error


def refuse_masked(value: object, info: TensorInfo) -> None:
    """Raise RuntimeInputError where `value` is an array with masked values, or holds one."""
    if type(value) is np.ndarray:
        return
    if isinstance(value, list | tuple):
        for one in value:
            if isinstance(one, list | tuple | np.ma.MaskedArray):
                refuse_masked(one, info)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise RuntimeInputError(
            f"input {info.name!r} needs {info}; got an array with masked values, which a model cannot see: "
            "say what stands in their place, x.filled(value)"
        )


_KINDS = {
    "U": "text",
    "S": "bytes",
    "c": "complex numbers",
    "M": "dates",
    "m": "times",
}


def _described(array: Array, value: object, target: np.dtype[Any]) -> str:
    """What came instead of numbers, and what to do."""
    kind = array.dtype.kind
    if kind == "f" and target.kind in "iu":
        return f"{array.dtype.name}: round it yourself and pass x.astype({target.name!r})"
    if array.dtype.names:
        return f"records of several fields: convert it yourself, to {target.name}"
    if kind != "O":
        return f"{_KINDS.get(kind, array.dtype.name)}: convert it yourself, to {target.name}"
    if value is None:
        return "None"
    if hasattr(value, "toarray"):
        return f"a {type(value).__name__}: pass x.toarray()"
    if array.ndim == 0:
        return f"a {type(value).__name__}, which is no array"
    odd = next(
        (repr(type(item).__name__) for item in array.flat if not isinstance(item, int | float | np.number)), None
    )
    if odd is None:
        return f"an array of Python objects: convert it yourself, x.astype({target.name!r})"
    return f"an array of Python objects, of type {odd} among others: convert it yourself, to {target.name}"


def _check_range(array: Array, info: TensorInfo, limits: np.iinfo[Any]) -> None:
    low, high = int(array.min()), int(array.max())
    if low < limits.min or high > limits.max:
        raise RuntimeInputError(
            f"input {info.name!r} needs {info}, so values from {limits.min} to {limits.max}; got {low} to {high}"
        )


def _cast_text(array: Array, info: TensorInfo) -> Array:
    boxed = array.astype(object, order="C")
    check_text(boxed, info, array.dtype)
    # onnxruntime takes str(item), which is something else for members of an enumeration that are text.
    return boxed if _kinds_of(boxed) <= {str} else np.frompyfunc(str.__str__, 1, 1)(boxed)


def check_text(array: Array, info: TensorInfo, dtype: np.dtype[Any] | None = None) -> None:
    """Raise RuntimeInputTypeError unless all items are text: onnxruntime makes text of whatever it gets.

    dtype: of what came, when that was another array.
    """
    odd = sorted(kind.__name__ for kind in _kinds_of(array) if not issubclass(kind, str))
    if odd:
        came = f"{(dtype or array.dtype).name} that holds {', '.join(odd)}"
        raise RuntimeInputTypeError(f"input {info.name!r} needs text ({info}); got {came}")


def _kinds_of(array: Array) -> set[type]:
    return set(map(type, array.ravel().tolist()))


def check_shapes(arrays: Mapping[str, Array], infos: tuple[TensorInfo, ...]) -> Sizes:
    """The size of every named symbolic axis. Raises RuntimeInputError where a shape is not the declared one."""
    sizes: Sizes = {}
    for info in infos:
        # onnxruntime reports an undeclared shape as (), so () promises nothing.
        if info.kind != "tensor" or not info.shape:
            continue
        shape = arrays[info.name].shape
        if len(shape) != len(info.shape):
            raise _misshapen(info, shape)
        for axis, size in zip(info.shape, shape, strict=True):
            if isinstance(axis, int):
                if axis != size:
                    raise _misshapen(info, shape)
            elif axis != UNNAMED and sizes.setdefault(axis, size) != size:
                if not _fits(shape, info.shape):
                    raise _misshapen(info, shape)
                raise RuntimeInputError(
                    f"input {info.name!r} {info} has {axis} = {size}, but input {_owner(axis, infos)!r} has "
                    f"{axis} = {sizes[axis]}: axes of the same name need the same size"
                )
    return sizes


def _owner(axis: str, infos: tuple[TensorInfo, ...]) -> str:
    return next(info.name for info in infos if axis in info.shape)


def _misshapen(info: TensorInfo, shape: tuple[int, ...]) -> RuntimeInputError:
    hint = _shape_hint(shape, info.shape)
    return RuntimeInputError(f"input {info.name!r} needs {info}; got {format_shape(shape)}{hint}")


def _fits(shape: tuple[int, ...], declared: tuple[int | str, ...]) -> bool:
    return len(shape) == len(declared) and all(
        isinstance(axis, str) or axis == size for axis, size in zip(declared, shape, strict=True)
    )


def _shape_hint(shape: tuple[int, ...], declared: tuple[int | str, ...]) -> str:
    """What to do about a shape that does not fit; nothing where that cannot be told."""
    if len(shape) == len(declared):
        if shape and isinstance(rows := declared[0], int) and rows != shape[0] and _fits(shape[1:], declared[1:]):
            return f": the file fixes the first axis; where it is the batch, give {rows} rows at a time"
        channels_last = (*shape[:1], *shape[2:], *shape[1:2])
        return ": move the channels last, np.moveaxis(x, 1, -1)" if _fits(channels_last, declared) and shape[2:] else ""
    if shape == (0,) and isinstance(declared[0], str):
        empty = (0, *(axis if isinstance(axis, int) else 1 for axis in declared[1:]))
        return f": an empty batch is np.empty({empty})"
    added = [i for i in range(len(declared)) if _fits((*shape[:i], 1, *shape[i:]), declared)]
    if added == [0]:
        return ": add a batch axis: x[None]"
    if added and added[-1] == len(shape):
        return ": add an axis at the end: x[..., None]" + (
            " (or for one sample in front: x[None])" if 0 in added else ""
        )
    if added:
        return f": add an axis: np.expand_dims(x, {added[0]})"
    if len(shape) > len(declared) and shape[-1] == 1 and _fits(shape[:-1], declared):
        return ": drop the last axis: x[..., 0]"
    rest = declared[1:]
    if shape and rest and all(isinstance(axis, int) for axis in rest) and math.prod(shape[1:]) == math.prod(rest):
        return f": reshape it: x.reshape({', '.join(map(str, (-1, *rest)))})"
    return f" (rank {len(shape)} instead of {len(declared)})"
