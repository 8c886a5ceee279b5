"""How far training goes at most, whatever is asked of `fit`: for trying out a program that would take long."""

from __future__ import annotations

import os

from seqc.argument_kinds import is_whole
from seqc.errors import ConfigError
from seqc.utils.display import note

# By Keras's name; None where the environment has not been looked at.
_limits: dict[str, int | None] = {}


def max_epochs() -> int | None:
    """Returns how many epochs `fit` runs at most; None for as many as it is told to."""
    return _limit("max_epochs")


def set_max_epochs(max_epochs: int | None) -> None:
    """Sets how many epochs `fit` runs at most, as the variable KERAS_MAX_EPOCHS of the environment does.

    Raises:
        ConfigError: it is no positive integer, nor None.
    """
    _set("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """Returns how many steps `fit`, `evaluate` and `predict` take of their data at most; None for all."""
    return _limit("max_steps_per_epoch")


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Sets how many steps are taken of data at most, as KERAS_MAX_STEPS_PER_EPOCH does.

    Raises:
        ConfigError: it is no positive integer, nor None.
    """
    _set("max_steps_per_epoch", max_steps_per_epoch)


def limited(name: str, what: str, wanted: int | None) -> int | None:
    """Returns a number of epochs or steps, or the limit with a warning where that is lower.

    Args:
        name: of the limit. what: it limits, for the warning. wanted: the number; None where nobody knows it.
    """
    limit = _limit(name)
    if limit is None or (wanted is not None and wanted <= limit):
        return wanted
    note(f"Limiting {what} to {limit}", warn=True)
    return limit


def _limit(name: str) -> int | None:
    if name not in _limits:
        told = os.environ.get(f"KERAS_{name.upper()}", "")
        _limits[name] = int(told) if told.isdigit() and int(told) else None
    return _limits[name]


def _set(name: str, limit: int | None) -> None:
    if limit is not None and (not is_whole(limit) or limit < 1):
        raise ConfigError(f"{name} is a positive integer, or None for no limit. Received: {name}={limit!r}")
    _limits[name] = limit
