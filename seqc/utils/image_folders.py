"""Folders of images, one for each class, as data to train with."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.graph.ir import Array
from seqc.utils.folders import Folder
from seqc.utils.pictures import check_color_mode, decoded, pillow, resized

_FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


def image_dataset_from_directory(
    directory: str | PathLike[str],
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Sequence[int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Returns the images in a folder, batch by batch, from 0 to 255; `fit` takes them.

    Files are read as TensorFlow reads them, by which Keras does it: 8 bits of each channel, grey as libpng rounds it.
    Pixels of JPEG differ by a few levels, for Pillow decodes them more exactly than TensorFlow does.
    Batches are float32, and bytes where `interpolation` is "nearest".

    Args:
        directory: the folder.
        labels: "inferred" where there is a folder in it for each class; numbers, one per image in the order of their
        paths; or None for images alone.
        label_mode: "int", "categorical" (one-hot), "binary" (0.0 or 1.0, of two classes), or None.
        class_names: the folders, in the order of their numbers; by default all, in the order of their names.
        color_mode: "grayscale", "rgb" or "rgba".
        batch_size: images in a batch; None for one at a time, without an axis of batches.
        image_size: height and width that images are brought to.
        shuffle: whether their order is random, drawn by `seed`, and another one in each epoch.
        validation_split: the part of them, the last, that is for validation; subset: "training", "validation" or
        "both" for a list of the two.
        interpolation, crop_to_aspect_ratio: see `seqc.ops.image.resize`.
        pad_to_aspect_ratio: whether images keep their aspect ratio and get zeros around them.
        follow_links: whether folders that are links are looked into. data_format: whether channels come last or first.
        format: "tf" or "grain", which makes no difference: batches come as arrays.
        verbose: whether it is said how many images there are.

    Raises:
        ConfigError: an argument makes no sense. DataError: there are no images, or other labels than images.
        MissingDependencyError: Pillow is not installed.
    """
    pillow("image_dataset_from_directory")
    interpolation = str(interpolation).lower()
    check_color_mode(color_mode)
    if interpolation not in _INTERPOLATIONS:
        raise ConfigError(f"Argument `interpolation` should be one of {_INTERPOLATIONS}. Received: {interpolation!r}")
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if pad_to_aspect_ratio and crop_to_aspect_ratio:
        raise ConfigError("Only one of `pad_to_aspect_ratio` & `crop_to_aspect_ratio` can be `True`.")

    def read(path: str) -> Array:
        image = decoded(path, color_mode)
        if pad_to_aspect_ratio:
            image = _padded(image, size, interpolation)
        else:
            image = resized(image, size, interpolation, crop_to_aspect_ratio)
        return image.transpose(2, 0, 1) if data_format == "channels_first" else image

    folder = Folder(
        str(directory), _FORMATS, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        follow_links, format, verbose,
    )  # fmt: skip
    return folder.datasets(lambda paths: np.stack([read(path) for path in paths]))


def _padded(image: Array, size: Sequence[int], interpolation: str) -> Array:
    """Returns an image as large as fits into a size, and zeros around it, rounded as TensorFlow does."""
    sides = np.array(image.shape[:2], "float32")
    fitting = sides / (sides / np.array(size, "float32")).max()
    high, wide = (int(side) for side in fitting)
    top, left = (max(0, int(border)) for border in (np.array(size, "float32") - fitting) / 2)
    small = resized(image, (high, wide), interpolation, crop=False)
    return np.pad(small, ((top, size[0] - top - high), (left, size[1] - left - wide), (0, 0)))
