"""What `CalibratedClassifierCV` makes of its classifiers' scores, as a graph.

skl2onnx's own converter takes the nearest point of an isotonic regression, where scikit-learn goes along the line
between two of them, and knows no temperatures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline

from seqc import ops
from seqc.errors import ExportError
from seqc.graph import dims
from seqc.graph.batch import BATCH
from seqc.graph.ir import Array, Graph, Value, apply, input_value
from seqc.ops.reduce import ArgMax
from seqc.wrappers.estimators import SKLearnClassifier
from seqc.wrappers.graphs import LABEL, PROBABILITIES, labels

# What scikit-learn adds to probabilities before it takes their logarithm.
_TINY = 1e-12


def calibrated_graph(estimator: CalibratedClassifierCV) -> Graph:
    """Returns labels and probabilities, computed of the scores of each of the calibrated classifiers.

    These have a column for each class. Of two classes the second is what `decision_function` gives, or the probability
    of the second class where there is none.

    Raises:
        ExportError: a classifier was fitted without one of the classes, or the way of calibrating is not known.
    """
    classes, pairs = estimator.classes_, estimator.calibrated_classifiers_
    shape = dims.symbol(BATCH), len(classes)
    scores = [input_value(f"scores_{i}", "float32", shape) for i in range(len(pairs))]
    found = [_calibrated(pair, one) for pair, one in zip(pairs, scores, strict=True)]
    mean = sum(found[1:], found[0]) / len(found) if len(found) > 1 else found[0]
    return Graph(tuple(scores), (labels(apply(ArgMax(1), mean), classes), mean), (LABEL, PROBABILITIES))


def last_of(estimator: Any) -> Any:
    """Returns the classifier at the end of a pipeline, or the estimator itself."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def _calibrated(pair: Any, scores: Value) -> Value:
    """Returns the probabilities of one classifier and its calibrators."""
    count, known = len(pair.classes), len(pair.estimator.classes_)
    if known != count:
        raise ExportError(
            f"A classifier in CalibratedClassifierCV was fitted on {known} of {count} classes; a file needs all of "
            "them. Folds that are stratified have them."
        )
    if pair.method == "temperature":
        return ops.softmax(_logits(pair.estimator, scores, count) * float(pair.calibrators[0].beta_))
    curve = {"sigmoid": _sigmoid, "isotonic": _isotonic}.get(pair.method)
    if curve is None:
        raise ExportError(f"CalibratedClassifierCV with method={pair.method!r} has no ONNX form here.")
    columns = [scores[:, i : i + 1] for i in ([1] if count == 2 else range(count))]
    found = [curve(calibrator, one) for calibrator, one in zip(pair.calibrators, columns, strict=True)]
    if count == 2:
        return ops.concatenate([1.0 - found[0], found[0]], axis=1)
    p = ops.concatenate(found, axis=1)
    total = ops.sum(p, axis=1, keepdims=True)
    none = ops.equal(total, 0.0)
    return ops.where(none, 1.0 / count, p / ops.where(none, 1.0, total))


def _sigmoid(calibrator: Any, x: Value) -> Value:
    return ops.sigmoid(-(x * float(calibrator.a_) + float(calibrator.b_)))


def _isotonic(calibrator: Any, x: Value) -> Value:
    """Returns what lies on the lines between the points of an isotonic regression."""
    xs, ys = (np.asarray(a, np.float64) for a in (calibrator.X_thresholds_, calibrator.y_thresholds_))
    if len(xs) == 1:
        return x * 0.0 + float(ys[0])
    slopes = np.diff(ys) / np.diff(xs)
    x = ops.clip(x, float(xs[0]), float(xs[-1]))
    passed = ops.cast(ops.greater_equal(x, _single(xs[1:-1])[None]), "int64")
    piece = ops.sum(passed, axis=1, keepdims=True) if len(xs) > 2 else ops.cast(x * 0.0, "int64")
    start, low, high, slope = (ops.take(_single(a), piece, axis=0) for a in (xs[:-1], ys[:-1], ys[1:], slopes))
    # Points that are closer than float32 tells apart make slopes that would lead beyond the next one.
    return ops.minimum(low + (x - start) * slope, high)


def _single(numbers: Array) -> Array:
    return numbers.astype(np.float32)


def _logits(classifier: Any, scores: Value, count: int) -> Value:
    """Returns what a temperature divides: scores, or logarithms of what scikit-learn takes for probabilities."""
    last = last_of(classifier)
    if not hasattr(classifier, "decision_function"):
        return ops.log(scores + _TINY)
    if count == 2:
        return ops.concatenate([-scores[:, 1:], scores[:, 1:]], axis=1)
    reading = last._reading if isinstance(last, SKLearnClassifier) else None
    rows_are_probabilities = reading is not None and reading.summed and reading.scale == "probabilities"
    return ops.log(scores + _TINY) if rows_are_probabilities else scores
