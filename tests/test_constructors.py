"""Arguments of layers: what becomes of them in a layer, in its subclasses, and in configurations."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import seqc
from seqc import Input, Sequential, activations, constraints, initializers, layers, regularizers
from seqc.errors import ConfigError, ShapeError
from seqc.known_classes import classes
from seqc.layers._arguments import keep_arguments
from seqc.models import clone_model
from seqc.serialization import deserialize, serialize_object

# What a layer needs beside the argument at hand.
NEEDED: dict[str, Any] = {
    "units": 2, "filters": 2, "kernel_size": 2, "input_dim": 3, "output_dim": 2, "equation": "ab,bc->ac",
    "output_shape": 2, "num_heads": 1, "key_dim": 2, "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip
# A name that stands for something, and what it stands for, by the last word of the argument.
NAMED: dict[str, tuple[str, Any]] = {
    "activation": ("elu", activations.elu),
    "initializer": ("he_normal", initializers.HeNormal),
    "regularizer": ("l2", regularizers.L2),
    "constraint": ("non_neg", constraints.NonNeg),
}
WORDS = tuple(NAMED)
# seqc, given what is wrong to a type checker, too.
wrong: Any = seqc


def arguments_that_name_objects() -> list[tuple[type[layers.Layer], str]]:
    """Returns each layer with each argument that may be the name of an object."""
    return [
        (cls, name)
        for cls in classes("layers").values()
        if cls.__module__.startswith("seqc.layers")
        for name in inspect.signature(cls.__init__).parameters  # type: ignore[misc]
        if name.rpartition("_")[2] in WORDS
    ]


CASES = arguments_that_name_objects()
IDS = [f"{cls.__name__}-{name}" for cls, name in CASES]


def made(cls: type[layers.Layer], **given: Any) -> layers.Layer:
    needed = [name for name in inspect.signature(cls.__init__).parameters if name in NEEDED]
    return cls(**{name: NEEDED[name] for name in needed} | given)


def test_there_are_such_arguments_in_layers_of_each_kind() -> None:
    assert len(CASES) > 150
    assert {"Dense", "Conv2D", "GRUCell", "LSTM", "BatchNormalization", "MultiHeadAttention"} <= {
        cls.__name__ for cls, _ in CASES
    }


@pytest.mark.parametrize(("cls", "name"), CASES, ids=IDS)
def test_a_name_becomes_an_object_and_comes_back_from_the_configuration(cls: type[layers.Layer], name: str) -> None:
    text, stands_for = NAMED[name.rpartition("_")[2]]
    layer = made(cls, **{name: text})
    found = getattr(layer, name)
    if name == "activity_regularizer" and cls is layers.MultiHeadAttention:
        assert found is None  # it is that of the projections
        found = layer._projected_activity  # type: ignore[attr-defined]
    assert found is stands_for if name.endswith("activation") else type(found) is stands_for
    # An object is taken as it is.
    again = made(cls, **{name: found})
    assert getattr(again, name) is (None if getattr(layer, name) is None else found)
    copy = deserialize(serialize_object(layer))
    assert copy.get_config() == layer.get_config() == again.get_config() | {"name": layer.name}
    assert name in layer.get_config()


@pytest.mark.parametrize(("cls", "name"), CASES, ids=IDS)
@pytest.mark.parametrize("wrong", ["foo", 0.01])
def test_what_stands_for_nothing_is_refused_when_the_layer_is_made(
    cls: type[layers.Layer], name: str, wrong: Any
) -> None:
    what = {"activation": "activation function"}.get(name.rpartition("_")[2], name.rpartition("_")[2])
    with pytest.raises(ConfigError) as caught:
        made(cls, **{name: wrong})
    message = str(caught.value)
    assert message.startswith(f"Could not interpret {what} identifier: {wrong}. ")
    assert message.endswith(f" It came as `{name}` of {cls.__name__}.")


@pytest.mark.parametrize(("cls", "name"), CASES, ids=IDS)
def test_type_checkers_know_the_attributes_that_arguments_become(cls: type[layers.Layer], name: str) -> None:
    declared = {attribute for base in cls.__mro__ for attribute in inspect.get_annotations(base)}
    # A recurrent layer asks its cell, and the base of all layers assigns the penalty on their results.
    assert name in declared or name == "activity_regularizer" or issubclass(cls, layers.RNN)


def test_wrong_calls_say_whose_constructor_it_was() -> None:
    with pytest.raises(TypeError, match=r"Dense\.__init__\(\) missing 1 required positional argument: 'units'"):
        layers.Dense()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"Dense\.__init__\(\) got multiple values for argument 'units'"):
        layers.Dense(3, units=3)  # type: ignore[misc]
    with pytest.raises(TypeError, match=r"Dense\.__init__\(\) takes from 2 to 11 positional arguments but 13 were"):
        layers.Dense(*range(1, 13))
    with pytest.raises(TypeError, match=r"Adam\.__init__\(\) got multiple values for argument 'learning_rate'"):
        seqc.optimizers.Adam(0.1, learning_rate=0.1)  # type: ignore[misc]


class Wide(layers.Dense):
    """Hands on what it does not know."""

    def __init__(self, units: int, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(units * factor, **kwargs)
        self.units, self.factor = units * factor, factor

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units // self.factor}


class Block(layers.Conv2D):
    """Says some arguments itself, and hands on the rest."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", **kwargs)


