"""What is said where a script asks a module of seqc for something that it does not have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, NoReturn

# How much of a name must be right to be taken for a slip of the pen.
_LIKE = 0.75


def absent(module: str, names: Iterable[str], advice: str = "", **reasons: str) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module: an AttributeError that says what to do.

    Args:
        module: its name.
        names: what it has.
        advice: what to do without the thing.
        reasons: why it lacks something, by name; these are no slips of the pen.
    """
    known = tuple(names)

    def look(name: str) -> NoReturn:
        if name.startswith("__"):  # Python's own questions
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        text = reasons.get(name)
        if text is None:
            like = {other: _likeness(name, other) for other in known}
            best = max(like.values(), default=0.0)
            near = [other for other, likeness in like.items() if likeness == best >= _LIKE]
            text = f"Did you mean {' or '.join(near[:3])}?" if near else f"dir({module}) lists what it has."
        raise AttributeError(f"{module} has no '{name}'. {text} {advice}".rstrip())

    return look


def late(module: str, homes: Mapping[str, str], otherwise: Callable[[str], Any]) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module: it loads what few programs need when somebody asks for it.

    Args:
        module: its name.
        homes: the modules that have it, by name.
        otherwise: called with every other name.
    """

    def look(name: str) -> Any:
        if name not in homes:
            return otherwise(name)
        found = getattr(import_module(homes[name]), name)
        sys.modules[module].__dict__[name] = found
        return found

    return look


def _likeness(a: str, b: str) -> float:
    from difflib import SequenceMatcher  # for those who ask

    return SequenceMatcher(None, a.lower(), b.lower()).ratio()
