"""keras.applications: layers, names, weights and answers are those of Keras, recorded by kit/made_applications.py."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit import made_applications as made
from kit.application_table import SMALL
from kit.effort import turn
from seqc import applications, layers
from seqc.applications import _published, imagenet_utils
from seqc.errors import ArgumentTypeError, ConfigError, DataError, SavingError, ShapeError
from seqc.initializers import VarianceScaling

RECORDED = json.loads(made.RECORDED.read_text(encoding="utf-8"))
# Networks that are made in a moment.
QUICK = ["MobileNet(include_top=False, pooling='avg')"]
QUICK_PLACE = list(RECORDED["made"]).index(QUICK[0])


def fast_first(labels: list[str], fast: list[str]) -> list[Any]:
    return [pytest.param(one, marks=() if one in fast else pytest.mark.slow) for one in labels]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Lets models load no weights; returns the files that they ask for."""
    found: list[Any] = []

    def get_file(fname: str, origin: str, cache_subdir: str, file_hash: str | None = None) -> str:
        found.append([cache_subdir, fname, origin, file_hash])
        return fname

    monkeypatch.setattr(_published, "get_file", get_file)
    monkeypatch.setattr(keras.Model, "load_weights", lambda self, path: None)
    return found


@pytest.fixture
def begun_with_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VarianceScaling, "__call__", lambda self, shape, dtype=None: np.zeros(shape, "float32"))


class Asked(Exception):
    """A file that was asked for."""


CASES = {made.label_of(case): case for case in made.CASES}
ANSWERS = {made.label_of(case): case for case in made.ANSWERS}
# The first, and those that are not compared in test_applications_in_use.py on their way to ONNX.
ALONE = [label for i, label in enumerate(ANSWERS) if i == 0 or ANSWERS[label][0] not in turn(SMALL, 0, 2)]


@pytest.mark.slow
@pytest.mark.usefixtures("begun_with_zeros", "asked")
@pytest.mark.parametrize("label", fast_first(turn(RECORDED["made"], QUICK_PLACE, 3), QUICK))
def test_layers_and_weights_are_those_of_keras(label: str) -> None:
    layers, weights, parameters, described, shapes = made.facts(made.make(keras, CASES[label]))
    recorded = RECORDED["made"][label]
    assert [layers, weights, parameters, described] == recorded[:4]
    if not label.startswith("ConvNeXt"):  # in whose stacks the paths of weights are others in Keras
        assert shapes == recorded[4]


@pytest.mark.slow
@pytest.mark.usefixtures("begun_with_zeros")
@pytest.mark.parametrize("label", fast_first(ALONE, ALONE[:1]))
def test_answers_are_those_of_keras(label: str) -> None:
    y = made.answers(made.make(keras, ANSWERS[label]), ANSWERS[label])
    recorded = np.asarray(RECORDED["answers"][label])
    assert np.abs(y[:, :10] - recorded).max() < 1e-5 * np.abs(recorded).max()


def test_the_recorded_cases_are_ours() -> None:
    assert list(RECORDED["made"]) == list(CASES)
    assert set(QUICK) <= set(CASES)
    assert list(RECORDED["answers"]) == list(ANSWERS)
    assert list(RECORDED["files"]) == [made.label_of(case) for case in made.FILES]


def test_arguments_are_those_of_keras_in_their_order() -> None:
    ours = json.loads(json.dumps(made.signatures(keras)))
    assert ours == RECORDED["signatures"]
    assert len(ours) > 70


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
def test_files_of_weights_are_those_of_keras_before_anything_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(fname: str, origin: str, cache_subdir: str, file_hash: str | None = None) -> str:
        raise Asked([cache_subdir, fname, origin, file_hash])

    monkeypatch.setattr(_published, "get_file", ask)
    monkeypatch.setattr(layers, "Conv2D", None)
    for name, options in made.FILES:
        with pytest.raises(Asked) as asked:
            getattr(applications, name)(weights="imagenet", **options)
        assert asked.value.args[0] == RECORDED["files"][made.label_of((name, options))]


