"""Dtype policies: names, what layers compute in and give, and training in half precision against Keras's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import seqc as keras
from seqc import layers, ops
from seqc.dtype_policies import DTypePolicy, DTypePolicyMap, _state
from seqc.errors import ConfigError
from seqc.graph.ir import Graph, input_value
from seqc.passes.half_precision import RoundTo, compute_halves_in_single, rounded_to_float16


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test configures is gone after it."""
    before = dict(_state)
    yield
    _state.update(before)


@pytest.mark.parametrize(
    ("name", "compute", "variable"),
    [
        ("float32", "float32", "float32"),
        ("mixed_float16", "float16", "float32"),
        ("mixed_bfloat16", "bfloat16", "float32"),
        ("bfloat16", "bfloat16", "bfloat16"),
    ],
)
def test_a_policy_says_what_a_layer_computes_in_and_keeps(name: str, compute: str, variable: str) -> None:
    described = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}
    keras.config.set_dtype_policy(name)
    for given in (name, DTypePolicy(name), described, None):
        layer = layers.Dense(2, dtype=given)
        assert (layer.compute_dtype, layer.variable_dtype, layer.dtype) == (compute, variable, variable)
        assert layer.dtype_policy == DTypePolicy(name)
        assert layer.input_dtype == compute
        assert layer.get_config()["dtype"] == described
    x = keras.Input((3,))
    y = layer(x)
    assert (x.dtype, y.dtype, layer.kernel.dtype) == ("float32", compute, variable)
    given_back = layer(np.ones((1, 3), "float32"))
    assert given_back.numpy().dtype.name == compute
    assert keras.mixed_precision.global_policy().name == name == keras.config.dtype_policy().name


def test_a_map_gives_each_path_its_policy() -> None:
    policies = DTypePolicyMap("float32", {"first": "float64", "second/.*": "mixed_float16"})
    assert [policies[path].name for path in ("first", "second/a", "second")] == ["float64", "mixed_float16", "float32"]
    with pytest.raises(ConfigError, match="matches multiple"):
        DTypePolicyMap(policy_map={"a/.*": "float32", ".*/b": "float32"})["a/b"]
    again = keras.dtype_policies.deserialize(keras.dtype_policies.serialize(policies))
    assert again == policies
    first = layers.Dense(2, name="first", dtype=policies)
    first.build((None, 3))
    assert (first.compute_dtype, first.kernel.dtype) == ("float64", "float64")


def test_floatx_is_the_default_of_inputs_losses_and_metrics() -> None:
    keras.config.set_floatx("float64")
    assert (keras.Input((1,)).dtype, keras.losses.MeanSquaredError().dtype, keras.metrics.Mean().dtype) == (
        "float64",
    ) * 3
    with pytest.raises(ConfigError, match="Unknown `floatx` value: int32"):
        keras.config.set_floatx("int32")


@pytest.mark.parametrize("given", ["int8_from_float32", "gptq/4/128", "float8"])
def test_policies_that_quantize_are_refused_with_the_way_out(given: str) -> None:
    with pytest.raises(
        ConfigError, match=r"quantizes. seqc trains and predicts in floats: .*quantize the exported file"
    ):
        layers.Dense(2, dtype=given)
    described = {"module": "keras.dtype_policies", "class_name": "QuantizedDTypePolicy"}
    with pytest.raises(ConfigError, match="quantizes"):
        layers.Dense(2, dtype=described | {"config": {"mode": "int8", "source_name": "float32"}})


def network(policy: str) -> tuple[keras.Model, list[np.ndarray], np.ndarray]:
    """Embedding, statistics, recurrence, arithmetic between layers and a penalty, as Keras recorded them."""
    random = np.random.RandomState(0)
    x, y, ids = random.randn(48, 6, 4).astype("float32"), random.randint(0, 3, 48), random.randint(0, 9, (48, 6))
    keras.config.set_dtype_policy(policy)
    a, b = keras.Input((6, 4)), keras.Input((6,), dtype="int32")
    h = layers.BatchNormalization()(layers.Concatenate()([a, layers.Embedding(9, 3)(b)]))
    h = layers.LSTM(5, return_sequences=True)(h)
    h = layers.LayerNormalization()(h + layers.Dense(5, activation="gelu")(h))
    h = layers.GlobalAveragePooling1D()(h)
    last = layers.Dense(3, activation="softmax", activity_regularizer="l2", kernel_regularizer="l2")
    model = keras.Model([a, b], last(h))
    random = np.random.RandomState(3)
    weights = []
    for v in model.weights:
        drawn = random.randn(*v.shape)
        positive = "variance" in v.path or "gamma" in v.path
        weights.append((np.abs(drawn) * 0.5 + 0.5 if positive else drawn * 0.4).astype("float32"))
    model.set_weights(weights)
    return model, [x, ids.astype("int32")], y


