"""EfficientNet, version 2: its first blocks take one full convolution in place of two."""

from __future__ import annotations

from typing import Any, NamedTuple

from seqc import initializers, layers
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
from seqc.applications._published import FOLDER, pair
from seqc.applications._wanted import PUBLISHED_CLASSES, Shape, Tensor, Wanted, describe, rounded
from seqc.applications.imagenet_utils import decode_predictions
from seqc.applications.imagenet_utils import unchanged as preprocess_input
from seqc.functional import Functional
from seqc.utils.absent import absent

__all__ = [
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "decode_predictions",
    "preprocess_input",
]

_SOURCE = "M. Tan and Q. V. Le, EfficientNetV2: Smaller Models and Faster Training, arXiv:2104.00298."
_MOMENTUM = 0.9
_DROPOUT = 0.2


class Stage(NamedTuple):
    """Blocks of one kind: whether they are fused, how many, channels before and after, and more as in EfficientNet."""

    fused: bool
    repeats: int
    before: int
    after: int
    expansion: int
    strides: int


_BASE = (
    Stage(True, 1, 32, 16, 1, 1),
    Stage(True, 2, 16, 32, 4, 2),
    Stage(True, 2, 32, 48, 4, 2),
    Stage(False, 3, 48, 96, 4, 2),
    Stage(False, 5, 96, 112, 6, 1),
    Stage(False, 8, 112, 192, 6, 2),
)
_SMALL = (
    Stage(True, 2, 24, 24, 1, 1),
    Stage(True, 4, 24, 48, 4, 2),
    Stage(True, 4, 48, 64, 4, 2),
    Stage(False, 6, 64, 128, 4, 2),
    Stage(False, 9, 128, 160, 6, 1),
    Stage(False, 15, 160, 256, 6, 2),
)
_MEDIUM = (
    Stage(True, 3, 24, 24, 1, 1),
    Stage(True, 5, 24, 48, 4, 2),
    Stage(True, 5, 48, 80, 4, 2),
    Stage(False, 7, 80, 160, 4, 2),
    Stage(False, 14, 160, 176, 6, 1),
    Stage(False, 18, 176, 304, 6, 2),
    Stage(False, 5, 304, 512, 6, 1),
)
_LARGE = (
    Stage(True, 4, 32, 32, 1, 1),
    Stage(True, 7, 32, 64, 4, 2),
    Stage(True, 7, 64, 96, 4, 2),
    Stage(False, 10, 96, 192, 4, 2),
    Stage(False, 19, 192, 224, 6, 1),
    Stage(False, 25, 224, 384, 6, 2),
    Stage(False, 7, 384, 640, 6, 1),
)


def _fused(x: Tensor, stage: Stage, name: str) -> Tensor:
    if stage.expansion == 1:
        x = convolution(x, stage.after, 3, f"{name}project_conv", strides=stage.strides)
        return activated(x, f"{name}project_bn", f"{name}project_activation", _MOMENTUM)
    x = convolution(x, stage.before * stage.expansion, 3, f"{name}expand_conv", strides=stage.strides)
    x = activated(x, f"{name}expand_bn", f"{name}expand_activation", _MOMENTUM)
    return _projected(x, stage, name)


