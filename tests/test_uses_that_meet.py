"""Uses of a model that meet: workers and half precision, callbacks and onnxruntime, classes and heads, shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers

X = np.random.default_rng(1).normal(size=(24, 3)).astype("float32")
Y = X @ np.array([[1.0], [-2.0], [0.5]], "float32")


class Rows(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> Any:
        rows = slice(4 * number, 4 * number + 4)
        return X[rows], Y[rows]


def line(policy: Any = None, **options: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, kernel_initializer="ones", dtype=policy)])
    model.compile(keras.optimizers.SGD(0.1), "mse", **options)
    return model


def weights_after(epochs: int, precise: type = np.float64) -> Any:
    """Returns kernel and bias after plain descent, with NumPy.

    Args:
        epochs: how many. precise: what numbers of a step are rounded to.
    """
    kernel, bias = np.ones((3, 1)), np.zeros(1)
    for _ in range(epochs):
        for start in range(0, 24, 4):
            x = X[start : start + 4].astype(precise).astype("float64")
            found = (x @ kernel.astype(precise).astype("float64")).astype(precise) + bias.astype(precise)
            off = (2 * (found.astype("float64") - Y[start : start + 4]) / 4).astype(precise).astype("float64")
            kernel, bias = kernel - 0.1 * x.T @ off, bias - 0.1 * off.sum(axis=0)
    return kernel, bias


@pytest.mark.parametrize("policy", ["mixed_float16", "float32"])
def test_batches_of_workers_in_half_precision(policy: str) -> None:
    alone, together = line(policy), line(policy)
    alone.fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    together.fit(Rows(workers=3, max_queue_size=2), epochs=3, shuffle=False, verbose=0)
    for one, other in zip(alone.get_weights(), together.get_weights(), strict=True):
        assert one.dtype == np.float32
        np.testing.assert_array_equal(one, other)
    tolerance = 3e-3 if policy == "mixed_float16" else 2e-6
    for got, expected in zip(
        together.get_weights(), weights_after(3, np.float16 if tolerance > 1e-3 else np.float64), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


class Watch(keras.callbacks.Callback):
    """Keeps what the model predicts, and the weights it has then."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append((self.model.predict(X, verbose=0), *self.model.get_weights()))


def test_predictions_of_onnxruntime_follow_the_weights_from_epoch_to_epoch() -> None:
    pytest.importorskip("onnxruntime")
    watch = Watch()
    line(inference="onnxruntime").fit(X, Y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[watch])
    for epoch, (found, kernel, bias) in enumerate(watch.seen, 1):
        np.testing.assert_allclose(found, X.astype("float64") @ kernel + bias, rtol=0, atol=1e-6)
        np.testing.assert_allclose(kernel, weights_after(epoch)[0], rtol=0, atol=2e-6)
    assert len({found.tobytes() for found, _, _ in watch.seen}) == 3


def test_names_of_classes_go_by_the_numbers_that_a_head_gives(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    model = keras.Sequential([keras.Input((3,)), layers.Dense(3, activation="softmax", name="kind")])
    kernel = np.eye(3, dtype="float32")[[2, 0, 1]]
    model.set_weights([kernel, np.zeros(3, "float32")])
    names = np.array(["ferry", "yacht", "canoe"])
    wanted = names[np.argmax(X @ kernel, axis=1)]
    for head in ("argmax", "top_k:2"):
        model.export(tmp_path / "m.onnx", head=head, classes=names.tolist())
        session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        said = json.loads(session.get_modelmeta().custom_metadata_map["seqc.classes"])
        ((output, listed),) = said.items()
        assert (output, listed) == ("kind", names.tolist())
        outputs = session.run(None, {session.get_inputs()[0].name: X})
        found = outputs[0] if head == "argmax" else outputs[1][:, 0]
        assert np.array(listed)[found].tolist() == wanted.tolist()


@pytest.mark.slow
def test_both_ways_to_predict_take_turns_with_training_over_several_shapes() -> None:
    pytest.importorskip("onnxruntime")
    model = keras.Sequential(
        [keras.Input((None, 3)), layers.Conv1D(4, 2, activation="tanh"), layers.GlobalMaxPooling1D(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    rng = np.random.default_rng(2)
    for rows, steps in [(2, 5), (7, 3), (2, 9), (1, 2), (7, 3), (3, 5), (2, 5)]:
        x = rng.normal(size=(rows, steps, 3))
        model.train_on_batch(x, np.ones((rows, 1)))
        kernel, bias, dense, offset = (array.astype("float64") for array in model.get_weights())
        windows = np.concatenate([x[:, :-1], x[:, 1:]], axis=2) @ kernel.reshape(6, 4) + bias
        wanted = np.tanh(windows).max(axis=1) @ dense + offset
        for backend in ("onnxruntime", "numpy", "onnxruntime"):
            found = model.predict(x, verbose=0, backend=backend)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-6, err_msg=f"{backend} {rows} {steps}")
