"""Records layer cases from real Keras into the repository: `make cases`, or python -m kit.record_cases [ID ...].

Run it with a Python that has Keras 3 and TensorFlow; nothing of seqc is needed. To add a layer, add a row to `ROWS`,
run this, and keep what it writes: `tests/cases/layer_cases.json` and `.npz`, in which other cases stay as they are.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

CASES = Path(__file__).resolve().parents[1] / "cases"


@dataclass(frozen=True)
class Row:
    """What to record: a layer, or a short chain of layers, on random input.

    Attributes:
        layers: (class, arguments) of each. shape: of the input, None for the batch and for free axes.
        size: of the batch and of free axes. dtype: of the input; integers are below `below`.
        drawn: whether training draws random numbers, so that only inference is recorded.
    """

    layers: list[tuple[str, dict[str, Any]]]
    shape: tuple[int | None, ...]
    size: int = 3
    dtype: str = "float32"
    below: int = 5
    drawn: bool = False
    tol: dict[str, float] = field(default_factory=lambda: {"default": 1e-5})


# By the id of the case, which begins with the class of the layer that it is about.
ROWS: dict[str, Row] = {
    "Dense-gelu_of_rank3": Row([("Dense", {"units": 4, "activation": "gelu"})], (None, None, 3)),
    "RNN-stack_of_cells": Row(
        [("RNN", {"cell": [keras.layers.LSTMCell(3), keras.layers.GRUCell(2)], "return_sequences": True})], (None, 4, 3)
    ),
    "LayerScale-image": Row([("LayerScale", {"init_values": 0.5, "projection_dim": 2})], (None, 3, None, 2)),
    "LayerNormalization-two_axes": Row([("LayerNormalization", {"axis": [1, 2], "epsilon": 0.01})], (None, 4, 3)),
    "Normalization-given_and_inverted": Row(
        [("Normalization", {"axis": [1, 3], "mean": [1.0, -2.0], "variance": [0.5, 0.0], "invert": True})],
        (None, 4, 3, 2),
    ),
    "Normalization-two_axes": Row([("Normalization", {"axis": [3, 1]})], (None, 4, 3, 2)),
    "STFTSpectrogram-magnitude_of_two_channels": Row(
        [("STFTSpectrogram", {"mode": "magnitude", "frame_length": 6, "frame_step": 2, "padding": "same"})],
        (None, None, 2),
        size=11,
    ),
    "STFTSpectrogram-psd_as_an_image": Row(
        [("STFTSpectrogram", {"mode": "psd", "frame_length": 5, "fft_length": 8, "expand_dims": True})], (None, 14, 3)
    ),
    "STFTSpectrogram-stft_of_two_channels": Row(
        [("STFTSpectrogram", {"mode": "stft", "frame_length": 4, "window": None, "scaling": None})], (None, 9, 2)
    ),
    "STFTSpectrogram-real": Row(
        [("STFTSpectrogram", {"mode": "real", "frame_length": 4, "periodic": True, "expand_dims": True})], (None, 9, 1)
    ),
    "STFTSpectrogram-imag": Row(
        [("STFTSpectrogram", {"mode": "imag", "frame_length": 4, "scaling": "spectrum"})], (None, None, 1), size=9
    ),
    "MelSpectrogram-magnitudes": Row(
        [
            (
                "MelSpectrogram",
                {
                    "fft_length": 16,
                    "sequence_stride": 4,
                    "sequence_length": 12,
                    "sampling_rate": 100,
                    "num_mel_bins": 4,
                    "min_freq": 3.0,
                    "max_freq": 40,
                    "mag_exp": 1.0,
                    "power_to_db": False,
                },
            )
        ],
        (None, 30),
    ),
    "MelSpectrogram-decibels": Row(
        [
            (
                "MelSpectrogram",
                {
                    "fft_length": 16,
                    "sequence_stride": 5,
                    "window": "hamming",
                    "sampling_rate": 100,
                    "num_mel_bins": 3,
                    "top_db": 12.0,
                    "ref_power": 0.5,
                },
            )
        ],
        (None, None),
        size=29,
    ),
    "Rescaling-of_bytes": Row(
        [("Rescaling", {"scale": [0.5, 1.0, 2.0], "offset": -1})], (None, None, 3), dtype="int32", below=256
    ),
    **{
        f"{name}-{next(iter(given))}": Row([(name, given)], (None, 4, 5, 3), drawn=True)
        for name, given in (
            ("RandomFlip", {"mode": "vertical"}),
            ("RandomTranslation", {"height_factor": 0.2, "width_factor": [-0.1, 0.3], "seed": 3}),
            ("RandomZoom", {"height_factor": [0.1, 0.3], "fill_mode": "wrap"}),
            ("RandomRotation", {"factor": 0.1, "interpolation": "nearest", "fill_value": 2.0}),
            ("RandomCrop", {"height": 4, "width": 5, "seed": 5}),
            ("RandomContrast", {"factor": [0.2, 0.4], "value_range": [-1.0, 1.0]}),
            ("RandomBrightness", {"factor": 0.2, "value_range": [-1.0, 1.0]}),
            ("RandomSaturation", {"factor": [0.3, 0.6]}),
            ("RandomHue", {"factor": 0.4, "value_range": [-1.0, 1.0]}),
            ("RandomColorJitter", {"hue_factor": 0.4, "contrast_factor": [0.1, 0.2]}),
            ("RandomGrayscale", {"factor": 0.7}),
            ("RandomColorDegeneration", {"factor": 0.3}),
            ("RandomInvert", {"factor": [0.4, 0.8], "value_range": [-1.0, 1.0]}),
            ("RandomPosterization", {"factor": [2, 5]}),
            ("RandomErasing", {"factor": 0.5, "scale": [0.1, 0.2], "fill_value": 3.0}),
            ("RandomShear", {"x_factor": [0.1, 0.3], "fill_mode": "wrap", "seed": 2}),
            ("RandomPerspective", {"factor": 0.6, "scale": 0.4, "fill_value": 2.0}),
            ("RandomElasticTransform", {"factor": [0.2, 0.8], "scale": 0.5, "fill_mode": "mirror"}),
            ("RandomSharpness", {"factor": [0.3, 0.9], "value_range": [-1.0, 1.0]}),
            ("RandomGaussianBlur", {"factor": 0.5, "kernel_size": 5, "sigma": [0.2, 0.7]}),
            ("MixUp", {"alpha": 0.3, "seed": 4}),
            ("CutMix", {"factor": [0.2, 0.8]}),
            ("RandAugment", {"num_ops": 3, "factor": 0.4}),
            ("AugMix", {"num_chains": 2, "alpha": 0.5, "all_ops": False}),
            ("MaxNumBoundingBoxes", {"max_number": 3}),
        )
    },
    "Pipeline-of_images": Row(
        [("Pipeline", {"layers": [keras.layers.Rescaling(0.5), keras.layers.RandomFlip(), keras.layers.Conv2D(2, 3)]})],
        (None, 4, 5, 3),
        drawn=True,
    ),
    "StochasticDepth-third": Row([("StochasticDepth", {"drop_path_rate": 0.3})], (None, 3, 2), drawn=True),
}


def record(name: str, row: Row) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns facts and arrays of a case."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    layers = [_class(kind)(**arguments) for kind, arguments in row.layers]
    model = keras.Sequential([keras.Input(batch_shape=row.shape, dtype=row.dtype), *layers])
    for variable in model.variables:
        variable.assign(_numbers(rng, variable))
    for layer in layers:
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()  # it keeps copies of its weights
    weights = [np.array(w) for w in model.get_weights()]
    x = _input(rng, row)
    arrays = {"x": x, **{f"w{i}": w for i, w in enumerate(weights)}}
    y = model(x, training=False)
    arrays["y"] = np.array(y)
    mask = keras.src.backend.get_keras_mask(y)
    if mask is not None:
        arrays["y_mask"] = np.array(mask)
    model.set_weights(weights)
    if not row.drawn:
        arrays |= _trained(rng, model, x)
        model.set_weights(weights)
    facts = {
        "id": name,
        "class": row.layers[-1][0],
        "layers": [{"class_name": type(layer).__name__, "config": layer.get_config()} for layer in layers],
        "input_shape": list(row.shape),
        "input_dtype": row.dtype,
        "tol": row.tol,
        "weights": [[w.path, list(w.shape), w.dtype] for w in model.weights],
    }
    return facts, arrays


def _class(name: str) -> Any:
    return getattr(keras.layers, name, None) or getattr(keras.src.applications.convnext, name)


def _numbers(rng: np.random.Generator, variable: Any) -> np.ndarray:
    """Returns random numbers for a weight, so that none hides behind a 0 or a 1; variances are positive."""
    drawn = rng.normal(size=variable.shape)
    result: np.ndarray = np.abs(drawn) + 0.5 if "variance" in variable.path else 0.5 * drawn
    return result


def _input(rng: np.random.Generator, row: Row) -> np.ndarray:
    shape = [row.size if size is None else size for size in row.shape]
    if row.dtype.startswith("int"):
        return rng.integers(0, row.below, shape).astype(row.dtype)
    return rng.normal(size=shape).astype(row.dtype)


def _trained(rng: np.random.Generator, model: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what a training call gives, its gradients, and the state after it."""
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(given)
        y = model(given, training=True)
        dy = rng.normal(size=y.shape).astype("float32")
        total = tf.reduce_sum(tf.cast(y, "float32") * dy)
    kernels = [w.value for w in model.trainable_weights]
    dx, *grads = tape.gradient(total, [given, *kernels], unconnected_gradients="zero")
    found = {"y_train": np.array(y), "dy": dy}
    if x.dtype.kind == "f":
        found["dx"] = np.array(dx)
    found |= {f"g{i}": np.array(tf.convert_to_tensor(g)) for i, g in enumerate(grads)}
    return found | {f"s{i}": np.array(w) for i, w in enumerate(model.non_trainable_weights)}


def keep(recorded: dict[str, tuple[dict[str, Any], dict[str, np.ndarray]]]) -> None:
    """Writes cases into the repository, in the place of those of their ids, or behind all others."""
    listed, stored = CASES / "layer_cases.json", CASES / "layer_cases.npz"
    facts = {one["id"]: one for one in json.loads(listed.read_text())}
    with np.load(stored, allow_pickle=False) as kept:
        arrays = {key: kept[key] for key in kept.files if key.split("/")[0] not in recorded}
    for name, (found, of_case) in recorded.items():
        facts[name] = found
        arrays |= {f"{name}/{key}": array for key, array in of_case.items()}
    lines = [json.dumps(one, sort_keys=True) for one in facts.values()]
    listed.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    np.savez_compressed(stored, **arrays)


def main(ids: list[str]) -> None:
    unknown = [name for name in ids if name not in ROWS]
    if unknown:
        sys.exit(f"there is no row {', '.join(unknown)} in {Path(__file__).name}; there are {', '.join(ROWS)}")
    recorded = {name: record(name, ROWS[name]) for name in ids or ROWS}
    keep(recorded)
    print(f"recorded with Keras {keras.__version__}: {', '.join(recorded)}")


if __name__ == "__main__":
    main(sys.argv[1:])
