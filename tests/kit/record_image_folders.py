"""Records what Keras, on TensorFlow, makes of a folder of images: `python -m kit.record_image_folders` in `tests/`.

The images are drawn by `write` there and in the test.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

FILE = Path(__file__).parents[1] / "cases" / "image_folders.npz"
SIZES = [(20, 17), (9, 30), (16, 12), (31, 8)]
WAYS: list[dict[str, Any]] = [
    {},
    {"color_mode": "grayscale"},
    {"color_mode": "grayscale", "interpolation": "nearest"},
    {"color_mode": "rgba", "interpolation": "bicubic"},
    {"crop_to_aspect_ratio": True},
    {"crop_to_aspect_ratio": True, "interpolation": "nearest"},
    {"pad_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True, "interpolation": "nearest", "image_size": (7, 13)},
    {"pad_to_aspect_ratio": True, "interpolation": "lanczos3", "data_format": "channels_first"},
    {"image_size": (40, 9), "interpolation": "lanczos5", "color_mode": "grayscale"},
]


def write(folder: Path) -> None:
    """Writes images of several sizes and kinds."""
    from PIL import Image

    rng = np.random.default_rng(3)
    for number, size in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    Image.fromarray(rng.integers(0, 256, (12, 12, 4), dtype=np.uint8)).save(folder / "with_alpha.png")
    Image.fromarray(rng.integers(0, 65536, (10, 14), dtype=np.uint16)).save(folder / "deep.png")
    Image.fromarray(rng.integers(0, 256, (10, 14), dtype=np.uint8)).save(folder / "grey.png")


def read(keras: Any, folder: Path, way: dict[str, Any]) -> Any:
    """Returns the only batch of a folder."""
    options = {"labels": None, "image_size": (16, 12), "shuffle": False, "verbose": False} | way
    (batch,) = keras.utils.image_dataset_from_directory(str(folder), **options)
    return np.asarray(batch)


if __name__ == "__main__":
    import keras

    with TemporaryDirectory() as made:
        write(Path(made))
        np.savez_compressed(FILE, **{str(i): read(keras, Path(made), way) for i, way in enumerate(WAYS)})
