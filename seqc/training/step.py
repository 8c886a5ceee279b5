"""Training, evaluation and prediction steps as graphs.

A step is traced once per kind of input: (inputs, labels, weights, seed, step, state...) -> (results, new
state...), where the state is every variable it reads - weights, optimizer slots, moving statistics, metric totals - and
nothing changes inside. The same graph runs on NumPy and lowers to ONNX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from seqc import tree
from seqc.backends.numpy import make_executor
from seqc.errors import ConfigError, ShapeError
from seqc.graph.ir import Array, Graph, Type, Value, as_value, input_value
from seqc.graph.strings import type_name
from seqc.graph.tracing import Trace, Variable, tracing
from seqc.ops._bounds import Cutting, cuts_of_batch, lies_within
from seqc.passes.half_precision import compute_halves_in_single
from seqc.training.compiled import each_alone
from seqc.training.data import Forms, sample_type
from seqc.training.hooks import logs_more, overrides
from seqc.training.own_steps import (
    own_test_step,
    own_train_step,
    test_batch,
    train_batch,
)
from seqc.utils.packing import pack_x_y_sample_weight

if TYPE_CHECKING:
    from seqc.backends.numpy.executor import Executor
    from seqc.backends.numpy.kept import Kept
    from seqc.backends.numpy.naive import NaiveExecutor
    from seqc.backends.numpy.profile import Timing
    from seqc.backends.numpy.strings import StringExecutor
    from seqc.training.trainable import Trainable


@dataclass(frozen=True)
class Signature:
    """What kinds of arrays a step takes: per input, then for labels and weights of outputs; None for none.

    They stand in `forms`, or, without these, in the forms of the model's inputs and outputs.
    """

    x: tuple[Type, ...]
    y: tuple[Type | None, ...] = ()
    weight: tuple[Type | None, ...] = ()
    forms: Forms | None = None

    @staticmethod
    def of(
        batch: Sequence[Array | None], inputs: int = 1, sized: bool = False, forms: Forms | None = None
    ) -> Signature:
        """Returns the signature of a batch whose first arrays are inputs.

        Args:
            sized: whether it holds for batches of this size only.
        """
        exact = (lambda a: Type(type_name(a), a.shape)) if sized else sample_type
        types = [None if a is None else exact(a) for a in batch]
        half = inputs + (len(types) - inputs) // 2
        return Signature(
            tuple(t for t in types[:inputs] if t is not None), tuple(types[inputs:half]), tuple(types[half:]), forms
        )

    def values(self, model: Trainable) -> Given:
        """Returns a graph input per array, in trees of the model's form."""
        parts = [_inputs(*pair) for pair in (("x", self.x), ("y", self.y), ("sample_weight", self.weight))]
        leaves = tuple(v for part in parts for v in part if v is not None)
        forms = self.forms or (model._input_tree, model._output_tree, model._output_tree)
        x, y, weight = (
            tree.pack_sequence_as(form, part[: len(tree.flatten(form))]) if any(v is not None for v in part) else None
            for form, part in zip(forms, parts, strict=True)
        )
        return Given(x, y, weight, leaves)


@dataclass(frozen=True)
class Given:
    """The graph inputs of a step: trees of samples, labels and weights, None for none, and all of them in order."""

    x: Any
    y: Any
    weight: Any
    leaves: tuple[Value, ...]

    @property
    def data(self) -> Any:
        """What a step of the model's own is given."""
        return pack_x_y_sample_weight(self.x, self.y, self.weight)


def _inputs(name: str, types: Sequence[Type | None]) -> list[Value | None]:
    names = [name] if len(types) == 1 else [f"{name}_{i}" for i in range(len(types))]
    return [None if t is None else input_value(n, t.dtype, t.shape) for n, t in zip(names, types, strict=True)]


