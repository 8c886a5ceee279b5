"""What goes with images through layers - labels, masks and boxes - and the layers that bend, blur and equalize them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.oracle import KEPT
from kit.record_boxes import results
from seqc import layers
from seqc.errors import ConfigError, SeqcError
from seqc.utils import bounding_boxes


def test_functions_of_boxes_are_those_of_keras() -> None:
    recorded, found = np.load(KEPT / "box_cases.npz"), results(bounding_boxes)
    assert set(found) == set(recorded)
    for name, wanted in recorded.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-5, atol=2e-5, err_msg=name)


def rectangles(count: int = 8, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures with one bright rectangle each, and the boxes around these, as left, top, right and bottom."""
    draw = np.random.default_rng(3)
    corners = draw.integers(10, 17, (count, 2))
    boxes = np.concatenate([corners, corners + draw.integers(6, 14, (count, 2))], -1)
    pictures = np.zeros((count, side, side + 4, 1), "float32")
    for picture, (x1, y1, x2, y2) in zip(pictures, boxes, strict=True):
        picture[y1:y2, x1:x2] = 200
    return pictures, boxes[:, None].astype("float32")


def seen(pictures: np.ndarray) -> np.ndarray:
    """Returns the boxes around what is bright."""
    found = []
    for picture in pictures[..., 0] > 100:
        rows, columns = (np.flatnonzero(picture.any(axis)) for axis in (1, 0))
        found.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return np.array(found, "float32")


MOVING: list[Any] = [
    lambda **more: layers.RandomFlip(**more),
    lambda **more: layers.RandomTranslation(0.2, 0.2, "constant", **more),
    lambda **more: layers.RandomZoom(0.3, fill_mode="constant", **more),
    lambda **more: layers.RandomRotation((0.25, 0.25), "constant", **more),
    lambda **more: layers.RandomShear(0.0, 0.3, fill_mode="constant", **more),
    lambda **more: layers.RandomPerspective(0.7, 0.4, **more),
    lambda **more: layers.CenterCrop(30, 34, **more),
    lambda **more: layers.RandomCrop(36, 40, **more),
    lambda **more: layers.Resizing(60, 50, **more),
    lambda **more: layers.Resizing(60, 30, crop_to_aspect_ratio=True, **more),
    lambda **more: layers.Resizing(60, 80, pad_to_aspect_ratio=True, **more),
]


@pytest.mark.parametrize("make", MOVING, ids=lambda make: type(make()).__name__)
@pytest.mark.parametrize("form", ["xyxy", "rel_center_xywh"])
def test_boxes_and_masks_follow_images(make: Any, form: str) -> None:
    pictures, boxes = rectangles()
    takes_seed = "seed" in inspect.signature(type(make()).__init__).parameters
    layer = make(bounding_box_format=form, **({"seed": 4} if takes_seed else {}))
    size = pictures.shape[1:3]
    given = {
        "images": pictures,
        "labels": np.arange(8),
        "segmentation_masks": (pictures > 100).astype("int32") * 70_000_001,  # which no float32 is
        "bounding_boxes": {
            "boxes": np.asarray(bounding_boxes.convert_format(boxes, "xyxy", form, *size)),
            "labels": np.ones((8, 1), "int32"),
        },
    }
    result = layer(given, training=True)
    assert list(result) == list(given)
    images = np.asarray(result["images"])
    np.testing.assert_array_equal(result["labels"], np.arange(8))
    mask = np.asarray(result["segmentation_masks"])
    assert mask.dtype == np.int32
    assert set(np.unique(mask)) == {0, 70_000_001}
    inner = np.abs(images - 100) > 60  # where interpolation does not decide
    np.testing.assert_array_equal((mask == 70_000_001)[inner], (images > 100)[inner])
    found = bounding_boxes.convert_format(result["bounding_boxes"]["boxes"], form, "xyxy", *images.shape[1:3])
    # A box is around the corners of what was bent, and half an element wider where that is interpolated.
    np.testing.assert_allclose(np.asarray(found)[:, 0], seen(images), atol=1.6)
    assert not np.array_equal(images[:, :30, :30], pictures[:, :30, :30])


