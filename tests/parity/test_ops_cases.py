"""`seqc.ops` gives what `keras.ops` gave for the same call: the dtype, the shape and the numbers."""

from __future__ import annotations

import inspect
import json
from typing import Any

import numpy as np
import pytest

from kit.keras_ops_cases import CASES, RECORD, SIGNATURES
from seqc import ops

EXPECTED: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))


def test_every_call_was_recorded() -> None:
    assert set(EXPECTED) == {"keras", *CASES}


@pytest.mark.parametrize("name", CASES)
def test_function_gives_what_keras_gave(name: str) -> None:
    got, wanted = np.asarray(CASES[name](ops)), EXPECTED[name]
    assert (got.dtype.name, list(got.shape)) == (wanted["dtype"], wanted["shape"])
    np.testing.assert_allclose(got.ravel(), wanted["values"], rtol=2e-6, atol=2e-7)


def test_parameters_have_the_names_that_keras_gives_them() -> None:
    """Those that seqc has come in Keras's order, so that a call by position or by name means the same."""
    for name, theirs in json.loads(SIGNATURES.read_text(encoding="utf-8")).items():
        ours = list(inspect.signature(getattr(ops, name)).parameters)
        extra = {"initial"} if name in ("amax", "amin") else set()  # other names of max and min here
        assert [p for p in theirs if p in ours] == [p for p in ours if p not in extra], name


def test_functions_are_called_what_keras_calls_them() -> None:
    other_names = {"abs", "amax", "amin", "hard_swish", "swish", "true_divide"}
    for name in ops.__all__:
        function = getattr(ops, name)
        assert function.__qualname__ == function.__name__, name
        assert name in other_names or function.__name__ == name
        assert function.__module__.startswith("seqc.ops")
        assert function.__doc__, name
