"""The names that objects of Keras 3.15.1 have, beside those of seqc's: each is there, or refused with a reason."""

from __future__ import annotations

import json
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import layers
from seqc.errors import ConfigError, SeqcError, ShapeError
from seqc.layers._surface import REFUSED

# By class, what `dir` of an object of Keras's lists.
RECORDED = json.loads((Path(__file__).parent / "cases" / "surface.json").read_text())
# Names that are of no use outside of Keras's backends, or that seqc's own files and steps make needless.
INNER = {
    "Variable": {"aggregation", "handle", "overwrite_with_gradient", "synchronization"},
    "KerasTensor": {"ragged_rank", "record_history", "row_splits_dtype"},
    "Optimizer": {"stateless_apply"},
    "Functional": {"operations"},
}


def _there(module: Any, name: str) -> Any:
    """Returns what a dotted name means, None where seqc does not carry it."""
    try:
        return attrgetter(name)(module) if name else module
    except (AttributeError, ImportError):
        return None


class Own(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.last = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.last(x)


def objects() -> dict[str, Any]:
    x, dense = keras.Input((3,), name="image"), layers.Dense(2)
    return {
        "Layer": keras.Layer(),
        "Dense": dense,
        "Functional": keras.Model(x, dense(x)),
        "Model": Own(),
        "Sequential": keras.Sequential([keras.Input((3,)), layers.Dense(2)]),
        "Variable": dense.kernel,
        "KerasTensor": x,
        "Metric": keras.metrics.Mean(),
        "Optimizer": keras.optimizers.Adam(),
    }


NAMES = json.loads((Path(__file__).parent / "cases" / "keras_names.json").read_text())
MODULES = {name: module for name in NAMES if isinstance(module := _there(keras, name), ModuleType)}


@pytest.mark.parametrize("name", MODULES)
def test_dir_of_a_namespace_lists_what_it_has_of_keras_and_nothing_that_it_imports(name: str) -> None:
    module = MODULES[name]
    listed = [entry for entry in dir(module) if not entry.startswith("__")]
    assert {entry for entry in NAMES[name].split() if _there(module, entry) is not None} <= set(listed)
    for entry in listed:
        found = _there(module, entry)
        home = getattr(found, "__name__" if isinstance(found, ModuleType) else "__module__", "seqc")
        assert str(home).startswith("seqc"), entry


@pytest.mark.parametrize("kind", RECORDED)
def test_every_name_is_there_or_refused_with_what_to_do(kind: str) -> None:
    one = objects()[kind]
    missing = set(RECORDED[kind]) - set(dir(one))
    assert missing - set(REFUSED) == INNER.get(kind, set())
    for name in missing & set(REFUSED):
        with pytest.raises(AttributeError, match=rf"of seqc has no '{name}'\. \w"):
            getattr(one, name)


def test_symbols_say_what_they_are() -> None:
    x = keras.Input((4,), name="image")
    y = layers.Dense(6, name="last")(x)
    assert (x.name, y.name, y.sparse, y.ndim) == ("image", "last", False, 2)
    model = keras.Model(x, y.reshape(-1, 3, 2).squeeze() + 1.0)
    assert model.predict(np.ones((5, 4)), verbose=0).shape == (5, 3, 2)


def test_a_spec_tells_what_a_call_would_give_and_records_nothing() -> None:
    layer = layers.LSTM(3, return_state=True, dtype="mixed_float16")
    found = layer.compute_output_spec(keras.Input((5, 2)))
    assert [(y.shape, y.dtype) for y in found] == [((None, 3), "float16")] * 3
    with pytest.raises(AttributeError, match="never been called"):
        layer.output  # noqa: B018
    assert layer.symbolic_call(keras.Input((5, 2)))[0].shape == (None, 3)
    assert layer.call_signature_parameters == ["sequences", "initial_state", "mask", "training"]


def test_a_stateless_call_leaves_the_layer_as_it_is() -> None:
    layer = layers.BatchNormalization(momentum=0.5)
    x = np.array([[1.0], [3.0]], np.float32)
    layer(x)
    before = layer.get_weights()
    trained, others = (
        [np.array([2.0], np.float32), np.array([1.0], np.float32)],
        [np.array([10.0], np.float32), np.array([4.0], np.float32)],
    )
    y, after = layer.stateless_call(trained, others, x, training=True)
    np.testing.assert_allclose(y, [[-1.0], [3.0]], atol=2e-3)  # 2 * (-1, 1) + 1
    np.testing.assert_allclose(after, [[6.0], [2.5]])
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ShapeError, match="has 4 variables of these kinds; got 1"):
        layer.stateless_call(trained[:1], [], x)
    with pytest.raises(ShapeError):
        layer.stateless_call([np.zeros(7), trained[1]], others, x)
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    penalized = layers.Dense(1, kernel_regularizer="l2")
    penalized.build((None, 1))
    _, _, (loss,) = penalized.stateless_call([np.array([[3.0]], np.float32), np.zeros(1)], [], x, return_losses=True)
    assert loss == pytest.approx(0.09)


