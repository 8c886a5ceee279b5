"""Which integers of a table a file takes as such: those that stand for categories. All others are numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from seqc.wrappers.base import SKLBase

_ENCODERS = (OneHotEncoder, OrdinalEncoder, TargetEncoder)


def categorical(estimator: Any, names: Sequence[str], floats: set[str]) -> set[str]:
    """Returns the columns that go into encoders of categories and nowhere else, and not together with floats.

    Args:
        estimator: fitted. names: of all columns. floats: those with floats.
    """
    found: set[str] = set()
    others: set[str] = set()
    for first, columns in _readers(estimator, list(names)):
        alone = _takes_categories(first) and not floats & set(columns)
        (found if alone else others).update(columns)
    return found - others


def _takes_categories(estimator: Any) -> bool:
    """Tells whether an estimator reads numbers as categories: encoders, and models that begin with an Embedding."""
    if isinstance(estimator, SKLBase):
        return "int" in str(estimator.model_._ports()[0].dtype)
    return isinstance(estimator, _ENCODERS)


def _readers(estimator: Any, columns: list[str]) -> Iterator[tuple[Any, list[str]]]:
    """Yields the estimators that read columns of the data first, with these."""
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step is not None and not isinstance(step, str)]
        yield from _readers(steps[0], columns) if steps else ()
    elif isinstance(estimator, ColumnTransformer):
        for _, inner, key in estimator.transformers_:
            if not isinstance(inner, str) or inner != "drop":
                yield from _readers(inner, picked(key, columns))
    elif isinstance(estimator, FeatureUnion):
        for _, inner in estimator.transformer_list:
            yield from _readers(inner, columns)
    elif hasattr(estimator, "best_estimator_"):
        yield from _readers(estimator.best_estimator_, columns)
    else:
        yield estimator, columns


def picked(key: Any, columns: list[str]) -> list[str]:
    """Returns the names of columns that a ColumnTransformer takes: by name or number, in a list, mask or slice."""
    if isinstance(key, slice):
        ends = (columns.index(e) if isinstance(e, str) else e for e in (key.start, key.stop))
        start, stop = ends
        if isinstance(key.stop, str):
            stop += 1  # such slices have their last name in them
        return columns[slice(start, stop, key.step)]
    listed = np.atleast_1d(np.asarray(key))
    if listed.dtype == bool:
        return [name for name, taken in zip(columns, listed, strict=True) if taken]
    return [name if isinstance(name, str) else columns[name] for name in listed.tolist()]
