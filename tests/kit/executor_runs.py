"""Running the same step with the tiled and with the naive executor, in double precision, from the same state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from seqc import Model
from seqc.backends.numpy import executor, machine
from seqc.backends.numpy.executor import Executor
from seqc.backends.numpy.naive import NaiveExecutor
from seqc.graph.dims import symbol
from seqc.graph.ir import Array, Graph
from seqc.passes.precision import promote_floats
from seqc.training.compiled import Compiled
from seqc.training.data import sample_type
from seqc.training.step import Signature, Step, test_step, train_step

STEPS = {"train": train_step, "test": test_step}


class Cell:
    """State of a test: an array that can move."""

    def __init__(self, array: Array) -> None:
        self.array = array.copy()
        self.moves = 0

    def place(self, array: Array) -> None:
        np.copyto(array, self.array)
        self.array = array
        self.moves += 1


@dataclass
class Conditions:
    """How a step is run: threads, bytes that a tile may take, and whether even the smallest work is shared out.

    With `tiny` groups run in pieces of a few elements, and matrices of a few elements count as too large for tiles.
    """

    threads: int
    tile_bytes: int
    always_share: bool = True
    tiny: bool = False


def under(conditions: Conditions) -> pytest.MonkeyPatch:
    """Puts conditions in force until the patch is undone."""
    patch = pytest.MonkeyPatch()
    patch.setattr(executor, "thread_count", lambda: conditions.threads)
    patch.setattr(machine, "tile_bytes", lambda share: conditions.tile_bytes)
    if conditions.always_share:
        patch.setattr(machine, "worth_sharing", lambda seconds: True)
    if conditions.tiny:
        patch.setattr(machine, "PIECE", 4)
        patch.setattr(machine, "SHARED_ELEMENTS", 2)
        patch.setattr(machine, "cache_bytes", lambda level: 64)
    return patch


def under_threads(threads: int, small: bool) -> pytest.MonkeyPatch:
    """Makes steps run on so many threads; `small` work shared out as if it were large, in small tiles and pieces."""
    patch = pytest.MonkeyPatch()
    patch.setattr(executor, "thread_count", lambda: threads)
    if small:
        patch.setattr(machine, "tile_bytes", lambda share: 100_000)
        patch.setattr(machine, "worth_sharing", lambda seconds: True)
        patch.setattr(machine, "piece_limits", lambda: (0.0, 1e6))
        patch.setattr(machine, "SHARED_ELEMENTS", 64)
        patch.setattr(machine, "PIECE", 512)
    return patch


@dataclass
class Twin:
    """A step in double precision with a state of its own for each executor."""

    graph: Graph
    step: Step
    state: dict[str, list[Cell]]

    def run(self, kind: type[Executor | NaiveExecutor], batches: Sequence[list[Array]]) -> list[Array]:
        """Runs the step on some batches, one after the other; returns the results and then the state."""
        name = kind.__name__
        cells = dict(zip(self.step.reads, self.state[name], strict=True))
        writes = [cells.setdefault(v, Cell(_double(v.array))) for v in self.step.writes]
        made = kind(self.graph, [cells[v] for v in self.step.reads], writes)
        results = [
            result
            for number, arrays in enumerate(batches)
            for result in made.run([*map(_double, arrays), np.array(3, np.int64), np.array(number, np.int64)])
        ]
        return [*results, *(cell.array for cell in cells.values())]


def twin(
    model: Model,
    batch: Sequence[Array],
    optimizer: Any,
    loss: str,
    weighted: bool = False,
    free: tuple[int, ...] = (),
    kind: str = "train",
    metrics: Sequence[Any] | None = None,
) -> Twin:
    """Returns a step of a model for such data.

    Args:
        batch: samples and labels. weighted: whether it takes sample weights, which then enter the metrics.
        free: axes of x that may have another size in each batch. kind: "train" or "test".
        metrics: by default one that fits the loss.
    """
    x, y = batch[:2]
    listed = (["mae"] if loss == "mse" else []) if metrics is None else list(metrics)
    compiled = Compiled(optimizer, loss, *([], listed) if weighted else (listed, []))
    model._trainer.settings = compiled
    compiled.resolve([(None, *y.shape[1:])], [model.output_shape])
    compiled.optimizer.build(model.trainable_weights)
    weights = sample_type(np.ones(len(x), "float32")) if weighted else None
    seen = sample_type(x)
    seen = seen.with_shape(symbol(f"axis{i}") if i in free else d for i, d in enumerate(seen.shape))
    step = STEPS[kind](model, Signature((seen,), (sample_type(y),), (weights,)))
    start = [_double(v.array) for v in step.reads]
    state = {kind.__name__: [Cell(a) for a in start] for kind in (Executor, NaiveExecutor)}
    return Twin(promote_floats(step.graph), step, state)


def _double(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype == np.float32 else array


def assert_same(twin: Twin, batches: Sequence[list[Array]], conditions: Conditions, tolerance: float = 1e-7) -> None:
    """Both executors come to the same results and state."""
    expected = twin.run(NaiveExecutor, batches)
    patch = under(conditions)
    try:
        actual = twin.run(Executor, batches)
    finally:
        patch.undo()
    for a, b in zip(actual, expected, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