def test_a_metric_without_its_state() -> None:
    metric = keras.metrics.Mean()
    metric.update_state([1.0, 3.0])
    state = metric.stateless_update_state(metric.stateless_reset_state(), [4.0, 8.0, 9.0])
    assert (metric.stateless_result(state), float(metric.result())) == (7.0, 2.0)


def test_the_states_of_a_model_as_a_tree() -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="first"), layers.BatchNormalization(name="b")])
    model.compile(keras.optimizers.Adam(name="mine"), "mse", metrics=["mae"])
    model.train_on_batch(np.ones((2, 3)), np.ones((2, 2)))
    states = model.get_state_tree("numpy_array")
    assert states["trainable_variables"]["first"]["kernel"].shape == (3, 2)
    assert states["optimizer_variables"]["mine"]["iteration"] == 1
    states["trainable_variables"]["first"]["kernel"] = np.full((3, 2), 0.5)
    model.set_state_tree({"trainable_variables": states["trainable_variables"]})
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), 0.5)
    with pytest.raises(ConfigError, match="has no 'second/kernel' among its trainable_variables"):
        model.set_state_tree({"trainable_variables": {"second": {"kernel": 0}}})


def test_a_built_configuration_makes_the_weights_again() -> None:
    first, second = layers.Dense(2), layers.Dense(2)
    first.build((None, 3))
    second.build_from_config(first.get_build_config())
    assert second.kernel.shape == (3, 2)
    merged = layers.Concatenate()
    merged.build_from_config({"input_shape": [[None, 2], [None, 3]]})
    assert merged.built
    with pytest.raises(ConfigError, match=r"cannot be built from .* alone .*value_shape.*Call it on tensors"):
        layers.MultiHeadAttention(2, 3).build_from_config({"query_shape": [None, 4, 3]})
    with pytest.raises(SeqcError, match=r"support quantization_config='int8' .* quantize the exported file"):
        layers.Dense(2, quantization_config="int8")


def test_float16_scales_the_loss_unless_told_otherwise() -> None:
    def made(policy: str, **settings: Any) -> keras.Model:
        last = layers.Dense(1, kernel_initializer="ones", dtype=policy)
        model = keras.Sequential([keras.Input((1,)), last], dtype=policy)
        model.compile(keras.optimizers.SGD(1.0), "mse", **settings)
        return model

    for plain in (made("mixed_float16", auto_scale_loss=False), made("mixed_bfloat16"), made("float32")):
        assert isinstance(plain.optimizer, keras.optimizers.SGD)
    scaled = made("mixed_float16")
    assert isinstance(scaled.optimizer, keras.mixed_precision.LossScaleOptimizer)
    x, y = np.array([[1.0]], np.float32), np.array([[0.9]], np.float32)
    # 2 * 0.1 * 32768 fits into float16; 2 * 2 * 32768 does not, so that the scale halves and nothing else happens.
    scaled.train_on_batch(x, y)
    assert scaled.layers[0].kernel.numpy() == pytest.approx(0.8, abs=2e-3)
    kept = scaled.layers[0].kernel.numpy()
    scaled.train_on_batch(x, y - 1000.0)
    np.testing.assert_array_equal(scaled.layers[0].kernel.numpy(), kept)
    assert scaled.optimizer.dynamic_scale.numpy() == 2.0**14
