"""The estimators inside an estimator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sklearn.calibration import _CalibratedClassifier

from seqc.wrappers.base import SKLBase


def wrappers_in(estimator: Any) -> Iterator[SKLBase]:
    """Yields the fitted wrappers in an estimator, wherever they are."""
    found = (one for _, one in estimators_in(estimator))
    yield from (one for one in found if isinstance(one, SKLBase) and hasattr(one, "model_"))


def estimators_in(held: Any, path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yields the estimators in an object with the names of the steps that lead to them, outer ones first."""
    seen = set() if seen is None else seen
    if isinstance(held, list | tuple):
        for one in held:
            named = isinstance(one, tuple) and one and isinstance(one[0], str)
            yield from estimators_in(one[1:] if named else one, _joined(path, one[0]) if named else path, seen)
    elif isinstance(held, Mapping):
        for one in list(held.values()):
            yield from estimators_in(one, path, seen)
    elif is_estimator(held) and id(held) not in seen:
        seen.add(id(held))
        if not isinstance(held, _CalibratedClassifier):
            yield path, held
        if not isinstance(held, SKLBase):
            fitted = sorted(vars(held).items(), key=lambda pair: not pair[0].endswith("_"))
            for _, one in fitted:
                yield from estimators_in(one, path, seen)


def is_estimator(held: Any) -> bool:
    """Returns whether an object is an estimator, or what `CalibratedClassifierCV` keeps of one and its calibrators."""
    return (hasattr(held, "get_params") and not isinstance(held, type)) or isinstance(held, _CalibratedClassifier)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
