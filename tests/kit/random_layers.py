"""Layers for random models, by the rank of what they take: a sample without the batch."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from kit.random_images import SIZED, draw_augmentation
from kit.random_recurrent import draw_bidirectional, draw_conv_lstm, draw_recurrent, draw_rnn
from seqc import Layer, Sequential, layers

Shape = tuple[int, ...]
Draw = Callable[[Shape, st.DrawFn], Layer]
_SIZES = st.integers(1, 4)
_ACTIVATIONS = st.sampled_from([None, "relu", "tanh", "sigmoid", "gelu", "softmax"])
_PADDING = st.sampled_from(["valid", "same"])


_NOISES: list[Callable[..., Layer]] = [layers.GaussianNoise, layers.GaussianDropout]


def _norm(_: Shape, draw: st.DrawFn) -> Layer:
    return layers.BatchNormalization(center=draw(st.booleans()), scale=draw(st.booleans()), momentum=0.5)


def _conv1d(shape: Shape, draw: st.DrawFn) -> Layer:
    padding = draw(st.sampled_from(["valid", "same", "causal"]))
    kernel = draw(st.integers(1, min(3, shape[0])))
    return layers.Conv1D(
        draw(_SIZES), kernel, padding=padding, activation=draw(_ACTIVATIONS), use_bias=draw(st.booleans())
    )


def _conv(kind: Callable[..., Layer]) -> Draw:
    def make(shape: Shape, draw: st.DrawFn) -> Layer:
        stride = draw(st.integers(1, 2))
        return kind(draw(_SIZES), _window(shape, draw), stride, draw(_PADDING), activation=draw(_ACTIVATIONS))

    return make


def _pool(kind: Callable[..., Layer]) -> Draw:
    def make(shape: Shape, draw: st.DrawFn) -> Layer:
        window = tuple(draw(st.integers(1, min(2, d))) for d in shape[:-1])
        return kind(window, draw(st.sampled_from([None, 1, 2])), draw(_PADDING))

    return make


def _adaptive(*kinds: Callable[..., Layer]) -> Draw:
    return lambda shape, draw: draw(st.sampled_from(kinds))(tuple(draw(_SIZES) for _ in shape[:-1]))


def _window(shape: Shape, draw: st.DrawFn) -> Shape:
    return tuple(draw(st.integers(1, min(3, d))) for d in shape[:-1])


def _depthwise(kind: Callable[..., Layer]) -> Draw:
    def make(shape: Shape, draw: st.DrawFn) -> Layer:
        stride = draw(st.integers(1, 2))
        count = draw(st.integers(1, 2))
        return kind(_window(shape, draw), stride, draw(_PADDING), count, activation=draw(_ACTIVATIONS))

    return make


def _separable(kind: Callable[..., Layer]) -> Draw:
    def make(shape: Shape, draw: st.DrawFn) -> Layer:
        stride = draw(st.integers(1, 2))
        return kind(draw(_SIZES), _window(shape, draw), stride, draw(_PADDING), use_bias=draw(st.booleans()))

    return make


def _transposed(kind: Callable[..., Layer]) -> Draw:
    def make(shape: Shape, draw: st.DrawFn) -> Layer:
        stride = draw(st.integers(1, 3))
        # Of a window of two and a stride of one, "same" would leave nothing of one element if it is not made longer.
        longer = None if draw(st.booleans()) else stride - 1
        padding = "valid" if longer == 0 else draw(_PADDING)
        window = tuple(draw(st.integers(1, 3)) for _ in shape[:-1])
        return kind(draw(_SIZES), window, stride, padding, longer, activation=draw(_ACTIVATIONS))

    return make


def _upsample(_: Shape, draw: st.DrawFn) -> Layer:
    size = (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    return layers.UpSampling2D(size, interpolation=draw(st.sampled_from(["nearest", "bilinear", "bicubic"])))


def _border(draw: st.DrawFn, axes: int = 2) -> tuple[tuple[int, int], ...]:
    return tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes))


def _cropping(kind: Callable[..., Layer]) -> Draw:
    return lambda shape, draw: kind(tuple((0, draw(st.integers(0, d - 1))) for d in shape[:-1]))


def _reshape(shape: Shape, draw: st.DrawFn) -> Layer:
    return layers.Reshape(draw(st.sampled_from([(-1,), (1, -1), (*shape, 1), (-1, 1, 1)])))


def _nested(shape: Shape, draw: st.DrawFn) -> Layer:
    return Sequential([draw_layer(shape, draw)])


def _spectrogram(shape: Shape, draw: st.DrawFn) -> Layer:
    mode = draw(st.sampled_from(["log", "magnitude", "psd", "real", "imag", "stft"]))
    frame = min(2, shape[0])
    step, expand = draw(st.integers(1, frame)), draw(st.booleans())
    return layers.STFTSpectrogram(mode, frame, step, 4, "hamming", padding=draw(_PADDING), expand_dims=expand)


def _einsum(_: Shape, draw: st.DrawFn) -> Layer:
    bias = draw(st.sampled_from([None, "y"]))
    return layers.EinsumDense("...x,xy->...y", draw(_SIZES), draw(_ACTIVATIONS), bias)


def _pipeline(shape: Shape, draw: st.DrawFn) -> Layer:
    return layers.Pipeline(
        [layers.Rescaling(0.5), layers.Dropout(0.3), layers.Activation(draw(_ACTIVATIONS.filter(bool)))]
    )


def _spectral(shape: Shape, draw: st.DrawFn) -> Layer:
    return layers.SpectralNormalization(layers.Dense(draw(_SIZES), draw(_ACTIVATIONS)), draw(st.integers(1, 2)))


ANY: dict[str, Draw] = {
    "activity_regularization": lambda _, draw: layers.ActivityRegularization(0.01, draw(st.sampled_from([0.0, 0.1]))),
    "alpha_dropout": lambda _, draw: layers.AlphaDropout(draw(st.sampled_from([0.0, 0.3]))),
    "identity": lambda _, draw: layers.Identity(),
    "rescaling": lambda _, draw: layers.Rescaling(
        draw(st.sampled_from([0.5, -2.0])), draw(st.sampled_from([0.0, 0.7]))
    ),
    "spectral_normalization": _spectral,
    "activation": lambda _, draw: layers.Activation(draw(_ACTIVATIONS.filter(bool))),
    "batch_normalization": _norm,
    "dense": lambda _, draw: layers.Dense(draw(_SIZES), draw(_ACTIVATIONS), use_bias=draw(st.booleans())),
    "dropout": lambda _, draw: layers.Dropout(draw(st.sampled_from([0.0, 0.3, 1.0]))),
    "einsum_dense": _einsum,
    "elu": lambda _, draw: layers.ELU(draw(st.sampled_from([0.5, 1.0]))),
    "flatten": lambda _, draw: layers.Flatten(),
    "group_normalization": lambda _, draw: layers.GroupNormalization(
        draw(st.sampled_from([1, -1])), center=draw(st.booleans())
    ),
    "layer_normalization": lambda _, draw: layers.LayerNormalization(),
    "layer_scale": lambda shape, draw: layers.LayerScale(draw(st.sampled_from([0.1, 1.0])), shape[-1]),
    "leaky_relu": lambda _, draw: layers.LeakyReLU(draw(st.sampled_from([0.1, 0.3]))),
    "nested": _nested,
    "noise": lambda _, draw: draw(st.sampled_from(_NOISES))(0.2),
    "permute": lambda shape, draw: layers.Permute(draw(st.permutations(range(1, len(shape) + 1)))),
    "pipeline": _pipeline,
    "prelu": lambda shape, draw: layers.PReLU("he_normal", shared_axes=draw(st.sampled_from([None, [len(shape)]]))),
    "relu": lambda _, draw: layers.ReLU(draw(st.sampled_from([None, 1.0])), draw(st.sampled_from([0.0, 0.2]))),
    "reshape": _reshape,
    "rms_normalization": lambda _, draw: layers.RMSNormalization(),
    "softmax": lambda _, draw: layers.Softmax(),
    "stochastic_depth": lambda _, draw: layers.StochasticDepth(draw(st.sampled_from([0.0, 0.3]))),
    "unit_normalization": lambda _, draw: layers.UnitNormalization(),
}
BY_RANK: dict[int, dict[str, Draw]] = {
    1: {"repeat": lambda _, draw: layers.RepeatVector(draw(_SIZES))},
    2: {
        "adaptive": _adaptive(layers.AdaptiveAveragePooling1D, layers.AdaptiveMaxPooling1D),
        "average_pool": _pool(layers.AveragePooling1D),
        "bidirectional": draw_bidirectional,
        "conv1d": _conv1d,
        "cropping": lambda shape, draw: layers.Cropping1D((0, draw(st.integers(0, shape[0] - 1)))),
        "depthwise": _depthwise(layers.DepthwiseConv1D),
        "global_average": lambda _, draw: layers.GlobalAveragePooling1D(keepdims=draw(st.booleans())),
        "spatial_dropout": lambda _, draw: layers.SpatialDropout1D(draw(st.sampled_from([0.0, 0.3]))),
        "global_max": lambda _, draw: layers.GlobalMaxPooling1D(keepdims=draw(st.booleans())),
        "max_pool": _pool(layers.MaxPooling1D),
        "separable": _separable(layers.SeparableConv1D),
        "transposed": _transposed(layers.Conv1DTranspose),
        "spectrogram": _spectrogram,
        "upsample": lambda _, draw: layers.UpSampling1D(draw(st.integers(1, 3))),
        "zero_padding": lambda _, draw: layers.ZeroPadding1D(_border(draw)[0]),
        "recurrent": lambda shape, draw: draw_recurrent(shape, draw, "go_backwards"),
        "rnn": draw_rnn,
        "masking": lambda _, draw: layers.Masking(draw(st.sampled_from([0.0, 1.0]))),
        "time_distributed": lambda _, draw: layers.TimeDistributed(layers.Dense(draw(_SIZES), draw(_ACTIVATIONS))),
    },
    3: {
        "adaptive": _adaptive(layers.AdaptiveAveragePooling2D, layers.AdaptiveMaxPooling2D),
        **SIZED,
        "augmentation": draw_augmentation,
        "average_pool": _pool(layers.AveragePooling2D),
        "conv2d": _conv(layers.Conv2D),
        "conv_lstm": draw_conv_lstm(layers.ConvLSTM1D),
        "cropping": _cropping(layers.Cropping2D),
        "depthwise": _depthwise(layers.DepthwiseConv2D),
        "global_average": lambda _, draw: layers.GlobalAveragePooling2D(keepdims=draw(st.booleans())),
        "global_max": lambda _, draw: layers.GlobalMaxPooling2D(keepdims=draw(st.booleans())),
        "separable": _separable(layers.SeparableConv2D),
        "spatial_dropout": lambda _, draw: layers.SpatialDropout2D(draw(st.sampled_from([0.0, 0.3]))),
        "transposed": _transposed(layers.Conv2DTranspose),
        "upsample": _upsample,
        "zero_padding": lambda _, draw: layers.ZeroPadding2D(_border(draw)),
        "max_pool": _pool(layers.MaxPooling2D),
        "time_distributed": lambda shape, draw: layers.TimeDistributed(_conv1d(shape[1:], draw)),
    },
    4: {
        "adaptive": _adaptive(layers.AdaptiveAveragePooling3D, layers.AdaptiveMaxPooling3D),
        "average_pool": _pool(layers.AveragePooling3D),
        "conv3d": _conv(layers.Conv3D),
        "conv_lstm": draw_conv_lstm(layers.ConvLSTM2D),
        "cropping": _cropping(layers.Cropping3D),
        "spatial_dropout": lambda _, draw: layers.SpatialDropout3D(draw(st.sampled_from([0.0, 0.3]))),
        "global_average": lambda _, draw: layers.GlobalAveragePooling3D(keepdims=draw(st.booleans())),
        "global_max": lambda _, draw: layers.GlobalMaxPooling3D(keepdims=draw(st.booleans())),
        "transposed": _transposed(layers.Conv3DTranspose),
        "upsample": lambda _, draw: layers.UpSampling3D(tuple(draw(st.integers(1, 2)) for _ in range(3))),
        "zero_padding": lambda _, draw: layers.ZeroPadding3D(_border(draw, 3)),
        "max_pool": _pool(layers.MaxPooling3D),
    },
}


# What works whatever the sizes of its input, and keeps its rank.
ANY_SIZE = (
    "activation", "alpha_dropout", "augmentation", "average_pool", "batch_normalization", "bidirectional", "conv1d",
    "conv2d", "conv3d", "dense", "depthwise", "dropout", "einsum_dense", "identity", "layer_normalization",
    "layer_scale", "leaky_relu", "masking", "max_pool", "pipeline", "recurrent", "relu", "rescaling", "rnn",
    "separable", "softmax", "spatial_dropout", "stochastic_depth", "time_distributed", "transposed", "upsample",
    "zero_padding",
)  # fmt: skip


def draw_layer(shape: Shape, draw: st.DrawFn, any_size: bool = False) -> Layer:
    choices = ANY | BY_RANK.get(len(shape), {})
    if any_size:
        choices = {name: make for name, make in choices.items() if name in ANY_SIZE}
    if len(shape) > 4:  # only a Reshape adds axes; what follows brings them back
        choices = {"flatten": ANY["flatten"], "relu": ANY["relu"], "dense": ANY["dense"]}
    return choices[draw(st.sampled_from(sorted(choices)))](shape, draw)
