"""Small public helpers, under Keras's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array
from seqc.random import set_random_seed
from seqc.serialization import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from seqc.utils.absent import absent
from seqc.utils.batches import PyDataset
from seqc.utils.naming import clear_session
from seqc.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from seqc.utils.sequences import pad_sequences

if TYPE_CHECKING:
    from seqc.utils.model_visualization import model_to_dot, plot_model

__all__ = [
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

Sequence = PyDataset  # its older name


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Returns class numbers as rows with a single 1 (float32).

    Args:
        x: integers of any shape; a last axis of size one is dropped. num_classes: by default the largest plus one.

    Raises:
        DataError: a number is negative or not below `num_classes`.
    """
    numbers = np.asarray(x).astype("int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    classes = num_classes or int(numbers.max()) + 1
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise DataError(f"Class numbers must lie in [0, {classes}); got {numbers.min()} to {numbers.max()}.")
    rows: Array = np.eye(classes, dtype="float32")[numbers]
    return rows


def normalize(x: Any, axis: int = -1, order: int = 2) -> Array:
    """Returns x divided by its norm of the given order along an axis; zero vectors stay zero."""
    array = np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(array, order, axis, keepdims=True))
    return np.asarray(array / np.where(norm == 0, 1, norm))


_absent = absent(__name__, __all__)


def __getattr__(name: str) -> Any:
    if name in ("model_to_dot", "plot_model"):  # they know models, which are made of what is here
        from seqc.utils import model_visualization

        return getattr(model_visualization, name)
    return _absent(name)


def __dir__() -> list[str]:
    return __all__
