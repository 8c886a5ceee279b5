"""What layers do beyond the recorded cases: configurations, masks, randomness, shapes, and layers of a user's own."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

import seqc
from kit import merge_runs
from kit.layer_runs import trace_model
from kit.oracle import kept_cases
from seqc import Input, Sequential, layers, ops
from seqc.graph.ir import Value
from seqc.known_classes import classes
from seqc.layers.base import snake_case
from seqc.ops.shape import Reshape as ReshapeOp
from seqc.serialization import deserialize, serialize_object
from seqc.utils.naming import clear_session

# Layers with arguments that are not the defaults.
EXAMPLES: list[tuple[str, dict[str, Any], tuple[int | None, ...], str]] = [
    ("InputLayer", {"shape": (3,), "dtype": "float64"}, (None, 3), "float64"),
    ("Dense", {"units": 3, "activation": "gelu", "kernel_regularizer": "l1", "use_bias": False}, (None, 4), "float32"),
    ("Dense", {"units": 3, "activity_regularizer": "l2", "bias_constraint": "non_neg"}, (None, 2, 4), "float32"),
    ("Activation", {"activation": "hard_swish"}, (None, 4), "float32"),
    ("Dropout", {"rate": 0.3, "noise_shape": (None, 1), "seed": 3}, (None, 4), "float32"),
    ("Flatten", {"data_format": "channels_first"}, (None, 3, 4, 5), "float32"),
    ("Reshape", {"target_shape": (2, -1)}, (None, 6), "float32"),
    ("Permute", {"dims": (2, 1)}, (None, 3, 4), "float32"),
    ("RepeatVector", {"n": 3}, (None, 4), "float32"),
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}, (None, None, 2), "float32"),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 2), "strides": (2, 1), "groups": 2, "padding": "same"},
     (None, 8, 8, 2), "float32"),
    ("Conv2D", {"filters": 2, "kernel_size": 3, "data_format": "channels_first"}, (None, 3, 8, 8), "float32"),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2, "activation": "relu"}, (None, None, 2), "float32"),
    ("DepthwiseConv2D", {"kernel_size": (3, 2), "strides": 2, "padding": "same", "depth_multiplier": 2,
                         "depthwise_regularizer": "l2"}, (None, None, 8, 2), "float32"),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "data_format": "channels_first"},
     (None, 2, 8), "float32"),
    ("SeparableConv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "depth_multiplier": 2, "use_bias": False,
                         "pointwise_constraint": "non_neg"}, (None, 7, 8, 2), "float32"),
    ("Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2, "output_padding": 1},
     (None, None, 2), "float32"),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": (3, 4), "strides": (2, 3), "padding": "same"},
     (None, None, 5, 2), "float32"),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": 2, "strides": 3, "data_format": "channels_first"},
     (None, 2, None, 5), "float32"),
    ("MaxPooling1D", {"strides": 1, "padding": "same"}, (None, None, 2), "float32"),
    ("AveragePooling1D", {"pool_size": 3, "data_format": "channels_first"}, (None, 2, 7), "float32"),
    ("GlobalAveragePooling1D", {"keepdims": True}, (None, None, 2), "float32"),
    ("GlobalMaxPooling1D", {"data_format": "channels_first"}, (None, 2, None), "float32"),
    ("GlobalMaxPooling2D", {"keepdims": True}, (None, None, 7, 2), "float32"),
    ("UpSampling1D", {"size": 3}, (None, None, 2), "float32"),
    ("UpSampling2D", {"size": (2, 3)}, (None, None, None, 2), "float32"),
    ("UpSampling2D", {"size": 2, "interpolation": "bilinear", "data_format": "channels_first"},
     (None, 2, None, 4), "float32"),
    ("ZeroPadding1D", {"padding": (0, 2), "data_format": "channels_first"}, (None, 2, None), "float32"),
    ("ZeroPadding2D", {"padding": ((1, 0), (2, 3))}, (None, None, 4, 2), "float32"),
    ("Equalization", {"bins": 8}, (None, 5, 4, 2), "float32"),
    ("Rescaling", {"scale": [0.5, 2.0], "offset": -1.0}, (None, 3, 2), "uint8"),
    ("Normalization", {"axis": (1, -1)}, (None, 4, None, 2), "float32"),
    ("Normalization", {"axis": None, "mean": 3.0, "variance": 2.0, "invert": True}, (None, 4), "int32"),
    ("LayerScale", {"init_values": 0.1, "projection_dim": 2}, (None, None, 2), "float32"),
    ("StochasticDepth", {"drop_path_rate": 0.3}, (None, None, 2), "float32"),
    ("Cropping1D", {"cropping": (0, 2)}, (None, None, 2), "float32"),
    ("Cropping2D", {"cropping": ((1, 0), (0, 2)), "data_format": "channels_first"}, (None, 2, None, 5), "float32"),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (None, 7, 7, 2), "float32"),
    ("AveragePooling2D", {"pool_size": (2, 3), "data_format": "channels_first"}, (None, 2, 7, 7), "float32"),
    ("GlobalAveragePooling2D", {"keepdims": True}, (None, None, 7, 2), "float32"),
    ("BatchNormalization", {"axis": 1, "momentum": 0.9, "scale": False, "trainable": False}, (None, 3, 4), "float32"),
    ("LayerNormalization", {"axis": [1, 2], "epsilon": 0.1, "center": False}, (None, 3, 4), "float32"),
    ("LayerNormalization", {"rms_scaling": True}, (None, 3, 4), "float32"),
    ("Embedding", {"input_dim": 5, "output_dim": 3, "mask_zero": True}, (None, 4), "int32"),
    ("Masking", {"mask_value": 3.0}, (None, 4, 2), "float32"),
    ("LSTM", {"units": 3, "return_sequences": True, "go_backwards": True, "dropout": 0.1, "seed": 4, "unroll": True,
              "zero_output_for_mask": True}, (None, 4, 2), "float32"),
    ("LSTM", {"units": 3, "activation": "relu", "use_bias": False}, (None, None, 2), "float64"),
    ("GRU", {"units": 3, "reset_after": False, "dropout": 0.1, "seed": 4, "go_backwards": True},
     (None, 4, 2), "float32"),
    ("SimpleRNN", {"units": 3, "activation": "relu", "seed": 4, "return_sequences": True}, (None, None, 2), "float32"),
    ("Bidirectional", {"layer": {"class_name": "GRU", "config": {"units": 3, "return_sequences": True}}},
     (None, None, 2), "float32"),
    ("Bidirectional", {"layer": {"class_name": "LSTM", "config": {"units": 3}}, "merge_mode": "ave"},
     (None, 4, 2), "float64"),
    ("RNN", {"cell": [layers.LSTMCell(3), layers.GRUCell(2)], "return_sequences": True, "go_backwards": True},
     (None, 4, 2), "float32"),
    ("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"units": 2}}}, (None, 4, 3), "float32"),
    ("ReLU", {"max_value": 6.0, "negative_slope": 0.1, "threshold": 0.2}, (None, 4), "float32"),
    ("LeakyReLU", {"negative_slope": 0.2}, (None, 4), "float32"),
    ("Softmax", {"axis": [1, 2]}, (None, 3, 4), "float32"),
]  # fmt: skip
# Layers without such a row, as one of them was recorded alone.
_RECORDED = {case.facts["class"]: case.facts for case in kept_cases("layer_cases") if len(case.facts["layers"]) == 1}
EXAMPLES += [
    (
        name,
        facts["layers"][0]["config"] | {key: facts[key] for key in facts if key == "vocabulary"},
        tuple(facts["input_shape"]),
        facts["input_dtype"],
    )
    for name, facts in _RECORDED.items()
    if hasattr(layers, name) and name not in {row[0] for row in EXAMPLES}
]

# As long as the frames of those that cut a signal.
STEPS = {"STFTSpectrogram": 20, "MelSpectrogram": 40}


def example(name: str, arguments: dict[str, Any]) -> layers.Layer:
    result: layers.Layer = getattr(layers, name).from_config(arguments)
    return result


def numbers(shape: tuple[int | None, ...], dtype: str, rng: np.random.Generator, steps: int = 3) -> np.ndarray:
    sizes = tuple(steps if d is None else d for d in shape)
    if dtype == "string":
        return rng.choice(np.array(["", "a", "b c", "d"], object), sizes)
    return rng.integers(0, 5, sizes).astype(dtype) if dtype.startswith("int") else rng.normal(size=sizes).astype(dtype)


@pytest.mark.parametrize(("name", "arguments", "shape", "dtype"), EXAMPLES)
def test_configuration_makes_the_same_layer_again(
    name: str, arguments: dict[str, Any], shape: tuple[int | None, ...], dtype: str, rng: np.random.Generator
) -> None:
    layer = example(name, arguments)
    layer.trainable = arguments.get("trainable", True)
    copy = deserialize(serialize_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    x = numbers(shape, dtype, rng, STEPS.get(name, 3))
    # Layers that change images at random do so when they are called by themselves.
    still = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}
    expected = np.asarray(layer(x, **still))
    copy(x)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(copy(x, **still)), expected)


@pytest.mark.parametrize(("name", "arguments", "shape", "dtype"), EXAMPLES)
def test_declared_shape_is_the_computed_one(
    name: str, arguments: dict[str, Any], shape: tuple[int | None, ...], dtype: str, rng: np.random.Generator
) -> None:
    layer = example(name, arguments)
    declared = layer.compute_output_shape(shape)
    computed = np.asarray(layer(numbers(shape, dtype, rng, STEPS.get(name, 3)))).shape
    assert len(declared) == len(computed)
    assert all(a is None or a == b for a, b in zip(declared, computed, strict=True))


def test_every_layer_has_an_example() -> None:
    # Those in `merge_runs` are compared with Keras with the masks and gradients of each tensor, and Lambda in files.
    assert set(classes("layers")) - {name for name, *_ in EXAMPLES} - merge_runs.CLASSES == {
        "GRUCell", "LSTMCell", "SimpleRNNCell", "StackedRNNCells", "Sequential", "Lambda",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Dense", "dense"), ("Conv2D", "conv2d"), ("MaxPooling2D", "max_pooling2d"), ("LSTM", "lstm"), ("ReLU", "re_lu"),
     ("LeakyReLU", "leaky_re_lu"), ("BatchNormalization", "batch_normalization"), ("LSTMCell", "lstm_cell"),
     ("TimeDistributed", "time_distributed"), ("GlobalAveragePooling2D", "global_average_pooling2d")],
)  # fmt: skip
def test_layers_are_named_as_in_keras(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def test_names_count_up_and_start_again() -> None:
    clear_session()
    assert [layers.Dense(1).name for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    clear_session()
    assert layers.Dense(1).name == "dense"


def test_aliases_are_the_classes_themselves() -> None:
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.AvgPool2D is layers.AveragePooling2D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D
    assert (layers.Convolution1D, layers.Convolution2D) == (layers.Conv1D, layers.Conv2D)
    assert layers.Convolution1DTranspose is layers.Conv1DTranspose
    assert layers.Convolution2DTranspose is layers.Conv2DTranspose
    assert layers.SeparableConvolution1D is layers.SeparableConv1D
    assert layers.SeparableConvolution2D is layers.SeparableConv2D
    assert (layers.MaxPool1D, layers.AvgPool1D) == (layers.MaxPooling1D, layers.AveragePooling1D)
    assert (layers.GlobalMaxPool1D, layers.GlobalMaxPool2D) == (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D)
    assert layers.GlobalAvgPool1D is layers.GlobalAveragePooling1D


def test_input_takes_a_shape_or_a_batch_shape() -> None:
    assert Input(shape=(3, None)).shape == (None, 3, None)
    assert Input(shape=[3], batch_size=4).shape == (4, 3)
    assert layers.InputLayer(batch_shape=(None, 3), dtype="int32", name="ids").get_config() == {
        "batch_shape": [None, 3], "dtype": "int32", "sparse": False, "ragged": False, "optional": False, "name": "ids",
    }  # fmt: skip


# -- weights and calls -------------------------------------------------------------------------------------------------


def test_inner_layers_show_in_the_paths_of_weights() -> None:
    model = Sequential([Input((4, 2)), layers.LSTM(3, name="memory", return_sequences=True),
                        layers.TimeDistributed(layers.Dense(2, name="head"), name="each")])  # fmt: skip
    assert [v.path for v in model.weights] == [
        "memory/lstm_cell/kernel", "memory/lstm_cell/recurrent_kernel", "memory/lstm_cell/bias",
        "each/head/kernel", "each/head/bias",
    ]  # fmt: skip


def test_a_frozen_layer_has_no_trainable_weights() -> None:
    layer = layers.LSTM(2, trainable=False)
    layer.build((None, 3, 4))
    assert layer.trainable_weights == []
    assert len(layer.non_trainable_weights) == 3
    layer.trainable = True
    assert len(layer.trainable_weights) == 3


def test_building_twice_keeps_the_weights() -> None:
    layer = layers.Dense(2)
    layer.build((None, 3))
    before = layer.get_weights()
    layer(np.ones((1, 3), "float32"))
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    assert layer.get_build_config() == {"input_shape": [None, 3]}


def test_calling_a_layer_does_not_disturb_later_random_numbers() -> None:
    def start(call: bool) -> np.ndarray:
        seqc.utils.set_random_seed(7)
        first = layers.Dense(2)
        first.build((None, 3))
        if call:
            first(np.ones((1, 3), "float32"))
        second = layers.Dense(2)
        second.build((None, 3))
        return second.get_weights()[0]

    np.testing.assert_array_equal(start(True), start(False))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_come_in_the_precision_of_the_layer(dtype: str) -> None:
    for given in ("float32", "float64", "int32"):
        assert layers.Dense(2, dtype=dtype)(np.ones((1, 3), given)).dtype == dtype


class Scaled(layers.Layer):
    """A layer as a user writes it: a weight, a training mode, a mask."""

    def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        y = inputs * self.scale * (self.factor if training else 1.0)
        return y if mask is None else ops.where(ops.expand_dims(mask, -1), y, 0.0)


def test_own_layer_gets_training_and_mask_and_its_configuration() -> None:
    x = np.array([[[1.0], [0.0], [3.0]]], "float32")
    with pytest.warns(UserWarning, match="'scaled.*' .* does not support masking"):
        model = Sequential([Input((3, 1)), layers.Masking(), Scaled(3.0)])
    np.testing.assert_array_equal(np.asarray(model(x)), x)
    np.testing.assert_array_equal(np.asarray(model(x, training=True)), 3 * x)
    assert model.layers[1].get_config()["factor"] == 3.0
    assert [v.path for v in model.weights] == [f"{model.layers[1].name}/scale"]


def test_own_layer_may_take_more_arguments() -> None:
    class Shifted(layers.Layer):
        def call(self, x: Any, by: float = 0.0) -> Any:
            return x + by

    np.testing.assert_array_equal(np.asarray(Shifted()(np.zeros(2, "float32"), by=2.0)), [2, 2])


def test_own_layer_that_forgets_the_base_is_told() -> None:
    class Forgetful(layers.Layer):
        def __init__(self) -> None:
            self.factor = 2.0

    with pytest.raises(AttributeError, match=r"Forgetful has no '\w+' because its __init__ did not call super"):
        Sequential([Input((2,)), Forgetful()])
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'foo'"):
        layers.Dense(2).foo  # type: ignore[attr-defined]  # noqa: B018  (the attribute access is what fails)


def test_own_layer_without_masking_drops_the_mask() -> None:
    class Twice(layers.Layer):
        def call(self, x: Any) -> Any:
            return x * 2

    with pytest.warns(UserWarning, match="does not support masking"):
        model = Sequential([Input((3,), dtype="int32"), layers.Embedding(4, 2, mask_zero=True), Twice()])
    traced = trace_model(model, (None, 3), "int32", training=False)
    assert traced.trace.masks.get(traced.y) is None


# -- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "passes"),
    [
        (layers.Dense(2), True),
        (layers.Activation("relu"), True),
        (layers.Dropout(0.5), True),
        (layers.ReLU(), True),
        (layers.BatchNormalization(), True),
        (layers.LayerNormalization(), True),
        (layers.TimeDistributed(layers.Dense(2)), True),
        (layers.LSTM(2, return_sequences=True), True),
        (layers.LSTM(2), False),
        (layers.Flatten(), False),
        (layers.Conv1D(2, 2), False),
        (layers.Reshape((6,)), False),
        (Sequential([layers.Dropout(0.5)]), True),
        (Sequential([layers.Flatten()]), False),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, layers.Layer) else None,
)
def test_masks_pass_where_keras_passes_them(layer: layers.Layer, passes: bool) -> None:
    silent = passes or isinstance(layer, layers.LSTM)  # which takes the mask
    with nullcontext() if silent else pytest.warns(UserWarning, match="does not support masking"):
        model = Sequential([Input((3,), dtype="int32"), layers.Embedding(4, 2, mask_zero=True), layer])
    traced = trace_model(model, (None, 3), "int32", training=False)
    assert (traced.trace.masks.get(traced.y) is not None) == passes


def test_masked_steps_do_not_enter_batch_statistics(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 3, 2)).astype("float32")
    mask = np.array([[True, True, False]] * 4)
    layer = layers.BatchNormalization(momentum=0.0)
    layer(x, training=True, mask=mask)
    valid = x[:, :2].reshape(-1, 2)
    np.testing.assert_allclose(layer.moving_mean.numpy(), valid.mean(0), atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), valid.var(0), atol=1e-6)


# -- randomness --------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_expected_sum_and_is_off_outside_training() -> None:
    x = np.ones((100, 100), "float32")
    layer = layers.Dropout(0.25)
    np.testing.assert_array_equal(np.asarray(layer(x)), x)
    y = np.asarray(layer(x, training=True))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs(y.mean() - 1) < 0.02


def test_seeded_dropout_does_not_depend_on_the_global_seed() -> None:
    def drawn(seed: int | None, call: int) -> np.ndarray:
        seqc.utils.set_random_seed(call)
        layer = layers.Dropout(0.5, seed=seed)
        return np.stack([np.asarray(layer(np.ones((2, 50), "float32"), training=True)) for _ in range(2)])

    np.testing.assert_array_equal(drawn(3, 1), drawn(3, 2))
    assert (drawn(3, 1) != drawn(4, 1)).any()
    assert (drawn(None, 1) != drawn(None, 2)).any()
    first, second = drawn(3, 1)
    assert (first != second).any(), "every call draws anew"


def test_noise_shape_drops_whole_features() -> None:
    y = np.asarray(layers.Dropout(0.5, noise_shape=(None, 1, 6), seed=1)(np.ones((5, 4, 6), "float32"), training=True))
    assert (y == y[:, :1]).all()
    assert 0 < (y == 0).mean() < 1


def test_dropping_everything_gives_zeros() -> None:
    assert not np.asarray(layers.Dropout(1.0)(np.ones((2, 3), "float32"), training=True)).any()


# -- single layers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda f: layers.Conv2D(3, 2, strides=2, padding="same", activation="relu", data_format=f),
        lambda f: layers.MaxPooling2D(2, padding="same", data_format=f),
        lambda f: layers.AveragePooling2D(3, 2, padding="same", data_format=f),
        lambda f: layers.GlobalAveragePooling2D(data_format=f, keepdims=True),
    ],
)
def test_channels_first_is_channels_last_with_other_axes(make: Any, rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 5, 6, 2)).astype("float32")
    last, first = make("channels_last"), make("channels_first")
    expected = np.asarray(last(x))
    first.build((None, 2, 5, 6))
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(np.moveaxis(np.asarray(first(np.moveaxis(x, -1, 1))), 1, -1), expected, atol=1e-6)


def test_explicit_padding_is_padding_before_a_valid_convolution(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 5, 6, 2)).astype("float32")
    padded, valid = layers.Conv2D(3, 3, padding=[(0, 2), (1, 0)]), layers.Conv2D(3, 3)
    y = np.asarray(padded(x))
    valid.build((None, None, None, 2))
    valid.set_weights(padded.get_weights())
    np.testing.assert_allclose(np.asarray(valid(np.pad(x, ((0, 0), (0, 2), (1, 0), (0, 0))))), y, atol=1e-6)


def test_causal_convolution_sees_no_later_step(rng: np.random.Generator) -> None:
    x = rng.normal(size=(1, 8, 2)).astype("float32")
    layer = layers.Conv1D(2, 3, padding="causal", dilation_rate=3)
    y = np.asarray(layer(x))
    x[:, 5:] += 1
    changed = np.asarray(layer(x))
    np.testing.assert_array_equal(changed[:, :5], y[:, :5])
    assert (changed[:, 5:] != y[:, 5:]).all()


def test_embedding_takes_ids_in_floats_and_a_table_to_start_from() -> None:
    table = np.arange(6, dtype="float32").reshape(3, 2)
    layer = layers.Embedding(3, 2, weights=[table])
    np.testing.assert_array_equal(np.asarray(layer(np.array([[2.0, 0.0]]))), [[[4, 5], [0, 1]]])
    assert "weights" not in layer.get_config()


def test_normalization_of_equal_numbers_is_finite() -> None:
    x = np.full((4, 3), 5.0, "float32")
    for layer in (layers.BatchNormalization(), layers.LayerNormalization()):
        np.testing.assert_allclose(np.asarray(layer(x, training=True)), 0, atol=1e-4)


def test_frozen_batch_normalization_uses_and_keeps_its_statistics() -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 2))
    layer.trainable = False
    x = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
    np.testing.assert_allclose(np.asarray(layer(x, training=True)), x / np.sqrt(1.001), rtol=1e-6)
    np.testing.assert_array_equal(layer.moving_mean.numpy(), [0, 0])


def test_time_distributed_dense_needs_no_reshape() -> None:
    model = Sequential([Input((None, 3)), layers.TimeDistributed(layers.Dense(2))])
    assert not [v for v in model.graph()[0].walk() if isinstance(v.op, ReshapeOp)]


def test_time_distributed_normalization_takes_statistics_per_step(rng: np.random.Generator) -> None:
    x = rng.normal(size=(6, 3, 2)).astype("float32") * np.array([1, 10, 100], "float32")[:, None]
    layer = layers.TimeDistributed(layers.BatchNormalization(epsilon=1e-6, momentum=0.5))
    y = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(y.std(axis=0), 1, rtol=1e-3)
    moved = 0.0
    for t in range(3):
        moved = 0.5 * moved + 0.5 * x[:, t].mean(0)
    np.testing.assert_allclose(layer.layer.moving_mean.numpy(), moved, rtol=1e-4)


def test_time_distributed_convolution_is_one_convolution_per_frame(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 5, 5, 1)).astype("float32")
    layer = layers.TimeDistributed(layers.Conv2D(2, 3))
    y = np.asarray(layer(x))
    np.testing.assert_allclose(y[:, 1], np.asarray(layer.layer(x[:, 1])), atol=1e-6)


def test_activity_penalty_is_divided_by_the_batch() -> None:
    layer = layers.Activation("linear", activity_regularizer=seqc.regularizers.L1(0.5))
    traced = trace_model(Sequential([Input((2,)), layer]), (None, 2), "float32", training=True)
    (penalty,) = traced.run(list(traced.trace.losses), np.array([[1, -1], [2, -2], [0, 0]], "float32"))
    assert penalty == pytest.approx(0.5 * 6 / 3)


def test_scope_of_values_names_the_layer() -> None:
    model = Sequential([Input((2,)), layers.Dense(3, name="first")], name="m")
    traced = trace_model(model, (None, 2), "float32", training=False)
    assert isinstance(traced.y, Value)
    assert traced.y.scope.endswith("first")
