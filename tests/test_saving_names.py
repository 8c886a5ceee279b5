"""What a model file names, the user's own things among them, and what it keeps of `compile`."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kit.keras_files import assert_same_weights, change_config, change_weights, read_arrays, read_config, small_model
from seqc import layers, saving
from seqc.errors import SavingError
from seqc.saving import load_model, save_model
from seqc.sequential import Sequential


@pytest.fixture
def model() -> Sequential:
    return small_model()


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(5, 4)).astype("float32")


@pytest.fixture
def saved(model: Sequential, tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    save_model(model, path)
    return path


# -- what a file may name --------------------------------------------------------------------------------------------


def test_a_registered_layer_round_trips(tmp_path: Path, x: np.ndarray) -> None:
    @saving.register_keras_serializable(package="tests")
    class Scaled(layers.Layer):
        def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape: Any) -> None:
            self.shift = self.add_weight((input_shape[-1],), "zeros", name="shift")

        def call(self, x: Any) -> Any:
            return x * self.factor + self.shift

    model = Sequential([layers.Input((4,)), Scaled(2.5, name="scaled")])
    model.set_weights([np.arange(4)])
    save_model(model, tmp_path / "custom.keras")
    entry = read_config(tmp_path / "custom.keras")["config"]["layers"][1]
    assert entry["registered_name"] == "tests>Scaled"
    assert entry["config"]["factor"] == 2.5
    loaded = load_model(tmp_path / "custom.keras")
    assert type(loaded.layers[0]) is Scaled
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_layers_kept_in_attributes_lists_and_dictionaries_are_saved(tmp_path: Path, x: np.ndarray) -> None:
    class Block(layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._hidden = layers.Dense(4, name="hidden")
            self.stack = []
            for i in range(2):
                self.stack.append(layers.Dense(4, name=f"stack_{i}"))
            self.named = {"out": layers.Dense(3, name="out")}

        def call(self, x: Any) -> Any:
            for layer in (self._hidden, *self.stack, self.named["out"]):
                x = layer(x)
            return x

    model = Sequential([layers.Input((4,)), Block()])
    save_model(model, tmp_path / "block.keras")
    assert sorted(path for path in read_arrays(tmp_path / "block.keras") if path.endswith("/0")) == [
        "layers/block/_hidden/vars/0",
        "layers/block/named/dense/vars/0",
        "layers/block/stack/dense/vars/0",
        "layers/block/stack/dense_1/vars/0",
    ]
    loaded = load_model(tmp_path / "block.keras", custom_objects={"Block": Block})
    assert len(loaded.weights) == 8
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_a_layer_may_store_its_own_arrays(tmp_path: Path) -> None:
    class Counter(layers.Layer):
        seen = 0

        def call(self, x: Any) -> Any:
            return x

        def save_own_variables(self, store: Any) -> None:
            store["seen"] = np.array(self.seen)

        def load_own_variables(self, store: Any) -> None:
            self.seen = int(store["seen"])

    model = Sequential([layers.Input((1,)), Counter()])
    model.layers[0].seen = 7
    save_model(model, tmp_path / "counter.keras")
    assert load_model(tmp_path / "counter.keras", custom_objects={"Counter": Counter}).layers[0].seen == 7


def test_unknown_layers_are_all_named(saved: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        for entry, name in zip(config["config"]["layers"][1:3], ("Fancy", "Fancier"), strict=True):
            entry |= {"class_name": name, "module": "their.package", "registered_name": f"their>{name}"}

    with pytest.raises(SavingError, match="needs layers that seqc does not have: their>Fancy 'first', their>Fancier"):
        load_model(change_config(saved, change))


def test_an_option_that_a_layer_does_not_have_names_the_layer(saved: Path) -> None:
    change_config(saved, lambda config: config["config"]["layers"][1]["config"].update(future_option=3))
    with pytest.raises(SavingError, match="Dense 'first' cannot be made from its configuration .*future_option"):
        load_model(saved)


def test_an_empty_option_of_another_version_is_left_out(model: Sequential, saved: Path) -> None:
    change_config(saved, lambda config: config["config"]["layers"][1]["config"].update(future_option=None))
    assert_same_weights(model, load_model(saved))


def test_a_stack_that_is_called_a_functional_model_has_no_ends(saved: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config |= {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional"}

    with pytest.raises(SavingError, match="In Functional 'small': The model's configuration names its ends by None"):
        load_model(change_config(saved, change))


def test_own_functions_are_found_by_name_only(tmp_path: Path, x: np.ndarray) -> None:
    from seqc import ops

    def double(x: Any) -> Any:
        return ops.multiply(x, 2.0)

    model = Sequential([layers.Input((4,)), layers.Dense(2, activation=double)])
    save_model(model, tmp_path / "own.keras")
    assert read_config(tmp_path / "own.keras")["config"]["layers"][1]["config"]["activation"]["config"] == "double"
    with pytest.raises(SavingError, match="In Dense 'dense.*': .*the function 'double'.*custom_objects"):
        load_model(tmp_path / "own.keras")
    loaded = load_model(tmp_path / "own.keras", custom_objects={"double": double})
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    with saving.custom_object_scope({"double": double}):
        load_model(tmp_path / "own.keras")


def test_a_lambda_is_not_saved(tmp_path: Path) -> None:
    model = Sequential([layers.Input((4,)), layers.Dense(2, activation=lambda x: x)])
    with pytest.raises(SavingError, match="a file holds functions by name, never their code"):
        save_model(model, tmp_path / "lambda.keras")


def test_names_of_the_registry_are_keras_names() -> None:
    @saving.register_keras_serializable("shop", "renamed")
    def function(x: Any) -> Any:
        return x

    assert saving.get_registered_name(function) == "shop>renamed"
    assert saving.get_registered_object("shop>renamed") is function
    assert saving.get_registered_object("shop>other") is None
    assert saving.get_custom_objects()["shop>renamed"] is function
    described = saving.serialize_keras_object(layers.Dense(3, name="d"))
    assert saving.deserialize_keras_object(described).units == 3
    with pytest.raises(ValueError, match="does not have a get_config"):
        saving.register_keras_serializable()(type("Bare", (), {}))


@pytest.mark.slow
def test_reading_the_package_does_not_read_h5py() -> None:
    code = "import sys, seqc.saving; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0


# -- compiled models -------------------------------------------------------------------------------------------------


@pytest.fixture
def compiled() -> Sequential:
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="tanh"), layers.Dense(2)])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


@pytest.fixture
def y(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(5, 2)).astype("float32")


def test_training_goes_on_where_it_stopped(compiled: Sequential, tmp_path: Path, x: np.ndarray, y: np.ndarray) -> None:
    for _ in range(3):
        compiled.train_on_batch(x, y)
    compiled.save(tmp_path / "half.keras")
    loaded = load_model(tmp_path / "half.keras")
    assert loaded.compiled
    assert int(loaded.optimizer.iterations.numpy()) == 3
    for a, b in zip(loaded.optimizer.variables, compiled.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for _ in range(2):
        assert loaded.train_on_batch(x, y, return_dict=True) == compiled.train_on_batch(x, y, return_dict=True)
    assert_same_weights(compiled, loaded)


def test_compile_false_and_include_optimizer_false_leave_things_out(
    compiled: Sequential, tmp_path: Path, x: np.ndarray, y: np.ndarray
) -> None:
    compiled.train_on_batch(x, y)
    compiled.save(tmp_path / "with.keras")
    assert not load_model(tmp_path / "with.keras", compile=False).compiled
    compiled.save(tmp_path / "without.keras", include_optimizer=False)
    assert not any(path.startswith("optimizer") for path in read_arrays(tmp_path / "without.keras"))
    assert int(load_model(tmp_path / "without.keras").optimizer.iterations.numpy()) == 0


def test_a_model_that_never_trained_keeps_its_learning_rate(compiled: Sequential, tmp_path: Path) -> None:
    compiled.optimizer.learning_rate = 0.125
    compiled.save(tmp_path / "fresh.keras")
    assert sorted(p for p in read_arrays(tmp_path / "fresh.keras") if p.startswith("opt")) == [
        "optimizer/vars/0",
        "optimizer/vars/1",
    ]
    assert float(load_model(tmp_path / "fresh.keras").optimizer.learning_rate.numpy()) == 0.125


def test_the_optimizer_that_keras_on_torch_names_is_found(compiled: Sequential, tmp_path: Path) -> None:
    compiled.save(tmp_path / "torch.keras")

    def change(config: dict[str, Any]) -> None:
        optimizer = config["compile_config"]["optimizer"]
        optimizer["module"] = "keras.src.backend.torch.optimizers.torch_adam"
        optimizer["registered_name"] = "Adam"

    loaded = load_model(change_config(tmp_path / "torch.keras", change))
    assert type(loaded.optimizer) is type(compiled.optimizer)


def test_other_slots_than_the_optimizer_has_start_anew(
    compiled: Sequential, tmp_path: Path, x: np.ndarray, y: np.ndarray
) -> None:
    compiled.train_on_batch(x, y)
    compiled.save(tmp_path / "model.keras")
    change_weights(tmp_path / "model.keras", lambda f: f.pop("optimizer/vars/9"))
    with pytest.warns(UserWarning, match="holds 9 variables for optimizer 'adam.*', which has 10. It starts anew"):
        loaded = load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations.numpy()) == 0


def test_a_file_that_lacks_some_of_the_optimizer_gives_the_model_with_a_new_one(
    compiled: Sequential, tmp_path: Path, x: np.ndarray, y: np.ndarray
) -> None:
    compiled.train_on_batch(x, y)
    path = tmp_path / "model.h5"
    with pytest.warns(UserWarning, match="legacy"):
        compiled.save(path)
    with h5py.File(path, "r+") as file:
        group = file["optimizer_weights"]
        names = list(group.attrs["weight_names"])
        del group[names[-1]]
    with pytest.warns(UserWarning, match="lists 10 arrays as the state of its optimizer and holds 9. It starts anew"):
        loaded = load_model(path)
    assert int(loaded.optimizer.iterations.numpy()) == 0
    assert_same_weights(compiled, loaded)
    loaded.train_on_batch(x, y)
    with h5py.File(path, "r+") as file:  # one array twice is one array too few
        file["optimizer_weights"].attrs["weight_names"] = [*names[:-1], names[-2]]
    with pytest.warns(UserWarning, match="lists 10 arrays .* holds 9"):
        load_model(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_weights(compiled, load_model(path, compile=False))


def test_a_loss_that_seqc_lacks_says_how_to_load_the_rest(compiled: Sequential, tmp_path: Path) -> None:
    compiled.save(tmp_path / "model.keras")
    change_config(tmp_path / "model.keras", lambda config: config["compile_config"].update(loss="their_loss"))
    with pytest.warns(UserWarning, match="compile.. .* cannot be restored, .*uncompiled: .*their_loss.*compile=False"):
        assert not load_model(tmp_path / "model.keras").compiled
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not load_model(tmp_path / "model.keras", compile=False).compiled


def test_weights_alone_carry_the_optimizer_too(
    compiled: Sequential, tmp_path: Path, x: np.ndarray, y: np.ndarray
) -> None:
    compiled.train_on_batch(x, y)
    compiled.save_weights(tmp_path / "model.weights.h5")
    other = load_model(_saved_again(compiled, tmp_path))
    other.optimizer.iterations.assign(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_weights(tmp_path / "model.weights.h5")
    assert int(other.optimizer.iterations.numpy()) == 1


def _saved_again(model: Any, folder: Path) -> Path:
    model.save(folder / "again.keras")
    return folder / "again.keras"
