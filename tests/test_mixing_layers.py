"""Layers that mix images with each other, or apply several layers chosen at random; pipelines, and numbers of boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ConfigError, SeqcError
from seqc.layers._images import ImageLayer
from seqc.layers.mixing import beta, log_gamma


def numbered(count: int, shape: tuple[int, ...] = (10, 20, 1)) -> np.ndarray:
    """Returns images each of which is its own number everywhere."""
    return np.broadcast_to(np.arange(count, dtype="float32")[:, None, None, None], (count, *shape)).copy()


def test_images_and_labels_are_mixed_alike() -> None:
    x, labels = numbered(600, (3, 2, 1)), np.eye(600, dtype="float32")
    result = layers.MixUp(0.5)({"images": x, "labels": labels, "segmentation_masks": x}, training=True)
    y, mixed = np.asarray(result["images"]), np.asarray(result["labels"])
    np.testing.assert_allclose(mixed @ np.arange(600), y[:, 0, 0, 0], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(result["segmentation_masks"], y)
    np.testing.assert_allclose(mixed.sum(1), 1, rtol=1e-5)
    assert (mixed > 0).sum(1).max() <= 2
    kept = mixed[np.arange(600), np.arange(600)]
    others = (mixed - np.diag(kept)).argmax(1)
    assert len(set(others[kept < 1])) > 500  # a permutation: each image is another's partner
    # Of the arcsine distribution, which Beta(1/2, 1/2) is: how much lies below a quarter, and the variance.
    assert abs((kept < 0.25).mean() - 1 / 3) < 0.06
    assert abs(kept.var() - 1 / 8) < 0.02


def test_a_rectangle_of_each_image_is_that_of_another() -> None:
    x, labels = numbered(400), np.eye(400, dtype="float32")
    result = layers.CutMix((1.0, 1.0), seed=2)({"images": x, "labels": labels}, training=True)
    y, mixed = np.asarray(result["images"])[..., 0], np.asarray(result["labels"])
    cut = y != x[..., 0]
    rows, columns = cut.any(2), cut.any(1)
    np.testing.assert_array_equal(cut, rows[:, :, None] & columns[:, None])
    partners = [set(np.unique(one)) - {float(i)} for i, one in enumerate(y)]
    assert max(map(len, partners)) == 1
    for number, (one, partner) in enumerate(zip(mixed, partners, strict=True)):
        if partner:
            # Labels say how large the rectangle is, but for its edges, which are between elements.
            (other,) = partner
            high, wide = rows[number].sum(), columns[number].sum()
            assert one[int(other)] == pytest.approx(high * wide / 200, abs=(high + wide + 1) / 200)
    # The part that is cut is evenly distributed for alpha = 1.
    share = mixed.sum(1) - mixed[np.arange(400), np.arange(400)]
    assert abs(share.mean() - 0.5) < 0.06
    assert abs(share.var() - 1 / 12) < 0.02
    np.testing.assert_array_equal(layers.CutMix()(x[0], training=True), x[0])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_gamma_and_beta_numbers_have_the_moments_of_their_distributions(alpha: float) -> None:
    class Drawing(layers.MixUp):
        def changed(self, images: Any) -> Any:
            return ops.concatenate([ops.exp(log_gamma(self, images, alpha, 1)), beta(self, images, alpha, 100)], -1)

    y = np.asarray(Drawing(alpha)(np.zeros((20000, 1, 1, 1), "float32"), training=True)).reshape(-1, 2)
    gamma, share = y.T.astype("float64")
    assert abs(gamma.mean() - alpha) < 0.05 * alpha**0.5
    assert abs(gamma.var() - alpha) < 0.12 * alpha + 0.03
    assert abs(share.mean() - 0.5) < 0.01
    assert abs(share.var() - 1 / (4 * (2 * alpha + 1))) < 0.004


class Adding(ImageLayer):
    """Adds a number to images, another to masks."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def changed(self, images: Any) -> Any:
        return images + self.number


