"""Checks of what `fit` and its kin are told besides the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqc.errors import ConfigError
from seqc.text import shorten
from seqc.training.arrange import holds_arrays, is_array


def whole_number(name: str, value: Any, smallest: int = 1) -> int:
    """Returns an argument that is a number of something.

    Raises:
        ConfigError: it is not a whole number, or below `smallest`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < smallest:
        kind = "a positive integer" if smallest == 1 else f"an integer of at least {smallest}"
        raise ConfigError(f"{name} must be {kind}; got {_described(value)}.{_hint(value)}")
    return int(value)


def _described(value: Any) -> str:
    """Returns a value as errors show it: of arrays, which are long, the shape."""
    return f"an array of shape {value.shape}" if is_array(value) else shorten(repr(value), 80)


def _hint(value: Any) -> str:
    """Returns advice where data stand in the place of a number: those of a second input, most likely."""
    several = " Several inputs, or outputs, go into one list or dictionary: predict([a, b]), fit([a, b], y)."
    return several if holds_arrays(value) else ""


def optional_number(name: str, value: Any) -> int | None:
    """Returns a positive whole number, or None for None."""
    return None if value is None else whole_number(name, value)


def verbosity(verbose: Any) -> int:
    """Returns 0 for silence, 1 for a progress bar, 2 for a line per epoch; of other numbers Keras shows epochs alone.

    Raises:
        ConfigError: the argument says none of these.
    """
    if verbose is None:
        return 0
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    if isinstance(verbose, int | np.integer) or (not isinstance(verbose, str) and verbose in (0, 1, 2)):
        return int(verbose)
    raise ConfigError(f'verbose must be 0 (silent), 1 (progress bar), 2 (a line per epoch) or "auto"; got {verbose!r}.')


def validates(epoch: int, frequency: Any) -> bool:
    """Tells whether the epoch with this number, from 0, ends with a validation.

    Args:
        frequency: every so many epochs, or the epochs by number, from 1.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(frequency, list | tuple | set | range):
        return epoch + 1 in frequency
    return (epoch + 1) % whole_number("validation_freq", frequency) == 0
