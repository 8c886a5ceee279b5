"""Products in which the batch's size stands anywhere: their gradients against differences in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers, ops


def matrices(xp: Any, x: Any) -> Any:
    return xp.reshape(x, (-1, 3, 3))


# Each with `seqc.ops` and with NumPy.
PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {
    "tensordot_last": lambda xp, x: xp.tensordot(matrices(xp, x), matrices(xp, x), axes=(2, 2)),
    "tensordot_middle": lambda xp, x: xp.tensordot(matrices(xp, x), matrices(xp, x), axes=(1, 1)),
    "tensordot_mixed": lambda xp, x: xp.tensordot(matrices(xp, x), matrices(xp, x), axes=(1, 2)),
    "tensordot_batch": lambda xp, x: xp.tensordot(matrices(xp, x), matrices(xp, x), axes=(0, 0)),
    "tensordot_none": lambda xp, x: xp.tensordot(x, x, axes=0),
    "outer": lambda xp, x: xp.outer(x, x),
    "gram": lambda xp, x: xp.matmul(x, xp.transpose(x)),
    "matmul_broad": lambda xp, x: xp.matmul(matrices(xp, x), xp.transpose(xp.reshape(x, (-1, 3)))),
    "matmul_rows": lambda xp, x: xp.matmul(matrices(xp, x), xp.reshape(x, (3, -1))),
    "dot": lambda xp, x: xp.dot(matrices(xp, x), matrices(xp, x)),
    "einsum_pairs": lambda xp, x: xp.einsum("bij,ckj->bick", matrices(xp, x), matrices(xp, x)),
    "einsum_middle": lambda xp, x: xp.einsum("bij,cjk->bcik", matrices(xp, x), matrices(xp, x)),
    "einsum_batch": lambda xp, x: xp.einsum("bij,bkl->ijkl", matrices(xp, x), matrices(xp, x)),
    "einsum_outer": lambda xp, x: xp.einsum("bij,cd->bijcd", matrices(xp, x), x),
}
# What tells the elements of a result apart, whatever its shape.
WAVE = 0.1


def penalty(xp: Any, y: Any) -> Any:
    return xp.sum(xp.square(y)) * 1e-3 + xp.sum(xp.sin(y)) * WAVE


@pytest.mark.parametrize("rows", [2, 9])
@pytest.mark.parametrize("executor", ["tiled", "naive"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_the_gradient_is_that_of_differences(
    name: str, executor: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQC_EXECUTOR", executor)
    product = PRODUCTS[name]
    rng = np.random.default_rng(3)
    kernel, x = rng.normal(size=(2, 9)) / 2, rng.normal(size=(rows, 2))
    layer = layers.Dense(9, use_bias=False, activity_regularizer=lambda y: penalty(ops, product(ops, y)))
    model = keras.Sequential([keras.Input((2,)), layer])
    model.compile(keras.optimizers.SGD(1.0), lambda y_true, y_pred: 0.0 * ops.sum(y_pred, -1))
    model.set_weights([kernel])
    loss = model.train_on_batch(x.astype("float32"), np.zeros((rows, 9), "float32"))

    def computed(weights: np.ndarray) -> float:
        return float(penalty(np, product(np, x @ weights)) / rows)  # Keras divides by the samples

    np.testing.assert_allclose(loss, computed(kernel), rtol=1e-4, atol=1e-5)
    step = 1e-5
    gradient = np.zeros_like(kernel)
    for at in np.ndindex(*kernel.shape):
        moved = np.zeros_like(kernel)
        moved[at] = step
        gradient[at] = (computed(kernel + moved) - computed(kernel - moved)) / (2 * step)
    found = kernel - model.get_weights()[0]
    np.testing.assert_allclose(found, gradient, rtol=1e-3, atol=1e-4 * np.abs(gradient).max())


def test_a_step_goes_where_keras_goes() -> None:
    """The sum of the kernel's sizes after two steps, as Keras 3.15.1 has it."""

    def penalized(y: Any) -> Any:
        pairs = ops.tensordot(ops.reshape(y, (-1, 3, 3)), ops.reshape(y, (-1, 3, 3)), axes=(2, 2))
        return ops.sum(ops.square(pairs)) * 1e-3

    rng = np.random.default_rng(0)
    model = keras.Sequential([keras.Input((9,)), layers.Dense(9, activity_regularizer=penalized)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    model.set_weights([rng.normal(size=(9, 9)), np.zeros(9)])
    x = rng.normal(size=(4, 9)).astype("float32")
    losses = model.fit(x, np.zeros((4, 9), "float32"), epochs=2, batch_size=4, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, [7.258968, 6.996436], rtol=1e-5)
    np.testing.assert_allclose(np.abs(model.get_weights()[0]).sum(), 63.062119, rtol=1e-6)