def test_every_name_of_keras_is_there() -> None:
    for name in [name for names in made.FAMILIES.values() for name in names]:
        assert getattr(applications, name).__name__ == name
    with pytest.raises(AttributeError, match=r"no 'ResNet51'. Did you mean ResNet50"):
        _ = applications.ResNet51


@pytest.mark.slow
def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = (
        "import sys, seqc; assert 'seqc.applications' not in sys.modules; seqc.applications; "
        "assert 'seqc.applications.resnet' not in sys.modules; seqc.applications.vgg16.VGG16; "
        "from seqc.applications.resnet50 import ResNet50, preprocess_input; "
        "assert ResNet50 is seqc.applications.ResNet50 and ResNet50.__module__ == 'seqc.applications.resnet'; "
        "assert 'seqc.applications.nasnet' not in sys.modules; import seqc.compat; "
        "from tensorflow.keras.applications.mobilenet_v2 import MobileNetV2, preprocess_input as p; "
        "assert p is seqc.applications.mobilenet_v2.preprocess_input"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env={**os.environ})


# -- what is refused --------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("ResNet50", {"weights": "imagnet"}, r"should be either `None`.*weights=imagnet"),
    ("ResNet50", {"weights": 3}, "should be either `None`"),
    ("NASNetLarge", {"weights": "nowhere.h5"}, "must be there"),
    ("VGG16", {"classes": 10}, r"`classes` should be 1000.*Received classes=10"),
    ("MobileNetV3Large", {"classes": 10}, "`classes` should be 1000"),
    ("VGG19", {"classifier_activation": "relu"}, r"Only `None` and `softmax`.*Received: 'relu'"),
    ("VGG16", {"weights": None, "input_shape": (31, 40, 3)}, r"at least 32x32; Received: input_shape=\(31, 40, 3\)"),
    ("Xception", {"weights": None, "input_shape": (70, 99, 3)}, "at least 71x71"),
    ("InceptionV3", {"weights": None, "input_shape": (80, 74, 3)}, "at least 75x75"),
    ("MobileNetV3Small", {"weights": None, "input_shape": (32, 20, 3)}, "at least 32x32"),
    ("MobileNetV3Small", {"weights": None, "input_shape": (32, 32)}, "tuple of three integers"),
    ("DenseNet121", {"weights": None, "input_shape": (32, 32)}, r"three integers.*\(32, 32\)"),
    ("DenseNet121", {"input_shape": (100, 100, 3)}, r"should be \(224, 224, 3\)"),
    ("EfficientNetB1", {"input_shape": (224, 224, 3)}, r"should be \(240, 240, 3\)"),
    ("ResNet50", {"include_top": False, "input_shape": (64, 64, 1)}, "must have 3 channels"),
    ("ResNet50", {"weights": None, "input_shape": (None, 64, 3)}, r"static `input_shape`.*\(None, 64, 3\)"),
    ("NASNetLarge", {"include_top": False, "input_shape": (None, None, 3)}, "must be static"),
    ("ResNet50", {"weights": None, "include_top": False, "pooling": "mean"}, "pooling is None, 'avg' or 'max'"),
    ("MobileNet", {"alpha": 0.3}, r"`0\.25`, `0\.50`, `0\.75` or `1\.0` only.*alpha=0\.3"),
    ("MobileNet", {"depth_multiplier": 2}, "depth multiplier must be 1"),
    ("MobileNetV2", {"alpha": 0.3}, "alpha must be one of"),
    ("MobileNetV3Small", {"alpha": 0.5}, "for minimalistic only"),
    ("MobileNetV3Small", {"alpha": 0.75, "minimalistic": True}, "for minimalistic only"),
]


