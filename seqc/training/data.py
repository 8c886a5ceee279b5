"""Arrays to batches: checks what the user gave, casts it once, and cuts it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.ir import Array, Type
from seqc.random import generator

Batch = tuple[Array, Array | None, Array | None]


@dataclass(frozen=True)
class Data:
    """Samples, labels and weights with one row each."""

    x: Array
    y: Array | None = None
    weight: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def steps(self, batch_size: int) -> int:
        """Returns the number of batches; the last one may be smaller."""
        return -(-len(self) // batch_size)

    def batches(self, batch_size: int, shuffle: bool = False) -> Iterator[Batch]:
        """Yields batches in order, or in a new random order."""
        order = generator().permutation(len(self)) if shuffle else None
        for start in range(0, len(self), batch_size):
            take = slice(start, start + batch_size) if order is None else order[start : start + batch_size]
            yield self.x[take], _take(self.y, take), _take(self.weight, take)

    def take(self, part: slice) -> Data:
        """Returns some rows."""
        return Data(self.x[part], _take(self.y, part), _take(self.weight, part))


def _take(array: Array | None, rows: Any) -> Array | None:
    return None if array is None else array[rows]


def as_array(value: Any, what: str) -> Array:
    """Returns what the user gave as one array.

    Raises:
        DataError: it is several arrays, ragged, or made of objects.
    """
    if isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) and v.ndim > 0 for v in value)
    ):
        if not isinstance(value, Mapping) and len({np.shape(v) for v in value}) == 1 and what != "x":
            return np.asarray(value)
        if not isinstance(value, Mapping) and len(value) == 1:
            return np.asarray(value[0])
        raise DataError(
            f"A Sequential model has one input and one output; got {len(value)} arrays as {what}. Stack them into one "
            "array first (np.asarray), or build one model per array."
        )
    if hasattr(value, "to_numpy"):  # a table or column of pandas or polars
        value = value.to_numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{what} cannot be made into one array: {error}. Pad the rows to one length first.") from None
    if array.dtype == object:
        raise DataError(f"{what} holds Python objects (shape {array.shape}); it must be an array of numbers.")
    return array


def cast_input(array: Array, dtype: str) -> Array:
    """Returns an input in the dtype that the model takes."""
    if array.dtype.name == dtype:
        return array
    if array.dtype.kind not in "fiub":
        raise DataError(f"The model needs numbers ({dtype}); got an array of {array.dtype} with shape {array.shape}.")
    return array.astype(dtype)


def cast_labels(array: Array) -> Array:
    """Returns labels in a dtype that the step graph takes: float32, int32 or int64, whatever the platform gave."""
    kind = array.dtype.kind
    if kind == "f":
        return array if array.dtype.name == "float32" else array.astype("float32")
    if kind in "iu":
        return array if array.dtype.name in ("int32", "int64") else array.astype("int64")
    if kind == "b":
        return array.astype("float32")
    raise DataError(f"Labels must be numbers; got an array of {array.dtype} with shape {array.shape}. Number the classes.")


def make_data(
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    input_dtype: str = "float32",
) -> Data:
    """Returns checked data.

    Raises:
        DataError: the numbers of samples differ, there are none, or something is not an array of numbers.
    """
    xs = cast_input(as_array(x, "x"), input_dtype)
    ys = None if y is None else cast_labels(as_array(y, "y"))
    weight = None if sample_weight is None else as_array(sample_weight, "sample_weight").astype("float32")
    sizes = {"x": xs, "y": ys, "sample_weight": weight}
    for name, array in sizes.items():
        if array is not None and array.ndim == 0:
            raise DataError(f"{name} is a single number; it needs a first axis of samples.")
    counts = {name: len(array) for name, array in sizes.items() if array is not None}
    if len(set(counts.values())) > 1:
        shown = "\n".join(f"'{name}' sizes: {count}" for name, count in counts.items())
        raise DataError(
            f"Data cardinality is ambiguous. Make sure all arrays contain the same number of samples.\n{shown}"
        )
    if not len(xs):
        raise DataError(f"There are no samples: x has shape {xs.shape}.")
    if class_weight is not None:
        if ys is None:
            raise DataError("class_weight needs labels y.")
        by_class = class_weights(ys, class_weight)
        weight = by_class if weight is None else weight * by_class.reshape(-1, *(1,) * (weight.ndim - 1))
    return Data(xs, ys, weight)


def class_weights(y: Array, weights: Mapping[int, float]) -> Array:
    """Returns one weight per sample from its class: y holds class numbers, or one row of scores per sample."""
    numbers = y
    if y.ndim == 2 and y.shape[1] > 1:
        numbers = y.argmax(1)
    elif y.ndim > 2:
        raise DataError(f"class_weight works with one label per sample; y has shape {y.shape}. Use sample_weight.")
    numbers = numbers.reshape(-1).astype("int64")
    table = {int(k): float(v) for k, v in weights.items()}
    unknown = sorted(set(np.unique(numbers).tolist()) - set(table))
    result = np.ones(len(numbers), "float32")
    if unknown and len(table) == 0:
        return result
    for number, weight in table.items():
        result[numbers == number] = weight
    return result


def split_validation(data: Data, fraction: float) -> tuple[Data, Data]:
    """Returns (training, validation): the last part is validation, taken before any shuffling."""
    if not 0 < fraction < 1:
        raise DataError(f"validation_split must lie between 0 and 1; got {fraction}.")
    cut = int(np.floor(len(data) * (1 - fraction)))
    if cut == 0 or cut == len(data):
        raise DataError(f"validation_split={fraction} of {len(data)} samples leaves one part empty.")
    return data.take(slice(None, cut)), data.take(slice(cut, None))


def unpack_validation(data: Any) -> tuple[Any, Any, Any]:
    """Returns (x, y, sample_weight) of `validation_data`."""
    if not isinstance(data, Sequence) or len(data) not in (2, 3):
        raise DataError(
            "validation_data must be a tuple (x_val, y_val) or (x_val, y_val, sample_weight_val); got "
            f"{type(data).__name__}."
        )
    return data[0], data[1], data[2] if len(data) == 3 else None


def sample_type(array: Array) -> Type:
    """Returns the type of a batch of such rows: the batch axis has a name instead of a size."""
    from seqc.dims import symbol

    return Type(array.dtype.name, (symbol("batch"), *array.shape[1:]))