def test_one_image_takes_its_companions_along() -> None:
    pictures, boxes = rectangles(1)
    layer = layers.Resizing(20, 22, bounding_box_format="xyxy")
    given = {"images": pictures[0], "labels": 3, "bounding_boxes": {"boxes": boxes[0], "labels": np.array([5])}}
    result = layer(given)
    assert result["images"].shape == (20, 22, 1)
    assert np.asarray(result["labels"]) == 3
    np.testing.assert_allclose(result["bounding_boxes"]["boxes"], boxes[0] / 2)
    np.testing.assert_array_equal(result["bounding_boxes"]["labels"], [5])


def test_a_box_that_leaves_its_image_is_none() -> None:
    pictures, boxes = rectangles(2)
    layer = layers.RandomTranslation((0.9, 0.9), 0.0, bounding_box_format="xyxy")
    labels = np.array([[4], [5]])
    result = layer({"images": pictures, "bounding_boxes": {"boxes": boxes, "labels": labels}}, training=True)
    np.testing.assert_array_equal(result["bounding_boxes"]["labels"], [[-1], [-1]])
    same = layer({"images": pictures, "bounding_boxes": {"boxes": boxes, "labels": labels}}, training=False)
    np.testing.assert_array_equal(same["bounding_boxes"]["boxes"], boxes)


def test_colors_leave_companions_alone() -> None:
    pictures, boxes = rectangles()
    given = {
        "images": np.repeat(pictures, 3, -1),
        "segmentation_masks": pictures,
        "bounding_boxes": {"boxes": boxes, "labels": np.ones((8, 1))},
    }
    for make in (layers.RandomHue, layers.RandomSharpness):
        layer = make(1.0, bounding_box_format="xyxy")
        result = layer(given, training=True)
        np.testing.assert_array_equal(result["segmentation_masks"], pictures)
        np.testing.assert_array_equal(result["bounding_boxes"]["boxes"], boxes)


def test_a_pipeline_of_a_model_trains_with_a_dictionary() -> None:
    images = keras.Input((6, 5, 3), name="images")
    masks = keras.Input((6, 5, 1), name="masks")
    changed = layers.RandomFlip(seed=2)({"images": images, "segmentation_masks": masks})
    model = keras.Model([images, masks], [changed["images"], changed["segmentation_masks"]])
    x = np.random.default_rng(1).normal(size=(9, 6, 5, 3)).astype("float32")
    y, z = model([x, x[..., :1]], training=True)
    np.testing.assert_array_equal(np.asarray(y)[..., :1], z)
    assert not np.array_equal(y, x)


def noise(count: int, shape: tuple[int, ...] = (9, 8, 2)) -> np.ndarray:
    return np.random.default_rng(7).uniform(0, 255, (count, *shape)).astype("float32")


def test_images_are_sheared_either_way() -> None:
    x = noise(60)
    y = np.asarray(layers.RandomShear((0.3, 0.3), (0.2, 0.2), seed=1)(x, training=True))
    maps = ([1, s * 0.3, 0, s * 0.2, 1, 0, 0, 0] for s in (1, -1))
    each = [np.asarray(keras.ops.image.affine_transform(x, m, fill_mode="reflect")) for m in maps]
    which = np.array([np.allclose(a, b, atol=1e-3) for a, b in zip(y, each[0], strict=True)])
    np.testing.assert_allclose(y, np.where(which[:, None, None, None], *each), atol=1e-2)
    assert 18 < which.sum() < 42


@pytest.mark.slow
def test_corners_move_at_most_half_of_their_place() -> None:
    layer = layers.RandomPerspective((0.6, 0.6), 0.5, seed=3)
    x = noise(400, (5, 6, 1))
    trace_like = keras.Sequential([keras.Input((5, 6, 1)), layer])
    changed = (np.asarray(trace_like(x, training=True)) != x).any((1, 2, 3))
    assert abs(changed.mean() - 0.6) < 0.08
    # What the layer does to a slope tells where the upper left corner, which stays, and others have gone.
    rows, columns = np.meshgrid(np.arange(64.0), np.arange(96.0), indexing="ij")
    slope = np.broadcast_to(np.stack([columns, rows], -1).astype("float32"), (300, 64, 96, 2)).copy()
    y = np.asarray(layers.RandomPerspective(1.0, 0.1, fill_value=-1, seed=5)(slope, training=True))
    bent = [one for one in y if np.abs(one - slope[0]).max() > 1e-3]
    assert 100 < len(bent) < 200  # a probability drawn from 0 to 1 for each
    for one in bent[:20]:
        # In the middle of the image, an element moved by no more than corners do: 5 % of their place.
        moved = one[30:34, 46:50] - slope[0, 30:34, 46:50]
        assert np.abs(moved).max() < 0.06 * 96