@pytest.mark.parametrize(("name", "options", "words"), REFUSED)
def test_what_does_not_go_together_is_refused_before_anything_is_built(
    name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        getattr(applications, name)(**options)


def test_what_is_no_symbol_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="input_tensor is what `Input"):
        applications.VGG16(weights=None, include_top=False, input_tensor=np.zeros((1, 32, 32, 3)))
    with pytest.raises(ConfigError, match=r"must equal input_shape\[1\]"):
        applications.MobileNetV2(weights=None, input_tensor=keras.Input((64, 64, 3)), input_shape=(32, 32, 3))


def test_another_number_of_channels_is_said() -> None:
    with pytest.warns(UserWarning, match="with 4 input channels"):
        model = applications.MobileNet(weights=None, alpha=0.25, include_top=False, input_shape=(32, 32, 4))
    assert model.output_shape == (None, 1, 1, 256)


# -- published weights ------------------------------------------------------------------------------------------------


def test_without_a_network_it_is_said_which_file_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> Any:
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("seqc.utils.downloads.urlopen", no_network)
    with pytest.raises(
        DataError, match=r"MobileNet needs the file mobilenet_2_5_224_tf\.h5 .*no network.*by hand"
    ) as told:
        applications.MobileNet(alpha=0.25)
    assert str(tmp_path / "models" / "mobilenet_2_5_224_tf.h5") in str(told.value)
    assert "weights=None" in str(told.value)
    imagenet_utils._index_of_imagenet.cache_clear()
    with pytest.raises(DataError, match=r"names of ImageNet's classes.*imagenet_class_index\.json.*class_index="):
        applications.resnet.decode_predictions(np.zeros((1, 1000)))


@pytest.mark.slow
def test_published_weights_come_from_the_cache_by_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"alpha": 0.25, "include_top": False, "input_shape": (128, 128, 3)}
    source = applications.MobileNet(weights=None, **options)
    source.set_weights(made.rule(source))
    (tmp_path / "models").mkdir()
    cached = tmp_path / "models" / "mobilenet_2_5_128_tf_no_top.h5"
    source.save_weights(tmp_path / "one.weights.h5")
    os.replace(tmp_path / "one.weights.h5", cached)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("seqc.utils.downloads.urlopen", None)  # nothing is downloaded
    model = applications.MobileNet(**options)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), source.get_weights(), strict=True))
    # The same file, said by its path; and one that does not fit.
    again = applications.MobileNet(**{**options, "weights": cached})
    assert np.array_equal(again.get_weights()[-1], source.get_weights()[-1])
    with pytest.raises(SavingError):
        applications.MobileNet(**{**options, "weights": cached, "alpha": 0.5})


@pytest.mark.slow
def test_a_cached_file_that_is_another_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> Any:
        raise OSError("no network")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("seqc.utils.downloads.urlopen", no_network)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5").write_bytes(b"another")
    size = pytest.warns(UserWarning, match="`input_shape` is undefined or non-square")
    with size, pytest.raises(DataError, match="MobileNetV3Small needs the file"):
        applications.MobileNetV3Small(include_top=False, input_shape=(32, 32, 3))


# -- before and after -------------------------------------------------------------------------------------------------

MEANS, DEVIATIONS = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
# What each mode means, of numbers from 0 to 255 with the channels last.
MEANT = {
    "tf": lambda x: x / 127.5 - 1,
    "caffe": lambda x: x[..., ::-1] - [103.939, 116.779, 123.68],
    "torch": lambda x: (x / 255 - MEANS) / DEVIATIONS,
}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("mode", MEANT)
def test_images_are_prepared(mode: str, batch: tuple[int, ...], data_format: str) -> None:
    first = data_format == "channels_first"
    x = np.random.default_rng(0).integers(0, 256, (*batch, 4, 5, 3)).astype("uint8")
    meant = MEANT[mode](x.astype("float64"))
    given, meant = (np.moveaxis(one, -1, -3) if first else one for one in (x, meant))
    found = imagenet_utils.preprocess_input(given, data_format, mode)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, meant, atol=1e-4)
    image = keras.Input(given.shape[len(batch) :] if batch else given.shape[1:], dtype="uint8")
    if batch:  # inside of a model
        model = keras.Model(image, imagenet_utils.preprocess_input(keras.ops.cast(image, "float32"), data_format, mode))
        np.testing.assert_allclose(model.predict(given, verbose=0), meant, atol=1e-4)


