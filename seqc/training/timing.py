"""How long training steps take, and where in a step the time goes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc import tree
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.backends.numpy.profile import Timing, merge
from seqc.backends.numpy.workers import thread_count
from seqc.callbacks import Callback
from seqc.graph.ir import Array
from seqc.training.step import Step

if TYPE_CHECKING:
    from seqc.model import Model


class EpochClock(Callback):
    """Measures epochs: `seconds` holds one number for each."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def time_steps(model: Model, x: Any, y: Any, batch_size: int, steps: int, epochs: int) -> list[float]:
    """Trains a compiled model and returns the seconds per step of each epoch; one more comes first, to warm up.

    Args:
        x, y: samples and labels, as `fit` takes them but always arrays; where there are fewer than an epoch needs, they
            come several times.
    """
    clock = EpochClock()
    rows = np.arange(batch_size * steps) % len(tree.flatten(x)[0])
    x, y = (tree.map_structure(lambda array: array[rows], data) for data in (x, y))
    model.fit(x, y, batch_size=batch_size, epochs=epochs + 1, verbose=0, callbacks=[clock])
    return [seconds / steps for seconds in clock.seconds[1:]]


def training_step(model: Model, x: Any, y: Any) -> tuple[Step, list[Array]]:
    """Returns the step that trains a compiled model on such a batch, and the arrays that it takes."""
    trainer = model._trainer
    batch = trainer.labelled_data(x, y, None).rows(slice(None))
    trainer.prepare()
    return trainer.step_for("train", batch), [a for a in batch if a is not None]


def profile_steps(model: Model, x: Any, y: Any, steps: int) -> list[Timing]:
    """Trains a compiled model for some steps on one batch and returns what they took together, after one to warm up."""
    step, arrays = training_step(model, x, y)
    step.profile(arrays, 0, 0)
    return merge(one for number in range(1, steps + 1) for one in step.profile(arrays, 0, number))


def threads_used(step: Step) -> int:
    """Returns how many threads a step runs on at most."""
    return 1 if isinstance(step.executor, NaiveExecutor) else thread_count()
