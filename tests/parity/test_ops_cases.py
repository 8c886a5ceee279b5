"""`seqc.ops` gives what `keras.ops` gave for the same call: the dtype, the shape and the numbers."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any

import numpy as np
import pytest

from kit.keras_ops_cases import CASES, FAMILIES, FOLDER, SIGNATURES, shown
from seqc import ops

RECORDS = {family: json.loads((FOLDER / f"{family}.json").read_text(encoding="utf-8")) for family in FAMILIES}
EXPECTED: dict[str, Any] = {name: row for record in RECORDS.values() for name, row in record.items()}
PARAMETERS: dict[str, list[str]] = json.loads(SIGNATURES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_call_was_recorded(family: str) -> None:
    assert list(RECORDS[family]) == ["keras", *FAMILIES[family]]
    assert len(CASES) == sum(map(len, FAMILIES.values()))


@pytest.mark.parametrize("name", CASES)
def test_function_gives_what_keras_gave(name: str) -> None:
    got, wanted = np.asarray(CASES[name](ops)), EXPECTED[name]
    assert (got.dtype.name, list(got.shape)) == (wanted["dtype"], wanted["shape"])
    np.testing.assert_allclose(got.ravel(), wanted["values"], rtol=2e-6, atol=5e-7)


# Parameters of Keras's that a function lacks, and why.
WITHOUT = {"einsum": ["**kwargs"]}  # how a backend orders the products


@pytest.mark.parametrize("name", sorted(set(ops.__all__) & set(PARAMETERS)))
def test_parameters_are_those_of_keras(name: str) -> None:
    """In their order and with their defaults, so that every call means the same."""
    ours = [shown(p) for p in inspect.signature(getattr(ops, name)).parameters.values()]
    assert ours == [p for p in PARAMETERS[name] if p not in WITHOUT.get(name, [])]


@pytest.mark.parametrize("home", ["linalg", "nn", "numpy"])
def test_functions_have_the_second_homes_that_keras_gives_them(home: str) -> None:
    module = importlib.import_module(f"seqc.ops.{home}")
    for full in PARAMETERS:
        place, _, name = full.partition(".")
        if place == home and name in ops.__all__:
            assert getattr(module, name) is getattr(ops, name), full


def test_functions_are_called_what_keras_calls_them() -> None:
    other_names = {
        *("abs", "bitwise_invert", "hard_swish", "left_shift", "right_shift", "swish", "true_divide"),
    }
    for name in ops.__all__:
        function = getattr(ops, name)
        assert function.__qualname__ == function.__name__, name
        assert name in other_names or function.__name__ == name
        assert function.__module__.startswith("seqc.ops")
        assert function.__doc__, name
