"""Programs that Keras refuses: seqc refuses them too, with an error that the same `except` catches."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seqc as keras
from seqc.errors import SeqcError
from seqc.graph.ir import Array

SHARED = Path(__file__).resolve().parents[3] / "shared" / "oracle" / "errors" / "errors.json"
OWN = Path(__file__).resolve().parents[1] / "cases" / "errors.json"

# Programs that Keras accepts and seqc refuses, and why.
STRICTER = {
    "upsampling_bad_interpolation": "a layer that can only fail when it is called is refused when it is made",
    "fit_zero_batch_size": "batches of no samples train nothing; Keras silently falls back to the default",
    "fit_y_shape_broadcasts": "labels (n, 5) for outputs (n, 1) fit by broadcasting alone, which is a mistake",
    "return_state_in_sequential": "a layer with three results leaves nothing for the next one to stand on",
}
# Where Keras fails by accident inside its own code, and seqc says what is wrong with another type.
BY_ACCIDENT = {"conv2d_unknown_channels"}
# Words that must stand in our message: what came, and what to do.
SAYS = {
    "dense_zero_units": "units=0",
    "add_not_a_layer": "Received: 3",
    "conv2d_rank3_input": "found ndim=3. Full shape received: (None, 8, 3). Put Reshape((8, 3, 1)) before it.",
    "fit_sample_weight_wrong_length": "Data cardinality is ambiguous",
    "fit_without_compile": "compile",
    "pop_empty": "no layers",
    "get_layer_bad_index": "only has 2 layers",
}


def programs() -> list[dict[str, Any]]:
    path = SHARED if SHARED.is_file() else OWN
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def array(described: Any) -> Array:
    if "values" in described:
        return np.array(described["values"], described["dtype"])
    return np.ones(described["shape"], described["dtype"])


def layer(name: str, kwargs: dict[str, Any]) -> keras.layers.Layer:
    made = {k: layer(*v) if is_layer(v) else v for k, v in kwargs.items()}
    return getattr(keras.layers, name)(**made)  # type: ignore[no-any-return]


def is_layer(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict)


class Machine:
    """Runs the steps of a program on seqc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model: Any = None

    def run(self, step: dict[str, Any]) -> None:
        arguments = {k: v for k, v in step.items() if k != "do"}
        getattr(self, f"do_{step['do']}", self.method(step["do"]))(**arguments)

    def method(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            given = {k: array(v) if isinstance(v, dict) and "dtype" in v else v for k, v in arguments.items()}
            if name in ("fit", "evaluate", "predict"):
                given["verbose"] = 0
            if name == "build":
                given = {"input_shape": tuple(given["input_shape"])}
            return getattr(self.model, name)(**given)

        return call

    def do_layer(self, **step: Any) -> None:
        layer(step["class"], step["kwargs"])

    def do_input(self, kwargs: dict[str, Any]) -> None:
        keras.Input(**kwargs)

    def do_sequential(self, layers: list[Any], **step: Any) -> None:
        given = step.get("input")
        head = [] if given is None else [keras.Input(shape=tuple(given["shape"]), dtype=given["dtype"])]
        self.model = keras.Sequential([*head, *(layer(name, kwargs) for name, kwargs in layers)])

    def do_add_value(self, value: Any) -> None:
        self.model.add(value)

    def do_add_input(self, shape: list[int]) -> None:
        self.model.add(keras.Input(shape=tuple(shape)))

    def do_call(self, x: Any) -> None:
        np.asarray(self.model(array(x)))

    def do_attribute(self, name: str) -> None:
        getattr(self.model, name)

    def do_set_weights(self, shapes: list[list[int]]) -> None:
        self.model.set_weights([np.ones(s) for s in shapes])

    def do_save(self, path: str) -> None:
        self.model.save(self.folder / path)

    def do_save_weights(self, path: str) -> None:
        self.model.save_weights(self.folder / path)

    def do_load_weights(self, path: str) -> None:
        self.model.load_weights(self.folder / path)

    def do_load_model(self, path: str) -> None:
        keras.saving.load_model(self.folder / path)

    def do_optimizer(self, **step: Any) -> None:
        getattr(keras.optimizers, step["class"])(**step["kwargs"])

    def do_schedule(self, **step: Any) -> None:
        getattr(keras.optimizers.schedules, step["class"])(**step["kwargs"])

    def do_loss(self, **step: Any) -> None:
        getattr(keras.losses, step["class"])(**step["kwargs"])

    def do_metric(self, **step: Any) -> None:
        getattr(keras.metrics, step["class"])(**step["kwargs"])

    def do_call_loss(self, y_true: Any, y_pred: Any, **step: Any) -> None:
        weight = step.get("sample_weight")
        loss = getattr(keras.losses, step["class"])(**step.get("kwargs", {}))
        np.asarray(loss(array(y_true), array(y_pred), sample_weight=None if weight is None else array(weight)))

    def do_get(self, what: str, identifier: Any) -> None:
        getattr(keras, what).get(identifier)


def lacking(program: list[dict[str, Any]]) -> set[str]:
    """Returns the classes a program names that seqc does not carry."""
    homes = {"optimizer": "optimizers", "schedule": "optimizers.schedules", "loss": "losses", "metric": "metrics"}
    missing: set[str] = set()
    for step in program:
        if step["do"] in homes:
            home = keras
            for part in homes[step["do"]].split("."):
                home = getattr(home, part)
            missing |= set() if hasattr(home, step["class"]) else {step["class"]}
        named = [step["class"]] if step["do"] == "layer" else [n for n, _ in step.get("layers", [])]
        missing |= {n for n in named if not hasattr(keras.layers, n)}
    return missing


def failure(machine: Machine, program: list[dict[str, Any]]) -> Exception:
    """Returns the error that the program ends with."""
    for step in program:
        try:
            machine.run(step)
        except Exception as error:
            return error
    pytest.fail("the program was accepted")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", programs(), ids=lambda c: c["id"])
def test_what_keras_refuses_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    if missing := lacking(case["program"]):
        pytest.skip(f"needs {', '.join(sorted(missing))}")
    machine = Machine(tmp_path)
    expected = case["raises"]
    if expected is None and case["id"] not in STRICTER:
        for step in case["program"]:
            machine.run(step)
        return
    error = failure(machine, case["program"])
    assert str(error).strip(), "the message is empty"
    assert isinstance(error, SeqcError | TypeError | AttributeError), (
        f"{type(error).__name__} is not on purpose: {error}"
    )
    if expected is not None and not expected.get("backend_error") and case["id"] not in BY_ACCIDENT:
        kinds = [getattr(builtins, n) for n in (expected["type"], *expected["bases"]) if hasattr(builtins, n)]
        assert isinstance(error, kinds[0]) or kinds[0] is Exception, f"{type(error).__name__}: {error}"
    assert SAYS.get(case["id"], "") in str(error)
