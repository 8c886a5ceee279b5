"""What is done to images before models of ImageNet see them, and what their classes are called."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from seqc import ops
from seqc.applications._published import Published
from seqc.errors import ConfigError, DataError, ShapeError
from seqc.graph.element_types import FLOATS
from seqc.graph.ir import Array, Value
from seqc.utils.absent import absent

__all__ = ["decode_predictions", "preprocess_input"]

_MODES = ("caffe", "tf", "torch")
_FORMATS = ("channels_last", "channels_first")
# Of ImageNet: means of blue, green and red from 0 to 255; means and deviations of red, green and blue from 0 to 1.
_MEANS_BGR = (103.939, 116.779, 123.68)
_MEANS_RGB = (0.485, 0.456, 0.406)
_DEVIATIONS_RGB = (0.229, 0.224, 0.225)
_INDEX = Published(
    "imagenet_class_index.json",
    "https://storage.googleapis.com/download.tensorflow.org/data/",
    "c2c37ea517e94d9795004a39431a14cb",
)
_MOST_BYTES = 1 << 24


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe") -> Any:
    """Returns images as a model takes them that was trained on ImageNet.

    Args:
        x: an array or a symbol, (batch, height, width, 3) or without the batch, of numbers from 0 to 255. As in Keras,
            an array of floats is written over.
        data_format: "channels_first" for (batch, 3, height, width); "channels_last" by default.
        mode: "caffe" for blue, green, red less their means; "tf" for numbers from -1 to 1; "torch" for numbers from 0
            to 1, normalized by channel.

    Raises:
        ConfigError: there is no such mode or format. ShapeError: the images have not three channels.
    """
    if mode not in _MODES:
        raise ConfigError(f"Expected mode to be one of `caffe`, `tf` or `torch`. Received: mode={mode}")
    if data_format not in (None, *_FORMATS):
        raise ConfigError(
            "Expected data_format to be one of `channels_first` or `channels_last`. "
            f"Received: data_format={data_format}"
        )
    x = x if isinstance(x, Value) else _floats(x)
    if mode == "tf":
        return _scaled(x, 127.5, 1.0)
    axis = _channels(x, data_format or "channels_last")
    if mode == "caffe":
        turned = ops.flip(x, axis) if isinstance(x, Value) else np.flip(x, axis)
        return _scaled(turned, None, _along(_MEANS_BGR, axis, x))
    x = _scaled(x, 255.0, _along(_MEANS_RGB, axis, x))
    return _scaled(x, _along(_DEVIATIONS_RGB, axis, x), None)


def caffe(x: Any, data_format: str | None = None) -> Any:
    """Returns images with their channels in the order blue, green, red, less the means of ImageNet.

    Args:
        x, data_format: see `seqc.applications.imagenet_utils.preprocess_input`.
    """
    return preprocess_input(x, data_format, "caffe")


def tf(x: Any, data_format: str | None = None) -> Any:
    """Returns images of numbers from -1 to 1.

    Args:
        x, data_format: see `seqc.applications.imagenet_utils.preprocess_input`.
    """
    return preprocess_input(x, data_format, "tf")


def torch(x: Any, data_format: str | None = None) -> Any:
    """Returns images of numbers from 0 to 1, normalized by the means and deviations of ImageNet.

    Args:
        x, data_format: see `seqc.applications.imagenet_utils.preprocess_input`.
    """
    return preprocess_input(x, data_format, "torch")


def unchanged(x: Any, data_format: str | None = None) -> Any:
    """Returns images as they are: the models themselves do what is to be done to numbers from 0 to 255.

    Args:
        x, data_format: as for other applications.
    """
    return x


for _mode in (caffe, tf, torch, unchanged):
    _mode.__name__ = _mode.__qualname__ = "preprocess_input"


def _numbers(given: Any, what: str) -> Array:
    """Returns an array of numbers; DataError says what they are, and what came."""
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise DataError(f"{what} come as one array, or as a list of parts of the same shape ({error}).") from error
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise DataError(f"{what} are arrays of numbers or symbols; got {type(given).__name__} of {array.dtype.name}.")
    return array


def _floats(x: Any) -> Array:
    """Returns an array of floats that may be written to: x itself, where it is one of NumPy's kinds."""
    array = _numbers(x, "Images")
    if array.dtype.kind != "f":
        from seqc.dtype_policies import floatx

        return array.astype(floatx())
    return array if array.flags.writeable else array.copy()


