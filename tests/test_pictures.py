"""Files of images as arrays, and folders of them as data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.record_image_folders import FILE, WAYS, read, write
from seqc.errors import ConfigError, DataError

pytest.importorskip("PIL", reason="needs Pillow")


def written(folder: Path) -> dict[str, np.ndarray]:
    """Writes images of three classes and returns them by their paths."""
    draw, found = np.random.default_rng(1), {}
    for kind, count in (("ant", 5), ("bee", 3), ("cat", 4)):
        (folder / kind).mkdir()
        for number in range(count):
            path = folder / kind / f"{number}.png"
            found[str(path)] = draw.integers(0, 256, (8, 10, 3)).astype("float32")
            keras.utils.save_img(path, found[str(path)], scale=False)
    (folder / "ant" / "notes.txt").write_text("no image")
    return found


def test_an_image_is_what_was_written(tmp_path: Path) -> None:
    x = np.random.default_rng(2).integers(0, 256, (7, 9, 3)).astype("float32")
    keras.utils.save_img(tmp_path / "x.png", x, scale=False)
    np.testing.assert_array_equal(keras.utils.img_to_array(keras.utils.load_img(tmp_path / "x.png")), x)
    first = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "x.png"), "channels_first")
    np.testing.assert_array_equal(first, x.transpose(2, 0, 1))
    gray = keras.utils.img_to_array(keras.utils.load_img(tmp_path / "x.png", "grayscale"))
    np.testing.assert_allclose(gray[..., 0], x @ [0.299, 0.587, 0.114], atol=1)
    small = keras.utils.load_img(tmp_path / "x.png", target_size=(3, 3), keep_aspect_ratio=True)
    np.testing.assert_array_equal(np.asarray(small)[1, 1], x[3, 4])
    stretched = np.asarray(keras.utils.array_to_img(x / 9 - 7))
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_a_folder_is_data_to_train_with(tmp_path: Path) -> None:
    images = written(tmp_path)
    data = keras.utils.image_dataset_from_directory(tmp_path, batch_size=5, image_size=(8, 10), seed=3, verbose=False)
    assert data.class_names == ["ant", "bee", "cat"]
    assert len(data) == 3
    assert sorted(data.file_paths) == sorted(images)
    assert data.file_paths != sorted(images)
    for number in range(3):
        x, y = data[number]
        for path, one, label in zip(data.file_paths[number * 5 :], x, y, strict=False):
            np.testing.assert_allclose(one, images[path], atol=1e-3)
            assert data.class_names[label] == Path(path).parent.name
    model = keras.Sequential([keras.Input((8, 10, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2


@pytest.mark.parametrize("number", range(len(WAYS)), ids=lambda number: "-".join(map(str, WAYS[number].values())))
def test_a_folder_gives_the_batch_that_keras_makes_of_it(tmp_path: Path, number: int) -> None:
    write(tmp_path)
    batch = read(keras, tmp_path, WAYS[number])
    with np.load(FILE) as recorded:
        expected = recorded[str(number)]
    assert batch.dtype == expected.dtype
    # TensorFlow reads the weights of its cubic from a table of 1,024.
    rounding = 0.15 if WAYS[number].get("interpolation") == "bicubic" else 2e-3
    np.testing.assert_allclose(batch, expected, atol=rounding, strict=True)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_folder_trains_as_its_images_do_as_arrays_of_floats(tmp_path: Path, interpolation: str) -> None:
    written(tmp_path)
    data = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(6, 5), batch_size=4, shuffle=False, interpolation=interpolation, verbose=False
    )
    x, y = (np.concatenate(parts) for parts in zip(*data, strict=True))
    assert x.dtype == ("uint8" if interpolation == "nearest" else "float32")
    images = x.astype("float32")
    sources: list[tuple[Any, dict[str, Any]]] = [
        (data.map(lambda image, label: image), {"x": data}),
        (images, {"x": images, "y": y, "batch_size": 4}),
    ]
    histories = []
    for seen, given in sources:
        keras.utils.set_random_seed(1)
        normalize = keras.layers.Normalization()
        normalize.adapt(seen)
        np.testing.assert_allclose(np.asarray(normalize.mean).ravel(), images.mean((0, 1, 2)), rtol=1e-5)
        np.testing.assert_allclose(np.asarray(normalize.variance).ravel(), images.var((0, 1, 2)), rtol=1e-4)
        model = keras.Sequential([keras.Input((6, 5, 3)), normalize, keras.layers.Flatten(), keras.layers.Dense(3)])
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        histories.append(model.fit(**given, epochs=3, shuffle=False, verbose=0).history["loss"])
    assert histories[0] == histories[1]


def test_parts_of_a_folder_do_not_overlap(tmp_path: Path) -> None:
    images = written(tmp_path)
    common: dict[str, Any] = {
        "validation_split": 0.25,
        "seed": 5,
        "verbose": False,
        "image_size": 4,
        "label_mode": "categorical",
    }
    train, check = keras.utils.image_dataset_from_directory(tmp_path, subset="both", **common)
    assert sorted(train.file_paths + check.file_paths) == sorted(images)
    assert len(check.file_paths) == 3
    alone = keras.utils.image_dataset_from_directory(tmp_path, subset="validation", **common)
    assert alone.file_paths == check.file_paths
    assert alone[0][0].shape == (3, 4, 4, 3)
    np.testing.assert_array_equal(alone[0][1].sum(1), 1)
    plain = keras.utils.image_dataset_from_directory(tmp_path, None, shuffle=False, batch_size=12, verbose=False)
    assert plain[0].shape == (12, 256, 256, 3)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    for message, more in (
        ("must be exactly 2", {"label_mode": "binary"}),
        ("`seed` argument", {"validation_split": 0.5, "subset": "training"}),
        ("If `subset` is set", {"subset": "training"}),
        ("`interpolation` should be one of", {"interpolation": "area"}),
        ("color_mode must be", {"color_mode": "bgr"}),
    ):
        with pytest.raises(ConfigError, match=message):
            keras.utils.image_dataset_from_directory(tmp_path, verbose=False, **more)
    with pytest.raises(DataError, match="did not match the names of the subdirectories"):
        keras.utils.image_dataset_from_directory(tmp_path, class_names=["dog"], verbose=False)