class Passing(layers.Dense):
    """Hands on everything."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class Scaled(Block):
    """Hands on the rest to a class that hands on."""

    def __init__(self, scale: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = scale

    def call(self, x: Any) -> Any:
        return super().call(x) * self.scale


class Converting(layers.Layer):
    """Converts by itself, as layers of Keras's users do."""

    def __init__(self, units: int, kernel_initializer: Any = "ones", activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.activation = activations.get(activation)

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((input_shape[-1], self.units), self.kernel_initializer, name="kernel")

    def call(self, x: Any) -> Any:
        return self.activation(seqc.ops.matmul(x, self.kernel))


class Named(layers.Layer):
    """Keeps names as they are: what seqc's own layers do with their arguments is not done to a user's."""

    def __init__(self, bias_initializer: str = "zeros", input_dim: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bias_initializer, self.input_dim = bias_initializer, input_dim


class OneWay(layers.Bidirectional):
    """Hands on the weights to start with, if there are any."""

    def __init__(self, layer: layers.Layer, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)


class Slow(seqc.optimizers.Adam):
    """Hands on what it does not know."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(1e-5, **kwargs)


OWN = {cls.__name__: cls for cls in (Wide, Block, Passing, Scaled, Converting, Named, OneWay)}


def test_a_subclass_hands_arguments_on_as_in_keras() -> None:
    layer = Block(4, strides=2, bias_initializer=initializers.Constant(0.5), name="block")
    assert (layer.padding, layer.strides, layer.kernel_size) == ("same", (2, 2), (3, 3))
    assert layer.activation is activations.relu
    assert isinstance(layer.kernel_initializer, initializers.HeNormal)
    y = np.asarray(layer(np.zeros((1, 6, 6, 2), "float32")))
    np.testing.assert_array_equal(y, np.full((1, 3, 3, 4), 0.5, "float32"))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: Wide(2, factor=3, activation="tanh", kernel_regularizer="l2", use_bias=False), (4,)),
        (lambda: Block(3, strides=2, use_bias=False, groups=3), (6, 6, 3)),
        (lambda: Passing(3, "tanh", kernel_constraint="max_norm"), (4,)),
        (lambda: Scaled(2.0, 3, strides=3), (6, 6, 3)),
        (lambda: Converting(3, activation="tanh", kernel_initializer=initializers.Constant(0.5)), (4,)),
        (lambda: OneWay(layers.GRU(2, return_sequences=True), merge_mode="sum"), (3, 2)),
    ],
    ids=["Wide", "Block", "Passing", "Scaled", "Converting", "OneWay"],
)
def test_what_a_subclass_hands_on_is_saved_cloned_and_pickled(
    layer: Any, shape: tuple[int, ...], tmp_path: Any
) -> None:
    # What went through **kwargs was missing in the configuration: a Block of strides 2 came back with strides 1.
    model = Sequential([Input(shape), layer()])
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras")
    loaded = seqc.models.load_model(tmp_path / "m.keras", custom_objects=OWN)
    cloned = clone_model(model)
    cloned.set_weights(model.get_weights())
    for other in (loaded, cloned, pickle.loads(pickle.dumps(model))):
        assert other.layers[0].get_config() == model.layers[0].get_config()
        np.testing.assert_array_equal(other.predict(x, verbose=0), expected)


def test_arguments_of_every_layer_are_said_once_in_a_configuration() -> None:
    """The shape that a layer is declared with, its name and dtype do not count among what a subclass hands on."""
    layer = Wide(2, input_shape=(4,), name="w", dtype="float64", trainable=False, activity_regularizer="l1")
    said = {"name", "trainable", "dtype", "units", "factor", "activity_regularizer"}
    assert set(layer.get_config()) == said | {"quantization_config"}  # which Keras writes of every Dense
    named = Named(name="n")
    assert (named.bias_initializer, named.get_config()["bias_initializer"]) == ("zeros", "zeros")
    assert named.get_config()["input_dim"] == 4
    plain = {"name", "trainable", "dtype", "autocast", "activity_regularizer"}
    assert layers.Layer(name="l", input_shape=(3,)).get_config().keys() == plain


def test_an_optimizer_that_hands_arguments_on_comes_back() -> None:
    config = Slow(beta_1=0.5, amsgrad=True, weight_decay=0.1).get_config()
    again = Slow.from_config({name: value for name, value in config.items() if name != "learning_rate"})
    assert (again.beta_1, again.amsgrad, again.weight_decay) == (0.5, True, 0.1)


def test_a_layer_can_be_an_activation_and_belongs_to_the_layer() -> None:
    layer = layers.Dense(2, activation=layers.ReLU(max_value=0.5), kernel_initializer="ones")
    assert [inner.name for inner in layer.sublayers()] == [layer.activation.name]
    np.testing.assert_array_equal(np.asarray(layer(np.ones((1, 3), "float32"))), [[0.5, 0.5]])


def test_heads_take_a_function_as_initializer() -> None:
    # Copies are made of initializers, so that each projection draws for itself; a function cannot be copied that way.
    layer = layers.MultiHeadAttention(1, 2, kernel_initializer=lambda shape, dtype=None: np.ones(shape, dtype))
    x = np.ones((1, 3, 2), "float32")
    np.testing.assert_allclose(np.asarray(layer(x, x)), np.full((1, 3, 2), 4.0), rtol=1e-6)


def test_whole_numbers_of_numpy_count_as_such() -> None:
    two: Any = np.int64(2)
    layer = layers.SeparableConv2D(two, two, depth_multiplier=two)
    assert [type(n) for n in (layer.filters, layer.depth_multiplier, *layer.kernel_size)] == [int] * 4
    for other in (layers.Conv1D(two, 2, groups=two), layers.GRU(two), layers.MultiHeadAttention(two, two)):
        assert deserialize(serialize_object(other)).get_config() == other.get_config()
    assert layers.Softmax(axis=two).get_config()["axis"] == 2


def test_without_an_initializer_numbers_are_random_as_in_keras() -> None:
    # Kernels that start at 0 would learn nothing.
    for layer in (layers.Dense(4, kernel_initializer=None), layers.GRU(4, bias_initializer=None)):
        layer.build((None, 3, 2))
        assert all(np.unique(w).size > 1 for w in layer.get_weights() if w.ndim > 1)


def test_epsilon_is_that_of_keras_where_none_is_given() -> None:
    layer = layers.LayerNormalization(epsilon=None)
    assert layer.epsilon == layer.get_config()["epsilon"] == 1e-7
    x = np.array([[1e-4, 2e-4, 3e-4]], "float32")
    expected = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-5)


@pytest.mark.parametrize("layer", [layers.Dense(2), layers.Flatten(), layers.BatchNormalization()])
@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2,), r"at least 2D .* but it has 1 dimension\(s\) with shape \(2,\)"),
        ((2, 4), r"shape \(2, 4\) that is incompatible .* Expected mask shape prefix: \(2, 3\)"),
        ((1, 3), r"shape \(1, 3\) that is incompatible"),
    ],
)
def test_a_mask_of_other_steps_is_refused(layer: layers.Layer, shape: tuple[int, ...], text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        layers.TimeDistributed(layer)(np.ones((2, 3, 4), "float32"), mask=np.ones(shape, bool))
    layers.TimeDistributed(layers.Dense(2))(np.ones((2, 3, 4), "float32"), mask=np.ones((2, 3), bool))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: wrong.losses.CategoricalGeneralizedCrossEntropy("x"), "for `q`, expected a number. Received: q='x'"),
        (
            lambda: wrong.losses.MeanSquaredError(dtype="float31"),
            "Cannot convert 'float31' to a mixed",
        ),
        (lambda: wrong.losses.Huber(name=3), "Huber received an invalid value for `name`, expected a string or None"),
        (
            lambda: wrong.metrics.IoU("3", [0]),
            "IoU received an invalid value for `num_classes`, expected a positive int",
        ),
        (
            lambda: wrong.metrics.IoU(3, 0),
            "`target_class_ids`, expected a list of integers. Received: target_class_ids=0",
        ),
        (lambda: wrong.metrics.Precision("x"), "Threshold values must be in [0, 1]. Received: ['x']"),
        (lambda: wrong.metrics.AUC(thresholds="x"), "AUC needs a list of numbers as `thresholds`. Received: 'x'"),
        (lambda: wrong.metrics.AUC(2.5), "`num_thresholds`, expected an integer. Received: num_thresholds=2.5"),
        (lambda: wrong.metrics.PrecisionAtRecall(None), "PrecisionAtRecall received an invalid value for `recall`"),
        (lambda: wrong.metrics.MeanMetricWrapper([]), "`fn`, expected a function or the name of one. Received: fn=[]"),
        (
            lambda: wrong.metrics.Mean(dtype=1.5),
            "Cannot interpret `dtype` argument",
        ),
        (lambda: wrong.optimizers.Adam(beta_1="x"), "Adam received an invalid value for `beta_1`, expected a number"),
        (
            lambda: wrong.optimizers.Ftrl(l1_regularization_strength=None),
            "for `l1_regularization_strength`, expected a",
        ),
        (
            lambda: wrong.optimizers.SGD(gradient_accumulation_steps="x"),
            "`gradient_accumulation_steps`, expected an integer",
        ),
        (lambda: wrong.optimizers.schedules.CosineDecay(0.1, "x"), "`decay_steps`, expected a number"),
        (
            lambda: wrong.optimizers.schedules.PiecewiseConstantDecay(1, [1, 2]),
            "`boundaries`, expected a list of numbers",
        ),
        (
            lambda: wrong.initializers.HeNormal(1.5),
            "HeNormal received an invalid value for `seed`, expected an integer or",
        ),
        (lambda: wrong.initializers.VarianceScaling("x"), "Argument `scale` must be positive float. Received: scale=x"),
        (lambda: wrong.initializers.VarianceScaling(distribution=3), "Invalid `distribution` argument: 3"),
    ],
)
def test_settings_of_other_objects_are_checked_when_they_are_made(make: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    assert text in str(caught.value)


def test_arguments_of_a_users_own_classes_mean_what_they_like() -> None:
    class Own(seqc.losses.Loss):
        def __init__(self, q: str, seed: str, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.q, self.seed = q, seed

    seqc.utils.clear_session()  # other tests call their classes so, too
    assert Own("median", seed="a").get_config() == {
        "name": "own",
        "reduction": "sum_over_batch_size",
        "q": "median",
        "seed": "a",
    }


def test_names_of_older_files_may_have_slashes(tmp_path: Any) -> None:
    model = Sequential([Input((3,)), layers.Dense(2, name="block1/dense"), layers.Dense(2, name="block1/dense/again")])
    model.save(tmp_path / "m.keras")
    loaded = seqc.models.load_model(tmp_path / "m.keras")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in clone_model(loaded).layers]
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_name_and_dtype_are_what_the_base_makes_of_them() -> None:
    class Sized(layers.Layer):
        @keep_arguments
        def __init__(self, size: int, name: str | None = None, seed: Any = None, dtype: Any = None, **kw: Any) -> None:
            super().__init__(name=name, dtype=dtype, **kw)

    layer: Any = Sized(3, None, 4, "float64", trainable=False)
    assert (layer.size, layer.seed, layer.dtype, layer.trainable) == (3, 4, "float64", False)
    assert layer.name.startswith("sized")