def test_floats_are_written_over_as_in_keras() -> None:
    x = np.full((2, 2, 3), 255.0)
    assert applications.mobilenet.preprocess_input(x) is x
    assert x.max() == 1 == x.min()
    kept = np.full((2, 2, 3), 255.0)
    kept.flags.writeable = False
    assert applications.mobilenet.preprocess_input(kept).max() == 1
    assert kept.max() == 255
    assert applications.efficientnet.preprocess_input(kept) is kept


def test_each_module_prepares_images_in_its_way() -> None:
    x = np.arange(12).reshape(2, 2, 3)
    modes = {
        "caffe": ("resnet", "resnet50", "vgg16", "vgg19"),
        "tf": ("inception_resnet_v2", "inception_v3", "mobilenet", "mobilenet_v2", "nasnet", "resnet_v2", "xception"),
        "torch": ("densenet",),
        None: ("convnext", "efficientnet", "efficientnet_v2", "mobilenet_v3"),
    }
    assert sum(map(len, modes.values())) == 16
    for mode, modules in modes.items():
        wanted = x if mode is None else imagenet_utils.preprocess_input(x, mode=mode)
        for module in modules:
            held = getattr(applications, module)
            np.testing.assert_array_equal(held.preprocess_input(x), wanted, module)
            assert held.decode_predictions is imagenet_utils.decode_predictions
            assert held.preprocess_input.__name__ == "preprocess_input"


@pytest.mark.parametrize("mode", MEANT)
def test_images_come_as_lists_and_in_other_types(mode: str) -> None:
    pytest.importorskip("ml_dtypes")  # which makes bfloat16 known
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype("uint8")
    wanted = imagenet_utils.preprocess_input(x, mode=mode)
    for given in (x.tolist(), list(x), x.astype("float16"), x.astype("float16").astype("bfloat16"), x.astype("int64")):
        found = imagenet_utils.preprocess_input(given, mode=mode)
        half = getattr(given, "dtype", None) == "float16"
        assert found.dtype == ("float16" if half else "float32")
        # Of numbers up to 255, bfloat16 has eight bits as well: all of them are exact.
        np.testing.assert_allclose(found, wanted, atol=2.0**-11 * np.abs(wanted).max() * 2 if half else 0)


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ConfigError, match="`caffe`, `tf` or `torch`"):
        imagenet_utils.preprocess_input(np.zeros((2, 2, 3)), mode="keras")
    with pytest.raises(ConfigError, match="`channels_first` or `channels_last`"):
        imagenet_utils.preprocess_input(np.zeros((2, 2, 3)), "channel_last")
    with pytest.raises(ShapeError, match="three channels"):
        imagenet_utils.preprocess_input(np.zeros((2, 2, 1)))
    with pytest.raises(DataError, match="got str"):
        imagenet_utils.preprocess_input("cat.png", mode="tf")
    with pytest.raises(DataError, match="got ndarray of object"):
        imagenet_utils.preprocess_input(np.zeros((2, 2, 3), object))
    with pytest.raises(DataError, match=r"Images come as one array, or as a list of parts of the same shape"):
        imagenet_utils.preprocess_input([np.zeros((2, 2, 3)), np.zeros((3, 2, 3))])


