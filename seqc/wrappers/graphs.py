"""What a fitted wrapper computes, as a graph: the model's, then labels and probabilities as the wrapper makes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.errors import ExportError
from seqc.graph.ir import Graph, Value, apply
from seqc.graph.scopes import scope
from seqc.graph.strings import STRING
from seqc.ops.reduce import ArgMax
from seqc.ops.strings import LookUp
from seqc.wrappers.base import SKLBase
from seqc.wrappers.estimators import SKLearnClassifier, SKLearnTransformer
from seqc.wrappers.reading import Reading

LABEL, PROBABILITIES, SCORES = "label", "probabilities", "scores"


def output_names(estimator: SKLBase) -> tuple[str, ...]:
    """Returns what outputs of a file are called: of a classifier the label, and probabilities or scores."""
    if isinstance(estimator, SKLearnClassifier):
        return LABEL, SCORES if estimator._reading.scale == "scores" else PROBABILITIES
    return ("features",) if isinstance(estimator, SKLearnTransformer) else ("prediction",)


def with_estimator(graph: Graph, estimator: SKLBase, raw_scores: bool = False) -> Graph:
    """Returns a model's inference graph with the outputs of its wrapper in place of its own.

    Args:
        graph: of the model. estimator: the fitted wrapper. raw_scores: whether a classifier's second output is what
        `decision_function` gives, with a column for each of two classes, too.

    Raises:
        ExportError: the classes are of a type that no file has.
    """
    outputs: tuple[Value, ...] = graph.outputs
    if isinstance(estimator, SKLearnClassifier):
        y, reading = graph.outputs[0], estimator._reading
        with scope(LABEL, whole=True):
            label = labels(_chosen(y, reading), estimator.classes_) if reading.exclusive else _chosen(y, reading)
        name = SCORES if raw_scores or reading.scale == "scores" else PROBABILITIES
        with scope(name, whole=True):
            outputs = (label, _scores(y, reading, raw_scores) if name == SCORES else _probabilities(y, reading))
    return Graph(graph.inputs, outputs, output_names(estimator))


def _chosen(y: Value, reading: Reading) -> Value:
    """Returns what `Reading.chosen` does."""
    if not reading.alone:
        numbers = apply(ArgMax(1), y)
        return numbers if reading.exclusive else ops.cast(ops.one_hot(numbers, reading.columns), "int64")
    above = ops.cast(ops.greater(y, reading.middle), "int64")
    return ops.squeeze(above, 1) if reading.exclusive else above


def _scores(y: Value, reading: Reading, raw: bool) -> Value:
    scores = _decision(y, reading)
    return ops.stack([-scores, scores], axis=1) if raw and scores.type.rank == 1 else scores


def _decision(y: Value, reading: Reading) -> Value:
    """Returns what `Reading.decision` does."""
    if not reading.alone:
        return ops.squeeze(y[:, 1:] - y[:, :1], 1) if reading.exclusive and reading.columns == 2 else y
    moved = y - reading.middle if reading.middle else y
    return ops.squeeze(moved, 1) if reading.exclusive else moved


def labels(numbers: Value, classes: Any) -> Value:
    """Returns the classes that have these numbers."""
    if classes.dtype.kind in "OUS" and all(isinstance(c, str) for c in classes.tolist()):
        names = tuple(classes.tolist())
        return apply(LookUp(tuple(range(len(names))), names, "", "int64", STRING), numbers)
    if classes.dtype.kind not in "biuf":
        raise ExportError(
            f"A file has labels of numbers or strings; those of this classifier are of type {classes.dtype}: "
            f"{list(classes[:3])}."
        )
    if np.array_equal(classes, np.arange(len(classes))):
        return numbers if classes.dtype.kind != "b" else ops.cast(numbers, "bool")
    return ops.take(np.asarray(classes, np.float32 if classes.dtype.kind == "f" else np.int64), numbers, axis=0)


def _probabilities(y: Value, reading: Reading) -> Value:
    """Returns what `Reading.probabilities` does, in the model's precision."""
    p = {"softmax": ops.softmax, "sigmoid": ops.sigmoid}.get(reading.scale, lambda same: same)(y)
    if not reading.exclusive or reading.summed:
        return p
    if reading.columns == 1:
        return ops.concatenate([1.0 - p, p], axis=1)
    p = ops.clip(p, EPSILON, 1.0)
    return p / ops.sum(p, axis=1, keepdims=True)
