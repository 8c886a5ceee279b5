"""Where a training stands, as plain data, and how another one goes on from there with the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.seeds import random_state, set_random_state
from seqc.training.sources import Source
from seqc.training.totals import Totals


class Resumable(Totals):
    """Knows where its training stands.

    Attributes:
        first_epoch: where the latest run began.
        first_batch: how many batches of that epoch were done before.
    """

    first_epoch = 0
    first_batch = 0
    _seed: int | None
    _training_source: Source | None = None
    _first_totals: tuple[Any, ...] = ()

    def position(self, epoch: int, batch: int) -> dict[str, Any]:
        """Returns where the training stands, but for weights and the optimizer's state.

        Args:
            epoch: the one under way, from 0.
            batch: how many of its batches are done.
        """
        source = self._training_source
        assert source is not None
        totals = [v.numpy().tolist() for metric in self.model.metrics for v in metric.variables] if batch else []
        return {
            "epoch": epoch,
            "batch": batch,
            "taken": source.taken,
            "pass_began": source.began,
            "random": random_state(),
            "seed": self._seed,
            "totals": totals,
        }

    def resume(self, position: dict[str, Any]) -> None:
        """Makes the run that begins go on from a position: the same batches in the same order, the same dropout.

        The batches of the pass under way are drawn again and passed over.

        Raises:
            ConfigError: the position makes no sense.
        """
        source = self._training_source
        assert source is not None
        epoch, batch, taken = (_count(position, name) for name in ("epoch", "batch", "taken"))
        seed = position.get("seed")
        if batch > taken or not isinstance(seed, int | None):
            raise ConfigError("batch, taken or seed is wrong")
        try:
            totals = tuple(np.asarray(total, "float64") for total in position.get("totals", ()))
        except (TypeError, ValueError) as error:
            raise ConfigError(f"totals are wrong: {error}") from error
        set_random_state(position.get("pass_began" if taken else "random"))
        source.resume(taken)
        set_random_state(position.get("random"))
        self.first_epoch, self.first_batch, self._seed, self._first_totals = epoch, batch, seed, totals

    def start_epoch(self) -> int:
        """Returns how many batches of the epoch that begins were done before, and takes over their totals."""
        done, self.first_batch = self.first_batch, 0
        totals, self._first_totals = self._first_totals, ()
        variables = [v for metric in self.model.metrics for v in metric.variables]
        # Metrics that learn their shape from data have no totals yet: theirs cover the rest of the epoch.
        if len(variables) == len(totals) and all(
            v.shape == np.shape(t) for v, t in zip(variables, totals, strict=True)
        ):
            for variable, total in zip(variables, totals, strict=True):
                variable.assign(total)
        return done


def _count(position: dict[str, Any], name: str) -> int:
    value = position.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{name} is {value!r} instead of a number")
    return value