def test_elements_of_elastic_images_move_with_their_neighbours() -> None:
    rows, columns = np.meshgrid(np.arange(60.0), np.arange(80.0), indexing="ij")
    slope = np.broadcast_to(np.stack([columns, rows], -1).astype("float32"), (40, 60, 80, 2)).copy()
    layer = layers.RandomElasticTransform((1.0, 1.0), (0.5, 0.5), value_range=(-100, 300), seed=6)
    ways = (np.asarray(layer(slope, training=True)) - slope)[:, 12:-12, 12:-12]
    # White noise of standard deviation sigma, blurred by a window of sigma: 1 / (2 sqrt(pi)) in the mean, times alpha.
    alpha = 0.1 * 80 * 0.5
    assert abs(ways.std() - alpha / (2 * np.sqrt(np.pi))) < 0.15
    assert abs(np.corrcoef(ways[..., 0].ravel(), ways[..., 1].ravel())[0, 1]) < 0.05
    near = np.corrcoef(ways[:, :, :-1].ravel(), ways[:, :, 1:].ravel())[0, 1]
    assert abs(near - np.exp(-1 / (4 * 1.5**2))) < 0.03
    assert np.asarray(layers.RandomElasticTransform(1.0, 0.0)(slope, training=True)).max() == slope.max()


def test_equalized_images_are_as_they_were_outside_training() -> None:
    x = noise(3).astype("uint8")
    y = np.asarray(layers.Equalization()(x, training=False))
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, x)


@pytest.mark.slow
def test_tiles_are_equalized_on_onnxruntime(tmp_path: Any) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    layer = layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 3))
    model = keras.Sequential([keras.Input((9, 8, 2)), layers.Conv2D(2, 1), layer])
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        (y,) = session.run(None, {session.get_inputs()[0].name: noise(count)})
        np.testing.assert_allclose(y, model.predict(noise(count), verbose=0), atol=1e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.RandomShear(1.5), r"`x_factor` argument .* in the range \[0, 1\]"),
        (lambda: layers.RandomShear(fill_mode="mirror"), "Unknown `fill_mode` mirror"),
        (lambda: layers.RandomPerspective(scale=2), "`scale` argument should be a number in the range"),
        (lambda: layers.RandomElasticTransform(fill_mode="none"), "Unknown `fill_mode` none"),
        (lambda: layers.RandomGaussianBlur(kernel_size=4), "kernel_size must be an odd number"),
        (lambda: layers.RandomGaussianBlur(sigma=2), r"`sigma` argument .* in the range \[0, 1\]"),
        (lambda: layers.RandomSharpness(-0.1), r"`factor` argument .* in the range \[0, 1\]"),
        (lambda: layers.Equalization(bins=0), "`bins` argument should be a positive integer"),
        (
            lambda: layers.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=8),  # type: ignore[arg-type]
            "two positive integers",
        ),
    ],
)
def test_arguments_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_layers_cannot_take_is_said() -> None:
    x = np.zeros((2, 4, 4, 1), "float32")
    with pytest.raises(SeqcError, match="needs to know their format"):
        layers.RandomFlip()({"images": x, "bounding_boxes": {"boxes": x[..., 0], "labels": x[:, 0, 0]}}, training=True)
    with pytest.raises(SeqcError, match=r"a dictionary with 'images' and any of .*; got one with \['labels'\]"):
        layers.RandomFlip()({"labels": np.ones(2)})
    with pytest.raises(SeqcError, match="expected ndim=3 or 4"):
        layers.RandomFlip()({"images": np.ones((2, 3))})
    with pytest.raises(SeqcError, match="got a list of 2"):
        layers.RandomFlip()([x, x])


def test_what_else_comes_with_images_stays() -> None:
    images = np.zeros((2, 4, 4, 3), "float32")
    for layer in (layers.RandomFlip(), layers.Resizing(2, 2), layers.MixUp(), layers.RandAugment()):
        given = {"images": images, "labels": np.eye(2, dtype="float32"), "image_id": np.arange(2)}
        found = layer(given, training=True)
        assert sorted(found) == sorted(given)
        assert np.asarray(found["image_id"]).tolist() == [0, 1]
