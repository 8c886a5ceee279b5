"""What a model adds up over batches: its loss and metrics, and what may be overridden to compute them otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import ref

import numpy as np

from seqc import tree
from seqc.errors import ConfigError, NotBuiltError, ShapeError
from seqc.graph.ir import Value, as_value
from seqc.graph.tracing import Variable, current_trace
from seqc.metrics import Metric
from seqc.ops.elementwise import cast
from seqc.training.compiled import Compiled, plain
from seqc.training.own_steps import test_batch, train_batch
from seqc.utils.packing import unpack_x_y_sample_weight


class _Pass:
    """A pass over data, in which totals are counted; `over` when it has ended, however it did."""

    over = False


class Totals:
    """Loss and metrics of a model; `Stepper` builds on it."""

    _compiled: Compiled | None

    def __init__(self) -> None:
        # The pass over data that adds up, as long as it lives: one that was interrupted at an odd moment is over.
        self._counting: ref[_Pass] | None = None
        # What the latest step logged where `compute_metrics` says that.
        self._logged: dict[str, Variable] | None = None

    def _need_compiled(self) -> Compiled:
        if self._compiled is None:
            raise NotBuiltError(
                "You must call `compile()` before using the model: model.compile(optimizer=..., loss=...)."
            )
        return self._compiled

    @property
    def named_metrics(self) -> dict[str, Any]:
        """The metrics by their names in logs: the loss's mean, those of `compile`, and those of the model's own."""
        if self._compiled is None:
            return {}
        if self._overrides("metrics"):  # the list says what is counted and logged, and nothing else is
            return {metric.name: metric for metric in self.metrics}
        return self._all_metrics()

    def _all_metrics(self) -> dict[str, Any]:
        if self._compiled is None:
            return {}
        named = dict(self._compiled.named)
        for value in vars(self).values():
            if isinstance(value, Metric) and value not in named.values():
                named[value.name] = value
        return named

    @property
    def metrics(self) -> list[Any]:
        """The metrics, the loss's mean first. A subclass may list others: these are counted and logged instead."""
        return list(self._all_metrics().values())

    @property
    def metrics_names(self) -> list[str]:
        return list(self.named_metrics)

    def reset_metrics(self) -> None:
        """Sets all metrics back to their start."""
        self._need_compiled()
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """Returns the current values of the metrics by name, the loss first."""
        compiled, tracing = self._need_compiled(), current_trace() is not None
        return {
            name: metric.result() if tracing else compiled.result(metric) for name, metric in self.named_metrics.items()
        }

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Starts totals anew. Where another pass over data is under way, its totals are as they were afterwards."""
        outer, logged = None if self._counting is None else self._counting(), self._logged
        outer = None if outer is None or outer.over else outer
        this = _Pass()
        totals = [v for metric in self.metrics for v in metric.variables]
        before = {v: v.numpy() for v in (*totals, *(logged or {}).values())} if outer else {}
        self.reset_metrics()
        self._counting = ref(this)
        try:
            yield
        finally:
            this.over = True
            self._counting = None if outer is None else ref(outer)
            if outer is not None:
                self._logged = logged
                self.reset_metrics()
                for variable, array in before.items():
                    variable.assign(array)

    # -- what a subclass may override --------------------------------------------------------------------------------

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Returns the loss of a batch with all penalties. A subclass may compute another, with functions of `seqc.ops`.

        Args:
            x: samples; several inputs are a list or dictionary, as the model takes them.
            y: labels, None where there are none; of several outputs in the form in which the model gives these.
            y_pred: the model's output for x.
            sample_weight: weights, None where there are none, in the form of y.
            training: whether the model trains on the batch.
        """
        compiled = self._need_compiled()
        total: Any = None
        if y is not None:
            parts = _parts(compiled, y, y_pred, sample_weight)
            compiled.resolve([None if true is None else true.shape for true in parts[0]], [p.shape for p in parts[1]])
            total = compiled.compute_loss(*parts)
        for penalty in map(as_value, self.losses):
            if penalty.type.rank:
                raise ShapeError(
                    f"A penalty added to the loss must be a single number; got {penalty}. Use ops.sum on it."
                )
            total = penalty if total is None else total + cast(penalty, total.dtype)
        return total

    @property
    def losses(self) -> list[Value]:
        """Penalties on weights and, while a step is traced, those that layers added in it."""
        model: Any = self
        trace = current_trace()
        found = [v.regularizer(v.to_value()) for v in model.trainable_weights if v.regularizer is not None]
        return [*found, *(trace.losses if trace is not None else ())]

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Takes a batch into the metrics of `compile` and returns what is to be logged, by name.

        A subclass may update metrics that it keeps as attributes, and add to what is logged. For arguments see
        `compute_loss`.
        """
        trace = current_trace()
        if y is not None:
            compiled = self._need_compiled()
            compiled.update_metrics(*_parts(compiled, y, y_pred, sample_weight))
        # Results that only metrics have a say in are computed when they are asked for.
        return self.get_metrics_result() if trace is None or self.logs_more else {}

    def train_step(self, data: Any) -> Any:
        """Trains on a batch and returns what is to be logged, by name.

        A subclass may write a step of its own. It is called once and traced, as `call` of a layer is: with
        `self(x, training=True)`, `self.compute_loss(...)`, gradients of `seqc.GradientTape`, `apply` of one optimizer
        or several, and `update_state` of metrics.

        Args:
            data: x, (x, y) or (x, y, sample_weight): see `seqc.utils.unpack_x_y_sample_weight`.

        Raises:
            TraceError: it is called outside of a step; `train_on_batch` is for that.
        """
        return self._logs_of(train_batch(self, *unpack_x_y_sample_weight(data))[1])

    def test_step(self, data: Any) -> Any:
        """Evaluates a batch and returns what is to be logged, by name; see `train_step`."""
        return self._logs_of(test_batch(self, *unpack_x_y_sample_weight(data))[1])

    def predict_step(self, data: Any) -> Any:
        """Returns the model's output for a batch; see `train_step`."""
        model: Any = self
        return model.forward(unpack_x_y_sample_weight(data)[0], training=False)

    def _logs_of(self, found: Any) -> Any:
        return found if self.logs_more else self.get_metrics_result()

    def _overrides(self, name: str) -> bool:
        """Tells whether the model's class has its own version of something that is defined here."""
        return getattr(type(self), name) is not getattr(Totals, name)

    @property
    def logs_more(self) -> bool:
        """Whether the model's `compute_metrics` may log more than its metrics."""
        return self._overrides("compute_metrics") or self._overrides("get_metrics_result")

    @property
    def logs_unknown(self) -> bool:
        """Whether only a step tells what is logged."""
        return self.logs_more or self._overrides("train_step") or self._overrides("test_step")

    def logs(self) -> dict[str, Any]:
        """Returns what the latest step has to log."""
        if self._logged is None:
            return {name: plain(value) for name, value in self.get_metrics_result().items()}
        return {name: plain(variable.array) for name, variable in self._logged.items()}


def _parts(compiled: Compiled, y: Any, y_pred: Any, sample_weight: Any) -> tuple[list[Any], ...]:
    """Returns labels, predictions, weights and masks of each output; weights given once are for all outputs."""
    count, trace = len(compiled.heads), current_trace()
    true: list[Value | None]
    if count == 1:
        true, pred, weights = [as_value(_only(y))], [as_value(_only(y_pred))], [_only(sample_weight)]
    else:
        true = [None if leaf is None else as_value(leaf) for leaf in tree.leaves(y)]
        pred, weights = [as_value(leaf) for leaf in tree.leaves(y_pred)], tree.leaves(sample_weight)
        weights = weights * count if len(weights) == 1 else weights
    for what, found in (("labels", true), ("predictions", pred), ("sample weights", weights)):
        if len(found) != count:
            raise ConfigError(f"The model has {count} outputs; got {what} for {len(found)}.")
    return true, pred, weights, [None if trace is None else trace.masks.get(p) for p in pred]


def _only(x: Any) -> Any:
    """Returns the tensor of the one output, which may be given in the list or dictionary that the model gives."""
    found = tree.leaves(x)
    is_tensor = len(found) == 1 and isinstance(found[0], Value | np.ndarray)
    return found[0] if is_tensor else x
