"""NASNet-A: cells that a search found, of separable convolutions and pools, which look at the two cells before."""

from __future__ import annotations

from functools import partial
from typing import Any

from seqc import layers
from seqc.applications._published import FOLDER, Files, Published
from seqc.applications._wanted import PUBLISHED_CLASSES, Shape, Tensor, Wanted
from seqc.applications.imagenet_utils import corrected_pad, decode_predictions
from seqc.applications.imagenet_utils import tf as preprocess_input
from seqc.errors import ConfigError
from seqc.functional import Functional
from seqc.utils.absent import absent

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

_FILES: dict[str, Files] = {
    "mobile": (
        Published("nasnet_mobile.h5", f"{FOLDER}nasnet/", "020fb642bf7360b370c678b08e0adf61", "NASNet-mobile.h5"),
        Published(
            "nasnet_mobile_no_top.h5",
            f"{FOLDER}nasnet/",
            "1ed92395b5b598bdda52abe5c0dbfd63",
            "NASNet-mobile-no-top.h5",
        ),
    ),
    "large": (
        Published("nasnet_large.h5", f"{FOLDER}nasnet/", "11577c9a518f0070763c2b964a382f17", "NASNet-large.h5"),
        Published(
            "nasnet_large_no_top.h5", f"{FOLDER}nasnet/", "d81d89dc07e6e56530c4e77faddd61b5", "NASNet-large-no-top.h5"
        ),
    ),
}
_convolution = partial(layers.Conv2D, use_bias=False, kernel_initializer="he_normal")
_mean = partial(layers.AveragePooling2D, strides=1, padding="same")


