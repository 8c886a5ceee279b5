"""MobileNet: depthwise convolutions and convolutions of one pixel, in turns."""

from __future__ import annotations

from typing import Any

from seqc import layers
from seqc.applications._published import FOLDER, pair
from seqc.applications._wanted import PUBLISHED_CLASSES, Shape, Tensor, Wanted
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import tf as preprocess_input
from seqc.errors import ConfigError
from seqc.functional import Functional
from seqc.utils.absent import absent
from seqc.utils.display import note

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

# Weights are published for images of these sides and for these widths of the network, which file names write so.
_SIDES = (128, 160, 192, 224)
_WIDTHS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}
# Filters and strides of each block.
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)


def MobileNet(
    input_shape: Shape | None = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = PUBLISHED_CLASSES,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Functional:
    """Returns a MobileNet.

    Args:
        input_shape: (height, width, channels), each side 32 at least; (224, 224, 3) by default, without the classifier
            (None, None, 3).
        alpha: how wide the network is: a factor of its filters. depth_multiplier: how many filters per channel.
        dropout: of the classifier. name: by default one that tells `alpha` and the height.
        include_top, weights, input_tensor, pooling, classes, classifier_activation: see `seqc.applications.ResNet50`.

    Returns:
        A functional model of images.

    Raises:
        ConfigError: an argument has a value that is not allowed, or that does not go with the weights. DataError:
        published weights are not in the cache and cannot be downloaded. SavingError: a file's weights do not fit.

    Source: A. G. Howard et al., MobileNets, arXiv:1704.04861.
    """
    wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
    x = wanted.begin(published_side(input_shape, _SIDES) or 224, 32)
    side = wanted.input_shape[0]
    if wanted.published:
        _check_published(alpha, depth_multiplier)
        side = nearest_published(wanted.input_shape, _SIDES)
    stem = f"mobilenet_{_WIDTHS.get(alpha)}_{side}_tf"
    wanted.find_weights("MobileNet", pair(f"{FOLDER}mobilenet/", stem, None, None, without="_no_top"))
    x = layers.Conv2D(int(32 * alpha), 3, padding="same", use_bias=False, strides=2, name="conv1")(x)
    x = _activated(x, "conv1")
    for i, (filters, strides) in enumerate(_BLOCKS, 1):
        x = _block(x, int(filters * alpha), depth_multiplier, strides, i)
    y = _top(x, wanted, dropout) if include_top else wanted.pool(x, False)
    name = f"mobilenet_{alpha:0.2f}_{wanted.input_shape[0] if side is None else side}" if name is None else name
    return wanted.model(y, name)


def published_side(shape: Any, sides: tuple[int, ...]) -> int | None:
    """Returns the side of a square image for which there are weights; None of another."""
    if shape and len(shape) > 1 and shape[0] == shape[1] and shape[0] in sides:
        return int(shape[0])
    return None


def nearest_published(shape: Shape, sides: tuple[int, ...]) -> int:
    """Returns the side of the images for which weights are taken, with a warning where the image has another."""
    side = published_side(shape, sides)
    if side is None:
        note(
            f"`input_shape` is undefined or non-square, or `rows` is not in {list(sides)}. Weights for input shape "
            "(224, 224) will be loaded as the default.",
            warn=True,
        )
    return side or 224


def _check_published(alpha: float, depth_multiplier: int) -> None:
    if depth_multiplier != 1:
        raise ConfigError(
            "If imagenet weights are being loaded, depth multiplier must be 1. "
            f"Received depth_multiplier={depth_multiplier}"
        )
    if alpha not in _WIDTHS:
        raise ConfigError(
            "If imagenet weights are being loaded, alpha can be one of `0.25`, `0.50`, `0.75` or `1.0` only. "
            f"Received alpha={alpha}"
        )


def _activated(x: Tensor, name: str) -> Tensor:
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _block(x: Tensor, filters: int, multiplier: int, strides: int, i: int) -> Tensor:
    if strides > 1:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{i}")(x)
    x = layers.DepthwiseConv2D(
        3,
        padding="same" if strides == 1 else "valid",
        depth_multiplier=multiplier,
        strides=strides,
        use_bias=False,
        name=f"conv_dw_{i}",
    )(x)
    x = _activated(x, f"conv_dw_{i}")
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"conv_pw_{i}")(x)
    return _activated(x, f"conv_pw_{i}")


def _top(x: Tensor, wanted: Wanted, dropout: float) -> Tensor:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(wanted.classes, 1, padding="same", name="conv_preds")(x)
    x = layers.Reshape((wanted.classes,), name="reshape_2")(x)
    return layers.Activation(wanted.classifier_activation, name="predictions")(x)


__getattr__ = absent(__name__, __all__)
