"""Bounding boxes: their formats, and what they have in common, under the names of `keras.utils.bounding_boxes`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seqc import ops
from seqc.epsilon import EPSILON
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.utils.absent import absent

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]

_Four = tuple[Value, Value, Value, Value]
# Of each format what its four numbers come to as left, top, right and bottom, and back.
_CORNERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "xyxy": (lambda x1, y1, x2, y2: (x1, y1, x2, y2), lambda x1, y1, x2, y2: (x1, y1, x2, y2)),
    "yxyx": (lambda y1, x1, y2, x2: (x1, y1, x2, y2), lambda x1, y1, x2, y2: (y1, x1, y2, x2)),
    "xywh": (lambda x, y, w, h: (x, y, x + w, y + h), lambda x1, y1, x2, y2: (x1, y1, x2 - x1, y2 - y1)),
    "center_xywh": (
        lambda x, y, w, h: (x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0),
        lambda x1, y1, x2, y2: (x1 + (x2 - x1) / 2.0, y1 + (y2 - y1) / 2.0, x2 - x1, y2 - y1),
    ),
    "center_yxhw": (
        lambda y, x, h, w: (x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0),
        lambda x1, y1, x2, y2: (y1 + (y2 - y1) / 2.0, x1 + (x2 - x1) / 2.0, y2 - y1, x2 - x1),
    ),
}
FORMATS = (*_CORNERS, *(f"rel_{name}" for name in ("xyxy", "yxyx", "xywh", "center_xywh")))


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: str = "float32"
) -> Any:
    """Returns boxes (..., 4) in another format, or a dictionary with those in it.

    Args:
        boxes: numbers, or a dictionary with `boxes`.
        source, target: "xyxy" (left, top, right, bottom), "yxyx", "xywh" (left, top, width, height), "center_xywh",
        "center_yxhw", or "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh" in parts of the image's size.
        height, width: of the image, where one of the formats is in parts of them and the other is not.
        dtype: of the result.

    Raises:
        ConfigError: there is no such format, or the image's size is missing. ShapeError: these are no boxes.
    """
    if isinstance(boxes, Mapping):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    value, names = as_value(boxes), (str(source).lower(), str(target).lower())
    if not value.type.rank or value.type.shape[-1] != 4:
        raise ShapeError(f"`boxes` must be a tensor with the last dimension of 4. Received: boxes of {value.type}")
    if any(name not in FORMATS for name in names):
        raise ConfigError(f"Invalid source or target format: {source!r}, {target!r}. Supported formats: {FORMATS}")
    value = ops.cast(value, dtype)
    relative = [name.startswith("rel_") for name in names]
    if any(relative) and (height is None or width is None):
        raise ConfigError(
            f"convert_format() must receive `height` and `width` for relative formats; got source={source!r}, "
            f"target={target!r}, but height={height} and width={width}."
        )
    if names[0] == names[1]:
        return value
    corners: Any = _CORNERS[names[0].removeprefix("rel_")][0](*_parts(value))
    if relative[0] != relative[1]:
        sizes = [ops.cast(size, dtype) for size in (width, height, width, height)]
        scaled = zip(corners, sizes, strict=True)
        corners = [corner * size if relative[0] else corner / size for corner, size in scaled]
    return ops.concatenate(list(_CORNERS[names[1].removeprefix("rel_")][1](*corners)), -1)


def clip_to_image_size(
    bounding_boxes: Mapping[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """Returns boxes with what lies in the image of each; labels of those of which nothing does become -1.

    Args:
        bounding_boxes: a dictionary with `boxes` (..., 4) and perhaps `labels` (...).
        height, width: of the image, for "xyxy". bounding_box_format: "xyxy" or "rel_xyxy".

    Raises:
        ConfigError: the boxes are in another format, or the size is missing.
    """
    _check_format(bounding_box_format, "xyxy", "rel_xyxy")
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    elif height is None or width is None:
        raise ConfigError("`height` and `width` must be set if `bounding_box_format='xyxy'`.")
    boxes = crop(bounding_boxes["boxes"], 0.0, 0.0, height, width)
    result = {**bounding_boxes, "boxes": boxes}
    if result.get("labels") is not None:
        labels = as_value(result["labels"])
        left, top, right, bottom = _parts(boxes)
        exists = (right - left) * (bottom - top) > 0
        exists = exists if labels.type.rank == boxes.type.rank else ops.squeeze(exists, -1)
        result["labels"] = ops.where(exists, labels, ops.cast(-1, labels.dtype))
    return result


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Value:
    """Returns boxes (..., 4) as they lie in a part of an image, limited to it.

    Args:
        boxes: in "xyxy". top, left: where the part begins. height, width: its size.
        bounding_box_format: "xyxy".
    """
    _check_format(bounding_box_format, "xyxy")
    x1, y1, x2, y2 = _parts(boxes)
    columns, rows = (
        [_limited(end - start, size) for end in ends]
        for ends, start, size in (((x1, x2), left, width), ((y1, y2), top, height))
    )
    return ops.concatenate([columns[0], rows[0], columns[1], rows[1]], -1)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Value:
    """Returns boxes (..., 4) as they lie in an image with rows above and columns before it.

    Args:
        boxes: in "xyxy". top, left: how many. height, width: not looked at. bounding_box_format: "xyxy".
    """
    _check_format(bounding_box_format, "xyxy")
    x1, y1, x2, y2 = _parts(boxes)
    return ops.concatenate([x1 + left, y1 + top, x2 + left, y2 + top], -1)


def affine_transform(
    boxes: Any,
    angle: Any,
    translate_x: Any,
    translate_y: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    height: Any,
    width: Any,
    center_x: Any = None,
    center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Value:
    """Returns the boxes around the corners of boxes (batch, number, 4) that have been turned, sheared and scaled.

    Args:
        boxes: in "xyxy". angle: counter-clockwise, in degrees; this and what follows one number (batch,) per image.
        translate_x, translate_y: to the right and down, in parts of the size less one. scale: a factor.
        shear_x, shear_y: angles in degrees. height, width: of the image.
        center_x, center_y: what stays in its place, in parts of the size less one; the middle by default.
        bounding_box_format: "xyxy".
    """
    _check_format(bounding_box_format, "xyxy")
    turn, moved_x, moved_y, by, tilt_x, tilt_y = (
        ops.reshape(ops.cast(number, "float32"), (-1, 1, 1))
        for number in (angle, translate_x, translate_y, scale, shear_x, shear_y)
    )
    turn, tilt_x, tilt_y = (-number * (math.pi / 180) for number in (turn, tilt_x, tilt_y))
    middle_x = (0.5 if center_x is None else center_x) * (width - 1)
    middle_y = (0.5 if center_y is None else center_y) * (height - 1)
    at_x, at_y = middle_x - moved_x * (width - 1), middle_y - moved_y * (height - 1)
    cos, sin = ops.cos(turn - tilt_y) / ops.cos(tilt_y), ops.sin(turn - tilt_y) / ops.cos(tilt_y)
    a, b = (ops.cos(turn) + sin * ops.tan(tilt_x)) * by, -(cos * ops.tan(tilt_x) + ops.sin(turn)) * by
    d, e = sin * by, cos * by
    right, down = middle_x - a * at_x - b * at_y, middle_y - d * at_x - e * at_y
    return around(boxes, lambda x, y: (a * x + b * y + right, d * x + e * y + down))


def around(boxes: Any, moved: Callable[[Value, Value], tuple[Value, Value]]) -> Value:
    """Returns the boxes around the corners of boxes (..., 4) in "xyxy", once `moved` has taken them elsewhere."""
    x1, y1, x2, y2 = _parts(boxes)
    corners = [moved(x, y) for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
    across, down = (ops.concatenate(list(numbers), -1) for numbers in zip(*corners, strict=True))
    ends = [reduced(numbers, -1, keepdims=True) for reduced in (ops.min, ops.max) for numbers in (across, down)]
    return ops.concatenate(ends, -1)


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
) -> Value:
    """Returns how far boxes are from anchors: the way between centers in sizes of the anchor, and logs of sizes.

    Args:
        anchors, boxes: (..., 4) in their formats. encoding_format: "center_xywh" or "center_yxhw", of the result.
        variance: four numbers that the result is divided by. image_shape: height, width and channels of the image.
    """
    spread, (height, width) = _variance(variance), _size(image_shape)
    _check_format(encoding_format, "center_xywh", "center_yxhw")
    start = convert_format(anchors, anchor_format, encoding_format, height, width)
    value = convert_format(boxes, box_format, encoding_format, height, width)
    sizes, wanted = (ops.maximum(part[..., 2:], EPSILON) for part in (start, value))
    deltas = ops.concatenate([(value[..., :2] - start[..., :2]) / sizes, ops.log(wanted / sizes)], -1)
    return deltas if spread is None else deltas / spread


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Sequence[float] | None = None,
    image_shape: Sequence[int] | None = None,
) -> Any:
    """Returns the boxes that `encode_box_to_deltas` gives these deltas for; of dictionaries a dictionary.

    Args:
        anchors, boxes_delta: (..., 4), or dictionaries with the same keys. See `encode_box_to_deltas`.
    """
    if isinstance(anchors, Mapping) and isinstance(boxes_delta, Mapping):
        more = (anchor_format, box_format, encoded_format, variance, image_shape)
        return {key: decode_deltas_to_boxes(anchor, boxes_delta[key], *more) for key, anchor in anchors.items()}
    spread, (height, width) = _variance(variance), _size(image_shape)
    _check_format(encoded_format, "center_xywh", "center_yxhw")
    start = convert_format(anchors, anchor_format, encoded_format, height, width)
    deltas = as_value(boxes_delta) if spread is None else boxes_delta * spread
    sizes = start[..., 2:]
    value = ops.concatenate([deltas[..., :2] * sizes + start[..., :2], ops.exp(deltas[..., 2:]) * sizes], -1)
    return convert_format(value, encoded_format, box_format, height, width)


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Sequence[int] | None = None,
) -> Value:
    """Returns of each pair of boxes the area that they share as a part of that of both together.

    Args:
        boxes1: (number, 4) or (batch, number, 4). boxes2: the same, as many as there are. bounding_box_format: of both.
        use_masking: whether pairs with a box of negative numbers get `mask_val`.
        image_shape: height, width and channels of the image, for relative formats.

    Returns: (number of boxes1, number of boxes2), or (batch, ...).
    """
    (height, width), given = _size(image_shape), (as_value(boxes1), as_value(boxes2))
    if any(boxes.type.rank not in (2, 3) for boxes in given):
        raise ShapeError(f"compute_iou() takes boxes (number, 4) or (batch, number, 4); got {given[0]}, {given[1]}.")
    first, second = (convert_format(boxes, bounding_box_format, "xyxy", height, width) for boxes in given)
    first, second = ops.expand_dims(first, -2), ops.expand_dims(second, -3)
    shared = _shared(_parts(first), _parts(second))
    union = _area(_parts(first)) + _area(_parts(second)) - shared
    result = ops.squeeze(shared / (union + EPSILON), -1)
    if not use_masking:
        return result
    nothing = [ops.max(boxes, -1) < 0 for boxes in (first, second)]
    return ops.where(ops.logical_or(*nothing), float(mask_val), result)


def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Sequence[int] | None = None) -> Value:
    """Returns of boxes and their counterparts (..., 4) the complete intersection over union (Zheng et al., 2020).

    Args:
        boxes1, boxes2: of the same shape. bounding_box_format: of both, in elements.
        image_shape: height, width and channels of the image, for relative formats.
    """
    height, width = _size(image_shape)
    first, second = (
        _parts(convert_format(boxes, bounding_box_format, "xyxy", height, width)) for boxes in (boxes1, boxes2)
    )
    sizes = [(x2 - x1, y2 - y1 + EPSILON) for x1, y1, x2, y2 in (first, second)]
    shared = _shared(first, second)
    union = sizes[0][0] * sizes[0][1] + sizes[1][0] * sizes[1][1] - shared + EPSILON
    iou = shared / (union + EPSILON)
    outer = [ops.maximum(first[i + 2], second[i + 2]) - ops.minimum(first[i], second[i]) for i in (0, 1)]
    apart = [(first[i] + first[i + 2]) / 2.0 - (second[i] + second[i + 2]) / 2.0 for i in (0, 1)]
    distance = (apart[0] ** 2 + apart[1] ** 2) / (outer[0] ** 2 + outer[1] ** 2 + EPSILON)
    shapes = [ops.arctan(wide / high) for wide, high in sizes]
    unlike = 4 / math.pi**2 * (shapes[1] - shapes[0]) ** 2
    return ops.squeeze(iou - (distance + unlike * unlike / (unlike - iou + (1 + EPSILON))), -1)


def _shared(first: _Four, second: _Four) -> Value:
    """Returns the area that lies in both of two boxes."""
    sides = [ops.minimum(first[i + 2], second[i + 2]) - ops.maximum(first[i], second[i]) for i in (0, 1)]
    return ops.maximum(sides[0], 0.0) * ops.maximum(sides[1], 0.0)


def _area(corners: _Four) -> Value:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def _parts(boxes: Any) -> _Four:
    """Returns the four numbers of boxes (..., 4), each (..., 1)."""
    value = as_value(boxes)
    return value[..., 0:1], value[..., 1:2], value[..., 2:3], value[..., 3:4]


def _limited(x: Value, most: Any) -> Value:
    return ops.minimum(ops.maximum(x, 0.0), ops.cast(most, x.dtype))


def _size(image_shape: Sequence[int] | None) -> tuple[Any, Any]:
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])


def _variance(variance: Any) -> Value | None:
    if variance is None:
        return None
    value = ops.cast(variance, "float32")
    if value.type.shape[-1:] != (4,):
        raise ShapeError(f"`variance` must be length 4, got {variance}")
    return value


def _check_format(given: str, *known: str) -> None:
    if given not in known:
        raise ConfigError(
            f"Boxes are taken as {' or '.join(map(repr, known))} here; got {given!r}. Use convert_format."
        )


__getattr__ = absent(__name__, __all__)
