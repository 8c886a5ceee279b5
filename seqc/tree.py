"""Trees of tensors: lists, tuples and dictionaries, however deep, of what a layer or a model takes and gives.

Leaves are in the order in which they stand. Those of a dictionary are in the order of its sorted keys, as in Keras, so
that two dictionaries that are equal have equal leaves; an OrderedDict keeps its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def is_branch(node: Any) -> bool:
    """Tells whether something is a list, tuple or dictionary, and not a leaf."""
    return isinstance(node, list | tuple | Mapping)


def keys(node: Mapping[Any, Any]) -> list[Any]:
    """Returns the keys of a dictionary in the order of its leaves."""
    found = list(node)
    try:
        return found if isinstance(node, OrderedDict) else sorted(found)
    except TypeError:  # of kinds that do not compare
        return found


def children(node: Any) -> list[Any]:
    """Returns what a list, tuple or dictionary holds, in order."""
    return [node[key] for key in keys(node)] if isinstance(node, Mapping) else list(node)


def leaves(node: Any) -> list[Any]:
    """Returns the leaves of a tree; of a leaf, itself."""
    found: list[Any] = []
    _collect(node, found)
    return found


def _collect(node: Any, found: list[Any]) -> None:
    if not is_branch(node):
        found.append(node)
        return
    for child in children(node):
        _collect(child, found)


def has_form(form: Any, node: Any) -> bool:
    """Tells whether a tree has the lists and dictionaries of another; where that has a leaf, it may have anything."""
    if not is_branch(form):
        return True
    if isinstance(form, Mapping):
        return isinstance(node, Mapping) and set(node) == set(form) and all(has_form(form[k], node[k]) for k in form)
    alike = isinstance(node, list | tuple) and len(node) == len(form)
    return alike and all(map(has_form, form, node))


def leaves_like(form: Any, node: Any) -> list[Any]:
    """Returns what a tree has at each leaf of another whose form it has."""
    if not is_branch(form):
        return [node]
    pairs = [(form[k], node[k]) for k in keys(form)] if isinstance(form, Mapping) else zip(form, node, strict=True)
    return [leaf for pair in pairs for leaf in leaves_like(*pair)]


def map_leaves(function: Callable[[Any], Any], node: Any) -> Any:
    """Returns a tree of the same form with what `function` makes of each leaf."""
    if isinstance(node, Mapping):
        kind = OrderedDict if isinstance(node, OrderedDict) else dict
        return kind((key, map_leaves(function, node[key])) for key in keys(node))
    if isinstance(node, tuple) and hasattr(node, "_fields"):  # a named tuple
        return type(node)(*(map_leaves(function, child) for child in node))
    if isinstance(node, list | tuple):
        return type(node)(map_leaves(function, child) for child in node)
    return function(node)


def fill(node: Any, values: Iterator[Any]) -> Any:
    """Returns a tree of the same form with the next of `values` at each leaf."""
    return map_leaves(lambda _: next(values), node)


def paths(node: Any) -> list[tuple[Any, ...]]:
    """Returns the keys of dictionaries and the positions in lists that lead to each leaf."""
    if not is_branch(node):
        return [()]
    pairs = zip(keys(node) if isinstance(node, Mapping) else range(len(node)), children(node), strict=True)
    return [(key, *path) for key, child in pairs for path in paths(child)]


def names(node: Any) -> list[str]:
    """Returns the path to each leaf, joined by slashes."""
    return ["/".join(map(str, path)) for path in paths(node)]


def alone(x: Any) -> Any:
    """Returns what stands alone in a list or tuple, anything else as it is."""
    return x[0] if isinstance(x, list | tuple) and len(x) == 1 else x


def nested(by_path: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a dictionary by paths "a/b/c" as dictionaries in each other."""
    found: dict[str, Any] = {}
    for path, value in by_path.items():
        *folders, name = path.split("/")
        inside = found
        for folder in folders:
            inside = inside.setdefault(folder, {})
        inside[name] = value
    return found


def flat(inside: Mapping[str, Any]) -> dict[str, Any]:
    """Returns dictionaries in each other as one by paths, the other way round than `nested`."""
    found: dict[str, Any] = {}
    for name, value in inside.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{path}": one for path, one in flat(value).items()}
        else:
            found[name] = value
    return found
