"""Entries of tables of calls that differ in a name only: a lambda in a loop would see the last name of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def call(name: str, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
    """module -> `module.name(*arguments, **options)`."""
    return lambda module: getattr(module, name)(*arguments, **options)


def call_on(
    take: Callable[[Any, Any, Any, Any], tuple[Any, ...]], name: str, **options: Any
) -> Callable[[Any, Any, Any, Any], Any]:
    """(ops, x, y, k) -> `ops.name` of what `take` takes of them."""
    return lambda ops, x, y, k: getattr(ops, name)(*take(ops, x, y, k), **options)