@pytest.mark.slow
def test_layers_are_chosen_evenly_and_applied_one_after_the_other() -> None:
    layer = layers.RandAugment((-1e6, 1e6), num_ops=3)
    layer.combined = [Adding(10.0**power) for power in range(4)]
    x, found = np.zeros((1, 2, 2, 1), "float32"), []
    for _ in range(150):
        total = round(np.asarray(layer(x, training=True)).max())
        digits = [int(d) for d in f"{total:04d}"]
        assert sum(digits) == 3
        found.append(digits)
    np.testing.assert_allclose(np.mean(found, 0), 0.75, atol=0.25)
    np.testing.assert_array_equal(layers.RandAugment(num_ops=0)(x, training=True), x)


@pytest.mark.slow
def test_chains_are_mixed_by_parts_that_add_up_to_one() -> None:
    x = np.zeros((1, 2, 2, 1), "float32")
    layer = layers.AugMix((-1e6, 1e6), num_chains=2, chain_depth=1, all_ops=False)
    layer.combined = [Adding(100.0)]
    keras.utils.set_random_seed(8)
    y = np.array([np.asarray(layer(x, training=True)).max() for _ in range(60)])
    # A chain adds 100 or nothing; of that there is an even part of an even part.
    assert y.min() >= -1e-3
    assert y.max() <= 100.001
    assert abs(y.mean() - 25) < 9
    assert 0.1 < (y == 0).mean() < 0.4  # both chains change nothing


@pytest.mark.parametrize("make", [lambda: layers.RandAugment(factor=0.9), lambda: layers.AugMix(factor=0.9)])
def test_masks_go_with_images_that_several_layers_change(make: Any) -> None:
    layer = make()
    moved = layers.RandomTranslation(0.5, 0.5, interpolation="nearest")
    layer.combined = [layers.RandomFlip("horizontal"), layers.RandomFlip("vertical"), moved]
    x = np.random.default_rng(2).uniform(0, 255, (6, 5, 4, 1)).astype("float32")
    result = layer({"images": x, "segmentation_masks": x}, training=True)
    np.testing.assert_allclose(result["images"], result["segmentation_masks"], atol=1e-3)


def test_boxes_go_with_images_that_several_layers_change() -> None:
    layer = layers.RandAugment(num_ops=2, bounding_box_format="xyxy")
    layer.combined = [layers.RandomFlip("horizontal", bounding_box_format="xyxy"), layers.RandomHue(0.1)]
    layer.combined[1].bounding_box_format = "xyxy"
    x = np.zeros((40, 8, 10, 3), "float32")
    x[:, 2:5, 1:4] = 200
    boxes = {"boxes": np.tile(np.array([[1, 2, 4, 5]], "float32"), (40, 1, 1)), "labels": np.ones((40, 1), "int32")}
    for _ in range(6):
        result = layer({"images": x, "bounding_boxes": boxes}, training=True)
        left = (np.asarray(result["images"]).max(-1) > 50).any(1).argmax(1)
        np.testing.assert_array_equal(np.asarray(result["bounding_boxes"]["boxes"])[:, 0, 0], left)


