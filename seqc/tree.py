"""Trees of tensors: lists, tuples and dictionaries, however deep, of what a layer or a model takes and gives.

Leaves are in the order in which they stand; a dictionary keeps the order of its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def is_branch(node: Any) -> bool:
    """Tells whether something is a list, tuple or dictionary, and not a leaf."""
    return isinstance(node, list | tuple | Mapping)


def leaves(node: Any) -> list[Any]:
    """Returns the leaves of a tree; of a leaf, itself."""
    found: list[Any] = []
    _collect(node, found)
    return found


def _collect(node: Any, found: list[Any]) -> None:
    if not is_branch(node):
        found.append(node)
        return
    for child in node.values() if isinstance(node, Mapping) else node:
        _collect(child, found)


def map_leaves(function: Callable[[Any], Any], node: Any) -> Any:
    """Returns a tree of the same form with what `function` makes of each leaf."""
    if isinstance(node, Mapping):
        return {key: map_leaves(function, child) for key, child in node.items()}
    if isinstance(node, tuple) and hasattr(node, "_fields"):  # a named tuple
        return type(node)(*(map_leaves(function, child) for child in node))
    if isinstance(node, list | tuple):
        return type(node)(map_leaves(function, child) for child in node)
    return function(node)


def fill(node: Any, values: Iterator[Any]) -> Any:
    """Returns a tree of the same form with the next of `values` at each leaf."""
    return map_leaves(lambda _: next(values), node)


def names(node: Any, prefix: str = "") -> list[str]:
    """Returns the key that leads to each leaf, nested ones joined by slashes; positions stand for those of lists."""
    if not is_branch(node):
        return [prefix]
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node)
    return [name for key, child in pairs for name in names(child, f"{prefix}/{key}" if prefix else str(key))]


def alone(x: Any) -> Any:
    """Returns what stands alone in a list or tuple, anything else as it is."""
    return x[0] if isinstance(x, list | tuple) and len(x) == 1 else x
