"""What losses and metrics give at the edge of what they take: for no samples, no variation, NaN, infinity.

`python -m kit.edge_inputs FILE`, run where Keras is installed, records what Keras gives. Sparse crossentropies of rows
that are no shares are those of TensorFlow, where Keras limits shares before it divides by their sum.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

NAN, INF = float("nan"), float("inf")
SHARES = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4]], "float32")
NUMBERS = np.array([1, 0, 2, 1], "int32")
HOT = np.eye(3, dtype="float32")[NUMBERS]

LOSSES = {
    "same": [
        "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
        "CategoricalHinge", "CosineSimilarity", "Dice", "Hinge", "Huber", "KLDivergence", "LogCosh",
        "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError",
        "Poisson", "SquaredHinge", "Tversky",
    ],
    "classes": ["SparseCategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"],
}  # fmt: skip
METRICS: dict[str, list[dict[str, Any]]] = {
    "AUC": [{}, {"curve": "PR"}, {"curve": "PR", "summation_method": "majoring"}, {"curve": "PRGAIN"},
            {"summation_method": "minoring"}, {"multi_label": True, "num_labels": 3}],
    "BinaryIoU": [{}], "F1Score": [{"average": a} for a in (None, "micro", "macro", "weighted")],
    "FBetaScore": [{"beta": 2.0, "threshold": 0.5}], "IoU": [{"num_classes": 3, "target_class_ids": [0, 2]}],
    "MeanIoU": [{"num_classes": 3}], "OneHotIoU": [{"num_classes": 3, "target_class_ids": [0, 1]}],
    "OneHotMeanIoU": [{"num_classes": 3}], "Precision": [{}, {"thresholds": [0.2, 0.6]}, {"top_k": 1}, {"class_id": 1}],
    "PrecisionAtRecall": [{"recall": 0.5}], "Recall": [{}, {"top_k": 2}], "RecallAtPrecision": [{"precision": 0.5}],
    "R2Score": [{}, {"class_aggregation": None}, {"class_aggregation": "variance_weighted_average"},
                {"num_regressors": 1}, {"num_regressors": 9}],
    "SensitivityAtSpecificity": [{"specificity": 0.5}], "SpecificityAtSensitivity": [{"sensitivity": 0.5}],
    "SparseTopKCategoricalAccuracy": [{"k": 2}], "TopKCategoricalAccuracy": [{"k": 2}],
    **{name: [{}] for name in (
        "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
        "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity", "FalseNegatives", "FalsePositives", "Hinge",
        "KLDivergence", "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
        "MeanSquaredLogarithmicError", "PearsonCorrelation", "Poisson", "RootMeanSquaredError",
        "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy", "SquaredHinge", "TrueNegatives", "TruePositives",
    )},
}  # fmt: skip


def _changed(array: Any, at: tuple[int, int], value: float) -> Any:
    array = array.copy()
    array[at] = value
    return array


def _inputs(kind: str) -> dict[str, tuple[Any, Any, Any]]:
    """Returns labels, predictions and weights by name."""
    y, p = (NUMBERS if kind != "same" else HOT), (SHARES if kind != "maps" else np.array([1, 1, 2, 0], "int32"))
    none, zero = np.zeros((0,), "float32"), np.zeros(4, "float32")
    found = {
        "plain": (y, p, None),
        "empty": (y[:0], p[:0], None),
        "empty, weighted": (y[:0], p[:0], none),
        "one sample": (y[:1], p[:1], None),
        "weights 0": (y, p, zero),
        "constant": (np.repeat(y[:1], 4, 0), np.repeat(p[:1], 4, 0), None),
    }
    if kind == "maps":
        return found
    right = np.repeat(HOT[:1], 4, 0)
    found |= {
        "constant, right": (np.repeat(y[:1], 4, 0), right, None),
        "constant, wrong": (np.repeat(y[:1], 4, 0), np.roll(right, 1, 1), None),
        "predictions 0": (y, np.zeros_like(p), None),
        "prediction NaN": (y, _changed(p, (1, 1), NAN), None),
        "prediction infinite": (y, _changed(p, (1, 1), INF), None),
        "prediction minus infinite": (y, _changed(p, (2, 0), -INF), None),
        "weights negative": (y, p, np.array([1, -1, 2, -2], "float32")),
        "weight NaN": (y, p, np.array([1, NAN, 1, 1], "float32")),
    }
    if kind == "same":
        found |= {
            "label NaN": (_changed(y, (0, 0), NAN), p, None),
            "labels 0": (np.zeros_like(y), p, None),
            "labels 1": (np.ones_like(y), p, None),
        }
    return found


def results(keras: Any) -> Iterator[tuple[str, Any]]:
    """Yields the name of a case and what seqc, or Keras, gives."""
    yield from _of_losses(keras)
    yield from _of_metrics(keras)
    yield from _of_numbers(keras)


def _of_losses(keras: Any) -> Iterator[tuple[str, Any]]:
    for kind, names in LOSSES.items():
        for name in names:
            for reduction in ("sum_over_batch_size", "mean_with_sample_weight", "sum", "none"):
                for case, (y, p, w) in _inputs(kind).items():
                    loss = getattr(keras.losses, name)(reduction=reduction)
                    yield f"{name} loss, {reduction}, {case}", loss(y, p, sample_weight=w)


def _of_metrics(keras: Any) -> Iterator[tuple[str, Any]]:
    for name, options in METRICS.items():
        kind = "maps" if name in ("IoU", "MeanIoU") else "classes" if name.startswith("Sparse") else "same"
        for arguments in options:
            given = ", ".join(f"{key}={value}" for key, value in arguments.items())
            for case, (y, p, w) in _inputs(kind).items():
                metric = getattr(keras.metrics, name)(**arguments)
                if name == "BinaryIoU" and w is not None:
                    continue  # its weights are one for each number
                metric.update_state(y, p, sample_weight=w)
                yield f"{name}({given}), {case}", metric.result()
            metric.reset_state()
            yield f"{name}({given}), reset", metric.result()


def _of_numbers(keras: Any) -> Iterator[tuple[str, Any]]:
    for name in ("Mean", "Sum"):
        for case, values, weights in (
            ("empty", np.zeros(0, "float32"), None),
            ("weights 0", SHARES[:, 0], np.zeros(4, "float32")),
            ("NaN", SHARES[:, 0] * NAN, None),
            ("infinite", SHARES[:, 0] + INF, None),
            ("one number", np.float32(3), None),
        ):
            metric = getattr(keras.metrics, name)()
            metric.update_state(values, sample_weight=weights)
            yield f"{name}, {case}", metric.result()


def plain(value: Any) -> Any:
    """Returns numbers as lists of them, rounded; those that JSON lacks as text."""
    rounded = [float(f"{x:.7g}") for x in np.asarray(value, "float64").reshape(-1)]
    numbers = [x if np.isfinite(x) else str(x) for x in rounded]
    return numbers if np.ndim(value) else numbers[0]


def record(path: str) -> None:
    import keras

    lines = [f"{json.dumps(name)}: {json.dumps(plain(value))}" for name, value in results(keras)]
    with open(path, "w") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record(sys.argv[1])
