"""The loss functions by name."""

from __future__ import annotations

from collections.abc import Callable
from inspect import isfunction
from typing import Any

from seqc.errors import ConfigError
from seqc.losses import crossentropy, functions

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: function
    for module in (crossentropy, functions)
    for name, function in vars(module).items()
    if isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
}


def takes_labels_like_output(function: Any) -> bool:
    """Tells whether a loss, or a function of one, takes labels of the output's shape without looking for itself."""
    function = getattr(function, "fn", function)
    return getattr(function, "__module__", None) == functions.__name__ and function in FUNCTIONS.values()


def named_function(name: str) -> Callable[..., Any]:
    """Returns the loss function of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in FUNCTIONS:
        raise ConfigError(f"Could not interpret loss identifier: {name}. Known: {', '.join(sorted(FUNCTIONS))}.")
    return FUNCTIONS[name]
