"""MobileNet, version 2: inverted residual blocks, wide inside and narrow between."""

from __future__ import annotations

from typing import Any

from seqc import layers
from seqc.applications._published import FOLDER, pair
from seqc.applications._wanted import PUBLISHED_CLASSES, Shape, Tensor, Wanted, rounded
from seqc.applications.imagenet_utils import corrected_pad, decode_predictions
from seqc.applications.imagenet_utils import tf as preprocess_input
from seqc.applications.mobilenet import nearest_published, published_side
from seqc.errors import ConfigError
from seqc.functional import Functional
from seqc.utils.absent import absent
from seqc.utils.symbols import is_keras_tensor

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

_SIDES = (96, 128, 160, 192, 224)
_WIDTHS = (0.35, 0.50, 0.75, 1.0, 1.3, 1.4)
# Filters, strides and how often; inside, there are six times as many channels, but for the first block.
_BLOCKS = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
_EXPANSION = 6


def MobileNetV2(
    input_shape: Shape | None = None,
    alpha: float = 1.0,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = PUBLISHED_CLASSES,
    classifier_activation: Any = "softmax",
    name: str | None = None,
) -> Functional:
    """Returns a MobileNetV2.

    Args:
        input_shape: (height, width, channels), each side 32 at least; (224, 224, 3) by default, without the classifier
            (None, None, 3).
        alpha: how wide the network is: a factor of its filters. name: by default one that tells `alpha` and the height.
        include_top, weights, input_tensor, pooling, classes, classifier_activation: see `seqc.applications.ResNet50`.

    Returns:
        A functional model of images.

    Raises:
        ConfigError: an argument has a value that is not allowed, or that does not go with the weights or the input.
        DataError: published weights are not in the cache and cannot be downloaded. SavingError: a file's weights do
        not fit.

    Source: M. Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, arXiv:1801.04381.
    """
    wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
    check_same_size(input_tensor, input_shape)
    shape = shape_of(input_tensor) if input_shape is None else input_shape
    x = wanted.begin(published_side(shape, _SIDES) or 224, 32)
    side = wanted.input_shape[0]
    if wanted.published:
        if alpha not in _WIDTHS:
            raise ConfigError(
                "If imagenet weights are being loaded, alpha must be one of `0.35`, `0.50`, `0.75`, `1.0`, `1.3` or "
                f"`1.4` only; Received `alpha={alpha}`"
            )
        side = nearest_published(wanted.input_shape, _SIDES)
    stem = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_{side}"
    wanted.find_weights("MobileNetV2", pair(f"{FOLDER}mobilenet_v2/", stem, None, None, without="_no_top"))
    x = _network(x, alpha)
    y = wanted.classify(layers.GlobalAveragePooling2D()(x)) if include_top else wanted.pool(x, False)
    name = f"mobilenetv2_{alpha:0.2f}_{side}" if name is None else name
    return wanted.model(y, name)


def shape_of(tensor: Any) -> Shape | None:
    """Returns the shape of an image, without the batch; None for no symbol."""
    return tuple(tensor.shape[1:]) if is_keras_tensor(tensor) else None


def check_same_size(tensor: Any, shape: Any) -> None:
    """Raises ConfigError where the width of an image is not what was said."""
    if is_keras_tensor(tensor) and shape is not None and tensor.shape[2] != shape[1]:
        raise ConfigError(
            f"input_tensor.shape[2] must equal input_shape[1]; Received `input_tensor.shape={tuple(tensor.shape)}`, "
            f"`input_shape={shape}`"
        )


def _network(x: Tensor, alpha: float) -> Tensor:
    x = layers.Conv2D(rounded(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
    x = layers.ReLU(6.0, name="Conv1_relu")(_normalized(x, "bn_Conv1"))
    block = 0
    for filters, strides, count in _BLOCKS:
        for i in range(count):
            x = _block(x, rounded(int(filters * alpha)), 1 if i else strides, block)
            block += 1
    x = layers.Conv2D(rounded(1280 * max(alpha, 1.0)), 1, use_bias=False, name="Conv_1")(x)
    return layers.ReLU(6.0, name="out_relu")(_normalized(x, "Conv_1_bn"))


def _normalized(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)


def _block(x: Tensor, filters: int, strides: int, i: int) -> Tensor:
    shortcut, name = x, f"block_{i}_" if i else "expanded_conv_"
    if i:
        x = layers.Conv2D(_EXPANSION * x.shape[3], 1, padding="same", use_bias=False, name=f"{name}expand")(x)
        x = layers.ReLU(6.0, name=f"{name}expand_relu")(_normalized(x, f"{name}expand_BN"))
    if strides == 2:
        x = layers.ZeroPadding2D(corrected_pad(x, 3), name=f"{name}pad")(x)
    padding = "same" if strides == 1 else "valid"
    x = layers.DepthwiseConv2D(3, strides=strides, use_bias=False, padding=padding, name=f"{name}depthwise")(x)
    x = layers.ReLU(6.0, name=f"{name}depthwise_relu")(_normalized(x, f"{name}depthwise_BN"))
    x = layers.Conv2D(filters, 1, padding="same", use_bias=False, name=f"{name}project")(x)
    x = _normalized(x, f"{name}project_BN")
    if strides == 1 and shortcut.shape[3] == filters:
        x = layers.Add(name=f"{name}add")([shortcut, x])
    return x


__getattr__ = absent(__name__, __all__)
