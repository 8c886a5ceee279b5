"""Operations of `keras_functional`: those of images, which are made of x and y."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def _gray(ops: Any, x: Any) -> Any:
    """Images of 4 x 4 x 3 elements, of which each row is a mixture of the rows of x."""
    return ops.reshape(ops.tile(ops.matmul(np.ones((4, 3), "float32") / 3, x), (1, 1, 3)), (-1, 4, 4, 3))


def _colors(ops: Any, x: Any) -> Any:
    return ops.sigmoid(_gray(ops, x))


_AFFINE = np.array([1.0, 0.1, 0.2, -0.1, 1.0, 0.3, 0.0, 0.0], "float32")
_START = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 3.0]], "float32")
_END = np.array([[0.2, 0.0], [3.0, 0.3], [0.0, 2.8], [2.9, 3.0]], "float32")
_PLACES = np.array([[0.5, 1.0], [1.5, 2.0]], "float32")

# What each is called like: on x and y of shape (batch, 3, 4), or on k, of integers.
IMAGES: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "affine_transform": lambda ops, x, y, k: ops.image.affine_transform(
        _colors(ops, x), ops.zeros_like(x[:, 0, :1]) + _AFFINE
    ),
    "perspective_transform": lambda ops, x, y, k: ops.image.perspective_transform(
        _colors(ops, x), ops.zeros_like(x[:, :1, :2]) + _START, ops.zeros_like(x[:, :1, :2]) + _END
    ),
    "map_coordinates": lambda ops, x, y, k: ops.image.map_coordinates(ops.sum(x, 0), _PLACES, 1),
    "resize": lambda ops, x, y, k: ops.image.resize(_colors(ops, x), (6, 5)),
    "rgb_to_grayscale": lambda ops, x, y, k: ops.image.rgb_to_grayscale(_colors(ops, x)),
    "rgb_to_hsv": lambda ops, x, y, k: ops.image.rgb_to_hsv(_colors(ops, x)),
    "hsv_to_rgb": lambda ops, x, y, k: ops.image.hsv_to_rgb(_colors(ops, x)),
    "crop_images": lambda ops, x, y, k: ops.image.crop_images(_colors(ops, x), 1, 1, target_height=2, target_width=3),
    "pad_images": lambda ops, x, y, k: ops.image.pad_images(_colors(ops, x), 1, 2, target_height=6, target_width=8),
    "extract_patches": lambda ops, x, y, k: ops.image.extract_patches(_colors(ops, x), (2, 2)),
    "gaussian_blur": lambda ops, x, y, k: ops.image.gaussian_blur(_colors(ops, x), (3, 3), (1.0, 1.0)),
    "sobel_edges": lambda ops, x, y, k: ops.image.sobel_edges(_colors(ops, x)),
    "scale_and_translate": lambda ops, x, y, k: ops.image.scale_and_translate(
        _colors(ops, x)[0],
        (4, 4, 3),
        np.array([1.5, 0.5], "float32"),
        np.array([0.1, 0.2], "float32"),
        (0, 1),
        "linear",
    ),
    "ssim": lambda ops, x, y, k: ops.image.ssim(_colors(ops, x), _colors(ops, y), filter_size=3),
    "psnr": lambda ops, x, y, k: ops.psnr(x, y, 1.0),
    "depth_to_space": lambda ops, x, y, k: ops.depth_to_space(ops.expand_dims(x, 1), 2),
    "space_to_depth": lambda ops, x, y, k: ops.space_to_depth(_gray(ops, x), 2),
    "unfold": lambda ops, x, y, k: ops.unfold(ops.transpose(_gray(ops, x), (0, 3, 1, 2)), 2),
    "fold": lambda ops, x, y, k: ops.fold(ops.unfold(ops.transpose(_gray(ops, x), (0, 3, 1, 2)), 2), (4, 4), 2),
}
