"""EfficientNet: inverted residual blocks, wider and deeper from B0 to B7."""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

from seqc import layers
from seqc.applications._efficient import (
    LAST_LOSS,
    activated,
    convolution,
    excited,
    kernel_start,
    repeated,
    residual,
    top,
)
from seqc.applications._published import pair
from seqc.applications._wanted import Architecture, Tensor, Wanted, architecture, rounded
from seqc.applications.imagenet_utils import corrected_pad, decode_predictions
from seqc.applications.imagenet_utils import unchanged as preprocess_input
from seqc.utils.absent import absent

__all__ = [
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "decode_predictions",
    "preprocess_input",
]

_FOLDER = "https://storage.googleapis.com/keras-applications/"
_SOURCE = "M. Tan and Q. V. Le, EfficientNet: Rethinking Model Scaling, arXiv:1905.11946."
# Published weights were trained on images that were divided by these roots as well.
_DEVIATIONS = (0.229, 0.224, 0.225)


class Stage(NamedTuple):
    """Blocks of one kind: the kernel, how many, channels before and after, how many times as many inside, strides."""

    kernel: int
    repeats: int
    before: int
    after: int
    expansion: int
    strides: int


_STAGES = (
    Stage(3, 1, 32, 16, 1, 1),
    Stage(3, 2, 16, 24, 6, 2),
    Stage(5, 2, 24, 40, 6, 2),
    Stage(3, 3, 40, 80, 6, 2),
    Stage(5, 3, 80, 112, 6, 1),
    Stage(5, 4, 112, 192, 6, 2),
    Stage(3, 1, 192, 320, 6, 1),
)


def _block(x: Tensor, stage: Stage, loss: float, name: str) -> Tensor:
    shortcut = x
    if stage.expansion != 1:
        x = convolution(x, stage.before * stage.expansion, 1, f"{name}expand_conv")
        x = activated(x, f"{name}expand_bn", f"{name}expand_activation")
    if stage.strides == 2:
        x = layers.ZeroPadding2D(corrected_pad(x, stage.kernel), name=f"{name}dwconv_pad")(x)
    x = layers.DepthwiseConv2D(
        stage.kernel,
        strides=stage.strides,
        padding="valid" if stage.strides == 2 else "same",
        use_bias=False,
        depthwise_initializer=kernel_start(),
        name=f"{name}dwconv",
    )(x)
    x = activated(x, f"{name}bn", f"{name}activation")
    x = excited(x, max(1, stage.before // 4), name)
    x = convolution(x, stage.after, 1, f"{name}project_conv")
    x = layers.BatchNormalization(axis=3, name=f"{name}project_bn")(x)
    if stage.strides == 1 and stage.before == stage.after:
        x = residual(x, shortcut, loss, name)
    return x


def _begun(x: Tensor, wanted: Wanted, width: float) -> Tensor:
    x = layers.Rescaling(1.0 / 255.0)(x)
    x = layers.Normalization(axis=3)(x)
    if wanted.published:
        x = layers.Rescaling([1.0 / math.sqrt(deviation) for deviation in _DEVIATIONS])(x)
    x = layers.ZeroPadding2D(corrected_pad(x, 3), name="stem_conv_pad")(x)
    x = convolution(x, rounded(32 * width), 3, "stem_conv", strides=2, padding="valid")
    return activated(x, "stem_bn", "stem_activation")


def _network(x: Tensor, wanted: Wanted, width: float, depth: float) -> Tensor:
    x = _begun(x, wanted, width)
    counts = [repeated(stage.repeats, depth) for stage in _STAGES]
    done = 0
    for i, (stage, count) in enumerate(zip(_STAGES, counts, strict=True), 1):
        stage = stage._replace(before=rounded(stage.before * width), after=rounded(stage.after * width))
        for j in range(count):
            x = _block(x, stage, LAST_LOSS * done / sum(counts), f"block{i}{chr(ord('a') + j)}_")
            stage, done = stage._replace(before=stage.after, strides=1), done + 1
    x = convolution(x, rounded(1280 * width), 1, "top_conv")
    return activated(x, "top_bn", "top_activation")


def _version(name: str, width: float, depth: float, size: int, dropout: float, *hashes: str) -> Architecture:
    return architecture(
        f"EfficientNet{name}",
        __name__,
        partial(_network, width=width, depth=depth),
        pair(_FOLDER, f"efficientnet{name.lower()}", *hashes),
        size,
        top=partial(top, dropout=dropout),
        source=_SOURCE,
    )


EfficientNetB0 = _version(
    "B0", 1.0, 1.0, 224, 0.2, "902e53a9f72be733fc0bcb005b3ebbac", "50bc09e76180e00e4465e1a485ddc09d"
)
EfficientNetB1 = _version(
    "B1", 1.0, 1.1, 240, 0.2, "1d254153d4ab51201f1646940f018540", "74c4e6b3e1f6a1eea24c589628592432"
)
EfficientNetB2 = _version(
    "B2", 1.1, 1.2, 260, 0.3, "b15cce36ff4dcbd00b6dd88e7857a6ad", "111f8e2ac8aa800a7a99e3239f7bfb39"
)
EfficientNetB3 = _version(
    "B3", 1.2, 1.4, 300, 0.3, "ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226"
)
EfficientNetB4 = _version(
    "B4", 1.4, 1.8, 380, 0.4, "18c95ad55216b8f92d7e70b3a046e2fc", "ebc24e6d6c33eaebbd558eafbeedf1ba"
)
EfficientNetB5 = _version(
    "B5", 1.6, 2.2, 456, 0.4, "ace28f2a6363774853a83a0b21b9421a", "38879255a25d3c92d5e44e04ae6cec6f"
)
EfficientNetB6 = _version(
    "B6", 1.8, 2.6, 528, 0.5, "165f6e37dce68623721b423839de8be5", "9ecce42647a20130c1f39a5d4cb75743"
)
EfficientNetB7 = _version(
    "B7", 2.0, 3.1, 600, 0.5, "8c03f828fec3ef71311cd463b6759d99", "cbcfe4450ddf6f3ad90b1b398090fe4a"
)

__getattr__ = absent(__name__, __all__)
