"""Functions that scripts call under names of TensorFlow, and of Keras's old backend: against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import backend, layers, ops
from seqc._old_backend import OWN, SAME
from seqc._tensorflow import stand_in

TF: Any = stand_in()
K: Any = backend
A = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
P = np.abs(A) / np.abs(A).sum(1, keepdims=True)
SOFT = np.exp(A) / np.exp(A).sum(1, keepdims=True)
ONE_HOT = np.eye(5, dtype="float32")[[1, 0, 4, 2]]

CASES: dict[str, tuple[Callable[[], Any], Any]] = {
    "reduce_sum": (lambda: TF.reduce_sum(input_tensor=A, axis=1, keepdims=True, name="s"), A.sum(1, keepdims=True)),
    "reduce_mean": (lambda: TF.math.reduce_mean(A, 0), A.mean(0)),
    "reduce_std": (lambda: TF.math.reduce_std(A, axis=-1), A.std(-1)),
    "argmax": (lambda: TF.argmax(A), A.argmax(0)),  # the first axis, unlike NumPy
    "concat": (lambda: TF.concat(values=[A, A], axis=1), np.concatenate([A, A], 1)),
    "matmul": (lambda: TF.matmul(A, A, transpose_b=True), A @ A.T),
    "gather": (lambda: TF.gather(A, [2, 0]), A[[2, 0]]),
    "gather_batch": (
        lambda: TF.gather(A, np.array([[1], [0], [4], [2]]), batch_dims=1), A[np.arange(4), [1, 0, 4, 2]][:, None],
    ),
    "split": (lambda: TF.split(A, [1, 3, 1], axis=1)[1], A[:, 1:4]),
    "pad": (lambda: TF.pad(A, [[0, 1], [2, 0]], constant_values=3.0), np.pad(A, [[0, 1], [2, 0]], constant_values=3)),
    "one_hot": (lambda: TF.one_hot([1, 0], 3, on_value=2.0, off_value=-1.0), [[-1, 2, -1], [2, -1, -1]]),
    "clip": (lambda: TF.clip_by_value(A, clip_value_min=-0.5, clip_value_max=0.5), A.clip(-0.5, 0.5)),
    "cumsum": (lambda: TF.cumsum(A, axis=1, exclusive=True, reverse=True), A[:, ::-1].cumsum(1)[:, ::-1] - A),
    "norm": (lambda: TF.norm(A), np.sqrt((A**2).sum())),
    "l2": (lambda: TF.math.l2_normalize(A, axis=1), A / np.sqrt((A**2).sum(1, keepdims=True))),
    "band_part": (lambda: TF.linalg.band_part(np.ones((3, 3), "float32"), -1, 0), np.tril(np.ones((3, 3)))),
    "logits": (
        lambda: TF.nn.sigmoid_cross_entropy_with_logits(labels=ONE_HOT, logits=A),
        -ONE_HOT * np.log(1 / (1 + np.exp(-A))) - (1 - ONE_HOT) * np.log(1 - 1 / (1 + np.exp(-A))),
    ),
    "softmax_logits": (
        lambda: TF.nn.softmax_cross_entropy_with_logits(ONE_HOT, A), -(ONE_HOT * np.log(SOFT)).sum(1),
    ),
    "sparse_logits": (
        lambda: TF.nn.sparse_softmax_cross_entropy_with_logits([1, 0, 4, 2], A), -(ONE_HOT * np.log(SOFT)).sum(1),
    ),
    "leaky_relu": (lambda: TF.nn.leaky_relu(A), np.where(A > 0, A, 0.2 * A)),
    "gelu": (lambda: TF.nn.gelu(np.array([1.0], np.float32)), [0.8413447]),
    "moments": (lambda: TF.nn.moments(A, axes=[0])[1], A.var(0)),
    "K.sum": (lambda: K.sum(K.round(K.clip(A * 2, 0, 1)), axis=-1), np.round(np.clip(A * 2, 0, 1)).sum(-1)),
    "K.mean": (lambda: K.mean(K.square(A), axis=[0, 1]), (A**2).mean()),
    "K.sqrt": (lambda: K.sqrt(A), np.sqrt(np.maximum(A, 0))),
    "K.dot": (lambda: K.dot(A, A.T), A @ A.T),
    "K.flatten": (lambda: K.flatten(A), A.ravel()),
    "K.concatenate": (lambda: K.concatenate([A, A]), np.concatenate([A, A], -1)),
    "K.l2_normalize": (lambda: K.l2_normalize(A, axis=-1), A / np.sqrt((A**2).sum(-1, keepdims=True))),
    "K.hard_sigmoid": (lambda: K.hard_sigmoid(A), np.clip(0.2 * A + 0.5, 0, 1)),
    "K.repeat": (lambda: K.repeat(A, 3), np.repeat(A[:, None], 3, 1)),
    "K.switch": (lambda: K.switch(A[:, 0] > 0, A, lambda: -A), np.where(A[:, :1] > 0, A, -A)),
    "K.categorical": (lambda: K.categorical_crossentropy(ONE_HOT, P), -(ONE_HOT * np.log(P)).sum(1)),
    "K.gather": (lambda: K.gather(A, [1, 1]), A[[1, 1]]),
    "K.get_value": (lambda: K.get_value(K.ones((2,))), [1, 1]),
    "mse": (lambda: keras.losses.mse(A, P), ((A - P) ** 2).mean(1)),
    "MAE": (lambda: keras.metrics.MAE(A, P), np.abs(A - P).mean(1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_old_name_means_what_it_meant(name: str) -> None:
    function, expected = CASES[name]
    np.testing.assert_allclose(ops.convert_to_numpy(function()), expected, rtol=2e-5, atol=1e-6)


def test_every_old_name_is_a_function() -> None:
    assert all(callable(getattr(backend, name)) for name in OWN | SAME)
    assert TF.cast(A, TF.int32).dtype == "int32"
    assert TF.config.list_physical_devices("GPU") == []
    assert TF.random.uniform([2, 3], maxval=5, dtype=TF.int32).dtype == "int32"


def test_a_step_and_a_loss_are_written_with_old_names() -> None:
    class Own(keras.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            with TF.GradientTape() as tape:
                ones = TF.ones((TF.shape(x)[0], 1))
                predicted = self(TF.concat([x, ones], axis=1), training=True)
                loss = TF.reduce_mean(TF.square(y - predicted))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    def dice(y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = K.flatten(K.cast(y_true, "float32")), K.flatten(y_pred)
        both = K.sum(y_true * y_pred)
        return 1 - (2 * both + K.epsilon()) / (K.sum(y_true) + K.sum(y_pred) + K.epsilon())

    x = keras.Input((6,))
    own = Own(x, layers.Dense(1, kernel_initializer="zeros")(x))
    own.compile("sgd")
    y = np.full((4, 1), 2.0, "float32")
    assert own.fit(A, y, verbose=0).history["loss"] == [4.0]
    model = keras.Sequential([keras.Input((5,)), layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
    model.compile("sgd", dice)
    assert model.evaluate(A, np.array([0, 1, 1, 0]), verbose=0) == pytest.approx(0.5, abs=1e-6)
