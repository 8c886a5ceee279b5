"""Bad values for each argument of layers. `KERAS_BACKEND=jax PYTHON -m kit.argument_cases` records what Keras says.

A layer is made with one argument changed, and called on a small input. The answers are letters, one for each value:
refused when it is made, refused when it is called, accepted, only made, or the argument's default.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterator
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
_SPACE = {"1D": _LINE, "2D": _IMAGE, "3D": _VOLUME}
# What else a layer needs, and the shape of a sample for it; None where it is only made.
PLAIN: dict[str, tuple[dict[str, Any], tuple[int, ...] | None]] = {
    "Activation": ({"activation": "relu"}, (4,)),
    "ActivityRegularization": ({}, (4,)),
    "Add": ({}, None),
    "AdditiveAttention": ({}, None),
    "AlphaDropout": ({"rate": 0.2}, (4, 3)),
    "Attention": ({}, None),
    "AutoContrast": ({}, _IMAGE),
    "BatchNormalization": ({}, (4, 3)),
    "CategoryEncoding": ({"num_tokens": 4}, (3,)),
    "CenterCrop": ({"height": 2, "width": 2}, _IMAGE),
    "Concatenate": ({}, None),
    "Dense": ({"units": 3}, (4,)),
    "Discretization": ({"bin_boundaries": [0.0, 1.0]}, (4,)),
    "Dot": ({"axes": 1}, None),
    "Dropout": ({"rate": 0.2}, (4, 3)),
    "ELU": ({}, (4,)),
    "EinsumDense": ({"equation": "ab,bc->ac", "output_shape": 3}, (4,)),
    "Embedding": ({"input_dim": 5, "output_dim": 3}, (4,)),
    "Flatten": ({}, (4, 3)),
    "GRU": ({"units": 2}, (5, 3)),
    "GRUCell": ({"units": 2}, None),
    "GaussianDropout": ({"rate": 0.2}, (4,)),
    "GaussianNoise": ({"stddev": 0.2}, (4,)),
    "GroupNormalization": ({"groups": 2}, (8, 8, 4)),
    "GroupQueryAttention": ({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}, None),
    "Identity": ({}, (4,)),
    "LSTM": ({"units": 2}, (5, 3)),
    "LSTMCell": ({"units": 2}, None),
    "LayerNormalization": ({}, (4, 3)),
    "LeakyReLU": ({}, (4,)),
    "Masking": ({}, (4, 3)),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 2}, None),
    "Normalization": ({"mean": 0.0, "variance": 1.0}, (4,)),
    "PReLU": ({}, (4, 3)),
    "Permute": ({"dims": (2, 1)}, (4, 3)),
    "RMSNormalization": ({}, (4, 3)),
    "RandomBrightness": ({"factor": 0.2}, _IMAGE),
    "RandomColorDegeneration": ({"factor": 0.2}, _IMAGE),
    "RandomColorJitter": ({}, _IMAGE),
    "RandomContrast": ({"factor": 0.2}, _IMAGE),
    "RandomCrop": ({"height": 2, "width": 2}, _IMAGE),
    "RandomErasing": ({}, _IMAGE),
    "RandomFlip": ({}, _IMAGE),
    "RandomGrayscale": ({}, _IMAGE),
    "RandomHue": ({"factor": 0.2}, _IMAGE),
    "RandomInvert": ({}, _IMAGE),
    "RandomPosterization": ({"factor": 4}, _IMAGE),
    "RandomRotation": ({"factor": 0.2}, _IMAGE),
    "RandomSaturation": ({"factor": 0.2}, _IMAGE),
    "RandomTranslation": ({"height_factor": 0.2, "width_factor": 0.2}, _IMAGE),
    "RandomZoom": ({"height_factor": 0.2}, _IMAGE),
    "ReLU": ({}, (4,)),
    "RepeatVector": ({"n": 2}, (4,)),
    "Rescaling": ({"scale": 0.5}, (4,)),
    "Reshape": ({"target_shape": (2, 2)}, (4,)),
    "Resizing": ({"height": 2, "width": 2}, _IMAGE),
    "SimpleRNN": ({"units": 2}, (5, 3)),
    "SimpleRNNCell": ({"units": 2}, None),
    "Softmax": ({}, (4,)),
    "Solarization": ({}, _IMAGE),
    "UnitNormalization": ({}, (4,)),
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


def layers_tried(library: Any) -> Iterator[tuple[str, dict[str, Any], tuple[int, ...] | None]]:
    """Yields the name of a layer, what it needs and the shape of a sample, for all that a library has."""
    found = dict(PLAIN)
    for axes, shape in _SPACE.items():
        found |= {f"{name}{axes}": (needed, shape) for name, needed in OVER_SPACE.items()}
        found[f"Conv{axes}Transpose"] = (OVER_SPACE["Conv"], shape)
        found[f"ConvLSTM{axes}"] = (OVER_SPACE["Conv"], (3, *shape))
    yield from ((name, *row) for name, row in sorted(found.items()) if hasattr(library.layers, name))


def answers(library: Any, limit: float = 1e9) -> dict[str, dict[str, str]]:
    """Returns what a library says of each argument of each layer, which is called for so many seconds."""
    api = json.loads((FOLDER / "keras_api.json").read_text())["layers"]
    result = {}
    for name, needed, shape in layers_tried(library):
        until = time.monotonic() + limit
        tried = [p for p in api[name] if p[0] not in SHARED and not p[0].startswith("*")]
        result[name] = {
            argument: "".join(
                DEFAULT if [v] == default and type(v) is type(default[0])
                else _answer(getattr(library.layers, name), {**needed, argument: v}, shape, until)
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
    dtype = "int32" if kind.__name__ in ("Embedding", "CategoryEncoding") else "float32"
    try:
        layer((np.arange(np.prod((2, *shape))).reshape((2, *shape)) % 3).astype(dtype))
    except Exception:
        return CALLED
    return ACCEPTED


def record() -> None:
    """Writes what Keras says."""
    import keras  # type: ignore[import-not-found,import-untyped,unused-ignore]

    warnings.simplefilter("ignore")
    found = answers(keras, LIMIT)
    lines = ",\n".join(f"{json.dumps(name)}:{json.dumps(said, separators=(',', ':'))}" for name, said in found.items())
    (FOLDER / "layer_arguments.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    sys.exit(record())
