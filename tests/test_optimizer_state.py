"""What files hold of optimizers, also of those that say it themselves; and weights that get no gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import pytest

import seqc as keras
from seqc import optimizers
from seqc.errors import ConfigError
from seqc.graph.tracing import Variable
from seqc.known_classes import known
from seqc.serialization import custom_object_scope


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: optimizers.Adam(0.5), ["iteration", "learning_rate", "w_momentum", "w_velocity"]),
        (
            lambda: optimizers.LossScaleOptimizer(optimizers.SGD(0.5, momentum=0.5)),
            ["iteration", "learning_rate", "step_counter", "dynamic_scale", "iteration", "learning_rate", "w_momentum"],
        ),
        (
            lambda: optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD(0.5, momentum=0.5))),
            ["iteration", "learning_rate", "iteration", "learning_rate", "w_momentum"],
        ),
    ],
    ids=["plain", "scaled", "several"],
)
def test_own_variables_go_to_a_store_and_back_by_their_number(make: Any, names: list[str]) -> None:
    """Under the keys of Keras 3.15.1, in its order."""
    optimizer, other, w = make(), make(), Variable(np.ones(1, "float32"), name="w")
    store: dict[str, Any] = {}
    optimizer.apply([np.full(1, 7.0, "float32")], [w])
    optimizer.save_own_variables(store)
    assert [v.name for v in optimizer.variables] == names
    assert list(store) == [str(i) for i in range(len(names))]
    with pytest.warns(UserWarning, match=f"whereas the saved optimizer has {len(names)} variables. It is not"):
        other.load_own_variables(store)
    assert int(other.iterations) == 0
    other.build([w])
    other.load_own_variables(store)
    for mine, loaded in zip(optimizer.variables, other.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), loaded.numpy())


@known("optimizers")
class Forgetful(optimizers.SGD):
    """Stores the learning rate alone."""

    def save_own_variables(self, store: Any) -> None:
        store["rate"] = self.learning_rate.numpy()

    def load_own_variables(self, store: Any) -> None:
        self.learning_rate = store["rate"]


def test_an_optimizer_may_say_itself_what_a_file_holds_of_it(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(Forgetful(0.5, momentum=0.5), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", custom_objects={"Forgetful": Forgetful}).optimizer
    assert (float(loaded.learning_rate), int(loaded.iterations)) == (0.5, 0)
    assert len(loaded.variables) == 4


@known("optimizers")
class Counting(optimizers.SGD):
    """Stores something more."""

    more = 0.0

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        store["more"] = np.array([7.0])

    def load_own_variables(self, store: Any) -> None:
        self.more = float(store["more"][0])
        super().load_own_variables({name: store[name] for name in store if name != "more"})


@pytest.mark.parametrize("epochs", [0, 2])
@pytest.mark.parametrize(
    ("around", "path"),
    [
        (optimizers.LossScaleOptimizer, "optimizer/inner_optimizer/vars"),
        (lambda one: optimizers.MultiOptimizer(optimizers.OptimizerMap(one)), "optimizer/optimizers/counting/vars"),
    ],
)
def test_an_optimizer_inside_another_says_what_a_file_holds_of_it(
    around: Any, path: str, epochs: int, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(around(Counting(0.5, momentum=0.5)), "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), epochs=epochs, verbose=0)
    model.save(tmp_path / "model.keras")
    with ZipFile(tmp_path / "model.keras") as file:
        assert "more" in h5py.File(file.open("model.weights.h5"))[path]
    with custom_object_scope({"Counting": Counting}):
        loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.inner_optimizers[0].more == 7.0
    for one in (model, loaded):
        one.fit(np.ones((4, 2)), np.zeros((4, 1)), verbose=0)
    for got, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_weights_behind_a_sign_get_zeros_as_in_tensorflow_and_behind_rounding_nothing() -> None:
    def fitted(step: Any) -> list[Any]:
        x = keras.Input((2,))
        y = keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones")(x)
        model = keras.Model(x, step(y))
        model.compile(optimizers.AdamW(0.1, weight_decay=0.5), "mse")
        model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
        return [w.ravel().tolist() for w in model.get_weights()]

    for got, expected in zip(fitted(keras.ops.sign), [[0.95, 0.95], [0.95]], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6)  # decayed: of Keras
    for step in (keras.ops.round, keras.ops.floor, keras.ops.ceil):
        with pytest.raises(ConfigError, match="No gradients provided for any variable."):
            fitted(step)


def test_a_weight_that_the_loss_does_not_depend_on_is_left_as_it_is_by_weight_decay_too() -> None:
    # Keras 3.15.1 on TensorFlow: what only a choice goes through has no gradient, and gets no step.
    x = keras.Input((3,))
    first, second = keras.layers.Dense(2), keras.layers.Dense(2)
    choice = keras.ops.cast(keras.ops.argmax(first(x), -1, keepdims=True), "float32")
    model = keras.Model(x, second(choice))
    for n, weight in enumerate(model.weights):
        weight.assign(np.full(weight.shape, n + 1.0))
    model.compile(optimizers.AdamW(0.1, weight_decay=0.1), "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), epochs=2, verbose=0)
    found = [float(weight.ravel()[0]) for weight in model.get_weights()]
    np.testing.assert_allclose(found, [1.0, 2.0, 2.9403, 3.72156], rtol=1e-5)
