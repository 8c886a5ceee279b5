"""Memory of programs is filled with what no number is before every run, where plans are checked."""

from __future__ import annotations

import numpy as np
import pytest

import seqc as keras
from seqc import Sequential, layers
from seqc.backends.numpy.memory import Memory, empty


def test_memory_is_spoiled_before_every_run_and_not_only_before_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    spoiled = []
    poison = Memory.poison

    def counted(memory: Memory) -> None:
        spoiled.append(1)
        poison(memory)

    monkeypatch.setattr(Memory, "poison", counted)
    model = Sequential([keras.Input((3,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 3)), np.ones((8, 2)), batch_size=2, verbose=0)
    assert len(spoiled) == 4


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_spoiled_numbers_are_not_numbers(dtype: str) -> None:
    memory, array = Memory(), empty((8,), dtype)
    memory.hold(array)
    memory.poison()
    assert np.isnan(array).all()


def test_spoiled_integers_are_absurd() -> None:
    memory, arrays = Memory(), [empty((4,), dtype) for dtype in ("int32", "int64")]
    for array in arrays:
        memory.hold(array)
    memory.poison()
    assert all((np.abs(array) > 1 << 30).all() for array in arrays)
