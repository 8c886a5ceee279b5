"""MobileNet, version 3: inverted residual blocks with squeeze and excitation and hard activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from seqc import layers
from seqc.applications._published import FOLDER, Files, pair
from seqc.applications._wanted import PUBLISHED_CLASSES, Shape, Tensor, Wanted, check_size, describe, rounded
from seqc.applications.imagenet_utils import corrected_pad, decode_predictions
from seqc.applications.imagenet_utils import unchanged as preprocess_input
from seqc.applications.mobilenet import nearest_published
from seqc.applications.mobilenet_v2 import check_same_size, shape_of
from seqc.errors import ConfigError
from seqc.functional import Functional
from seqc.utils.absent import absent

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

_SOURCE = "A. Howard et al., Searching for MobileNetV3, arXiv:1905.02244."
_HASHES = {
    "large_224_0.75": ("765b44a33ad4005b3ac83185abf1d0eb", "40af19a13ebea4e2ee0c676887f69a2e"),
    "large_224_1.0": ("59e551e166be033d707958cf9e29a6a7", "07fb09a5933dd0c8eaafa16978110389"),
    "large_minimalistic_224_1.0": ("675e7b876c45c57e9e63e6d90a36599c", "ec5221f64a2f6d1ef965a614bdae7973"),
    "small_224_0.75": ("cb65d4e5be93758266aa0a7f2c6708b7", "ebdb5cc8e0b497cd13a7c275d475c819"),
    "small_224_1.0": ("8768d4c2e7dee89b9d02b2d03d65d862", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    "small_minimalistic_224_1.0": ("99cd97fb2fcdad2bf028eb838de69e37", "cde8136e733e811080d9fcd8a252f7e4"),
}
Activation = Callable[[Tensor], Tensor]


class Block(NamedTuple):
    """A block: how many times as many channels inside, filters, kernel, strides; squeezed, and hard, or not.

    A minimalistic network has kernels of 3, squeezes nothing and has ReLU everywhere.
    """

    expansion: float
    filters: int
    kernel: int
    strides: int
    squeezed: bool
    hard: bool


_SMALL = (
    Block(1, 16, 3, 2, True, False),
    Block(72 / 16, 24, 3, 2, False, False),
    Block(88 / 24, 24, 3, 1, False, False),
    Block(4, 40, 5, 2, True, True),
    *(Block(6, 40, 5, 1, True, True),) * 2,
    *(Block(3, 48, 5, 1, True, True),) * 2,
    Block(6, 96, 5, 2, True, True),
    *(Block(6, 96, 5, 1, True, True),) * 2,
)
_LARGE = (
    Block(1, 16, 3, 1, False, False),
    Block(4, 24, 3, 2, False, False),
    Block(3, 24, 3, 1, False, False),
    Block(3, 40, 5, 2, True, False),
    *(Block(3, 40, 5, 1, True, False),) * 2,
    Block(6, 80, 3, 2, False, True),
    Block(2.5, 80, 3, 1, False, True),
    *(Block(2.3, 80, 3, 1, False, True),) * 2,
    *(Block(6, 112, 3, 1, True, True),) * 2,
    Block(6, 160, 5, 2, True, True),
    *(Block(6, 160, 5, 1, True, True),) * 2,
)


def _relu(x: Tensor) -> Tensor:
    return layers.ReLU()(x)


def _hard_swish(x: Tensor) -> Tensor:
    return layers.Activation("hard_swish")(x)


def _normalized(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x)


def _one(x: Tensor, filters: int, name: str, bias: bool = False) -> Tensor:
    """Returns a convolution of kernels of one pixel."""
    return layers.Conv2D(filters, 1, padding="same", use_bias=bias, name=name)(x)


def _excited(x: Tensor, filters: int, name: str) -> Tensor:
    """Returns channels weighted by what all places say of them."""
    weight = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}squeeze_excite_avg_pool")(x)
    weight = _one(weight, rounded(filters * 0.25), f"{name}squeeze_excite_conv", bias=True)
    weight = layers.ReLU(name=f"{name}squeeze_excite_relu")(weight)
    weight = _one(weight, filters, f"{name}squeeze_excite_conv_1", bias=True)
    weight = layers.ReLU(6.0)(weight + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name=f"{name}squeeze_excite_mul")([x, weight])


def _block(x: Tensor, block: Block, activation: Activation, i: int) -> Tensor:
    shortcut, name = x, f"expanded_conv_{i}_" if i else "expanded_conv_"
    before, kernel, strides = x.shape[3], block.kernel, block.strides
    inside = rounded(before * block.expansion)
    if i:
        x = activation(_normalized(_one(x, inside, f"{name}expand"), f"{name}expand_bn"))
    if strides == 2:
        x = layers.ZeroPadding2D(corrected_pad(x, kernel), name=f"{name}depthwise_pad")(x)
    padding = "same" if strides == 1 else "valid"
    x = layers.DepthwiseConv2D(kernel, strides=strides, padding=padding, use_bias=False, name=f"{name}depthwise")(x)
    x = activation(_normalized(x, f"{name}depthwise_bn"))
    if block.squeezed:
        x = _excited(x, inside, name)
    x = _normalized(_one(x, block.filters, f"{name}project"), f"{name}project_bn")
    if strides == 1 and before == block.filters:
        x = layers.Add(name=f"{name}add")([shortcut, x])
    return x


def _network(x: Tensor, blocks: tuple[Block, ...], alpha: float, activation: Activation) -> Tensor:
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = activation(_normalized(x, "conv_bn"))
    for i, block in enumerate(blocks):
        scaled = block._replace(filters=rounded(block.filters * alpha))
        x = _block(x, scaled, activation if block.hard else _relu, i)
    x = _one(x, rounded(x.shape[3] * 6), "conv_1")
    return activation(_normalized(x, "conv_1_bn"))


def _top(x: Tensor, wanted: Wanted, features: int, activation: Activation, dropout: float) -> Tensor:
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = activation(_one(x, features, "conv_2", bias=True))
    if dropout > 0:
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(_one(x, wanted.classes, "logits", bias=True))
    return layers.Activation(wanted.classifier_activation, name="predictions")(x)


def _size(wanted: Wanted) -> None:
    """Sets the shape of the image; unlike other networks, this one takes any by default, with the classifier too."""
    check_same_size(wanted.input_tensor, wanted.input_shape)
    if wanted.input_shape is None:
        wanted.input_shape = shape_of(wanted.input_tensor) or (None, None, 3)
    shape = tuple(wanted.input_shape)
    if len(shape) != 3:
        raise ConfigError(f"`input_shape` must be a tuple of three integers. Received: input_shape={shape}")
    check_size(shape, 32)
    wanted.input_shape = shape


def _files(wanted: Wanted, kind: str, alpha: float, minimalistic: bool) -> Files:
    if wanted.published:
        if alpha not in ((1.0,) if minimalistic else (0.75, 1.0)):
            raise ConfigError(
                "If imagenet weights are being loaded, alpha can be one of `0.75`, `1.0` for non minimalistic or `1.0` "
                f"for minimalistic only. Received alpha={alpha}"
            )
        nearest_published(wanted.input_shape, (224,))
    variant = f"{kind}{'_minimalistic' if minimalistic else ''}_224_{float(alpha)}"
    hashes = _HASHES.get(variant, ("", ""))
    stem = f"weights_mobilenet_v3_{variant}_float"
    return pair(f"{FOLDER}mobilenet_v3/", stem, *hashes, without="_no_top_v2")


def _version(label: str, blocks: tuple[Block, ...], features: int) -> Any:
    def build(
        input_shape: Shape | None = None,
        alpha: float = 1.0,
        minimalistic: bool = False,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Tensor | None = None,
        classes: int = PUBLISHED_CLASSES,
        pooling: str | None = None,
        dropout_rate: float = 0.2,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = label,
    ) -> Functional:
        wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        _size(wanted)
        wanted.find_weights(label, _files(wanted, label.removeprefix("MobileNetV3").lower(), alpha, minimalistic))
        x = wanted.take_image()
        if include_preprocessing:
            x = layers.Rescaling(1.0 / 127.5, offset=-1.0)(x)
        plain = [block._replace(kernel=3, squeezed=False) for block in blocks] if minimalistic else blocks
        activation = _relu if minimalistic else _hard_swish
        x = _network(x, tuple(plain), alpha, activation)
        wide = rounded(features * alpha) if alpha > 1.0 else features
        y = _top(x, wanted, wide, activation, dropout_rate) if include_top else wanted.pool(x, True)
        return wanted.model(y, name)

    described = describe(build, label, __name__, 224, 32, _SOURCE)
    described.__doc__ = _DOC.format(label=label, source=_SOURCE)
    return described


_DOC = """Returns a {label}.

    Args:
        input_shape: (height, width, channels), each side 32 at least; (None, None, 3) by default.
        alpha: how wide the network is: a factor of its filters.
        minimalistic: whether it is one without kernels of 5, squeeze and excitation, and hard activations.
        dropout_rate: of the classifier.
        include_preprocessing: whether it takes numbers from 0 to 255; otherwise from -1 to 1.
        include_top, weights, input_tensor, classes, pooling, classifier_activation, name: see
            `seqc.applications.ResNet50`.

    Returns:
        A functional model of images.

    Raises:
        ConfigError: an argument has a value that is not allowed, or that does not go with the weights or the input.
        DataError: published weights are not in the cache and cannot be downloaded. SavingError: a file's weights do
        not fit.

    Source: {source}
    """

MobileNetV3Small = _version("MobileNetV3Small", _SMALL, 1024)
MobileNetV3Large = _version("MobileNetV3Large", _LARGE, 1280)

__getattr__ = absent(__name__, __all__)
