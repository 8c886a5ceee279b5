"""Models of every kind of layer, whose files other programs read too; see `tests/kit/consumers.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

import seqc as keras
from seqc import layers as L
from seqc.export import compile_graph, compile_with_names
from seqc.export.model import inference_graph
from seqc.export.target import onnx_target
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array, Graph
from seqc.passes.precision import promote_floats

Stack = Callable[[], Sequence[Any]]

SEQUENCE, FREE_SEQUENCE = (6, 3), (None, 3)
IMAGE, FREE_IMAGE = (9, 8, 3), (None, None, 3)
VOLUME, FREE_VOLUME = (5, 6, 4, 2), (None, None, None, 2)
# The size of an axis that the model does not fix.
FREE_SIZE = 7
ROWS = 5


@dataclass(frozen=True, eq=False)
class Golden:
    """A model and one input for it.

    Attributes:
        shape: of one sample. layers: makes the stack behind the input. dtype: of the input; integers are ids, where 0
        is padding.
    """

    name: str
    shape: tuple[int | None, ...]
    layers: Stack
    dtype: str = "float32"

    def model(self) -> keras.Sequential:
        """Returns the model, with weights of which none is zero or one throughout."""
        keras.utils.set_random_seed(5)
        model = keras.Sequential([keras.Input(self.shape, dtype=self.dtype), *self.layers()])
        rng = np.random.default_rng(5)
        for variable in model.weights:
            if variable.name in ("moving_variance", "gamma"):
                variable.assign(rng.uniform(0.5, 1.5, variable.shape).astype("float32"))
            elif variable.name in ("bias", "beta", "moving_mean", "alpha"):
                variable.assign(rng.normal(0, 0.3, variable.shape).astype("float32"))
        return model

    def samples(self, rows: int = ROWS) -> Array:
        """Returns inputs; of sequences, some steps are zero: none, the last, the first, some between, and all."""
        rng = np.random.default_rng(6)
        shape = (rows, *(FREE_SIZE if d is None else d for d in self.shape))
        x = rng.integers(1, 10, shape) if self.dtype.startswith("int") else rng.normal(size=shape)
        if len(shape) == 3 or self.dtype.startswith("int"):
            half = shape[1] // 2
            x[1::5, half:] = 0
            x[2::5, :half] = 0
            x[3::5, 1:-1:2] = 0
            x[4::5] = 0
        return x.astype(self.dtype)

    @cached_property
    def graph(self) -> Graph:
        return inference_graph(self.model())

    @cached_property
    def content(self) -> bytes:
        """The bytes of the file at the default opset."""
        result: bytes = compile_graph(self.graph).SerializeToString(deterministic=True)
        return result

    @cached_property
    def portable(self) -> bytes:
        """The bytes of a file for programs whose recurrent operators run on beyond a sequence's length."""
        emission = compile_with_names(self.graph, onnx_target(stops_at_lengths=False))
        result: bytes = emission.model.SerializeToString(deterministic=True)
        return result

    def truth(self, x: Array) -> Array:
        """Returns what the model computes, in double precision."""
        exact = x.astype(np.float64) if x.dtype == np.float32 else x
        (result,) = Interpreter(promote_floats(self.graph)).run([exact])
        return np.asarray(result)

    def check(self, x: Array, result: Any, tolerance: float = 1e-5) -> None:
        """Fails where `result` is not the truth, within a part of its largest number."""
        exact = self.truth(x)
        scale = np.max(np.abs(exact[np.isfinite(exact)]), initial=1.0)
        np.testing.assert_allclose(result, exact, rtol=0, atol=tolerance * scale, equal_nan=True, err_msg=self.name)


def _mlp() -> Sequence[Any]:
    return [L.Dense(5, activation="relu"), L.BatchNormalization(), L.Dropout(0.5), L.Dense(3, activation="softmax")]


