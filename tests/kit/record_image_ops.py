"""Records what Keras's functions of images and layouts give: python -m kit.record_image_ops

Run it with a Python that has Keras 3 and JAX; nothing of seqc is needed. It writes `cases/image_op_cases.json` and
`.npz`.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np

CASES = Path(__file__).resolve().parents[1] / "cases"
MODES = ("constant", "nearest", "reflect", "wrap", "mirror")
DRAW = np.random.default_rng(12)

# By name, the tensors that functions are called on.
GIVEN = {
    "pictures": DRAW.uniform(0, 255, (2, 6, 7, 3)).astype("float32"),
    "unit": DRAW.uniform(0, 1, (2, 6, 7, 3)).astype("float32"),
    "others": DRAW.uniform(0, 1, (2, 6, 7, 3)).astype("float32"),
    "bytes": DRAW.integers(0, 256, (2, 6, 7, 3)).astype("uint8"),
    "one": DRAW.uniform(0, 1, (5, 4, 2)).astype("float32"),
    "large": DRAW.uniform(0, 1, (2, 14, 13, 2)).astype("float32"),
    "large2": DRAW.uniform(0, 1, (2, 14, 13, 2)).astype("float32"),
    "volume": DRAW.normal(size=(2, 4, 5, 6, 2)).astype("float32"),
    "map": np.array([[0.9, 0.2, -0.7, -0.1, 1.2, 0.4, 0, 0], [1.03, 0.51, 2.02, 0.04, 0.97, -3.06, 0, 0]], "float32"),
    "one_map": np.array([0.9, 0.2, -0.7, -0.1, 1.2, 0.4, 0, 0], "float32"),
    "start": np.array([[[0, 0], [6, 0], [0, 5], [6, 5]], [[1, 0], [5, 1], [0, 4], [6, 5]]], "float32"),
    "end": np.array(
        [[[1.1, 1.3], [5.2, 0.4], [0.5, 4.1], [6.3, 5.6]], [[0.2, 0.1], [6.1, 0.3], [0.4, 5.2], [6.6, 5.7]]], "float32"
    ),
    "places": DRAW.uniform(-3, 8, (3, 4, 5)).astype("float32"),
    "cube": DRAW.normal(size=(4, 6, 3)).astype("float32"),
    "columns": DRAW.normal(size=(2, 12, 20)).astype("float32"),
    "blocks": DRAW.normal(size=(2, 4, 6, 8)).astype("float32"),
    "scale": np.array([1.73, 0.61], "float32"),
    "shift": np.array([-0.41, 1.23], "float32"),
}

Config = dict[str, Any]
Row = tuple[str, list[str], Config]


def rows() -> list[Row]:
    """Returns functions, the tensors they are called on, and their settings."""
    found: list[Row] = []
    for mode, between in itertools.product(
        ("constant", "nearest", "reflect", "wrap", "mirror"), ("bilinear", "nearest")
    ):
        way = {"fill_mode": mode, "interpolation": between, "fill_value": 0.3}
        found.append(("image.affine_transform", ["unit", "map"], way))
    for mode, order in itertools.product(("constant", "nearest", "reflect", "wrap", "mirror"), (0, 1)):
        found.append(
            ("image.map_coordinates", ["cube", "places"], {"fill_mode": mode, "order": order, "fill_value": 2.0})
        )
    found += [
        ("image.affine_transform", ["one", "one_map"], {}),
        ("image.perspective_transform", ["unit", "start", "end"], {}),
        ("image.perspective_transform", ["unit", "start", "end"], {"interpolation": "nearest", "fill_value": 0.5}),
        ("image.gaussian_blur", ["unit"], {"data_format": "channels_last"}),
        ("image.gaussian_blur", ["unit"], {"kernel_size": [5, 3], "sigma": [0.7, 2.0], "data_format": "channels_last"}),
        ("image.gaussian_blur", ["one"], {"kernel_size": [3, 5], "data_format": "channels_first"}),
        ("image.rgb_to_grayscale", ["unit"], {}),
        ("image.rgb_to_grayscale", ["bytes"], {}),
        ("image.rgb_to_hsv", ["unit"], {}),
        ("image.rgb_to_hsv", ["pictures"], {}),
        ("image.hsv_to_rgb", ["unit"], {}),
        ("image.sobel_edges", ["unit"], {}),
        ("image.ssim", ["large", "large2"], {}),
        ("image.ssim", ["unit", "others"], {"filter_size": 3, "filter_sigma": 0.8, "max_val": 2.0, "k1": 0.1}),
        ("image.extract_patches", ["unit"], {"size": 3}),
        ("image.extract_patches", ["unit"], {"size": [2, 3], "strides": 2, "padding": "same"}),
        ("image.extract_patches", ["one"], {"size": 2, "strides": 1, "dilation_rate": 2}),
        ("image.extract_patches_3d", ["volume"], {"size": [2, 2, 3], "strides": 2}),
        ("image.pad_images", ["unit"], {"top_padding": 1, "left_padding": 2, "target_height": 9, "target_width": 11}),
        ("image.pad_images", ["one"], {"top_padding": 1, "bottom_padding": 0, "right_padding": 3, "target_width": 8}),
        ("image.crop_images", ["unit"], {"top_cropping": 1, "left_cropping": 2, "target_height": 3, "target_width": 4}),
        (
            "image.crop_images",
            ["one"],
            {"bottom_cropping": 1, "target_height": 2, "left_cropping": 1, "right_cropping": 2},
        ),
    ]
    for method, antialias in itertools.product(("linear", "cubic", "lanczos3", "lanczos5"), (True, False)):
        more: Config = {"output_shape": [2, 9, 4, 3], "spatial_dims": [1, 2], "method": method, "antialias": antialias}
        found.append(("image.scale_and_translate", ["unit", "scale", "shift"], more))
    ways: tuple[Config, ...] = (
        {},
        {"antialias": True},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True, "fill_value": 0.4},
    )
    for kind, more in itertools.product(("bilinear", "nearest", "bicubic", "lanczos3"), ways):
        found.append(("image.resize", ["unit"], {"size": [4, 9], "interpolation": kind, **more}))
    found.append(("image.resize", ["bytes"], {"size": [9, 3], "interpolation": "bicubic"}))
    for data_format in ("channels_last", "channels_first"):
        found.append(("depth_to_space", ["blocks"], {"block_size": 2, "data_format": data_format}))
        found.append(("space_to_depth", ["blocks"], {"block_size": 2, "data_format": data_format}))
    found += [
        ("psnr", ["unit", "others"], {"max_val": 1.0}),
        ("unfold", ["blocks"], {"kernel_size": 2}),
        ("unfold", ["blocks"], {"kernel_size": [2, 3], "dilation": 2, "padding": [1, 2], "stride": [2, 1]}),
        ("fold", ["columns"], {"output_size": [5, 6], "kernel_size": 2}),
        ("fold", ["columns"], {"output_size": [6, 5], "kernel_size": [2, 3], "padding": [1, 1], "stride": [2, 1]}),
        ("fold", ["columns"], {"output_size": [6, 7], "kernel_size": 2, "dilation": 2}),
    ]
    return found


def function(name: str) -> Any:
    """Returns a function of `keras.ops` by its name, with dots."""
    found: Any = keras.ops
    for part in name.split("."):
        found = getattr(found, part)
    return found


def main() -> None:
    arrays: dict[str, Any] = dict(GIVEN)
    facts: list[Config] = []
    for number, (name, given, settings) in enumerate(rows()):
        tensors = [GIVEN[tensor] for tensor in given]
        call = function(name)

        def run(*values: Any, call: Any = call, settings: Config = settings) -> Any:
            if call is keras.ops.image.scale_and_translate:
                rest = {key: value for key, value in settings.items() if key != "output_shape"}
                return call(values[0], settings["output_shape"], *values[1:], **rest)
            return call(*values, **settings)

        y = np.asarray(run(*tensors))
        fact: Config = {"function": name, "given": given, "settings": settings, "y": f"y{number}"}
        arrays[f"y{number}"] = y
        if y.dtype.kind == "f":
            upstream = np.random.default_rng(number).normal(size=y.shape).astype("float32")
            places = tuple(range(len(tensors)))
            gradients = jax.grad(lambda *v, u=upstream, run=run: (run(*v) * u).sum(), places)(*tensors)
            for place, gradient in enumerate(gradients):
                # JAX knows only maps that are not bent, and gives other numbers something else.
                bent = given[place].endswith("map")
                arrays[f"g{number}_{place}"] = np.asarray(gradient)[..., :6] if bent else np.asarray(gradient)
            fact["gradients"] = len(tensors)
            arrays[f"u{number}"] = upstream
        facts.append(fact)
    lines = ",\n".join(json.dumps(fact) for fact in facts)
    (CASES / "image_op_cases.json").write_text(f"[\n{lines}\n]\n")
    np.savez_compressed(CASES / "image_op_cases.npz", **arrays)


if __name__ == "__main__":
    main()
