"""The parts of elements of datasets: arrays that look like tensors, and what is said of their shapes and types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqc import tree
from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.graph.strings import STRING, is_text
from seqc.ops._common import dtype_name

# What TensorFlow makes of Python's numbers, by what NumPy makes of them.
_PYTHON = {"int64": "int32", "float64": "float32"}


class Shown(np.ndarray[Any, Any]):
    """An array as scripts look at tensors: `x[0].numpy()` is an array, also where x[0] is a single number."""

    def numpy(self) -> Array:
        """Returns the plain array, or the number or text that it holds."""
        plain = np.asarray(self)
        return plain if plain.ndim else plain[()]

    def __getitem__(self, where: Any) -> Any:
        found = super().__getitem__(where)
        return found if isinstance(found, np.ndarray) else shown(found)


def shown(value: Any) -> Any:
    """Returns something as an array to be looked at; Python's numbers are int32, where they fit, and float32."""
    array = np.asarray(value)
    if array.dtype.name in _PYTHON and not _has_type(value):
        smaller = array.astype(_PYTHON[array.dtype.name])
        array = array if array.dtype.kind == "i" and (smaller != array).any() else smaller
    return array.view(Shown)


def _has_type(value: Any) -> bool:
    """Tells whether something says itself of which type its numbers are, or the first one in it does."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return hasattr(value, "dtype")


class TensorSpec:
    """Shape and type of a part of an element.

    Args:
        shape: None where it may be any, with None for an axis that may be of any size. dtype: the type. name: of it.
    """

    def __init__(self, shape: Any, dtype: Any = "float32", name: str | None = None) -> None:
        self.shape = None if shape is None else tuple(None if n in (None, -1) else int(n) for n in shape)
        self.dtype, self.name = _type(dtype), name

    @staticmethod
    def of(array: Array) -> TensorSpec:
        """Returns what an array is."""
        return TensorSpec(array.shape, STRING if is_text(array) else array.dtype)

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype=tf.{self.dtype}, name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, str(self.dtype)))

    def take(self, value: Any) -> Any:
        """Returns something as an array of this type.

        Raises:
            DataError: it cannot be, or it is of another shape.
        """
        try:
            array = np.asarray(value, None if self.dtype == STRING else self.dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"The generator gave what is not of {self!r}: {error}") from error
        if self.dtype == STRING and not is_text(array):
            raise DataError(f"The generator gave an array of {array.dtype}, which is not of {self!r}.")
        wanted = self.shape
        if wanted is not None and (
            len(wanted) != array.ndim or any(n not in (None, m) for n, m in zip(wanted, array.shape, strict=True))
        ):
            raise DataError(f"The generator gave an array of shape {array.shape}, which is not of {self!r}.")
        return array.view(Shown)


def _type(dtype: Any) -> Any:
    """Returns a type of NumPy's, or the name of that of texts."""
    if dtype is str or dtype is object or (isinstance(dtype, str) and dtype == STRING):
        return STRING
    if isinstance(dtype, np.dtype) and dtype.kind in "OSU":
        return STRING
    return np.dtype("int64" if dtype is int else dtype_name(dtype))


def signature(types: Any, shapes: Any) -> Any:
    """Returns types and shapes of the parts of an element, which have one form, as one."""
    if isinstance(types, dict):
        return {name: signature(one, shapes and shapes[name]) for name, one in types.items()}
    if isinstance(types, tuple):
        return tuple(signature(one, shapes and shapes[i]) for i, one in enumerate(types))
    return TensorSpec(shapes, types)


def declared(value: Any, said: Any) -> Any:
    """Returns an element whose parts are of the types that were said.

    Raises:
        DataError: it is of another form, or a part of another shape.
    """
    if isinstance(said, dict) and isinstance(value, dict) and value.keys() == said.keys():
        return {name: declared(value[name], one) for name, one in said.items()}
    if isinstance(said, tuple) and isinstance(value, tuple | list) and len(value) == len(said):
        return tuple(declared(part, one) for part, one in zip(value, said, strict=True))
    if isinstance(said, dict | tuple):
        raise DataError(f"The generator gave {value!r:.200}, which is not of the form {said!r}.")
    return said.take(value)


def row(item: Any, number: int) -> Any:
    """Returns a row of an element."""
    return tree.map_structure(lambda part: part[number], item)


def rows(item: Any) -> Iterator[Any]:
    """Yields the rows of an element."""
    return (row(item, number) for number in range(len(tree.flatten(item)[0])))


def stacked(items: Sequence[Any]) -> Any:
    """Returns elements as rows of one.

    Raises:
        DataError: they have different shapes.
    """
    columns = list(zip(*(tree.flatten(item) for item in items), strict=True))
    for column in columns:
        if len({np.shape(part) for part in column}) > 1:
            raise DataError(
                "The elements of a batch have different shapes: "
                f"{', '.join(sorted({str(np.shape(part)) for part in column})[:4])}. Pad or resize them first, or take "
                "padded_batch."
            )
    return tree.pack_sequence_as(items[0], [np.stack(column).view(Shown) for column in columns])


def padded(items: Sequence[Any], shapes: Any, values: Any, unknown: int | None = None) -> Any:
    """Returns elements as rows of one, each part filled up to the size of the largest.

    Args:
        shapes: other sizes to fill up to, in the form of an element; None, also for an axis, for that of the largest.
        values: what to fill with, in that form, or one for all; None for zeros and empty text.
        unknown: the size that None for an axis stands for; by default that of the largest.

    Raises:
        DataError: an element is larger than its shape, or they have different numbers of axes.
    """
    first = items[0]
    if isinstance(first, dict | tuple):
        keys = list(first) if isinstance(first, dict) else range(len(first))
        each = isinstance(values, dict | tuple | list)
        parts = [
            padded([item[key] for item in items], shapes and shapes[key], values[key] if each else values, unknown)
            for key in keys
        ]
        return dict(zip(keys, parts, strict=True)) if isinstance(first, dict) else tuple(parts)
    ranks = {part.ndim for part in items} | ({len(shapes)} if shapes is not None else set())
    if len(ranks) > 1:
        raise DataError(f"The elements of a padded batch have different numbers of axes: {sorted(ranks)}.")
    largest = np.max([part.shape for part in items], axis=0).astype(int).tolist()
    wanted = largest if shapes is None else shapes
    sizes = [(unknown or most) if n in (None, -1) else int(n) for n, most in zip(wanted, largest, strict=True)]
    if any(most > size for most, size in zip(largest, sizes, strict=True)):
        raise DataError(f"An element of shape {tuple(largest)} is larger than the padded shape {tuple(sizes)}.")
    kind = np.result_type(*items)
    filler = ("" if kind.kind in "SU" else 0) if values is None else values
    whole = np.full((len(items), *sizes), filler, kind)
    for i, part in enumerate(items):
        corner: Any = (i, *map(slice, part.shape))
        whole[corner] = part
    return whole.view(Shown)