def _scaled(x: Any, divisor: Any, mean: Any) -> Any:
    """Returns x divided, less the mean; an array is written over."""
    if divisor is not None:
        if isinstance(x, Value):
            x = x / divisor
        else:
            x /= divisor
    if mean is not None:
        if isinstance(x, Value):
            x = x - mean
        else:
            x -= mean
    return x


def _channels(x: Any, data_format: str) -> int:
    """Returns which axis has the channels, counted from the end."""
    shape = tuple(x.shape)
    axis = -1 if data_format == "channels_last" else -3
    if len(shape) < -axis or shape[axis] not in (3, None):
        raise ShapeError(
            f"Images of ImageNet have three channels, the {'last' if axis == -1 else 'third last'} axis with "
            f"data_format={data_format!r}. Received: shape={shape}"
        )
    return axis


def _along(numbers: tuple[float, ...], axis: int, x: Any) -> Array:
    """Returns numbers of channels as an array that broadcasts against x."""
    dtype = x.type.dtype if isinstance(x, Value) else x.dtype
    array = np.asarray(numbers, dtype if str(dtype) in FLOATS else "float32")
    return array.reshape(-1, *(1,) * (-axis - 1))


def decode_predictions(
    preds: Any, top: int = 5, *, class_index: str | os.PathLike[str] | Mapping[str, Any] | None = None
) -> list[list[tuple[str, str, Any]]]:
    """Returns the most likely classes of each sample: (number in WordNet, name, score), the highest score first.

    Args:
        preds: scores of classes, (samples, 1000).
        top: how many classes.
        class_index: the path of a JSON file {"0": [number, name], ...}, or a dictionary like it, of other classes; by
            default Keras's file for ImageNet, from its cache or downloaded.

    Raises:
        ShapeError: there are not as many scores as classes. ConfigError: top is no positive integer. DataError: scores
        are no numbers; or the file is not there and cannot be downloaded, or is no such file.
    """
    if not isinstance(top, int | np.integer) or top < 1:
        raise ConfigError(f"top says how many classes to name: 1 or more. Received: top={top!r}")
    scores = _numbers(preds, "Predictions")
    index = None if class_index is None else _index(class_index)
    if scores.ndim != 2 or scores.shape[1] != (1000 if index is None else len(index)):
        raise ShapeError(
            "`decode_predictions` expects a batch of predictions (i.e. a 2D array of shape "
            f"(samples, {1000 if index is None else len(index)})). Received array with shape: {scores.shape}"
        )
    names = _index_of_imagenet() if index is None else index
    return [[(*names[i], row[i]) for i in _best(row)[:top]] for row in scores]


def _best(scores: Array) -> Array:
    """Returns the places of scores of any type, the highest first; of equal ones, the first first."""
    # Not those of -scores: what has no sign wraps around.
    return len(scores) - 1 - np.argsort(scores[::-1], kind="stable")[::-1]


@cache
def _index_of_imagenet() -> list[tuple[str, str]]:
    try:
        return _index(_INDEX.path("decode_predictions"))
    except DataError as error:
        raise DataError(
            "decode_predictions needs the names of ImageNet's classes. "
            f"{error.__cause__ or error} Or give class_index=, the path of such a file."
        ) from error


def _index(given: str | os.PathLike[str] | Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns numbers and names of classes by their place, out of a file or a dictionary."""
    source = "class_index" if isinstance(given, Mapping) else f"'{os.fspath(given)}'"
    try:
        held = given if isinstance(given, Mapping) else _read(Path(given))
        return [(str(number), str(name)) for number, name in (held[str(i)] for i in range(len(held)))]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f'{source} is no index of classes: {{"0": ["n01440764", "tench"], "1": ...}}, every class in its place '
            f"({error})."
        ) from error


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise DataError(f"'{file}' has more than {_MOST_BYTES} bytes: it is no index of classes.")
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"'{file}' cannot be read: {error}.") from error


def corrected_pad(x: Any, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Returns the zeros around an image with which strides of two meet the same places as in TensorFlow."""
    height, width = x.shape[1:3]
    known = height is not None
    near = tuple(kernel // 2 - (1 - size % 2 if known else 1) for size in (height, width))
    return (near[0], kernel // 2), (near[1], kernel // 2)


__getattr__ = absent(__name__, __all__)
