"""The loss functions by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from seqc.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}
_LABELS_LIKE_OUTPUT: list[Callable[..., Any]] = []


def loss_function(labels_like_output: bool = False) -> Callable[[F], F]:
    """Decorator: a function is a loss under its own name.

    Args:
        labels_like_output: whether it takes labels of the output's shape without looking for itself.
    """

    def register(function: F) -> F:
        FUNCTIONS[function.__name__] = function
        if labels_like_output:
            _LABELS_LIKE_OUTPUT.append(function)
        return function

    return register


def takes_labels_like_output(function: Any) -> bool:
    """Tells whether a loss, or a function of one, takes labels of the output's shape without looking for itself."""
    inner = getattr(function, "fn", function)
    return any(inner is known for known in _LABELS_LIKE_OUTPUT)


def named_function(name: str) -> Callable[..., Any]:
    """Returns the loss function of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FUNCTIONS:
        raise ConfigError(f"Could not interpret loss identifier: {name}. Known: {', '.join(sorted(FUNCTIONS))}.")
    return FUNCTIONS[name]