@pytest.mark.slow
def test_all_layers_of_rand_augment_and_aug_mix_train_and_are_saved(tmp_path: Path) -> None:
    x = np.random.default_rng(3).uniform(0, 255, (16, 6, 5, 3)).astype("float32")
    kinds: list[tuple[Callable[..., layers.Layer], dict[str, Any]]] = [
        (layers.RandAugment, {"num_ops": 1}),
        (layers.AugMix, {"num_chains": 2, "chain_depth": 1}),
    ]
    for kind, few in kinds:
        losses = []
        for _ in range(2):
            keras.utils.set_random_seed(5)
            model = keras.Sequential([keras.Input((6, 5, 3)), kind(seed=4, **few), layers.Flatten(), layers.Dense(1)])
            model.compile(keras.optimizers.SGD(1e-6), "mse")
            losses.append(model.fit(x, x[:, 0, 0, 0], epochs=2, batch_size=8, verbose=0).history["loss"])
        assert losses[0] == losses[1]
        model.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras")
        assert again.layers[0].get_config() == model.layers[0].get_config()
        np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_pipeline_is_its_layers_in_order(tmp_path: Path) -> None:
    x = np.random.default_rng(3).uniform(0, 255, (4, 6, 5, 3)).astype("float32")
    steps = [layers.Rescaling(1 / 255), layers.RandomFlip(seed=1), layers.Conv2D(2, 3)]
    pipeline = layers.Pipeline(steps)
    np.testing.assert_array_equal(pipeline(x), steps[2](steps[0](x)))
    assert len(pipeline.trainable_weights) == 2
    model = keras.Sequential([keras.Input((6, 5, 3)), pipeline])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert [type(layer).__name__ for layer in again.layers[0].layers] == ["Rescaling", "RandomFlip", "Conv2D"]
    both = layers.Pipeline([layers.RandomFlip(seed=3), layers.RandomTranslation(0.3, 0.3, interpolation="nearest")])
    result = both({"images": x, "segmentation_masks": x}, training=True)
    np.testing.assert_array_equal(result["images"], result["segmentation_masks"])
    with pytest.raises(SeqcError, match="Pipeline needs a list of layers"):
        layers.Pipeline(layers.Flatten())  # type: ignore[arg-type]


def test_images_have_as_many_boxes_as_wanted() -> None:
    boxes = np.arange(24, dtype="float32").reshape(2, 3, 4)
    given = {"images": np.zeros((2, 4, 4, 1)), "bounding_boxes": {"boxes": boxes, "labels": np.array([[1, 2, 3]] * 2)}}
    fewer = layers.MaxNumBoundingBoxes(2, bounding_box_format="xyxy")(given)["bounding_boxes"]
    np.testing.assert_array_equal(fewer["boxes"], boxes[:, :2])
    np.testing.assert_array_equal(fewer["labels"], [[1, 2]] * 2)
    more = layers.MaxNumBoundingBoxes(5, -7, bounding_box_format="xyxy")(given)["bounding_boxes"]
    np.testing.assert_array_equal(more["boxes"], np.pad(boxes, ((0, 0), (0, 2), (0, 0)), constant_values=-7))
    np.testing.assert_array_equal(more["labels"], [[1, 2, 3, -7, -7]] * 2)


def test_numbers_of_a_batch_are_looked_up_among_all_of_it() -> None:
    # In parts of a batch, too, where each has some of the samples only.
    inputs = keras.Input((3,))
    order = ops.argsort(inputs[:, 0])
    model = keras.Model(inputs, ops.take(inputs, order, 0) * 1.0)
    x = np.random.default_rng(4).normal(size=(5000, 3)).astype("float32")
    np.testing.assert_array_equal(model.predict(x, batch_size=5000, verbose=0), x[np.argsort(x[:, 0])])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.MixUp(0), "`alpha` argument should be a number above 0"),
        (lambda: layers.CutMix(2), r"`factor` argument .* in the range \[0, 1\]"),
        (lambda: layers.RandAugment(num_ops=-1), "`num_ops` argument should be an integer of 0 or more"),
        (lambda: layers.AugMix(num_chains=0), "`num_chains` argument should be a positive integer"),
        (lambda: layers.AugMix(interpolation="cubic"), "Unknown `interpolation` cubic"),
        (lambda: layers.MaxNumBoundingBoxes(0), "`max_number` argument should be a positive integer"),
    ],
)
def test_arguments_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_labels_that_cannot_be_mixed_are_refused() -> None:
    with pytest.raises(SeqcError, match=r"mixes labels of classes, \(batch, classes\).*Use ops.one_hot"):
        layers.MixUp()({"images": np.zeros((2, 3, 3, 1)), "labels": np.ones(2)}, training=True)