def _normalized(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(momentum=0.9997, epsilon=1e-3, name=name)(x)


def _squeezed(x: Tensor, filters: int, kind: str, end: str) -> Tensor:
    """Returns the input of a cell with as many channels as its parts have."""
    x = layers.Activation("relu")(x)
    x = _convolution(filters, 1, padding="same", name=f"{kind}_conv_1_{end}")(x)
    return _normalized(x, f"{kind}_bn_1_{end}")


def _separable(x: Tensor, filters: int, kernel: int, end: str, strides: int = 1) -> Tensor:
    """Returns x after two separable convolutions."""
    x, padding = layers.Activation("relu")(x), "same"
    if strides == 2:
        x = layers.ZeroPadding2D(corrected_pad(x, kernel), name=f"separable_conv_1_pad_{end}")(x)
        padding = "valid"
    for i in (1, 2):
        if i == 2:
            x, strides, padding = layers.Activation("relu")(x), 1, "same"
        x = layers.SeparableConv2D(
            filters, kernel, strides=strides, padding=padding, use_bias=False, name=f"separable_conv_{i}_{end}"
        )(x)
        x = _normalized(x, f"separable_conv_{i}_bn_{end}")
    return x


def _adjusted(before: Tensor | None, x: Tensor, filters: int, end: str) -> Tensor:
    """Returns what the cell before the last gave, with the size of x and so many channels."""
    if before is None:
        return x
    if before.shape[2] != x.shape[2]:
        return _halved(before, filters, end)
    if before.shape[3] != filters:
        before = layers.Activation("relu")(before)
        before = _convolution(filters, 1, padding="same", name=f"adjust_conv_projection_{end}")(before)
        return _normalized(before, f"adjust_bn_{end}")
    return before


def _halved(x: Tensor, filters: int, end: str) -> Tensor:
    """Returns every other pixel, and beside it the one to the right of and below it."""
    x = layers.Activation("relu", name=f"adjust_relu_1_{end}")(x)
    moved = layers.ZeroPadding2D(((0, 1), (0, 1)))
    found = []
    for i in (1, 2):
        part = x if i == 1 else layers.Cropping2D(((1, 0), (1, 0)))(moved(x))
        part = layers.AveragePooling2D(1, strides=2, name=f"adjust_avg_pool_{i}_{end}")(part)
        found.append(_convolution(filters // 2, 1, padding="same", name=f"adjust_conv_{i}_{end}")(part))
    return _normalized(layers.concatenate(found), f"adjust_bn_{end}")


def _normal(x: Tensor, before: Tensor | None, filters: int, end: str) -> Tensor:
    """Returns a cell that keeps the size of the image."""
    old = _adjusted(before, x, filters, end)
    new = _squeezed(x, filters, "normal", end)
    sums = [
        (_separable(new, filters, 5, f"normal_left1_{end}"), _separable(old, filters, 3, f"normal_right1_{end}")),
        (_separable(old, filters, 5, f"normal_left2_{end}"), _separable(old, filters, 3, f"normal_right2_{end}")),
        (_mean(3, name=f"normal_left3_{end}")(new), old),
        (_mean(3, name=f"normal_left4_{end}")(old), _mean(3, name=f"normal_right4_{end}")(old)),
        (_separable(new, filters, 3, f"normal_left5_{end}"), new),
    ]
    found = [layers.add(list(two), name=f"normal_add_{i}_{end}") for i, two in enumerate(sums, 1)]
    return layers.concatenate([old, *found], name=f"normal_concat_{end}")


def _reduction(x: Tensor, before: Tensor | None, filters: int, end: str) -> Tensor:
    """Returns a cell that halves the resolution."""
    old = _adjusted(before, x, filters, end)
    new = _squeezed(x, filters, "reduction", end)
    padded = layers.ZeroPadding2D(corrected_pad(new, 3), name=f"reduction_pad_1_{end}")(new)

    def halved(part: Tensor, kernel: int, name: str) -> Tensor:
        return _separable(part, filters, kernel, f"reduction_{name}_{end}", strides=2)

    def pooled(pool: Any, name: str) -> Any:
        return pool(3, strides=2, name=f"reduction_{name}_{end}")(padded)

    first = layers.add([halved(new, 5, "left1"), halved(old, 7, "right1")], name=f"reduction_add_1_{end}")
    second = [pooled(layers.MaxPooling2D, "left2"), halved(old, 7, "right2")]
    two = layers.add(second, name=f"reduction_add_2_{end}")
    third = [pooled(layers.AveragePooling2D, "left3"), halved(old, 5, "right3")]
    three = layers.add(third, name=f"reduction_add3_{end}")
    four = layers.add([two, _mean(3, name=f"reduction_left4_{end}")(first)])
    fifth = [_separable(first, filters, 3, f"reduction_left4_{end}"), pooled(layers.MaxPooling2D, "right5")]
    five = layers.add(fifth, name=f"reduction_add4_{end}")
    return layers.concatenate([two, three, four, five], name=f"reduction_concat_{end}")


def _network(x: Tensor, filters: int, cells: int, stem: int, skips: bool) -> Tensor:
    """Returns features.

    Args:
        x: the image. filters: of the first cells; each stage has twice as many. cells: per stage. stem: filters of the
        first convolution. skips: whether cells behind a reduction look past it.
    """
    x = _convolution(stem, 3, strides=2, name="stem_conv1")(x)
    x, before = _normalized(x, "stem_bn1"), None
    for i, part in enumerate((4, 2), 1):
        x, before = _reduction(x, before, filters // part, f"stem_{i}"), x
    for stage in range(3):
        if stage:
            reduced = _reduction(x, before, filters << stage, f"reduce_{stage * cells}")
            x, before = reduced, before if skips else x
        for i in range(cells):
            # A reduction takes a number, too.
            x, before = _normal(x, before, filters << stage, f"{stage * cells + i + bool(stage)}"), x
    return layers.Activation("relu")(x)


def _model(
    wanted: Wanted, network: tuple[int, int, int, bool], size: int, name: str | None, label: str, kind: str
) -> Functional:
    if wanted.published and wanted.input_shape is not None and None in wanted.input_shape:
        raise ConfigError(
            "When specifying the input shape of a NASNet and loading `ImageNet` weights, the input_shape argument must "
            f"be static (no None entries). Got: `input_shape={wanted.input_shape}`."
        )
    image = wanted.begin(size, 32)
    wanted.find_weights(label, _FILES[kind])
    x = _network(image, *network)
    y = wanted.classify(layers.GlobalAveragePooling2D()(x)) if wanted.include_top else wanted.pool(x, False)
    return wanted.model(y, name or label)


def NASNetMobile(
    input_shape: Shape | None = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = PUBLISHED_CLASSES,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_mobile",
) -> Functional:
    """Returns the small NASNet-A.

    Args:
        input_shape: (height, width, channels), each side 32 at least; (224, 224, 3) by default.
        include_top, weights, input_tensor, pooling, classes, classifier_activation, name: see
            `seqc.applications.ResNet50`.

    Raises:
        ConfigError: an argument has a value that is not allowed, or that does not go with the weights. DataError:
        published weights are not in the cache and cannot be downloaded. SavingError: a file's weights do not fit.

    Source: B. Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012.
    """
    shape = (224, 224, 3) if input_shape is None and not include_top else input_shape
    wanted = Wanted(include_top, weights, input_tensor, shape, pooling, classes, classifier_activation)
    return _model(wanted, (44, 4, 32, False), 224, name, "NASNetMobile", "mobile")


def NASNetLarge(
    input_shape: Shape | None = None,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Tensor | None = None,
    pooling: str | None = None,
    classes: int = PUBLISHED_CLASSES,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_large",
) -> Functional:
    """Returns the large NASNet-A.

    Args:
        input_shape: (height, width, channels), each side 32 at least; (331, 331, 3) by default, without the classifier
            (None, None, 3).
        include_top, weights, input_tensor, pooling, classes, classifier_activation, name: see
            `seqc.applications.ResNet50`.

    Raises:
        ConfigError: an argument has a value that is not allowed, or that does not go with the weights. DataError:
        published weights are not in the cache and cannot be downloaded. SavingError: a file's weights do not fit.

    Source: B. Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, arXiv:1707.07012.
    """
    wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
    return _model(wanted, (168, 6, 96, True), 331, name, "NASNetLarge", "large")


__getattr__ = absent(__name__, __all__)