def test_predictions_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {str(i): [f"n{i:08}", f"thing_{i}"] for i in range(1000)}
    file = tmp_path / "index.json"
    file.write_text(json.dumps(names))
    monkeypatch.setattr(
        imagenet_utils,
        "_INDEX",
        _published.Published("index.json", "nowhere/", hashlib.md5(file.read_bytes()).hexdigest()),
    )
    monkeypatch.setattr(_published, "get_file", lambda *_, **__: str(file))
    imagenet_utils._index_of_imagenet.cache_clear()
    scores = np.zeros((2, 1000), "float32")
    scores[0, [7, 999]], scores[1, 3] = (0.25, 0.75), 1
    found = applications.vgg16.decode_predictions(scores, top=2)
    imagenet_utils._index_of_imagenet.cache_clear()
    assert found[0] == [("n00000999", "thing_999", 0.75), ("n00000007", "thing_7", 0.25)]
    assert found[1][0] == ("n00000003", "thing_3", 1)
    assert imagenet_utils.decode_predictions(scores, 2, class_index=file) == found
    own = {"0": ["a", "cat"], "1": ["b", "dog"]}
    assert imagenet_utils.decode_predictions([[0.2, 0.8]], class_index=own)[0][0] == ("b", "dog", 0.8)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16", "bfloat16", "float64", "bool"])
def test_scores_of_any_type_are_decoded(dtype: str) -> None:
    pytest.importorskip("ml_dtypes")
    own = {str(i): [f"n{i}", f"class {i}"] for i in range(4)}
    scores = np.array([[0, 120, 0, 120]], "uint8").astype(dtype)
    found = imagenet_utils.decode_predictions(scores, class_index=own)[0]  # of five, there are four
    assert [name for _, name, _ in found] == ["class 1", "class 3", "class 0", "class 2"]
    assert [score for *_, score in found] == [scores[0, i] for i in (1, 3, 0, 2)]
    assert imagenet_utils.decode_predictions(scores[:0], class_index=own) == []


@pytest.mark.parametrize("held", ["{", '{"1": ["a", "b"]}', '{"0": "abc"}', "[]x", "3"])
def test_a_broken_index_is_refused(held: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(held)
    with pytest.raises(DataError, match="is no index of classes"):
        imagenet_utils.decode_predictions(np.zeros((1, 1)), class_index=tmp_path / "index.json")


def test_scores_of_other_classes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(samples, 1000\)\)\. Received array with shape: \(1, 10\)"):
        imagenet_utils.decode_predictions(np.zeros((1, 10)))
    with pytest.raises(ShapeError, match=r"\(samples, 1\)"):
        imagenet_utils.decode_predictions(np.zeros((1, 10)), class_index={"0": ["a", "b"]})
    with pytest.raises(ShapeError, match=r"with shape: \(1000,\)"):
        imagenet_utils.decode_predictions(np.zeros(1000))
    with pytest.raises(DataError, match="Predictions come as one array"):
        imagenet_utils.decode_predictions([[0.1, 0.9], [1.0]])
    with pytest.raises(DataError, match="Predictions are arrays of numbers"):
        imagenet_utils.decode_predictions([["cat", "dog"]])
    for top in (0, -1, 1.5, None):
        with pytest.raises(ConfigError, match="1 or more"):
            imagenet_utils.decode_predictions(np.zeros((1, 1000)), top=top)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="cannot be read"):
        imagenet_utils.decode_predictions(np.zeros((1, 10)), class_index="nowhere.json")


# -- in use -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_tensor_given_for_the_image_is_the_input() -> None:
    image = keras.Input((40, 40, 1), name="gray")
    tripled = keras.layers.Concatenate()([image, image, image])
    model = applications.MobileNetV3Small(
        weights=None, include_top=False, input_tensor=tripled, pooling="avg", minimalistic=True
    )
    assert model.input_names == ["gray"]
    assert model.predict(np.zeros((2, 40, 40, 1)), verbose=0).shape == (2, 576)
