"""Estimators in words that skl2onnx knows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from seqc.errors import ExportError
from seqc.wrappers.base import SKLBase
from seqc.wrappers.columns import MISSING, is_missing
from seqc.wrappers.kinds import picked
from seqc.wrappers.walking import estimators_in, is_estimator


def in_its_words(estimator: Any, names: Sequence[str]) -> Any:
    """Returns a copy of an estimator that says otherwise what skl2onnx would not understand.

    That is strings that are missing, slices and masks of columns, steps of a pipeline that do nothing, and frozen ones.

    Args:
        estimator: fitted. names: of the file's inputs.

    Raises:
        ExportError: a step does what skl2onnx would leave out without a word.
    """
    changed = _thawed(copy.deepcopy(estimator))
    for path, found in estimators_in(changed):
        if isinstance(found, SimpleImputer) and hasattr(found, "statistics_"):
            if found.indicator_ is not None:
                raise ExportError(
                    f"skl2onnx cannot convert step '{path}' (SimpleImputer) with add_indicator=True: it writes no such "
                    "columns."
                )
            if _has_strings(found.statistics_) and not isinstance(found.missing_values, str):
                found.missing_values = MISSING
        elif isinstance(found, Pipeline):
            steps = [(name, step) for name, step in found.steps if step is not None and not isinstance(step, str)]
            found.steps = steps or found.steps
        elif isinstance(found, ColumnTransformer) and hasattr(found, "transformers_"):
            found.transformers_ = [
                (name, inner, _listed(found, key, names)) for name, inner, key in found.transformers_
            ]
        elif hasattr(found, "categories_"):
            found.categories_ = [_with_missing(categories) for categories in found.categories_]
    return changed


def _thawed(held: Any) -> Any:
    """Returns an object with the estimators themselves where they were frozen, which says only how `fit` goes."""
    if isinstance(held, FrozenEstimator):
        return _thawed(held.estimator)
    if type(held) in (list, tuple):
        return type(held)(_thawed(one) for one in held)
    if isinstance(held, dict):
        held.update({key: _thawed(one) for key, one in held.items()})
    elif is_estimator(held) and not isinstance(held, SKLBase):
        for name, one in list(vars(held).items()):
            setattr(held, name, _thawed(one))
    return held


def _has_strings(array: Any) -> bool:
    return any(isinstance(one, str) for one in np.ravel(array).tolist())


def _with_missing(categories: Any) -> Any:
    """Returns strings with that for a missing one in its place."""
    if categories.dtype != object or not _has_strings(categories):
        return categories
    return np.array([MISSING if is_missing(one) else one for one in categories.tolist()], object)


def _listed(table: ColumnTransformer, key: Any, names: Sequence[str]) -> list[Any]:
    """Returns columns that a ColumnTransformer takes by name where they are inputs, and otherwise by number."""
    own = [str(name) for name in getattr(table, "feature_names_in_", range(table.n_features_in_))]
    found = picked(key, own)
    return found if own == list(names) else [own.index(name) for name in found]