def _separate(x: Tensor, stage: Stage, name: str) -> Tensor:
    x = convolution(x, stage.before * stage.expansion, 1, f"{name}expand_conv")
    x = activated(x, f"{name}expand_bn", f"{name}expand_activation", _MOMENTUM)
    x = layers.DepthwiseConv2D(
        3,
        strides=stage.strides,
        padding="same",
        use_bias=False,
        depthwise_initializer=kernel_start(),
        name=f"{name}dwconv2",
    )(x)
    x = activated(x, f"{name}bn", f"{name}activation", _MOMENTUM)
    return _projected(excited(x, max(1, stage.before // 4), name), stage, name)


def _projected(x: Tensor, stage: Stage, name: str) -> Tensor:
    x = convolution(x, stage.after, 1, f"{name}project_conv")
    return layers.BatchNormalization(axis=3, momentum=_MOMENTUM, name=f"{name}project_bn")(x)


def _block(x: Tensor, stage: Stage, loss: float, name: str) -> Tensor:
    y = _fused(x, stage, name) if stage.fused else _separate(x, stage, name)
    alike = stage.strides == 1 and stage.before == stage.after
    return residual(y, x, loss, name) if alike else y


def _prepared(x: Tensor, wanted: Wanted, base: bool) -> Tensor:
    """Returns images of numbers from 0 to 255 in the range that a network takes."""
    if not (base and wanted.input_shape[2] == 3):
        return layers.Rescaling(1.0 / 128.0, offset=-1)(x)
    x = layers.Rescaling(1.0 / 255)(x)
    variance = [0.229**2, 0.224**2, 0.225**2]
    return layers.Normalization(mean=[0.485, 0.456, 0.406], variance=variance, axis=3)(x)


def _network(x: Tensor, stages: tuple[Stage, ...], width: float, depth: float) -> Tensor:
    def wide(filters: int) -> int:
        return rounded(filters * width, never_less=False)

    x = convolution(x, wide(stages[0].before), 3, "stem_conv", strides=2)
    x = activated(x, "stem_bn", "stem_activation", _MOMENTUM)
    # As in Keras, the parts that are lost grow by the numbers of blocks before these are multiplied.
    done, blocks = 0, sum(stage.repeats for stage in stages)
    for i, stage in enumerate(stages, 1):
        stage = stage._replace(before=wide(stage.before), after=wide(stage.after))
        for j in range(repeated(stage.repeats, depth)):
            x = _block(x, stage, LAST_LOSS * done / blocks, f"block{i}{chr(ord('a') + j)}_")
            stage, done = stage._replace(before=stage.after, strides=1), done + 1
    x = convolution(x, wide(1280), 1, "top_conv")
    return activated(x, "top_bn", "top_activation", _MOMENTUM)


def _version(
    version: str, stages: tuple[Stage, ...], size: int, *hashes: str, width: float = 1.0, depth: float = 1.0
) -> Any:
    label, own = f"EfficientNetV2{version}", f"efficientnetv2-{version.lower()}"
    files = pair(f"{FOLDER}efficientnet_v2/", own, *hashes)

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Tensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = PUBLISHED_CLASSES,
        classifier_activation: Any = "softmax",
        include_preprocessing: bool = True,
        name: str = own,
    ) -> Functional:
        wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        x = wanted.begin(size, 32)
        wanted.find_weights(label, files)
        if include_preprocessing:
            x = _prepared(x, wanted, stages is _BASE)
        x = _network(x, stages, width, depth)
        zero = initializers.Constant(0.0)
        y = top(x, wanted, _DROPOUT, bias_initializer=zero) if include_top else wanted.pool(x, True)
        return wanted.model(y, name)

    return describe(build, label, __name__, size, 32, _SOURCE)


EfficientNetV2B0 = _version("B0", _BASE, 224, "21ecbf6da12460d5c40bb2f29ceb2188", "893217f2bb855e2983157299931e43ff")
EfficientNetV2B1 = _version(
    "B1", _BASE, 240, "069f0534ff22adf035c89e2d9547a9dc", "0e80663031ca32d657f9caa404b6ec37", depth=1.1
)
EfficientNetV2B2 = _version(
    "B2", _BASE, 260, "424e49f28180edbde1e94797771950a7", "1dfe2e7a5d45b6632553a8961ea609eb", width=1.1, depth=1.2
)
EfficientNetV2B3 = _version(
    "B3", _BASE, 300, "1f1fc43bd98a6e4fd8fdfd551e02c7a0", "f6abf7b5849ac99a89b50dd3fd532856", width=1.2, depth=1.4
)
EfficientNetV2S = _version("S", _SMALL, 384, "e1d88a8495beba45748fedd0cecbe016", "af0682fb74e8c54910f2d4393339c070")
EfficientNetV2M = _version("M", _MEDIUM, 480, "a3bf6aa3276309f4fc6a34aa114c95cd", "1b8dc055df72dde80d614482840fe342")
EfficientNetV2L = _version("L", _LARGE, 480, "27e6d408b53c7ebc868fefa357689935", "b0b66b5c863aef5b46e8608fe1711615")

__getattr__ = absent(__name__, __all__)
