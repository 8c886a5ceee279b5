"""Training, evaluation and prediction steps as graphs.

A step is traced once per kind of input: (x, y, sample_weight, seed, step, state...) -> (result, new state...), where
the state is every variable it reads - weights, optimizer slots, moving statistics, metric totals - and nothing changes
inside. The same graph runs on NumPy and lowers to ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from seqc.autodiff import gradients
from seqc.backends.numpy import make_executor
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Array, Graph, Type, Value, input_value
from seqc.ops.elementwise import cast
from seqc.ops.reduce import count
from seqc.tracing import Trace, Variable, tracing

if TYPE_CHECKING:
    from seqc.backends.numpy.executor import Executor
    from seqc.backends.numpy.naive import NaiveExecutor
    from seqc.backends.numpy.profile import Timing
    from seqc.sequential import Sequential
    from seqc.training.compiled import Compiled


@dataclass(frozen=True)
class Signature:
    """What kinds of arrays a step takes; None where it takes none."""

    x: Type
    y: Type | None = None
    weight: Type | None = None

    def values(self) -> dict[str, Value]:
        """Returns a graph input per array."""
        named = {"x": self.x, "y": self.y, "sample_weight": self.weight}
        return {name: input_value(name, t.dtype, t.shape) for name, t in named.items() if t is not None}


@dataclass(frozen=True, eq=False)
class Step:
    """A traced step and the variables around it.

    The graph's inputs are the arrays of the signature, seed and step, then one per variable of `reads`; its outputs
    are the result, then one per variable of `writes`.
    """

    graph: Graph
    reads: tuple[Variable, ...]
    writes: tuple[Variable, ...]
    is_random: bool = False

    @cached_property
    def executor(self) -> Executor | NaiveExecutor:
        return make_executor(self.graph, self.reads, self.writes)

    def run(self, arrays: Sequence[Array], seed: int, step: int) -> Array:
        """Runs the step on arrays, keeps the new state, and returns the result."""
        return self.executor.run(_given(arrays, seed, step))

    def profile(self, arrays: Sequence[Array], seed: int, step: int) -> list[Timing]:
        """Runs the step as `run` does and returns where the time went."""
        from seqc.backends.numpy.profile import profile_run  # for those who ask

        return profile_run(self.executor, _given(arrays, seed, step))


def _given(arrays: Sequence[Array], seed: int, step: int) -> list[Array]:
    return [*arrays, np.array(seed, np.int64), np.array(step, np.int64)]


def train_step(model: Sequential, compiled: Compiled, signature: Signature) -> Step:
    """Traces forward pass, loss, gradients, optimizer and metrics of one training step."""
    trace = Trace(training=True)
    with tracing(trace):
        values = signature.values()
        y_pred = model.call(values["x"], training=True)
        loss = _total_loss(model, compiled, trace, values, y_pred)
        variables = model.trainable_weights
        grads = gradients(compiled.optimizer.scale_loss(loss), [trace.read(v) for v in variables])
        compiled.optimizer.apply(grads, variables)
        _update_metrics(compiled, trace, values, y_pred, loss)
    return _finish(trace, values, loss)


def test_step(model: Sequential, compiled: Compiled, signature: Signature) -> Step:
    """Traces one step of evaluation: forward pass, loss and metrics."""
    trace = Trace()
    with tracing(trace):
        values = signature.values()
        y_pred = model.call(values["x"], training=False)
        loss = _total_loss(model, compiled, trace, values, y_pred)
        _update_metrics(compiled, trace, values, y_pred, loss)
    return _finish(trace, values, loss)


def predict_step(model: Sequential, signature: Signature) -> Step:
    """Traces the forward pass."""
    trace = Trace()
    with tracing(trace):
        values = signature.values()
        y_pred = model.call(values["x"], training=False)
    return _finish(trace, values, y_pred)


def _total_loss(model: Sequential, compiled: Compiled, trace: Trace, values: dict[str, Value], y_pred: Value) -> Value:
    mask = trace.masks.get(y_pred)
    total: Value | None = None
    if "y" in values:
        compiled.resolve(values["y"].shape, y_pred.shape)
        if compiled.loss is not None:
            total = compiled.compute_loss(values["y"], y_pred, values.get("sample_weight"), mask)
    penalties = [v.regularizer(v.to_value()) for v in model.trainable_weights if v.regularizer is not None]
    for penalty in (*penalties, *trace.losses):
        if penalty.type.rank:
            raise ShapeError(f"A penalty added to the loss must be a single number; got {penalty}. Use ops.sum on it.")
        total = penalty if total is None else total + cast(penalty, total.dtype)
    if total is None:
        raise ConfigError("There is nothing to minimize: compile() was given no loss, and no layer adds a penalty.")
    return total


def _update_metrics(compiled: Compiled, trace: Trace, values: dict[str, Value], y_pred: Value, loss: Value) -> None:
    x = values["x"]
    # Counts come in the dtype of what is counted, and small integers do not reach far.
    size = count(x if x.type.is_float else y_pred, (0,))
    compiled.loss_tracker.update_state(loss, sample_weight=size)
    if "y" in values:
        compiled.update_metrics(values["y"], y_pred, values.get("sample_weight"), trace.masks.get(y_pred))


def _finish(trace: Trace, values: dict[str, Value], result: Value) -> Step:
    writes, reads = tuple(trace.updates), tuple(trace.reads)
    graph = Graph(
        (*values.values(), trace.seed, trace.step, *(trace.reads[v] for v in reads)),
        (result, *(trace.updates[v] for v in writes)),
        ("result", *(f"new:{trace.label(v)}" for v in writes)),
    )
    return Step(graph, reads, writes, is_random=any(v is trace.seed for v in graph.walk()))
