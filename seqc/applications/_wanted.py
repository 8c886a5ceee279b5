"""What all applications have alike: what may be asked for, the image, the end, the weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from seqc import activations, layers
from seqc.applications._published import Files
from seqc.errors import ArgumentTypeError, ConfigError
from seqc.functional import Functional
from seqc.utils.display import note
from seqc.utils.symbols import get_source_inputs, is_keras_tensor

Shape = tuple[int | None, ...]
Tensor: TypeAlias = Any  # a symbol: what calls of layers return
PUBLISHED_CLASSES = 1000
_POOLS = {
    "avg": ("avg_pool", layers.GlobalAveragePooling2D),
    "max": ("max_pool", layers.GlobalMaxPooling2D),
}


@dataclass
class Wanted:
    """What somebody asks of an architecture: arguments that all of them take, checked.

    Attributes:
        include_top: whether the classifier is at the end. weights: None, "imagenet", or the path of a file.
        input_tensor: a symbol to take as the image. input_shape: of the image. pooling: without the classifier, "avg"
        or "max" over the places of the image. classes: how many the classifier tells apart.
        classifier_activation: of the classifier. image: the symbol, after `begin`. file: of the weights, after
        `find_weights`; None for random ones.

    Raises:
        ConfigError: an argument has a value that is not allowed, or that does not go with the weights.
    """

    include_top: bool
    weights: Any
    input_tensor: Any
    input_shape: Any
    pooling: str | None
    classes: int
    classifier_activation: Any
    image: Tensor = field(init=False)
    file: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.weights is not None and not self.published and not _is_file(self.weights):
            raise ConfigError(
                "The `weights` argument should be either `None` (random initialization), 'imagenet' (pre-training on "
                "ImageNet), or the path to the weights file to be loaded, which must be there. "
                f"Received: weights={self.weights}"
            )
        if self.published and self.include_top and self.classes != PUBLISHED_CLASSES:
            raise ConfigError(
                f"If using `weights='imagenet'` with `include_top=True`, `classes` should be {PUBLISHED_CLASSES}; for "
                f"other classes give include_top=False and layers of your own. Received classes={self.classes}"
            )
        if self.pooling not in (None, *_POOLS):
            raise ConfigError(f"pooling is None, 'avg' or 'max'. Received: pooling={self.pooling!r}")
        if self.include_top:
            self._check_activation()

    @property
    def published(self) -> bool:
        """Whether the weights are those that Keras publishes."""
        return isinstance(self.weights, str) and self.weights == "imagenet"

    def _check_activation(self) -> None:
        known = [activations.get(name) for name in ("softmax", None)]
        if self.weights is not None and activations.get(self.classifier_activation) not in known:
            raise ConfigError(
                "Only `None` and `softmax` activations are allowed for the `classifier_activation` argument when using "
                f"pretrained weights, with `include_top=True`; Received: {self.classifier_activation!r}"
            )

    def begin(self, size: int, least: int) -> Tensor:
        """Returns the symbol of the image.

        Args:
            size: what it measures where nobody says so. least: what it must measure, in pixels.
        """
        self.input_shape = self._shape(size, least)
        return self.take_image()

    def take_image(self) -> Tensor:
        """Returns the symbol of an image of the shape that was asked for, or that was given for one."""
        if self.input_tensor is None:
            self.image = layers.Input(shape=self.input_shape)
        elif not is_keras_tensor(self.input_tensor):
            raise ArgumentTypeError(
                "input_tensor is what `Input()`, or a layer called on it, gives. Received: "
                f"input_tensor={self.input_tensor!r}"
            )
        else:
            self.image = self.input_tensor
        return self.image

    def _shape(self, size: int, least: int) -> Shape:
        """Returns the shape of the image; Keras's rules."""
        shape = None if not self.input_shape else tuple(self.input_shape)
        if shape is not None and len(shape) != 3:
            raise ConfigError(f"`input_shape` must be a tuple of three integers. Received: input_shape={shape}")
        channels = 3 if shape is None else shape[-1]
        if self.published and self.include_top and shape not in (None, (size, size, 3)):
            raise ConfigError(
                "When setting `include_top=True` and loading `imagenet` weights, `input_shape` should be "
                f"{(size, size, 3)}. Received: input_shape={shape}"
            )
        if self.published and channels != 3:
            raise ConfigError(f"The input must have 3 channels; Received `input_shape={shape}`")
        if channels not in (1, 3):
            note(
                "This model usually expects 1 or 3 input channels. However, it was passed an input_shape with "
                f"{channels} input channels.",
                warn=True,
            )
        if shape is None:
            return (size, size, 3) if self.include_top else (None, None, 3)
        check_size(shape, least)
        if self.include_top and None in shape:
            raise ConfigError(
                f"If `include_top` is True, you should specify a static `input_shape`. Received: input_shape={shape}"
            )
        return shape

    def classify(self, x: Tensor, **dense: Any) -> Tensor:
        """Returns the classes of features, one row per sample."""
        return layers.Dense(self.classes, activation=self.classifier_activation, name="predictions", **dense)(x)

    def pool(self, x: Tensor, named: bool) -> Tensor:
        """Returns features pooled as they were asked for; `named` says whether the layer has a name of its own."""
        if self.pooling is None:
            return x
        name, pool = _POOLS[self.pooling]
        return pool(name=name if named else None)(x)

    def find_weights(self, application: str, files: Files) -> None:
        """Finds or downloads the file of the weights: before the network is made, which may take long.

        Args:
            application: the name of the architecture, for errors. files: those that Keras publishes.

        Raises:
            DataError: a published file is not there and cannot be downloaded.
        """
        published = files[0 if self.include_top else 1]
        self.file = published.path(application) if self.published else self.weights

    def model(self, y: Tensor, name: str) -> Functional:
        """Returns the model that leads to y, with its weights."""
        given = self.input_tensor is not None
        made = Functional(get_source_inputs(self.input_tensor) if given else self.image, y, name=name)
        if self.file is not None:
            made.load_weights(self.file)
        return made


