"""What layers say when they cannot do what is asked: who needs what, what came, what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.layer_runs import trace_model
from seqc import Layer, Sequential
from seqc.errors import ConfigError, SeqcError, ShapeError

# What is given here is wrong, most of it to a type checker, too.
layers: Any = keras.layers
Input: Any = keras.Input


def on(shape: tuple[int | None, ...], layer: Layer, dtype: str = "float32") -> Sequential:
    return Sequential([Input(shape, dtype=dtype), layer])


def called(layer: Layer, *shapes: tuple[int, ...]) -> None:
    for shape in shapes:
        layer(np.ones(shape, "float32"))


def trained(shape: tuple[int | None, ...], layer: Layer) -> None:
    trace_model(on(shape, layer), (None, *shape), "float32", training=True)


Program = Callable[[], Any]

ARGUMENTS: list[tuple[Program, type[Exception], str]] = [
    (
        lambda: layers.Dense(0),
        ValueError,
        "Dense received an invalid value for `units`, expected a positive integer. Received: units=0",
    ),
    (lambda: layers.Dense(2.5), ValueError, "Received: units=2.5"),
    (lambda: layers.Dense(2, foo=1), ValueError, "Unrecognized keyword arguments passed to Dense: {'foo': 1}"),
    (lambda: layers.Dense(2, lora_rank=3), ValueError, "Dense does not support lora_rank=3 in seqc; leave it at None."),
    (lambda: layers.Dense(2, activation="foo"), ValueError, "activation function identifier: foo. Known: celu, elu"),
    (lambda: layers.Dense(2, kernel_regularizer="l1_l2"), ValueError, "regularizer identifier: l1_l2. Known: l1, l1l2"),
    (lambda: layers.Dense(2, kernel_initializer="foo"), ValueError, "initializer identifier: foo"),
    (lambda: layers.Dense(2, kernel_constraint="foo"), ValueError, "constraint identifier: foo"),
    (
        lambda: layers.Dense(2, dtype="float31"),
        ValueError,
        "Cannot convert 'float31' to a mixed precision DTypePolicy. Valid policies include 'mixed_float16'",
    ),
    (
        lambda: layers.Dense(2, dtype="int8_from_float32"),
        ValueError,
        "'int8_from_float32' quantizes. seqc trains",
    ),
    (lambda: layers.Dense(2, dtype=3), ValueError, "Cannot interpret `dtype` argument"),
    (lambda: layers.Dropout(1.5), ValueError, "Expected a float value between 0 and 1. Received: rate=1.5"),
    (lambda: layers.Dropout("x"), ValueError, "Received: rate=x"),
    (lambda: layers.Conv2D(0, 3), ValueError, "`filters`, expected a positive integer. Received: filters=0"),
    (lambda: layers.Conv2D(2, (3, 3, 3)), ValueError, "`kernel_size` argument must be a tuple of 2 integers"),
    (lambda: layers.Conv2D(2, 0), ValueError, "including values {0} that do not satisfy `value > 0`"),
    (lambda: layers.Conv2D(2, 3, strides=0), ValueError, "The `strides` argument must be a tuple of 2 integers"),
    (lambda: layers.Conv2D(2, "3"), ValueError, "Received kernel_size=3"),
    (lambda: layers.Conv2D(2, 3, padding="full"), ValueError, "{'valid', 'same'} or a list of 2 pairs (before, after)"),
    (lambda: layers.Conv2D(2, 3, padding="causal"), ValueError, "Received: causal"),
    (lambda: layers.Conv2D(2, 3, padding=[(1, -1), (0, 0)]), ValueError, "do not satisfy `value >= 0`"),
    (
        lambda: layers.Conv2D(2, 3, 2, dilation_rate=2),
        ValueError,
        "not supported in conjunction with `dilation_rate > 1`",
    ),
    (lambda: layers.Conv2D(4, 3, groups=3), ValueError, "filters must be evenly divisible by the number of groups"),
    (lambda: layers.Conv2D(4, 3, groups=0), ValueError, "`groups`, expected a positive integer. Received: groups=0"),
    (lambda: layers.Conv2DTranspose(0, 3), ValueError, "Conv2DTranspose received an invalid value for `filters`"),
    (lambda: layers.Conv2DTranspose(2, 3, padding="causal"), ValueError, "one of {'valid', 'same'}. Received: causal"),
    (lambda: layers.Conv2DTranspose(2, 3, padding=[(1, 1)] * 2), ValueError, "Received: [(1, 1), (1, 1)]"),
    (
        lambda: layers.Conv2DTranspose(2, 3, 2, dilation_rate=2),
        ValueError,
        "not supported in conjunction with `dilation_rate > 1`",
    ),
    (
        lambda: layers.Conv2DTranspose(2, 3, (3, 2), output_padding=2),
        ValueError,
        "At dimension 1, `output_padding` is 2 but `strides` is 2. Received: output_padding=(2, 2), strides=(3, 2)",
    ),
    (lambda: layers.Conv1DTranspose(2, 3, 2, output_padding=-1), ValueError, "do not satisfy `value >= 0`"),
    (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=0),
        ValueError,
        "expected a positive integer. Received: depth_multiplier=0",
    ),
    (lambda: layers.DepthwiseConv1D(3, padding="causal"), ValueError, "Received: causal"),
    (lambda: layers.SeparableConv2D(0, 3), ValueError, "Received: filters=0"),
    (lambda: layers.SeparableConv2D(2, 3, depth_multiplier=0), ValueError, "Received: depth_multiplier=0"),
    (lambda: layers.SeparableConv1D(2, (3, 3)), ValueError, "`kernel_size` argument must be a tuple of 1 integers"),
    (lambda: layers.MaxPooling1D(0), ValueError, "The `pool_size` argument must be a tuple of 1 integers"),
    (lambda: layers.UpSampling1D(2.0), TypeError, "Expected an integer value for `size`, got <class 'float'>"),
    (lambda: layers.UpSampling1D(0), ValueError, "Argument `size` should be a positive integer. Received: size=0"),
    (lambda: layers.UpSampling2D((2, 0)), ValueError, "The `size` argument must be a tuple of 2 integers"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), ValueError, "`padding` should have two elements. Received: padding=(1, "),
    (lambda: layers.ZeroPadding2D(1.5), ValueError, "`padding` should be either an int, a tuple of 2 ints"),
    (lambda: layers.ZeroPadding2D((-1, 2)), ValueError, "The `1st entry of padding` argument must be a tuple of 2"),
    (lambda: layers.Cropping2D(-1), ValueError, "`cropping` cannot be negative. Received: cropping=-1."),
    (lambda: layers.Flatten(data_format="first"), ValueError, "Received: data_format=first"),
    (lambda: layers.Reshape((-1, -1)), ValueError, "at most one unknown dimension (-1) in `target_shape`"),
    (lambda: layers.Reshape((-2, 3)), ValueError, "must be a non-negative integer, or `-1`"),
    (lambda: layers.Permute((1, 3)), ValueError, "must be consecutive and start from 1. Received dims=(1, 3)"),
    (lambda: layers.RepeatVector(1.5), TypeError, "Expected an integer value for `n`, got <class 'float'>"),
    (lambda: layers.RepeatVector(0), ValueError, "Argument `n` should be a positive integer. Received: n=0"),
    (lambda: layers.BatchNormalization(axis=[1, 2]), TypeError, "needs one integer as `axis`. Received: axis=[1, 2]"),
    (lambda: layers.BatchNormalization(renorm=True), ValueError, "does not support renorm=True in seqc"),
    (
        lambda: layers.LayerNormalization(axis="a"),
        TypeError,
        "LayerNormalization needs an integer or a list of integers as `axis`. Received: axis='a'",
    ),
    (lambda: layers.Embedding(0, 2), ValueError, "`input_dim`, expected a positive integer. Received: input_dim=0"),
    (lambda: layers.Embedding(2, 2.0), ValueError, "Received: output_dim=2.0"),
    (
        lambda: layers.LSTM(0),
        ValueError,
        "LSTM received an invalid value for `units`, expected a positive integer. Received: units=0",
    ),
    (
        lambda: layers.GRU(-1),
        ValueError,
        "GRU received an invalid value for `units`, expected a positive integer. Received: units=-1",
    ),
    (lambda: layers.SimpleRNN(2, time_major=True), ValueError, "SimpleRNN does not support time_major=True in seqc"),
    (lambda: layers.SimpleRNN(2, use_cudnn=True), ValueError, "Unrecognized keyword arguments passed to SimpleRNN"),
    (lambda: layers.Bidirectional("LSTM"), ValueError, "with a `seqc.layers.Layer` instance. Received: LSTM"),
    (
        lambda: layers.Bidirectional(layers.LSTM(2), backward_layer="GRU"),
        ValueError,
        "`backward_layer` need to be a `seqc.layers.Layer` instance. Received: GRU",
    ),
    (lambda: layers.Bidirectional(layers.Dense(2)), ValueError, "runs a recurrent layer, such as LSTM(8)"),
    (lambda: layers.Bidirectional(layers.LSTM(2), merge_mode="max"), ValueError, "Invalid merge mode. Received: max."),
    (
        lambda: layers.Bidirectional(
            layers.LSTM(2), backward_layer=layers.LSTM(2, return_sequences=True, go_backwards=True)
        ),
        ValueError,
        'the same value for attribute "return_sequences", got "False" for forward layer',
    ),
    (lambda: layers.TimeDistributed("Dense"), ValueError, "with a `seqc.layers.Layer` instance. Received: Dense"),
    (
        lambda: layers.ReLU(max_value=-1.0),
        ValueError,
        "The max_value value of a ReLU layer cannot be None or negative value",
    ),
    (
        lambda: layers.ReLU(threshold=-1.0),
        ValueError,
        "The threshold value of a ReLU layer cannot be None or negative value",
    ),
    (
        lambda: layers.LeakyReLU(None),
        ValueError,
        "The negative_slope value of a Leaky ReLU layer cannot be None or negative value.",
    ),
    (lambda: Input(), ValueError, "You must pass a `shape` argument."),
    (lambda: Input((3,), batch_shape=(None, 3)), ValueError, "You cannot pass both `shape` and `batch_shape`."),
    (lambda: Input(shape=("a",)), ValueError, "Found invalid dimension 'a' of type '<class 'str'>'"),
    (lambda: Input(shape=3), ValueError, "Cannot convert '3' to a shape: it takes a tuple such as (28, 28, 1)"),
    (lambda: Input(shape=(-1,)), ValueError, "Negative dimensions are not allowed."),
    (lambda: Input(shape=(3,), sparse=True), ValueError, "InputLayer does not support sparse=True"),
    (lambda: layers.Dropout(0.5, noise_shape="x"), ValueError, "a tuple or list of integers. Received: noise_shape=x"),
    (lambda: layers.Dropout(0.5, noise_shape=3), ValueError, "Received: noise_shape=3"),
    (lambda: layers.Dropout(0.5, noise_shape=(2, 0.5)), ValueError, "Received element at index 1: 0.5 (type: float)"),
    (lambda: layers.Dropout(0.5, noise_shape=(None, 0)), ValueError, "Received element at index 1: 0 (type: int)"),
    (
        lambda: layers.Dropout(0.5, seed="x"),
        ValueError,
        "Dropout received an invalid value for `seed`, expected an int",
    ),
    (lambda: layers.LSTM(2, seed=1.5), ValueError, "LSTM received an invalid value for `seed`"),
    (lambda: layers.GRU(2, dropout="x"), ValueError, "`dropout`, expected a number. Received: dropout='x'"),
    (lambda: layers.Attention(dropout=None), ValueError, "Attention received an invalid value for `dropout`"),
    (lambda: layers.BatchNormalization(momentum="x"), ValueError, "`momentum`, expected a number"),
    (lambda: layers.BatchNormalization(epsilon=[]), ValueError, "`epsilon`, expected a number. Received: epsilon=[]"),
    (lambda: layers.GroupQueryAttention(0, 2, 1), ValueError, "`head_dim`, expected a positive integer"),
    (lambda: layers.GroupQueryAttention(2, "2", 1), ValueError, "`num_query_heads`, expected a positive integer"),
    (lambda: layers.GroupQueryAttention(2, 2, 0), ValueError, "`num_key_value_heads`, expected a positive integer"),
    (lambda: layers.MultiHeadAttention(1, 2, 0), ValueError, "`value_dim`, expected a positive integer or None"),
    (lambda: layers.MultiHeadAttention(1, 2, attention_axes="ab"), TypeError, "integers as `attention_axes`"),
    (lambda: layers.MultiHeadAttention(1, 2, output_shape=1.5), TypeError, "Received: output_shape=1.5"),
    (lambda: layers.EinsumDense(3, 2), TypeError, "EinsumDense needs letters as `equation`. Received: 3"),
    (lambda: layers.EinsumDense("ab,bc->ac", 2, bias_axes=1), TypeError, "needs letters as `bias_axes`. Received: 1"),
    (lambda: layers.EinsumDense("ab,bc->ac", 2.5), ValueError, "Found invalid dimension '2.5'"),
    (lambda: layers.UpSampling2D(2, interpolation="cubic"), ValueError, "Received: interpolation=cubic"),
    (lambda: layers.Concatenate(axis="x"), TypeError, "Concatenate needs one integer as `axis`. Received: axis='x'"),
    (lambda: layers.Softmax(axis=1.5), TypeError, "Softmax needs an integer or a list of integers as `axis`"),
    (lambda: layers.Normalization(axis="x"), TypeError, "Normalization needs an integer or a list of integers"),
    (lambda: layers.Permute(None), TypeError, "Permute needs an integer or a list of integers as `dims`"),
    (lambda: layers.Reshape(None), TypeError, "Reshape needs an integer or a list of integers as `target_shape`"),
    (lambda: layers.ReLU(max_value="x"), ValueError, "Expected a number. Received: max_value=x"),
    (lambda: layers.StackedRNNCells(2), TypeError, "StackedRNNCells needs a list of cells. Received: 2"),
    (lambda: layers.Bidirectional(layers.GRU(2), weights=2), TypeError, "a list of arrays as `weights`. Received: 2"),
    (lambda: layers.Bidirectional(layers.GRU(2), merge_mode=[]), ValueError, "Invalid merge mode. Received: []"),
    (lambda: layers.Dense(True), ValueError, "Received: units=True"),
    (
        lambda: layers.Dense(2, name=3),
        ValueError,
        "`name`, expected a string or None. Received: name=3",
    ),
    (lambda: layers.LSTM(2, bias_initializer=None), ValueError, "give bias_initializer for the rest"),
]


@pytest.mark.parametrize(("program", "kind", "text"), ARGUMENTS, ids=[text for *_, text in ARGUMENTS])
def test_wrong_argument(program: Program, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        program()
    assert text in str(caught.value)
    assert isinstance(caught.value, SeqcError)
    assert isinstance(caught.value, ConfigError)


INPUTS: list[tuple[Program, type[Exception], str]] = [
    (lambda: on((), layers.Dense(2, name="d")), ValueError, "expected min_ndim=2, found ndim=1. Full shape received"),
    (lambda: on((None,), layers.Dense(2, name="d")), ValueError, "no `None` dimensions). Received: shape=(None, 2)"),
    (lambda: called(layers.Dense(2, name="d"), (1, 3), (1, 4)), ValueError, "made for axis -1 of size 3, but received"),
    (lambda: on((784,), layers.Conv2D(2, 3, name="c")), ValueError, "Put Reshape((28, 28, 1)) before it."),
    (lambda: on((3072,), layers.Conv2D(2, 3)), ValueError, "Put Reshape((32, 32, 3)) before it."),
    (lambda: on((28, 28), layers.Conv2D(2, 3)), ValueError, "expected ndim=4, found ndim=3. Full shape received"),
    (lambda: on((28, 28), layers.Conv2D(2, 3)), ValueError, "Put Reshape((28, 28, 1)) before it."),
    (lambda: on((9,), layers.Conv1D(2, 3)), ValueError, "Put Reshape((9, 1)) before it."),
    (lambda: on((8, 3), layers.MaxPooling2D()), ValueError, "expected ndim=4, found ndim=3"),
    (lambda: on((8,), layers.GlobalAveragePooling2D()), ValueError, "expected ndim=4, found ndim=2"),
    (lambda: on((8, 8, None), layers.Conv2D(2, 3)), ValueError, "The number of input channels (axis -1) must be known"),
    (lambda: on((8, 8, 3), layers.Conv2D(4, 3, groups=2)), ValueError, "groups=2, but the input has 3 channels"),
    (lambda: called(layers.Conv2D(2, 1), (1, 4, 4, 3), (1, 4, 4, 2)), ValueError, "made for axis -1 of size 3"),
    (lambda: on((3, 3, 1), layers.Conv2D(2, 5, name="c")), ValueError, "Use padding='same', a smaller window or"),
    (lambda: on((3, 3, 1), layers.MaxPooling2D(4, name="p")), ValueError, "'p' (MaxPooling2D, "),
    (lambda: on((8, 8, None), layers.Conv2DTranspose(2, 3)), ValueError, "input channels (axis -1) must be known"),
    (lambda: on((None, 8, 8), layers.DepthwiseConv2D(3, data_format="channels_first")), ValueError, "(axis 1) must be"),
    (lambda: on((784,), layers.SeparableConv2D(2, 3)), ValueError, "Put Reshape((28, 28, 1)) before it."),
    (lambda: on((8, 3), layers.GlobalMaxPooling2D()), ValueError, "expected ndim=4, found ndim=3"),
    (lambda: on((8,), layers.AveragePooling1D(2)), ValueError, "Put Reshape((8, 1)) before it."),
    (lambda: on((1, 3, 2), layers.Conv2DTranspose(2, 2, 2, "same", output_padding=0)), ValueError, "leaves nothing"),
    (
        lambda: on((4, 4, 1), layers.UpSampling2D(interpolation="cubic")),
        ValueError,
        "Expected of one ('nearest', 'bilinear', 'bicubic', 'lanczos3', 'lanczos5'). Received: interpolation=cubic",
    ),
    (lambda: on((5, 2), layers.Cropping1D(3)), ValueError, "must be smaller than the input length. Received: input_sh"),
    (lambda: on((4, 5, 2), layers.Cropping2D(2)), ValueError, "should be smaller than the corresponding spatial"),
    (lambda: on((3, 3, 1), layers.MaxPooling2D(2, padding="causal")), ValueError, "Invalid padding: causal."),
    (lambda: on((6,), layers.Reshape((4,))), ValueError, "input_shape=(6,), target_shape=(4,)"),
    (lambda: on((6,), layers.Reshape((4, -1))), ValueError, "The total size of the tensor must be unchanged."),
    (lambda: on((3, 4, 5), layers.Permute((2, 1))), ValueError, "expected ndim=3, found ndim=4"),
    (lambda: on((4, 3), layers.RepeatVector(2)), ValueError, "the recurrent layer before it return_sequences=False."),
    (lambda: on((2,), layers.LSTM(2)), ValueError, "give a recurrent layer before it return_sequences=True"),
    (lambda: on((None, 2), layers.LSTM(2, unroll=True)), ValueError, "Cannot unroll a RNN if the time dimension"),
    (lambda: on((2,), layers.Bidirectional(layers.GRU(2))), ValueError, "put Reshape((steps, features)) before it."),
    (lambda: layers.GRU(2)(np.ones((1, 3, 2)), initial_state=[np.ones((1, 2))] * 2), ValueError,
     "has 1 state of shape (1, 2); got 2 in initial_state."),
    (lambda: on((8,), layers.TimeDistributed(layers.Dense(2))), ValueError, "at least 3 dimensions, received: (None"),
    (lambda: trained((None, 2), layers.TimeDistributed(layers.BatchNormalization())), ValueError,
     "TimeDistributed around BatchNormalization needs to know the number of steps"),
    (lambda: on((3, 4), layers.LayerNormalization(axis=5)), IndexError, "Axis 5 is out of bounds for input shape"),
    (lambda: on((3, 4), layers.BatchNormalization(axis=3)), ValueError, "Axis 3 is out of bounds for input shape"),
    (lambda: on((3, 4), layers.Dropout(0.5, noise_shape=(2, 3)))(np.ones((1, 3, 4)), True), ValueError,
     "one entry per axis"),
    (lambda: on((3, 4), layers.Dropout(0.5, noise_shape=(None, 2, 4)))(np.ones((1, 3, 4)), True), ValueError,
     "does not broadcast"),
    (lambda: layers.Embedding(3, 2, name="e")(np.array([[0, 5]])), ValueError, "'e' (Embedding"),
    (lambda: layers.Embedding(3, 2, name="e")(np.array([[0, 5]])), ValueError, "ids must lie in [0, 3)"),
    (lambda: layers.Dense(2, name="d").count_params(), ValueError, "on layer 'd', but the layer isn't built"),
    (lambda: layers.Embedding(3, 2, name="e", weights=[np.ones((2, 2))]), ValueError, "not compatible with provided"),
]  # fmt: skip


@pytest.mark.parametrize(("program", "kind", "text"), INPUTS, ids=[text for *_, text in INPUTS])
def test_wrong_input(program: Program, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        program()
    assert text in str(caught.value)
    assert isinstance(caught.value, SeqcError)


def test_error_names_the_layer_and_the_line_that_made_it() -> None:
    with pytest.raises(ShapeError, match=r"'conv' \(Conv2D, .*test_layer_errors.py:\d+\)"):
        on((784,), layers.Conv2D(2, 3, name="conv"))


def test_misspelt_layer_gets_a_suggestion() -> None:
    with pytest.raises(AttributeError, match="seqc.layers has no 'Conv2d'. Did you mean Conv2D"):
        layers.Conv2d  # noqa: B018  (the attribute access is what fails)


@pytest.mark.parametrize(
    ("module", "name", "text"),
    [
        (layers, "Scribble", r"dir\(seqc.layers\) lists what it has. A Layer subclass"),
        (layers, "JaxLayer", "It calls a function of JAX, which seqc can neither train nor export: write it"),
        (layers, "TFSMLayer", "It runs a SavedModel of TensorFlow, which seqc cannot see into: load"),
        (layers, "FlaxLayer", "make the module of seqc.layers."),
        (layers, "TorchModuleWrapper", "make the module of seqc.layers, and set its weights"),
        (keras.optimizers, "legacy", "Keras 3 has it no more: the optimizers of the same names"),
        (keras.callbacks, "OrbaxCheckpoint", "ModelCheckpoint saves the model or its weights, and BackupAndRestore"),
        (layers, "Dnse", "Did you mean Dense"),
        (keras.losses, "Scribble", "A function of .* is a loss too"),
        (keras.callbacks, "Scribble", "A subclass of Callback"),
        (keras.optimizers, "Adem", "Did you mean Adam"),
        (keras.utils, "scribble", "dir"),
        (keras.backend, "rnn", "take seqc.ops.scan, or seqc.layers.RNN"),
        (keras, "quantizers", "quantize the exported file"),
        (keras.dtype_policies, "GPTQDTypePolicy", "quantize the exported file"),
        (keras, "layer", "Did you mean"),
    ],
)
def test_what_a_module_lacks_is_said_in_a_sentence(module: Any, name: str, text: str) -> None:
    with pytest.raises(AttributeError, match=f"{module.__name__} has no '{name}'. .*{text}"):
        getattr(module, name)
    assert not hasattr(module, "__wrapped__")


def test_failed_build_says_nothing_wrong_later() -> None:
    layer = layers.Dense(2)
    with pytest.raises(ShapeError):
        layer.build_for((None, None))
    assert not layer.built
    layer(np.ones((1, 3), "float32"))
    assert len(layer.weights) == 2


def test_layer_without_call_is_named() -> None:
    with pytest.raises(ConfigError, match="Nothing does not define call"):
        type("Nothing", (layers.Layer,), {})()(np.ones(2))


def test_penalty_outside_a_model_is_refused() -> None:
    with pytest.raises(SeqcError, match="add_loss of layer 'd' works only inside a model that is being traced"):
        layers.Dense(2, name="d").add_loss(1.0)
