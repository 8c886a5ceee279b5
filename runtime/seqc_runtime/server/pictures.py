"""Images to the input of a model."""

from __future__ import annotations

import io
import math
import warnings
from typing import Any

import numpy as np

from seqc_runtime.errors import RuntimeDependencyError
from seqc_runtime.inputs import Array
from seqc_runtime.server.limits import Limits
from seqc_runtime.server.messages import Buffer, Refusal
from seqc_runtime.server.signature import Declared

_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
_ORIENTATION = 0x0112
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_picture(body: Buffer, declared: Declared, scale: str, layout: str | None, limits: Limits) -> Array:
    """An image as one sample: resized to the declared height and width, in the declared number of channels.

    An image is turned as its EXIF says, as browsers turn it, and 16 bits of grey become 8. Pixels are 0 to 255, for an
    input of int8 -128 to 127.

    scale: what the pixels are divided by; 1 leaves them as they are. layout: "channels_first" or
    "channels_last", or None to see it by the sizes. limits: of pixels.

    Raises Refusal: 400, 413, 501 without pillow.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError as error:
        message = 'images need pillow: pip install "seqc-runtime[images]" on the server'
        raise Refusal(501, message) from RuntimeDependencyError(str(error))
    if not body:
        raise Refusal(400, "the body is empty, and not an image")
    height, width, channels, first = _sizes(declared, layout)
    divisor = _divisor(scale, declared)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(body), formats=_FORMATS) as image:
                if image.width * image.height > limits.pixels:
                    raise Refusal(413, f"the image has {image.width} x {image.height} pixels; at most {limits.pixels}")
                picture = _converted(_upright(image), _MODES[channels])
    except Refusal:
        raise
    except UnidentifiedImageError as error:  # whose own words are the address of an object
        raise Refusal(400, f"the body is not an image of a kind that is read: {', '.join(_FORMATS)}") from error
    except Exception as error:  # decoders fail in their own ways
        raise Refusal(400, f"the body is not an image that can be read: {str(error)[:200]}") from error
    size = (width or picture.width, height or picture.height)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    pixels = np.asarray(picture, np.uint8).reshape(size[1], size[0], channels)
    if first:
        pixels = np.moveaxis(pixels, -1, 0)
    rank = len(declared.shape)
    if rank == 2 or (rank == 3 and channels == 1):
        pixels = pixels.reshape((-1,) if rank == 2 else size[::-1])
    array = _as_declared(pixels, declared)
    return np.ascontiguousarray(array[None] / declared.dtype.type(divisor) if divisor != 1 else array[None])


def _as_declared(pixels: Array, declared: Declared) -> Array:
    # The middle is 0 for int8, in which bright pixels have no room.
    return (pixels ^ 128).view(np.int8) if declared.dtype == np.int8 else pixels.astype(declared.dtype)


def _upright(image: Any) -> Any:
    """An image of 8 bits a channel, as its EXIF says that it is seen; as it is where that cannot be read."""
    from PIL import Image

    try:
        turned = image.getexif().get(_ORIENTATION)
    except Exception:  # as decoders do, in their own ways
        turned = None
    if image.mode.startswith("I"):
        image = _in_eight_bits(image)
    kind = Image.Transpose
    mirrored, upside = kind.FLIP_LEFT_RIGHT, kind.FLIP_TOP_BOTTOM
    ways = (mirrored, kind.ROTATE_180, upside, kind.TRANSPOSE, kind.ROTATE_270, kind.TRANSVERSE, kind.ROTATE_90)
    return image.transpose(ways[turned - 2]) if turned in range(2, 9) else image


def _in_eight_bits(image: Any) -> Any:
    """An image of 16 bits of grey in 8; pillow would take whatever is above 255 for white."""
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    clear = image.info.get("transparency")
    if clear is not None:
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    return grey


def _converted(image: Any, mode: str) -> Any:
    """An image in a mode, which need not be the file's; without transparency such places are white, as on paper."""
    if mode != "RGBA" and (image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info):
        from PIL import Image

        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, "white")
        image = Image.alpha_composite(white, clear)
    return image.convert(mode)


def _divisor(scale: str, declared: Declared) -> float:
    try:
        divisor = float(scale)
    except ValueError:
        divisor = 0.0
    if not (math.isfinite(divisor) and divisor > 0):
        raise Refusal(400, f"scale needs a number above 0, which pixels are divided by; got {scale[:100]!r}")
    if divisor != 1 and declared.dtype.kind != "f":
        raise Refusal(400, f"scale needs an input of floats; {declared.name!r} has {declared}")
    return divisor


def _sizes(declared: Declared, layout: str | None) -> tuple[int | None, int | None, int, bool]:
    """Height, width (None where free), channels, and whether these come first."""
    shape = declared.shape
    if declared.dtype.kind in "fiu":
        sizes: list[int | None] = [size if isinstance(size, int) else None for size in shape]
        if len(sizes) == 4:
            first = sizes[1] in _MODES and (layout == "channels_first" or sizes[3] not in _MODES)
            height, width, channels = (*sizes[2:], sizes[1]) if first else sizes[1:]
            if channels in _MODES:
                return height, width, int(channels), first
        elif len(sizes) == 3:
            return sizes[1], sizes[2], 1, False
        elif len(sizes) == 2 and sizes[1] is not None:
            side = math.isqrt(sizes[1])
            if side * side == sizes[1]:
                return side, side, 1, False
    raise Refusal(
        400,
        f"input {declared.name!r} {declared} is no image: it needs [batch, height, width, channels] with 1, 3 or 4 "
        "channels, or channels first, or [batch, height, width], or rows of a square of pixels",
    )
