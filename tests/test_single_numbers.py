"""Outputs that are one number for a whole batch: `predict` gives what Keras 3.15.1 gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops

X = np.arange(210.0, dtype="float32").reshape(70, 3)
# Means of rows 0 to 19, 20 to 39, 40 to 59 and 60 to 69, as Keras gives them, and anybody by hand.
MEANS = [29.5, 89.5, 149.5, 194.5]


@pytest.mark.parametrize("backend", ["numpy", "onnxruntime"])
@pytest.mark.filterwarnings("ignore")
def test_there_is_a_number_for_each_batch(backend: str) -> None:
    if backend == "onnxruntime":
        pytest.importorskip("onnxruntime")
    x = keras.Input((3,))
    model = keras.Model(x, ops.mean(x))
    found = model.predict(X, batch_size=20, verbose=0, backend=backend)
    np.testing.assert_allclose(found, MEANS, rtol=1e-6)
    only = model.predict(X[:20], verbose=0, backend=backend)
    assert (type(only), only) == (np.float32, 29.5)


@pytest.mark.parametrize("generator", [False, True])
def test_other_outputs_stand_beside_it(generator: bool) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, {"mean": ops.mean(x), "rows": layers.Rescaling(2.0)(x)})
    data: Any = (X[i : i + 20] for i in range(0, 70, 20)) if generator else X
    found = model.predict(data, batch_size=None if generator else 20, verbose=0)
    np.testing.assert_allclose(found["mean"], MEANS, rtol=1e-6)
    np.testing.assert_array_equal(found["rows"], 2 * X)


def test_a_call_of_ones_own_may_give_one() -> None:
    class Total(keras.Model):
        def call(self, x: Any) -> Any:
            return ops.sum(x)

    ones = np.ones((40, 3), "float32")
    np.testing.assert_array_equal(Total().predict(ones, verbose=0), [96, 24])
    assert Total().predict(ones[:4], verbose=0) == np.float32(12)


def test_it_is_exported(tmp_path: Path) -> None:
    session = pytest.importorskip("onnxruntime")
    x = keras.Input((3,))
    keras.Model(x, ops.mean(x)).export(tmp_path / "m.onnx")
    run = session.InferenceSession(tmp_path / "m.onnx")
    (found,) = run.run(None, {run.get_inputs()[0].name: X[:20]})
    assert found == np.float32(29.5)
