"""What adds up over the batches of a pass over data: the loss and the metrics of a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import ref

from seqc.errors import NotCompiledError
from seqc.graph.tracing import Variable
from seqc.sure import present
from seqc.training.compiled import Compiled, each_alone, plain
from seqc.training.hooks import logs_more, overrides
from seqc.training.trainable import Trainable


class _Pass:
    """A pass over data, in which totals are counted; `over` when it has ended, however it did."""

    over = False


class Totals:
    """Loss and metrics of a model; `Stepper` builds on it.

    Args:
        model: what trains. It owns what is made here, and is not kept alive by it.
    """

    def __init__(self, model: Trainable) -> None:
        self._model = ref(model)
        self.settings: Compiled | None = None
        # The pass over data that adds up, as long as it lives: one that was interrupted at an odd moment is over.
        self._counting: ref[_Pass] | None = None
        # What the latest step logged where `compute_metrics` says that.
        self._logged: dict[str, Variable] | None = None

    @property
    def model(self) -> Trainable:
        """The model, which lives as long as anybody can ask it to train."""
        return present(self._model())

    @property
    def compiled(self) -> Compiled:
        """What `compile` set up.

        Raises:
            NotCompiledError: it was not called.
        """
        if self.settings is None:
            raise NotCompiledError(
                "You must call `compile()` before using the model: model.compile(optimizer=..., loss=...)."
            )
        return self.settings

    @property
    def named_metrics(self) -> dict[str, Any]:
        """The metrics by their names in logs: the loss's mean, those of `compile`, and those of the model's own."""
        if overrides(self.model, "metrics"):  # the list says what is counted and logged, and nothing else is
            return {metric.name: metric for metric in self.model.metrics}
        return self.all_metrics()

    def all_metrics(self) -> dict[str, Any]:
        """The metrics of `compile`, and those that the model and layers in it keep as attributes, by name."""
        named = {} if self.settings is None else dict(self.settings.named)
        for owner in self.model._owners():
            if owner is self.model or "_trainer" not in vars(owner):  # what a model counts is its own business
                named |= {metric.name: metric for metric in owner.own_metrics() if metric not in named.values()}
        return {name: named[name] for name in in_order(named, named)}

    def listed(self, logs: Mapping[str, Any]) -> list[Any]:
        """Returns what is logged as `evaluate` lists it."""
        return [logs[name] for name in in_order(logs, self.named_metrics)]

    @property
    def logs_unknown(self) -> bool:
        """Whether only a step tells what is logged."""
        return logs_more(self.model) or overrides(self.model, "train_step") or overrides(self.model, "test_step")

    @property
    def may_log_more(self) -> bool:
        """Whether there may be more in logs than there are metrics: one of somebody's own may give a dictionary."""
        own = (m for m in self.named_metrics.values() if not type(m).result.__module__.startswith("seqc."))
        return self.logs_unknown or any(own)

    def logs(self) -> dict[str, Any]:
        """Returns what the latest step has to log."""
        if self._logged is None:
            return {name: plain(value) for name, value in each_alone(self.model.get_metrics_result()).items()}
        return {name: plain(variable.array) for name, variable in self._logged.items()}

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Starts totals anew. Where another pass over data is under way, its totals are as they were afterwards."""
        outer, logged = None if self._counting is None else self._counting(), self._logged
        outer = None if outer is None or outer.over else outer
        this, model = _Pass(), self.model
        totals = [v for metric in model.metrics for v in metric.variables]
        before = {v: v.numpy() for v in (*totals, *(logged or {}).values())} if outer else {}
        model.reset_metrics()
        self._counting = ref(this)
        try:
            yield
        finally:
            this.over = True
            self._counting = None if outer is None else ref(outer)
            if outer is not None:
                self._logged = logged
                model.reset_metrics()
                for variable, array in before.items():
                    variable.assign(array)


def in_order(names: Iterable[str], metrics: Mapping[str, Any]) -> list[str]:
    """Returns names of what is logged as Keras lists them: those that metrics have themselves, then others by name.

    Args:
        metrics: by their names in logs, which differ from their own where an output or another metric has a part in it.
    """
    names = list(names)
    first = [name for name, metric in metrics.items() if name == metric.name and name in names]
    return first + sorted(name for name in names if name not in first)
