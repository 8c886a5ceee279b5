"""What functions take, asked of Python once: every new layer and every call of one wants to know."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

_Known = WeakKeyDictionary[FunctionType, inspect.Signature]
_FUNCTIONS: _Known = WeakKeyDictionary()
_METHODS: _Known = WeakKeyDictionary()  # without what they are bound to


def signature(function: Callable[..., Any]) -> inspect.Signature:
    """Returns what `inspect.signature` does, which takes it 50 microseconds each time."""
    plain = function.__func__ if isinstance(function, MethodType) else function
    if not isinstance(plain, FunctionType):
        return inspect.signature(function)
    known = _FUNCTIONS if plain is function else _METHODS
    found = known.get(plain)
    if found is None:
        found = known[plain] = inspect.signature(function)
    return found
