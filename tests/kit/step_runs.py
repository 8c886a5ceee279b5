"""Training steps as graphs, taken by NumPy and by stock onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import seqc as keras
from kit.graph_runs import step_file
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Array
from seqc.model import Model
from seqc.training.data import make_data
from seqc.training.step import Signature, Step, train_step

STEPS, BATCH = 20, 16
# Twenty steps of float32 in two libraries that add in different orders.
TOLERANCE = 2e-5
# Draws so many samples, of one input or of several, and their labels.
Draw = Callable[[np.random.Generator, int], tuple["Array | list[Array]", Array]]


@dataclass(frozen=True)
class Row:
    """A model, data for it, and what `compile` is told."""

    name: str
    build: Callable[[], Model]
    data: Draw
    optimizer: Callable[[], keras.optimizers.Optimizer]
    loss: str
    weighted: bool = False


def classes(shape: tuple[int, ...]) -> Draw:
    return lambda rng, n: (rng.normal(size=(n, *shape)).astype("float32"), rng.integers(0, 3, n))


def traced(row: Row, rng: np.random.Generator) -> tuple[Step, list[list[Array]]]:
    keras.utils.set_random_seed(3)
    model = row.build()
    model.compile(row.optimizer(), row.loss, metrics=["accuracy"] if row.loss != "mse" else ["mae"])
    batches = []
    for _ in range(STEPS):
        x, y = row.data(rng, BATCH)
        inputs = x if isinstance(x, list) else [x]
        weight = rng.uniform(0.2, 2, BATCH) if row.weighted else None
        batch = make_data(inputs, [y], [weight], [a.dtype.name for a in inputs]).rows(slice(None))
        batches.append([a for a in batch if a is not None])
    assert model.compiled
    return train_step(model, Signature.of(batch, len(inputs))), batches


def take_steps(step: Step, batches: list[list[Array]], run: Callable[[list[Array]], list[Array]]) -> list[list[Array]]:
    """Returns loss and state after every step."""
    state = {v: v.array for v in step.reads}
    seen = []
    for i, batch in enumerate(batches):
        results = run(
            [*batch, np.array(17, np.int64), np.array(i, np.int64), *(np.asarray(state[v]) for v in step.reads)]
        )
        state |= dict(zip(step.writes, results[1:], strict=True))
        seen.append(results)
    return seen


def check_steps(row: Row, rng: np.random.Generator) -> None:
    """Twenty steps on onnxruntime equal twenty on NumPy, and every weight moves."""
    pytest.importorskip("onnxruntime")
    from seqc.backends.onnxruntime import Session

    step, batches = traced(row, rng)
    session = Session(step_file(step.graph), threads=1)

    def on_onnxruntime(arrays: list[Array]) -> list[Array]:
        given = {n: a for n, a in zip(step.graph.input_names, arrays, strict=True) if n in session.input_names}
        results = session.run(given)
        return [results[n] for n in step.graph.output_names]

    expected = take_steps(step, batches, Interpreter(step.graph).run)
    actual = take_steps(step, batches, on_onnxruntime)
    names = ("loss", *(v.path for v in step.writes))
    for i, (ours, theirs) in enumerate(zip(expected, actual, strict=True)):
        for name, a, b in zip(names, ours, theirs, strict=True):
            error = np.max(np.abs(np.asarray(a, np.float64) - b), initial=0.0)
            assert error <= TOLERANCE * max(1.0, np.max(np.abs(a), initial=0.0)), f"{name} after step {i + 1}: {error}"
    losses = [float(results[0]) for results in expected]
    assert np.all(np.isfinite(losses))
    moved = [v for v, a in zip(step.writes, expected[-1][1:], strict=True) if not np.array_equal(a, v.array)]
    assert {v.path for v in moved} >= {v.path for v in step.writes if v.trainable}
