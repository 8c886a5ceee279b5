"""The training step is one graph: NumPy and stock onnxruntime take the same 20 steps with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from kit.step_runs import Row, check_steps, classes
from seqc import layers, ops


def mlp() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, activation="relu", kernel_regularizer="l2"),
            layers.Dropout(0.3),
            layers.Dense(8, activation="gelu"),
            layers.LayerNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def cnn() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling2D(2, padding="same"),
            layers.Conv2D(6, (3, 2), strides=2, padding="same", activation="elu"),
            layers.AveragePooling2D(2, strides=1, padding="same"),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def cnn1d() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="tanh"),
            layers.Conv1D(4, 4, strides=2, padding="same", groups=2, activation="softplus"),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def sounds() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((60, 2)),
            layers.STFTSpectrogram("psd", 8, 4, padding="same", expand_dims=True),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def drawn() -> keras.Sequential:
    """Draws from every distribution in each step."""

    class Noise(keras.Layer):
        def call(self, x: Any) -> Any:
            shape, random = ops.shape(x), keras.random
            noise = random.beta(shape, 2.0, 0.5) + random.binomial(shape, 40, 0.5) / 20 - random.gamma(shape, 0.7)
            return random.shuffle(x, axis=1) + 0.1 * noise + 0.1 * random.truncated_normal(shape)

    return keras.Sequential(
        [keras.Input((5,)), layers.Dense(4, activation="tanh"), Noise(), layers.Dense(3, "softmax")]
    )


def mobile() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((9, 8, 2)),
            layers.ZeroPadding2D(((0, 1), (0, 1))),
            layers.SeparableConv2D(4, 3, strides=2, padding="same", depth_multiplier=2, activation="tanh"),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False, depthwise_regularizer="l2"),
            layers.BatchNormalization(),
            layers.ReLU(6.0, negative_slope=0.1),
            layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="softplus"),
            layers.UpSampling2D((2, 1)),
            layers.Conv2DTranspose(4, (2, 3), output_padding=(0, 1), strides=(1, 2)),
            layers.LeakyReLU(),
            layers.UpSampling2D(2, interpolation="bilinear"),
            layers.Cropping2D(1),
            layers.GlobalMaxPooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def sequences() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((12, 3)),
            layers.SeparableConv1D(4, 3, padding="same", dilation_rate=2, activation="tanh"),
            layers.MaxPooling1D(3, strides=2, padding="same"),
            layers.DepthwiseConv1D(2, depth_multiplier=2),
            layers.UpSampling1D(2),
            layers.Conv1DTranspose(5, 4, strides=3, padding="same", activation="softsign"),
            layers.AveragePooling1D(3, strides=2, padding="same"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def volumes() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((5, 4, 6, 2)),
            layers.ZeroPadding3D(((1, 0), (0, 1), (1, 1))),
            layers.Conv3D(4, (3, 2, 3), strides=(2, 1, 1), padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.MaxPooling3D(2, strides=(1, 2, 2), padding="same"),
            layers.Conv3D(4, 2, padding="same", groups=2, activation="elu"),
            layers.Conv3DTranspose(3, 3, strides=(1, 2, 1), padding="same", activation="tanh"),
            layers.UpSampling3D((1, 2, 1)),
            layers.AveragePooling3D(2, strides=1, padding="same"),
            layers.Cropping3D(((0, 1), (1, 0), (1, 1))),
            layers.GlobalAveragePooling3D(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def films() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((3, 5, 4, 2)),
            layers.ConvLSTM2D(3, 2, padding="same", dropout=0.2, return_sequences=True),
            layers.ConvLSTM2D(2, (3, 2), strides=2, recurrent_dropout=0.2, go_backwards=True),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def embedding() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(20, 5),
            layers.Flatten(),
            layers.Dense(8, activation="silu"),
            layers.Dense(1),
        ]
    )


def normalized() -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((12,)),
            layers.SpectralNormalization(layers.Dense(8, activation="tanh")),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )


def scaled_with_averages() -> keras.optimizers.Optimizer:
    inner = keras.optimizers.ScheduleFreeAdamW(0.01, use_ema=True, gradient_accumulation_steps=2)
    return keras.optimizers.LossScaleOptimizer(inner, dynamic_growth_steps=3)


def muon_beside_adafactor() -> keras.optimizers.Optimizer:
    chosen = keras.optimizers.OptimizerMap(keras.optimizers.Adafactor(0.01), {".*kernel": keras.optimizers.Muon(0.01)})
    return keras.optimizers.MultiOptimizer(chosen)


ROWS = [
    Row("normalized_scaled", normalized, classes((12,)), scaled_with_averages, "sparse_categorical_crossentropy"),
    Row("mlp_several", mlp, classes((12,)), muon_beside_adafactor, "sparse_categorical_crossentropy"),
    Row("mlp_adam", mlp, classes((12,)), lambda: keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"),
    Row(
        "mlp_weighted",
        mlp,
        classes((12,)),
        lambda: keras.optimizers.Adam(0.01, amsgrad=True, clipnorm=1.0),
        "sparse_categorical_crossentropy",
        weighted=True,
    ),
    Row(
        "cnn_sgd",
        cnn,
        classes((9, 8, 2)),
        lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
        "sparse_categorical_crossentropy",
    ),
    Row(
        "cnn1d_sgd",
        cnn1d,
        lambda rng, n: (rng.normal(size=(n, 12, 3)).astype("float32"), rng.integers(0, 2, (n, 1))),
        lambda: keras.optimizers.SGD(0.1),
        "binary_crossentropy",
    ),
    Row(
        "sounds_adam", sounds, classes((60, 2)), lambda: keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy"
    ),
    Row("drawn_sgd", drawn, classes((5,)), lambda: keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy"),
    Row(
        "mobile_adam",
        mobile,
        classes((9, 8, 2)),
        lambda: keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
    ),
    Row(
        "volumes_sgd",
        volumes,
        classes((5, 4, 6, 2)),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
    ),
    Row(
        "films_sgd",
        films,
        classes((3, 5, 4, 2)),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
    ),
    Row(
        "sequences_sgd",
        sequences,
        classes((12, 3)),
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
    ),
    Row(
        "embedding_adam",
        embedding,
        lambda rng, n: (rng.integers(0, 20, (n, 6)).astype("int32"), rng.normal(size=(n, 1)).astype("float32")),
        lambda: keras.optimizers.Adam(0.01),
        "mse",
    ),
]


@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=[pytest.mark.slow] * (i % 4 > 0), id=row.name) for i, row in enumerate(ROWS)]
)
def test_twenty_steps_on_onnxruntime_equal_twenty_on_numpy(row: Row, rng: np.random.Generator) -> None:
    check_steps(row, rng)