def _augmentation() -> list[Any]:
    """Layers that a model that is used does not have."""
    return [
        L.RandomFlip(),
        L.RandomTranslation(0.1, 0.1),
        L.RandomZoom(0.2),
        L.RandomRotation(0.1),
        L.RandomContrast(0.2),
        L.RandomBrightness(0.2),
        L.RandomErasing(),
        L.RandomInvert(),
        L.Solarization(0.3, 0.5),
        L.RandomPosterization(4),
        L.RandomShear(0.1),
        L.RandomPerspective(),
        L.RandomElasticTransform(),
        L.RandomSharpness(0.5),
        L.RandomGaussianBlur(),
        L.Equalization(),
        L.MixUp(),
        L.CutMix(),
        L.Pipeline([L.RandomFlip()]),
        L.MaxNumBoundingBoxes(3),
    ]


def _colors() -> list[Any]:
    """Layers for three channels, of which only the last is in a model that is used."""
    gray = [L.RandomGrayscale(), L.RandomColorDegeneration(0.2)]
    several = [L.RandAugment(), L.AugMix()]
    return [*gray, L.RandomHue(0.2), L.RandomSaturation(0.5), L.RandomColorJitter(), *several, L.AutoContrast()]


def _lenet() -> Sequence[Any]:
    return [
        L.Conv2D(4, 3, activation="tanh"),
        L.AveragePooling2D(2),
        L.Conv2D(6, 2, activation="relu", padding="same"),
        L.MaxPooling2D(2),
        L.Flatten(),
        L.Dense(3),
    ]


def _mobile() -> Sequence[Any]:
    return [
        L.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
        L.BatchNormalization(),
        L.ReLU(max_value=6),
        L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False),
        L.BatchNormalization(),
        L.ReLU(max_value=6),
        L.Conv2D(5, 1),
        L.GlobalAveragePooling2D(),
        L.Dense(3, activation="softmax"),
    ]


def _volumes() -> Sequence[Any]:
    return [
        L.Conv3D(4, (3, 2, 2), padding="same", activation="relu"),
        L.AveragePooling3D((1, 2, 2)),
        L.Conv3D(3, 2, groups=1),
        L.GlobalAveragePooling3D(),
        L.Dense(3),
    ]


def _masked(*stack: Any) -> Sequence[Any]:
    return [L.Masking(0.0), *stack]


def _words(*stack: Any) -> Sequence[Any]:
    return [L.Embedding(10, 3, mask_zero=True), *stack]


def _recurrent(name: str, kind: Any) -> dict[str, Stack]:
    return {
        name: lambda: [kind(4)],
        f"masked_{name}": lambda: _masked(kind(4)),
        f"masked_{name}_sequences": lambda: _masked(kind(4, return_sequences=True)),
        f"masked_{name}_backwards": lambda: _masked(kind(4, go_backwards=True)),
        f"masked_{name}_sequences_backwards": lambda: _masked(kind(4, go_backwards=True, return_sequences=True)),
        f"masked_bidirectional_{name}": lambda: _masked(L.Bidirectional(kind(4))),
        f"masked_bidirectional_{name}_sequences": lambda: _masked(
            L.Bidirectional(kind(4, return_sequences=True)), L.Dense(2)
        ),
    }


def _activated(name: str) -> Stack:
    return lambda: [L.Dense(4), L.Activation(name)]


def _sequences() -> list[Golden]:
    """Recurrent layers: plain, masked, in both directions, of fixed and of free length."""
    found = []
    kinds: dict[str, Any] = {"gru": L.GRU, "lstm": L.LSTM, "simple_rnn": L.SimpleRNN}
    for name, kind in kinds.items():
        for free in (False, True):
            shape, ending = (FREE_SEQUENCE, "_free") if free else (SEQUENCE, "")
            found += [Golden(f"{key}{ending}", shape, stack) for key, stack in _recurrent(name, kind).items()]
    return found