def _is_file(weights: Any) -> bool:
    return isinstance(weights, str | os.PathLike) and os.path.exists(weights)


def check_size(shape: Shape, least: int) -> None:
    """Raises ConfigError for the shape of an image that is too small."""
    if any(one is not None and one < least for one in shape[:2]):
        raise ConfigError(f"Input size must be at least {least}x{least}; Received: input_shape={tuple(shape)}")


def rounded(filters: float, divisor: int = 8, never_less: bool = True) -> int:
    """Returns a number of filters as a multiple of a divisor: the nearest, at least the divisor.

    Args:
        filters: the number. never_less: whether the next larger is taken where a tenth of them would be lost.
    """
    near = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return int(near + divisor if never_less and near < 0.9 * filters else near)


class Architecture(Protocol):
    """What makes the models of an architecture."""

    def __call__(
        self,
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Tensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = PUBLISHED_CLASSES,
        classifier_activation: Any = "softmax",
        name: str = ...,
    ) -> Functional: ...


# What is made of the image, or of the features, for what is wanted.
Part = Callable[[Tensor, Wanted], Tensor]


def dense_top(x: Tensor, wanted: Wanted) -> Tensor:
    """The usual classifier: means over the image, and one dense layer."""
    return wanted.classify(layers.GlobalAveragePooling2D(name="avg_pool")(x))


def architecture(
    label: str,
    module: str,
    network: Part,
    files: Files,
    size: int = 224,
    least: int = 32,
    top: Part = dense_top,
    named_pools: bool = True,
    name: str | None = None,
    source: str = "",
) -> Architecture:
    """Returns what makes the models of an architecture.

    Args:
        label: its name. module: where it is. network: makes features of an image. files: its published weights.
        size: of the image by default. least: the smallest. top: makes classes of features.
        named_pools: whether a pool in place of the classifier has a name of its own. name: of the models; by default
        the label in small letters. source: the paper.
    """

    def build(
        include_top: bool = True,
        weights: Any = "imagenet",
        input_tensor: Tensor | None = None,
        input_shape: Shape | None = None,
        pooling: str | None = None,
        classes: int = PUBLISHED_CLASSES,
        classifier_activation: Any = "softmax",
        name: str = name or label.lower(),
    ) -> Functional:
        wanted = Wanted(include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
        image = wanted.begin(size, least)
        wanted.find_weights(label, files)
        x = network(image, wanted)
        y = top(x, wanted) if include_top else wanted.pool(x, named_pools)
        return wanted.model(y, name)

    described: Architecture = describe(build, label, module, size, least, source)
    return described


def describe(build: Any, label: str, module: str, size: int, least: int, source: str) -> Any:
    """Gives what makes models its name and its docstring."""
    build.__module__, build.__name__, build.__qualname__ = module, label, label
    build.__doc__ = _DOC.format(label=label, size=size, least=least, source=source)
    return build


_DOC = """Returns a {label}.

    Args:
        include_top: whether the classifier is at the end.
        weights: "imagenet" for those that Keras publishes, from its cache or downloaded; the path of a file; or None
            for random ones.
        input_tensor: a symbol to take as the image.
        input_shape: (height, width, channels), each side {least} at least; ({size}, {size}, 3) by default, without the
            classifier (None, None, 3).
        pooling: without the classifier, None for features by place, or "avg" or "max" over all places.
        classes: how many there are.
        classifier_activation: of the classifier; None gives its logits.
        name: of the model.

    Returns:
        A functional model of images, (batch, height, width, channels).

    Raises:
        ConfigError: an argument has a value that is not allowed, or that does not go with the weights. DataError:
        published weights are not in the cache and cannot be downloaded. SavingError: a file's weights do not fit.

    Source: {source}
    """
