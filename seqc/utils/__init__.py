"""Small public helpers, under Keras's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seqc.errors import DataError
from seqc.graph.ir import Array, HasValue, Value
from seqc.random import set_random_seed
from seqc.serialization import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from seqc.utils.absent import absent, late
from seqc.utils.batches import PyDataset
from seqc.utils.display import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from seqc.utils.naming import clear_session
from seqc.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
from seqc.utils.sequences import pad_sequences

if TYPE_CHECKING:
    from seqc.saving import deserialize_keras_object, serialize_keras_object
    from seqc.utils import bounding_boxes
    from seqc.utils.audio_folders import audio_dataset_from_directory
    from seqc.utils.config import Config
    from seqc.utils.downloads import get_file
    from seqc.utils.feature_space import FeatureSpace
    from seqc.utils.image_folders import image_dataset_from_directory
    from seqc.utils.model_visualization import model_to_dot, plot_model
    from seqc.utils.pictures import array_to_img, img_to_array, load_img, save_img
    from seqc.utils.progbar import Progbar
    from seqc.utils.splitting import split_dataset
    from seqc.utils.symbols import get_source_inputs, is_keras_tensor, standardize_dtype
    from seqc.utils.text_folders import text_dataset_from_directory
    from seqc.utils.timeseries import timeseries_dataset_from_array

__all__ = [
    "Config",
    "CustomObjectScope",
    "FeatureSpace",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "bounding_boxes",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

Sequence = PyDataset  # its older name
CustomObjectScope = custom_object_scope


def to_categorical(x: Any, num_classes: int | None = None) -> Array:
    """Returns class numbers as rows with a single 1, in float64; those of a tensor in float32, as Keras does.

    Args:
        x: integers of any shape; a last axis of size one is dropped. num_classes: by default the largest plus one.

    Raises:
        DataError: a number is negative or not below `num_classes`.

    Example:
        >>> seqc.utils.to_categorical([2, 0], num_classes=3)
        array([[0., 0., 1.],
               [1., 0., 0.]])
    """
    numbers = np.asarray(x).astype("int64")
    if numbers.ndim > 1 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    classes = num_classes or int(numbers.max()) + 1
    if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
        raise DataError(f"Class numbers must lie in [0, {classes}); got {numbers.min()} to {numbers.max()}.")
    rows = np.zeros((numbers.size, classes), "float32" if isinstance(x, Value | HasValue) else "float64")
    rows[np.arange(numbers.size), numbers.ravel()] = 1
    return rows.reshape(*numbers.shape, classes)


def normalize(x: Any, axis: int = -1, order: int = 2) -> Array:
    """Returns x divided by its norm of the given order along an axis; zero vectors stay zero.

    As in Keras, an array of one axis is taken for a matrix of one row; a list stays as it is and becomes float32.
    """
    if isinstance(x, list | tuple):
        array = np.asarray(x, "float32")
    else:
        array = np.atleast_2d(x) if np.ndim(x) == 1 else np.asarray(x)
    norm = np.atleast_1d(np.linalg.norm(array, order, axis, keepdims=True))
    return np.asarray(array / np.where(norm == 0, 1, norm))


# What knows models or functions of seqc.ops, which are made of what is here, by the modules that have it.
_LATER = {
    "bounding_boxes": "seqc.utils.bounding_boxes",
    **dict.fromkeys(("model_to_dot", "plot_model"), "seqc.utils.model_visualization"),
    **dict.fromkeys(("array_to_img", "img_to_array", "load_img", "save_img"), "seqc.utils.pictures"),
    "image_dataset_from_directory": "seqc.utils.image_folders",
    **dict.fromkeys(("deserialize_keras_object", "serialize_keras_object"), "seqc.saving"),
    **dict.fromkeys(("get_source_inputs", "is_keras_tensor", "standardize_dtype"), "seqc.utils.symbols"),
    "timeseries_dataset_from_array": "seqc.utils.timeseries",
    "Config": "seqc.utils.config",
    "FeatureSpace": "seqc.utils.feature_space",
    "Progbar": "seqc.utils.progbar",
    "audio_dataset_from_directory": "seqc.utils.audio_folders",
    "get_file": "seqc.utils.downloads",
    "split_dataset": "seqc.utils.splitting",
    "text_dataset_from_directory": "seqc.utils.text_folders",
}
__getattr__ = late(__name__, _LATER, absent(__name__, __all__))


def __dir__() -> list[str]:
    return __all__
