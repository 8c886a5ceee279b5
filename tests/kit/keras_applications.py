"""Models of keras.applications, made by real Keras: `python keras_applications.py FOLDER NAME ...`.

It writes NAME.keras with random weights, and NAME.npz with images and what Keras answers to them.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIDE, IMAGES = 96, 8
# Answers to different images must differ by this part of the largest; otherwise a fault inside would not be seen.
SENSITIVE = 0.02


def structured_images(side: int = SIDE) -> np.ndarray:
    """Returns images (IMAGES, side, side, 3) of numbers from 0 to 255 that have edges, slopes, textures and borders."""
    rng = np.random.default_rng(0)
    down, right = np.mgrid[0:side, 0:side] / (side - 1)
    found = []
    for i in range(IMAGES):
        angle, waves = rng.uniform(0, np.pi, 3), rng.uniform(1, 12, 3)
        slope = [np.cos(a) * right + np.sin(a) * down for a in angle]
        stripes = [0.5 + 0.5 * np.sin(2 * np.pi * w * s) for w, s in zip(waves, slope, strict=True)]
        middle, radius = rng.uniform(0.2, 0.8, 2), rng.uniform(0.1, 0.5)
        disc = ((down - middle[0]) ** 2 + (right - middle[1]) ** 2 < radius**2).astype(float)
        channels = [s * disc + (1 - disc) * c for s, c in zip(stripes, rng.uniform(0, 1, 3), strict=True)]
        image = np.stack(channels, -1) if i % 2 else np.stack(slope, -1) * (1 - 0.8 * disc[..., None])
        found.append(image + 0.1 * rng.normal(size=image.shape))
    result: np.ndarray = (255 * np.clip(np.stack(found), 0, 1)).astype("float32")
    return result


def make_sensitive(keras: Any, model: Any, images: np.ndarray) -> None:
    """Gives a model weights by which every part of it matters to its answers.

    Scales and offsets are random, kernels keep the size of the numbers, and moving statistics are those of the images:
    with arbitrary ones, deep models answer all images alike.
    """
    rng = np.random.default_rng(zlib.crc32(model.name.encode()))
    layers = [layer for layer in model._flatten_layers() if layer.weights]
    for layer in layers:
        for weight in layer.weights:
            weight.assign(_weight(rng, layer, weight))
    # What a layer is for the one pass: statistics are those of the images, and nothing is dropped.
    passing = [(layer, "momentum", 0.0) for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    passing += [(layer, "rate", 0.0) for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    before = [(layer, name, getattr(layer, name)) for layer, name, _ in passing]
    for settings, training in ((passing, True), (before, False)):
        for layer, name, value in settings:
            setattr(layer, name, value)
        if training:
            model([images], training=True)
    if model.name != "vgg16":  # which has no classifier here
        _spread_answers(keras, model, images)


def _weight(rng: np.random.Generator, layer: Any, weight: Any) -> np.ndarray:
    """Returns random numbers for a weight."""
    shape, name = tuple(weight.shape), weight.path.split("/")[-1]
    if name == "gamma":
        return rng.uniform(0.5, 1.5, shape)
    if "variance" in name or name == "count":
        return np.array(weight)
    if name == "beta":
        # Above zero: where half of what Relu gets is cut off, deep networks make ever more of rounding errors.
        return rng.uniform(0, 1, shape)
    if len(shape) < 2:
        return rng.normal(scale=0.2, size=shape) if name == "bias" else np.array(weight)
    places = int(np.prod(shape[:2])) if len(shape) == 4 else 1
    fan_in = places if "depthwise" in type(layer).__name__.lower() or "depthwise" in name else places * shape[-2]
    return rng.normal(scale=np.sqrt(2 / fan_in), size=shape)


def _spread_answers(keras: Any, model: Any, images: np.ndarray) -> None:
    """Makes what the last layer gives before softmax differ by about 0.5, from class to class and image to image."""
    last = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)][-1]
    kernel, bias = last.get_weights()
    features = np.array(keras.Model(model.inputs, last.input)([images], training=False)).reshape(len(images), -1)
    answers = features @ kernel.reshape(features.shape[1], -1)
    # The part that all images share is taken out by the bias.
    scale = 0.5 / np.std(answers - answers.mean(0))
    last.set_weights([scale * kernel, 0.3 * bias - scale * answers.mean(0)])


def save(keras: Any, name: str, folder: Path) -> None:
    """Builds, saves, and answers; refuses a model that answers different images alike."""
    keras.utils.set_random_seed(0)
    model = _made(keras, name)
    images = structured_images() if takes_bytes(name) else structured_images() / np.float32(127.5) - 1
    make_sensitive(keras, model, images)
    y = _answers(keras, name, model, images)
    differ = min(np.abs(a - b).max() for i, a in enumerate(y) for b in y[:i]) / np.abs(y).max()
    if not differ >= SENSITIVE:
        raise SystemExit(f"{name} answers different images alike: they differ by {differ:.2g} of the largest answer")
    model.save(folder / f"{name}.keras")
    np.savez(folder / f"{name}.npz", x=images, y=y)
    print(f"{name}: {len(model.layers)} layers, answers differ by {differ:.2f} of the largest", flush=True)


def _made(keras: Any, name: str) -> Any:
    # Of VGG16, nine tenths of the weights are in three dense layers that say nothing new.
    top = {"include_top": False, "pooling": "avg"} if name == "VGG16" else {}
    return getattr(keras.applications, name)(weights=None, input_shape=(SIDE, SIDE, 3), **top)


def _answers(keras: Any, name: str, model: Any, images: np.ndarray) -> np.ndarray:
    """Returns what the model answers in double precision: in single, deep models are off by more than is compared."""
    keras.config.set_dtype_policy("float64")
    try:
        double = _made(keras, name)
    finally:
        keras.config.set_dtype_policy("float32")
    double.set_weights(model.get_weights())
    y = np.array(double([images.astype("float64")], training=False))
    assert y.dtype == "float64", f"{name} answers in {y.dtype}"
    return y


def takes_bytes(name: str) -> bool:
    """Whether a model scales its images itself, from 0 to 255."""
    return name.startswith(("MobileNetV3", "EfficientNet", "ConvNeXt"))


def main(folder: Path, names: list[str], save: Callable[[Any, str, Path], None] = save) -> None:
    """Saves models with the Keras that is there, by `save`."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    for name in names:
        save(keras, name, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
