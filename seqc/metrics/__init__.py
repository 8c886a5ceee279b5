"""Metrics under Keras's names."""

from __future__ import annotations

from typing import Any

from seqc import losses, serialization
from seqc.known_classes import classes
from seqc.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from seqc.losses.base import object_name
from seqc.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from seqc.metrics.base import Metric
from seqc.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from seqc.metrics.curves import (
    AUC,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from seqc.metrics.errors import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from seqc.metrics.overlap import (
    BinaryIoU,
    IoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
)
from seqc.metrics.reduction import Mean, MeanMetricWrapper, Sum
from seqc.metrics.scores import (
    ConcordanceCorrelation,
    F1Score,
    FBetaScore,
    PearsonCorrelation,
    R2Score,
    concordance_correlation,
    pearson_correlation,
)
from seqc.utils.absent import absent, late
from seqc.utils.naming import snake_case

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "resolve",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

_SHORT = {
    "bce": BinaryCrossentropy,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "mse": MeanSquaredError,
    "msle": MeanSquaredLogarithmicError,
}
_ALIASES: dict[str, Any] = {snake_case(name): cls for name, cls in classes("metrics").items()} | _SHORT
_ALIASES |= {name.upper(): cls for name, cls in _SHORT.items()}


def get(identifier: Any) -> Any:
    """Returns the metric that a name, a configuration, a function or an object stands for; a class is constructed.

    Raises:
        ConfigError: it stands for none.
    """
    return serialization.get(identifier, "metrics", "metric", _ALIASES)


def resolve(identifier: Any, y_true_shape: tuple[Any, ...], y_pred_shape: tuple[Any, ...]) -> Metric:
    """Returns a metric object ready to be updated, named as Keras names it in logs.

    Args:
        identifier: as for `get`; "accuracy" (or "acc") and "crossentropy" (or "ce") are chosen by the shapes. A
            function is wrapped in a `MeanMetricWrapper`.
        y_true_shape, y_pred_shape: of labels and output, batch first.
    """
    found: Any = None
    if isinstance(identifier, str):
        kind = losses.kind_of_labels(y_true_shape, y_pred_shape)
        found = _BY_LABELS.get(_FAMILIES.get(identifier.lower(), ""), {}).get(kind)
    found = get(identifier) if found is None else found()
    metric = found if isinstance(found, Metric) else MeanMetricWrapper(found, object_name(found))
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


_FAMILIES = {"accuracy": "accuracy", "acc": "accuracy", "crossentropy": "crossentropy", "ce": "crossentropy"}
_BY_LABELS: dict[str, dict[str, type[Metric]]] = {
    "accuracy": {
        "binary": BinaryAccuracy,
        "sparse": SparseCategoricalAccuracy,
        "categorical": CategoricalAccuracy,
    },
    "crossentropy": {
        "binary": BinaryCrossentropy,
        "sparse": SparseCategoricalCrossentropy,
        "categorical": CategoricalCrossentropy,
    },
}


def serialize(metric: Any) -> Any:
    """Returns a metric as plain data."""
    return serialization.serialize(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the metric that plain data describe, or that a name stands for."""
    return get(config) if isinstance(config, str) else serialization.deserialize(config, custom_objects)


# Losses by the short names under which Keras has them here, too.
_OF_LOSSES = ("kld", "mae", "mape", "mse", "msle")
__getattr__ = late(
    __name__,
    dict.fromkeys([*_OF_LOSSES, *map(str.upper, _OF_LOSSES)], "seqc.losses"),
    absent(__name__, __all__, "A function of (y_true, y_pred) made of seqc.ops is a metric too."),
)
