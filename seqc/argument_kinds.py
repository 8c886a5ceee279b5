"""What arguments of constructors must be, by their names: the same name means the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqc.epsilon import EPSILON
from seqc.errors import ConfigError


@dataclass(frozen=True)
class Kind:
    """What an argument must be.

    Attributes:
        called: how errors call it.
        fits: whether a value is one.
        take: what is kept of a value.
    """

    called: str
    fits: Callable[[Any], bool]
    take: Callable[[Any], Any] = lambda value: value

    def or_none(self) -> Kind:
        """Returns this kind, or None."""
        called, fits, take = f"{self.called} or None", self.fits, self.take
        return Kind(called, lambda v: v is None or fits(v), lambda v: None if v is None else take(v))


def is_whole(value: Any) -> bool:
    """Tells whether a value is an integer, of Python or NumPy."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Tells whether a value is a number, of Python or NumPy, and not NaN."""
    return isinstance(value, int | float | np.number) and value == value


def _listed(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda given: (
        isinstance(given, list | tuple | range | np.ndarray) and len(given) > 0 and all(map(fits, given))
    )


_WHOLE = Kind("an integer", is_whole, int)
_COUNT = Kind("a positive integer", lambda value: is_whole(value) and value > 0, int)
_NUMBER = Kind("a number", is_number)
_EPSILON = Kind("a number", lambda e: e is None or is_number(e), lambda e: EPSILON if e is None else float(e))
_FUNCTION = Kind("a function or the name of one", lambda value: callable(value) or isinstance(value, str))
_NAME = Kind("a string", lambda value: isinstance(value, str)).or_none()

_BY_NAME: dict[str, Kind] = {
    **dict.fromkeys(("input_dim", "output_dim", "key_dim", "head_dim"), _COUNT),
    "value_dim": _COUNT.or_none(),
    **dict.fromkeys(("num_thresholds", "num_regressors"), _WHOLE),
    "gradient_accumulation_steps": _WHOLE.or_none(),
    **dict.fromkeys(("beta_1", "beta_2", "q", "recall", "precision", "sensitivity", "specificity"), _NUMBER),
    **dict.fromkeys(("decay_steps", "first_decay_steps", "initial_accumulator_value"), _NUMBER),
    "name": _NAME,
    "fn": _FUNCTION,
    "target_class_ids": Kind("a list of integers", _listed(is_whole)),
    **dict.fromkeys(("boundaries", "values"), Kind("a list of numbers", _listed(is_number))),
    "label_weights": Kind("a list of numbers", _listed(is_number)).or_none(),
}
_BY_LAST_WORD: dict[str, Kind] = {
    **dict.fromkeys(("units", "filters", "groups", "heads", "multiplier", "classes"), _COUNT),
    **dict.fromkeys(("dropout", "momentum", "strength", "power"), _NUMBER),
    "epsilon": _EPSILON,
    "seed": _WHOLE.or_none(),
}


def taken(name: str, value: Any, who: str) -> Any:
    """Returns what is kept of an argument.

    Args:
        name: of the argument.
        value: what came.
        who: whose argument it is.

    Raises:
        ConfigError: it is not what its name says.
    """
    kind = _BY_NAME.get(name) or _BY_LAST_WORD.get(name.rpartition("_")[2])
    if kind is None:
        return value
    if not kind.fits(value):
        raise ConfigError(
            f"{who} received an invalid value for `{name}`, expected {kind.called}. Received: {name}={value!r}"
        )
    return kind.take(value)
