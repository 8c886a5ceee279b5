"""The parts of a step that a model may say itself: what is done with a batch, as Keras's `train_step` does it.

What is called here runs once, while the step is traced into a graph; its tensors have no numbers yet.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqc import tree
from seqc.errors import ConfigError, ShapeError
from seqc.graph.autodiff import connected_gradients
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import Trace, require_trace
from seqc.ops.reduce import count_samples

if TYPE_CHECKING:
    from seqc.training.trainable import Trainable


class Enough(Exception):
    """Ends a rehearsal."""


class Rehearsal(Trace):
    """A trace that ends with the first gradient: until then a step has called what it computes with."""


def end_rehearsal(trace: Trace) -> None:
    """Leaves a step that was called for no more than what comes before its first gradient."""
    if isinstance(trace, Rehearsal):
        raise Enough


def train_batch(model: Trainable, x: Any, y: Any, sample_weight: Any) -> tuple[Value, Any]:
    """Takes a step of training.

    Returns:
        The loss of the batch, and what the model's `compute_metrics` says of it.
    """
    trace = require_trace("train_step")
    optimizer = model._trainer.compiled.optimizer
    y_pred = model.forward(x, training=True)
    loss = total_loss(model, x, y, y_pred, sample_weight, training=True)
    variables = model.trainable_weights
    end_rehearsal(trace)
    # A weight that the loss does not depend on is left as it is, by weight decay, too.
    grads = connected_gradients(optimizer.scale_loss(loss), [trace.read(v) for v in variables])
    optimizer.apply(grads, variables)
    return loss, count_batch(model, x, y, y_pred, sample_weight, loss)


def test_batch(model: Trainable, x: Any, y: Any, sample_weight: Any) -> tuple[Value, Any]:
    """Evaluates a batch; returns as `train_batch` does."""
    require_trace("test_step")
    y_pred = model.forward(x, training=False)
    loss = total_loss(model, x, y, y_pred, sample_weight, training=False)
    return loss, count_batch(model, x, y, y_pred, sample_weight, loss)


def total_loss(model: Trainable, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Value:
    """Returns what the model's `compute_loss` gives, which is one number.

    Raises:
        ConfigError: it gives nothing. ShapeError: it is not one number.
    """
    found = _call_compute_loss(model, x, y, y_pred, sample_weight, training)
    if found is None:
        raise ConfigError("There is nothing to minimize: compile() was given no loss, and no layer adds a penalty.")
    total = as_value(found)
    if total.type.rank:
        raise ShapeError(f"The loss of a batch must be a single number; got {total}. Use ops.mean or ops.sum on it.")
    return total


def _call_compute_loss(model: Trainable, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
    """Calls a model's `compute_loss`, whether or not it takes `training`, as older ones do not."""
    parameters = inspect.signature(model.compute_loss).parameters
    takes = "training" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return model.compute_loss(x, y, y_pred, sample_weight, **({"training": training} if takes else {}))


def count_batch(model: Trainable, x: Any, y: Any, y_pred: Any, sample_weight: Any, loss: Value) -> Any:
    """Takes a batch into the mean of the loss and into all metrics; returns what `compute_metrics` does."""
    # Counts come in the dtype of what is counted, and small integers do not reach far.
    counted = [leaf for leaf in tree.flatten(x) if leaf.type.is_float] or tree.flatten(y_pred)
    model._trainer.compiled.loss_tracker.update_state(loss, sample_weight=count_samples(counted[0]))
    return model.compute_metrics(x, y, y_pred, sample_weight)


def own_train_step(model: Trainable, data: Any) -> tuple[Value | None, Any]:
    """Calls a `train_step` that the model writes itself; returns as `train_batch` does, the loss where it is logged."""
    trace = require_trace("train_step")
    logs = model.train_step(data)
    # Callbacks and schedules go by how many steps the model's optimizer has seen, whoever took them.
    iterations = model._trainer.compiled.optimizer.steps_seen
    if iterations not in trace.updates:
        iterations.assign(iterations.to_value() + 1)
    return _loss_in(logs), logs


def own_test_step(model: Trainable, data: Any) -> tuple[Value | None, Any]:
    """Calls a `test_step` that the model writes itself; returns as `own_train_step` does."""
    logs = model.test_step(data)
    return _loss_in(logs), logs


def _loss_in(logs: Any) -> Value | None:
    found = as_value(logs["loss"]) if isinstance(logs, Mapping) and logs.get("loss") is not None else None
    return None if found is None or found.type.rank else found
