"""Layers that turn, move and color images: against real Keras where nothing is left to chance, and their chances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.oracle import KEPT
from seqc import layers
from seqc.errors import ConfigError, ShapeError

CASES = json.loads((KEPT / "image_cases.json").read_text())
ARRAYS = np.load(KEPT / "image_cases.npz")


@pytest.mark.one_in(3)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['class']}-{case['y']}")
def test_images_are_those_of_keras(case: dict[str, Any]) -> None:
    x, y = ARRAYS[case["x"]], ARRAYS[case["y"]]
    if case["config"].get("data_format") == "channels_first":
        x = np.moveaxis(x, -1, 1)
    layer = getattr(layers, case["class"])(**case["config"])
    np.testing.assert_allclose(np.asarray(layer(x, training=True)), y, rtol=1e-5, atol=2e-3)
    # One image is a batch of one; tones are counted over all of a batch.
    if case["class"] != "Equalization":
        np.testing.assert_allclose(np.asarray(layer(x[0], training=True)), y[0], rtol=1e-5, atol=2e-3)


def pictures(count: int = 40, shape: tuple[int, ...] = (5, 4, 3)) -> np.ndarray:
    return np.random.default_rng(6).uniform(0, 255, (count, *shape)).astype("float32")


def trained_output(layer: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(keras.Sequential([keras.Input(x.shape[1:]), layer])(x, training=True))


@pytest.mark.parametrize(
    ("mode", "axes"), [("horizontal", (2,)), ("vertical", (1,)), ("horizontal_and_vertical", (1, 2))]
)
@pytest.mark.parametrize("first", [False, True])
def test_each_image_is_mirrored_or_not(mode: str, axes: tuple[int, ...], first: bool) -> None:
    x = pictures()
    given = np.moveaxis(x, -1, 1) if first else x
    format_name = "channels_first" if first else "channels_last"
    y = trained_output(layers.RandomFlip(mode, data_format=format_name), given)
    y = np.moveaxis(y, 1, -1) if first else y
    mirrored = np.flip(x, axes)
    which = [bool(np.array_equal(y[i], mirrored[i])) for i in range(len(x))]
    assert 8 < sum(which) < 32
    np.testing.assert_array_equal(y, np.where(np.array(which)[:, None, None, None], mirrored, x))


def test_a_crop_is_a_part_from_anywhere_the_same_for_the_batch() -> None:
    x, layer, found = pictures(3, (6, 5, 2)), layers.RandomCrop(4, 3), set()
    for _ in range(60):
        y = np.asarray(layer(x, training=True))
        places = [(i, j) for i in range(3) for j in range(3) if np.array_equal(y, x[:, i : i + 4, j : j + 3])]
        found.update(places)
        assert len(places) == 1
    assert found == {(i, j) for i in range(3) for j in range(3)}


@pytest.mark.parametrize(
    ("layer", "low", "high"),
    [
        (layers.RandomContrast((0.5, 1.0)), 0.5, 2.0),
        (layers.RandomContrast(0.4), 1.0, 1.4),
    ],
)
def test_contrast_is_drawn_for_each_image(layer: Any, low: float, high: float) -> None:
    x = 100 + pictures(400) / 10
    middle = x.mean((1, 2), keepdims=True)
    factors = ((trained_output(layer, x) - middle) / (x - middle)).reshape(len(x), -1)
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1], factors.shape), rtol=0.05, atol=0.02)
    drawn = np.median(factors, 1)
    assert low <= drawn.min() < low + 0.1
    assert high - 0.1 < drawn.max() <= high
    assert abs(drawn.mean() - (low + high) / 2) < 0.08


def test_brightness_is_drawn_for_each_image() -> None:
    x = 100 + pictures(400) / 10
    added = (trained_output(layers.RandomBrightness((-0.1, 0.2)), x) - x).reshape(len(x), -1) / 255
    assert np.ptp(added, 1).max() < 1e-5
    assert -0.1 <= added.min() < -0.08
    assert 0.18 < added.max() <= 0.2
    assert abs(added.mean() - 0.05) < 0.02  # 4.6 deviations of a mean of 400


def test_a_rectangle_of_each_image_is_covered() -> None:
    x = pictures(300, (20, 10, 2))
    y = trained_output(layers.RandomErasing((1.0, 1.0), (0.04, 0.25), fill_value=-1.0, value_range=(-1, 255)), x)
    covered = (y == -1).all(-1)
    np.testing.assert_array_equal(y, np.where(covered[..., None], np.float32(-1), x))
    rows, columns = covered.any(2), covered.any(1)
    np.testing.assert_array_equal(covered, rows[:, :, None] & columns[:, None])
    for sides, length in ((rows.sum(1), 20), (columns.sum(1), 10)):
        assert 0.2 * length - 1 <= sides.min()
        assert sides.max() <= 0.5 * length + 1
        assert abs((sides / length).mean() - (0.125 - 0.008) / 3 * 2 / 0.21) < 0.02  # of the root of an even number
    assert set(np.argmax(columns, 1)) == set(range(1, 9))  # a place is where numbers start, and 0 is never drawn


def test_what_covers_by_default_is_noise() -> None:
    x = np.full((50, 8, 8, 1), 7, "float32")
    y = trained_output(layers.RandomErasing((1.0, 1.0), (1.0, 1.0)), x)
    assert abs((y == 0).mean() - 0.5) < 0.03  # what is below is limited to the range
    assert abs((y == 255).mean() - 0.1587) < 0.03
    erased = trained_output(layers.RandomErasing(1.0), np.zeros((400, 4, 4, 1), "float32") + 7)
    assert 0.4 < (erased != 7).any((1, 2, 3)).mean() < 0.55  # an even number for each image, one half in the mean


def test_part_of_the_images_becomes_gray_or_negative() -> None:
    x = pictures(400)
    gray = (trained_output(layers.RandomGrayscale(0.3), x) != x).any((1, 2, 3))
    assert abs(gray.mean() - 0.3) < 0.07
    negative = trained_output(layers.RandomInvert((0.2, 0.4)), x)
    which = (negative != x).any((1, 2, 3))
    assert abs(which.mean() - 0.3) < 0.07
    np.testing.assert_array_equal(negative, np.where(which[:, None, None, None], 255 - x, x))


def test_bits_are_drawn_for_each_image() -> None:
    x, found = pictures(200), set()
    for before, after in zip(x, trained_output(layers.RandomPosterization((2, 5)), x), strict=True):
        kept = [n for n in range(1, 9) if np.array_equal(after, before // 2 ** (8 - n) * 2 ** (8 - n))]
        found.update(kept)
        assert len(kept) == 1
    assert found == {2, 3, 4}


def test_hue_turns_either_way() -> None:
    red = np.tile(np.array([200, 0, 0], "float32"), (300, 1, 1, 1))
    y = trained_output(layers.RandomHue(0.3), red)[:, 0, 0]
    np.testing.assert_allclose(y[:, 0], 200, rtol=1e-5)  # as long as it is not past yellow or magenta
    assert y[:, 1:].min(1).max() < 1e-3
    assert 0.4 < (y[:, 1] > y[:, 2]).mean() < 0.6
    assert y[:, 1:].max() <= 200 * 0.9  # of the sixth of a turn that makes yellow of red
    assert abs(y[:, 1:].max(1).mean() - 200 * 0.45) < 12


AUGMENTATION: list[Any] = [
    lambda seed: layers.RandomFlip(seed=seed),
    lambda seed: layers.RandomTranslation(0.2, 0.3, seed=seed),
    lambda seed: layers.RandomZoom(0.3, fill_mode="wrap", seed=seed),
    lambda seed: layers.RandomRotation(0.2, "constant", seed=seed),
    lambda seed: layers.RandomContrast(0.4, seed=seed),
    lambda seed: layers.RandomBrightness(0.3, seed=seed),
    lambda seed: layers.RandomErasing(seed=seed),
    lambda seed: layers.RandomInvert((0.3, 0.9), seed=seed),
    lambda seed: layers.RandomPosterization((4, 8), seed=seed),
    lambda seed: layers.Solarization(0.2, 0.9, seed=seed),
    lambda seed: layers.RandomShear(0.2, 0.1, seed=seed),
    lambda seed: layers.RandomPerspective(0.5, 0.4, seed=seed),
    lambda seed: layers.RandomElasticTransform(seed=seed),
    lambda seed: layers.RandomSharpness((0.3, 0.9), seed=seed),
    lambda seed: layers.RandomGaussianBlur(0.7, seed=seed),
    lambda seed: layers.CutMix(seed=seed),
    lambda seed: layers.MixUp(seed=seed),
]
COLORS: list[Any] = [
    lambda seed: layers.RandomGrayscale(seed=seed),
    lambda seed: layers.RandomColorDegeneration(0.5, seed=seed),
    lambda seed: layers.RandomHue(0.3, seed=seed),
    lambda seed: layers.RandomSaturation((0.3, 0.6), seed=seed),
    lambda seed: layers.RandomColorJitter((0, 255), 0.1, 0.1, (0.4, 0.5), 0.2, seed=seed),
]


def augmented(seed: int | None = None) -> keras.Sequential:
    """A model with all of it; a convolution before it trains through it."""
    stem = [layers.Conv2D(3, 1), *(make(seed) for make in AUGMENTATION + COLORS), layers.RandomCrop(4, 3, seed)]
    return keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            *stem,
            layers.Resizing(3, 4),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )


def losses(model: keras.Sequential) -> list[float]:
    x = pictures(64, (6, 5, 2))
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    history = model.fit(x, x[:, 0, 0, :1] / 255, epochs=2, batch_size=8, verbose=0, shuffle=False).history
    return list(history["loss"])


@pytest.mark.slow
def test_both_executors_train_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for executor in ("tiled", "naive"):
        monkeypatch.setenv("SEQC_EXECUTOR", executor)
        keras.utils.set_random_seed(4)
        found.append(losses(augmented()))
    np.testing.assert_allclose(found[0], found[1], rtol=2e-5)
    assert found[0][0] != found[0][1]


@pytest.mark.slow
def test_images_that_a_layer_is_called_on_by_itself_are_changed() -> None:
    """As with Keras, whose guides prepare data so; in a model, too, unless it is told not to train, as by `predict`."""

    class Own(layers.Layer):
        def call(self, x: Any, training: bool = True) -> Any:
            return x + 1.0 if training else x

    x = pictures(4)
    for layer in (layers.RandomBrightness((0.4, 0.4)), layers.Pipeline([layers.RandomInvert((1.0, 1.0))]), Own()):
        changed = np.asarray(layer(x))
        np.testing.assert_array_equal(changed, np.asarray(layer(x, training=True)))
        assert (changed != x).any()
        np.testing.assert_array_equal(np.asarray(layer(x, training=False)), x)
        model = keras.Sequential([keras.Input(x.shape[1:]), layer])
        np.testing.assert_array_equal(model.predict(x, verbose=0), x)
        np.testing.assert_array_equal(np.asarray(model(x)), changed)
        np.testing.assert_array_equal(np.asarray(model(x, training=False)), x)


@pytest.mark.slow
def test_a_seed_of_its_own_makes_a_layer_independent_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQC_VERIFY", "0")  # the test above proves the same programs
    found: dict[Any, list[list[float]]] = {None: [], 3: []}
    for seed, runs in found.items():
        for run in (1, 2):
            keras.utils.set_random_seed(7)
            model = augmented(seed)
            keras.utils.set_random_seed(10 + run)
            runs.append(losses(model))
        model.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras")
        assert [layer.get_config() for layer in again.layers] == [layer.get_config() for layer in model.layers]
    assert found[3][0] == found[3][1]
    assert found[None][0] != found[None][1]


def test_nothing_of_it_is_in_the_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    model = keras.Sequential([keras.Input((6, 5, 2)), *(make(None) for make in AUGMENTATION), layers.Dense(1)])
    model.export(tmp_path / "m.onnx")
    assert [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node] == ["MatMul", "Add"]
    x = pictures(3, (6, 5, 2))
    plain = keras.Sequential([keras.Input((6, 5, 2)), layers.Dense(1)])
    plain.set_weights(model.get_weights())
    np.testing.assert_array_equal(model.predict(x, verbose=0), plain.predict(x, verbose=0))


@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
def test_images_of_unknown_size_are_resized_on_onnxruntime(kind: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    model = keras.Sequential([keras.Input((None, None, 2)), layers.Resizing(5, 7, kind), layers.Conv2D(2, 3)])
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    for shape in ((1, 5, 7), (3, 9, 4), (2, 12, 30), (2, 1, 1)):
        x = np.random.default_rng(5).normal(size=(*shape, 2)).astype("float32")
        fixed = keras.Sequential([keras.Input(x.shape[1:]), layers.Resizing(5, 7, kind), layers.Conv2D(2, 3)])
        fixed.set_weights(model.get_weights())
        (y,) = session.run(None, {session.get_inputs()[0].name: x})
        np.testing.assert_allclose(y, fixed.predict(x, verbose=0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wanted", [16, 24, 64, 7])
@pytest.mark.parametrize("known", [False, True])
def test_the_nearest_pixels_are_those_of_keras_on_onnxruntime(wanted: int, known: bool, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    # Along one axis of two sizes, then along the other: the first is open or as large as what is wanted.
    model = keras.Sequential([keras.Input((3 if known else None, None, 1)), layers.Resizing(3, wanted, "nearest")])
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    for size in (*range(1, 60), 112, 160, 224, 333, 720, 1000, 1080, 1920):
        x = np.broadcast_to(np.arange(size, dtype="float32")[:, None], (1, 3, size, 1))
        (y,) = session.run(None, {session.get_inputs()[0].name: x})
        at = np.floor((np.arange(wanted, dtype="float32") + np.float32(0.5)) * np.float32(size / wanted))
        np.testing.assert_array_equal(y[0, 1, :, 0], np.minimum(at, size - 1), err_msg=f"{size} to {wanted}")


def test_the_nearest_rows_are_those_of_keras_on_onnxruntime(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    model = keras.Sequential([keras.Input((None, None, 1)), layers.Resizing(16, 24, "nearest")])
    model.export(tmp_path / "m.onnx")
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    x = np.arange(224 * 720, dtype="float32").reshape(1, 224, 720, 1)
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    rows, columns = np.arange(7, 224, 14), np.arange(15, 720, 30)
    np.testing.assert_array_equal(y[..., 0], x[:, rows][:, :, columns, 0])


def test_images_of_integers_stay_integers_when_resized() -> None:
    x = np.array([[0, 255], [1, 254]], "uint8")[None, :, :, None]
    y = np.asarray(layers.Resizing(2, 4, "bicubic")(x))
    assert y.dtype == np.uint8
    assert y[0, 0, 0, 0] == 0  # bicubic goes below what there is
    assert y[0, 0, -1, 0] == 255


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers.Resizing(0, 3), "`height` of an image is a positive integer. Received: height=0"),
        (lambda: layers.Resizing(3, 3, "area"), "Unknown `interpolation` area"),
        (lambda: layers.Resizing(3, 3, fill_mode="reflect"), "Unknown `fill_mode` reflect"),
        (lambda: layers.Resizing(3, 3, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True), "Only one of"),
        (lambda: layers.CenterCrop(3, 2.5), "width=2.5"),  # type: ignore[arg-type]
        (lambda: layers.RandomFlip("sideways"), "Unknown `mode` sideways"),
        (lambda: layers.RandomTranslation(1.5, 0), r"`height_factor` argument .* in the range \[-1, 1\]"),
        (lambda: layers.RandomZoom((-1, 0.5)), r"in the range \(-1, 1\]. Received: height_factor=\(-1, 0.5\)"),
        (lambda: layers.RandomRotation((0.1, 0.2, 0.3)), r"a list of two numbers"),
        (lambda: layers.RandomRotation(0.1, fill_mode="mirror"), "Unknown `fill_mode` mirror"),
        (lambda: layers.RandomContrast(-0.1), r"in the range \[0, 1\]"),
        (
            lambda: layers.RandomBrightness(0.1, value_range=5),  # type: ignore[arg-type]
            "`value_range` argument should be a list of two numbers",
        ),
        (lambda: layers.RandomGrayscale(1.2), "`factor` should be between 0 and 1. Received: factor=1.2"),
        (lambda: layers.RandomErasing(fill_value=[1, 2]), "`fill_value` argument should be a number"),
        (lambda: layers.RandomColorJitter(hue_factor=-1), r"`hue_factor` argument .* in the range \[0, 1\]"),
        (lambda: layers.RandomPosterization(9), r"in the range \[1, 8\]"),
        (lambda: layers.RandomFlip(data_format="last"), "`data_format` argument must be one of"),
    ],
)
def test_arguments_are_checked(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


ANY_SIZE: list[Any] = [
    lambda **more: layers.RandomRotation(0.2, **more),
    lambda **more: layers.RandomZoom(0.3, **more),
    lambda **more: layers.RandomTranslation(0.3, 0.2, **more),
    lambda **more: layers.RandomErasing(**more),
    lambda **more: layers.RandomPerspective(**more),
    lambda **more: layers.CutMix(**more),
    lambda **more: layers.RandAugment(**more),
    lambda **more: layers.AugMix(num_chains=2, chain_depth=1, **more),
]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("make", ANY_SIZE, ids=lambda make: type(make(seed=1)).__name__)
def test_images_of_unknown_size_change_like_those_of_a_known_one(make: Any, tmp_path: Path) -> None:
    x = np.random.default_rng(2).uniform(0, 255, (3, 7, 9, 3)).astype("float32")
    found = []
    for space in ((7, 9), (None, None)):
        images = keras.Input((*space, 3))
        model = keras.Model(images, make(seed=1, name="layer")(images))
        found.append(np.asarray(model(x, training=True)))
        np.testing.assert_array_equal(model.predict(x, verbose=0), x)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-3)
    assert not np.array_equal(found[1], x)
    model = keras.Model(images, layers.Dense(1)(layers.GlobalAveragePooling2D()(model(images))))
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((3, 1)), verbose=0)
    pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)


def test_what_a_layer_cannot_do_is_said() -> None:
    with pytest.raises(ShapeError, match="CenterCrop needs images of a known height and width"):
        keras.Sequential([keras.Input((None, None, 3)), layers.CenterCrop(2, 2)]).build()
    with pytest.raises(ShapeError, match="expected ndim=3 or 4"):
        layers.RandomFlip()(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="Colors are three channels"):
        layers.RandomHue(0.2)(np.ones((1, 2, 3, 4), "float32"), training=True)


def test_pairs_may_reach_beyond_the_range_as_in_keras() -> None:
    assert layers.RandomGaussianBlur(sigma=(0.1, 2.0), kernel_size=5).sigma == (0.1, 2.0)
    assert layers.RandomContrast((-0.2, 1.5)).factor == (-0.2, 1.5)
    for wrong in ((1.1, 2), (-2, -0.1), (0, 1, 2)):
        with pytest.raises(ValueError, match="in the range"):
            layers.RandomContrast(wrong)
    with pytest.raises(ValueError, match="in the range"):
        layers.RandomTranslation((-0.5, 1.5), 0)
