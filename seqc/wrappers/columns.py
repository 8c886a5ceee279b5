"""The data of an estimator as the inputs of a file: one matrix of an array, and of a frame one column each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.wrappers.kinds import categorical

# What the one input of an array is called.
MATRIX = "X"
# What a string that is missing is in a file, which has one for every row.
MISSING = ""
# More than this is not compared.
_MOST_ROWS = 1024


def some_rows(X: Any) -> Any:
    """Returns the rows of an array or a frame that a verification looks at: the first of them.

    Raises:
        DataError: it is none, or has no rows.
    """
    if not _is_frame(X):
        X = X if hasattr(X, "dtype") else np.asarray(X)
        if not isinstance(X, np.ndarray):
            raise DataError(f"Give X as an array or a frame; got {type(X).__name__}. Sparse data: X.toarray().")
        if X.ndim < 2:
            raise DataError(f"X has a row for each sample, (samples, features); got shape {X.shape}.")
    if not len(X):
        raise DataError("X has no rows; an export needs some to know the types of columns and to verify the file.")
    return X[:_MOST_ROWS]


def as_inputs(X: Any, estimator: Any) -> dict[str, Array]:
    """Returns rows as a file takes them, by name.

    float32; int64 where whole numbers, or booleans, are categories for the estimator; or strings, of which a missing
    one is the empty one.

    Raises:
        DataError: a column is of a type that no file has.
    """
    if not _is_frame(X):
        # One matrix has one type: whole numbers where all of them are categories.
        numbers = [str(i) for i in range(X.shape[1])]
        whole = categorical(estimator, numbers, set()) == set(numbers) if X.ndim == 2 else X.dtype.kind in "iu"
        return {MATRIX: _as_input("X", _numbers(X), whole)}
    arrays = {name: column(X, name) for name in _names(X)}
    floats = {name for name, array in arrays.items() if array.dtype.kind == "f"}
    kept = categorical(estimator, list(arrays), floats)
    return {name: _as_input(f"Column '{name}'", array, name in kept) for name, array in arrays.items()}


def column(X: Any, name: str) -> Array:
    """Returns a column of a frame as an array, (samples, 1)."""
    return _numbers(np.asarray(X[name])).reshape(-1, 1)


def _numbers(array: Array) -> Array:
    """Returns objects that are numbers as scikit-learn takes them: as floats."""
    if array.dtype != object or not all(isinstance(x, int | float | np.number) or x is None for x in array.ravel()):
        return array
    return array.astype(np.float64)


def changed(X: Any, change: Callable[[Array], Array]) -> Any:
    """Returns an array, or a frame, with other numbers where it has floats."""
    if not _is_frame(X):
        return change(X) if X.dtype.kind == "f" else X
    floats = {name: column(X, name) for name in _names(X)}
    new = {name: change(found)[:, 0] for name, found in floats.items() if found.dtype.kind == "f"}
    if not new:
        return X
    if hasattr(X, "assign"):
        return X.assign(**new)
    return X.with_columns([type(X[name])(name, found) for name, found in new.items()])


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "shape") and len(X.shape) == 2


def _names(X: Any) -> list[str]:
    names = list(X.columns)
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise DataError(f"Columns become inputs by their names: texts, each once; got {names}.")
    return names


def _as_input(who: str, array: Array, whole: bool) -> Array:
    if array.dtype.kind in "fiub":
        return array.astype(np.int64 if whole and array.dtype.kind != "f" else np.float32)
    if array.dtype.kind == "U":
        return array.astype(object)
    if array.dtype == object and all(isinstance(x, str) or is_missing(x) for x in array.ravel()):
        texts = [MISSING if is_missing(x) else x for x in array.ravel()]
        return np.array(texts, object).reshape(array.shape)
    raise DataError(
        f"{who} is of type {array.dtype}; a file takes numbers and strings. Convert it before fitting, dates to "
        "numbers for one, and give columns of several types as a frame."
    )


def is_missing(x: Any) -> bool:
    """Tells whether this stands where a string is missing."""
    return x is None or x != x or str(x) == "<NA>"


def rows(inputs: Mapping[str, Array], count: int) -> dict[str, Array]:
    """Returns the first rows of inputs."""
    return {name: array[:count] for name, array in inputs.items()}
