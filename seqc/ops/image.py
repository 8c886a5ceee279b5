"""All functions of `keras.ops.image`; what has them is loaded when one is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqc.ops._calls import remembered
from seqc.utils.absent import absent, late, places_in

if TYPE_CHECKING:
    from seqc.ops.colors import hsv_to_rgb, rgb_to_grayscale, rgb_to_hsv
    from seqc.ops.image_filters import extract_patches, extract_patches_3d, gaussian_blur, sobel_edges, ssim
    from seqc.ops.image_frames import crop_images, pad_images, resize, scale_and_translate
    from seqc.ops.image_warps import affine_transform, elastic_transform, map_coordinates, perspective_transform

__all__ = [
    "affine_transform", "crop_images", "elastic_transform", "extract_patches", "extract_patches_3d", "gaussian_blur",
    "hsv_to_rgb", "map_coordinates", "pad_images", "perspective_transform", "resize", "rgb_to_grayscale", "rgb_to_hsv",
    "scale_and_translate", "sobel_edges", "ssim",
]  # fmt: skip

_LATE = {
    "colors": "hsv_to_rgb rgb_to_grayscale rgb_to_hsv",
    "image_filters": "extract_patches extract_patches_3d gaussian_blur sobel_edges ssim",
    "image_frames": "crop_images pad_images resize scale_and_translate",
    "image_warps": "affine_transform elastic_transform map_coordinates perspective_transform",
}
__getattr__ = late(
    __name__,
    places_in("seqc.ops", _LATE),
    absent(__name__, __all__),
    lambda found, _: remembered(found),
)


def __dir__() -> list[str]:
    return __all__
