"""Verifying that a file computes what a fitted estimator computes.

The truth is the estimator with its models in double precision, on the data as they are. How far a file may be off
follows from what single precision makes of the same data: inputs, and what each step of a pipeline hands on, are moved
by as much as they are rounded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline

from seqc.backends.onnxruntime import Session
from seqc.errors import ExportError, VerificationError
from seqc.export.compare import argmax_agreement, compare_arrays, rounding_budget
from seqc.export.record import Case
from seqc.export.report import Fault, OutputCheck, Report
from seqc.graph.ir import Array
from seqc.wrappers.base import in_double_precision
from seqc.wrappers.columns import changed, rows
from seqc.wrappers.graphs import LABEL, PROBABILITIES, SCORES

DRAWS = 3
# How far, as a part of the largest number, rounding may move a row that says something of a file, and how many others
# there may be.
_MOVED, _UNSTEADY = 0.01, 0.05
# A matrix at a scale has roundings of this; how often one number is rounded on its way through a step.
_ROUNDING = float(np.finfo(np.float32).eps)


def answers(estimator: Any, X: Any, shaken: np.random.Generator | None = None) -> dict[str, Array]:
    """Returns what a file is to give, by the names of its outputs.

    Args:
        estimator: fitted. X: rows. shaken: moves inputs, and what steps hand on, by as much as float32 rounds them.
    """
    last = estimator
    if shaken is not None:
        X = _moved(X, shaken)
        if isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                if step is not None and not isinstance(step, str):
                    X = _moved(step.transform(X), shaken)
            last = estimator.steps[-1][1]
    if isinstance(last, str) or last is None:
        raise ExportError("The last step of the pipeline is no estimator, and there is nothing to export after it.")
    if is_classifier(estimator):
        name, ask = _scores_of(last)
        return {LABEL: np.asarray(last.predict(X)), name: np.asarray(ask(X))}
    if is_regressor(estimator):
        found = np.asarray(last.predict(X))
        return {"prediction": found[:, None] if found.ndim == 1 else found}
    if not hasattr(last, "transform") or hasattr(last, "predict"):
        end = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
        raise ExportError(
            f"A file gives what classifiers, regressors and transformers give; this {type(end).__name__} is none of "
            "these."
        )
    return {"features": np.asarray(last.transform(X))}


def _scores_of(classifier: Any) -> tuple[str, Any]:
    if hasattr(classifier, "predict_proba"):
        return PROBABILITIES, classifier.predict_proba
    return SCORES, classifier.decision_function


def _moved(X: Any, rng: np.random.Generator) -> Any:
    def move(x: Array) -> Array:
        scale = np.max(np.abs(x), axis=0, initial=0.0, where=np.isfinite(x))
        return np.asarray(x + rng.uniform(-1, 1, x.shape) * scale * _ROUNDING, x.dtype)

    return changed(X, move)


def verify_estimator(
    estimator: Any, X: Any, inputs: Mapping[str, Array], model: bytes | os.PathLike[str], names: Sequence[str]
) -> tuple[Report, list[Case]]:
    """Runs a file in onnxruntime against its estimator.

    Args:
        estimator: fitted. X: rows. inputs: the same as the file takes them. model: the file. names: of its outputs, in
        the order of `answers`.

    Raises:
        VerificationError: the file computes something else. MissingDependencyError: onnxruntime is not installed.
    """
    start = time.perf_counter()
    with in_double_precision():
        truth = answers(estimator, X)
        moved = [answers(estimator, X, np.random.default_rng(seed)) for seed in range(DRAWS)]
    single = answers(estimator, changed(X, lambda x: x.astype(np.float32).astype(x.dtype)))
    session = Session(model)
    taken = {name: inputs[name] for name in session.input_names}
    got = session.run(taken)
    alone = session.run(rows(taken, 1))
    checks, close = [], np.zeros(len(X), bool)
    for name, key in reversed(list(zip(names, truth, strict=True))):
        check = OutputCheck(name)
        if key == LABEL:
            checks.append(_check_labels(check, got[name], truth[key], single[key], close))
            continue
        exact, own = np.asarray(truth[key], np.float64), np.asarray(single[key], np.float32)
        steady = _steady(name, exact, [np.asarray(m[key], np.float64) for m in moved])
        # Where a row goes elsewhere in float32, its neighbours say what rounding may come to.
        kept = exact[steady]
        shaken = [np.asarray(m[key], np.float64)[steady] for m in moved]
        budget = max(rounding_budget(kept, own[steady]), *(rounding_budget(kept, m) for m in shaken)) + _ROUNDING
        check = compare_arrays(replace(check, budget=budget), _plain(got[name], exact)[steady], kept, own[steady])
        if steady[0]:
            check = compare_arrays(check, _plain(alone[name], exact[:1]), exact[:1], own[:1])
        share = argmax_agreement(got[name][steady], kept) if isinstance(got[name], np.ndarray) else []
        checks.append(replace(check, argmax_agreement=share[0] if share else None))
        close = _undecided(exact, budget, truth.get(LABEL)) | ~steady
    report = Report(tuple(reversed(checks)), ({"batch": len(X)}, {"batch": 1}), time.perf_counter() - start)
    if not report.passed:
        worst = next((found for found in report.outputs if not found.passed), report.worst)
        fault = Fault(f"Output '{worst.name}'", worst, "in onnxruntime than the estimator")
        raise VerificationError(
            f"{fault}. Nothing was written. A file computes in float32: where a step compares numbers, as trees and "
            "binarizers do, rows close to a limit may come out on its other side."
        )
    case = Case(tuple(taken.values()), tuple(truth.values()), tuple(single.values()))
    return report, [case]


def _steady(name: str, exact: Array, moved: Sequence[Array]) -> Array:
    """Returns which rows come out about the same when everything is moved by its rounding in float32.

    Raises:
        VerificationError: there are so many others that a file in float32 would be no use.
    """
    shift = np.max([np.abs(m - exact) for m in moved], 0).reshape(len(exact), -1)
    scale = float(np.max(np.abs(exact), initial=0.0, where=np.isfinite(exact)))
    steady = ~np.any(shift > _MOVED * scale, 1)
    if np.sum(~steady) > max(1.0, _UNSTEADY * len(steady)):
        raise VerificationError(
            f"Output '{name}' of {np.sum(~steady)} of {len(steady)} rows changes by more than {_MOVED:.0%} when inputs "
            "are rounded to float32, which is what a file takes. Nothing was written. Subtract from columns of large "
            "numbers, such as times in seconds, what all rows have in common before the pipeline sees them; steps that "
            "compare numbers, as trees and binarizers do, need rows that are not close to a limit."
        )
    return np.asarray(steady)


def _plain(got: Any, truth: Array) -> Array:
    """Returns probabilities as a matrix where they come as a dictionary for each sample."""
    if isinstance(got, list):
        return np.array([list(one.values()) for one in got], np.float32).reshape(truth.shape)
    return np.asarray(got)


def _undecided(scores: Array, budget: float, labels: Array | None) -> Array:
    """Returns for each row whether rounding may choose its label."""
    if scores.ndim == 1:
        return np.asarray(np.abs(scores) <= budget)
    if labels is not None and labels.ndim > 1:
        return np.asarray((np.abs(scores - 0.5) <= budget).any(-1))
    ordered = np.sort(scores, -1)
    return (
        np.asarray(ordered[:, -1] - ordered[:, -2] <= 2 * budget)
        if scores.shape[1] > 1
        else np.zeros(len(scores), bool)
    )


def _check_labels(check: OutputCheck, got: Array, truth: Array, single: Array, close: Array) -> OutputCheck:
    if got.shape != truth.shape:
        return replace(check, wrong=f"has shape {got.shape}, not {truth.shape}")
    same = (got == truth) | (got == single)
    wrong = ~((same if same.ndim == 1 else same.all(-1)) | close)
    said = f"has another label in {np.sum(wrong)} of {len(truth)} rows" if wrong.any() else ""
    return replace(check, compared=truth.size, wrong=said)
