"""Networks of keras.applications exported, trained, in other precisions and from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit import application_table
from kit import made_applications as made
from kit.application_table import EXPORTED, SMALL
from kit.effort import THOROUGH, turn
from kit.executor_runs import Conditions, assert_same, twin
from kit.keras_applications import structured_images, takes_bytes
from kit.oracle import SHARED
from seqc import applications
from seqc.errors import SavingError
from seqc.export import quantize
from seqc.graph.ir import Array

RECORDED = json.loads(made.RECORDED.read_text(encoding="utf-8"))
# The others take up to half a minute each, and are made of what these are made of.
LONG = ("DenseNet121", "InceptionResNetV2", "InceptionV3", "NASNetMobile", "ResNet50V2", "VGG19", "Xception")
LONGER = ("ConvNeXtTiny", "ResNet50", "VGG16")
TRAINED = [name for name in SMALL if name not in LONG and (THOROUGH or name not in LONGER)]


def images(name: str, shape: tuple[int, ...], count: int = 8) -> Array:
    """Returns images as a network takes them."""
    height, width, _ = shape
    drawn = structured_images(max(height, width))[:count, :height, :width]
    return drawn if takes_bytes(name) else drawn / np.float32(127.5) - 1


def with_weights(name: str, **options: Any) -> Any:
    """Returns a network whose weights follow from a rule."""
    case = (name, {**SMALL[name][1], **options})
    model = made.make(keras, case)
    model.set_weights(made.rule(model, made.GAINS.get(name, made.GAIN)))
    return model


# -- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_has_every_network_as_keras_and_the_code_have_it() -> None:
    page = application_table.PAGE.read_text(encoding="utf-8").splitlines()
    found = [line for line in page if line.startswith("|")]
    assert found == application_table.lines(), "run `python -m kit.application_table` in tests/"
    assert len(found) == 2 + sum(map(len, made.FAMILIES.values()))
    assert all(sum(name in EXPORTED for name in names) == 1 for names in made.FAMILIES.values())


# -- exported ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
# The answers of the others are in test_applications.py.
@pytest.mark.parametrize("name", turn(SMALL, 0, 2))
def test_one_of_each_family_goes_to_onnx(name: str, tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = with_weights(name)
    model.export(tmp_path / "m.onnx", verbose=False)  # verified, too
    graph = onnx.load(tmp_path / "m.onnx").graph
    ends = {value.name for value in (*graph.input, *graph.output)}
    moves = [node for node in graph.node if node.op_type == "Transpose"]
    inside = sum(not ends & {*node.input, *node.output} for node in moves)
    assert application_table.Exported(len(graph.node), inside) == EXPORTED[name]
    x = made.images(model.input_shape[1:], takes_bytes(name))
    (y,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {graph.input[0].name: x})
    ours = model.predict(x, verbose=0)
    assert np.abs(ours - y).max() < 1e-5 * np.abs(ours).max()
    if (label := made.label_of(SMALL[name])) in RECORDED["answers"]:
        recorded = np.asarray(RECORDED["answers"][label])
        assert np.abs(y[:, :10] - recorded).max() < 1e-5 * np.abs(recorded).max()


# -- trained ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_both_executors_take_the_same_step(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = made.make(keras, SMALL[name])
    x = images(name, model.input_shape[1:], 4)
    loss: Any = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    y = np.array([1, 3, 5, 7])
    if name == "VGG16":  # which has no classifier here
        loss, y = "mse", np.ones((4, 512), "float32")
    step = twin(model, [x, y], keras.optimizers.SGD(2.0**-6), loss)
    # Rounding of double precision, of which such few images in deep networks make some million times as much.
    assert_same(step, [[x, y]], Conditions(2, 1 << 20), tolerance=1e-8)
    after = dict(zip(step.step.reads, step.state["Executor"], strict=True))
    given = [w for layer in model.layers if isinstance(layer, keras.layers.Normalization) for w in layer.weights]
    changing = [w for w in model.weights if all(w is not one for one in given)]
    assert [w.path for w in changing if np.array_equal(after[w].array, w.array)] == []


# -- in other precisions, and from files ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "bits"), [("mixed_float16", 10), ("mixed_bfloat16", 7)])
def test_a_network_in_mixed_precision(policy: str, bits: int, tmp_path: Path) -> None:
    exact = with_weights("MobileNet")
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = with_weights("MobileNet")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert {w.dtype for w in model.weights} == {"float32"}
    x = images("MobileNet", model.input_shape[1:])
    expected = exact.predict(x, verbose=0)
    found = np.asarray(model.predict(x, verbose=0), "float32")
    # Each of 28 layers rounds to so many bits; errors of that kind add up by the root of their number.
    assert 0 < np.abs(found - expected).max() < 2 * 28**0.5 * 2.0**-bits * np.abs(expected).max()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(2.0**-10), loss)
    history = model.fit(x, np.arange(8), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    model.export(tmp_path / "m.onnx", verbose=False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_weights_of_a_whole_network_go_into_one_without_its_classifier_by_name(tmp_path: Path) -> None:
    whole = with_weights("MobileNet")
    whole.save(tmp_path / "m.h5")
    part = made.make(keras, ("MobileNet", {"alpha": 0.25, "input_shape": (32, 32, 3), "include_top": False}))
    with pytest.raises(SavingError, match="conv_preds"):
        part.load_weights(tmp_path / "m.h5")
    assert not np.array_equal(part.get_weights()[0], whole.get_weights()[0])
    part.load_weights(tmp_path / "m.h5", by_name=True)
    assert len(part.weights) == len(whole.weights) - 2
    assert all(np.array_equal(a, b) for a, b in zip(part.get_weights(), whole.get_weights(), strict=False))


@pytest.mark.slow
def test_weights_of_a_network_that_keras_2_wrote_fit() -> None:
    file = SHARED.parent / "realfiles" / "teachable_machine.h5"
    if not file.is_file():
        pytest.skip("needs the folder 'shared' beside the repository")
    outer: Any = keras.saving.load_model(file, compile=False)
    written = outer.layers[0].layers[0]
    options: dict[str, Any] = {"alpha": 0.35, "input_shape": (224, 224, 3), "include_top": False}
    model = applications.MobileNetV2(weights=None, **options)
    with_weights = [layer.name for layer in written.layers if layer.weights]
    assert [layer.name for layer in model.layers if layer.weights] == with_weights
    model.set_weights(written.get_weights())
    x = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype("float32")
    y = written.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), y, atol=1e-5 * np.abs(y).max())


@pytest.mark.slow
def test_a_network_is_quantized(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = with_weights("MobileNet")
    x = np.concatenate([images("MobileNet", model.input_shape[1:]) * np.float32(1 - 0.1 * i) for i in range(8)])
    model.export(tmp_path / "m.onnx", verbose=False)
    labels = np.argmax(model.predict(x, verbose=0), -1)
    result = quantize(tmp_path / "m.onnx", tmp_path / "q.onnx", x, labels, purpose="size", max_drop=0.1)
    assert result.chosen is not None
    assert (tmp_path / "q.onnx").stat().st_size < 0.4 * (tmp_path / "m.onnx").stat().st_size
    assert (result.chosen.score or 0) >= 0.9


def test_weights_that_are_set_on_a_normalization_count_before_and_after_saving(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Normalization()])
    x = np.array([[1.0, 2.0]], "float32")
    assert np.array_equal(model.predict(x, verbose=0), x)
    model.set_weights([np.array([1.0, 0.0]), np.array([4.0, 16.0]), np.array(0)])
    assert np.array_equal(model.predict(x, verbose=0), [[0, 0.5]])
    model.save(tmp_path / "m.keras")
    assert np.array_equal(keras.saving.load_model(tmp_path / "m.keras").predict(x, verbose=0), [[0, 0.5]])