ALL: tuple[Golden, ...] = (
    Golden("mlp", (6,), _mlp),
    Golden("dense_per_step", SEQUENCE, lambda: [L.Dense(4, activation="gelu"), L.Dense(2)]),
    Golden("lenet", IMAGE, _lenet),
    Golden("mobile", IMAGE, _mobile),
    Golden("free_images", FREE_IMAGE, lambda: [L.Conv2D(4, 3, padding="same"), L.GlobalMaxPooling2D(), L.Dense(2)]),
    Golden("strided_images", IMAGE, lambda: [L.Conv2D(4, 3, strides=2, padding="same", activation="relu")]),
    Golden("dilated", IMAGE, lambda: [L.Conv2D(4, 3, dilation_rate=2), L.Conv2D(2, 2, dilation_rate=2)]),
    Golden("grouped", (8, 8, 4), lambda: [L.Conv2D(6, 3, groups=2, activation="elu")]),
    Golden("separable", IMAGE, lambda: [L.SeparableConv2D(5, 3, depth_multiplier=2, padding="same")]),
    Golden("conv1d", SEQUENCE, lambda: [L.Conv1D(4, 3, padding="causal", activation="relu"), L.MaxPooling1D(2)]),
    Golden("conv1d_free", FREE_SEQUENCE, lambda: [L.Conv1D(4, 3, padding="same"), L.GlobalAveragePooling1D()]),
    Golden("average1d", SEQUENCE, lambda: [keras.Sequential([L.Conv1D(3, 2)]), L.AveragePooling1D(2)]),
    Golden("depthwise1d", SEQUENCE, lambda: [L.DepthwiseConv1D(3), L.SeparableConv1D(4, 2)]),
    Golden("transposed1d", SEQUENCE, lambda: [L.Conv1DTranspose(4, 3, strides=2)]),
    Golden("transposed2d", (4, 5, 3), lambda: [L.Conv2DTranspose(4, 3, strides=2, padding="same")]),
    Golden("volumes", VOLUME, _volumes),
    Golden("volumes_free", FREE_VOLUME, lambda: [L.Conv3D(3, 3, 2, "same"), L.MaxPooling3D(2), L.GlobalMaxPooling3D()]),
    Golden("transposed3d", VOLUME, lambda: [L.Conv3DTranspose(3, 3, strides=2, padding="same"), L.UpSampling3D(2)]),
    Golden("cropping3d", VOLUME, lambda: [L.ZeroPadding3D((1, 0, 2)), L.Cropping3D(((1, 1), (0, 2), (1, 0)))]),
    Golden("pools", IMAGE, lambda: [L.MaxPooling2D(3, strides=2, padding="same"), L.AveragePooling2D(2)]),
    Golden("average_same", IMAGE, lambda: [L.AveragePooling2D(3, strides=2, padding="same")]),
    Golden("global_max1d", SEQUENCE, lambda: [L.GlobalMaxPooling1D()]),
    Golden("masked_average", SEQUENCE, lambda: _masked(L.GlobalAveragePooling1D())),
    Golden("adaptive", IMAGE, lambda: [L.GlobalAveragePooling2D(keepdims=True), L.Flatten()]),
    Golden("adaptive1d", SEQUENCE, lambda: [L.AdaptiveAveragePooling1D(4), L.AdaptiveMaxPooling1D(3)]),
    Golden("adaptive2d", IMAGE, lambda: [L.AdaptiveMaxPooling2D((5, 3)), L.AdaptiveAveragePooling2D(2)]),
    Golden("adaptive3d", VOLUME, lambda: [L.AdaptiveMaxPooling3D((4, 3, 3)), L.AdaptiveAveragePooling3D((3, 2, 2))]),
    Golden("batch_norm", IMAGE, lambda: [L.BatchNormalization(axis=1)]),
    Golden("rescaled", IMAGE, lambda: [L.Rescaling(1 / 255, offset=-0.5), L.Conv2D(3, 2)]),
    Golden("normalized", (6,), lambda: [L.Normalization(mean=[0.5] * 6, variance=[2.0] * 6), L.Dense(3)]),
    Golden("group_norm", IMAGE, lambda: [L.Conv2D(4, 3), L.GroupNormalization(2)]),
    Golden("rms_norm", SEQUENCE, lambda: [L.RMSNormalization(), L.Dense(3)]),
    Golden("unit_norm", SEQUENCE, lambda: [L.UnitNormalization()]),
    Golden("spectral", IMAGE, lambda: [L.SpectralNormalization(L.Conv2D(3, 2)), L.SpatialDropout2D(0.3)]),
    Golden("prelu", IMAGE, lambda: [L.Conv2D(4, 3), L.PReLU(shared_axes=[1, 2]), L.ELU(0.5)]),
    Golden("spatial1d", SEQUENCE, lambda: [L.SpatialDropout1D(0.2), L.ActivityRegularization(0.1), L.Dense(2)]),
    Golden("spatial3d", (2, 3, 2, 4), lambda: [L.SpatialDropout3D(0.2), L.Dense(2)]),
    Golden("categories", (6,), lambda: [L.CategoryEncoding(4, "count"), L.Dense(2)], "int32"),
    Golden(
        "tokens", (6,), lambda: [L.IntegerLookup(vocabulary=[1, 3, 8], output_mode="multi_hot"), L.Dense(2)], "int64"
    ),
    Golden("vectors", (6,), lambda: [L.ReversibleEmbedding(10, 4, reverse_dtype="float32"), L.Dense(2)], "int32"),
    Golden("sounds", (64,), lambda: [L.MelSpectrogram(16, 8, sampling_rate=800, num_mel_bins=6), L.Dense(2)]),
    Golden("frames", (40, 2), lambda: [L.STFTSpectrogram("magnitude", 8, 4, padding="same"), L.Conv1D(3, 2)]),
    Golden("bins", (6,), lambda: [L.Discretization([-1.0, 0.0, 0.5], output_mode="multi_hot"), L.Dense(2)]),
    Golden("noises", (6,), lambda: [L.GaussianNoise(0.5), L.GaussianDropout(0.2), L.AlphaDropout(0.2), L.Identity()]),
    Golden("layer_scale", IMAGE, lambda: [L.Conv2D(3, 2), L.LayerScale(0.5, 3), L.StochasticDepth(0.2)]),
    Golden("stacked_cells", SEQUENCE, lambda: [L.RNN([L.GRUCell(4), L.LSTMCell(3)], return_sequences=True)]),
    Golden("layer_norm", SEQUENCE, lambda: [L.LayerNormalization(), L.Dense(3)]),
    Golden("layer_norm_axes", IMAGE, lambda: [L.LayerNormalization(axis=(1, 2))]),
    Golden("relu_options", (6,), lambda: [L.ReLU(max_value=1.0, negative_slope=0.1, threshold=0.2)]),
    Golden("leaky", (6,), lambda: [L.Activation("relu"), L.LeakyReLU()]),
    Golden("relu6", (6,), lambda: [L.Dense(4), L.ReLU(max_value=6)]),
    Golden("integers", (6,), lambda: [L.Dense(4)], "int32"),
    Golden("cropping2d_same", IMAGE, lambda: [L.MaxPooling2D(2, padding="same"), L.GlobalMaxPooling2D()]),
    Golden("softmax_axes", IMAGE, lambda: [L.Softmax(axis=(1, 2))]),
    Golden("embedding", (6,), lambda: [L.Embedding(10, 4), L.Flatten(), L.Dense(2)], "int32"),
    Golden("masked_words", (6,), lambda: _words(L.GRU(4)), "int32"),
    Golden("masked_words_twice", (None,), lambda: _words(L.LSTM(4, return_sequences=True), L.LSTM(3)), "int32"),
    Golden("masked_words_both", (None,), lambda: _words(L.Bidirectional(L.LSTM(4))), "int32"),
    Golden("masked_words_average", (6,), lambda: _words(L.GlobalAveragePooling1D(), L.Dense(2)), "int32"),
    Golden("zeroed", SEQUENCE, lambda: _masked(L.GRU(4, return_sequences=True, zero_output_for_mask=True))),
    Golden("gru_before", SEQUENCE, lambda: [L.GRU(4, reset_after=False, return_sequences=True)]),
    Golden("lstm_relu", SEQUENCE, lambda: [L.LSTM(4, activation="relu", recurrent_activation="hard_sigmoid")]),
    Golden("lstm_gelu", SEQUENCE, lambda: [L.LSTM(4, activation="gelu")]),
    Golden("lstm_gelu_free", FREE_SEQUENCE, lambda: [L.LSTM(4, activation="gelu", go_backwards=True)]),
    Golden("masked_gru_silu", SEQUENCE, lambda: _masked(L.GRU(4, activation="silu", return_sequences=True))),
    Golden("masked_both_mish", FREE_SEQUENCE, lambda: _masked(L.Bidirectional(L.SimpleRNN(4, "mish")), L.Dense(2))),
    Golden("bidirectional_sum", SEQUENCE, lambda: [L.Bidirectional(L.GRU(4), merge_mode="sum")]),
    Golden("bidirectional_mul", SEQUENCE, lambda: [L.Bidirectional(L.LSTM(4), merge_mode="mul")]),
    Golden("conv_lstm1d", (3, 5, 2), lambda: [L.ConvLSTM1D(3, 2, return_sequences=True)]),
    Golden("conv_lstm2d", (None, 5, 4, 2), lambda: [L.ConvLSTM2D(3, 2, go_backwards=True), L.Flatten(), L.Dense(2)]),
    Golden("conv_lstm3d", (2, 3, 4, 3, 1), lambda: [L.ConvLSTM3D(2, 2, padding="same")]),
    Golden("time_distributed", (3, 6, 6, 2), lambda: [L.TimeDistributed(L.Conv2D(3, 2)), L.Flatten()]),
    Golden("reshaping", SEQUENCE, lambda: [L.Permute((2, 1)), L.Reshape((2, 9)), L.Flatten(), L.RepeatVector(3)]),
    Golden("cropping", IMAGE, lambda: [L.ZeroPadding2D(((1, 2), (0, 3))), L.Cropping2D(((2, 1), (1, 1)))]),
    Golden("cropping1d", SEQUENCE, lambda: [L.ZeroPadding1D(2), L.Cropping1D((1, 2)), L.UpSampling1D(2)]),
    Golden("upsampling", IMAGE, lambda: [L.UpSampling2D((2, 3))]),
    Golden("upsampling_bilinear", IMAGE, lambda: [L.UpSampling2D(2, interpolation="bilinear")]),
    Golden("upsampling_bicubic", IMAGE, lambda: [L.UpSampling2D(2, interpolation="bicubic")]),
    Golden("upsampling_lanczos", IMAGE, lambda: [L.UpSampling2D(2, interpolation="lanczos3")]),
    Golden("resizing", IMAGE, lambda: [L.Resizing(5, 12), L.Conv2D(3, 2), L.Resizing(3, 4, "nearest")]),
    Golden("resizing_free", FREE_IMAGE, lambda: [L.Resizing(5, 4), L.Conv2D(2, 1), L.Resizing(3, 3, antialias=True)]),
    Golden("padded", IMAGE, lambda: [L.CenterCrop(6, 5), L.Resizing(4, 6, pad_to_aspect_ratio=True)]),
    Golden("cropped", IMAGE, lambda: [L.RandomCrop(4, 3), L.CenterCrop(6, 6)]),
    Golden("colors", (6, 5, 3), lambda: [*_colors(), L.Conv2D(2, 2)]),
    Golden("tiles", (6, 5, 3), lambda: [L.ContrastLimitedAdaptiveHistogramEqualization((0, 1), tile_grid_size=(2, 2))]),
    Golden("augmented", IMAGE, lambda: [*_augmentation(), L.Conv2D(2, 2)]),
    *(
        Golden(f"activation_{name}", SEQUENCE, _activated(name))
        for name in (
            "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_tanh",
            "leaky_relu", "log_sigmoid", "log_softmax", "mish", "relu6", "selu", "silu", "soft_shrink", "softplus",
            "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "tanh_shrink",
        )
    ),
    *_sequences(),
)  # fmt: skip
