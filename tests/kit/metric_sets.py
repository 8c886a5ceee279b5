"""Every metric class beside others: tables of metrics that fit the same labels, and sets in which all pairs meet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

import seqc as keras
from seqc import Sequential, layers, metrics
from seqc.graph.ir import Array
from seqc.saving import register_keras_serializable

Make = Callable[[], Any]
SAMPLES, BATCH = 19, 8  # two full batches and a part


@dataclass(frozen=True, eq=False)
class Labels:
    """A kind of labels.

    Attributes:
        y: the labels. units, activation: of the output. loss: what fits them. table: metrics by a name of their own.
    """

    y: Array
    units: int
    activation: str
    loss: str
    table: dict[str, Make]

    def model(self) -> Sequential:
        """Returns a model with fixed weights."""
        model = Sequential([keras.Input((3,)), layers.Dense(self.units, self.activation)])
        rng = np.random.default_rng(8)
        model.set_weights([rng.normal(0, 0.9, w.shape).astype("float32") for w in model.get_weights()])
        return model


def _table(*made: Make) -> dict[str, Make]:
    """Returns metrics by class, and by a number where a class comes with several configurations."""
    found: dict[str, Make] = {}
    for make in made:
        name = type(make()).__name__
        found[name if name not in found else f"{name} {sum(n.split()[0] == name for n in found) + 1}"] = make
    return found


@register_keras_serializable("tests")
def distance(y_true: Any, y_pred: Any) -> Any:
    """A metric of the user's own."""
    return keras.ops.mean(keras.ops.absolute(y_true - y_pred), -1)


M = metrics
# What goes with labels and predictions of one shape, whatever they mean.
ERRORS: tuple[Make, ...] = (
    M.MeanSquaredError, M.RootMeanSquaredError, M.MeanAbsoluteError, M.MeanAbsolutePercentageError,
    M.MeanSquaredLogarithmicError, M.LogCoshError, M.CosineSimilarity, M.R2Score,
    lambda: M.R2Score("variance_weighted_average"), lambda: M.MeanMetricWrapper(distance),
)  # fmt: skip
COUNTS: tuple[Make, ...] = (
    M.TruePositives, M.FalsePositives, M.TrueNegatives, M.FalseNegatives, lambda: M.TruePositives([0.3, 0.7]),
    M.Precision, lambda: M.Precision(0.7), M.Recall, lambda: M.Recall([0.2, 0.6]),
    M.AUC, lambda: M.AUC(curve="PR"), lambda: M.AUC(num_thresholds=20, summation_method="majoring"),
    lambda: M.PrecisionAtRecall(0.5), lambda: M.RecallAtPrecision(0.6), lambda: M.SensitivityAtSpecificity(0.5),
    lambda: M.SpecificityAtSensitivity(0.5), lambda: M.F1Score(threshold=0.5),
    lambda: M.FBetaScore("micro", 2.0, 0.5),
)  # fmt: skip
SHARES: tuple[Make, ...] = (M.KLDivergence, M.Poisson, M.Hinge, M.SquaredHinge, M.Accuracy)
BINARY = (
    *COUNTS, *ERRORS, *SHARES, M.BinaryAccuracy, lambda: M.BinaryAccuracy(threshold=0.7), M.BinaryCrossentropy,
    M.BinaryIoU, lambda: M.BinaryIoU([1], 0.3),
)  # fmt: skip
ONE_HOT = (
    *ERRORS, *SHARES, M.CategoricalAccuracy, M.CategoricalCrossentropy, M.CategoricalHinge,
    lambda: M.TopKCategoricalAccuracy(2), M.F1Score, lambda: M.F1Score("macro"), lambda: M.FBetaScore("weighted", 0.5),
    lambda: M.OneHotIoU(4, [0, 2]), lambda: M.OneHotMeanIoU(4), lambda: M.Precision(class_id=1),
    lambda: M.Recall(top_k=2), lambda: M.AUC(multi_label=True), M.AUC, M.TruePositives, M.PearsonCorrelation,
    M.ConcordanceCorrelation,
)  # fmt: skip
SPARSE = (
    M.SparseCategoricalAccuracy, M.SparseCategoricalCrossentropy, lambda: M.SparseTopKCategoricalAccuracy(2),
    lambda: M.SparseTopKCategoricalAccuracy(3), lambda: M.MeanIoU(4, sparse_y_pred=False),
    lambda: M.IoU(4, [1, 3], sparse_y_pred=False),
)  # fmt: skip
REGRESSION = (*ERRORS, M.PearsonCorrelation, M.ConcordanceCorrelation, lambda: M.R2Score(None, 1))

