"""What is said where a script asks a module of seqc for something that it does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def _likeness(a: str, b: str) -> float:
    from difflib import SequenceMatcher  # for those who ask

    return SequenceMatcher(None, a.lower(), b.lower()).ratio()
