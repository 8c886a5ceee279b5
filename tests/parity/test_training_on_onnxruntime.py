"""The training step is one graph: NumPy and stock onnxruntime take the same 20 steps with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import seqc as keras
from kit.graph_runs import step_file
from seqc import layers
from seqc.errors import NoLoweringError
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array
from seqc.training.data import make_data
from seqc.training.step import Signature, Step, train_step

STEPS, BATCH = 20, 16
# Twenty steps of float32 in two libraries that add in different orders.
TOLERANCE = 2e-5


@dataclass(frozen=True)
class Row:
    """A model, data for it, and what `compile` is told."""

    name: str
    build: Callable[[], keras.Sequential]
    data: Callable[[np.random.Generator, int], tuple[Array, Array]]
    optimizer: Callable[[], keras.optimizers.Optimizer]
    loss: str
    weighted: bool = False


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


def classes(shape: tuple[int, ...]) -> Callable[[np.random.Generator, int], tuple[Array, Array]]:
    return lambda rng, n: (rng.normal(size=(n, *shape)).astype("float32"), rng.integers(0, 3, n))


ROWS = [
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
        "mobile_adam",
        mobile,
        classes((9, 8, 2)),
        lambda: keras.optimizers.Adam(0.01),
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


def traced(row: Row, rng: np.random.Generator) -> tuple[Step, list[list[Array]]]:
    keras.utils.set_random_seed(3)
    model = row.build()
    model.compile(row.optimizer(), row.loss, metrics=["accuracy"] if row.loss != "mse" else ["mae"])
    batches = []
    for _ in range(STEPS):
        x, y = row.data(rng, BATCH)
        weight = rng.uniform(0.2, 2, BATCH) if row.weighted else None
        batch = make_data([x], [y], [weight], [model.input_dtype()]).rows(slice(None))
        batches.append([a for a in batch if a is not None])
    assert model.compiled
    return train_step(model, Signature.of(batch)), batches


def take_steps(step: Step, batches: list[list[Array]], run: Callable[[list[Array]], list[Array]]) -> list[list[Array]]:
    """Returns loss and state after every step."""
    state = {v: v.array for v in step.reads}
    seen = []
    for i, batch in enumerate(batches):
        results = run([*batch, np.int64(17), np.int64(i), *(np.asarray(state[v]) for v in step.reads)])
        state |= dict(zip(step.writes, results[1:], strict=True))
        seen.append(results)
    return seen


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_twenty_steps_on_onnxruntime_equal_twenty_on_numpy(row: Row, rng: np.random.Generator) -> None:
    pytest.importorskip("onnxruntime")
    from seqc.backends.onnxruntime import Session

    step, batches = traced(row, rng)
    session = Session(step_file(step.graph), threads=1)

    def on_onnxruntime(arrays: list[Array]) -> list[Array]:
        given = {n: a for n, a in zip(step.graph.input_names, arrays, strict=True) if n in session.input_names}
        results = session.run(given)
        return [results[n] for n in step.graph.output_names]

    expected = take_steps(step, batches, Interpreter(step.graph).run)
    actual = take_steps(step, batches, on_onnxruntime)
    names = ("loss", *(v.path for v in step.writes))
    for i, (ours, theirs) in enumerate(zip(expected, actual, strict=True)):
        for name, a, b in zip(names, ours, theirs, strict=True):
            error = np.max(np.abs(np.asarray(a, np.float64) - b), initial=0.0)
            assert error <= TOLERANCE * max(1.0, np.max(np.abs(a), initial=0.0)), f"{name} after step {i + 1}: {error}"
    losses = [float(results[0]) for results in expected]
    assert np.all(np.isfinite(losses))
    moved = [v for v, a in zip(step.writes, expected[-1][1:], strict=True) if not np.array_equal(a, v.array)]
    assert {v.path for v in moved} >= {v.path for v in step.writes if v.trainable}


def test_the_gradient_of_an_lstm_says_that_it_has_no_lowering(rng: np.random.Generator) -> None:
    row = Row(
        "lstm",
        lambda: keras.Sequential([keras.Input((5, 2)), layers.LSTM(3), layers.Dense(3, activation="softmax")]),
        classes((5, 2)),
        lambda: keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
    )
    step, _ = traced(row, rng)
    with pytest.raises(NoLoweringError, match="LSTM"):
        step_file(step.graph)