_RNG = np.random.default_rng(5)
X = _RNG.normal(size=(SAMPLES, 3)).astype("float32")
WEIGHTS = _RNG.integers(1, 5, SAMPLES).astype("float32") / 2
_CLASSES = _RNG.integers(0, 4, SAMPLES)
LABELS = {
    "binary": Labels((_CLASSES[:, None] > 1).astype("float32"), 1, "sigmoid", "binary_crossentropy", _table(*BINARY)),
    "one-hot": Labels(np.eye(4, dtype="float32")[_CLASSES], 4, "softmax", "categorical_crossentropy", _table(*ONE_HOT)),
    "sparse": Labels(_CLASSES, 4, "softmax", "sparse_categorical_crossentropy", _table(*SPARSE)),
    "regression": Labels(_RNG.normal(size=(SAMPLES, 3)).astype("float32"), 3, "linear", "mse", _table(*REGRESSION)),
}

# Lists that scripts are often seen with.
TUTORIALS: dict[str, tuple[str, list[Make]]] = {
    "imbalanced data": (
        "binary",
        [
            M.BinaryCrossentropy, lambda: M.MeanSquaredError(name="brier_score"), M.TruePositives, M.FalsePositives,
            M.TrueNegatives, M.FalseNegatives, M.BinaryAccuracy, M.Precision, M.Recall, M.AUC,
            lambda: M.AUC(curve="PR", name="prc"),
        ],
    ),
    "precision and recall": ("binary", [M.Precision, M.Recall]),
    "text classification": ("binary", [lambda: M.BinaryAccuracy(threshold=0.0), lambda: "accuracy"]),
    "medical images": ("binary", [lambda: "acc", M.Precision, M.Recall, M.F1Score, M.AUC, M.BinaryIoU]),
    "image classification": ("sparse", [lambda: "accuracy", lambda: M.SparseTopKCategoricalAccuracy(2, name="top2")]),
    "multi-class": (
        "one-hot",
        [lambda: "accuracy", M.Precision, M.Recall, M.AUC, lambda: M.F1Score("macro"), lambda: "mse"],
    ),
    "per class": ("one-hot", [partial(M.Recall, class_id=c) for c in range(4)]),
    "segmentation": ("sparse", [lambda: "accuracy", lambda: M.MeanIoU(4, sparse_y_pred=False)]),
    "regression": ("regression", [lambda: "mae", lambda: "mse", M.RootMeanSquaredError, M.R2Score]),
    "house prices": ("regression", [lambda: "mae", lambda: "mape", M.MeanSquaredLogarithmicError]),
}  # fmt: skip


def pairs(names: Iterable[str]) -> list[tuple[str, str]]:
    """Returns all pairs, those of a metric with another of the same configuration among them."""
    return list(combinations_with_replacement(names, 2))


def covering_sets(names: Sequence[str], size: int) -> list[list[str]]:
    """Returns sets of `size` metrics in which every pair occurs, each chosen so that most new pairs are in it."""
    left = set(pairs(names))
    sets: list[list[str]] = []
    while left:
        chosen: list[str] = []
        for _ in range(size):
            new = {n: {_pair(names, n, m) for m in chosen} & left for n in names}
            open_pairs = {n: sum(n in p for p in left) for n in names}
            best = max(names, key=lambda n: (len(new[n]), open_pairs[n]))
            left -= new[best]
            chosen.append(best)
        sets.append(chosen)
    return sets


def _pair(names: Sequence[str], a: str, b: str) -> tuple[str, str]:
    return (a, b) if names.index(a) <= names.index(b) else (b, a)
