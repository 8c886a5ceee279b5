"""Files of images as arrays and back, under Keras's names. They are read and written with Pillow."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array
from seqc.ops._pictures import is_first
from seqc.ops.image_frames import part_of, resize
from seqc.utils.display import note

_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
# What red, green and blue count for in grey, in parts of 2**15, as libpng has them.
_GREY = (9797, 19234, 3737)
_KINDS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow(who: str) -> Any:
    """Returns Pillow's module of images.

    Raises:
        DataError: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise DataError(f"{who} needs Pillow, which is not installed: pip install 'seqc[images]'.") from error
    return Image


def check_color_mode(color_mode: Any) -> None:
    """Raises ConfigError where there is no such kind of pictures."""
    if color_mode not in _MODES:
        raise ConfigError(f'color_mode must be "grayscale", "rgb", or "rgba". Received: color_mode={color_mode!r}')


def decoded(path: str, color_mode: str) -> Array:
    """Returns a file of an image as bytes (height, width, channels), as TensorFlow's `decode_image` gives them.

    Keras reads folders by it, and `load_img` by Pillow, which rounds grey otherwise and keeps 16 bits.

    Args:
        path: of the file. color_mode: "grayscale", "rgb" or "rgba".
    """
    image = pillow("image_dataset_from_directory")
    with image.open(path) as img:
        if color_mode == "grayscale" and img.format == "JPEG":
            img.draft("L", img.size)  # the brightness as the file has it
        if img.mode.startswith("I"):
            img = image.fromarray((np.asarray(img) >> 8).astype("uint8"))
        if color_mode == "grayscale" and img.mode in ("RGB", "RGBA", "P", "PA"):
            grey: Array = np.asarray(img.convert("RGB"), "int32") @ np.array(_GREY, "int32") >> 15
            return grey.astype("uint8")[..., None]
        array: Array = np.asarray(img.convert(_MODES[color_mode]))
    return array[..., None] if array.ndim == 2 else array


def resized(images: Array, size: Any, interpolation: str, crop: bool, data_format: str | None = None) -> Array:
    """Returns images of another size: floats of whole numbers, which `ops.image.resize` rounds, but for "nearest".

    Args:
        images: see `seqc.ops.image.resize`, and so for the others. crop: its `crop_to_aspect_ratio`.
    """
    if interpolation != "nearest" and (images.dtype.kind in "biu" or images.dtype == "float64"):
        images = images.astype("float32")
    return np.asarray(resize(images, size, interpolation, crop_to_aspect_ratio=crop, data_format=data_format))


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = None) -> Array:
    """Returns a picture of Pillow as an array (height, width, channels).

    Args:
        img: the picture, or an array. data_format: "channels_first" for (channels, height, width).
        dtype: float32 by default.
    """
    array, first = np.asarray(img, "float32" if dtype is None else dtype), is_first(data_format)
    if array.ndim not in (2, 3):
        raise DataError(f"Unsupported image shape: {array.shape}")
    array = array[..., None] if array.ndim == 2 else array
    return array.transpose(2, 0, 1) if first else array


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: Any = None) -> Any:
    """Returns an array (height, width, channels) as a picture of Pillow.

    Args:
        x: with 1, 3 or 4 channels. data_format: "channels_first" for (channels, height, width).
        scale: whether the values are stretched so that they go from 0 to 255. dtype: to compute in.
    """
    image, array = pillow("array_to_img"), np.array(x, "float32" if dtype is None else dtype)
    if array.ndim != 3:
        raise DataError(f"Expected image array to have rank 3 (single image). Got array with shape: {array.shape}")
    array = array.transpose(1, 2, 0) if is_first(data_format) else array
    if array.shape[2] not in (1, 3, 4):
        raise DataError(f"Unsupported channel number: {array.shape[2]}")
    if scale:
        array = array - array.min()
        array = array / (array.max() or 1) * 255
    if array.shape[2] > 1:
        return image.fromarray(np.ascontiguousarray(array.astype("uint8")))
    deep = array.max() > 255
    return image.fromarray(np.ascontiguousarray(array[..., 0].astype("int32" if deep else "uint8")))


def save_img(
    path: Any, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True, **kwargs: Any
) -> None:
    """Writes an array (height, width, channels) to a file of an image.

    Args:
        path: of the file, or a file that is open. x, data_format, scale: see `array_to_img`.
        file_format: by default what the path ends with. kwargs: for Pillow.
    """
    if file_format is None and isinstance(path, str | Path):
        file_format = Path(path).suffix[1:].lower()
    file_format = "jpeg" if file_format and file_format.lower() == "jpg" else file_format
    img = array_to_img(x, data_format, scale)
    if img.mode == "RGBA" and file_format == "jpeg":
        note("The JPEG format does not support RGBA images, converting to RGB.", warn=True)
        img = img.convert("RGB")
    img.save(path, format=file_format, **kwargs)


def load_img(
    path: Any,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """Returns a file of an image as a picture of Pillow.

    Args:
        path: of the file, or its bytes in a BytesIO. color_mode: "grayscale", "rgb" or "rgba".
        target_size: height and width that it is brought to. interpolation: of Pillow, "nearest" to "lanczos".
        keep_aspect_ratio: whether the largest part in the middle with the aspect ratio of `target_size` is taken.
    """
    check_color_mode(color_mode)
    image = pillow("load_img")
    img = image.open(path if isinstance(path, BytesIO) else BytesIO(Path(path).read_bytes()))
    if img.mode != _MODES[color_mode] and not (color_mode == "grayscale" and img.mode in ("I;16", "I")):
        img = img.convert(_MODES[color_mode])
    if target_size is None or img.size == (target_size[1], target_size[0]):
        return img
    if interpolation not in _KINDS:
        raise ConfigError(f"Invalid interpolation method {interpolation} specified. Supported methods are {_KINDS}")
    box = None
    if keep_aspect_ratio:
        (top, high), (left, wide) = part_of(img.size[::-1], target_size)
        box = (left, top, left + wide, top + high)
    return img.resize((target_size[1], target_size[0]), getattr(image.Resampling, interpolation.upper()), box=box)
