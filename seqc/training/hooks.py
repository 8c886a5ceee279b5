"""What a model may say of a step itself, and what is done where it says nothing: Keras's methods of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seqc import tree
from seqc.dtype_policies import floatx
from seqc.errors import ConfigError
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import current_trace
from seqc.ops.elementwise import cast
from seqc.ops.reduce import sum
from seqc.training.compiled import Compiled, each_alone
from seqc.training.own_steps import test_batch, train_batch
from seqc.training.trainable import Trainable
from seqc.utils.packing import unpack_x_y_sample_weight

if TYPE_CHECKING:
    from seqc.training.trainer import Trainer


class Hooks:
    """The methods around a step that a subclass of Model may override; each is called while a step is traced."""

    _trainer: Trainer

    def compute_loss(
        self: Trainable,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the loss of a batch with all penalties. A subclass may compute another, with functions of `seqc.ops`.

        Args:
            x: samples; several inputs are a list or dictionary, as the model takes them.
            y: labels, None where there are none; of several outputs in the form in which the model gives these.
            y_pred: the model's output for x.
            sample_weight: weights, None where there are none, in the form of y.
            training: whether the model trains on the batch.
        """
        compiled = self._trainer.compiled
        total: Any = None
        if y is not None:
            parts = _parts(compiled, y, y_pred, sample_weight)
            compiled.resolve([None if true is None else true.shape for true in parts[0]], [p.shape for p in parts[1]])
            total = compiled.compute_loss(*parts[:3])
        for penalty in map(_summed, self.losses):
            total = penalty if total is None else total + cast(penalty, total.dtype)
        return total

    def compute_metrics(self: Trainable, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Takes a batch into the metrics of `compile` and returns what is to be logged, by name.

        A subclass may update metrics that it keeps as attributes, and add to what is logged. For arguments see
        `compute_loss`.
        """
        if y is not None:
            compiled = self._trainer.compiled
            compiled.update_metrics(*_parts(compiled, y, y_pred, sample_weight))
        # Results that only metrics have a say in are computed when they are asked for.
        return self.get_metrics_result() if current_trace() is None or self._trainer.logs_unknown else {}

    def train_step(self: Trainable, data: Any) -> Any:
        """Trains on a batch and returns what is to be logged, by name.

        A subclass may write a step of its own. It is traced, as `call` of a layer is: with `self(x, training=True)`,
        `self.compute_loss(...)`, gradients of `seqc.GradientTape`, `apply` of one optimizer or several, and
        `update_state` of metrics. What it calls is built by that.

        Args:
            data: x, (x, y) or (x, y, sample_weight): see `seqc.utils.unpack_x_y_sample_weight`.

        Raises:
            TraceError: it is called outside of a step; `train_on_batch` is for that.
        """
        return _logs(self, train_batch(self, *unpack_x_y_sample_weight(data))[1])

    def test_step(self: Trainable, data: Any) -> Any:
        """Evaluates a batch and returns what is to be logged, by name; see `train_step`."""
        return _logs(self, test_batch(self, *unpack_x_y_sample_weight(data))[1])

    def predict_step(self: Trainable, data: Any) -> Any:
        """Returns the model's output for a batch; see `train_step`."""
        return self.forward(unpack_x_y_sample_weight(data)[0], training=False)

    @property
    def metrics(self) -> list[Any]:
        """The metrics, the loss's mean first. A subclass may list others: these are counted and logged instead."""
        return list(self._trainer.all_metrics().values())

    def reset_metrics(self: Trainable) -> None:
        """Sets all metrics back to their start."""
        self._trainer.compiled  # noqa: B018  for its error
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self: Trainable) -> dict[str, Any]:
        """Returns the current values of the metrics by name, the loss first."""
        compiled, tracing = self._trainer.compiled, current_trace() is not None
        named = self._trainer.named_metrics
        return each_alone(
            {name: metric.result() if tracing else compiled.result(metric) for name, metric in named.items()}
        )


def overrides(model: object, name: str) -> bool:
    """Tells whether the model's class has its own version of a member of `Hooks`."""
    return getattr(type(model), name) is not getattr(Hooks, name)


def logs_more(model: object) -> bool:
    """Tells whether the model's `compute_metrics` may log more than its metrics."""
    return overrides(model, "compute_metrics") or overrides(model, "get_metrics_result")


def _logs(model: Trainable, found: Any) -> Any:
    return found if logs_more(model) else model.get_metrics_result()


def _summed(penalty: Any) -> Value:
    """Returns a penalty as one number: one per sample, say, counts as their sum."""
    value = as_value(penalty)
    value = value if value.type.is_float else cast(value, floatx())
    return sum(value) if value.type.rank else value


def _parts(compiled: Compiled, y: Any, y_pred: Any, sample_weight: Any) -> tuple[list[Any], ...]:
    """Returns labels, predictions, weights and masks of each output; weights given once are for all outputs."""
    count, trace = len(compiled.heads), current_trace()
    true: list[Value | None]
    if count == 1:
        true, pred, weights = [as_value(_only(y))], [as_value(_only(y_pred))], [_only(sample_weight)]
    else:
        true = [None if leaf is None else as_value(leaf) for leaf in tree.flatten(y)]
        pred, weights = [as_value(leaf) for leaf in tree.flatten(y_pred)], tree.flatten(sample_weight)
        weights = weights * count if len(weights) == 1 else weights
    for what, found in (("labels", true), ("predictions", pred), ("sample weights", weights)):
        if len(found) != count:
            raise ConfigError(f"The model has {count} outputs; got {what} for {len(found)}.")
    return true, pred, weights, [None if trace is None else trace.masks.get(p) for p in pred]


def _only(x: Any) -> Any:
    """Returns the tensor of the one output, which may be given in the list or dictionary that the model gives."""
    found = tree.flatten(x)
    is_tensor = len(found) == 1 and isinstance(found[0], Value | np.ndarray)
    return found[0] if is_tensor else x
