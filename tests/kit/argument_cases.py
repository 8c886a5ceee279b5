"""Bad values for each argument of layers. `KERAS_BACKEND=jax PYTHON -m kit.argument_cases [LAYER ...]` asks Keras.

A layer is made with one argument changed, and called on a small input. The answers are letters, one for each value:
refused when it is made, refused when it is called, accepted, only made, or the argument's default.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "cases"
VALUES: tuple[Any, ...] = (None, "x", -1, 0, 1.5, [], [1, 2, 3, 4, 5, 6], True, {})
MADE, CALLED, ACCEPTED, UNCALLED, DEFAULT = "icamd"
# All layers have them, or they are names.
SHARED = {"name", "dtype", "trainable", "activity_regularizer", "seed", "autocast"}
# Seconds that the calls of one layer of Keras may take; after that it is only made.
LIMIT = 4.0

_LINE, _IMAGE, _VOLUME = (8, 3), (8, 8, 3), (4, 4, 4, 3)
_SOUND = (32,)
_SPACE = {"1D": _LINE, "2D": _IMAGE, "3D": _VOLUME}
# What else a layer needs, and the shape of a sample for it; None where it is only made.
PLAIN: dict[str, tuple[dict[str, Any], tuple[int, ...] | None]] = {
    "Activation": ({"activation": "relu"}, (4,)),
    "ActivityRegularization": ({}, (4,)),
    "Add": ({}, None),
    "AdditiveAttention": ({}, None),
    "AlphaDropout": ({"rate": 0.2}, (4, 3)),
    "Attention": ({}, None),
    "AugMix": ({}, _IMAGE),
    "AutoContrast": ({}, _IMAGE),
    "BatchNormalization": ({}, (4, 3)),
    "CategoryEncoding": ({"num_tokens": 4}, (3,)),
    "CenterCrop": ({"height": 2, "width": 2}, _IMAGE),
    "Concatenate": ({}, None),
    "ContrastLimitedAdaptiveHistogramEqualization": ({}, _IMAGE),
    "CutMix": ({}, _IMAGE),
    "Dense": ({"units": 3}, (4,)),
    "Discretization": ({"bin_boundaries": [0.0, 1.0]}, (4,)),
    "Dot": ({"axes": 1}, None),
    "Dropout": ({"rate": 0.2}, (4, 3)),
    "ELU": ({}, (4,)),
    "EinsumDense": ({"equation": "ab,bc->ac", "output_shape": 3}, (4,)),
    "Embedding": ({"input_dim": 5, "output_dim": 3}, (4,)),
    "Equalization": ({}, _IMAGE),
    "Flatten": ({}, (4, 3)),
    "GRU": ({"units": 2}, (5, 3)),
    "GRUCell": ({"units": 2}, None),
    "GaussianDropout": ({"rate": 0.2}, (4,)),
    "GaussianNoise": ({"stddev": 0.2}, (4,)),
    "GroupNormalization": ({"groups": 2}, (8, 8, 4)),
    "GroupQueryAttention": ({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}, None),
    "HashedCrossing": ({"num_bins": 4}, None),
    "Hashing": ({"num_bins": 4}, (3,)),
    "Identity": ({}, (4,)),
    "IntegerLookup": ({"vocabulary": [1, 2]}, (3,)),
    "LSTM": ({"units": 2}, (5, 3)),
    "LSTMCell": ({"units": 2}, None),
    "LayerNormalization": ({}, (4, 3)),
    "LeakyReLU": ({}, (4,)),
    "Masking": ({}, (4, 3)),
    "MaxNumBoundingBoxes": ({"max_number": 3}, None),
    "MelSpectrogram": ({"fft_length": 8, "sequence_stride": 4}, _SOUND),
    "MixUp": ({}, _IMAGE),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 2}, None),
    "Normalization": ({"mean": 0.0, "variance": 1.0}, (4,)),
    "PReLU": ({}, (4, 3)),
    "Permute": ({"dims": (2, 1)}, (4, 3)),
    "RMSNormalization": ({}, (4, 3)),
    "RandAugment": ({}, _IMAGE),
    "RandomBrightness": ({"factor": 0.2}, _IMAGE),
    "RandomColorDegeneration": ({"factor": 0.2}, _IMAGE),
    "RandomColorJitter": ({}, _IMAGE),
    "RandomContrast": ({"factor": 0.2}, _IMAGE),
    "RandomCrop": ({"height": 2, "width": 2}, _IMAGE),
    "RandomElasticTransform": ({}, _IMAGE),
    "RandomErasing": ({}, _IMAGE),
    "RandomFlip": ({}, _IMAGE),
    "RandomGaussianBlur": ({}, _IMAGE),
    "RandomGrayscale": ({}, _IMAGE),
    "RandomHue": ({"factor": 0.2}, _IMAGE),
    "RandomInvert": ({}, _IMAGE),
    "RandomPerspective": ({}, _IMAGE),
    "RandomPosterization": ({"factor": 4}, _IMAGE),
    "RandomRotation": ({"factor": 0.2}, _IMAGE),
    "RandomSaturation": ({"factor": 0.2}, _IMAGE),
    "RandomSharpness": ({"factor": 0.2}, _IMAGE),
    "RandomShear": ({"x_factor": 0.2}, _IMAGE),
    "RandomTranslation": ({"height_factor": 0.2, "width_factor": 0.2}, _IMAGE),
    "RandomZoom": ({"height_factor": 0.2}, _IMAGE),
    "ReLU": ({}, (4,)),
    "RepeatVector": ({"n": 2}, (4,)),
    "Rescaling": ({"scale": 0.5}, (4,)),
    "Reshape": ({"target_shape": (2, 2)}, (4,)),
    "Resizing": ({"height": 2, "width": 2}, _IMAGE),
    "ReversibleEmbedding": ({"input_dim": 5, "output_dim": 3}, (4,)),
    "STFTSpectrogram": ({"frame_length": 8}, (32, 1)),
    "SimpleRNN": ({"units": 2}, (5, 3)),
    "SimpleRNNCell": ({"units": 2}, None),
    "Softmax": ({}, (4,)),
    "Solarization": ({}, _IMAGE),
    "StringLookup": ({"vocabulary": ["a", "b"]}, (3,)),
    "TextVectorization": ({"vocabulary": ["a", "b"]}, (3,)),
    "UnitNormalization": ({}, (4,)),
}
# The same of layers that hold others, which are made for each of them.
AROUND: dict[str, tuple[Callable[[Any], dict[str, Any]], tuple[int, ...] | None]] = {
    "Bidirectional": (lambda layers: {"layer": layers.SimpleRNN(2)}, (5, 3)),
    "Pipeline": (lambda layers: {"layers": [layers.ReLU()]}, (4,)),
    "RNN": (lambda layers: {"cell": layers.SimpleRNNCell(2)}, (5, 3)),
    "SpectralNormalization": (lambda layers: {"layer": layers.Dense(3)}, (4,)),
    "StackedRNNCells": (lambda layers: {"cells": [layers.SimpleRNNCell(2)]}, None),
    "TimeDistributed": (lambda layers: {"layer": layers.Dense(3)}, (5, 3)),
}
# What layers take that take no float32.
INPUTS = {
    **dict.fromkeys(("CategoryEncoding", "Embedding", "IntegerLookup", "ReversibleEmbedding"), "int32"),
    **dict.fromkeys(("Hashing", "StringLookup", "TextVectorization"), "str"),
}
# The same for families over one, two and three axes of space.
OVER_SPACE: dict[str, dict[str, Any]] = {
    **{key: {"output_size": 2} for key in ("AdaptiveAveragePooling", "AdaptiveMaxPooling")},
    **{key: {"pool_size": 2} for key in ("AveragePooling", "MaxPooling")},
    **{key: {"filters": 2, "kernel_size": 2} for key in ("Conv", "SeparableConv")},
    "Cropping": {"cropping": 1},
    "DepthwiseConv": {"kernel_size": 2},
    **{key: {} for key in ("GlobalAveragePooling", "GlobalMaxPooling")},
    "SpatialDropout": {"rate": 0.2},
    "UpSampling": {"size": 2},
    "ZeroPadding": {"padding": 1},
}


Needs = Callable[[Any], dict[str, Any]]


def _always(needed: dict[str, Any]) -> Needs:
    return lambda _: needed


def layers_tried(library: Any) -> Iterator[tuple[str, Needs, tuple[int, ...] | None]]:
    """Yields the name of a layer, what makes what it needs of `keras.layers`, and the shape of a sample."""
    found: dict[str, tuple[Any, tuple[int, ...] | None]] = PLAIN | AROUND
    for axes, shape in _SPACE.items():
        found |= {f"{name}{axes}": (needed, shape) for name, needed in OVER_SPACE.items()}
        found[f"Conv{axes}Transpose"] = (OVER_SPACE["Conv"], shape)
        found[f"ConvLSTM{axes}"] = (OVER_SPACE["Conv"], (3, *shape))
    for name, (needed, of_sample) in sorted(found.items()):
        if hasattr(library.layers, name):
            yield name, needed if callable(needed) else _always(needed), of_sample


def answers(library: Any, limit: float = 1e9, only: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """Returns what a library says of each argument of each layer, or of some, each called for so many seconds."""
    api = json.loads((FOLDER / "keras_api.json").read_text())["layers"]
    result = {}
    for name, needed, shape in layers_tried(library):
        if only and name not in only:
            continue
        until = time.monotonic() + limit
        tried = [p for p in api[name] if p[0] not in SHARED and not p[0].startswith("*")]
        result[name] = {
            argument: "".join(
                DEFAULT if [v] == default and type(v) is type(default[0])
                else _answer(getattr(library.layers, name), {**needed(library.layers), argument: v}, shape, until)
                for v in VALUES
            )
            for argument, *default in tried
        }  # fmt: skip
    return result


def _answer(kind: Any, arguments: dict[str, Any], shape: tuple[int, ...] | None, until: float) -> str:
    try:
        layer = kind(**arguments)
    except Exception:  # any: how a library refuses is not compared here
        return MADE
    if shape is None or time.monotonic() > until:
        return UNCALLED
    dtype = INPUTS.get(kind.__name__, "float32")
    try:
        layer((np.arange(np.prod((2, *shape))).reshape((2, *shape)) % 3).astype(dtype))
    except Exception:
        return CALLED
    return ACCEPTED


def record(only: Sequence[str]) -> None:
    """Writes what Keras says of all layers, or of some beside what it said of the others."""
    import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]

    warnings.simplefilter("ignore")
    path = FOLDER / "layer_arguments.json"
    found = json.loads(path.read_text()) if only else {}
    found |= answers(keras, LIMIT, only)
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(found[name], separators=(',', ':'))}" for name in sorted(found))
    path.write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    record(sys.argv[1:])
