"""Images as arrays, under the names that Keras has here."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ShapeError
from seqc.graph.ir import Array
from seqc.utils.absent import absent
from seqc.utils.pictures import array_to_img, img_to_array, load_img, resized, save_img

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]


def smart_resize(
    x: Any,
    size: Any,
    interpolation: str = "bilinear",
    data_format: str = "channels_last",
    backend_module: Any = None,
) -> Array:
    """Returns images of another size, the middle of each cut out first so that nothing is stretched.

    Whole numbers become float32, but for "nearest".

    Args:
        x: an image (height, width, channels), or several with the batch first.
        size: (height, width) of the result.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        data_format: "channels_last" or "channels_first".
        backend_module: accepted and not used.

    Raises:
        ShapeError: x has another number of axes. ConfigError: another argument makes no sense.
    """
    array = np.asarray(x)
    if array.ndim not in (3, 4):
        raise ShapeError(
            f"Expected an image array with shape `(height, width, channels)`, or `(batch_size, height, width, "
            f"channels)`, but got input with incorrect rank, of shape {array.shape}."
        )
    return resized(array, size, interpolation, crop=True, data_format=data_format)


__getattr__ = absent(__name__, __all__)