@dataclass(frozen=True, eq=False)
class Step:
    """A traced step and the variables around it.

    The graph's inputs are the arrays of the signature, seed and step, then one per variable of `reads`; its outputs
    are results, then one per variable of `writes`.
    """

    graph: Graph
    reads: tuple[Variable, ...]
    writes: tuple[Variable, ...]
    # Whether random numbers depend on the model's seed, and whether any are drawn anew for each batch.
    is_random: bool = False
    draws: bool = False
    # What to log, by name, where the model's `compute_metrics`, or a step of its own, says that.
    logged: dict[str, Variable] | None = None
    # The form of the results: one, or a list or dictionary of them, with None at each leaf.
    form: Any = None
    # What the executors of all steps of a model may keep together.
    kept: Kept | None = None

    @cached_property
    def executor(self) -> Executor | NaiveExecutor | StringExecutor:
        return make_executor(self.graph, self.reads, self.writes, self.kept)

    @cached_property
    def _cuts(self) -> list[Cutting]:
        return cuts_of_batch(self.graph)

    @cached_property
    def _fitting(self) -> dict[int, bool]:
        return {}

    def fits(self, rows: int) -> bool:
        """Tells whether the step holds for so many samples: whether these have all that is sliced off the batch."""
        if rows not in self._fitting:
            self._fitting[rows] = all(lies_within(cut, rows) for cut in self._cuts)
        return self._fitting[rows]

    def run(self, arrays: Sequence[Array], seed: int, step: int) -> list[Array]:
        """Runs the step on arrays, keeps the new state, and returns the results."""
        empty = arrays and arrays[0].shape[:1] == (0,)  # which cannot be cut into tiles
        return (self._plain if empty else self.executor).run(_given(arrays, seed, step))

    @property
    def _plain(self) -> NaiveExecutor:
        from seqc.backends.numpy.naive import NaiveExecutor  # for the few that ask

        return NaiveExecutor(compute_halves_in_single(self.graph), self.reads, self.writes)

    def profile(self, arrays: Sequence[Array], seed: int, step: int) -> list[Timing]:
        """Runs the step as `run` does and returns where the time went."""
        from seqc.backends.numpy.profile import profile_run  # for those who ask

        return profile_run(self.executor, _given(arrays, seed, step))


def _given(arrays: Sequence[Array], seed: int, step: int) -> list[Array]:
    return [*arrays, np.array(seed, np.int64), np.array(step, np.int64)]


def train_step(model: Trainable, signature: Signature) -> Step:
    """Traces forward pass, loss, gradients, optimizer and metrics of one training step."""
    # As in Keras, nobody has said `training` yet; the forward pass of `train_batch` says it.
    trace = Trace(learning=True)
    with tracing(trace):
        given = signature.values(model)
        own = overrides(model, "train_step")
        loss, logs = own_train_step(model, given.data) if own else train_batch(model, given.x, given.y, given.weight)
        logged = _logged_by(model, logs, "train_step" if own else None)
    return _finish(trace, given, [] if loss is None else loss, logged)


def test_step(model: Trainable, signature: Signature) -> Step:
    """Traces one step of evaluation: forward pass, loss and metrics."""
    trace = Trace()
    with tracing(trace):
        given = signature.values(model)
        own = overrides(model, "test_step")
        loss, logs = own_test_step(model, given.data) if own else test_batch(model, given.x, given.y, given.weight)
        logged = _logged_by(model, logs, "test_step" if own else None)
    return _finish(trace, given, [] if loss is None else loss, logged)


def predict_step(model: Trainable, signature: Signature) -> Step:
    """Traces the forward pass."""
    trace = Trace()
    with tracing(trace):
        given = signature.values(model)
        own = overrides(model, "predict_step")
        y_pred = model.predict_step(given.data) if own else model.forward(given.x, training=False)
        if not tree.flatten(y_pred) or any(y is None for y in tree.flatten(y_pred)):
            raise ConfigError(f"{type(model).__name__}.predict_step must return tensors; got {y_pred!r}.")
    return _finish(trace, given, y_pred)


def _logged_by(model: Trainable, logs: Any, own: str | None) -> dict[str, Variable] | None:
    """Returns variables with what to log where the model says that itself, in a step of its `own` or otherwise."""
    if own is None and not logs_more(model):
        return None
    if not isinstance(logs, Mapping):
        raise ConfigError(
            f"{type(model).__name__}.{own or 'compute_metrics'} must return a dictionary by name; got {logs!r}."
        )
    return {name: _logged(name, as_value(value)) for name, value in each_alone(logs).items()}


def _logged(name: str, value: Value) -> Variable:
    if not all(isinstance(size, int) for size in value.type.shape):
        raise ShapeError(f"The model logs '{name}' as {value.type}; its shape must not depend on the batch.")
    kept = Variable(np.zeros(value.type.shape, value.dtype), name=f"log/{name}", trainable=False)
    kept.assign(value)
    return kept


def _finish(trace: Trace, given: Given, result: Any, logged: dict[str, Variable] | None = None) -> Step:
    writes, reads = tuple(trace.updates), tuple(trace.reads)
    results = [as_value(y) for y in tree.flatten(result)]
    names = ["result"] if len(results) == 1 else [f"result_{i}" for i in range(len(results))]
    graph = Graph(
        (*given.leaves, trace.seed, trace.step, *(trace.reads[v] for v in reads)),
        (*results, *(trace.updates[v] for v in writes)),
        (*names, *(f"new:{trace.label(v)}" for v in writes)),
    )
    used = set(graph.walk())
    random = trace.seed in used, trace.step in used
    return Step(graph, reads, writes, *random, logged, tree.map_structure(lambda _: None, result))