# Keras 3.15.1 on JAX: the loss of each of three epochs, and what is predicted for the first sample afterwards.
RECORDED = {
    "float32": ([1.13084996, 1.09210861, 1.08912516], [0.26302, 0.39515, 0.34183], 1e-5),
    "mixed_float16": ([1.13086927, 1.09206676, 1.08909309], [0.26294, 0.39526, 0.3418], 5e-4),
    "mixed_bfloat16": ([1.13051617, 1.09251738, 1.08848941], [0.26172, 0.39453, 0.3418], 5e-3),
    "float16": ([1.13089943, 1.09224808, 1.08905852], [0.2627, 0.39502, 0.34229], 5e-4),
}


@pytest.mark.slow
@pytest.mark.parametrize("policy", RECORDED)
def test_training_saving_and_export_in_each_precision(policy: str, tmp_path: Path) -> None:
    losses, predicted, tolerance = RECORDED[policy]
    model, x, y = network(policy)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=3, batch_size=16, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], losses, rtol=tolerance)
    y_pred = model.predict(x, verbose=0)
    kept = DTypePolicy(policy)
    assert y_pred.dtype.name == model.output.dtype == kept.compute_dtype
    assert {v.dtype for v in model.weights} == {kept.variable_dtype}
    np.testing.assert_allclose(y_pred[0].astype("float64"), predicted, atol=2 * tolerance)
    # What runs layer by layer computes what runs as a program.
    np.testing.assert_allclose(np.asarray(model(x)).astype("float64"), y_pred.astype("float64"), atol=tolerance)

    model.save(tmp_path / "model.keras")
    keras.config.set_dtype_policy("float64")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [v.dtype for v in loaded.weights] == [v.dtype for v in model.weights]
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), y_pred)
    assert [one.dtype_policy for one in keras.models.clone_model(model).layers] == [
        one.dtype_policy for one in model.layers
    ]

    onnxruntime = pytest.importorskip("onnxruntime")
    model.export(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, dict(zip([i.name for i in session.get_inputs()], x, strict=True)))
    assert found.dtype.name == {"bfloat16": "float32"}.get(kept.compute_dtype, kept.compute_dtype)
    np.testing.assert_allclose(found.astype("float64"), y_pred.astype("float64"), atol=2 * tolerance)


def test_statistics_of_half_precision_are_kept_in_single() -> None:
    layer = layers.BatchNormalization(dtype="mixed_float16", momentum=0.5)
    x = np.array([[1000.0], [1001.0], [1002.5]], np.float32)
    y = layer(x, training=True)
    assert (y.dtype, layer.moving_mean.dtype) == ("float16", "float32")
    half = x.astype("float16").astype("float64")
    np.testing.assert_allclose(layer.moving_mean.numpy(), half.mean() / 2, rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), (1 + half.var()) / 2, rtol=1e-5)


