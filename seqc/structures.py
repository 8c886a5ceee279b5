"""What seqc asks of nested structures (`seqc.tree`) beyond what Keras has names for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqc.tree import flatten_with_path, is_nested


def has_form(form: Any, node: Any) -> bool:
    """Tells whether a structure has the lists and dictionaries of another; where that has a leaf, it may have anything.

    Unlike in `seqc.tree`, a list and a tuple are alike.
    """
    if not is_nested(form):
        return True
    if isinstance(form, Mapping):
        return isinstance(node, Mapping) and set(node) == set(form) and all(has_form(form[k], node[k]) for k in form)
    alike = isinstance(node, list | tuple) and len(node) == len(form)
    return alike and all(map(has_form, form, node))


def flatten_up_to(form: Any, node: Any) -> list[Any]:
    """Returns what a structure has at each leaf of another whose form it has."""
    found = []
    for path, _ in flatten_with_path(form):
        part = node
        for key in path:
            part = part[key]
        found.append(part)
    return found


def names(node: Any) -> list[str]:
    """Returns the path to each leaf, joined by slashes."""
    return ["/".join(map(str, path)) for path, _ in flatten_with_path(node)]


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
