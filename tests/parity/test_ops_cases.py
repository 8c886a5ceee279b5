"""`seqc.ops` gives what `keras.ops` gave for the same call: the dtype, the shape and the numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from keras_ops_cases import CASES, RECORD
from seqc import ops

EXPECTED: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))


def test_every_call_was_recorded() -> None:
    assert set(EXPECTED) == {"keras", *CASES}


@pytest.mark.parametrize("name", CASES)
def test_function_gives_what_keras_gave(name: str) -> None:
    got, wanted = np.asarray(CASES[name](ops)), EXPECTED[name]
    assert (got.dtype.name, list(got.shape)) == (wanted["dtype"], wanted["shape"])
    np.testing.assert_allclose(got.ravel(), wanted["values"], rtol=2e-6, atol=2e-7)
