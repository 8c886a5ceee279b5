"""While much is made that stays, the collector waits; afterwards it is as it was."""

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import seqc
from seqc.utils.garbage import collected_later


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.enable()


def fails() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_as_it_was(was_on: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    assert collected_later(collected_later(gc.isenabled))() is False
    assert gc.isenabled() is was_on
    with pytest.raises(ValueError, match="no"):
        collected_later(fails)()
    assert gc.isenabled() is was_on


def test_it_waits_while_a_step_is_made_and_not_while_one_runs() -> None:
    seen: list[bool] = []

    class Watching(seqc.layers.Layer):
        def call(self, x: Any) -> Any:
            seen.append(gc.isenabled())
            return x * 2.0

    class After(seqc.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(gc.isenabled())

    model = seqc.Sequential([seqc.Input((3,)), Watching(), seqc.layers.Dense(1)])
    model.compile("sgd", "mse")
    seen.clear()
    model.fit(np.ones((4, 3), "float32"), np.ones((4, 1), "float32"), verbose=0, callbacks=[After()])
    assert seen[0] is False
    assert seen[-1] is True
