"""What a user gives, made into arrays: inputs, labels and weights with a row per sample, checked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np

from seqc.dtype_policies import rate_dtype
from seqc.errors import ConfigError, DataError
from seqc.graph.dims import symbol
from seqc.graph.ir import Array, Type
from seqc.graph.strings import STRING, as_strings, is_text, type_name
from seqc.stored import Stored, is_lazy, is_stored, stored
from seqc.training.arrange import labelled
from seqc.training.tables import column_array, is_table

# The arrays of inputs, then labels and weights of outputs; None where there are none.
Batch = tuple[Array | None, ...]
Arrays = tuple[Array | None, ...]
# Trees of samples, labels and weights, with None at each leaf.
Forms = tuple[Any, Any, Any]


class FormedBatch(tuple[Array | None, ...]):
    """A batch whose samples, labels and weights have forms of their own."""

    forms: Forms

    def __new__(cls, arrays: Sequence[Array | None], forms: Forms) -> FormedBatch:
        made = super().__new__(cls, arrays)
        made.forms = forms
        return made


@dataclass(frozen=True)
class Data:
    """Samples, labels and weights with one row each.

    Samples that are whole numbers keep their small dtype until `rows` hands them out, and so does everything that lies
    in a file.

    Attributes:
        x: an array per input. y, weight: one per output, None where there is none; empty where nothing asks for them.
        input_dtypes: what the model takes.
        forms: of samples, labels and weights, where they are not those of the model's inputs and outputs.
    """

    x: tuple[Array, ...]
    y: Arrays = ()
    weight: Arrays = ()
    input_dtypes: tuple[str, ...] = ("float32",)
    forms: Forms | None = None

    def __len__(self) -> int:
        return len(self.x[0])

    def rows(self, take: Any) -> Batch:
        """Returns the rows that a slice or an array of numbers selects."""
        found: list[Any] = [None if a is None else a[take] for a in self._arrays]
        for i, dtype in self._casts:
            found[i] = found[i].astype(dtype)
        return tuple(found) if self.forms is None else FormedBatch(found, self.forms)

    @cached_property
    def _arrays(self) -> Arrays:
        return (*self.x, *self.y, *self.weight)

    @cached_property
    def _casts(self) -> list[tuple[int, str]]:
        """The arrays that are kept in another dtype than the model takes."""
        wanted = [
            *self.input_dtypes,
            *(None if y is None else label_dtype(y) for y in self.y),
            *([rate_dtype()] * len(self.weight)),
        ]
        pairs = enumerate(zip(self._arrays, wanted, strict=True))
        return [(i, dtype) for i, (a, dtype) in pairs if a is not None and dtype is not None and type_name(a) != dtype]

    def part(self, take: slice) -> Data:
        """Returns some of the rows, as they are kept."""

        def of(array: Any) -> Any:
            return array.part(take) if isinstance(array, Stored) else array[take]

        return self._each(of)

    def copied(self) -> Data:
        """Returns data that stay as they are, whatever becomes of arrays that were given."""
        return self._each(lambda array: array.copy() if isinstance(array, np.ndarray) else array)

    def _each(self, change: Callable[[Any], Any]) -> Data:
        y, weight = (tuple(None if a is None else change(a) for a in kind) for kind in (self.y, self.weight))
        return replace(self, x=tuple(map(change, self.x)), y=y, weight=weight)


def as_array(value: Any, what: str) -> Array:
    """Returns what the user gave as one array, or as something used like one that lies in a file.

    Args:
        value: an array or a tensor of any library, a nested list of numbers, a table or column of pandas or polars, or
        a dataset of h5py or zarr. what: how errors call it.

    Raises:
        DataError: it is ragged, sparse, made of objects, or cannot be brought to NumPy.
    """
    _refuse_forms(value, what)
    if is_stored(value):
        return stored(value, what)
    if hasattr(value, "to_numpy") or is_table(value):
        return column_array(value, what)
    if isinstance(value, Sequence) and not isinstance(value, list | tuple | range | memoryview):
        value = list(value) if not hasattr(value, "features") else value[:]
    try:
        text, array = _brought(value)
    except ValueError as error:
        raise DataError(f"{what} cannot be made into one array: {error}. Pad the rows to one length first.") from None
    except (TypeError, RuntimeError, BufferError) as error:  # a tensor on a GPU, or in bfloat16
        raise DataError(f"{what} ({_class_of(value)}) cannot be made into an array of NumPy: {error}") from error
    if array.dtype == object and not text and array.shape[:1] != (0,):
        raise DataError(
            f"{what} holds Python objects (shape {array.shape}); it must be an array of numbers, or of strings "
            "throughout. If they are numbers, "
            'say which kind: numpy.asarray(..., dtype="float32"). Rows of several lengths must be padded to one.'
        )
    return array


def _brought(value: Any) -> tuple[bool, Array]:
    """Returns whether a value is text, and it as an array of NumPy, of text as seqc keeps it."""
    if is_text(value):
        return True, as_strings(value)
    if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
        return False, np.from_dlpack(value)
    array = np.asarray(value)
    return (True, as_strings(array)) if is_text(array) else (False, array)


def _refuse_forms(value: Any, what: str) -> None:
    """Raises DataError for what holds numbers, but not as an array."""
    kind = _class_of(value)
    if isinstance(value, str | bytes | PathLike):
        raise DataError(
            f"{what} is one text or path, {str(value)[:60]!r}; it must be samples, such as numpy.load of a file."
        )
    if hasattr(value, "filled") and np.any(getattr(value, "mask", False)):
        raise DataError(f"{what} has masked elements ({kind}), which no layer knows. Fill them: {what}.filled(0).")
    if hasattr(value, "row_splits") or hasattr(value, "nested_row_splits"):
        raise DataError(
            f"{what} ({kind}) is ragged: its rows differ in length, and a batch is one array. Pad them: "
            "value.to_tensor(), or padded_batch in the place of batch."
        )
    if hasattr(value, "dense_shape") or hasattr(value, "tocsr") or getattr(value, "is_sparse", False) is True:
        raise DataError(
            f"{what} ({kind}) is sparse, and layers take arrays. Make one of it, batch by batch where it is large: "
            "toarray() of SciPy, tf.sparse.to_dense, to_dense() of PyTorch."
        )
    if hasattr(value, "collect_schema") and not hasattr(value, "to_numpy"):
        raise DataError(f"{what} ({kind}) is a plan for a table, and not a table yet: {what}.collect() makes it one.")


def _class_of(value: Any) -> str:
    return f"{type(value).__module__.split('.')[0]}.{type(value).__qualname__}"


def cast_input(array: Array, dtype: str) -> Array:
    """Returns an input in the dtype that the model takes; whole numbers are left for `Data.rows` to convert."""
    kind = type_name(array)
    if (kind == STRING) != (dtype == STRING):
        wanted = "strings" if dtype == STRING else f"numbers ({dtype})"
        raise DataError(f"The model needs {wanted}; got an array of {kind} with shape {array.shape}.")
    if kind == STRING:
        return array
    if array.dtype.kind not in "fiub":
        raise DataError(f"The model needs numbers ({dtype}); got an array of {kind} with shape {array.shape}.")
    return array.astype(dtype, copy=False) if array.dtype.kind == "f" and not is_lazy(array) else array


def label_dtype(array: Array) -> str:
    """Returns the dtype in which a step graph takes labels: floats as rates are, int32 or int64."""
    kind = array.dtype.kind
    if kind in "fb":
        return rate_dtype()
    if kind in "iu":
        return array.dtype.name if array.dtype.name in ("int32", "int64") else "int64"
    raise DataError(
        f"Labels must be numbers; got an array of {type_name(array)} with shape {array.shape}. Number the classes."
    )


def cast_labels(array: Array) -> Array:
    """Returns labels in the dtype that a step graph takes; those in a file are left for `Data.rows` to convert."""
    dtype = label_dtype(array)
    return array if is_lazy(array) else array.astype(dtype, copy=False)


def make_data(
    xs: Sequence[Array],
    ys: Sequence[Any] = (),
    weights: Sequence[Any] = (),
    dtypes: Sequence[str] = ("float32",),
    inputs: Sequence[str] = ("",),
    outputs: Sequence[str] = ("",),
    *,
    some: bool = True,
) -> Data:
    """Returns checked data.

    Args:
        xs: an array per input. ys, weights: what was given for each output, None where there is nothing.
        dtypes: what the inputs take. inputs, outputs: their names. some: whether there must be any samples.

    Raises:
        DataError: the numbers of samples differ, there are none, or something is not an array of numbers.
    """
    called = [labelled(*pair) for pair in (("x", inputs), ("y", outputs), ("sample_weight", outputs))]
    x = tuple(cast_input(array, dtype) for array, dtype in zip(xs, dtypes, strict=True))
    y, weight = (
        tuple(None if one is None else cast(as_array(one, what)) for one, what in zip(given, names, strict=False))
        for given, names, cast in ((ys, called[1], cast_labels), (weights, called[2], _cast_weight))
    )
    arrays = zip((*x, *y, *weight), (*called[0], *called[1][: len(y)], *called[2]), strict=False)
    _check_sizes({what: array for array, what in arrays if array is not None}, called[0][0] if some else None)
    return Data(x, y, weight, tuple(dtypes))


def _cast_weight(array: Array) -> Array:
    if array.dtype.kind not in "fiub":
        raise DataError(f"sample_weight must be numbers; got an array of {type_name(array)} with shape {array.shape}.")
    return array if is_lazy(array) else array.astype(rate_dtype(), copy=False)


def _check_sizes(given: Mapping[str, Array], first: str | None) -> None:
    for name, array in given.items():
        if array.ndim == 0:
            raise DataError(f"{name} is a single number; it needs a first axis of samples.")
    counts = {name: len(array) for name, array in given.items()}
    if len(set(counts.values())) > 1:
        shown = "\n".join(f"'{name}' sizes: {count}" for name, count in counts.items())
        raise DataError(
            f"Data cardinality is ambiguous. Make sure all arrays contain the same number of samples.\n{shown}"
        )
    if first is not None and not counts[first]:
        raise DataError(f"There are no samples: {first} has shape {given[first].shape}.")


def weigh_classes(data: Data, weights: Mapping[int, float] | None, rank: int = 2) -> Data:
    """Returns data with one weight per sample from its class; a class without a weight has 1.

    Args:
        data: labels are class numbers, of shape (n,) or (n, 1), or one row per sample in which one entry is largest.
        weights: by class number; None leaves the data as they are.
        rank: of the model's output; beyond 2 it predicts more than one class per sample.

    Raises:
        ConfigError: samples have weights already.
        DataError: labels are not classes, or `weights` is no dictionary from such.
    """
    if weights is None:
        return data
    if not isinstance(weights, Mapping):
        raise DataError(f"class_weight must be a dictionary from class number to weight; got {weights!r}.")
    by_number = {_class_number(key): weight for key, weight in weights.items()}
    if len(data.y) > 1:
        raise ConfigError(
            "`class_weight` is only supported for models with a single output; this one has "
            f"{len(data.y)}. Give sample_weight, a list or dictionary with an array per output."
        )
    if data.weight[0] is not None:
        raise ConfigError(
            "You cannot give `class_weight` and `sample_weight` at the same time. Multiply the class weights into the "
            "sample weights."
        )
    y = data.y[0]
    if y is None:
        raise DataError("class_weight needs labels y.")
    y = np.asarray(y)
    if y.ndim > 2 or (rank > 2 and y.size != len(y)):
        raise DataError(
            f"class_weight works with one label per sample; y has shape {y.shape}. Give each label its weight instead: "
            f"sample_weight of shape {y.shape[: rank - 1]}, numpy.take([weight of class 0, weight of class 1, ...], y)."
        )
    numbers = _classes_of_rows(y) if y.ndim == 2 and y.shape[1] > 1 else np.rint(y.reshape(-1))
    result = np.ones(len(y), rate_dtype())
    for number, weight in by_number.items():
        result[numbers == number] = weight
    return replace(data, weight=(result,))


def _class_number(key: Any) -> int:
    if isinstance(key, int | float | np.number | np.bool_) and float(key).is_integer():
        return int(key)
    raise DataError(f"class_weight is a dictionary from class number to weight; got the key {key!r}.")


def _classes_of_rows(y: Array) -> Array:
    """Returns the class of each one-hot row, or row of shares.

    Raises:
        DataError: a row does not say one class.
    """
    first: Array = y.argmax(1)
    several = (y == y.max(1, keepdims=True)).sum(1) > 1
    wrong = np.flatnonzero(several | (y.min(1) < 0) | (y.max(1) > 1))
    if len(wrong):
        raise DataError(
            f"class_weight needs one class per sample; row {wrong[0]} of y is {y[wrong[0]].tolist()}, which does not "
            "say which class it is. For samples of several classes, or of none, give sample_weight, or a loss that "
            "weighs its columns."
        )
    return first


def split_validation(data: Data, fraction: float) -> tuple[Data, Data]:
    """Returns (training, validation): the last part is validation, taken before any shuffling."""
    if not 0 < fraction < 1:
        raise ConfigError(f"validation_split must lie between 0 and 1; got {fraction}.")
    cut = int(np.floor(len(data) * (1 - fraction)))
    if cut == 0 or cut == len(data):
        raise DataError(f"validation_split={fraction} of {len(data)} samples leaves one part empty.")
    return data.part(slice(None, cut)), data.part(slice(cut, None))


def match_rank(array: Any, shape: tuple[int | None, ...]) -> Any:
    """Returns an array or tensor with a last axis of size one more or less where only that keeps it from a model.

    Args:
        array: samples. shape: of the model's input, batch first.
    """
    row = array.shape[1:]
    if array.ndim == len(shape) - 1 and shape[-1] == 1:
        return array.with_row((*row, 1)) if isinstance(array, Stored) else array[..., None]
    if array.ndim == len(shape) + 1 and array.shape[-1] == 1:
        return array.with_row(row[:-1]) if isinstance(array, Stored) else array[..., 0]
    return array


def unpack(data: Any, what: str) -> tuple[Any, Any, Any]:
    """Returns (x, y, sample_weight) of a tuple of one to three, or of x alone.

    Raises:
        DataError: it is a tuple of none or of more.
    """
    if not isinstance(data, list | tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(f"{what} must be (x,), (x, y) or (x, y, sample_weight); got {len(data)} parts.")
    x, y, weight = (*data, None, None)[:3]
    return x, y, weight


def sample_type(array: Array) -> Type:
    """Returns the type of a batch of such rows: the batch axis has a name instead of a size."""
    return Type(type_name(array), (symbol("batch"), *array.shape[1:]))
