"""What `compile` sets up: optimizer, loss and metrics, resolved against the first data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seqc import metrics, optimizers, tree
from seqc.errors import TraceError
from seqc.graph.interpreter import Interpreter
from seqc.graph.ir import Graph, Value, as_value
from seqc.graph.tracing import Trace, Variable, traced
from seqc.ops.elementwise import cast
from seqc.serialization import serialize
from seqc.training.heads import Shape, make_heads


class Compiled:
    """The arguments of `compile`, made into objects.

    Args:
        optimizer, loss, metrics_list, weighted_metrics, loss_weights: as `compile` takes them.
        outputs: their names. form: see `make_heads`. keyed: whether they are given as a dictionary.

    Metrics named by strings such as "accuracy" are chosen when the shapes of labels and predictions are known.
    """

    def __init__(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics_list: Any = None,
        weighted_metrics: Any = None,
        loss_weights: Any = None,
        outputs: Sequence[str] = ("",),
        form: Any = None,
        keyed: bool = False,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.given_loss, self.given_metrics, self.given_weighted = loss, metrics_list, weighted_metrics
        self.loss_weights, self._keyed = loss_weights, keyed
        self.shown_loss = loss  # which a model may replace, for a step of its own
        self.heads = make_heads(outputs, loss, loss_weights, metrics_list, weighted_metrics, form, keyed)
        self.loss_tracker = metrics.Mean(name="loss")
        self.resolved = False
        # The metrics by the names they have in logs, the loss first.
        self.named: dict[str, Any] = {"loss": self.loss_tracker}
        self._results: dict[Any, Result] = {}

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_results": {}}  # compiled, and made again when needed

    def kept_by(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of these settings that others, which have none of their kind, go on with."""
        kept: dict[str, Any] = {}
        if given.get("loss") is None:
            kept |= {"loss": self.given_loss, "loss_weights": self.loss_weights}
        if given.get("metrics_list") is None and given.get("weighted_metrics") is None:
            kept |= {"metrics_list": self.given_metrics, "weighted_metrics": self.given_weighted}
        return kept

    @property
    def steps_taken(self) -> int:
        """How many training steps the optimizer has seen, those that only accumulate gradients included."""
        return int(self.optimizer.steps_seen.array)

    def resolve(self, y_true: Sequence[Shape | None], y_pred: Sequence[Shape]) -> None:
        """Chooses losses and metrics for labels and predictions of these shapes, an entry per output, once.

        Where an output has no labels, nothing is chosen for it.
        """
        if self.resolved:
            return
        for head, true, pred in zip(self.heads, y_true, y_pred, strict=True):
            if true is not None:
                head.resolve(true, pred)
            head.refuse_both()
        self.named = {"loss": self.loss_tracker}  # it may have been interrupted
        self._name_metrics()
        # As in Keras: a dictionary of outputs by one of losses; of losses with one name the last is shown.
        by_loss = self._keyed and isinstance(self.given_loss, Mapping)
        order = {name: i for i, name in enumerate(self.given_loss)} if by_loss else {}
        heads = sorted(self.heads, key=lambda head: order.get(head.name, len(order)))
        trackers = {head.tracker.name: head.tracker for head in heads if head.tracker is not None}
        for name, tracker in trackers.items():
            self._name(tracker, name)
        self.resolved = True

    def _name_metrics(self) -> None:
        """Gives the metrics their names in the logs, as Keras does: first those without weights, of all outputs."""
        for head in self.heads:
            for metric in head.metrics:
                self._name(metric, head.prefix + metric.name)
        for head in self.heads:
            for metric in head.weighted:
                plain_name = head.prefix + metric.name
                self._name(metric, f"{head.prefix}weighted_{metric.name}" if plain_name in self.named else plain_name)

    def _name(self, metric: Any, name: str) -> None:
        """Gives a metric a name in the logs that no other has."""
        number, free = 0, name
        while free in self.named:
            number += 1
            free = f"{name}_{number}"
        self.named[free] = metric

    def compute_loss(self, ys: Sequence[Value | None], preds: Sequence[Value], weights: Sequence[Any]) -> Value | None:
        """Returns the loss of a batch, without penalties: the sum over the outputs; None where there is none."""
        total: Value | None = None
        for head, y, y_pred, weight in zip(self.heads, ys, preds, weights, strict=True):
            if head.loss is not None and y is not None:
                value = head.compute_loss(y, y_pred, weight)
                total = value if total is None else total + cast(value, total.dtype)
        return total

    def update_metrics(
        self, ys: Sequence[Value | None], preds: Sequence[Value], weights: Sequence[Any], masks: Sequence[Value | None]
    ) -> None:
        """Adds a batch to all metrics of all outputs."""
        for head, y, y_pred, weight, mask in zip(self.heads, ys, preds, weights, masks, strict=True):
            if y is not None:
                head.update_metrics(y, y_pred, weight, mask)

    def result(self, metric: Any) -> Any:
        """Returns the current value of a metric, or a dictionary of several."""
        if metric not in self._results:
            self._results[metric] = Result(metric)
        return _each(plain, self._results[metric].now())

    def anew(self) -> dict[str, Any]:
        """Returns the arguments for another model, with optimizer and metrics of its own."""
        return {
            "optimizer": type(self.optimizer).from_config(self.optimizer.get_config()),
            "loss": self.given_loss,
            "loss_weights": self.loss_weights,
            "metrics": _anew(self.given_metrics),
            "weighted_metrics": _anew(self.given_weighted),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments as plain data, as Keras writes them."""
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self.given_loss),
            "loss_weights": serialize(tree.map_structure(_number, self.loss_weights)),
            "metrics": serialize(self.given_metrics),
            "weighted_metrics": serialize(self.given_weighted),
            "run_eagerly": False,
            "steps_per_execution": 1,
            "jit_compile": False,
        }


def _number(factor: Any) -> Any:
    return float(factor.numpy()) if isinstance(factor, Variable) else factor


def _anew(given: Any) -> Any:
    """Returns metrics as they were given, objects among them made again."""
    if isinstance(given, dict):
        return {name: _anew(one) for name, one in given.items()}
    if isinstance(given, list | tuple):
        return [_anew(one) for one in given]
    return type(given).from_config(given.get_config()) if isinstance(given, metrics.Metric) else given


class Result:
    """The result of a metric, traced once where it is a function of the metric's variables alone."""

    def __init__(self, metric: Any) -> None:
        self.metric = metric
        self._interpreter: Interpreter | None = None
        trace = Trace()
        try:
            self._form = traced(trace, lambda: _each(as_value, metric.result()))
        except TraceError:  # it asks for numbers
            return
        self._reads = tuple(trace.reads)
        if self._reads and not trace.updates:
            values = tuple(tree.flatten(self._form))
            names = tuple(f"result_{i}" for i in range(len(values)))
            self._interpreter = Interpreter(Graph(tuple(trace.reads.values()), values, names))

    def now(self) -> Any:
        """Returns the current result: an array, or arrays in a dictionary."""
        if self._interpreter is None:
            return _each(np.asarray, self.metric.result())
        return tree.pack_sequence_as(self._form, self._interpreter.run([v.array for v in self._reads]))


def _each(function: Callable[[Any], Any], result: Any) -> Any:
    """Returns what a function makes of a metric's result, or of each in a dictionary of them."""
    if isinstance(result, Mapping):
        return {name: _each(function, one) for name, one in result.items()}
    return function(result)


def plain(value: Any) -> Any:
    """Returns a single number as a float, several as an array of their own: a variable's is written over later."""
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array.copy()


def each_alone(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns logs in which what a metric gave in a dictionary stands under its own keys."""
    found: dict[str, Any] = {}
    for name, value in logs.items():
        found |= each_alone(value) if isinstance(value, Mapping) else {name: value}
    return found
