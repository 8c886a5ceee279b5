"""Optimizers around others: of a scaled loss, and of several optimizers for several variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import optimizers
from seqc.errors import ConfigError
from seqc.graph.tracing import Variable


def variable(*values: float, name: str = "w", **options: Any) -> Variable:
    return Variable(np.array(values, "float32"), name=name, **options)


def scaled(inner: Any, *given: Any, **named: Any) -> Any:
    return optimizers.LossScaleOptimizer(inner, *given, **named)


@pytest.mark.parametrize("inner", [{}, {"gradient_accumulation_steps": 2}, {"use_ema": True}], ids=str)
def test_a_step_with_gradients_that_are_not_finite_changes_the_loss_scale_alone(inner: dict[str, Any]) -> None:
    optimizer, w = scaled(optimizers.SGD(0.5, momentum=0.5, **inner), 8.0, 3), variable(1.0, 2.0)
    optimizer.build([w])
    scales, counts = [], []
    for gradient in ([8.0, 8.0], [8.0, np.inf], [np.nan, 8.0], [8.0, 8.0], [8.0, 8.0], [8.0, 8.0], [8.0, 8.0]):
        before = [v.numpy() for v in (w, *optimizer.inner_optimizer.variables)]
        optimizer.apply([np.array(gradient, "float32")])
        same = all(map(np.array_equal, before, [v.numpy() for v in (w, *optimizer.inner_optimizer.variables)]))
        assert same == (not np.isfinite(gradient).all())
        scales.append(float(optimizer.dynamic_scale))
        counts.append(int(optimizer.step_counter))
    assert scales == [8.0, 4.0, 2.0, 2.0, 2.0, 4.0, 4.0]
    assert counts == [1, 0, 0, 1, 2, 0, 1]
    assert int(optimizer.steps_seen) == 5


def test_a_loss_is_multiplied_by_the_scale_that_gradients_are_divided_by() -> None:
    optimizer, w = scaled(optimizers.SGD(1.0), 4.0), variable(3.0)
    assert float(optimizer.scale_loss(2.0)) == 8.0
    optimizer.build([w])
    assert float(optimizer.scale_loss(2.0)) == 8.0
    optimizer.apply([np.array([8.0], "float32")])
    assert float(w.array[0]) == 1.0
    optimizer.learning_rate = 0.25
    assert float(optimizer.inner_optimizer.learning_rate) == 0.25


def test_a_multi_optimizer_chooses_by_path_pattern_and_function() -> None:
    fast, slow, other = optimizers.SGD(1.0), optimizers.SGD(0.5), optimizers.SGD(0.25)
    by_path = optimizers.OptimizerMap(other, {"encoder/w": fast})
    by_path["encoder/.*"] = slow
    variables = [variable(0.0, name=name) for name in ("encoder/w", "encoder/v", "decoder/w")]
    for chosen in (by_path, lambda v: by_path[v.path]):
        optimizer = optimizers.MultiOptimizer(chosen)
        for v in variables:
            v.assign([0.0])
        optimizer.apply([np.ones(1, "float32")] * 3, variables)
        assert [float(v.array[0]) for v in variables] == [-1.0, -0.5, -0.25]
        assert optimizer.optimizers == [fast, slow, other]
    by_path["enc.*"] = other
    with pytest.raises(ConfigError, match="Multiple optimizers assigned to variable encoder/v"):
        by_path["encoder/v"]
    with pytest.raises(ConfigError, match="'encoder/w' already exists in the OptimizerMap"):
        by_path["encoder/w"] = slow
    with pytest.raises(ConfigError, match="optimizer must be a Keras Optimizer instance. Received: x"):
        optimizers.MultiOptimizer(lambda v: "x").build(variables)  # type: ignore[arg-type, return-value]
    for ask in (lambda: optimizer.learning_rate, lambda: setattr(optimizer, "learning_rate", 1.0)):
        with pytest.raises(AttributeError, match="on the individual sub-optimizers instead"):
            ask()


def test_a_factor_of_the_loss_set_on_a_multi_optimizer_is_that_of_all_inside() -> None:
    inner, w = optimizers.SGD(1.0, loss_scale_factor=3.0), variable(0.0)
    optimizer = scaled(optimizers.MultiOptimizer(optimizers.OptimizerMap(inner), loss_scale_factor=2.0), 4.0)
    optimizer.apply([np.array([4.0], "float32")], [w])
    assert float(w.array[0]) == -1.0


def test_a_loss_scaled_in_a_step_before_its_optimizer_is_built_follows_the_scale() -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
            self.other = scaled(optimizers.SGD(0.5), 4.0, 1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def train_step(self, data: Any) -> Any:
            with keras.GradientTape() as tape:
                loss = keras.ops.mean(self(data[0], training=True))
                whole = self.other.scale_loss(loss)
            self.other.apply(tape.gradient(whole, self.trainable_weights), self.trainable_weights)
            return {"loss": loss}

    model = Model()
    model.compile()
    model.fit(np.ones((4, 1)), np.ones((4, 1)), batch_size=1, shuffle=False, verbose=0)
    assert float(model.other.dynamic_scale) == 64.0
    assert float(model.dense.kernel.array[0, 0]) == 1.0 - 4 * 0.5


@pytest.mark.parametrize(
    ("make", "who"),
    [
        (lambda: optimizers.Muon(exclude_layers=["model/dense"]), "exclude_layers"),
        (
            lambda: optimizers.MultiOptimizer(
                optimizers.OptimizerMap(optimizers.SGD(), {"model/d.*": optimizers.SGD()})
            ),
            "OptimizerMap",
        ),
    ],
)
def test_a_pattern_that_matches_no_variable_is_said(make: Any, who: str) -> None:
    with pytest.warns(UserWarning, match=f"The pattern 'model/d.*' of {who} matches the path of no variable. They are"):
        make().build([variable(1.0, name="dense/kernel")])