def test_numbers_beyond_half_precision_are_infinite_where_it_is_left() -> None:
    """Gradients pass through the conversion of the weights, where loss scaling has to see that they were too large."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, kernel_initializer="ones", dtype="mixed_float16")])
    model.compile(keras.optimizers.SGD(1.0), "mse", auto_scale_loss=False)
    model.train_on_batch(np.array([[300.0]], np.float32), np.array([[-300.0]], np.float32))  # the gradient is 360 000
    assert np.isinf(model.layers[0].kernel.numpy()).all()
    assert model.predict(np.array([[1e6]], np.float32), verbose=0).dtype == np.float16


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_operations_round_once_however_many_there_are(dtype: str) -> None:
    x = ops.convert_to_tensor(np.array([1.0, 3.0], np.float32), dtype)
    y = x / 3.0 + 0.1
    assert y.dtype == dtype
    np.testing.assert_allclose(
        y.numpy().astype("float64"), [0.43333, 1.1], rtol=2 ** (-7 if dtype == "bfloat16" else -10)
    )
    assert ops.matmul(ops.ones((2, 3), dtype), ops.ones((3, 2), dtype)).numpy().dtype.name == dtype
    assert ops.cast(y, "float32").dtype == "float32"
    assert (x + ops.ones(2, "float32")).dtype == "float32"


def test_everything_between_conversions_is_computed_in_single_precision() -> None:
    x = input_value("x", "float32", (2,))
    h = ops.cast(x, "float16")
    y = ops.exp(h) * h + 1.0
    graph = compute_halves_in_single(Graph((x,), (y, ops.cast(y, "float32")), ("y", "z")))
    assert [v.op.name for v in graph.walk() if isinstance(v.op, RoundTo)] == ["RoundTo"] * 2
    assert {v.type.dtype for v in graph.walk()} == {"float32", "float16"}
    assert [v.type.dtype for v in graph.outputs] == ["float16", "float32"]


def test_rounding_to_float16_is_that_of_numpy() -> None:
    random = np.random.RandomState(0)
    x = (random.randn(100_000) * 10.0 ** random.uniform(-10, 7, 100_000)).astype("float32")
    every = np.arange(1 << 16, dtype="uint16").view("float16").astype("float32")
    with np.errstate(over="ignore", invalid="ignore"):  # some of them are no numbers
        between = np.nextafter(every, np.float32(np.inf))
        middle = (every[:-1].astype("float64") + every[1:].astype("float64")).astype("float32") / 2
        arrays: list[Any] = [
            x,
            every,
            between,
            middle,
            np.array([65519.996, 65520, -65520, 0.0, -0.0], np.float32),
            np.float32(2.5e-8),
        ]
        for array in arrays:
            found, wanted = rounded_to_float16(array), np.asarray(array).astype("float16").astype("float32")
            np.testing.assert_array_equal(found, wanted)
            kept = ~np.isnan(wanted)
            np.testing.assert_array_equal(np.signbit(found)[kept], np.signbit(wanted)[kept])


class Own(keras.Layer):
    """Tells what it is given and what its weight is read in."""

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1],), "ones", name="kernel")
        self.exact = self.add_weight((input_shape[-1],), "ones", name="exact", autocast=False)

    def call(self, x: Any, other: Any = None) -> Any:
        self.seen = (x.dtype, other.dtype, self.kernel.dtype, self.exact.dtype)
        return x * self.kernel + other


def test_a_layer_of_ones_own_reads_everything_in_what_it_computes_in() -> None:
    x = np.ones((1, 2), "float32")
    cases: list[tuple[dict[str, Any], tuple[str, ...]]] = [
        ({}, ("float16", "float16", "float16", "float32")),
        ({"autocast": False}, ("float32", "float32", "float32", "float32")),
    ]
    for settings, seen in cases:
        own = Own(dtype="mixed_float16", **settings)
        own(x, other=x)
        assert own.seen == seen
        assert own.kernel.dtype == "float32"


def test_what_is_random_is_drawn_in_half_precision_too() -> None:
    x = np.ones((4, 200), "float32")
    y = np.asarray(layers.Dropout(0.25, dtype="mixed_float16", seed=1)(x, training=True))
    assert y.dtype == np.float16
    assert set(np.unique(y)) == {0, np.float16(1 / 0.75)}
    assert 0.6 < (y > 0).mean() < 0.9
    noisy = np.asarray(layers.GaussianNoise(0.5, dtype="mixed_bfloat16", seed=1)(x, training=True))
    assert noisy.dtype.name == "bfloat16"
    assert 0.4 < noisy.astype("float32").std() < 0.6
    images = np.ones((2, 6, 6, 3), "float32")
    assert np.asarray(layers.RandomRotation(0.2, dtype="float16")(images, training=True)).dtype == np.float16


class Seeing(keras.Model):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.last = layers.Dense(1, dtype="float32")
        self.scale = self.add_weight((3,), "ones", name="scale")

    def call(self, x: Any) -> Any:
        self.seen = (x.dtype, self.scale.dtype)
        return self.last(x * self.scale)


def test_a_model_of_ones_own_computes_in_its_policy_however_it_is_run() -> None:
    model, x = Seeing(dtype="mixed_float16"), np.random.RandomState(0).randn(8, 3).astype("float32")
    model.compile("adam", "mse")
    model.fit(x, x[:, :1], epochs=4, verbose=0)
    assert model.seen == ("float16", "float16")
    assert (model.predict(x, verbose=0).dtype, model.scale.dtype) == (np.float32, "float32")
    model(x)
    assert model.seen == ("float16", "float16")


def test_a_graph_or_stack_hands_on_what_its_inputs_say() -> None:
    """As in Keras, where only layers convert what they are given, and models what their inputs do not take."""
    x = keras.Input((2,), dtype="float64")
    inner = keras.Model(x, layers.Identity(dtype="float64")(x), dtype="mixed_float16")
    stack = keras.Sequential([keras.Input((2,), dtype="float64"), layers.Identity(dtype="float64")], dtype="float16")
    third = np.array([[1 / 3, 2 / 3]], np.float64)
    for model in (inner, stack):
        assert model(third).dtype == "float64"
        np.testing.assert_array_equal(np.asarray(model(third)), third)
        np.testing.assert_array_equal(model.predict(third, verbose=0), third)


@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5", "model.npz"])
def test_weights_of_bfloat16_are_kept_exactly(name: str, tmp_path: Path) -> None:
    def made() -> keras.Model:
        return keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype="bfloat16", name="last")])

    model, path = made(), tmp_path / name
    if name == "model.h5":
        with pytest.warns(UserWarning, match="as an HDF5 file"):
            model.save(path)
        again = keras.models.load_model(path)
    else:
        model.save_weights(path)
        again = made()
        again.load_weights(path)
    np.testing.assert_array_equal(again.layers[0].kernel.numpy(), model.layers[0].kernel.numpy())
    assert again.layers[0].kernel.dtype == "bfloat16"


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("value", [-9999.0, 0.1, -1.0])
def test_a_file_masks_numbers_that_half_precision_does_not_hold(policy: str, value: float, tmp_path: Path) -> None:
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((4, 3)), layers.Masking(value), layers.LSTM(3), layers.Dense(1, dtype="float32")]
    )
    x = np.sin(np.arange(24)).reshape(2, 4, 3).astype(model.inputs[0].dtype)
    x[0, 2:] = value
    model.export(tmp_path / "masked.onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "masked.onnx")
    (y,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(y, model.predict(x, verbose=0), atol=2e-3)
