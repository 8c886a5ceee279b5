"""Losses under Keras's names, as classes and as functions."""

from __future__ import annotations

from typing import Any

from seqc import serialization
from seqc.losses.base import Loss, object_name
from seqc.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    categorical_crossentropy,
    sparse_categorical_crossentropy,
)
from seqc.losses.errors import (
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from seqc.losses.focal import (
    BinaryFocalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    binary_focal_crossentropy,
    categorical_focal_crossentropy,
    categorical_generalized_cross_entropy,
)
from seqc.losses.hinges import (
    CategoricalHinge,
    Hinge,
    SquaredHinge,
    categorical_hinge,
    hinge,
    squared_hinge,
)
from seqc.losses.label_values import check_labels
from seqc.losses.named import FUNCTIONS
from seqc.losses.overlaps import (
    CosineSimilarity,
    Dice,
    KLDivergence,
    Poisson,
    Tversky,
    cosine_similarity,
    dice,
    kl_divergence,
    poisson,
    tversky,
)
from seqc.losses.pairs import Circle, circle
from seqc.losses.sequences import CTC, ctc
from seqc.losses.wrapper import LossFunctionWrapper
from seqc.utils.absent import absent

__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "check_labels",
    "circle",
    "cosine_similarity",
    "ctc",
    "deserialize",
    "dice",
    "get",
    "hinge",
    "huber",
    "kind_of_labels",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "object_name",
    "poisson",
    "resolve",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]

_SHORT = {
    "bce": binary_crossentropy,
    "kld": kl_divergence,
    "mae": mean_absolute_error,
    "mape": mean_absolute_percentage_error,
    "mse": mean_squared_error,
    "msle": mean_squared_logarithmic_error,
}
_ALIASES: dict[str, Any] = FUNCTIONS | _SHORT
_ALIASES |= {name.upper(): function for name, function in _SHORT.items()}


def get(identifier: Any) -> Any:
    """Returns the loss object or function that a name, a configuration, a function or an object stands for.

    Raises:
        ConfigError: it stands for none.
    """
    return serialization.get(identifier, "losses", "loss", _ALIASES)


def resolve(identifier: Any, y_true_shape: tuple[Any, ...], y_pred_shape: tuple[Any, ...]) -> Loss | None:
    """Returns a loss object ready to be called, as `compile` needs it.

    Args:
        identifier: as for `get`; "crossentropy" or "ce" is chosen by the shapes. A function is wrapped.
        y_true_shape, y_pred_shape: of labels and output, batch first.
    """
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        found: Any = _crossentropy(y_true_shape, y_pred_shape)
    else:
        found = get(identifier)
    if found is None or isinstance(found, Loss):
        return found
    return LossFunctionWrapper(found, name=object_name(identifier if isinstance(identifier, str) else found))


def kind_of_labels(y_true_shape: tuple[Any, ...], y_pred_shape: tuple[Any, ...]) -> str:
    """Returns "binary", "sparse" or "categorical": what Keras takes labels for, by their shape and the output's."""
    if y_pred_shape[-1] == 1:
        return "binary"
    wide = isinstance(y_pred_shape[-1], int) and y_pred_shape[-1] > 1
    if len(y_true_shape) < len(y_pred_shape) or (y_true_shape[-1] == 1 and wide):
        return "sparse"
    return "categorical"


def _crossentropy(y_true_shape: tuple[Any, ...], y_pred_shape: tuple[Any, ...]) -> Any:
    return {
        "binary": binary_crossentropy,
        "sparse": sparse_categorical_crossentropy,
        "categorical": categorical_crossentropy,
    }[kind_of_labels(y_true_shape, y_pred_shape)]


def serialize(loss: Any) -> Any:
    """Returns a loss as plain data."""
    return serialization.serialize(loss)


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Returns the loss that plain data describe, or that a name stands for."""
    return get(name) if isinstance(name, str) else serialization.deserialize(name, custom_objects)


_absent = absent(__name__, __all__, "A function of (y_true, y_pred) made of seqc.ops is a loss too.")


def __getattr__(name: str) -> Any:
    short = _SHORT.get(name.lower()) if name in (name.lower(), name.upper()) else None
    return short or _absent(name)  # `tf.keras.losses.mse`, as well as "mse"
