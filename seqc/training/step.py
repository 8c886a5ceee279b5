"""Training, evaluation and prediction steps as graphs.

A step is traced once per kind of input: (x, y, sample_weight, seed, step, state...) -> (result, new state...), where
the state is every variable it reads - weights, optimizer slots, moving statistics, metric totals - and nothing changes
inside. The same graph runs on NumPy and lowers to ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from seqc.autodiff import gradients
from seqc.backends.numpy import make_executor
from seqc.errors import ConfigError, ShapeError
from seqc.ir import Array, Graph, Type, Value, as_value, input_value
from seqc.ops.reduce import count
from seqc.tracing import Trace, Variable, tracing
from seqc.training.totals import call_compute_loss

if TYPE_CHECKING:
    from seqc.backends.numpy.executor import Executor
    from seqc.backends.numpy.kept import Kept
    from seqc.backends.numpy.naive import NaiveExecutor
    from seqc.backends.numpy.profile import Timing
    from seqc.model import Model
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
    # What to log, by name, where the model's `compute_metrics` says that.
    logged: dict[str, Variable] | None = None
    # What the executors of all steps of a model may keep together.
    kept: Kept | None = None

    @cached_property
    def executor(self) -> Executor | NaiveExecutor:
        return make_executor(self.graph, self.reads, self.writes, self.kept)

    def run(self, arrays: Sequence[Array], seed: int, step: int) -> Array:
        """Runs the step on arrays, keeps the new state, and returns the result."""
        return self.executor.run(_given(arrays, seed, step))

    def profile(self, arrays: Sequence[Array], seed: int, step: int) -> list[Timing]:
        """Runs the step as `run` does and returns where the time went."""
        from seqc.backends.numpy.profile import profile_run  # for those who ask

        return profile_run(self.executor, _given(arrays, seed, step))


def _given(arrays: Sequence[Array], seed: int, step: int) -> list[Array]:
    return [*arrays, np.array(seed, np.int64), np.array(step, np.int64)]


def train_step(model: Model, compiled: Compiled, signature: Signature) -> Step:
    """Traces forward pass, loss, gradients, optimizer and metrics of one training step."""
    trace = Trace(training=True)
    with tracing(trace):
        values = signature.values()
        y_pred = model.forward(values["x"], training=True)
        loss = _total_loss(model, values, y_pred, training=True)
        variables = model.trainable_weights
        grads = gradients(compiled.optimizer.scale_loss(loss), [trace.read(v) for v in variables])
        compiled.optimizer.apply(grads, variables)
        logged = _update_metrics(model, compiled, values, y_pred, loss)
    return _finish(trace, values, loss, logged)


def test_step(model: Model, compiled: Compiled, signature: Signature) -> Step:
    """Traces one step of evaluation: forward pass, loss and metrics."""
    trace = Trace()
    with tracing(trace):
        values = signature.values()
        y_pred = model.forward(values["x"], training=False)
        loss = _total_loss(model, values, y_pred, training=False)
        logged = _update_metrics(model, compiled, values, y_pred, loss)
    return _finish(trace, values, loss, logged)


def predict_step(model: Model, signature: Signature) -> Step:
    """Traces the forward pass."""
    trace = Trace()
    with tracing(trace):
        values = signature.values()
        y_pred = model.forward(values["x"], training=False)
    return _finish(trace, values, y_pred)


def _total_loss(model: Model, values: dict[str, Value], y_pred: Value, training: bool) -> Value:
    found = call_compute_loss(
        model, values["x"], values.get("y"), y_pred, values.get("sample_weight"), training=training
    )
    if found is None:
        raise ConfigError("There is nothing to minimize: compile() was given no loss, and no layer adds a penalty.")
    total = as_value(found)
    if total.type.rank:
        raise ShapeError(f"The loss of a batch must be a single number; got {total}. Use ops.mean or ops.sum on it.")
    return total


def _update_metrics(
    model: Model, compiled: Compiled, values: dict[str, Value], y_pred: Value, loss: Value
) -> dict[str, Variable] | None:
    """Takes a batch into all metrics. Returns variables with what to log where the model says that itself."""
    x = values["x"]
    # Counts come in the dtype of what is counted, and small integers do not reach far.
    size = count(x if x.type.is_float else y_pred, (0,))
    compiled.loss_tracker.update_state(loss, sample_weight=size)
    found = model.compute_metrics(x, values.get("y"), y_pred, values.get("sample_weight"))
    if not model.logs_more:
        return None
    if not isinstance(found, Mapping):
        raise ConfigError(f"{type(model).__name__}.compute_metrics must return a dictionary by name; got {found!r}.")
    return {name: _logged(name, as_value(value)) for name, value in found.items()}


def _logged(name: str, value: Value) -> Variable:
    if not all(isinstance(size, int) for size in value.type.shape):
        raise ShapeError(f"compute_metrics logs '{name}' as {value.type}; its shape must not depend on the batch.")
    kept = Variable(np.zeros(value.type.shape, value.dtype), name=f"log/{name}", trainable=False)
    kept.assign(value)
    return kept


def _finish(trace: Trace, values: dict[str, Value], result: Value, logged: dict[str, Variable] | None = None) -> Step:
    writes, reads = tuple(trace.updates), tuple(trace.reads)
    graph = Graph(
        (*values.values(), trace.seed, trace.step, *(trace.reads[v] for v in reads)),
        (result, *(trace.updates[v] for v in writes)),
        ("result", *(f"new:{trace.label(v)}" for v in writes)),
    )
    return Step(graph, reads, writes, is_random=any(v is trace.seed for v in graph.walk()), logged=logged)
