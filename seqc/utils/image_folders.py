"""Folders of images, one for each class, as data to train with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import ops
from seqc.errors import ConfigError, DataError
from seqc.graph.ir import Array
from seqc.utils.batches import PyDataset
from seqc.utils.display import note
from seqc.utils.pictures import img_to_array, load_img, pillow

_FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")


class ImageFolder(PyDataset):
    """Batches of images that are read when they are asked for.

    Attributes:
        file_paths: of the images, in order. class_names: what labels stand for; None where there are none.
    """

    def __init__(
        self, paths: list[str], labels: Array | None, class_names: list[str] | None, size: int, **settings: Any
    ) -> None:
        super().__init__()
        self.file_paths, self.labels, self.class_names = paths, labels, class_names
        self.batch_size, self.settings = size, settings

    def __len__(self) -> int:
        return -(-len(self.file_paths) // self.batch_size)

    def __getitem__(self, number: int) -> Any:
        chosen = slice(number * self.batch_size, (number + 1) * self.batch_size)
        images = np.stack([self._read(path) for path in self.file_paths[chosen]])
        return images if self.labels is None else (images, self.labels[chosen])

    def _read(self, path: str) -> Array:
        settings = dict(self.settings)
        array = img_to_array(load_img(path, settings.pop("color_mode")))
        first = settings.pop("data_format") == "channels_first"
        resized = np.asarray(ops.image.resize(array, settings.pop("image_size"), **settings))
        return resized.transpose(2, 0, 1) if first else resized


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Returns the images in a folder, batch by batch, as float32 from 0 to 255; `fit` takes them.

    Args:
        directory: the folder.
        labels: "inferred" where there is a folder in it for each class; numbers, one per image in the order of their
        paths; or None for images alone.
        label_mode: "int", "categorical" (one-hot), "binary" (0.0 or 1.0, of two classes), or None.
        class_names: the folders, in the order of their numbers; by default all, in the order of their names.
        color_mode: "grayscale", "rgb" or "rgba". batch_size: images in a batch; None for one at a time, with a batch of
        one. image_size: height and width that images are brought to.
        shuffle: whether their order is random, drawn by `seed`.
        validation_split: the part of them, the last, that is for validation; subset: "training", "validation" or
        "both" for a list of the two.
        interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio: see `seqc.ops.image.resize`.
        follow_links: whether folders that are links are looked into. data_format: whether channels come last or first.
        verbose: whether it is said how many images there are.
    """
    pillow("image_dataset_from_directory")
    if label_mode not in ("int", "categorical", "binary", None):
        raise ConfigError(
            f'`label_mode` argument must be one of "int", "categorical", "binary", or None. Received: {label_mode!r}'
        )
    if interpolation not in _INTERPOLATIONS:
        raise ConfigError(f"Argument `interpolation` should be one of {_INTERPOLATIONS}. Received: {interpolation!r}")
    _check_split(validation_split, subset, shuffle, seed)
    found, names = _listed(str(directory), labels if label_mode else None, class_names, follow_links)
    if verbose:
        note(f"Found {len(found)} files{f' belonging to {len(names)} classes' if names is not None else ''}.")
    if label_mode == "binary" and names is not None and len(names) != 2:
        raise ConfigError(f'`label_mode="binary"` needs two classes. Received: class_names={names}')
    if shuffle:
        found = [found[i] for i in np.random.default_rng(seed).permutation(len(found))]
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    settings = {
        "color_mode": color_mode,
        "image_size": size,
        "data_format": data_format,
        "interpolation": interpolation,
        "crop_to_aspect_ratio": crop_to_aspect_ratio,
        "pad_to_aspect_ratio": pad_to_aspect_ratio,
    }
    last = int((validation_split or 0) * len(found))
    parts = {None: found, "training": found[: len(found) - last], "validation": found[len(found) - last :]}
    wanted = ("training", "validation") if subset == "both" else (subset,)
    made = []
    for part in wanted:
        if not parts[part]:
            raise DataError(f"No images found in directory {directory}. Allowed formats: {_FORMATS}")
        paths, numbers = (list(column) for column in zip(*parts[part], strict=True))
        array = None if names is None else _as_labels(np.array(numbers, "int32"), str(label_mode), len(names))
        made.append(ImageFolder(paths, array, names, batch_size or 1, **settings))
    return made if subset == "both" else made[0]


def _as_labels(numbers: Array, mode: str, classes: int) -> Array:
    if mode == "binary":
        return numbers.astype("float32")[:, None]
    return np.eye(classes, dtype="float32")[numbers] if mode == "categorical" else numbers


def _listed(
    directory: str, labels: Any, class_names: Sequence[str] | None, follow_links: bool
) -> tuple[list[tuple[str, int]], list[str] | None]:
    """Returns the paths of images with their numbers, and the names that numbers stand for."""
    if labels != "inferred" and class_names is not None:
        raise ConfigError('`class_names` can only be specified where labels are "inferred".')
    if labels != "inferred":
        paths = _paths(directory, follow_links)
        if labels is None:
            return [(path, 0) for path in paths], None
        if len(labels) != len(paths):
            raise DataError(f"There are {len(labels)} `labels` for {len(paths)} files in directory {directory}.")
        return list(zip(paths, map(int, labels), strict=True)), [str(label) for label in sorted(set(labels))]
    folders = sorted(e.name for e in os.scandir(directory) if e.is_dir() and not e.name.startswith("."))
    names = folders if class_names is None else list(class_names)
    if not set(names) <= set(folders):
        raise DataError(f"`class_names` must be names of folders in {directory}: {folders}. Received: {names}")
    found = [(p, i) for i, name in enumerate(names) for p in _paths(os.path.join(directory, name), follow_links)]
    return found, names


def _paths(directory: str, follow_links: bool) -> list[str]:
    walk = sorted(os.walk(directory, followlinks=follow_links))
    return [os.path.join(root, name) for root, _, names in walk for name in sorted(names) if _is_image(name)]


def _is_image(name: str) -> bool:
    return name.lower().endswith(_FORMATS)


def _check_split(split: float | None, subset: str | None, shuffle: bool, seed: int | None) -> None:
    if split and not 0 < split < 1:
        raise ConfigError(f"`validation_split` must be between 0 and 1, received: {split}")
    if bool(split) != bool(subset):
        raise ConfigError("If `subset` is set, `validation_split` must be set, and inversely.")
    if subset not in ("training", "validation", "both", None):
        raise ConfigError(f'`subset` must be either "training", "validation" or "both", received: {subset}')
    if split and shuffle and seed is None:
        raise ConfigError(
            "With `validation_split` and shuffled data, `seed` must be given, so that the two parts do not overlap."
        )
