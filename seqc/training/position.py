"""Where a training stands, as plain data, and how another one goes on from there with the same numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.graph.ir import Array
from seqc.graph.tracing import Variable
from seqc.seeds import random_state, set_random_state
from seqc.sure import present
from seqc.training.model_seeds import memories_of, seeds_of, set_seeds
from seqc.training.sources import Source
from seqc.training.step import Step
from seqc.training.stepper import Stepper


class Resumable(Stepper):
    """Knows where its training stands.

    Attributes:
        first_epoch: where the latest run began.
        first_batch: how many batches of that epoch were done before.
        resumed_at_end: whether the run that goes on had been ended by a callback.
    """

    first_epoch = 0
    first_batch = 0
    resumed_at_end = False
    stop_training: bool
    _training_source: Source | None = None
    _first_totals: Sequence[Array] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the run under way: a copy that is made meanwhile has neither its data nor its place in them."""
        place = {"first_epoch": 0, "first_batch": 0, "resumed_at_end": False}
        return super().__getstate__() | place | {"_training_source": None, "_first_totals": ()}

    def position(self, epoch: int, batch: int) -> dict[str, Any]:
        """Returns where the training stands, but for weights and the optimizer's state.

        Args:
            epoch: the one under way, from 0.
            batch: how many of its batches are done.
        """
        source = present(self._training_source)
        totals = [v.numpy().tolist() for v in self._totals()] if batch else []
        return {
            "epoch": epoch,
            "batch": batch,
            "taken": source.taken,
            "pass_began": source.began,
            "epoch_began": source.epoch_began,
            "random": random_state(),
            "seeds": seeds_of(self.model),
            "memories": [v.numpy().tolist() for v in memories_of(self.model)],
            "totals": totals,
            "logged": None if self._logged is None else {name: v.numpy().tolist() for name, v in self._logged.items()},
            "stopped": self.stop_training,
        }

    def resume(self, position: dict[str, Any]) -> None:
        """Makes the run that begins go on from a position: the same batches in the same order, the same dropout.

        The batches of the pass under way are drawn again and passed over.

        Raises:
            ConfigError: the position makes no sense.
        """
        source = present(self._training_source)
        epoch, batch, taken = (_count(position, name) for name in ("epoch", "batch", "taken"))
        if batch > taken:
            raise ConfigError("batch or taken is wrong")
        totals, logged = _numbers(position, "totals", list), _numbers(position, "logged", dict)
        self._resume_memories(_numbers(position, "memories", list))
        set_seeds(self.model, position.get("seeds"))
        began = position.get("pass_began" if taken else "random")
        last = source.resume(taken, began, batch, position.get("epoch_began"))
        set_random_state(position.get("random"))
        self.first_epoch, self.first_batch, self._first_totals = epoch, batch, totals
        self.stop_training = self.resumed_at_end = position.get("stopped") is True
        if batch and last is not None:
            self._resume_logs(self.step_for("train", last), totals, logged)

    def _resume_memories(self, found: Sequence[Array]) -> None:
        variables = memories_of(self.model)
        if [v.shape for v in variables] != [array.shape for array in found]:
            raise ConfigError("memories of stateful layers are those of other layers than the model has")
        for variable, array in zip(variables, found, strict=True):
            variable.assign(array)

    def _resume_logs(self, step: Step, totals: Sequence[Array], logged: Mapping[str, Array]) -> None:
        """Sets what a step has logged, once tracing it has made the variables of metrics that learn their shape."""
        if [v.shape for v in self._totals()] != [total.shape for total in totals]:
            raise ConfigError("totals are those of other metrics than the model has")
        self._logged = step.logged
        for name, variable in (step.logged or {}).items():
            if name in logged and logged[name].shape == variable.shape:
                variable.assign(logged[name])

    def _totals(self) -> list[Variable]:
        return [v for metric in self.model.metrics for v in metric.variables]

    def start_epoch(self) -> int:
        """Returns how many batches of the epoch that begins were done before, and takes over their totals."""
        done, self.first_batch = self.first_batch, 0
        totals, self._first_totals = self._first_totals, []
        for variable, total in zip(self._totals(), totals, strict=False):
            variable.assign(total)
        return done


def _numbers(position: dict[str, Any], name: str, kind: type) -> Any:
    """Returns arrays that a position holds, in a list or by name; nothing where there are none."""
    found = position.get(name) or kind()
    try:
        if isinstance(found, dict) and kind is dict:
            return {str(key): np.asarray(value, "float64") for key, value in found.items()}
        if isinstance(found, list) and kind is list:
            return [np.asarray(value, "float64") for value in found]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} are wrong: {error}") from error
    raise ConfigError(f"{name} are wrong")


def _count(position: dict[str, Any], name: str) -> int:
    value = position.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{name} is {value!r} instead of a number")
    return value
