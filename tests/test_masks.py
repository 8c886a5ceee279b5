"""Masks belong to what a layer's call returns, whatever else the same numbers are used for.

The numbers are those of Keras 3.15.1 on JAX for the same layers and weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.errors import ShapeError
from seqc.initializers import Constant

IDS = np.array([[1, 2, 0, 0], [1, 0, 2, 0]], "int32")
TABLE = np.arange(9, dtype="float32").reshape(3, 3) / 10 - 0.3


class Plain(layers.Layer):
    def call(self, x: Any) -> Any:
        return x


class Doubling(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2


class Computing(Doubling):
    """Says what becomes of the mask, and so supports masks, as in Keras."""

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask


class Inverting(Plain):
    supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.logical_not(mask)


class Around(layers.Layer):
    """Calls a layer inside, and returns what it gives or its own input."""

    def __init__(self, inner: Any, used: bool, **more: Any) -> None:
        super().__init__(**more)
        self.inner, self.used = inner, used

    def call(self, x: Any) -> Any:
        y = self.inner(x)
        return y if self.used else x


class AroundInverting(Around):
    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.logical_not(mask)


def embedding() -> layers.Layer:
    return layers.Embedding(3, 3, mask_zero=True, embeddings_initializer=Constant(TABLE))


def stack(*middle: Any) -> keras.Sequential:
    reader = layers.SimpleRNN(
        2,
        kernel_initializer=Constant(np.arange(6).reshape(3, 2) / 7 - 0.3),
        recurrent_initializer=Constant(np.array([[0.5, -0.2], [0.3, 0.4]])),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return keras.Sequential([keras.Input((4,), dtype="int32"), embedding(), *middle, reader])


def ones_dense() -> layers.Layer:
    return layers.Dense(3, kernel_initializer="ones")


def both_ways() -> layers.Layer:
    inner = layers.SimpleRNN(3, return_sequences=True, kernel_initializer="ones", recurrent_initializer="ones")
    return layers.Bidirectional(inner, merge_mode="sum")


MASKED = [[0.0947, 0.2346], [0.0947, 0.2346]]
LOST = [[0.3214, -0.0687], [0.3279, 0.0655]]
UNMASKED = [[0.1712, -0.0343], [0.1715, 0.0349]]
INVERTED = [[0.0923, -0.0411], [0.0923, -0.0411]]
CASES: dict[str, tuple[Callable[[], list[Any]], list[list[float]]]] = {
    "nothing": (list, MASKED),
    "identity": (lambda: [Plain()], MASKED),
    "identity inside, unused": (lambda: [Around(Plain(), used=False)], MASKED),
    "another tensor": (lambda: [Doubling()], LOST),
    "another tensor inside, unused": (lambda: [Around(Doubling(), used=False)], MASKED),
    "computes its mask": (lambda: [Computing()], [[0.1872, 0.4442], [0.1872, 0.4442]]),
    "identity with another mask": (lambda: [Inverting()], INVERTED),
    "identity with another mask inside, unused": (lambda: [Around(Inverting(), used=False)], MASKED),
    "its word over that of a layer inside": (
        lambda: [AroundInverting(ones_dense(), used=True)],
        [[-0.0296, -0.3163], [-0.0296, -0.3163]],
    ),
    "dropout at rest": (lambda: [layers.Dropout(0.5)], MASKED),
    "linear activation": (lambda: [layers.Activation("linear")], MASKED),
    "reshape to the same": (lambda: [layers.Reshape((4, 3))], MASKED),
    "reshape to the same, one size open": (lambda: [layers.Reshape((-1, 3))], MASKED),
    "permute nothing": (lambda: [layers.Permute((1, 2))], MASKED),
    "nested": (lambda: [keras.Sequential([layers.Dropout(0.5), Plain()])], MASKED),
    "nested, lost": (lambda: [keras.Sequential([Doubling()])], LOST),
    "masking twice": (lambda: [layers.Masking(-0.3), layers.Masking(0.2)], UNMASKED),
    "dense at each step": (lambda: [layers.TimeDistributed(ones_dense())], [[-0.0233, 0.4711]] * 2),
    "identity at each step": (lambda: [layers.TimeDistributed(Plain())], MASKED),
    "both directions": (lambda: [both_ways()], [[0.0328, 0.7112]] * 2),
    "flattened": (lambda: [layers.Flatten(), layers.Reshape((4, 3))], UNMASKED),
    "convolution": (
        lambda: [layers.Conv1D(3, 1, kernel_initializer="ones")],
        [[0.0911, -0.2707], [0.0949, -0.0706]],
    ),
    "layer normalization": (lambda: [layers.LayerNormalization()], [[0.8045, 0.6454]] * 2),
    "batch normalization": (lambda: [layers.BatchNormalization()], [[0.0947, 0.2345]] * 2),
    "pooling": (lambda: [layers.AveragePooling1D(1)], UNMASKED),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mask_goes_where_keras_lets_it_go(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    middle, expected = CASES[case]
    model = stack(*middle())
    np.testing.assert_allclose(model.predict(IDS, verbose=0), expected, atol=6e-5)
    np.testing.assert_allclose(model(IDS), expected, atol=6e-5)
    monkeypatch.setenv("SEQC_EXECUTOR", "naive")
    model._trainer.forget_steps()
    np.testing.assert_allclose(model.predict(IDS, verbose=0), expected, atol=6e-5)


@pytest.mark.parametrize("case", ["identity", "identity with another mask", "another tensor inside, unused", "nested"])
def test_the_exported_model_has_the_same_mask(case: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    middle, expected = CASES[case]
    model = stack(*middle())
    model.export(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: IDS})
    np.testing.assert_allclose(got, expected, atol=6e-5)


def test_layers_called_on_arrays_one_by_one_hand_masks_on() -> None:
    model = stack(layers.Activation("linear"))
    x: Any = IDS
    for layer in model.layers:
        x = layer(x)
    np.testing.assert_allclose(x, MASKED, atol=6e-5)


def test_a_mask_given_by_hand_stays_with_that_call() -> None:
    reader = layers.SimpleRNN(2)
    keep, drop = layers.Activation("linear"), layers.Dropout(0.5)

    class Two(layers.Layer):
        def call(self, x: Any) -> Any:
            masked = reader(keep(x, mask=ops.not_equal(x[:, :, 0], 0.0)))
            return ops.concatenate([masked, reader(x), reader(drop(x))], -1)

    x = np.array([[[1, 2], [3, 4], [0, 5]]], "float32")
    first, second, third = np.split(np.asarray(Two()(x)), 3, -1)
    np.testing.assert_allclose(first, reader(x[:, :2]), atol=1e-6)
    np.testing.assert_allclose(second, reader(x), atol=1e-6)
    np.testing.assert_allclose(third, second)


def test_a_mask_stays_in_training_when_dropout_makes_another_tensor() -> None:
    model = stack(layers.Dropout(1e-9))
    np.testing.assert_allclose(model(IDS, training=True), MASKED, atol=6e-5)


def test_a_lost_mask_is_said_once_and_names_the_layer() -> None:
    stacked = [keras.Input((4,), dtype="int32"), embedding(), Doubling(name="twice"), layers.GRU(2)]
    with pytest.warns(UserWarning, match=r"Layer 'twice' \(of type Doubling\) was passed an input with a mask"):
        model = keras.Sequential(stacked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(IDS, verbose=0)
        model.compile("sgd", "mse")
        model.fit(IDS, np.zeros((2, 2)), verbose=0)


def test_a_layer_that_passes_its_input_on_says_nothing_about_masks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keras.Sequential([keras.Input((4,), dtype="int32"), embedding(), Plain(), layers.GRU(2)])


def test_the_mask_of_an_output_weighs_the_loss_behind_an_identity() -> None:
    x = np.array([[[1.0], [2.0], [0.0]]], "float32")
    y = np.array([[[0.0], [0.0], [9.0]]], "float32")
    model = keras.Sequential([keras.Input((3, 1)), layers.Masking(), Plain()])
    model.compile("sgd", "mse")
    assert model.evaluate(x, y, verbose=0) == pytest.approx(2.5)  # (1 + 4) / 2: the third step does not count


def test_a_mask_that_a_layer_cannot_take_is_refused_where_it_is_called_in_a_graph() -> None:
    steps = layers.Embedding(6, 2, mask_zero=True)(keras.Input((4,), dtype="int32"))
    for masked in (steps, layers.Dropout(0.1)(steps), layers.Add()([steps, steps])):
        with pytest.raises(ShapeError, match="The mask of Softmax must broadcast to its input"):
            layers.Softmax()(masked)
    assert layers.Softmax()(steps * 1.0).shape == (None, 4, 2)  # an operation passes no mask on


class Seeing(layers.Layer):
    """Notes whether a mask came with its input."""

    supports_masking = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def call(self, x: Any, mask: Any = None) -> Any:
        self.seen.append(mask is not None)
        return x


# Which layers hand a mask of steps on with their result, and which do not, as Keras 3.15.1 has it on TensorFlow.
CARRYING: dict[str, Callable[[], Any]] = {
    "Activation": lambda: layers.Activation("relu"),
    "Dense": lambda: layers.Dense(3),
    "Dropout": lambda: layers.Dropout(0.1),
    "SpatialDropout1D": lambda: layers.SpatialDropout1D(0.1),
    "AlphaDropout": lambda: layers.AlphaDropout(0.1),
    "GaussianDropout": lambda: layers.GaussianDropout(0.1),
    "GaussianNoise": lambda: layers.GaussianNoise(0.1),
    "Rescaling": lambda: layers.Rescaling(2.0),
    "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(2)),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(2)),
    "LSTM": lambda: layers.LSTM(2, return_sequences=True),
    "GRU": lambda: layers.GRU(2, return_sequences=True),
    "SimpleRNN": lambda: layers.SimpleRNN(2, return_sequences=True),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(2, return_sequences=True)),
    **{
        name: getattr(layers, name)
        for name in (
            *("ActivityRegularization", "BatchNormalization", "ELU", "Identity", "LayerNormalization", "LeakyReLU"),
            *("Masking", "Normalization", "PReLU", "ReLU", "UnitNormalization"),
        )
    },
}
DROPPING: dict[str, Callable[[], Any]] = {
    "Conv1D": lambda: layers.Conv1D(2, 3),
    "Conv1DTranspose": lambda: layers.Conv1DTranspose(2, 3),
    "DepthwiseConv1D": lambda: layers.DepthwiseConv1D(3),
    "SeparableConv1D": lambda: layers.SeparableConv1D(2, 3),
    "EinsumDense": lambda: layers.EinsumDense("abc,cd->abd", (None, 3)),
    "Permute": lambda: layers.Permute((2, 1)),
    "Reshape": lambda: layers.Reshape((12,)),
    "last state": lambda: layers.LSTM(2),
    **{
        name: getattr(layers, name)
        for name in (
            *("Cropping1D", "Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "MaxPooling1D"),
            *("RMSNormalization", "UpSampling1D", "ZeroPadding1D"),
        )
    },
}


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
@pytest.mark.parametrize(("name", "carries"), [*((n, True) for n in CARRYING), *((n, False) for n in DROPPING)])
def test_layers_carry_the_masks_on_that_they_carry_in_keras(name: str, carries: bool) -> None:
    made, seeing = (CARRYING if carries else DROPPING)[name](), Seeing()
    model = keras.Sequential([keras.Input((4, 3)), layers.Masking(), made, seeing])
    model(np.ones((2, 4, 3), "float32"))
    assert set(seeing.seen) == {carries}


@pytest.mark.parametrize("masked", [0.0, np.nan, np.inf, -np.inf])
def test_batch_statistics_are_of_what_is_not_masked_whatever_the_rest_is(masked: float) -> None:
    x = np.sin(np.arange(24)).reshape(2, 4, 3).astype("float32")
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool)
    x[~mask] = masked
    norm = layers.BatchNormalization(momentum=0.5, synchronized=True)
    result = np.asarray(norm(x, training=True, mask=mask))
    # Recorded from Keras 3.15.1.
    np.testing.assert_allclose(norm.moving_mean, [-0.04962, 0.03668, 0.08925], atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, [0.62454, 0.65358, 0.93261], atol=1e-5)
    np.testing.assert_allclose(result[0, 0], [0.1984, 1.3837, 0.7852], atol=1e-4)


# -- masks that scripts read and assign --------------------------------------------------------------------------------

STEPS = np.array([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]], "float32")
RECURRENT: dict[str, Any] = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
LATER, ALL_STEPS = 0.680695, 0.780239  # what an LSTM makes of the steps above 0.2, and of all


def rows() -> layers.Layer:
    return layers.Embedding(4, 2, mask_zero=True, embeddings_initializer=Constant(0.5))


def above(x: Any) -> Any:
    return ops.greater(x[:, :, 0], 0.2)


class Assigning(layers.Layer):
    def call(self, x: Any) -> Any:
        y = x * 1.0
        y._keras_mask = above(x)
        return y


class AssigningAndComputing(Assigning):
    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return ops.greater(inputs[:, :, 0], -1.0)


class Reading(layers.Layer):
    supports_masking = True

    def call(self, x: Any) -> Any:
        return x if x._keras_mask is None else x * ops.expand_dims(ops.cast(x._keras_mask, x.dtype), -1)


READ: dict[str, Callable[[Any], Any]] = {
    "Embedding": lambda x: x,
    "Masking": layers.Masking(),
    "LSTM": layers.LSTM(2, return_sequences=True),
    "TimeDistributed": layers.TimeDistributed(layers.Dense(2)),
    "Dropout": layers.Dropout(0.5),
    "in call": Reading(),
    "in call, in half precision": Reading(dtype="float16"),
}


@pytest.mark.parametrize("name", READ)
def test_scripts_read_masks_of_arrays_and_of_symbols(name: str) -> None:
    ids, expected = np.array([[1, 2, 0]]), [[True, True, name == "Masking"]]  # a row of 0.5 is not masked
    layer, embed = READ[name], rows()
    np.testing.assert_array_equal(layer(embed(ids))._keras_mask, expected)
    x = keras.Input((3,), dtype="int32")
    y = layer(embed(x))
    assert y._keras_mask.shape == (None, 3)
    np.testing.assert_array_equal(keras.Model(x, y._keras_mask).predict(ids, verbose=0), expected)
    if name.startswith("in call"):
        np.testing.assert_array_equal(layer(embed(ids))[0, :, 0], [0.5, 0.5, 0.0])
    assert x._keras_mask is None


def _of_array(lstm: Any) -> Any:
    x = ops.convert_to_tensor(STEPS) * 1.0
    x._keras_mask = above(x)
    return lstm(x)


def _of_array_later(lstm: Any) -> Any:
    x = ops.convert_to_tensor(STEPS) * 1.0
    x._keras_mask = np.asarray(above(x))
    np.asarray(x)  # computed: a constant stands for it from here on
    return lstm(layers.Dropout(0.5)(x))


def _taken_away(lstm: Any) -> Any:
    x = ops.convert_to_tensor(STEPS) * 1.0
    x._keras_mask = above(x)
    x._keras_mask = None
    return lstm(x)


def _of_symbols(through: Callable[[Any], Any], made: Callable[[Any], Any] = lambda x: x * 1.0) -> Callable[[Any], Any]:
    def run(lstm: Any) -> Any:
        x = keras.Input((3, 2))
        z = made(x)
        z._keras_mask = above(x)
        model = keras.Model(x, lstm(through(z)))
        return keras.models.clone_model(model).predict(STEPS, verbose=0)

    return run


ASSIGNED: dict[str, tuple[Callable[[Any], Any], float]] = {
    "array": (_of_array, LATER),
    "array, passed on": (_of_array_later, LATER),
    "taken away": (_taken_away, ALL_STEPS),
    "in call": (lambda lstm: lstm(Assigning()(STEPS)), LATER),
    "in call, over compute_mask": (lambda lstm: lstm(AssigningAndComputing()(STEPS)), LATER),
    "symbol": (_of_symbols(lambda z: z), LATER),
    "input": (_of_symbols(lambda z: z, lambda x: x), LATER),
    "symbol, passed on": (_of_symbols(layers.Dropout(0.5)), LATER),
    "symbol, added": (_of_symbols(lambda z: layers.Average()([z, z])), LATER),
    "symbol, by hand": (_of_symbols(lambda z: layers.Activation("linear")(z * 1.0, mask=z._keras_mask)), LATER),
}


@pytest.mark.parametrize("case", ASSIGNED)
def test_the_next_layer_goes_by_a_mask_that_a_script_assigns(case: str) -> None:
    run, expected = ASSIGNED[case]
    np.testing.assert_allclose(run(layers.LSTM(2, **RECURRENT)), [[expected, expected]], atol=1e-5)


def test_assigned_masks_weigh_the_loss_where_the_call_assigns_them() -> None:
    y = np.ones((1, 3, 2), "float32")
    x = keras.Input((3, 2))
    model = keras.Model(x, Assigning()(x))
    model.compile("sgd", "mse")
    assert model.evaluate(STEPS, y, verbose=0) == pytest.approx(0.315)
    assert float(keras.losses.MeanSquaredError()(y, Assigning()(STEPS))) == pytest.approx(0.315)
    z = layers.Dense(2, kernel_initializer="ones")(x)
    z._keras_mask = above(x)  # of a symbol: layers go by it, the loss has none
    model = keras.Model(x, z)
    model.compile("sgd", "mse")
    assert model.evaluate(STEPS, y, verbose=0) == pytest.approx(0.1966667)


def test_files_have_masks_that_were_read_and_assigned(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    x = keras.Input((3,), dtype="int32")
    h = rows()(x)
    z = h * 2.0
    z._keras_mask = h._keras_mask
    count = ops.sum(ops.cast(h._keras_mask, "float32"), axis=1, keepdims=True)
    model = keras.Model(x, layers.LSTM(2, **RECURRENT)(z) * count)
    ids = np.array([[1, 2, 0], [3, 0, 0]], "int32")
    expected = [[1.81965, 1.81965], [0.60828, 0.60828]]
    model.save(tmp_path / "m.keras")
    model.export(tmp_path / "m.onnx")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(loaded.predict(ids, verbose=0), expected, atol=1e-5)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: ids})[0], expected, atol=1e-5)


def test_a_call_looks_at_its_own_masks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr("seqc.layers.base.refuse_captured", lambda layer, results, given: looked.append(len(given)))
    x = keras.Input((3,), dtype="int32")
    h = rows()(x)
    for _ in range(20):
        h = layers.Dense(2)(h)
    keras.Model(x, h)(np.array([[1, 2, 0]]))
    assert max(looked) <= 4
