"""Records what Keras makes of images in training where nothing is left to chance: python -m kit.record_images

Run it with a Python that has Keras 3 and JAX; nothing of seqc is needed. It writes `cases/image_cases.json` and `.npz`.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

CASES = Path(__file__).resolve().parents[1] / "cases"
INPUTS = {"wide": (2, 4, 7, 3), "tall": (2, 6, 5, 3)}

Config = dict[str, Any]


def rows() -> list[tuple[str, Config]]:
    """Returns classes and arguments whose ranges hold one number each."""
    found: list[tuple[str, Config]] = []
    ways = [
        {"fill_mode": mode, "interpolation": between, "fill_value": 9.0}
        for mode, between in itertools.product(("constant", "nearest", "reflect", "wrap"), ("bilinear", "nearest"))
    ]
    for way in ways:
        found += [
            ("RandomRotation", {"factor": (0.25, 0.25), **way}),
            ("RandomRotation", {"factor": (-0.07, -0.07), **way}),
            ("RandomTranslation", {"height_factor": (0.4, 0.4), "width_factor": (-0.37, -0.37), **way}),
            ("RandomZoom", {"height_factor": (0.63, 0.63), "width_factor": (-0.4, -0.4), **way}),
        ]
    found += [
        ("RandomZoom", {"height_factor": (0.3, 0.3)}),
        ("RandomTranslation", {"height_factor": (1.0, 1.0), "width_factor": (1.0, 1.0), "fill_mode": "wrap"}),
        ("RandomContrast", {"factor": (0.0, 0.0)}),
        ("RandomContrast", {"factor": (0.0, 0.0), "value_range": (50, 150)}),
        ("RandomBrightness", {"factor": (0.3, 0.3)}),
        ("RandomBrightness", {"factor": (-0.2, -0.2), "value_range": (20, 200)}),
        ("RandomSaturation", {"factor": (0.3, 0.3)}),
        ("RandomSaturation", {"factor": (0.8, 0.8), "value_range": (0, 1)}),
        ("RandomHue", {"factor": (1.0, 1.0)}),
        ("RandomHue", {"factor": (0.0, 0.0), "value_range": (0, 300)}),
        ("RandomColorJitter", {"contrast_factor": (0.0, 0.0), "brightness_factor": (0.1, 0.1), "hue_factor": (1, 1)}),
        ("RandomColorJitter", {"saturation_factor": (0.3, 0.3), "value_range": (0, 255)}),
        ("RandomGrayscale", {"factor": 1.0}),
        ("RandomGrayscale", {"factor": 0.0}),
        ("RandomColorDegeneration", {"factor": (0.4, 0.4)}),
        ("RandomColorDegeneration", {"factor": (0.7, 0.7), "value_range": (20, 90)}),
        ("RandomInvert", {"factor": (1.0, 1.0), "value_range": (0, 300)}),
        ("RandomInvert", {"factor": (0.0, 0.0)}),
        ("Solarization", {}),
        ("Solarization", {"value_range": (0, 260)}),
        ("RandomPosterization", {"factor": (3, 3)}),
        ("RandomPosterization", {"factor": (5, 5), "value_range": (0, 256)}),
        ("AutoContrast", {}),
        ("AutoContrast", {"value_range": (20, 200)}),
        ("RandomErasing", {"factor": (1.0, 1.0), "scale": (1.0, 1.0), "fill_value": 300.0}),
        ("RandomErasing", {"factor": (0.0, 0.0)}),
        ("RandomCrop", {"height": 8, "width": 14}),
        ("RandomSharpness", {"factor": (0.9, 0.9)}),
        ("RandomSharpness", {"factor": (0.2, 0.2), "value_range": (20, 200)}),
        ("RandomGaussianBlur", {"factor": (1.0, 1.0), "sigma": (0.8, 0.8)}),
        (
            "RandomGaussianBlur",
            {"factor": (1.0, 1.0), "sigma": (0.5, 0.5), "kernel_size": (5, 3), "value_range": (9, 99)},
        ),
        ("RandomGaussianBlur", {"factor": (0.0, 0.0)}),
        ("RandomElasticTransform", {"factor": (0.0, 0.0)}),
        ("RandomPerspective", {"scale": 0.0}),
        ("Equalization", {}),
        ("Equalization", {"bins": 8, "value_range": (0, 260)}),
        ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 2)}),
        ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (1, 3), "clip_limit": 20.0}),
        ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (3, 2), "value_range": (0, 300)}),
        ("ContrastLimitedAdaptiveHistogramEqualization", {"tile_grid_size": (2, 1), "clip_limit": 0.0}),
    ]
    return found


def main() -> None:
    draw = np.random.default_rng(11)
    arrays: dict[str, Any] = {name: draw.uniform(0, 255, shape).astype("float32") for name, shape in INPUTS.items()}
    facts: list[dict[str, Any]] = []
    for number, ((name, config), given) in enumerate(itertools.product(rows(), INPUTS)):
        if name == "RandomCrop" and given != "wide":  # of other images Keras takes another part than it says it does
            continue
        # Other color layers of Keras take the channels for rows where they come first.
        for first in (False, True) if number % 7 == 0 and number < 70 else (False,):
            more = {"data_format": "channels_first"} if first else {}
            x = np.moveaxis(arrays[given], -1, 1) if first else arrays[given]
            y = np.asarray(getattr(keras.layers, name)(**config, **more)(x, training=True))
            key = f"y{len(facts)}"
            facts.append({"class": name, "config": {**config, **more}, "x": given, "y": key})
            arrays[key] = y.astype("float32")
    lines = ",\n".join(json.dumps(fact) for fact in facts)
    (CASES / "image_cases.json").write_text(f"[\n{lines}\n]\n")
    np.savez_compressed(CASES / "image_cases.npz", **arrays)


if __name__ == "__main__":
    main()
