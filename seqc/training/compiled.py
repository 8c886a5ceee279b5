"""What `compile` sets up: optimizer, loss and metrics, resolved against the first data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqc import losses, metrics, optimizers
from seqc.backends.numpy import Plan
from seqc.errors import ConfigError, ShapeError, TraceError
from seqc.ir import Array, Graph, Input, Value, as_value, walk
from seqc.losses.crossing import crossed
from seqc.losses.label_shapes import check_fit
from seqc.ops.elementwise import cast
from seqc.ops.shape import expand_dims
from seqc.serialization import refuse_foreign, serialize
from seqc.tracing import Trace, current_trace, traced
from seqc.utils.display import note

Shape = tuple[int | None, ...]


class Compiled:
    """The arguments of `compile`, made into objects.

    Metrics named by strings such as "accuracy" are chosen when the shapes of labels and predictions are known.
    """

    def __init__(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics_list: Any = None,
        weighted_metrics: Any = None,
        loss_weights: Any = None,
    ) -> None:
        self.optimizer = optimizers.get(optimizer)
        self.given_loss, self.given_metrics, self.given_weighted = loss, metrics_list, weighted_metrics
        self.loss_weights = loss_weights
        self.loss_id = _one_loss(loss)
        self.loss_factor = _one_factor(loss_weights)
        self.loss: Any = None
        self.loss_tracker = metrics.Mean(name="loss")
        self.metric_ids = _listed(metrics_list, "metrics")
        self.weighted_ids = _listed(weighted_metrics, "weighted_metrics")
        self.resolved = self._doubted = False
        self.metrics: list[Any] = []
        self.weighted: list[Any] = []
        # The metrics by the names they have in logs, the loss first.
        self.named: dict[str, Any] = {"loss": self.loss_tracker}
        self._results: dict[Any, Result] = {}

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_results": {}}  # compiled, and made again when needed

    @property
    def loss_name(self) -> str:
        return losses.object_name(self.loss_id)

    @property
    def needs_labels(self) -> str:
        """What needs labels, for messages; empty where nothing does."""
        if self.loss_id is not None:
            return f"The loss '{self.loss_name}'"
        return "A metric" if self.metric_ids or self.weighted_ids else ""

    @property
    def steps_taken(self) -> int:
        """How many training steps the optimizer has seen, those that only accumulate gradients included."""
        return int(self.optimizer.variables[0].array)

    def resolve(self, y_true: Shape, y_pred: Shape) -> None:
        """Chooses loss and metrics for labels and predictions of these shapes, once."""
        if self.resolved:
            return
        self.named = {"loss": self.loss_tracker}  # it may have been interrupted
        if self.loss_id is not None:
            self.loss = losses.resolve(self.loss_id, y_true, y_pred)
        self.metrics = [metrics.resolve(m, y_true, y_pred) for m in self.metric_ids]
        self.weighted = [metrics.resolve(m, y_true, y_pred) for m in self.weighted_ids]
        unweighted = {m.name for m in self.metrics}
        for metric in self.metrics:
            self._name(metric, metric.name)
        for metric in self.weighted:
            if metric in self.metrics:
                raise ConfigError(
                    f"Metric '{metric.name}' is given in `metrics` and in `weighted_metrics`, which would add up "
                    "in one total what is weighted and what is not. Make two objects."
                )
            self._name(metric, f"weighted_{metric.name}" if metric.name in unweighted else metric.name)
        self.resolved = True

    def _name(self, metric: Any, name: str) -> None:
        """Gives a metric a name in the logs that no other has."""
        number, free = 0, name
        while free in self.named:
            number += 1
            free = f"{name}_{number}"
        self.named[free] = metric

    def compute_loss(self, y: Value, y_pred: Value, sample_weight: Value | None, mask: Value | None) -> Value:
        """Returns the loss of a batch, without penalties.

        Raises:
            ShapeError: it is not one number. TraceError: it is not made of its arguments with functions of `seqc.ops`.
        """
        if self.loss._labels_like_output:
            check_fit(f"Loss '{self.loss_name}'", y, y_pred)
        value: Value = self.loss(y, y_pred, sample_weight=sample_weight, mask=mask)
        if isinstance(value, Value) and crossed(value, y, y_pred):
            note(
                f"Loss '{self.loss_name}' sets labels {y.type} against predictions {y_pred.type} so that every label "
                "meets every prediction. Unless that is meant, give both one shape first: y[:, None], or "
                "seqc.ops.reshape.",
                warn=True,
            )
        if current_trace() is not None and _leaves(value).isdisjoint(_leaves(y_pred)):
            raise TraceError(
                f"Loss '{self.loss_name}' does not depend on the predictions, so that nothing can be learned from it. "
                "Compute it from (y_true, y_pred) with functions of seqc.ops, and return it."
            )
        if value.type.rank:
            raise ShapeError(
                f"Loss '{self.loss_name}' gives {value.type}; training needs one number. Give it a reduction such as "
                '"sum_over_batch_size".'
            )
        return value if self.loss_factor is None else value * self.loss_factor

    def update_metrics(self, y: Value, y_pred: Value, sample_weight: Value | None, mask: Value | None) -> None:
        """Adds a batch to all metrics; a mask enters all of them, sample weights only the weighted ones."""
        for metric in (*self.metrics, *self.weighted):
            if metric._labels_like_output:
                check_fit(f"Metric '{metric.name}'", y, y_pred)
        valid = None if mask is None else cast(mask, y_pred.dtype)
        for metric in dict.fromkeys(self.metrics):
            metric.update_state(y, y_pred, sample_weight=valid)
        weight = sample_weight
        if valid is not None:
            weight = valid if sample_weight is None else valid * _align(sample_weight, valid)
        for metric in dict.fromkeys(self.weighted):
            metric.update_state(y, y_pred, sample_weight=weight)

    def result(self, metric: Any) -> Any:
        """Returns the current value of a metric."""
        if metric not in self._results:
            self._results[metric] = Result(metric)
        return plain(self._results[metric].now())

    def check_labels(self, y: Array | None, y_pred_shape: Sequence[int | None]) -> None:
        """Raises DataError if label values cannot belong to the output; warns once if they can hardly be meant."""
        if y is None or self.loss is None:
            return
        doubt = losses.check_labels(self.loss, y, tuple(y_pred_shape))
        if doubt is not None and not self._doubted:
            self._doubted = True
            note(doubt, warn=True)

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
            "loss_weights": serialize(self.loss_weights),
            "metrics": serialize(self.given_metrics),
            "weighted_metrics": serialize(self.given_weighted),
            "run_eagerly": False,
            "steps_per_execution": 1,
            "jit_compile": False,
        }


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
        self._plan: Plan | None = None
        trace = Trace()
        try:
            value = traced(trace, lambda: as_value(metric.result()))
        except TraceError:  # it asks for numbers
            return
        self._reads = tuple(trace.reads)
        if self._reads and not trace.updates:
            self._plan = Plan(Graph(tuple(trace.reads.values()), (value,), ("result",)))

    def now(self) -> Array:
        """Returns the current result."""
        if self._plan is None:
            return np.asarray(self.metric.result())
        return self._plan.run([v.array for v in self._reads])[0]


def _leaves(value: Value) -> set[Value]:
    """Returns the graph inputs that a value is computed from. Crossentropies go around the softmax before them."""
    return {v for v in walk([value]) if isinstance(v.op, Input)}


def plain(value: Any) -> Any:
    """Returns a single number as a float, several as an array."""
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


def _one_loss(loss: Any) -> Any:
    """Returns the loss of the one output; names are checked here, not at the first batch."""
    described = isinstance(loss, dict) and "class_name" in loss
    if isinstance(loss, list | tuple | dict) and len(loss) == 1 and not described:
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
    elif isinstance(loss, list | tuple | dict) and not described:
        raise ConfigError(f"A Sequential model has one output and takes one loss; got {loss!r}.")
    if not (isinstance(loss, str) and loss in ("crossentropy", "ce")):
        losses.get(loss)
    return loss


def _one_factor(weights: Any) -> float | None:
    factor = weights[0] if isinstance(weights, list | tuple) and len(weights) == 1 else weights
    if factor is not None and not isinstance(factor, int | float):
        raise ConfigError(f"loss_weights of a model with one output is one number; got {weights!r}.")
    return None if factor is None else float(factor)


def _listed(given: Any, name: str) -> list[Any]:
    """Returns the metrics of the one output, whichever way they were given."""
    if given is None:
        return []
    if isinstance(given, dict):
        if len(given) != 1:
            raise ConfigError(f"A Sequential model has one output; `{name}` names {len(given)}: {list(given)}.")
        given = next(iter(given.values()))
        given = given if isinstance(given, list | tuple) else [given]
    if not isinstance(given, list | tuple):
        raise ConfigError(
            f"Expected `{name}` argument to be a list, tuple, or dict. Received instead: {name}={given!r} of type "
            f"{type(given)}"
        )
    if len(given) == 1 and isinstance(given[0], list | tuple):
        given = given[0]
    for metric in given:
        refuse_foreign(metric, "metrics", "metric")
    return [m for m in given if m is not None]


def _align(weight: Value, valid: Value) -> Value:
    """Gives sample weights the axes of a mask, on the right."""
    missing = valid.type.rank - weight.type.rank
    return expand_dims(weight, tuple(range(weight.type.rank, valid.type.rank))) if missing > 0 else weight
