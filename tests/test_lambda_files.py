"""Lambda layers in files: the name of a function, never its code; and in clones, the function itself."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc import activations, layers, ops
from seqc.errors import ConfigError, SavingError

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], "float32")


@keras.saving.register_keras_serializable("lambdas")
def times(x: Any, factor: float = 2.0) -> Any:
    return x * factor


def plain(x: Any) -> Any:
    return x * 3.0


def shown(inputs: Any, mask: Any = None) -> Any:
    return mask


def shape_of(shape: Any) -> Any:
    return shape


def model_of(function: Any, **more: Any) -> Any:
    return keras.Sequential([keras.Input((3,)), layers.Lambda(function, name="lam", **more)])


CASES: dict[str, tuple[Any, dict[str, Any], np.ndarray]] = {
    "registered": (times, {}, 2 * X),
    "arguments": (times, {"arguments": {"factor": 4.0}}, 4 * X),
    "unregistered": (plain, {}, 3 * X),
    "everything": (plain, {"output_shape": shape_of, "mask": shown}, 3 * X),
    "shape": (plain, {"output_shape": (3,)}, 3 * X),
    "activation": (activations.relu, {}, np.maximum(X, 0)),
    "operation": (ops.abs, {}, np.abs(X)),
}
OWN = {"plain": plain, "shown": shown, "shape_of": shape_of}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("case", CASES)
def test_a_function_with_a_name_is_saved_and_found_by_it(case: str, ending: str, tmp_path: Path) -> None:
    function, more, expected = CASES[case]
    path = tmp_path / f"m.{ending}"
    model_of(function, **more).save(path)
    again: Any = keras.saving.load_model(path, custom_objects=OWN if function is plain else None)
    np.testing.assert_allclose(again.predict(X, verbose=0), expected, rtol=1e-6)
    assert again.layers[-1].function is function
    assert again.layers[-1].get_config() == model_of(function, **more).layers[-1].get_config()
    from_text = keras.models.model_from_json(again.to_json(), OWN)
    np.testing.assert_allclose(from_text.predict(X, verbose=0), expected, rtol=1e-6)


def test_who_loads_an_unregistered_function_must_bring_it(tmp_path: Path) -> None:
    model_of(plain).save(tmp_path / "m.keras")
    with pytest.raises(SavingError, match=r"In Lambda 'lam': The file needs the function 'plain' .*custom_objects"):
        keras.saving.load_model(tmp_path / "m.keras")


# As Keras 3.15.1 writes them: every function is of "builtins", whoever has made it.
OF_KERAS: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
    "lambdas>times": (2 * X, {"arguments": {}}),
    "plain": (3 * X, {"arguments": {}, "output_shape": [3]}),
    "relu": (np.maximum(X, 0), {"arguments": {}}),
}


@pytest.mark.parametrize("name", OF_KERAS)
def test_what_keras_wrote_is_read(name: str) -> None:
    expected, more = OF_KERAS[name]
    config = json.loads(model_of(times).to_json())
    function = {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}
    config["config"]["layers"][1]["config"] = {"name": "lam", "trainable": True, "function": function, **more}
    made = keras.models.model_from_json(json.dumps(config), OWN)
    np.testing.assert_allclose(made.predict(X, verbose=0), expected, rtol=1e-6)


def test_keras_finds_what_seqc_writes() -> None:
    """Keras looks for names of its own in the module that is said, and for "builtins" in those of activations."""
    found = {case: layers.Lambda(function).get_config()["function"] for case, (function, _, _) in CASES.items()}
    assert found["activation"] == {
        "module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"
    }  # fmt: skip
    assert (found["operation"]["module"], found["operation"]["config"]) == ("keras.ops", "absolute")
    assert (found["registered"]["class_name"], found["registered"]["config"]) == ("function", "lambdas>times")


def test_what_keras_2_wrote_is_read_where_it_is_no_code() -> None:
    layer = {"name": "lam", "trainable": True, "dtype": "float32", "function": "plain", "function_type": "function",
             "module": "__main__", "output_shape": None, "output_shape_type": "raw", "output_shape_module": None,
             "arguments": {}}  # fmt: skip
    start = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 3], "dtype": "float32", "name": "i"}}
    listed = [start, {"class_name": "Lambda", "config": layer}]
    described = {"class_name": "Sequential", "config": {"name": "s", "layers": listed}, "keras_version": "2.9.0"}
    made = keras.models.model_from_json(json.dumps(described), OWN)
    np.testing.assert_allclose(made.predict(X, verbose=0), 3 * X, rtol=1e-6)
    layer |= {"function": ["4wEAAAA=", None, None], "function_type": "lambda"}
    with pytest.raises(SavingError, match="holds a Lambda 'lam', which is code"):
        keras.models.model_from_json(json.dumps(described), OWN)


CODE = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}


@pytest.mark.parametrize(
    "changes",
    [
        {"function": CODE}, {"output_shape": CODE}, {"mask": CODE}, {"function": ["4wEAAAA=", None, None]},
        {"function": "4wEAAAA=", "function_type": "lambda"}, {"function": "plain"}, {"function": None},
    ],
    ids=str,
)  # fmt: skip
def test_code_stays_refused(changes: dict[str, Any]) -> None:
    config = json.loads(model_of(times).to_json())
    config["config"]["layers"][1]["config"] |= changes
    with pytest.raises(SavingError, match="holds a Lambda 'lam', which is code"):
        keras.models.model_from_json(json.dumps(config), OWN)


@pytest.mark.parametrize("module", ["builtins", "os", "keras.ops", "keras.saving", "seqc.saving"])
@pytest.mark.parametrize("name", ["eval", "load_model", "system", "convert_to_numpy"])
def test_no_other_function_is_found_by_a_name_in_a_file(module: str, name: str) -> None:
    config = json.loads(model_of(times).to_json())
    config["config"]["layers"][1]["config"]["function"] = {
        "module": module, "class_name": "function", "config": name, "registered_name": name
    }  # fmt: skip
    with pytest.raises(SavingError, match=f"needs the function '{name}' .module '{module}'"):
        keras.models.model_from_json(json.dumps(config))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, r"Layer 'lam' is a Lambda, whose function no file can hold: Cannot save the function .*<lambda>"),
        (ops.flip, "Of seqc's own functions files name activations and element-wise ones, and not flip"),
    ],
    ids=["lambda", "flip"],
)
def test_what_has_no_name_is_refused_before_anything_is_written(
    function: Callable[..., Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((ConfigError, SavingError), match=message):
        model_of(function).save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def closure(factor: float) -> Callable[[Any], Any]:
    return lambda x: x * factor


def functional(layer: Any) -> Any:
    x = keras.Input((3,))
    return keras.Model(x, layer(x))


@pytest.mark.parametrize(
    "make",
    [
        lambda function: model_of(function),
        lambda function: functional(layers.Lambda(function)),
        lambda function: functional(functional(layers.Lambda(function))),
        lambda function: model_of(lambda x: function(x)),
        lambda function: functional(layers.Activation(function)),
    ],
    ids=["stack", "graph", "nested", "lambda", "activation"],
)
@pytest.mark.parametrize("function", [times, plain, closure(1.5), ops.abs, activations.relu])
def test_clones_call_the_same_function(make: Any, function: Any) -> None:
    model = make(function)
    expected = model.predict(X, verbose=0)
    for clone in (keras.models.clone_model(model), copy.deepcopy(model)):
        np.testing.assert_array_equal(clone.predict(X, verbose=0), expected)
        if getattr(model.layers[-1], "function", None) is function:
            assert clone.layers[-1].function is function


def test_layers_around_a_lambda_are_cloned_too() -> None:
    x = keras.Input((4, 3))
    model = keras.Model(x, layers.TimeDistributed(layers.Lambda(closure(2.5)))(x))
    rows = np.arange(12.0, dtype="float32").reshape(1, 4, 3)
    np.testing.assert_allclose(keras.models.clone_model(model).predict(rows, verbose=0), 2.5 * rows)


def test_a_named_function_is_pickled() -> None:
    again = pickle.loads(pickle.dumps(model_of(plain)))
    np.testing.assert_allclose(again.predict(X, verbose=0), 3 * X, rtol=1e-6)
